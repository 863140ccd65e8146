//! What services say of the volumes of their tasks, by the raw client: a typed answer loses the fields that its SDK does
//! not know, and what is read here is sent back.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharfinger_core::ids::Target;
use wharfinger_core::storage::{held_by_revision, held_by_service, volume_configurations};

use super::Aws;
use super::deployments::REVISIONS_AT_ONCE;
use crate::error::{CloudError, Kind};
use crate::ports::ServiceVolumes;

const REVISIONS: &str = "DescribeServiceRevisions";

/// The elements of a list in an answer.
fn list<'a>(of: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    of.get(field).and_then(Value::as_array).into_iter().flatten()
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
        Ok(volume_configurations(&service).cloned())
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
            let answer = self.ask(REVISIONS, &body).await?;
            let is_unanswered =
                |arn: &&String| !list(&answer, "serviceRevisions").any(|r| text(r, "serviceRevisionArn") == **arn);
            // What is not known to be held may be, and goes if it is taken for free.
            if let Some(unanswered) = some.iter().find(is_unanswered) {
                let why = format!("the answer does not tell of {unanswered}, which the service has now");
                return Err(CloudError::new(REVISIONS, Kind::Unreadable, why));
            }
            held.extend(list(&answer, "serviceRevisions").flat_map(held_by_revision));
        }
        held.extend(held_by_service(&service));
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
            ("snap-1", "ecs-svc/1 starts tasks from it"),
            ("snap-2", "ecs-svc/2 starts tasks from it"),
            ("snap-3", "service revision r:2 starts tasks from it"),
        ];
        assert_eq!(
            found,
            Ok(expected.map(|(id, why)| (id.to_owned(), why.to_owned())).into())
        );
        assert_eq!(asked[1].json(), json!({ "serviceRevisionArns": ["r:1", "r:2"] }));
        // One that is not answered may hold what would go.
        let failed = json!({ "serviceRevisions": [revision("r:1", "snap-1")], "failures": [{ "arn": "r:2" }] });
        let (found, _) = replay(&[(200, &service()), (200, &failed.to_string())], ask);
        let error = found.unwrap_err();
        assert!(
            error.kind == Kind::Unreadable && error.message.contains("r:2"),
            "{error}"
        );
        let gone = json!({ "services": [] }).to_string();
        let (found, asked) = replay(&[(200, &gone)], ask);
        assert_eq!((found, asked.len()), (Ok(BTreeMap::new()), 1));
    }
}
