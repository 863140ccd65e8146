//! A world in memory behind every port: for the simulation, and for tests of what is generic over ports.
//!
//! It keeps to what AWS does, as far as the ports can see it: conditional writes, operations of Cloud Map that run by
//! themselves, deployments that replace one task after the other, revisions that never come back. What it does by itself
//! it does when it is told to ([`World::moves`], [`World::make`]), so that whoever drives it decides in which order. What
//! AWS would send to EventBridge is left in [`World::emitted`].
//!
//! A [`Caller`] is one invocation's way into it. Each call waits at a [`Gates`] until it is let through, and then has its
//! effect at once; it may be told to fail before or after.

mod access_points;
mod alarms;
mod around;
mod autoscaling;
mod caller;
mod definitions;
mod event;
mod fleet;
mod gate;
mod groups;
mod hosts;
mod images;
mod instances;
mod launches;
mod placement;
mod registry;
mod scaling;
mod services;
mod storage;
mod tables;
mod tasks;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::Timestamp;
use serde_json::Value;
use wharfinger_core::balancing::TargetDescription;

use wharfinger_core::endpoint::Host;
use wharfinger_core::ids::Target;
use wharfinger_core::service::ServiceFacts;
use wharfinger_core::storage::{AccessPoint, Snapshot};

use crate::ports::{QueueDepth, ServiceChange};
use crate::table::{Key, TableName};

pub use access_points::{Efs, Opening};
pub use alarms::Board;
pub use around::Around;
pub use autoscaling::{Group as ScalingGroup, Hook, Member, Waits};
pub use caller::Caller;
pub use definitions::Definitions;
pub use fleet::{Fleet, Machine, Order};
pub use gate::{Fate, Gates, Stop, What};
pub use groups::Group;
pub use images::{Repositories, registry};
pub use launches::{Launch, Launches};
pub use placement::{Binding, HostNetwork, Placement, PortMapping};
pub use registry::{CloudMap, Operation, Work};
pub use services::{Deployment, Rollout, Service};
pub use storage::{Ebs, Shot};
pub use tables::Tables;
pub use tasks::{Move, Task};

/// The account of everything in this world.
pub const ACCOUNT: &str = "111122223333";
/// The Region of everything in this world.
pub const REGION: &str = "eu-west-1";

/// Everything outside of a function.
#[derive(Debug)]
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// The two tables.
    pub tables: Tables,
    /// Cloud Map.
    pub map: CloudMap,
    /// ECS services.
    pub services: BTreeMap<Target, Service>,
    /// ECS tasks, also those that have stopped and are not forgotten yet, by their ARN.
    pub tasks: BTreeMap<String, Task>,
    /// Which targets' tasks share the addresses of container instances; all others have network interfaces.
    pub host_networks: BTreeMap<Target, HostNetwork>,
    /// Container instances, by their ARN.
    pub container_instances: BTreeMap<String, Host>,
    /// Instances and their Auto Scaling groups.
    pub fleet: Fleet,
    /// The public addresses of network interfaces, by `eni-…`.
    pub public_addresses: BTreeMap<String, String>,
    /// Target groups, by their ARN.
    pub groups: BTreeMap<String, Group>,
    /// Task definitions.
    pub definitions: Definitions,
    /// CloudWatch alarms.
    pub alarms: Board,
    /// Queues, by name.
    pub queues: BTreeMap<String, QueueDepth>,
    /// The services that Application Auto Scaling moves.
    pub scalable: BTreeSet<Target>,
    /// ECR repositories.
    pub repositories: Repositories,
    /// Volumes and snapshots.
    pub ebs: Ebs,
    /// File systems and their access points.
    pub efs: Efs,
    /// What `RunTask` was asked for.
    pub launches: Launches,
    /// Rules, schedules, the event bus and parameters.
    pub around: Around,
    /// What AWS sent to EventBridge, in the order in which it happened.
    pub emitted: Vec<Value>,
    /// Whether nobody listens: then [`World::emitted`] stays as it is.
    pub unheard: bool,
    /// What callers changed, in order.
    pub journal: Vec<Did>,
    /// What callers asked and were answered, as text: kept only when [`World::talkative`].
    pub told: Vec<String>,
    /// Whether [`World::told`] is kept.
    pub talkative: bool,
    /// What `DescribeServices` said of each service before our last change, and when that was.
    before: BTreeMap<Target, (ServiceFacts, Timestamp)>,
    lagging: bool,
    serial: u64,
    caller: Rc<str>,
}

/// A world that several callers reach into, one at a time.
pub type Shared = Rc<RefCell<World>>;

/// A change that a caller made.
#[derive(Debug, Clone, PartialEq)]
pub struct Did {
    /// Who.
    pub caller: Rc<str>,
    /// What.
    pub change: Change,
}

/// What a caller changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A write to a table that was made.
    Wrote(TableName, Key),
    /// `RegisterInstance` was taken.
    Register {
        /// The Cloud Map service.
        service_id: String,
        /// The instance.
        instance_id: String,
    },
    /// `DeregisterInstance` was taken.
    Deregister {
        /// The Cloud Map service.
        service_id: String,
        /// The instance.
        instance_id: String,
    },
    /// `RegisterTargets` was taken.
    RegisterTargets {
        /// The group's ARN.
        group: String,
        /// The targets that were not registered, or drained; a call without any is not here.
        targets: Vec<TargetDescription>,
    },
    /// `DeregisterTargets` was taken.
    DeregisterTargets {
        /// The group's ARN.
        group: String,
        /// The targets that were registered and did not drain; a call without any is not here.
        targets: Vec<TargetDescription>,
    },
    /// `UpdateService` was taken.
    UpdateService {
        /// The service.
        target: Target,
        /// What was sent.
        change: ServiceChange,
        /// The count before.
        count: u32,
        /// The task definition before.
        definition: String,
    },
    /// `RegisterTaskDefinition` was taken: the new revision's ARN.
    RegisterTaskDefinition(String),
    /// `PutTargets` or `UpdateSchedule` was taken.
    MoveFollower(wharfinger_core::delivery::Move),
    /// `StopServiceDeployment` was taken.
    StopServiceDeployment {
        /// The service.
        target: Target,
        /// The deployment that ends.
        ended: services::Deployment,
    },
    /// `CreateSnapshot` was taken.
    CreateSnapshot(Snapshot),
    /// `DeleteSnapshot` was taken; of a missing one it is not here.
    DeleteSnapshot {
        /// What it was.
        shot: Shot,
        /// A service whose deployment names it, and whose tasks cannot start any more.
        named_by: Option<Target>,
    },
    /// `CreateAccessPoint` was taken, and it was not there.
    CreateAccessPoint(AccessPoint),
    /// `RunTask` started a task; a repeat that started none is not here.
    RunTask {
        /// The task's ARN.
        arn: String,
        /// The request.
        input: Value,
    },
    /// `DeleteVolume` was taken; of a missing one it is not here.
    DeleteVolume(String),
}

impl World {
    /// An empty world at a time, in whole milliseconds.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            tables: Tables::default(),
            map: CloudMap::default(),
            services: BTreeMap::default(),
            tasks: BTreeMap::default(),
            host_networks: BTreeMap::default(),
            container_instances: BTreeMap::default(),
            fleet: Fleet::default(),
            public_addresses: BTreeMap::default(),
            groups: BTreeMap::default(),
            definitions: Definitions::default(),
            alarms: Board::default(),
            queues: BTreeMap::new(),
            scalable: BTreeSet::new(),
            repositories: Repositories::default(),
            ebs: Ebs::default(),
            efs: Efs::default(),
            launches: Launches::default(),
            around: Around::default(),
            emitted: Vec::new(),
            unheard: false,
            journal: Vec::new(),
            told: Vec::new(),
            talkative: false,
            before: BTreeMap::default(),
            lagging: false,
            serial: 0,
            caller: Rc::from("nobody"),
        }
    }

    /// The same, to be shared by callers.
    #[must_use]
    pub fn shared(self) -> Shared {
        Rc::new(RefCell::new(self))
    }

    fn did(&mut self, change: Change) {
        let caller = Rc::clone(&self.caller);
        self.journal.push(Did { caller, change });
    }

    /// A number that no other has.
    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
