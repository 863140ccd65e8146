//! What is told to others: an event on the bus.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Lineage;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A snapshot came to nothing.
    SnapshotFailed,
    /// The newest recovery point is older than twice what `every` asks.
    RecoveryPointLate,
    /// A volume that ECS made is attached to nothing for long.
    OrphanFound,
}

impl Stage {
    /// The `detail-type` of the event.
    #[must_use]
    pub const fn detail_type(self) -> &'static str {
        match self {
            Self::SnapshotFailed => "Snapshot Failed",
            Self::RecoveryPointLate => "Recovery Point Late",
            Self::OrphanFound => "Orphan Found",
        }
    }
}

/// What is told of a lineage. It may be told twice, after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub stage: Stage,
    /// To what.
    pub lineage: Lineage,
    /// The snapshot that failed, or the newest recovery point, if there is one.
    pub snapshot: Option<String>,
    /// The moment that it shows.
    pub snapshot_at: Option<Timestamp>,
    /// Why, in a sentence.
    pub reason: String,
    /// When this was found.
    pub at: Timestamp,
}

impl Notice {
    /// The `detail` of the event.
    #[must_use]
    pub fn detail(&self) -> Value {
        let target = &self.lineage.target;
        json!({
            "target": target.to_string(),
            "cluster": target.cluster,
            "service": target.name,
            "volume": self.lineage.volume,
            "lineage": self.lineage.to_string(),
            "snapshotId": self.snapshot,
            "snapshotAt": self.snapshot_at.map(|at| at.to_string()),
            "reason": self.reason,
            "at": self.at.to_string(),
        })
    }
}
