//! What happens with a cluster's instances.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, is_default};

/// What happens with a cluster's instances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Capacity {
    /// How instances that go are drained.
    #[serde(skip_serializing_if = "is_default")]
    pub drain: DrainDeadline,
    /// What Spot notices do.
    #[serde(skip_serializing_if = "is_default")]
    pub spot: Spot,
    /// What happens when an agent is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnected: Option<Disconnected>,
}

/// How instances that go are drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DrainDeadline {
    /// After this the lifecycle hook is completed whatever still runs.
    pub deadline: Span,
}

impl Default for DrainDeadline {
    fn default() -> Self {
        Self {
            deadline: Span::minutes(10),
        }
    }
}

/// What Spot notices do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Spot {
    /// What a rebalance recommendation does.
    #[serde(skip_serializing_if = "is_default")]
    pub rebalance: Rebalance,
}

/// What a rebalance recommendation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rebalance {
    /// Nothing: there are many more of them than interruptions.
    #[default]
    Ignore,
    /// Drain the instance.
    Drain,
}

/// What happens when an agent is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Disconnected {
    /// After how long: short disconnects are normal.
    pub after: Span,
    /// What is done.
    #[serde(default, skip_serializing_if = "is_default")]
    pub action: DisconnectedAction,
}

/// What is done about an instance whose agent is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DisconnectedAction {
    /// It is reported.
    #[default]
    Report,
    /// It is drained and replaced.
    Replace,
}
