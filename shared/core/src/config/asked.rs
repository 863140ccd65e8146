//! What people ask of the rollouts of a target by the command: that an image may be rolled out, or that the target goes
//! back. It stands beside the configuration, like a pause.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::delivery::Wish;
use crate::ids::Digest;
use crate::storage::RestorePoint;

/// Someone agreed to an image: it passes the gate `approval`, and is in quarantine no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Approved {
    /// The image.
    pub digest: Digest,
    /// What it was called when it was agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Until when a rollout may begin on it, exclusive.
    pub until: Timestamp,
}

impl Approved {
    /// Whether a rollout may begin on it now.
    #[must_use]
    pub fn holds(&self, digest: &Digest, now: Timestamp) -> bool {
        self.digest == *digest && now < self.until
    }
}

/// Someone asked a target to go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Back {
    /// Where to.
    pub to: BackTo,
    /// When.
    pub at: Timestamp,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Someone asked that a service begin anew with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreAsked {
    /// What its volume is to begin with.
    pub point: RestorePoint,
    /// When it was asked.
    pub at: Timestamp,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Where a target goes back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackTo {
    /// A revision of its task definition, by its ARN or `family:revision`.
    Revision(String),
    /// The revision that it has, with this image in the containers of the rule for this repository.
    Image {
        /// The rule, by its key (`delivery::rule_key`).
        rule: String,
        /// The image.
        wish: Wish,
    },
}
