//! What is told to others of a rollout: an event on the bus, from which people, chats and pipelines take what they need.
//!
//! ECS's own events name neither the image nor who asked for it (containers-roadmap #1371).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ImageChange;

/// What became of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The service was sent to the revision.
    Started,
    /// Every task that is wanted runs it.
    Succeeded,
    /// It does not come up: the service went back, or is sent back.
    Failed,
    /// Something must come first.
    Waiting,
    /// Something newer, or someone else, took its place.
    Superseded,
}

impl Stage {
    /// The `detail-type` of the event.
    #[must_use]
    pub const fn detail_type(self) -> &'static str {
        match self {
            Self::Started => "Rollout Started",
            Self::Succeeded => "Rollout Succeeded",
            Self::Failed => "Rollout Failed",
            Self::Waiting => "Rollout Waiting",
            Self::Superseded => "Rollout Superseded",
        }
    }
}

/// What is told of a rollout. It may be told twice, after a crash; `rollout` and the stage are then the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What became of it.
    pub stage: Stage,
    /// `cluster/service` or `cluster/family`.
    pub target: String,
    /// Names the rollout: when it began, and where it leads.
    pub rollout: String,
    /// What is rolled out: `repository:tag@sha256:…`; none when a person asked for a revision, or for the side container.
    pub images: Vec<String>,
    /// The containers that change.
    pub changes: Vec<ImageChange>,
    /// The revision before, and the one that is rolled out, as far as they are known.
    pub from: Option<String>,
    /// See `from`.
    pub to: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// Who asked for it: a person, or `push`.
    pub actor: String,
    /// When it began, or began to wait.
    pub began: Timestamp,
    /// When this was found.
    pub at: Timestamp,
}

impl Notice {
    /// The `detail` of the event.
    #[must_use]
    pub fn detail(&self) -> Value {
        let (cluster, name) = self.target.split_once('/').unwrap_or_default();
        let changes: Vec<_> = self
            .changes
            .iter()
            .map(|c| json!({ "container": c.name, "from": c.from, "to": c.to }))
            .collect();
        json!({
            "target": self.target,
            "cluster": cluster,
            "service": name,
            "rollout": self.rollout,
            "images": self.images,
            "changes": changes,
            "fromTaskDefinition": self.from,
            "toTaskDefinition": self.to,
            "reason": self.reason,
            "actor": self.actor,
            "startedAt": self.began.to_string(),
            "at": self.at.to_string(),
            "durationSeconds": self.at.duration_since(self.began).as_secs().max(0),
        })
    }
}
