//! AWS Lambda: functions are invoked by the command.

use serde_json::Value;

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::{Answered, Functions};

impl Functions for Aws {
    async fn invoke(&self, function: &str, event: &Value) -> Result<Answered, CloudError> {
        let (body, failed) = self.raw.invoke(function, event).await?;
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|error| CloudError::new("Invoke", Kind::Unreadable, error.to_string()))?;
        if !failed {
            return Ok(Answered::Done(answer));
        }
        let text = |field: &str| answer.get(field).and_then(Value::as_str).map(str::to_owned);
        Ok(Answered::Failed {
            kind: text("errorType").unwrap_or_default(),
            message: text("errorMessage").unwrap_or_else(|| answer.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::replay::replay;
    use super::*;

    #[test]
    fn a_function_is_invoked_and_its_answer_waited_for() {
        let (made, asked) = replay(&[(200, r#"{"tasks":3}"#)], async |aws| {
            aws.invoke("shop-Discovery", &json!({ "detail": {} })).await
        });
        assert_eq!(made, Ok(Answered::Done(json!({ "tasks": 3 }))));
        assert_eq!(
            (asked[0].host.as_str(), asked[0].json()),
            ("lambda", json!({ "detail": {} }))
        );
        assert_eq!(asked[0].path, "/2015-03-31/functions/shop-Discovery/invocations");
    }

    #[test]
    fn an_arn_is_one_segment_of_the_path() {
        let arn = "arn:aws:lambda:eu-west-1:1:function:f";
        let (_, asked) = replay(&[(200, "null")], async |aws| aws.invoke(arn, &Value::Null).await);
        assert_eq!(
            asked[0].path,
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Af/invocations"
        );
    }

    #[test]
    fn the_error_of_a_function_is_told_apart_from_a_refusal() {
        let answer = r#"{"errorType":"Partly","errorMessage":"1 of 2 parts of the sweep failed"}"#;
        let (made, _) = replay(&[(299, answer)], async |aws| aws.invoke("f", &Value::Null).await);
        let failed = Answered::Failed {
            kind: "Partly".into(),
            message: "1 of 2 parts of the sweep failed".into(),
        };
        assert_eq!(made, Ok(failed));
        let refusal = r#"{"Type":"User","Message":"Function not found: f"}"#;
        let (made, _) = replay(&[(404, refusal)], async |aws| aws.invoke("f", &Value::Null).await);
        let error = made.unwrap_err();
        assert_eq!((error.operation, error.kind), ("Invoke", Kind::NotFound));
        assert_eq!(error.message, "Function not found: f");
    }
}
