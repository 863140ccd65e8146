//! A snapshot, as `DescribeSnapshots` answers it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lineage::{AT_TAG, FINAL_TAG, LINEAGE_TAG, Lineage, OWNER_TAG, TASK_TAG};
use crate::event::{text, time_from_json};

/// How far a snapshot is (EC2 API reference, `Snapshot`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotState {
    /// Its moment is fixed; its data is still copied, which can take hours.
    Pending,
    /// A volume can be made of it.
    Completed,
    /// It came to nothing.
    Error,
    /// A state that this version does not know, or it is in the recycle bin or the archive: nothing is done with it, and no
    /// volume can be made of it.
    #[default]
    #[serde(other)]
    Other,
}

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// `snap-…`.
    pub snapshot_id: String,
    /// The volume that it was made of; it may be gone.
    #[serde(default)]
    pub volume_id: String,
    /// How far it is.
    #[serde(default)]
    pub state: SnapshotState,
    /// Why it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_message: Option<String>,
    /// The moment that it shows.
    pub start_time: Timestamp,
    /// The size of the volume, in GiB; what the snapshot takes of it is less.
    #[serde(default)]
    pub volume_size: u32,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Snapshot {
    /// Reads one snapshot of `DescribeSnapshots`; `None` when it has no id or time.
    #[must_use]
    pub fn parse(snapshot: &Value) -> Option<Self> {
        let owned = |field: &str| text(snapshot, field).map(str::to_owned);
        let is_archived = text(snapshot, "StorageTier") == Some("archive");
        let state = snapshot.get("State").filter(|_| !is_archived);
        let state = state.and_then(|state| SnapshotState::deserialize(state).ok());
        let size = snapshot.get("VolumeSize").and_then(Value::as_u64);
        Some(Self {
            snapshot_id: owned("SnapshotId")?,
            volume_id: owned("VolumeId").unwrap_or_default(),
            state: state.unwrap_or_default(),
            state_message: owned("StateMessage").filter(|message| !message.is_empty()),
            start_time: snapshot.get("StartTime").and_then(time_from_json)?,
            volume_size: size.and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
            tags: tags(snapshot),
        })
    }

    /// Whether the stack of that name made it.
    #[must_use]
    pub fn is_of(&self, owner: &str) -> bool {
        self.tags.get(OWNER_TAG).is_some_and(|of| of == owner)
    }

    /// The lineage that its tags name.
    #[must_use]
    pub fn lineage(&self) -> Option<Lineage> {
        Lineage::parse(self.tags.get(LINEAGE_TAG)?)
    }

    /// The id of the task whose volume it was.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.tags.get(TASK_TAG).map(String::as_str)
    }

    /// The request that it answers.
    #[must_use]
    pub fn asked_at(&self) -> Option<Timestamp> {
        self.tags.get(AT_TAG)?.parse().ok()
    }

    /// Whether it shows a volume whose task was over.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.tags.get(FINAL_TAG).is_some_and(|is_final| is_final == "true")
    }

    /// Whether a volume can be made of it.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.state == SnapshotState::Completed
    }
}

/// The tags of something that EC2 answers.
pub(super) fn tags(of: &Value) -> BTreeMap<String, String> {
    let list = of.get("Tags").and_then(Value::as_array).into_iter().flatten();
    let tag = |tag: &Value| {
        let value = text(tag, "Value").unwrap_or_default();
        Some((text(tag, "Key")?.to_owned(), value.to_owned()))
    };
    list.filter_map(tag).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::Target;

    #[test]
    fn a_snapshot_is_read_with_its_lineage() {
        let at: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let lineage = Lineage::of(&Target::service("prod", "db"), "data");
        let tags = lineage.tags("wharfinger", "0123", at);
        let tags: Vec<_> = tags.iter().map(|(k, v)| json!({ "Key": k, "Value": v })).collect();
        let read = |state: &str| {
            Snapshot::parse(&json!({
                "SnapshotId": "snap-1", "VolumeId": "vol-1", "State": state, "StateMessage": "",
                "StartTime": "2026-03-01T12:00:01.000Z", "VolumeSize": 20, "Progress": "100%", "Tags": tags,
            }))
            .unwrap()
        };
        let done = read("completed");
        assert!(done.is_completed() && done.is_of("wharfinger") && !done.is_of("other"));
        assert_eq!(
            (done.lineage(), done.task(), done.asked_at()),
            (Some(lineage), Some("0123"), Some(at))
        );
        assert_eq!((done.volume_size, done.state_message.as_deref()), (20, None));
        let states = ["pending", "error", "recoverable", "new"].map(|s| read(s).state);
        let expected = [
            SnapshotState::Pending,
            SnapshotState::Error,
            SnapshotState::Other,
            SnapshotState::Other,
        ];
        assert_eq!(states, expected);
        assert_eq!(Snapshot::parse(&json!({ "SnapshotId": "snap-1" })), None);
        let archived = json!({
            "SnapshotId": "snap-1", "State": "completed", "StorageTier": "archive", "StartTime": "2026-03-01T12:00:01.000Z",
        });
        assert_eq!(Snapshot::parse(&archived).unwrap().state, SnapshotState::Other);
    }
}
