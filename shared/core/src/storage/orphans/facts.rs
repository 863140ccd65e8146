//! What is known when the volumes of a cluster are decided on.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Memory, decide};
use crate::config::Orphans;
use crate::ids::Target;
use crate::known::Known;
use crate::storage::{OWNER_TAG, Snapshot, Volume};

/// What [`decide`](super::decide()) looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The cluster.
    pub cluster: Target,
    /// The stack's name, as [`OWNER_TAG`] has it on what we made.
    pub owner: String,
    /// What is done.
    pub rule: Orphans,
    /// Whether volumes of which no tag says the cluster are told of with this one.
    pub adopts: bool,
    /// The volumes that ECS made and that are attached to nothing (`DescribeVolumes`). Those of others do no harm.
    pub volumes: Vec<Volume>,
    /// Our snapshots (`DescribeSnapshots`), of every state. Those of others do no harm.
    pub snapshots: Vec<Snapshot>,
    /// The volumes that tasks of the cluster name which have not stopped, and which task does (`ListTasks` and
    /// `DescribeTasks`).
    pub named: Known<BTreeMap<String, String>>,
    /// What was stored of earlier decisions.
    pub memory: Memory,
}

impl Facts {
    /// Whether it is to be known which volumes tasks name.
    #[must_use]
    pub fn asks(&self, now: Timestamp) -> bool {
        decide(self, now).asks
    }

    /// Whether a volume is looked at here.
    pub(super) fn is_its(&self, volume: &Volume) -> bool {
        let is_of = match volume.cluster() {
            Some(cluster) => cluster == self.cluster.cluster,
            None => self.adopts,
        };
        is_of && volume.is_available() && !volume.tags.contains_key(OWNER_TAG)
    }
}
