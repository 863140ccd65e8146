//! What the volumes of the next deployment begin with.
//!
//! All tasks of a service have one volume configuration, and each task gets a new volume of it (ECS API reference,
//! `ServiceVolumeConfiguration`): a snapshot can be named there, and only with a new deployment. So the recovery point is
//! chosen in the call that makes the deployment anyway, and is as old as the snapshot.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Lineage, Snapshot};

/// The snapshot that a volume begins with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestorePoint {
    /// The volume's name in the task definition.
    pub volume: String,
    /// `snap-…`.
    pub snapshot_id: String,
    /// The moment that it shows.
    pub at: Timestamp,
    /// The size of the volume that it was made of, in GiB: one of it cannot be smaller.
    pub size: u32,
}

impl RestorePoint {
    /// A snapshot as what a volume begins with.
    pub fn of(volume: impl Into<String>, snapshot: &Snapshot) -> Self {
        Self {
            volume: volume.into(),
            snapshot_id: snapshot.snapshot_id.clone(),
            at: snapshot.start_time,
            size: snapshot.volume_size,
        }
    }
}

/// Why a volume cannot begin with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The service's volume configurations name no such volume.
    #[error(
        "the service has no EBS volume `{0}` in its `volumeConfigurations`: mark it `configuredAtLaunch` in the task \
         definition and configure it in the service"
    )]
    NoVolume(String),
    /// The snapshot is of a larger volume than the service asks for.
    #[error("{snapshot_id} is of a volume of {size} GiB, and `{volume}` is to have {wanted}: raise its `sizeInGiB`")]
    TooSmall {
        /// The volume.
        volume: String,
        /// The snapshot.
        snapshot_id: String,
        /// Its size in GiB.
        size: u32,
        /// What the service asks for.
        wanted: u64,
    },
}

/// The newest completed snapshot of a lineage, of one moment or before; of two of the same moment the one with the greater id.
#[must_use]
pub fn newest<'a>(snapshots: &'a [Snapshot], lineage: &Lineage, until: Option<Timestamp>) -> Option<&'a Snapshot> {
    let of_it = snapshots.iter().filter(|one| one.lineage().as_ref() == Some(lineage));
    of_it
        .filter(|one| one.is_completed() && until.is_none_or(|until| one.start_time <= until))
        .max_by_key(|one| (one.start_time, &one.snapshot_id))
}

/// The service's own `volumeConfigurations` with a volume that begins with this snapshot; all else stays as it was.
///
/// # Errors
/// When the service has no such volume, or its size does not do.
pub fn seeded(configurations: &Value, point: &RestorePoint) -> Result<Value, RestoreError> {
    let mut seeded = configurations.clone();
    let ebs = managed_ebs(&mut seeded, &point.volume).ok_or_else(|| RestoreError::NoVolume(point.volume.clone()))?;
    let wanted = ebs.get("sizeInGiB").and_then(Value::as_u64);
    if let Some(wanted) = wanted.filter(|wanted| *wanted < u64::from(point.size)) {
        return Err(RestoreError::TooSmall {
            volume: point.volume.clone(),
            snapshot_id: point.snapshot_id.clone(),
            size: point.size,
            wanted,
        });
    }
    ebs.insert("snapshotId".into(), Value::from(point.snapshot_id.as_str()));
    Ok(seeded)
}

/// The snapshot that a volume of the service begins with.
#[must_use]
pub(super) fn begins_with<'a>(configurations: &'a Value, volume: &str) -> Option<&'a str> {
    let mut all = configurations.as_array()?.iter();
    let one = all.find(|one| one.get("name").and_then(Value::as_str) == Some(volume))?;
    one.pointer("/managedEBSVolume/snapshotId")?.as_str()
}

fn managed_ebs<'a>(configurations: &'a mut Value, volume: &str) -> Option<&'a mut Map<String, Value>> {
    let mut all = configurations.as_array_mut()?.iter_mut();
    let one = all.find(|one| one.get("name").and_then(Value::as_str) == Some(volume))?;
    one.get_mut("managedEBSVolume")?.as_object_mut()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::Target;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3_600).unwrap()
    }

    fn snapshot(id: &str, volume: &str, hour: i64, state: &str) -> Snapshot {
        let lineage = Lineage::of(&Target::service("prod", "db"), volume);
        let tags: Vec<_> = lineage
            .tags("wharfinger", "t", at(hour))
            .into_iter()
            .map(|(key, value)| json!({ "Key": key, "Value": value }))
            .collect();
        Snapshot::parse(&json!({
            "SnapshotId": id, "State": state, "StartTime": at(hour).to_string(), "VolumeSize": 20, "Tags": tags,
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_completed_one_of_the_lineage_is_taken() {
        let all = [
            snapshot("snap-1", "data", 1, "completed"),
            snapshot("snap-3", "data", 3, "completed"),
            snapshot("snap-2", "data", 3, "completed"),
            snapshot("snap-4", "data", 4, "pending"),
            snapshot("snap-5", "data", 5, "error"),
            snapshot("snap-6", "logs", 6, "completed"),
        ];
        let lineage = Lineage::of(&Target::service("prod", "db"), "data");
        let check = |until: Option<i64>, expected: Option<&str>| {
            let found = newest(&all, &lineage, until.map(at)).map(|one| one.snapshot_id.as_str());
            assert_eq!(found, expected, "{until:?}");
        };
        check(None, Some("snap-3"));
        check(Some(2), Some("snap-1"));
        check(Some(1), Some("snap-1"));
        check(Some(0), None);
        let other = Lineage::of(&Target::service("prod", "other"), "data");
        assert_eq!(newest(&all, &other, None), None);
    }

    #[test]
    fn only_the_snapshot_of_the_volume_changes() {
        let point = RestorePoint::of("data", &snapshot("snap-9", "data", 9, "completed"));
        let own = json!([
            { "name": "logs", "managedEBSVolume": { "roleArn": "r", "snapshotId": "snap-0" } },
            { "name": "data", "someday": [1.50, null], "managedEBSVolume": {
                "roleArn": "arn:aws:iam::123456789012:role/ecs", "sizeInGiB": 20, "snapshotId": "snap-1", "encrypted": true,
                "tagSpecifications": [{ "resourceType": "volume", "propagateTags": "SERVICE" }], "new": { "ä": "ü" },
            } },
        ]);
        let mut expected = own.clone();
        expected[1]["managedEBSVolume"]["snapshotId"] = json!("snap-9");
        assert_eq!(seeded(&own, &point), Ok(expected));
        let mut bare = own.clone();
        bare[1]["managedEBSVolume"]
            .as_object_mut()
            .unwrap()
            .retain(|key, _| key == "roleArn");
        assert_eq!(
            seeded(&bare, &point).unwrap()[1]["managedEBSVolume"],
            json!({ "roleArn": "arn:aws:iam::123456789012:role/ecs", "snapshotId": "snap-9" })
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let point = RestorePoint::of("data", &snapshot("snap-9", "data", 9, "completed"));
        for none in [
            json!(null),
            json!([]),
            json!([{ "name": "logs" }]),
            json!([{ "name": "data" }]),
        ] {
            assert_eq!(
                seeded(&none, &point),
                Err(RestoreError::NoVolume("data".into())),
                "{none}"
            );
        }
        let small = json!([{ "name": "data", "managedEBSVolume": { "sizeInGiB": 19 } }]);
        let refused = seeded(&small, &point).unwrap_err().to_string();
        assert_eq!(
            refused,
            "snap-9 is of a volume of 20 GiB, and `data` is to have 19: raise its `sizeInGiB`"
        );
    }
}
