//! Volumes: those of tasks, as ECS tells of them, and those of the account, as `DescribeVolumes` answers them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lineage::{AT_TAG, LINEAGE_TAG, Lineage, OWNER_TAG};
use super::snapshot::tags;
use crate::event::{text, time_from_json};

/// The tag that ECS gives each volume that it makes (ECS developer guide, "Use Amazon EBS volumes with Amazon ECS").
pub const MANAGED_TAG: &str = "AmazonECSManaged";
/// The tag with the cluster, which ECS adds where `enableECSManagedTags` is set (the same, "Tag Amazon EBS volumes").
pub const CLUSTER_NAME_TAG: &str = "aws:ecs:clusterName";
/// The tag with the service, likewise.
pub const SERVICE_NAME_TAG: &str = "aws:ecs:serviceName";

/// An EBS volume that ECS made for a task, from the task's attachments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskVolume {
    /// Its name in the task definition; absent where ECS does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `vol-…`.
    pub volume_id: String,
}

impl TaskVolume {
    /// Reads the attachments of a task: their type is `amazonebs` in events and `AmazonElasticBlockStorage` in the API. What
    /// has no volume yet is left out.
    pub fn of_attachments<'a>(attachments: impl Iterator<Item = &'a Value>) -> Vec<Self> {
        let volume = |attachment: &Value| {
            let details = attachment
                .get("details")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let details = details.filter_map(|entry| Some((text(entry, "name")?, text(entry, "value")?)));
            Self::of_details(text(attachment, "type")?, details)
        };
        attachments.filter_map(volume).collect()
    }

    /// The same of one attachment's type and details; `None` when it is no volume, or names none.
    pub fn of_details<'a>(kind: &str, details: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let is_ebs = ["amazonebs", "AmazonElasticBlockStorage"];
        if !is_ebs.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
            return None;
        }
        let details: BTreeMap<_, _> = details.filter(|(_, value)| !value.is_empty()).collect();
        Some(Self {
            name: details.get("volumeName").map(|name| (*name).to_owned()),
            volume_id: (*details.get("volumeId")?).to_owned(),
        })
    }
}

/// An EBS volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// `vol-…`.
    pub volume_id: String,
    /// `creating`, `available` (attached to nothing), `in-use`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// When it was made.
    pub create_time: Timestamp,
    /// Its size in GiB.
    #[serde(default)]
    pub size: u32,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Volume {
    /// Reads one volume of `DescribeVolumes`; `None` when it has no id, state or time.
    #[must_use]
    pub fn parse(volume: &Value) -> Option<Self> {
        let size = volume.get("Size").and_then(Value::as_u64);
        Some(Self {
            volume_id: text(volume, "VolumeId")?.to_owned(),
            state: text(volume, "State")?.to_owned(),
            create_time: volume.get("CreateTime").and_then(time_from_json)?,
            size: size.and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
            tags: tags(volume),
        })
    }

    /// Whether the stack of that name had it made.
    #[must_use]
    pub fn is_of(&self, owner: &str) -> bool {
        self.tags.get(OWNER_TAG).is_some_and(|of| of == owner)
    }

    /// The lineage that its tags name.
    #[must_use]
    pub fn lineage(&self) -> Option<Lineage> {
        Lineage::parse(self.tags.get(LINEAGE_TAG)?)
    }

    /// The request that made it.
    #[must_use]
    pub fn asked_at(&self) -> Option<Timestamp> {
        self.tags.get(AT_TAG)?.parse().ok()
    }

    /// Whether it is gone, or about to be.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(self.state.as_str(), "deleting" | "deleted")
    }

    /// The cluster that ECS made it for, where its tags say so.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.named(CLUSTER_NAME_TAG)
    }

    /// The service that ECS made it for, where its tags say so.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.named(SERVICE_NAME_TAG)
    }

    /// A name among its tags, which may be written as an ARN.
    fn named(&self, tag: &str) -> Option<&str> {
        let name = self.tags.get(tag)?.rsplit('/').next();
        name.filter(|name| !name.is_empty())
    }

    /// Whether it is attached to nothing.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.state == "available"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn volumes_of_a_task_are_read_by_both_spellings() {
        let attachment =
            |kind: &str, details: Value| json!({ "id": "a", "type": kind, "status": "ATTACHED", "details": details });
        let details = json!([
            { "name": "deleteOnTermination", "value": "true" },
            { "name": "volumeName", "value": "data" },
            { "name": "volumeId", "value": "vol-1" },
        ]);
        let unnamed = json!([{ "name": "volumeId", "value": "vol-2" }]);
        let early = json!([{ "name": "volumeName", "value": "data" }, { "name": "volumeId", "value": "" }]);
        let attachments = [
            attachment("amazonebs", details.clone()),
            attachment("AmazonElasticBlockStorage", unnamed),
            attachment("AmazonElasticBlockStorage", early),
            attachment("eni", details),
        ];
        let volume = |name: Option<&str>, id: &str| TaskVolume {
            name: name.map(str::to_owned),
            volume_id: id.to_owned(),
        };
        assert_eq!(
            TaskVolume::of_attachments(attachments.iter()),
            [volume(Some("data"), "vol-1"), volume(None, "vol-2")]
        );
    }

    #[test]
    fn a_volume_is_read() {
        let volume = Volume::parse(&json!({
            "VolumeId": "vol-1", "State": "available", "CreateTime": "2026-03-01T12:00:00.000Z", "Size": 8,
            "Tags": [{ "Key": "AmazonECSManaged", "Value": "true" }], "Attachments": [],
        }))
        .unwrap();
        assert!(volume.is_available() && volume.tags.contains_key(MANAGED_TAG));
        assert_eq!(volume.size, 8);
        assert_eq!(Volume::parse(&json!({ "VolumeId": "vol-1" })), None);
    }
}
