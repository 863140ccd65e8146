//! Deployments of ECS services, by the raw client.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_core::ids::Target;

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::{Deployments, Stopping};

/// The prefix of `X-Amz-Target` (botocore's service model of ECS).
const TARGET: &str = "AmazonEC2ContainerServiceV20141113";

/// How many revisions `DescribeServiceRevisions` takes (ECS API reference).
pub(super) const REVISIONS_AT_ONCE: usize = 20;

impl Deployments for Aws {
    async fn stop_service_deployment(&self, arn: &str) -> Result<Stopping, CloudError> {
        let body = json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" });
        match self.ask("StopServiceDeployment", &body).await {
            Ok(_) => Ok(Stopping::Asked),
            // A missing right may be given, and then it works.
            Err(error) if error.is_transient() || error.kind == Kind::Denied => Err(error),
            Err(error) => Ok(Stopping::Refused(error.to_string())),
        }
    }

    async fn sent_to(&self, service: &Target, since: Timestamp) -> Result<Vec<String>, CloudError> {
        let mut revisions = BTreeSet::new();
        let mut token = None::<String>;
        loop {
            let after = json!({ "after": since.as_second() });
            let mut body = json!({ "cluster": service.cluster, "service": service.name, "createdAt": after });
            if let Some(token) = token {
                body["nextToken"] = token.into();
            }
            let answer = self.ask("ListServiceDeployments", &body).await?;
            revisions.extend(texts(&answer, "serviceDeployments", "targetServiceRevisionArn"));
            token = answer.get("nextToken").and_then(Value::as_str).map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        let revisions: Vec<_> = revisions.into_iter().collect();
        let mut found = Vec::new();
        for some in revisions.chunks(REVISIONS_AT_ONCE) {
            let body = json!({ "serviceRevisionArns": some });
            let answer = self.ask("DescribeServiceRevisions", &body).await?;
            found.extend(texts(&answer, "serviceRevisions", "taskDefinition"));
        }
        Ok(found)
    }
}

impl Aws {
    /// A call to ECS by the raw client.
    pub(super) async fn ask(&self, operation: &'static str, body: &Value) -> Result<Value, CloudError> {
        self.within(operation, self.raw.json("ecs", TARGET, operation, body))
            .await
    }
}

/// A member of each element of a list.
fn texts(answer: &Value, list: &str, member: &str) -> Vec<String> {
    let list = answer.get(list).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(|one| one.get(member)?.as_str());
    texts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;

    #[test]
    fn what_never_works_is_told_apart_from_what_may() {
        let stop = |status, answer: &str| {
            replay(&[(status, answer)], async |aws| {
                aws.stop_service_deployment("arn:1").await
            })
        };
        let (made, asked) = stop(200, r#"{"serviceDeploymentArn":"arn:1"}"#);
        assert_eq!(made, Ok(Stopping::Asked));
        assert_eq!(
            asked[0].target.as_deref(),
            Some("AmazonEC2ContainerServiceV20141113.StopServiceDeployment")
        );
        assert_eq!(
            asked[0].json(),
            json!({ "serviceDeploymentArn": "arn:1", "stopType": "ROLLBACK" })
        );
        let code = |code: &str| format!(r#"{{"__type":"{code}","message":"no"}}"#);
        for refused in [
            "ServiceDeploymentNotFoundException",
            "ConflictException",
            "InvalidParameterException",
            "UnsupportedFeatureException",
        ] {
            let (made, _) = stop(400, &code(refused));
            assert!(
                matches!(&made, Ok(Stopping::Refused(words)) if words.contains(refused)),
                "{made:?}"
            );
        }
        for (passing, status, kind) in [
            ("ThrottlingException", 400, Kind::Throttled),
            ("ServerException", 500, Kind::Unavailable),
            ("AccessDeniedException", 400, Kind::Denied),
        ] {
            assert_eq!(stop(status, &code(passing)).0.unwrap_err().kind, kind, "{passing}");
        }
    }

    #[test]
    fn what_a_service_was_sent_to_is_told_by_the_revisions_of_its_deployments() {
        let listed = |revisions: &[&str], token: &str| {
            let one = |arn: &&str| format!(r#"{{"status":"ROLLBACK_SUCCESSFUL","targetServiceRevisionArn":"{arn}"}}"#);
            let all: Vec<_> = revisions.iter().map(one).collect();
            format!(r#"{{"serviceDeployments":[{}]{token}}}"#, all.join(","))
        };
        let (first, last) = (listed(&["r:2", "r:1"], r#","nextToken":"more""#), listed(&["r:2"], ""));
        let described = r#"{"serviceRevisions":[{"taskDefinition":"web:8"},{"taskDefinition":"web:7"}],"failures":[]}"#;
        let since = Timestamp::from_second(1_760_000_000).unwrap();
        let ask = async |aws: &Aws| aws.sent_to(&Target::service("prod", "web"), since).await;
        let (found, asked) = replay(&[(200, &first), (200, &last), (200, described)], ask);
        assert_eq!(found.unwrap(), ["web:8", "web:7"]);
        let operations: Vec<_> = asked.iter().map(|call| call.target.clone().unwrap()).collect();
        let prefixed = |operation: &str| format!("{TARGET}.{operation}");
        assert_eq!(
            operations,
            [
                prefixed("ListServiceDeployments"),
                prefixed("ListServiceDeployments"),
                prefixed("DescribeServiceRevisions")
            ]
        );
        let page = json!({ "cluster": "prod", "service": "web", "createdAt": { "after": 1_760_000_000 } });
        assert_eq!(asked[0].json(), page);
        assert_eq!(asked[1].json()["nextToken"], "more");
        assert_eq!(asked[2].json(), json!({ "serviceRevisionArns": ["r:1", "r:2"] }));
        // Nothing was deployed: nothing more is asked.
        let (found, asked) = replay(&[(200, &listed(&[], ""))], ask);
        assert_eq!((found.unwrap(), asked.len()), (vec![], 1));
        let denied = r#"{"__type":"AccessDeniedException","message":"no"}"#;
        assert_eq!(replay(&[(400, denied)], ask).0.unwrap_err().kind, Kind::Denied);
    }
}
