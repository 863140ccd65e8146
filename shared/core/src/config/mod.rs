//! `wharfinger.yaml`: what people write, its schema, and what of it is stored.
//!
//! Keys are kebab-case; unknown keys are errors. The same types are stored in the config table, one item per target
//! ([`stored`]), so what a function reads is what a person wrote, with names resolved.

mod access_point;
pub mod asked;
mod capacity;
pub mod changes;
pub mod conflicts;
mod create;
mod delivery;
mod discovery;
pub mod holds;
mod problem;
mod range;
mod scaling;
pub mod schedules;
mod stateful;
mod storage;
pub mod stored;
mod unsound;
mod validate;
mod values;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Target, TargetKind};

pub use access_point::{AccessPoint, Permissions, PermissionsError};
pub use capacity::{
    Capacity, CrashLoops, Disconnected, DisconnectedAction, Fallback, FallbackError, InstanceDrain, Maintenance,
    MaintenanceAction, Placement, Rebalance, ServiceCapacity, Share, Spot, SpotFallback, Standalone, StrategyItem,
};
pub use create::{Create, HealthCheck, Making, making};
pub use delivery::{
    Approval, Base, Delivery, Order, Rollback, Scan, Severity, TagPolicy, Unrated, Waves, Window, Windows,
};
pub use discovery::{ATTRIBUTE_NAMES, Address, Balancing, Discovery, Drain, When};
pub use problem::{Level, Path, Problem, Segment};
pub use range::{out_of_range, whole_range};
pub use scaling::{
    AlarmRule, Change, Cooldown, DuringDeployment, Limit, Missing, PerPeriod, QueueRule, Rule, RuleError, Scaling,
    Schedule, Stabilise, Step,
};
pub use stateful::{Filesystem, LaunchType, Network, Stateful, StatefulSnapshot};
pub use storage::{ClusterStorage, Keep, OrphanAction, Orphans, Restore, Snapshot, Storage};
pub use unsound::unsound;
pub use validate::validate;
pub use values::{Span, SpanError};

/// The version of the format that this program reads.
pub const VERSION: u32 = 1;

/// What [`crate::ids::Target::parse`] takes, for editors.
const TARGET_PATTERN: &str = "^[A-Za-z0-9_-]{1,255}/[A-Za-z0-9_-]{1,255}$";

/// The whole document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "wharfinger.yaml")]
pub struct Document {
    /// The version of this format: 1.
    #[schemars(extend("const" = VERSION))]
    pub version: u32,
    /// What each ECS service wants, by `cluster/service`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": TARGET_PATTERN}))]
    pub services: BTreeMap<String, Service>,
    /// What standalone and scheduled tasks want, by `cluster/family`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": TARGET_PATTERN}))]
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
    /// Where its tasks run when there is no room for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<ServiceCapacity>,
    /// Of a family only: what is stored of it is what is stored of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub stateful: Option<Stateful>,
}

impl Service {
    /// Whether volumes of its tasks are kept.
    #[must_use]
    pub fn keeps_volumes(&self) -> bool {
        !self.storage.is_empty() || self.stateful.is_some()
    }
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
    /// That its tasks are kept running, each with a volume of its own that outlives it.
    #[serde(
        default,
        deserialize_with = "storage::written",
        skip_serializing_if = "Option::is_none"
    )]
    pub stateful: Option<Stateful>,
}

/// What one cluster wants.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cluster {
    /// What happens with its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// What happens with its volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<ClusterStorage>,
}

impl Cluster {
    /// What happens with volumes that ECS left behind; `None` where nothing does.
    #[must_use]
    pub fn orphans(&self) -> Option<Orphans> {
        self.storage.as_ref()?.orphans
    }
}

impl From<Service> for Tasks {
    /// Of a family's stored configuration nothing is lost: it was made from these four.
    fn from(service: Service) -> Self {
        Self {
            discovery: service.discovery,
            balancing: service.balancing,
            delivery: service.delivery,
            stateful: service.stateful,
        }
    }
}

impl From<Tasks> for Service {
    fn from(tasks: Tasks) -> Self {
        Self {
            discovery: tasks.discovery,
            balancing: tasks.balancing,
            delivery: tasks.delivery,
            stateful: tasks.stateful,
            ..Self::default()
        }
    }
}

/// One target as it is written in a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Under which top-level key it stands.
    pub kind: TargetKind,
    /// `cluster/name`, as it is written.
    pub name: String,
    /// Where it stands.
    pub path: Path,
    /// What it wants.
    pub config: Service,
}

impl Document {
    /// Every target that is written, services first.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let entry = |kind, top: &str, name: &String, config| Entry {
            kind,
            name: name.clone(),
            path: Path::root().at(top).at(name),
            config,
        };
        let services = self.services.iter();
        let services = services.map(move |(n, s)| entry(TargetKind::Service, "services", n, s.clone()));
        let tasks = self
            .tasks
            .iter()
            .map(move |(n, t)| entry(TargetKind::Task, "tasks", n, t.clone().into()));
        services.chain(tasks)
    }

    /// What a service or family wants; `None` when it is not in the document.
    pub fn find(&self, target: &Target) -> Option<Service> {
        match target.kind {
            TargetKind::Service => self.services.get(&target.to_string()).cloned(),
            TargetKind::Task => self.tasks.get(&target.to_string()).cloned().map(Service::from),
            TargetKind::Cluster => None,
        }
    }
}

/// The JSON Schema of the document, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
