//! What scaling asks besides services and alarms: values, queues, and what Application Auto Scaling moves.

use jiff::Timestamp;
use serde_json::Value;
use wharfinger_core::event::{MetricQuery, Reading, time_from_json};
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::scaling::QueueFacts;

use super::Answers;

impl Answers {
    /// The newest value of what an alarm watches, of `GetMetricData`: the result that is called as the query is, or whose
    /// label is the metric's name, as it is where nobody labelled it. Not known when no answer tells of it.
    pub(crate) fn newest(&self, watches: &[MetricQuery]) -> Known<Option<Reading>> {
        if !self.has("GetMetricData") {
            return Known::No;
        }
        let results: Vec<_> = self.elements("GetMetricData", "MetricDataResults").collect();
        let Some(query) = watches.iter().find(|query| query.returned) else {
            return Known::No;
        };
        let metric = query.metric.as_ref().map(|metric| metric.name.as_str());
        let found = results
            .iter()
            .find(|result| result.text("Id") == Some(query.id.as_str()))
            .or_else(|| {
                results
                    .iter()
                    .find(|result| metric.is_some() && result.text("Label") == metric)
            });
        let Some(result) = found else { return Known::No };
        let list = |field| result.value.get(field).and_then(Value::as_array).map(Vec::as_slice);
        let points = list("Timestamps")
            .unwrap_or_default()
            .iter()
            .zip(list("Values").unwrap_or_default());
        let points = points.filter_map(|(at, value)| Some((time_from_json(at)?, value.as_f64()?)));
        let newest = points.max_by_key(|(at, _)| *at);
        Known::Yes(newest.map(|(at, value)| Reading {
            value,
            threshold: None,
            at: Some(at),
            period: Some(query.period),
        }))
    }

    /// A queue of `GetQueueAttributes`: the answer with its `QueueArn`, or the only answer where it has none. Its age
    /// is not told by SQS.
    pub(crate) fn queue(&self, name: &str, now: Timestamp) -> anyhow::Result<Option<QueueFacts>> {
        const OPERATION: &str = "GetQueueAttributes";
        let answers = self.by_operation.get(OPERATION).map(Vec::as_slice).unwrap_or_default();
        let text = |answer: &Value, attribute: &str| {
            let value = answer.get("Attributes")?.get(attribute)?;
            value
                .as_str()
                .map(str::to_owned)
                .or_else(|| Some(value.as_u64()?.to_string()))
        };
        let is_it = |answer: &&Value| match text(answer, "QueueArn") {
            Some(arn) => arn.rsplit(':').next() == Some(name),
            None => answers.len() == 1,
        };
        let Some(answer) = answers.iter().find(is_it) else {
            return Ok(None);
        };
        let count = |attribute: &str| {
            let count = text(answer, attribute).and_then(|n| n.parse().ok());
            count.ok_or_else(|| anyhow::anyhow!("{}: {OPERATION}: `Attributes.{attribute}` is no count", self.name))
        };
        Ok(Some(QueueFacts {
            visible: count("ApproximateNumberOfMessages")?,
            in_flight: count("ApproximateNumberOfMessagesNotVisible")?,
            oldest: None,
            at: now,
        }))
    }

    /// Whether Application Auto Scaling moves a service, of `DescribeScalableTargets`.
    pub(crate) fn scalable(&self, target: &Target) -> Known<bool> {
        if !self.has("DescribeScalableTargets") {
            return Known::No;
        }
        let id = format!("service/{target}");
        let mut targets = self.elements("DescribeScalableTargets", "ScalableTargets");
        Known::Yes(targets.any(|found| found.text("ResourceId") == Some(id.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answers(json: &Value) -> Answers {
        Answers::parse("facts.json".into(), &json.to_string()).unwrap()
    }

    #[test]
    fn a_queue_is_told_by_its_arn_or_alone() {
        let of = |arn: Option<&str>, visible: &str| {
            let attributes = json!({ "QueueArn": arn, "ApproximateNumberOfMessages": visible, "ApproximateNumberOfMessagesNotVisible": "1" });
            json!({ "Attributes": attributes })
        };
        let total = |json: Value, name| {
            let queue = answers(&json!({ "GetQueueAttributes": json })).queue(name, Timestamp::UNIX_EPOCH);
            queue.unwrap().map(|queue| queue.total())
        };
        assert_eq!(total(of(None, "4"), "jobs"), Some(5));
        let two = json!([
            of(Some("arn:aws:sqs:r:1:mail"), "2"),
            of(Some("arn:aws:sqs:r:1:jobs"), "7")
        ]);
        assert_eq!(total(two.clone(), "jobs"), Some(8));
        assert_eq!(total(two, "other"), None);
        let bad = answers(&json!({ "GetQueueAttributes": of(None, "many") }));
        let error = bad.queue("jobs", Timestamp::UNIX_EPOCH).unwrap_err().to_string();
        assert_eq!(
            error,
            "facts.json: GetQueueAttributes: `Attributes.ApproximateNumberOfMessages` is no count"
        );
    }

    #[test]
    fn the_newest_value_is_found_by_id_or_label() {
        let result = |id: &str, label: &str, value: f64| json!({ "Id": id, "Label": label, "Timestamps": ["2026-01-01T10:00:00Z", "2026-01-01T10:01:00Z"], "Values": [1.0, value] });
        let query: MetricQuery = serde_json::from_value(json!({ "id": "m1", "period": 60, "returned": true,
            "metric": { "namespace": "AWS/ECS", "name": "CPUUtilization", "stat": "Average" } }))
        .unwrap();
        for (results, expected) in [
            (
                json!([result("m1", "x", 5.0), result("m2", "CPUUtilization", 6.0)]),
                Some(5.0),
            ),
            (
                json!([result("q", "x", 5.0), result("m2", "CPUUtilization", 6.0)]),
                Some(6.0),
            ),
        ] {
            let answers = answers(&json!({ "GetMetricData": { "MetricDataResults": results } }));
            let Known::Yes(found) = answers.newest(std::slice::from_ref(&query)) else {
                panic!("{results}")
            };
            assert_eq!(found.map(|reading| reading.value), expected, "{results}");
        }
        let other = answers(&json!({ "GetMetricData": { "MetricDataResults": [result("q", "x", 5.0)] } }));
        assert_eq!(other.newest(std::slice::from_ref(&query)), Known::No);
        assert_eq!(answers(&json!({})).newest(std::slice::from_ref(&query)), Known::No);
    }
}
