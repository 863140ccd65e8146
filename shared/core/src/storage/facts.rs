//! What is known when storage is decided on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AccessPoint, Lineage, Memory, Snapshot, TaskVolume, Volume, decide};
use crate::config::asked::RestoreAsked;
use crate::config::{Stateful, Storage, is_default};
use crate::event::{TaskStateChange, TaskStatus};
use crate::ids::{Target, TaskArn};
use crate::known::Known;
use crate::service::ServiceFacts;

/// What [`decide`](super::decide()) looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The service.
    pub target: Target,
    /// The stack's name, as [`OWNER_TAG`](super::OWNER_TAG) has it: what others made is left alone.
    pub owner: String,
    /// How each volume is kept.
    pub rules: Vec<Storage>,
    /// What `DescribeServices` says of it; `Yes(None)` when it does not find it.
    pub service: Known<Option<ServiceFacts>>,
    /// Its tasks, as `ListTasks` and `DescribeTasks` show them. Those that do not run do no harm.
    pub tasks: Known<Vec<Mounted>>,
    /// The snapshots of its lineages (`DescribeSnapshots`), of every state. Those of others do no harm.
    pub snapshots: Known<Vec<Snapshot>>,
    /// The snapshots that something of ECS refers to, and what: the service's deployments and its revisions.
    pub held: Known<BTreeMap<String, String>>,
    /// The snapshots that our own history refers to, and how: with what volumes of rollouts and restores began.
    pub history: BTreeMap<String, String>,
    /// Whether others may make volumes of a snapshot (`DescribeSnapshotAttribute`), by id. Absent is what is not known.
    pub shared: BTreeMap<String, bool>,
    /// The access points of file systems (`DescribeAccessPoints`), by `fs-…`; `None` of one that does not exist. Absent is
    /// what is not known.
    pub file_systems: BTreeMap<String, Option<Vec<AccessPoint>>>,
    /// Why EFS made no access point of a volume just now, in its words.
    pub refused: BTreeMap<String, String>,
    /// The last `wharfinger restore`.
    pub asked: Option<RestoreAsked>,
    /// `volumeConfigurations` of its PRIMARY deployment, as `DescribeServices` answers it; `Yes(None)` when it has none.
    pub volumes: Known<Option<Value>>,
    /// How the tasks of a family are kept running; none of a service.
    pub stateful: Option<Stateful>,
    /// The volumes of the family's identities (`DescribeVolumes`), in every state. Those of others do no harm.
    pub identities: Known<Vec<Volume>>,
    /// What was stored of earlier decisions.
    pub memory: Memory,
}

/// A task and its volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mounted {
    /// The task's id.
    pub task: String,
    /// Its ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<TaskArn>,
    /// Who started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    /// When it began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    /// Whether it runs and is to run.
    pub runs: bool,
    /// Whether it is over: nothing writes to its volumes any more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_over: bool,
    /// The EBS volumes that ECS made for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<TaskVolume>,
}

impl Mounted {
    /// The volume of that name. One whose name ECS does not say is meant when the task has no other.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&str> {
        let named = self.volumes.iter().find(|v| v.name.as_deref() == Some(name));
        let alone = || match self.volumes.as_slice() {
            [alone] if alone.name.is_none() => Some(alone),
            _ => None,
        };
        named.or_else(alone).map(|volume| volume.volume_id.as_str())
    }
}

impl From<&TaskStateChange> for Mounted {
    fn from(task: &TaskStateChange) -> Self {
        Self {
            task: task.task_arn.id().to_owned(),
            arn: Some(task.task_arn.clone()),
            started_by: task.started_by.clone(),
            started_at: task.started_at,
            stopped_at: task.stopped_at,
            runs: task.is_running(),
            is_over: matches!(task.last_status, TaskStatus::Stopped | TaskStatus::Deleted),
            volumes: task.volumes.clone(),
        }
    }
}

/// What is to be looked up before more can be decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a look-up of its own")]
pub struct Asks {
    /// The snapshots of its lineages.
    pub snapshots: bool,
    /// The service and its tasks: a snapshot is due. Of a family its tasks, those that are remembered among them.
    pub tasks: bool,
    /// The volumes of a family's identities.
    pub identities: bool,
    /// What refers to snapshots: some would go.
    pub held: bool,
    /// The service and its volume configurations: it is to be restored.
    pub volumes: bool,
    /// The file systems whose access points are to be known.
    pub file_systems: BTreeSet<String>,
    /// The snapshots of which it is to be known whether others may make volumes of them: they would go, and nothing of ours
    /// holds them.
    pub shared: Vec<String>,
}

impl Facts {
    /// What is to be looked up next: ask, fill it in, and ask again until nothing is. So nothing is asked without need.
    #[must_use]
    pub fn asks(&self, now: Timestamp) -> Asks {
        decide(self, now).asks
    }

    /// Whether the lineage of that [key](Lineage::key) is among those that are kept.
    pub(super) fn is_configured(&self, key: &str) -> bool {
        let is_identity = |stateful: &Stateful| {
            let number = key
                .strip_prefix(&stateful.volume)
                .and_then(|rest| rest.strip_prefix('.'));
            number.is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n < stateful.count))
        };
        self.stateful.as_ref().is_some_and(is_identity)
            || self.rules.iter().any(|rule| rule.is_ebs() && rule.volume == key)
    }

    /// Whether a lineage is among those that are kept.
    pub(super) fn is_kept(&self, lineage: &Lineage) -> bool {
        match lineage.identity {
            Some(identity) => self.stateful.as_ref().is_some_and(|stateful| identity < stateful.count),
            None => self.is_configured(&lineage.key()),
        }
    }

    /// Our snapshots of a lineage, the newest first.
    pub(super) fn of_lineage<'a>(&'a self, lineage: &Lineage, snapshots: &'a [Snapshot]) -> Vec<&'a Snapshot> {
        let is_its = |snapshot: &&Snapshot| {
            snapshot.is_of(&self.owner) && snapshot.lineage().is_some_and(|of| of.is_same(lineage))
        };
        let mut its: Vec<_> = snapshots.iter().filter(is_its).collect();
        its.sort_by(|a, b| (b.start_time, &b.snapshot_id).cmp(&(a.start_time, &a.snapshot_id)));
        its
    }
}
