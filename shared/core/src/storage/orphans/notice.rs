//! What is told to others: an event on the bus.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::ids::Target;
use crate::storage::Stage;

/// What is told of a volume that ECS left behind. It may be told twice, after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub stage: Stage,
    /// The cluster.
    pub cluster: Target,
    /// `vol-…`.
    pub volume_id: String,
    /// Its size, in GiB.
    pub gib: u32,
    /// The service that it was made for, where its tags say so.
    pub service: Option<String>,
    /// Since when it is attached to nothing, as far as is known.
    pub since: Timestamp,
    /// The snapshot that failed.
    pub snapshot: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// When this was found.
    pub at: Timestamp,
}

impl Notice {
    /// The `detail` of the event.
    #[must_use]
    pub fn detail(&self) -> Value {
        json!({
            "target": self.cluster.to_string(),
            "cluster": self.cluster.cluster,
            "service": self.service,
            "volumeId": self.volume_id,
            "sizeInGiB": self.gib,
            "since": self.since.to_string(),
            "snapshotId": self.snapshot,
            "reason": self.reason,
            "at": self.at.to_string(),
        })
    }
}
