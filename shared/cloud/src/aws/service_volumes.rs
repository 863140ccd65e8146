//! What services say of the volumes of their tasks, by the raw client: a typed answer loses the fields that its SDK does
//! not know, and what is read here is sent back.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharfinger_core::ids::Target;

use super::Aws;
use super::deployments::REVISIONS_AT_ONCE;
use crate::error::{CloudError, Kind};
use crate::ports::ServiceVolumes;

/// The elements of a list in an answer.
fn list<'a>(of: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    of.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// The snapshots that `volumeConfigurations` of something names.
fn named(of: &Value) -> impl Iterator<Item = String> + use<'_> {
    let volumes = list(of, "volumeConfigurations");
    volumes.filter_map(|volume| {
        volume
            .pointer("/managedEBSVolume/snapshotId")?
            .as_str()
            .map(str::to_owned)
    })
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}

impl Aws {
    /// A service, as ECS answers it; `None` when it does not exist.
    async fn raw_service(&self, service: &Target) -> Result<Option<Value>, CloudError> {
        let body = json!({ "cluster": service.cluster, "services": [service.name] });
        match self.ask("DescribeServices", &body).await {
            Ok(mut answer) => Ok(answer.pointer_mut("/services/0").map(Value::take)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl ServiceVolumes for Aws {
    async fn volume_configurations(&self, service: &Target) -> Result<Option<Value>, CloudError> {
        let Some(service) = self.raw_service(service).await? else {
            return Ok(None);
        };
        let primary = list(&service, "deployments").find(|deployment| text(deployment, "status") == "PRIMARY");
        let configured = primary.and_then(|deployment| deployment.get("volumeConfigurations"));
        Ok(configured
            .filter(|list| list.as_array().is_some_and(|l| !l.is_empty()))
            .cloned())
    }

    async fn held_snapshots(&self, service: &Target) -> Result<BTreeMap<String, String>, CloudError> {
        let mut held = BTreeMap::new();
        let Some(service) = self.raw_service(service).await? else {
            return Ok(held);
        };
        let revisions = list(&service, "currentServiceRevisions");
        let revisions: Vec<_> = revisions.map(|revision| text(revision, "arn").to_owned()).collect();
        for some in revisions.chunks(REVISIONS_AT_ONCE) {
            let body = json!({ "serviceRevisionArns": some });
            let answer = self.ask("DescribeServiceRevisions", &body).await?;
            for revision in list(&answer, "serviceRevisions") {
                let why = format!("service revision {}", text(revision, "serviceRevisionArn"));
                held.extend(named(revision).map(|id| (id, why.clone())));
            }
        }
        for deployment in list(&service, "deployments") {
            let why = format!("deployment {} ({})", text(deployment, "id"), text(deployment, "status"));
            held.extend(named(deployment).map(|id| (id, why.clone())));
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;

    fn configured(snapshot: &str) -> Value {
        json!([
            { "name": "data", "managedEBSVolume": { "roleArn": "r", "snapshotId": snapshot, "new": [1] } },
            { "name": "more", "managedEBSVolume": { "roleArn": "r" } },
        ])
    }

    fn service() -> String {
        let deployment = |id: &str, status: &str, volumes: Value| json!({ "id": id, "status": status, "volumeConfigurations": volumes });
        json!({ "services": [{
            "deployments": [
                deployment("ecs-svc/1", "ACTIVE", configured("snap-1")),
                deployment("ecs-svc/2", "PRIMARY", configured("snap-2")),
            ],
            "currentServiceRevisions": [{ "arn": "r:1" }, { "arn": "r:2" }],
        }], "failures": [] })
        .to_string()
    }

    #[test]
    fn the_configuration_of_the_primary_deployment_is_answered_as_it_is() {
        let target = Target::service("prod", "db");
        let ask = async |aws: &Aws| aws.volume_configurations(&target).await;
        let (found, asked) = replay(&[(200, &service())], ask);
        assert_eq!(found, Ok(Some(configured("snap-2"))));
        assert_eq!(asked[0].json(), json!({ "cluster": "prod", "services": ["db"] }));
        for nothing in [
            json!({ "services": [], "failures": [{ "reason": "MISSING" }] }),
            json!({ "services": [{ "deployments": [{ "status": "PRIMARY" }] }] }),
            json!({ "services": [{ "deployments": [{ "status": "PRIMARY", "volumeConfigurations": [] }] }] }),
        ] {
            assert_eq!(replay(&[(200, &nothing.to_string())], ask).0, Ok(None), "{nothing}");
        }
        let no_cluster = r#"{"__type":"ClusterNotFoundException","message":"no"}"#;
        assert_eq!(replay(&[(400, no_cluster)], ask).0, Ok(None));
        let denied = r#"{"__type":"AccessDeniedException","message":"no"}"#;
        assert_eq!(replay(&[(400, denied)], ask).0.unwrap_err().kind, Kind::Denied);
    }

    #[test]
    fn what_deployments_and_revisions_name_is_held() {
        let target = Target::service("prod", "db");
        let ask = async |aws: &Aws| aws.held_snapshots(&target).await;
        let revision = |arn: &str, snapshot: &str| json!({ "serviceRevisionArn": arn, "volumeConfigurations": configured(snapshot) });
        let revisions = json!({ "serviceRevisions": [revision("r:1", "snap-1"), revision("r:2", "snap-3")] });
        let (found, asked) = replay(&[(200, &service()), (200, &revisions.to_string())], ask);
        let expected = [
            ("snap-1", "deployment ecs-svc/1 (ACTIVE)"),
            ("snap-2", "deployment ecs-svc/2 (PRIMARY)"),
            ("snap-3", "service revision r:2"),
        ];
        assert_eq!(
            found,
            Ok(expected.map(|(id, why)| (id.to_owned(), why.to_owned())).into())
        );
        assert_eq!(asked[1].json(), json!({ "serviceRevisionArns": ["r:1", "r:2"] }));
        let gone = json!({ "services": [] }).to_string();
        let (found, asked) = replay(&[(200, &gone)], ask);
        assert_eq!((found, asked.len()), (Ok(BTreeMap::new()), 1));
    }
}
