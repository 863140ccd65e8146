//! A lineage: the snapshots of one volume of one service, whatever volume its tasks have had. Each task has a volume of its
//! own, which is deleted with it (ECS developer guide, "Use Amazon EBS volumes with Amazon ECS"), so what is kept is kept by
//! these three names, written on each snapshot as tags.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::ids::{Target, TargetKind};

/// The tag that says which stack made a snapshot: nothing else is ever removed.
pub const OWNER_TAG: &str = "wharfinger:owner";
/// The tag with the lineage, `cluster/service/volume`.
pub const LINEAGE_TAG: &str = "wharfinger:lineage";
/// The tag with the cluster.
pub const CLUSTER_TAG: &str = "wharfinger:cluster";
/// The tag with the service.
pub const SERVICE_TAG: &str = "wharfinger:service";
/// The tag with the volume's name in the task definition.
pub const VOLUME_TAG: &str = "wharfinger:volume";
/// The tag with the id of the task whose volume it was.
pub const TASK_TAG: &str = "wharfinger:task";
/// The tag with the time at which the snapshot was decided on: it tells one request from the next.
pub const AT_TAG: &str = "wharfinger:at";
/// The tag with the volume, on the snapshot of one that ECS left behind.
pub const ORPHAN_TAG: &str = "wharfinger:orphan";

/// The snapshots of one volume of one service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage {
    /// The service.
    pub target: Target,
    /// The volume's name in the task definition.
    pub volume: String,
}

impl Lineage {
    /// The lineage of a volume of a service.
    pub fn of(target: &Target, volume: impl Into<String>) -> Self {
        Self {
            target: target.clone(),
            volume: volume.into(),
        }
    }

    /// Reads `cluster/service/volume`; `None` when it is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (target, volume) = text.rsplit_once('/')?;
        let target = Target::parse(TargetKind::Service, target).ok()?;
        (!volume.is_empty()).then(|| Self::of(&target, volume))
    }

    /// What a snapshot of it carries.
    #[must_use]
    pub fn tags(&self, owner: &str, task: &str, at: Timestamp) -> BTreeMap<String, String> {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        BTreeMap::from([
            tag("Name", &self.to_string()),
            tag(OWNER_TAG, owner),
            tag(LINEAGE_TAG, &self.to_string()),
            tag(CLUSTER_TAG, &self.target.cluster),
            tag(SERVICE_TAG, &self.target.name),
            tag(VOLUME_TAG, &self.volume),
            tag(TASK_TAG, task),
            tag(AT_TAG, &at.to_string()),
        ])
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.target, self.volume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lineage_is_read_as_it_is_written() {
        let lineage = Lineage::of(&Target::service("prod", "db"), "data");
        assert_eq!(lineage.to_string(), "prod/db/data");
        assert_eq!(Lineage::parse("prod/db/data"), Some(lineage));
        for odd in ["prod/db", "prod/db/", "data", "a/b/c/d", ""] {
            assert_eq!(Lineage::parse(odd), None, "{odd}");
        }
    }
}
