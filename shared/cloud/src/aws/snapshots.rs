//! Amazon EC2: snapshots and volumes.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::DesiredStatus;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use wharfinger_core::event::TaskStatus;
use wharfinger_core::storage::{CreateSnapshot, MANAGED_TAG, Snapshot, Volume};

use super::ec2::{HOST, Items, VERSION, said};
use super::{Aws, ecs, form};
use crate::error::{CloudError, Kind};
use crate::ports::{Removed, Snapped, Snapshots, Tasks, Volumes};

const DESCRIBE_SNAPSHOTS: &str = "DescribeSnapshots";
const CREATE_SNAPSHOT: &str = "CreateSnapshot";
const DESCRIBE_VOLUMES: &str = "DescribeVolumes";

/// That EC2 takes no snapshot of the volume now, though it may in a while (EC2 API reference, error codes): too many are
/// pending, the last one is less than seconds old, or the volume is on its way to another state.
const LATER: [&str; 4] = [
    "SnapshotCreationPerVolumeRateExceeded",
    "ConcurrentSnapshotLimitExceeded",
    "PendingSnapshotLimitExceeded",
    "IncorrectState",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeSnapshotsResponse {
    #[serde(default)]
    snapshot_set: Items<SnapshotItem>,
    next_token: Option<String>,
}

/// A snapshot of `DescribeSnapshots`, and the answer of `CreateSnapshot`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotItem {
    snapshot_id: Option<String>,
    volume_id: Option<String>,
    status: Option<String>,
    status_message: Option<String>,
    storage_tier: Option<String>,
    start_time: Option<String>,
    volume_size: Option<String>,
    #[serde(default)]
    tag_set: Items<Tag>,
}

#[derive(Debug, Default, Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeVolumesResponse {
    #[serde(default)]
    volume_set: Items<VolumeItem>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeItem {
    volume_id: Option<String>,
    status: Option<String>,
    create_time: Option<String>,
    size: Option<String>,
    #[serde(default)]
    tag_set: Items<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeSnapshotAttributeResponse {
    #[serde(default)]
    create_volume_permission: Items<Permission>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permission {
    user_id: Option<String>,
    group: Option<String>,
}

/// A number, as the API's JSON would have it.
fn number(text: Option<String>) -> Option<u64> {
    text?.parse().ok()
}

fn tags(set: Items<Tag>) -> Vec<Value> {
    let tags = set.item.into_iter();
    tags.map(|tag| json!({ "Key": tag.key, "Value": tag.value })).collect()
}

impl SnapshotItem {
    fn read(self, operation: &'static str) -> Result<Snapshot, CloudError> {
        let snapshot = json!({
            "SnapshotId": said(self.snapshot_id),
            "VolumeId": said(self.volume_id),
            "State": said(self.status),
            "StateMessage": said(self.status_message),
            "StorageTier": said(self.storage_tier),
            "StartTime": said(self.start_time),
            "VolumeSize": number(self.volume_size),
            "Tags": tags(self.tag_set),
        });
        Snapshot::parse(&snapshot).ok_or_else(|| {
            let message = format!("a snapshot without an id or a time: {snapshot}");
            CloudError::new(operation, Kind::Unreadable, message)
        })
    }
}

impl VolumeItem {
    fn read(self) -> Result<Volume, CloudError> {
        let volume = json!({
            "VolumeId": said(self.volume_id),
            "State": said(self.status),
            "CreateTime": said(self.create_time),
            "Size": number(self.size),
            "Tags": tags(self.tag_set),
        });
        Volume::parse(&volume).ok_or_else(|| {
            let message = format!("a volume without an id, a state or a time: {volume}");
            CloudError::new("DescribeVolumes", Kind::Unreadable, message)
        })
    }
}

/// The request of `CreateSnapshot` as a form.
fn request_form(request: &CreateSnapshot) -> Vec<(String, String)> {
    let mut parameters = vec![
        form::pair("VolumeId", &request.volume_id),
        form::pair("Description", request.description()),
        form::pair("TagSpecification.1.ResourceType", "snapshot"),
    ];
    for (i, (key, value)) in request.tags.iter().enumerate() {
        let tag = format!("TagSpecification.1.Tag.{}", i + 1);
        parameters.push(form::pair(format!("{tag}.Key"), key));
        parameters.push(form::pair(format!("{tag}.Value"), value));
    }
    parameters
}

impl Aws {
    async fn snapshots_by(&self, filter: &str, values: &[String]) -> Result<Vec<Snapshot>, CloudError> {
        let next = |page: &mut DescribeSnapshotsResponse| page.next_token.take();
        let owner = [form::pair("Owner.1", "self")];
        let call = self.ec2_filtered(DESCRIBE_SNAPSHOTS, (filter, values), &owner, next);
        let pages = self.within(DESCRIBE_SNAPSHOTS, call).await?.into_iter();
        let snapshots = pages.flat_map(|page| page.snapshot_set.item);
        snapshots.map(|item| item.read(DESCRIBE_SNAPSHOTS)).collect()
    }

    async fn remove(
        &self,
        operation: &'static str,
        (parameter, id): (&str, &str),
        in_use: &str,
    ) -> Result<Removed, CloudError> {
        let parameters = [form::pair(parameter, id)];
        let call = self.raw.query::<IgnoredAny>(HOST, VERSION, operation, &parameters);
        match self.within(operation, call).await {
            Ok(_) => Ok(Removed::Done),
            Err(error) if error.kind == Kind::NotFound => Ok(Removed::Done),
            Err(error) if error.code.as_deref() == Some(in_use) => Ok(Removed::InUse(error.message)),
            Err(error) => Err(error),
        }
    }
}

impl Snapshots for Aws {
    async fn snapshots_tagged(&self, tag: &str, value: &str) -> Result<Vec<Snapshot>, CloudError> {
        self.snapshots_by(&format!("tag:{tag}"), &[value.to_owned()]).await
    }

    async fn snapshots(&self, ids: &[String]) -> Result<Vec<Snapshot>, CloudError> {
        self.snapshots_by("snapshot-id", ids).await
    }

    async fn create_snapshot(&self, request: &CreateSnapshot) -> Result<Snapped, CloudError> {
        let parameters = request_form(request);
        let call = self
            .raw
            .query_once::<SnapshotItem>(HOST, VERSION, CREATE_SNAPSHOT, &parameters);
        match self.within(CREATE_SNAPSHOT, call).await {
            Ok(made) => Ok(Snapped::Made(made.read(CREATE_SNAPSHOT)?)),
            Err(error) if error.kind == Kind::NotFound => Ok(Snapped::NoVolume),
            Err(error) if LATER.iter().any(|code| error.code.as_deref() == Some(code)) => {
                Ok(Snapped::Later(error.message))
            }
            Err(error) => Err(error),
        }
    }

    async fn delete_snapshot(&self, id: &str) -> Result<Removed, CloudError> {
        self.remove("DeleteSnapshot", ("SnapshotId", id), "InvalidSnapshot.InUse")
            .await
    }

    async fn shared_with(&self, id: &str) -> Result<Vec<String>, CloudError> {
        const OPERATION: &str = "DescribeSnapshotAttribute";
        let parameters = [
            form::pair("SnapshotId", id),
            form::pair("Attribute", "createVolumePermission"),
        ];
        let call = self
            .raw
            .query::<DescribeSnapshotAttributeResponse>(HOST, VERSION, OPERATION, &parameters);
        match self.within(OPERATION, call).await {
            Ok(answer) => {
                let permissions = answer.create_volume_permission.item.into_iter();
                Ok(permissions.filter_map(|p| said(p.user_id).or(said(p.group))).collect())
            }
            // What does not exist any more is nobody's.
            Err(error) if error.kind == Kind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl Volumes for Aws {
    async fn volumes_tagged(&self, tag: &str, value: &str) -> Result<Vec<Volume>, CloudError> {
        let parameters = [
            form::pair("Filter.1.Name", format!("tag:{tag}")),
            form::pair("Filter.1.Value.1", value),
        ];
        let next = |page: &mut DescribeVolumesResponse| page.next_token.take();
        let call = self.ec2_pages(DESCRIBE_VOLUMES, &parameters, next);
        let pages = self.within(DESCRIBE_VOLUMES, call).await?.into_iter();
        pages
            .flat_map(|page| page.volume_set.item)
            .map(VolumeItem::read)
            .collect()
    }

    async fn available_volumes(&self) -> Result<Vec<Volume>, CloudError> {
        const OPERATION: &str = "DescribeVolumes";
        let parameters = [
            form::pair("Filter.1.Name", "tag-key"),
            form::pair("Filter.1.Value.1", MANAGED_TAG),
            form::pair("Filter.2.Name", "status"),
            form::pair("Filter.2.Value.1", "available"),
        ];
        let next = |page: &mut DescribeVolumesResponse| page.next_token.take();
        let call = self.ec2_pages(OPERATION, &parameters, next);
        let pages = self.within(OPERATION, call).await?.into_iter();
        pages
            .flat_map(|page| page.volume_set.item)
            .map(VolumeItem::read)
            .collect()
    }

    async fn named_volumes(&self, cluster: &str) -> Result<BTreeMap<String, String>, CloudError> {
        let mut tasks = Vec::new();
        for status in [DesiredStatus::Running, DesiredStatus::Stopped] {
            let request = self.ecs.list_tasks().cluster(cluster).desired_status(status);
            tasks.extend(self.within("ListTasks", ecs::task_arns(request)).await?);
        }
        tasks.sort_unstable();
        tasks.dedup();
        let described = self.describe_tasks(cluster, &tasks).await?;
        // What is not known to be named may be, and goes if it is taken for free.
        let answered = described.tasks.len() + described.missing.len();
        if answered < tasks.len() {
            let why = format!("the answer tells of {answered} tasks of {}", tasks.len());
            return Err(CloudError::new("DescribeTasks", Kind::Unreadable, why));
        }
        let named = described
            .tasks
            .iter()
            .filter(|task| task.last_status != TaskStatus::Stopped)
            .flat_map(|task| {
                let id = task.task_arn.id();
                task.volumes
                    .iter()
                    .map(|volume| (volume.volume_id.clone(), id.to_owned()))
            });
        Ok(named.collect())
    }

    async fn delete_volume(&self, id: &str) -> Result<Removed, CloudError> {
        self.remove("DeleteVolume", ("VolumeId", id), "VolumeInUse").await
    }
}

#[cfg(test)]
mod tests;
