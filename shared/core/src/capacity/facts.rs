//! What is known when a cluster's instances are decided on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{AutoScalingInstance, CapacityProvider, ContainerInstance, Going, InstanceStatus};
use crate::config::Capacity;
use crate::event::TaskStateChange;
use crate::ids::{Target, TargetKind};
use crate::known::Known;

/// What [`decide`](super::decide()) looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The cluster.
    pub target: Target,
    /// Its configuration.
    pub capacity: Capacity,
    /// Every instance that goes or is suspected, by its EC2 id.
    pub going: BTreeMap<String, Going>,
    /// The container instances, by their EC2 id (`ListContainerInstances`, `DescribeContainerInstances`): those of `going`, or
    /// all of the cluster. One that is not there is not registered.
    pub instances: Known<BTreeMap<String, ContainerInstance>>,
    /// Whether `instances` are all of the cluster: only then are agents that are gone looked for.
    pub whole: bool,
    /// What the groups say of the instances, by their EC2 id (`DescribeAutoScalingInstances`); one that is not there is in no
    /// group. Asked of what [`Facts::asks_groups`] names.
    pub scaling: Known<BTreeMap<String, AutoScalingInstance>>,
    /// The capacity providers, by name (`DescribeCapacityProviders`). What is not known has no managed draining.
    pub providers: BTreeMap<String, CapacityProvider>,
    /// The tasks on a container instance, by its ARN (`ListTasks`, `DescribeTasks`). Absent is that of which nothing is known.
    pub tasks: BTreeMap<String, Vec<TaskOn>>,
    /// How many tasks are stopping on a container instance, by its ARN (`ListTasks` of those that are not wanted any more,
    /// `DescribeTasks`). Asked of what [`Facts::asks_leaving`] names; absent is none.
    pub leaving: Known<BTreeMap<String, u32>>,
    /// How far services may go down and up in a deployment (`DescribeServices`), for a warning only.
    pub services: BTreeMap<Target, Percents>,
}

/// A task on an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOn {
    /// Its ARN.
    pub arn: String,
    /// The service that started it; none of a standalone task.
    pub service: Option<Target>,
}

impl TaskOn {
    /// A task as `DescribeTasks` answers it. One whose owner cannot be read counts as a service's: it is not stopped.
    #[must_use]
    pub fn of(task: &TaskStateChange) -> Self {
        let service = match task.target() {
            Ok(target) if target.kind == TargetKind::Task => None,
            Ok(target) => Some(target),
            Err(_) => Some(Target::service(crate::ids::cluster_name(&task.cluster_arn), "?")),
        };
        Self {
            arn: task.task_arn.to_string(),
            service,
        }
    }
}

/// How far a service may go down and up, in percent of its count (ECS API reference, `DeploymentConfiguration`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percents {
    /// `minimumHealthyPercent`.
    pub minimum: u64,
    /// `maximumPercent`.
    pub maximum: u64,
}

impl Percents {
    /// Reads one service of `DescribeServices`; `None` when it does not say.
    #[must_use]
    pub fn parse(service: &Value) -> Option<Self> {
        let configuration = service.get("deploymentConfiguration")?;
        let percent = |field| configuration.get(field).and_then(Value::as_u64);
        Some(Self {
            minimum: percent("minimumHealthyPercent")?,
            maximum: percent("maximumPercent")?,
        })
    }

    /// Whether no task can leave an instance: neither may one be missing, nor one too many run (ECS developer guide,
    /// "Draining Amazon ECS container instances").
    #[must_use]
    pub const fn forbids_draining(self) -> bool {
        self.minimum >= 100 && self.maximum <= 100
    }
}

impl Facts {
    /// Nothing but the cluster and its configuration.
    #[must_use]
    pub fn new(target: Target, capacity: Capacity) -> Self {
        Self {
            target,
            capacity,
            going: BTreeMap::new(),
            instances: Known::No,
            whole: false,
            scaling: Known::No,
            providers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            leaving: Known::Yes(BTreeMap::new()),
            services: BTreeMap::new(),
        }
    }

    /// The container instance of an EC2 instance, as far as it is known.
    #[must_use]
    pub fn instance(&self, id: &str) -> Option<&ContainerInstance> {
        let Known::Yes(instances) = &self.instances else {
            return None;
        };
        instances.get(id).filter(|instance| !instance.status.is_gone())
    }

    /// What its group says of an instance, as far as it is known.
    #[must_use]
    pub fn scaling_of(&self, id: &str) -> Option<&AutoScalingInstance> {
        let Known::Yes(scaling) = &self.scaling else {
            return None;
        };
        scaling.get(id)
    }

    /// Whether ECS drains the instance itself.
    #[must_use]
    pub fn drained_by_ecs(&self, instance: &ContainerInstance) -> bool {
        let provider = instance.capacity_provider_name.as_ref();
        let provider = provider.and_then(|name| self.providers.get(name));
        provider.is_some_and(|provider| provider.managed_draining)
    }

    /// Of which instances `DescribeAutoScalingInstances` is to be asked.
    #[must_use]
    pub fn asks_groups(&self) -> Vec<String> {
        let going = self.going.iter().filter(|(_, going)| {
            let hooked = !going.causes.hooks.is_empty() || going.did.found_waiting.is_some();
            !going.is_over() && (hooked || going.did.disconnected.is_some() || going.did.unhealthy_at.is_some())
        });
        going.map(|(id, _)| id.clone()).collect()
    }

    /// On which container instances, by ARN, `ListTasks` is to be asked, and then `DescribeTasks`: what is to be stopped
    /// must be known.
    #[must_use]
    pub fn asks_tasks(&self, now: jiff::Timestamp) -> Vec<String> {
        let going = self.going.iter();
        let due = going.filter(|(id, going)| super::cause::goes(self, id, going, now).is_some());
        let instances = due.filter_map(|(id, _)| self.instance(id));
        let full = instances.filter(|instance| instance.tasks() != Some(0) && !self.drained_by_ecs(instance));
        full.map(|instance| instance.arn.clone()).collect()
    }

    /// On which container instances, by ARN, is to be asked what is still stopping: those of which ECS counts no task, and
    /// for which a group waits. `runningTasksCount` has only tasks that ECS wants to run (ECS API reference,
    /// `ContainerInstance`): while they stop, up to `stopTimeout` long, they are in no count (aws-cdk #13506).
    #[must_use]
    pub fn asks_leaving(&self, now: jiff::Timestamp) -> Vec<String> {
        let waits = |id: &str, going: &Going| {
            going.open().any(|hook| super::cause::is_ours(self, hook)) || super::cause::is_waiting(self, id)
        };
        let going = self.going.iter().filter(|(id, going)| waits(id, going));
        let due = going.filter(|(id, going)| super::cause::goes(self, id, going, now).is_some());
        let instances = due.filter_map(|(id, _)| self.instance(id));
        let uncounted = instances.filter(|instance| {
            instance.status == InstanceStatus::Draining && instance.tasks() == Some(0) && !self.drained_by_ecs(instance)
        });
        uncounted.map(|instance| instance.arn.clone()).collect()
    }
}
