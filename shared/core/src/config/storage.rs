//! How volumes are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, is_default};

/// How one volume of a service is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Storage {
    /// The volume's name in the task definition.
    pub volume: String,
    /// When snapshots are made, and which are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// What a rollout starts from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restore: Restore,
}

/// When snapshots are made, and which are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Snapshot {
    /// How often.
    pub every: Span,
    /// Which are kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep: Keep,
}

/// Which snapshots are kept: the union of what each line keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Keep {
    /// The newest so many.
    pub last: u32,
    /// The newest of each of so many days.
    pub daily: u32,
    /// The newest of each of so many weeks.
    pub weekly: u32,
}

/// What a rollout starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restore {
    /// An empty volume.
    #[default]
    None,
    /// The newest snapshot of its lineage.
    Newest,
}
