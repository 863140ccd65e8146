//! What stands for tasks, in a registry or in a target group: what both have in common.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::world::{Change, Did, Task, World};
use wharfinger_core::capacity::InstanceStatus;

use super::{LEARNS, SKEW, Violation, Watch, plan};
use crate::simulation::bus;
use crate::simulation::groups::{self, Place};
use crate::simulation::invocation::TIMEOUT;
use crate::simulation::scenario::{Plan, Scenario};

/// What the checks remember of tasks and of what stands for them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When the health of a task changed last, by its ARN.
    health: BTreeMap<String, Timestamp>,
    /// The last invocation that had begun when the function of target groups had heard that a task runs.
    pub(super) joined: BTreeMap<String, (u64, Timestamp)>,
    /// Since when the sweeps of target groups run, by their name.
    pub(super) sweeps: BTreeMap<String, Timestamp>,
    /// Since when targets drain.
    pub(super) draining: BTreeMap<Place, Timestamp>,
    /// Targets that may have stood for tasks which ECS has forgotten.
    pub(super) forgotten: BTreeSet<Place>,
}

impl Watch {
    /// The health of a task changed.
    pub fn health(&mut self, arn: &str, at: Timestamp) {
        self.seen.health.insert(arn.to_owned(), at);
    }

    /// ECS is about to forget a task.
    pub fn forgets(&mut self, world: &World, scenario: &Scenario, arn: &str) {
        let Some(task) = world.tasks.get(arn) else { return };
        let Some(plan) = plan(scenario, &task.target) else {
            return;
        };
        let places = world
            .groups
            .keys()
            .filter_map(|arn| place(world, task, arn, plan.port()));
        self.seen.forgotten.extend(places);
    }

    /// A target does not drain any more: it is gone.
    pub fn drained(&mut self, place: &Place) {
        self.seen.draining.remove(place);
    }

    /// An invocation of the function of target groups begins.
    pub fn begins(&mut self, name: &str, event: &serde_json::Value, at: Timestamp) {
        if bus::is_sweep(event) {
            self.seen.sweeps.insert(name.to_owned(), at);
        }
    }

    /// The function of target groups has heard of a task. `last` is the number of the last invocation that began.
    /// What it heard while the target was paused, it let pass.
    pub fn heard(&mut self, world: &World, scenario: &Scenario, event: &serde_json::Value, last: u64) {
        let at = world.now;
        let target = bus::task(event)
            .and_then(|arn| world.tasks.get(arn))
            .map(|task| &task.target);
        let paused = target.and_then(|target| plan(scenario, target)?.paused);
        if paused.is_some_and(|(_, until)| at.duration_since(until) <= SKEW) {
            return;
        }
        if let Some(task) = bus::task(event).filter(|_| bus::is_running(event)) {
            self.seen.joined.entry(task.to_owned()).or_insert((last, at));
        }
    }
}

/// What is asked for one task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub plan: &'a Plan,
    pub task: &'a Task,
    pub healthy: bool,
}

impl Wanted<'_> {
    /// Whether every invocation knows by now that it is wanted: the configuration, and the task's health.
    pub fn is_known(&self, world: &World, watch: &Watch) -> bool {
        let before = |at: Option<Timestamp>, long: SignedDuration| {
            at.is_none_or(|at| world.now.duration_since(at) > long + SKEW)
        };
        let health = watch.seen.health.get(&self.task.arn).copied();
        before(self.plan.changed, LEARNS) && (!self.healthy || before(health, TIMEOUT))
    }
}

/// The tasks of a target that an entry asks for.
pub(super) fn tasks<'a>(world: &'a World, plan: &'a Plan, healthy: bool) -> impl Iterator<Item = Wanted<'a>> {
    let tasks = world.tasks.values();
    let wanted = tasks.filter(move |task| task.target == plan.target && task.is_running());
    let wanted = wanted.filter(move |task| !healthy || task.health == Some("HEALTHY"));
    let wanted: Vec<_> = wanted.collect();
    let drains = |task: &&Task| {
        let placed = task.placement.as_ref();
        let machine = placed.and_then(|placed| world.fleet.machines.get(&placed.container_instance));
        machine.is_some_and(|machine| machine.status == InstanceStatus::Draining)
    };
    // Those on instances that drain have left, if there are others.
    let all_drain = wanted.iter().all(drains);
    let wanted = wanted.into_iter().filter(move |task| all_drain || !drains(task));
    wanted.map(move |task| Wanted { plan, task, healthy })
}

/// Where a port of a task is reached.
#[derive(Debug, Clone, Default)]
pub(super) struct Reached {
    /// The address.
    pub address: String,
    /// The instance whose address that is.
    pub instance: Option<String>,
    /// The port there.
    pub port: Option<u16>,
}

/// Where a container port of a task is reached, or the task when it has none.
pub(super) fn reached(world: &World, task: &Task, port: Option<u16>) -> Reached {
    let Some(placement) = task.placement.as_ref().filter(|placement| !placement.interfaces) else {
        return Reached {
            address: task.address.clone().unwrap_or_default(),
            instance: None,
            port,
        };
    };
    let host = world.container_instances.get(&placement.container_instance);
    let host = host.cloned().unwrap_or_default();
    let bound = placement.bindings.iter().find(|b| Some(b.container_port) == port);
    Reached {
        address: host.private_ipv4.unwrap_or_default(),
        instance: host.instance_id,
        port: bound.map(|b| b.host_port),
    }
}

/// What a container port of a task is in a target group, if it can be a target there.
pub(super) fn place(world: &World, task: &Task, group: &str, port: u16) -> Option<Place> {
    use wharfinger_core::balancing::TargetType;
    let reached = reached(world, task, Some(port));
    let id = match world.groups.get(group)?.target_type {
        TargetType::Instance => reached.instance?,
        TargetType::Ip | TargetType::Unknown | TargetType::Other => reached.address,
    };
    Some((group.to_owned(), id, reached.port?))
}

/// Whether two tasks have the same address and, on an instance, the same port.
fn is_same_place(one: &Task, other: &Task) -> bool {
    match (&one.placement, &other.placement) {
        (None, None) => one.address.is_some() && one.address == other.address,
        (Some(one), Some(other)) => {
            let port = |port: &wharfinger_cloud::world::Binding| port.host_port;
            let taken: Vec<_> = one.bindings.iter().map(port).collect();
            one.container_instance == other.container_instance
                && other.bindings.iter().map(port).any(|p| taken.contains(&p))
        }
        _ => false,
    }
}

/// While a target is paused nothing of it changes.
pub(super) fn not_paused(world: &World, scenario: &Scenario, watch: &Watch, did: &Did) -> Result<(), Violation> {
    let targets: Vec<_> = match &did.change {
        Change::Wrote(..)
        | Change::RegisterTaskDefinition(_)
        | Change::MoveFollower(_)
        | Change::CreateSnapshot(_)
        | Change::DeleteSnapshot { .. }
        | Change::DeleteVolume(_)
        | Change::RunTask { .. }
        | Change::CreateAccessPoint(_)
        | Change::StopServiceDeployment { .. } => Vec::new(),
        // Whoever has the address by now is not paused, and takes the stale endpoint away.
        Change::Deregister { instance_id, .. } if is_taken_over(world, instance_id) => Vec::new(),
        Change::Register { instance_id, .. } | Change::Deregister { instance_id, .. } => {
            task_of(world, instance_id).map(|t| &t.target).into_iter().collect()
        }
        Change::RegisterTargets { group, targets } | Change::DeregisterTargets { group, targets } => {
            let owner = |t| sole_owner(world, scenario, watch, &groups::place(group, t));
            targets.iter().filter_map(owner).collect()
        }
        Change::UpdateService { target, .. } => vec![target],
    };
    let paused = targets.into_iter().filter_map(|t| plan(scenario, t)?.paused);
    for (from, until) in paused {
        if world.now.duration_since(from) > LEARNS + SKEW && world.now < until.saturating_sub(SKEW).unwrap_or(until) {
            return Err(Violation::new(format!(
                "{} changes what is paused since {from}: {:?}",
                did.caller, did.change
            )));
        }
    }
    Ok(())
}

/// To which target of ECS a target of a group belongs; `None` when tasks of several have had that address.
fn sole_owner<'a>(
    world: &'a World,
    scenario: &Scenario,
    watch: &Watch,
    at: &Place,
) -> Option<&'a wharfinger_core::ids::Target> {
    if watch.seen.forgotten.contains(at) {
        return None;
    }
    let had = |task: &&Task| {
        let port = plan(scenario, &task.target).map(Plan::port);
        port.and_then(|port| place(world, task, &at.0, port)).as_ref() == Some(at)
    };
    let mut owners = world.tasks.values().filter(had).map(|task| &task.target);
    let first = owners.next()?;
    owners.all(|other| other == first).then_some(first)
}

fn task_of<'a>(world: &'a World, instance_id: &str) -> Option<&'a Task> {
    let id = instance_id.split('-').next().unwrap_or_default();
    world.tasks.values().find(|task| task.id() == id)
}

/// Whether the task of an endpoint is gone, and its address was given to another: who acts may have fallen behind, and that
/// one may be gone by now, too.
fn is_taken_over(world: &World, instance_id: &str) -> bool {
    let Some(gone) = task_of(world, instance_id).filter(|task| !task.is_running()) else {
        return false;
    };
    let mut others = world.tasks.values().filter(|task| task.id() != gone.id());
    others.any(|task| is_same_place(gone, task))
}
