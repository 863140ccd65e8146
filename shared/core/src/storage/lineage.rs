//! A lineage: the snapshots of one volume of one service, or of one identity of a stateful task, whatever volume its tasks
//! have had. Each task has a volume of its
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
/// The tag with the family of a stateful task.
pub const FAMILY_TAG: &str = "wharfinger:family";
/// The tag with the identity of a stateful task.
pub const IDENTITY_TAG: &str = "wharfinger:identity";
/// The tag of a snapshot that was made of a volume once its task was over: nothing can have been written since.
pub const FINAL_TAG: &str = "wharfinger:final";
/// The tag with the volume's name in the task definition.
pub const VOLUME_TAG: &str = "wharfinger:volume";
/// The tag with the id of the task whose volume it was.
pub const TASK_TAG: &str = "wharfinger:task";
/// The tag with the time at which the snapshot was decided on: it tells one request from the next.
pub const AT_TAG: &str = "wharfinger:at";
/// The tag with the volume, on the snapshot of one that ECS left behind.
pub const ORPHAN_TAG: &str = "wharfinger:orphan";

/// The snapshots of one volume of one service, or of one identity of a stateful task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage {
    /// The service, or the family.
    pub target: Target,
    /// Which of the family's tasks; none for a service.
    pub identity: Option<u32>,
    /// The volume's name in the task definition.
    pub volume: String,
}

impl Lineage {
    /// The lineage of a volume of a service.
    pub fn of(target: &Target, volume: impl Into<String>) -> Self {
        Self {
            target: target.clone(),
            identity: None,
            volume: volume.into(),
        }
    }

    /// The lineage of one identity of a stateful family.
    pub fn of_identity(family: &Target, identity: u32, volume: impl Into<String>) -> Self {
        Self {
            identity: Some(identity),
            ..Self::of(family, volume)
        }
    }

    /// Whether it is the same: of an identity whatever name its volume had, for what is on it goes over to the next name.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let is_identity = self.identity.is_some();
        self.target == other.target && self.identity == other.identity && (is_identity || self.volume == other.volume)
    }

    /// Reads `cluster/service/volume` or `cluster/family.identity/volume`; `None` when it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (target, volume) = text.rsplit_once('/')?;
        if volume.is_empty() {
            return None;
        }
        match target.rsplit_once('.') {
            None => Some(Self::of(&Target::parse(TargetKind::Service, target).ok()?, volume)),
            Some((family, identity)) => {
                let family = Target::parse(TargetKind::Task, family).ok()?;
                Some(Self::of_identity(&family, identity.parse().ok()?, volume))
            }
        }
    }

    /// Under what the target's memory has it: `volume`, or `volume.identity`.
    #[must_use]
    pub fn key(&self) -> String {
        match self.identity {
            None => self.volume.clone(),
            Some(identity) => format!("{}.{identity}", self.volume),
        }
    }

    /// What a volume of it carries, if it was made on request.
    #[must_use]
    pub fn volume_tags(&self, owner: &str, at: Timestamp) -> BTreeMap<String, String> {
        let mut tags = self.tags(owner, "", at);
        tags.remove(TASK_TAG);
        tags
    }

    /// What a snapshot of it carries.
    #[must_use]
    pub fn tags(&self, owner: &str, task: &str, at: Timestamp) -> BTreeMap<String, String> {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut tags = BTreeMap::from([
            tag("Name", &self.to_string()),
            tag(OWNER_TAG, owner),
            tag(LINEAGE_TAG, &self.to_string()),
            tag(CLUSTER_TAG, &self.target.cluster),
            tag(VOLUME_TAG, &self.volume),
            tag(TASK_TAG, task),
            tag(AT_TAG, &at.to_string()),
        ]);
        match self.identity {
            None => tags.extend([tag(SERVICE_TAG, &self.target.name)]),
            Some(identity) => tags.extend([
                tag(FAMILY_TAG, &self.target.name),
                tag(IDENTITY_TAG, &identity.to_string()),
            ]),
        }
        tags
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.identity {
            None => write!(f, "{}/{}", self.target, self.volume),
            Some(identity) => write!(f, "{}.{identity}/{}", self.target, self.volume),
        }
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
        let identity = Lineage::of_identity(&Target::task("prod", "ledger"), 2, "data");
        assert_eq!(identity.to_string(), "prod/ledger.2/data");
        assert_eq!(Lineage::parse("prod/ledger.2/data"), Some(identity));
        for odd in ["prod/db", "prod/db/", "data", "a/b/c/d", "a/b.x/d", ""] {
            assert_eq!(Lineage::parse(odd), None, "{odd}");
        }
    }
}
