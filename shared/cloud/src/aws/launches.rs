//! Standalone tasks of ECS, by the raw client: what is asked for is a request as people write it, and a typed one loses the
//! fields that its SDK does not know.

use serde_json::Value;

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::{Launches, Ran};

const RUN_TASK: &str = "RunTask";

/// The prefix of `X-Amz-Target` (botocore's service model of ECS).
const TARGET: &str = "AmazonEC2ContainerServiceV20141113";

/// That the token was used for another request (ECS API reference, `RunTask`).
const CONFLICT: &str = "ConflictException";

/// Why a task was not placed, in words.
fn failure(failure: &Value) -> String {
    let text = |field: &str| failure.get(field).and_then(Value::as_str);
    let reason = text("reason").unwrap_or("no reason was given");
    let more: Vec<_> = [text("arn"), text("detail")].into_iter().flatten().collect();
    if more.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason} ({})", more.join(": "))
    }
}

/// What an answer says: a task, or why there is none.
fn read(answer: &Value) -> Result<Ran, CloudError> {
    let started = answer.pointer("/tasks/0/taskArn").and_then(Value::as_str);
    if let Some(arn) = started {
        return Ok(Ran::Started(arn.to_owned()));
    }
    let failures = answer.get("failures").and_then(Value::as_array);
    if let Some(failures @ [_, ..]) = failures.map(Vec::as_slice) {
        let words: Vec<_> = failures.iter().map(failure).collect();
        return Ok(Ran::Refused(words.join("; ")));
    }
    let message = "the answer names neither a task nor a failure";
    Err(CloudError::new(RUN_TASK, Kind::Unreadable, message))
}

impl Launches for Aws {
    /// It is sent once, so that a refusal is one of the whole request, and not of a second attempt after a first that was
    /// taken.
    async fn run_task(&self, input: &Value) -> Result<Ran, CloudError> {
        let call = self.raw.json_once("ecs", TARGET, RUN_TASK, input);
        match self.within(RUN_TASK, call).await {
            Ok(answer) => read(&answer),
            Err(error) if error.code.as_deref() == Some(CONFLICT) => Ok(Ran::Conflict),
            // `ClientException`, `InvalidParameterException`, `ClusterNotFoundException` and their like: nothing was begun.
            Err(error) if matches!(error.kind, Kind::Invalid | Kind::NotFound) => Ok(Ran::Refused(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::replay::{replay, replay_with};
    use super::*;

    fn run(status: u16, answer: &str) -> Result<Ran, CloudError> {
        let input = json!({ "taskDefinition": "db", "clientToken": "t" });
        replay(&[(status, answer)], async |aws| aws.run_task(&input).await).0
    }

    #[test]
    fn a_task_is_asked_for_as_it_is_given_and_once() {
        let input = json!({ "cluster": "prod", "taskDefinition": "db", "clientToken": "t", "new": [1] });
        let answer = r#"{"tasks":[{"taskArn":"arn:1","lastStatus":"PROVISIONING"}],"failures":[]}"#;
        let (ran, asked) = replay(&[(200, answer)], async |aws| aws.run_task(&input).await);
        assert_eq!(ran, Ok(Ran::Started("arn:1".to_owned())));
        assert_eq!(asked[0].json(), input);
        let target = format!("{TARGET}.RunTask");
        assert_eq!(
            (asked[0].host.as_str(), asked[0].target.as_deref()),
            ("ecs", Some(target.as_str()))
        );
        let retries = aws_config::retry::RetryConfig::standard();
        let failed = r#"{"__type":"ServerException","message":"no"}"#;
        let (ran, asked) = replay_with(retries, &[(500, failed), (200, answer)], async |aws| {
            aws.run_task(&input).await
        });
        assert_eq!((ran.unwrap_err().kind, asked.len()), (Kind::Unavailable, 1));
    }

    #[test]
    fn what_was_not_started_is_told_apart_from_what_may_have_been() {
        let failures = json!({ "tasks": [], "failures": [
            { "arn": "arn:host", "reason": "RESOURCE:MEMORY" }, { "reason": "AGENT", "detail": "gone" },
        ] });
        let refused = |words: &str| Ok(Ran::Refused(words.to_owned()));
        assert_eq!(
            run(200, &failures.to_string()),
            refused("RESOURCE:MEMORY (arn:host); AGENT (gone)")
        );
        // A repeat shows a task that has stopped as one that was started.
        let stopped = r#"{"tasks":[{"taskArn":"arn:1","lastStatus":"STOPPED"}],"failures":[{"reason":"RESOURCE"}]}"#;
        assert_eq!(run(200, stopped), Ok(Ran::Started("arn:1".to_owned())));
        assert_eq!(
            run(200, r#"{"tasks":[],"failures":[]}"#).unwrap_err().kind,
            Kind::Unreadable
        );
        let code = |code: &str| format!(r#"{{"__type":"{code}","message":"the words"}}"#);
        for never in [
            "ClientException",
            "InvalidParameterException",
            "ClusterNotFoundException",
            "UnsupportedFeatureException",
            "PlatformUnknownException",
            "PlatformTaskDefinitionIncompatibilityException",
            "BlockedException",
        ] {
            let ran = run(400, &code(never));
            let is_told =
                matches!(&ran, Ok(Ran::Refused(words)) if words.contains(never) && words.contains("the words"));
            assert!(is_told, "{ran:?}");
        }
        assert_eq!(run(400, &code("ConflictException")), Ok(Ran::Conflict));
        for (passing, status, kind) in [
            ("ThrottlingException", 400, Kind::Throttled),
            ("ServerException", 500, Kind::Unavailable),
            ("AccessDeniedException", 400, Kind::Denied),
        ] {
            assert_eq!(run(status, &code(passing)).unwrap_err().kind, kind, "{passing}");
        }
    }
}
