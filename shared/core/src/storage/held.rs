//! What of ECS refers to snapshots: a service starts every new task from the one that its volume configurations name.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::event::text;

/// The snapshots from which the deployments of a service start tasks, and which does: `DescribeServices`, one service.
#[must_use]
pub fn held_by_service(service: &Value) -> BTreeMap<String, String> {
    let deployments = list(service, "deployments").iter().flat_map(|deployment| {
        let id = text(deployment, "id").unwrap_or("a deployment");
        held(deployment, format!("{id} starts tasks from it"))
    });
    deployments.collect()
}

/// `volumeConfigurations` of a service's PRIMARY deployment, raw, as `UpdateService` takes it: `DescribeServices`, one
/// service. `None` when it has none.
#[must_use]
pub fn volume_configurations(service: &Value) -> Option<&Value> {
    let mut deployments = list(service, "deployments").iter();
    let primary = deployments.find(|deployment| text(deployment, "status") == Some("PRIMARY"))?;
    let configured = primary.get("volumeConfigurations")?;
    configured
        .as_array()
        .is_some_and(|all| !all.is_empty())
        .then_some(configured)
}

/// The snapshots from which a service revision starts tasks, should the service go back to it: `DescribeServiceRevisions`,
/// one revision.
#[must_use]
pub fn held_by_revision(revision: &Value) -> BTreeMap<String, String> {
    let arn = text(revision, "serviceRevisionArn").unwrap_or_default();
    let id = arn.rsplit('/').next().unwrap_or_default();
    held(revision, format!("service revision {id} starts tasks from it")).collect()
}

/// The snapshots of `volumeConfigurations` (ECS API reference, `ServiceVolumeConfiguration`).
fn held(of: &Value, why: String) -> impl Iterator<Item = (String, String)> {
    let configurations = list(of, "volumeConfigurations").iter();
    let snapshots = configurations.filter_map(|one| text(one.get("managedEBSVolume")?, "snapshotId"));
    snapshots.map(move |id| (id.to_owned(), why.clone()))
}

fn list<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    let list = of.get(field).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn snapshots_are_found_in_deployments_and_revisions() {
        let volumes = |ids: &[&str]| {
            let volume =
                |id: &&str| json!({ "name": "data", "managedEBSVolume": { "roleArn": "r", "snapshotId": id } });
            ids.iter().map(volume).collect::<Vec<_>>()
        };
        let service = json!({ "deployments": [
            { "id": "ecs-svc/2", "volumeConfigurations": volumes(&["snap-2"]) },
            { "id": "ecs-svc/1", "volumeConfigurations": [{ "name": "x", "managedEBSVolume": { "sizeInGiB": 5 } }, { "name": "y" }] },
            { "id": "ecs-svc/0" },
        ] });
        let expected = ("snap-2".to_owned(), "ecs-svc/2 starts tasks from it".to_owned());
        assert_eq!(held_by_service(&service), BTreeMap::from([expected]));
        let revision = json!({
            "serviceRevisionArn": "arn:aws:ecs:eu-west-1:1:service-revision/prod/db/77",
            "volumeConfigurations": volumes(&["snap-1", "snap-3"]),
        });
        let held = held_by_revision(&revision);
        assert_eq!(held.keys().collect::<Vec<_>>(), ["snap-1", "snap-3"]);
        assert_eq!(held["snap-1"], "service revision 77 starts tasks from it");
        assert_eq!(held_by_service(&json!({})), BTreeMap::new());
    }
}
