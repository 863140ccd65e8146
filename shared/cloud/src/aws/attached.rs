//! Where ECS itself registers the tasks of services.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharfinger_core::service::Attached;

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::Attachments;

/// The prefix of `X-Amz-Target` (botocore's service model of ECS).
const TARGET: &str = "AmazonEC2ContainerServiceV20141113";

impl Attachments for Aws {
    async fn attached(&self, cluster: &str, names: &[String]) -> Result<BTreeMap<String, Attached>, CloudError> {
        const OPERATION: &str = "DescribeServices";
        let call = async {
            let mut found = BTreeMap::new();
            for batch in names.chunks(10) {
                let body = json!({ "cluster": cluster, "services": batch });
                match self.raw.json("ecs", TARGET, OPERATION, &body).await {
                    Ok(answer) => found.extend(services(&answer)),
                    // A cluster that is not made yet has no services.
                    Err(error) if error.kind == Kind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        };
        self.within(OPERATION, call).await
    }
}

/// Services that are there: an INACTIVE one keeps what it was made with.
fn services(answer: &Value) -> Vec<(String, Attached)> {
    let services = answer.get("services").and_then(Value::as_array).map(Vec::as_slice);
    let text = |service: &Value, field: &str| service.get(field).and_then(Value::as_str).map(str::to_owned);
    let there = |service: &&Value| text(service, "status").as_deref() != Some("INACTIVE");
    let named = |service: &Value| Some((text(service, "serviceName")?, Attached::parse(service)));
    services
        .unwrap_or_default()
        .iter()
        .filter(there)
        .filter_map(named)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;

    #[test]
    fn services_that_are_there_are_answered_with_what_ecs_registers_them_in() {
        let answer = json!({ "services": [
            { "serviceName": "web", "status": "ACTIVE", "loadBalancers": [{ "targetGroupArn": "g" }] },
            { "serviceName": "old", "status": "INACTIVE", "loadBalancers": [{ "targetGroupArn": "g" }] },
        ], "failures": [{ "arn": "api", "reason": "MISSING" }] });
        let names = ["web", "old", "api"].map(str::to_owned);
        let (made, asked) = replay(&[(200, &answer.to_string())], async |aws| {
            aws.attached("prod", &names).await
        });
        let made = made.unwrap();
        assert_eq!(made.keys().collect::<Vec<_>>(), ["web"]);
        assert!(made["web"].target_groups.contains("g"));
        assert_eq!(
            asked[0].target.as_deref(),
            Some("AmazonEC2ContainerServiceV20141113.DescribeServices")
        );
        assert_eq!(asked[0].json(), json!({ "cluster": "prod", "services": names }));
    }

    #[test]
    fn a_cluster_that_is_not_there_has_no_services() {
        let refusal = r#"{"__type":"ClusterNotFoundException","message":"no"}"#;
        let names = ["web".to_owned()];
        let (made, _) = replay(&[(400, refusal)], async |aws| aws.attached("prod", &names).await);
        assert_eq!(made, Ok(BTreeMap::new()));
    }
}
