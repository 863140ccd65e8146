//! Queues: how much they hold.

use serde_json::{Value, json};

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::{QueueDepth, Queues};

const TARGET: &str = "AmazonSQS";
const OPERATION: &str = "GetQueueAttributes";

impl Queues for Aws {
    async fn queue_depth(&self, name: &str) -> Result<Option<QueueDepth>, CloudError> {
        self.within(OPERATION, self.depth(name)).await
    }
}

impl Aws {
    /// `None` when there is no such queue.
    async fn depth(&self, name: &str) -> Result<Option<QueueDepth>, CloudError> {
        let Some(url) = self.queue_url(name).await? else {
            return Ok(None);
        };
        let attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let body = json!({ "QueueUrl": url, "AttributeNames": attributes });
        let answer = match self.raw.json("sqs", TARGET, OPERATION, &body).await {
            Ok(answer) => answer,
            Err(error) if error.kind == Kind::NotFound => {
                self.queue_urls.borrow_mut().remove(name);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let [visible, in_flight] = attributes.map(|attribute| {
            let text = answer.pointer(&format!("/Attributes/{attribute}"));
            text.and_then(Value::as_str).and_then(|n| n.parse().ok())
        });
        let depth = visible
            .zip(in_flight)
            .map(|(visible, in_flight)| QueueDepth { visible, in_flight });
        let message = || format!("the numbers of messages of queue `{name}` are missing in: {answer}");
        depth
            .map(Some)
            .ok_or_else(|| CloudError::new(OPERATION, Kind::Unreadable, message()))
    }

    async fn queue_url(&self, name: &str) -> Result<Option<String>, CloudError> {
        const OPERATION: &str = "GetQueueUrl";
        let known = self.queue_urls.borrow().get(name).cloned();
        if known.is_some() {
            return Ok(known);
        }
        match self
            .raw
            .json("sqs", TARGET, OPERATION, &json!({ "QueueName": name }))
            .await
        {
            Ok(answer) => {
                let url = answer.get("QueueUrl").and_then(Value::as_str).ok_or_else(|| {
                    CloudError::new(
                        OPERATION,
                        Kind::Unreadable,
                        format!("`QueueUrl` is missing in: {answer}"),
                    )
                })?;
                self.queue_urls.borrow_mut().insert(name.to_owned(), url.to_owned());
                Ok(Some(url.to_owned()))
            }
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;

    const URL: &str = r#"{"QueueUrl":"https://sqs.eu-west-1.amazonaws.com/1/jobs"}"#;
    const FULL: &str =
        r#"{"Attributes":{"ApproximateNumberOfMessages":"12","ApproximateNumberOfMessagesNotVisible":"3"}}"#;
    const GONE: &str = r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no"}"#;

    #[test]
    fn the_url_of_a_queue_is_asked_for_once() {
        let (found, asked) = replay(&[(200, URL), (200, FULL), (200, FULL)], async |aws| {
            let first = aws.queue_depth("jobs").await.unwrap();
            assert_eq!(first, aws.queue_depth("jobs").await.unwrap());
            first
        });
        let expected = QueueDepth {
            visible: 12,
            in_flight: 3,
        };
        assert_eq!(found, Some(expected));
        let targets: Vec<_> = asked.iter().filter_map(|a| a.target.as_deref()).collect();
        assert_eq!(
            targets,
            [
                "AmazonSQS.GetQueueUrl",
                "AmazonSQS.GetQueueAttributes",
                "AmazonSQS.GetQueueAttributes"
            ]
        );
        let url = asked.get(1).map(|a| a.json()["QueueUrl"].clone());
        assert_eq!(url, Some("https://sqs.eu-west-1.amazonaws.com/1/jobs".into()));
    }

    #[test]
    fn a_queue_that_does_not_exist_is_absent_and_one_that_cannot_be_read_is_an_error() {
        for answers in [vec![(400, GONE)], vec![(200, URL), (400, GONE)]] {
            let (found, _) = replay(&answers, async |aws| aws.queue_depth("jobs").await);
            assert_eq!(found, Ok(None));
        }
        let (found, _) = replay(&[(200, URL), (200, r#"{"Attributes":{}}"#)], async |aws| {
            aws.queue_depth("jobs").await
        });
        assert_eq!(found.unwrap_err().kind, Kind::Unreadable);
    }
}
