//! What Application Auto Scaling moves.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wharfinger_core::ids::Target;

use super::Aws;
use crate::error::CloudError;
use crate::ports::Scalable;

/// The prefix of `X-Amz-Target` (botocore's service model of Application Auto Scaling).
const TARGET: &str = "AnyScaleFrontendService";

impl Scalable for Aws {
    async fn scalable_targets(&self, services: &[Target]) -> Result<BTreeSet<Target>, CloudError> {
        const OPERATION: &str = "DescribeScalableTargets";
        let call = async {
            let mut found = BTreeSet::new();
            for batch in services.chunks(50) {
                let ids: Vec<_> = batch.iter().map(|service| format!("service/{service}")).collect();
                let mut body = json!({
                    "ServiceNamespace": "ecs",
                    "ScalableDimension": "ecs:service:DesiredCount",
                    "ResourceIds": ids,
                });
                loop {
                    let page = self
                        .raw
                        .json("application-autoscaling", TARGET, OPERATION, &body)
                        .await?;
                    found.extend(
                        batch
                            .iter()
                            .zip(&ids)
                            .filter(|(_, id)| moves(&page, id))
                            .map(|(s, _)| s.clone()),
                    );
                    match page.get("NextToken").filter(|token| !token.is_null()) {
                        Some(token) => body["NextToken"] = token.clone(),
                        None => break,
                    }
                }
            }
            Ok(found)
        };
        self.within(OPERATION, call).await
    }
}

/// Whether the count of a service is moved: not while every kind of scaling is suspended.
fn moves(page: &Value, id: &str) -> bool {
    let targets = page.get("ScalableTargets").and_then(Value::as_array).map(Vec::as_slice);
    let named = |target: &&Value| target.get("ResourceId").and_then(Value::as_str) == Some(id);
    let suspended = |target: &Value| {
        let kinds = [
            "DynamicScalingInSuspended",
            "DynamicScalingOutSuspended",
            "ScheduledScalingSuspended",
        ];
        let is_set = |kind: &&str| {
            target
                .pointer(&format!("/SuspendedState/{kind}"))
                .and_then(Value::as_bool)
                == Some(true)
        };
        kinds.iter().all(is_set)
    };
    targets
        .unwrap_or_default()
        .iter()
        .filter(named)
        .any(|target| !suspended(target))
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;

    #[test]
    fn services_that_are_moved_are_answered() {
        let services = ["web", "api", "jobs"].map(|name| Target::service("prod", name));
        let suspended =
            r#"{"DynamicScalingInSuspended":true,"DynamicScalingOutSuspended":true,"ScheduledScalingSuspended":true}"#;
        let first = format!(
            r#"{{"ScalableTargets":[{{"ResourceId":"service/prod/web","MinCapacity":1}},
                {{"ResourceId":"service/prod/jobs","SuspendedState":{suspended}}}],"NextToken":"t"}}"#
        );
        let (found, asked) = replay(&[(200, &first), (200, r#"{"ScalableTargets":[]}"#)], async |aws| {
            aws.scalable_targets(&services).await
        });
        assert_eq!(found.unwrap(), BTreeSet::from([Target::service("prod", "web")]));
        let asked: Vec<_> = asked
            .iter()
            .map(|a| (a.host.as_str(), a.json()["NextToken"].clone()))
            .collect();
        assert_eq!(
            asked,
            [
                ("application-autoscaling", Value::Null),
                ("application-autoscaling", "t".into())
            ]
        );
    }
}
