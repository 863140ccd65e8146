//! `wharfinger.yaml`: what people write, its schema, and what of it is stored.
//!
//! Keys are kebab-case; unknown keys are errors. The same types are stored in the config table, one item per target
//! ([`stored`]), so what a function reads is what a person wrote, with names resolved.

mod capacity;
mod delivery;
mod discovery;
mod scaling;
mod storage;
pub mod stored;
mod values;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use capacity::{Capacity, Disconnected, DisconnectedAction, DrainDeadline, Rebalance, Spot};
pub use delivery::{
    Approval, Delivery, Order, Rollback, Scan, Severity, TagPolicy, Window, Windows,
};
pub use discovery::{Address, Balancing, Discovery, Drain, When};
pub use scaling::{
    AlarmRule, Change, Cooldown, DuringDeployment, Limit, Missing, PerPeriod, QueueRule, Rule, Scaling, Schedule,
    Stabilise, Step,
};
pub use storage::{Keep, Restore, Snapshot, Storage};
pub use values::{Percent, Span, SpanError};

/// The whole document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "wharfinger.yaml")]
pub struct Document {
    /// The version of this format: 1.
    pub version: u32,
    /// What each ECS service wants, by `cluster/service`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Service>,
    /// What standalone and scheduled tasks want, by `cluster/family`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, Tasks>,
    /// What each cluster wants, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clusters: BTreeMap<String, Cluster>,
}

/// What one ECS service wants.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Service {
    /// Where its tasks appear in AWS Cloud Map.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discovery: Vec<Discovery>,
    /// Extra target groups that its tasks join.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balancing: Vec<Balancing>,
    /// How its tasks leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// How its desired count moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Which pushed images it rolls out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivery: Vec<Delivery>,
    /// How its volumes are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storage: Vec<Storage>,
}

/// What the standalone and scheduled tasks of one family want.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tasks {
    /// Where they appear in AWS Cloud Map.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discovery: Vec<Discovery>,
    /// Target groups that they join.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balancing: Vec<Balancing>,
    /// Which pushed images the family's next revision takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivery: Vec<Delivery>,
}

/// What one cluster wants.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cluster {
    /// What happens with its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
}

impl From<Tasks> for Service {
    fn from(tasks: Tasks) -> Self {
        Self { discovery: tasks.discovery, balancing: tasks.balancing, delivery: tasks.delivery, ..Self::default() }
    }
}

/// The JSON Schema of the document, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
