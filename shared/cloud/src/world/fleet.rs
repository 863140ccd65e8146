//! The instances of clusters: registered with ECS, in Auto Scaling groups, going and coming.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_core::capacity::{CapacityProvider, ContainerInstance, InstanceStatus, State};
use wharfinger_core::endpoint::Host;
use wharfinger_core::ids::TaskArn;

use super::autoscaling::Group;
use super::{ACCOUNT, Caller, REGION, World};
use crate::error::CloudError;
use crate::ports::{CapacityProviders, ContainerInstances, NotChanged};

/// What is known of instances and their groups.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// The machines that are registered, or were, by the ARN of the container instance.
    pub machines: BTreeMap<String, Machine>,
    /// Auto Scaling groups, by name.
    pub groups: BTreeMap<String, Group>,
    /// Capacity providers, by name.
    pub providers: BTreeMap<String, CapacityProvider>,
    /// What callers ordered, and when.
    pub orders: Vec<(Timestamp, Rc<str>, Order)>,
}

/// An EC2 instance that is registered with a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// `i-…`.
    pub id: String,
    /// The cluster's name.
    pub cluster: String,
    /// Its state; one that is INACTIVE is not in the cluster any more.
    pub status: InstanceStatus,
    /// Whether its agent talks to ECS.
    pub agent_connected: bool,
    /// The capacity provider that it belongs to.
    pub provider: Option<String>,
    /// Rises with every change that ECS tells of.
    pub version: i64,
    /// When it was registered.
    pub registered_at: Timestamp,
}

/// What a caller ordered: each was taken, and changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// `UpdateContainerInstancesState`: which, and to what.
    State(Vec<String>, State),
    /// `StopTask`.
    StopTask(String),
    /// `RecordLifecycleActionHeartbeat`: the EC2 instance.
    Heartbeat(String),
    /// `CompleteLifecycleAction`: the EC2 instance, and how many tasks ran on it then.
    Complete(String, usize),
    /// `SetInstanceHealth`.
    Unhealthy(String),
    /// `SetDesiredCapacity`.
    Capacity(String, u32),
}

impl Machine {
    /// Whether ECS places tasks on it.
    #[must_use]
    pub fn takes_tasks(&self) -> bool {
        self.status == InstanceStatus::Active && self.agent_connected
    }
}

impl World {
    /// Starts a machine that registers with a cluster. The answer is the container instance's ARN.
    pub fn make_machine(&mut self, cluster: &str) -> String {
        let serial = self.next();
        let id = format!("i-{serial:017x}");
        let host = Host {
            instance_id: Some(id.clone()),
            private_ipv4: Some(format!("10.8.{}.{}", serial / 250 % 250, serial % 250 + 1)),
            ..Host::default()
        };
        let arn = self.make_container_instance(cluster, host);
        let machine = Machine {
            id,
            cluster: cluster.to_owned(),
            status: InstanceStatus::Active,
            agent_connected: true,
            provider: None,
            version: 1,
            registered_at: self.now,
        };
        self.fleet.machines.insert(arn.clone(), machine);
        for network in self
            .host_networks
            .iter_mut()
            .filter(|(target, _)| target.cluster == cluster)
        {
            network.1.instances.push(arn.clone());
        }
        self.tell_machine(&arn);
        arn
    }

    /// The container instance of a machine that is in its cluster.
    #[must_use]
    pub fn machine(&self, id: &str) -> Option<(&String, &Machine)> {
        let known = |(_, machine): &(&String, &Machine)| machine.id == id && !machine.status.is_gone();
        self.fleet.machines.iter().find(known)
    }

    /// The agent of a machine loses its connection, or has it again.
    pub fn set_agent(&mut self, id: &str, connected: bool) {
        let Some(arn) = self.machine(id).map(|(arn, _)| arn.clone()) else {
            return;
        };
        self.change_machine(&arn, |machine| {
            let changes = machine.agent_connected != connected;
            machine.agent_connected = connected;
            changes
        });
    }

    /// Spot says that it takes a machine back (`terminate` or `stop`); whoever plays it does so two minutes later.
    pub fn warn_of_spot(&mut self, id: &str, action: &str) {
        let detail = json!({ "instance-id": id, "instance-action": action });
        self.emit("aws.ec2", "EC2 Spot Instance Interruption Warning", None, &detail);
    }

    /// Spot says that it may take a machine back.
    pub fn recommend_rebalance(&mut self, id: &str) {
        let detail = json!({ "instance-id": id });
        self.emit("aws.ec2", "EC2 Instance Rebalance Recommendation", None, &detail);
    }

    /// AWS Health tells of a reboot of a machine's host, or that it is over.
    pub fn schedule_reboot(&mut self, id: &str, starts: Timestamp, closed: bool) {
        let mail = |at: Timestamp| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let detail = json!({
            "eventArn": format!("arn:aws:health:{REGION}::event/EC2/AWS_EC2_SYSTEM_REBOOT_MAINTENANCE_SCHEDULED/{id}"),
            "service": "EC2",
            "eventTypeCode": "AWS_EC2_SYSTEM_REBOOT_MAINTENANCE_SCHEDULED",
            "eventTypeCategory": "scheduledChange",
            "statusCode": if closed { "closed" } else { "upcoming" },
            "startTime": mail(starts),
            "lastUpdatedTime": mail(self.now),
            "affectedEntities": [{ "entityValue": id }],
        });
        self.emit("aws.health", "AWS Health Event", Some(id.to_owned()), &detail);
    }

    /// A machine stops, with whatever ran on it, and stays in its cluster; or it runs again.
    pub fn set_running(&mut self, id: &str, runs: bool) {
        let state = if runs { "running" } else { "stopping" };
        let detail = json!({ "instance-id": id, "state": state });
        self.emit("aws.ec2", "EC2 Instance State-change Notification", None, &detail);
        if !runs {
            self.kill_all(id);
        }
        self.set_agent(id, runs);
    }

    /// A machine is rebooted: EC2 does not tell of it. Whoever plays it connects its agent again.
    pub fn reboot(&mut self, id: &str) {
        self.kill_all(id);
        self.set_agent(id, false);
    }

    /// Whatever runs on a machine is gone, and the machine stays.
    pub(super) fn kill_all(&mut self, id: &str) {
        let arn = self.machine(id).map(|(arn, _)| arn.clone());
        let here: Vec<_> = arn.iter().flat_map(|arn| self.on(arn)).collect();
        for task in here {
            self.kill(&task);
        }
    }

    /// A machine is gone, with whatever ran on it.
    pub fn end_machine(&mut self, id: &str) {
        let detail = json!({ "instance-id": id, "state": "shutting-down" });
        self.emit("aws.ec2", "EC2 Instance State-change Notification", None, &detail);
        let Some(arn) = self.machine(id).map(|(arn, _)| arn.clone()) else {
            return;
        };
        for task in self.on(&arn) {
            self.kill(&task);
        }
        self.change_machine(&arn, |machine| {
            machine.status = InstanceStatus::Inactive;
            machine.agent_connected = false;
            true
        });
        self.container_instances.remove(&arn);
        for network in self.host_networks.values_mut() {
            network.instances.retain(|one| *one != arn);
        }
    }

    /// The tasks on a container instance that have not stopped.
    pub(super) fn on(&self, arn: &str) -> Vec<String> {
        let here = self.tasks.values().filter(|task| {
            let placed = task.placement.as_ref();
            placed.is_some_and(|placed| placed.container_instance == arn) && task.holds_address()
        });
        here.map(|task| task.arn.clone()).collect()
    }

    /// Whether ECS places tasks on a container instance; of one that is no machine nothing speaks against it.
    pub(super) fn takes_tasks(&self, arn: &str) -> bool {
        self.fleet.machines.get(arn).is_none_or(Machine::takes_tasks)
    }

    /// Whether a task is to leave its instance.
    pub(super) fn is_drained(&self, task: &super::Task) -> bool {
        let placed = task.placement.as_ref();
        let machine = placed.and_then(|placed| self.fleet.machines.get(&placed.container_instance));
        machine.is_some_and(|machine| machine.status == InstanceStatus::Draining)
    }

    pub(super) fn change_machine(&mut self, arn: &str, change: impl FnOnce(&mut Machine) -> bool) {
        let Some(machine) = self.fleet.machines.get_mut(arn) else {
            return;
        };
        if change(machine) {
            machine.version += 1;
            self.tell_machine(arn);
        }
    }

    fn tell_machine(&mut self, arn: &str) {
        if self.unheard {
            return;
        }
        if let Some(machine) = self.fleet.machines.get(arn) {
            let mut detail = self.machine_json(arn, machine);
            // The event lacks the counts.
            if let Some(fields) = detail.as_object_mut() {
                fields.remove("runningTasksCount");
                fields.remove("pendingTasksCount");
            }
            self.emit(
                "aws.ecs",
                "ECS Container Instance State Change",
                Some(arn.to_owned()),
                &detail,
            );
        }
    }

    pub(super) fn machine_json(&self, arn: &str, machine: &Machine) -> Value {
        // ECS counts the tasks that it wants, not those that are stopping.
        let here: Vec<_> = self
            .on(arn)
            .into_iter()
            .filter_map(|arn| self.tasks.get(&arn))
            .collect();
        let here: Vec<_> = here.into_iter().filter(|task| task.wanted).collect();
        let running = here.iter().filter(|task| !task.is_starting()).count();
        json!({
            "containerInstanceArn": arn,
            "clusterArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{}", machine.cluster),
            "ec2InstanceId": machine.id,
            "status": machine.status,
            "agentConnected": machine.agent_connected,
            "runningTasksCount": running,
            "pendingTasksCount": here.len() - running,
            "capacityProviderName": machine.provider,
            "version": machine.version,
            "registeredAt": machine.registered_at.to_string(),
        })
    }

    pub(super) fn ordered(&mut self, order: Order) {
        let caller = Rc::clone(&self.caller);
        self.fleet.orders.push((self.now, caller, order));
    }

    fn described_instances(&self, cluster: &str, pick: impl Fn(&Machine) -> bool) -> Vec<ContainerInstance> {
        let machines = self.fleet.machines.iter();
        let of = machines.filter(|(_, machine)| machine.cluster == cluster && pick(machine));
        of.filter_map(|(arn, machine)| ContainerInstance::parse(&self.machine_json(arn, machine)).ok())
            .collect()
    }

    fn set_states(&mut self, arns: &[String], state: State) -> Vec<NotChanged> {
        let (mut not_changed, mut changed) = (Vec::new(), Vec::new());
        let status = match state {
            State::Active => InstanceStatus::Active,
            State::Draining => InstanceStatus::Draining,
        };
        for arn in arns {
            match self.fleet.machines.get(arn).map(|machine| machine.status) {
                None => not_changed.push(NotChanged {
                    arn: arn.clone(),
                    reason: "MISSING".to_owned(),
                }),
                Some(known) if known.is_gone() => not_changed.push(NotChanged {
                    arn: arn.clone(),
                    reason: "INACTIVE".to_owned(),
                }),
                Some(known) if known == status => {}
                Some(_) => {
                    self.change_machine(arn, |machine| {
                        machine.status = status;
                        true
                    });
                    changed.push(arn.clone());
                }
            }
        }
        if !changed.is_empty() {
            self.ordered(Order::State(changed, state));
        }
        not_changed
    }
}

impl ContainerInstances for Caller {
    async fn container_instances(
        &self,
        cluster: &str,
        ec2_instances: Option<&[String]>,
    ) -> Result<Vec<ContainerInstance>, CloudError> {
        let wanted: Option<BTreeSet<_>> = ec2_instances.map(|ids| ids.iter().collect());
        let list = |world: &World| {
            let is_wanted = |machine: &Machine| wanted.as_ref().is_none_or(|ids| ids.contains(&machine.id));
            Ok(world.described_instances(cluster, |machine| !machine.status.is_gone() && is_wanted(machine)))
        };
        let brief = |found: &Vec<_>| format!("{} instance(s)", found.len());
        self.read("ListContainerInstances", || cluster.to_owned(), list, brief)
            .await
    }

    async fn tasks_leaving(&self, cluster: &str, container_instance: &str) -> Result<Vec<TaskArn>, CloudError> {
        let list = |world: &World| {
            let here = world.on(container_instance).into_iter();
            let leaving = here.filter(|arn| {
                let task = world.tasks.get(arn);
                task.is_some_and(|task| !task.wanted && task.target.cluster == cluster)
            });
            Ok(leaving.filter_map(|arn| arn.parse().ok()).collect())
        };
        let argument = || format!("{cluster} {container_instance} STOPPED");
        let brief = |found: &Vec<_>| format!("{} task(s)", found.len());
        self.read("ListTasks", argument, list, brief).await
    }

    async fn set_container_instances_state(
        &self,
        _: &str,
        arns: &[String],
        state: State,
    ) -> Result<Vec<NotChanged>, CloudError> {
        let set = |world: &mut World| Ok(world.set_states(arns, state));
        let argument = || format!("{} instance(s) {state:?}", arns.len());
        let brief = |failed: &Vec<_>| format!("{} not changed", failed.len());
        self.write("UpdateContainerInstancesState", argument, set, brief).await
    }

    async fn stop_task(&self, _: &str, task: &TaskArn, reason: &str) -> Result<(), CloudError> {
        let stop = |world: &mut World| {
            if world.tasks.get(task.as_str()).is_some_and(|task| task.wanted) {
                world.make(&super::Move::Stop(task.to_string()));
                world.ordered(Order::StopTask(task.to_string()));
            }
            Ok(())
        };
        self.write(
            "StopTask",
            || format!("{task}: {reason}"),
            stop,
            |()| "taken".to_owned(),
        )
        .await
    }
}

impl CapacityProviders for Caller {
    async fn capacity_providers(&self, names: &[String]) -> Result<Vec<CapacityProvider>, CloudError> {
        let describe = |world: &World| {
            let known = names.iter().filter_map(|name| world.fleet.providers.get(name));
            Ok(known.cloned().collect())
        };
        let brief = |found: &Vec<_>| format!("{} provider(s)", found.len());
        self.read("DescribeCapacityProviders", || names.join(" "), describe, brief)
            .await
    }
}

#[cfg(test)]
mod tests;
