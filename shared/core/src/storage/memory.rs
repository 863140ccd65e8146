//! What storage remembers of a service between two decisions, and what `status` shows of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{IdentityMemory, Provided, Restored, Restoring, Snapshot, Unused};
use crate::config::{Span, is_default};

/// How long what was found to refer to a snapshot is relied on before it is looked up again.
const HELD_FOR: SignedDuration = SignedDuration::from_hours(1);

/// What storage remembers of a service; part of the service's state item.
///
/// Missing fields are those of a service that was never looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Memory {
    /// By the volume's name, or the [key of its lineage](super::Lineage::key).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, VolumeMemory>,
    /// The access point of each volume on EFS that has one, by the volume's name. Delivery puts it into the next revision.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub access_points: BTreeMap<String, Provided>,
    /// Those that this service, or a tenant of its, had and that nothing configured wants any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<Unused>,
    /// The last `wharfinger restore` that was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<Timestamp>,
    /// The one that was begun, and is not known to have come through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restoring: Option<Restoring>,
    /// Those that are over, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<Restored>,
}

/// What is remembered of one volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct VolumeMemory {
    /// A snapshot that was asked for, until EC2 shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Since when a snapshot is due that there is a volume for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Whether it was told that it is late.
    #[serde(skip_serializing_if = "is_default")]
    pub late: bool,
    /// The last snapshot that came to nothing, as it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// The snapshots that would have been removed had nothing referred to them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<String, Held>,
    /// What the last look found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Of an identity of a stateful family: its task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityMemory>,
}

/// A snapshot that was decided on, stored before its call is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The volume.
    pub volume_id: String,
    /// The id of the task that has it.
    pub task: String,
    /// When it was decided; the snapshot carries it as [`AT_TAG`](super::AT_TAG).
    pub at: Timestamp,
    /// The snapshot, once EC2 answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Whether the volume's task is over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_final: bool,
}

/// A snapshot that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failed {
    /// `snap-…`.
    pub snapshot: String,
    /// When it was begun.
    pub at: Timestamp,
    /// Why, in EC2's words.
    pub message: String,
}

/// That something refers to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Held {
    /// When that was found.
    pub at: Timestamp,
    /// What does.
    pub why: String,
}

/// How a lineage stands, for `wharfinger status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Standing {
    /// The newest that is completed: what would be restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<RecoveryPoint>,
    /// Those whose data is still copied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
    /// How many are completed.
    pub count: u32,
    /// The sizes of their volumes in GiB, summed: what they take is less, since each holds what changed since the one before.
    pub gib: u64,
    /// Which would go when the next is completed, the oldest first; at most [`Standing::MOST`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next_prune: Vec<String>,
    /// How many would.
    #[serde(skip_serializing_if = "is_default")]
    pub next_prune_count: u32,
    /// How often one is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
}

impl Standing {
    /// How many ids are kept in a list.
    pub const MOST: usize = 20;
}

/// A completed snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoveryPoint {
    /// `snap-…`.
    pub id: String,
    /// The moment that it shows.
    pub at: Timestamp,
    /// The size of its volume, in GiB.
    #[serde(default)]
    pub gib: u32,
}

impl Memory {
    /// EC2 makes the snapshot that was asked for. It stays remembered until `DescribeSnapshots` shows it, which may be
    /// seconds later.
    pub fn made(&mut self, volume: &str, snapshot: &Snapshot) {
        if let Some(intent) = self.intent(volume) {
            intent.snapshot = Some(snapshot.snapshot_id.clone());
        }
    }

    /// EC2 refused it: nothing was made.
    pub fn refused(&mut self, volume: &str) {
        if let Some(volume) = self.volumes.get_mut(volume) {
            volume.intent = None;
        }
    }

    /// EC2 does not remove a snapshot, since something uses it: `why`, in its words.
    pub fn in_use(&mut self, volume: &str, snapshot: &str, why: &str, now: Timestamp) {
        let held = Held {
            at: now,
            why: why.to_owned(),
        };
        let volume = self.volumes.entry(volume.to_owned()).or_default();
        volume.held.insert(snapshot.to_owned(), held);
    }

    fn intent(&mut self, volume: &str) -> Option<&mut Intent> {
        self.volumes.get_mut(volume)?.intent.as_mut()
    }
}

impl VolumeMemory {
    /// Forgets what is to be looked up again.
    pub(super) fn forget_held(&mut self, now: Timestamp) {
        self.held.retain(|_, held| now.duration_since(held.at).abs() < HELD_FOR);
    }
}
