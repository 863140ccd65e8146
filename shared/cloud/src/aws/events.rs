//! The default event bus of EventBridge.

use serde_json::{Number, Value, json};

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::{Bus, Notice, SOURCE};

/// The prefix of `X-Amz-Target` (botocore's service model of EventBridge).
pub(super) const TARGET: &str = "AWSEvents";

const OPERATION: &str = "PutEvents";

/// How many events one call takes (EventBridge API reference, `PutEvents`).
const AT_ONCE: usize = 10;

impl Bus for Aws {
    async fn put_events(&self, notices: &[Notice]) -> Result<(), CloudError> {
        for batch in notices.chunks(AT_ONCE) {
            let body = json!({ "Entries": batch.iter().map(entry).collect::<Vec<_>>() });
            let call = self.raw.json("events", TARGET, OPERATION, &body);
            all_taken(OPERATION, "Entries", &self.within(OPERATION, call).await?)?;
        }
        Ok(())
    }
}

fn entry(notice: &Notice) -> Value {
    json!({
        "Source": SOURCE,
        "DetailType": notice.detail_type,
        "Time": Number::from(notice.at.as_second()),
        "Resources": notice.resources,
        "Detail": notice.detail.to_string(),
    })
}

/// An answer that says of each entry whether it was taken: the first that was not is the error.
pub(super) fn all_taken(operation: &'static str, entries: &str, answer: &Value) -> Result<(), CloudError> {
    let failed = answer
        .get("FailedEntryCount")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    if failed == 0 {
        return Ok(());
    }
    let text = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).map(str::to_owned);
    let list = answer
        .get(entries)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let first = list
        .iter()
        .find_map(|entry| Some((text(entry, "ErrorCode")?, text(entry, "ErrorMessage"))));
    let (code, words) = first.unwrap_or_default();
    Err(CloudError {
        operation,
        // No code stands for the service itself.
        kind: match code.as_str() {
            "" | "InternalFailure" | "InternalException" => Kind::Unavailable,
            known => CloudError::classify(Some(known), Some(400)),
        },
        code: Some(code).filter(|code| !code.is_empty()),
        message: format!(
            "{failed} not taken: {}",
            words.unwrap_or_else(|| "no further words".into())
        ),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::replay::replay;
    use super::*;

    fn notice() -> Notice {
        Notice {
            detail_type: "Rollout Started".into(),
            at: Timestamp::from_second(7).unwrap(),
            resources: vec!["arn:1".into()],
            detail: json!({ "service": "prod/web" }),
        }
    }

    #[test]
    fn events_are_put_ten_at_a_time() {
        let taken = r#"{"FailedEntryCount":0,"Entries":[]}"#;
        let (made, asked) = replay(&[(200, taken), (200, taken)], async |aws| {
            aws.put_events(&vec![notice(); 11]).await
        });
        assert_eq!(made, Ok(()));
        let sizes: Vec<_> = asked
            .iter()
            .map(|a| a.json()["Entries"].as_array().unwrap().len())
            .collect();
        assert_eq!(
            (sizes, asked[0].target.as_deref()),
            (vec![10, 1], Some("AWSEvents.PutEvents"))
        );
        let expected = json!({
            "Source": "wharfinger", "DetailType": "Rollout Started", "Time": 7, "Resources": ["arn:1"],
            "Detail": r#"{"service":"prod/web"}"#,
        });
        assert_eq!(asked[1].json()["Entries"][0], expected);
    }

    #[test]
    fn one_that_is_not_taken_is_an_error() {
        for (code, kind) in [
            ("InternalFailure", Kind::Unavailable),
            ("ThrottlingException", Kind::Throttled),
            ("NotAuthorized", Kind::Denied),
            ("MalformedDetail", Kind::Invalid),
        ] {
            let entries = json!([{ "EventId": "1" }, { "ErrorCode": code, "ErrorMessage": "no" }]);
            let answer = json!({ "FailedEntryCount": 1, "Entries": entries }).to_string();
            let (made, _) = replay(&[(200, &answer)], async |aws| aws.put_events(&[notice()]).await);
            let error = made.unwrap_err();
            assert_eq!((error.kind, error.code.as_deref()), (kind, Some(code)));
        }
    }
}
