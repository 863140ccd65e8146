//! Endpoints: none points at an instance that is gone for longer than two sweeps, nor at one that drains while there is
//! another elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::world::{Task, World};
use wharfinger_core::capacity::InstanceStatus;
use wharfinger_core::discovery::TASK_ATTRIBUTE;

use crate::simulation::bus::Domain;
use crate::simulation::checks::Violation;
use crate::simulation::groups;

/// How long a look at what has just changed may still say what was before.
const SETTLES: SignedDuration = SignedDuration::from_secs(15);

/// So many sweeps may pass: one finds an operation under way, and of a task that ECS has forgotten it takes two looks.
const SWEEPS: usize = 2;

/// What stands for a task: the registry or group, and the instance or target there.
type Place = (String, String);

/// What is wrong with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    /// Its instance is gone.
    Gone,
    /// Its instance drains, and there is another elsewhere.
    Drains,
}

/// What the checks know of places.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Since when a place is wrong.
    since: BTreeMap<(Domain, Wrong, Place), Timestamp>,
    /// When sweeps that ended well had begun.
    sweeps: BTreeMap<Domain, Vec<Timestamp>>,
    /// The longest time that an endpoint outlived its instance.
    pub longest: SignedDuration,
    /// How many did for a moment at least.
    pub outlived: u64,
    /// How many left an instance that drained before their task stopped.
    pub left: u64,
}

/// An endpoint: where it is, and the ARN of the instance of its task, if that has not gone.
struct Endpoint {
    domain: Domain,
    place: Place,
    on: Option<String>,
}

impl Places {
    /// A sweep ended well.
    pub(super) fn swept(&mut self, domain: Domain, began: Timestamp) {
        self.sweeps.entry(domain).or_default().push(began);
    }

    /// Looks at all endpoints.
    pub(super) fn look(&mut self, world: &World) -> Result<(), Violation> {
        let now = world.now;
        let wrong = wrong(world);
        let over: Vec<_> = self.since.keys().filter(|key| !wrong.contains(*key)).cloned().collect();
        for key in over {
            let since = self.since.remove(&key).unwrap_or(now);
            match key.1 {
                Wrong::Gone => {
                    self.outlived += 1;
                    self.longest = self.longest.max(now.duration_since(since));
                }
                Wrong::Drains => self.left += 1,
            }
        }
        for key in wrong {
            let since = *self.since.entry(key.clone()).or_insert(now);
            let sweeps = self.sweeps.get(&key.0).into_iter().flatten();
            let good = sweeps.filter(|began| **began >= since + SETTLES).count();
            if good > SWEEPS {
                let (domain, wrong, place) = key;
                return Err(Violation::new(format!(
                    "{place:?} of {} is there after {good} good sweeps, and its instance: {wrong:?}, since {since}",
                    domain.name()
                )));
            }
        }
        Ok(())
    }

    /// How many endpoints point at instances that are gone.
    pub(super) fn gone(&self) -> usize {
        self.since.keys().filter(|(_, wrong, _)| *wrong == Wrong::Gone).count()
    }
}

fn is_alive(task: &Task) -> bool {
    task.is_running()
}

/// Every endpoint.
fn endpoints(world: &World) -> Vec<Endpoint> {
    let of_task = |task: &Task| Some(task.placement.as_ref()?.container_instance.clone());
    let mut all = Vec::new();
    for (registry, instances) in &world.map.services {
        for (id, attributes) in instances {
            let task = attributes.get(TASK_ATTRIBUTE).and_then(|arn| world.tasks.get(arn));
            let on = task.and_then(of_task).filter(|arn| is_there(world, arn));
            all.push(Endpoint {
                domain: Domain::Discovery,
                place: (registry.clone(), id.clone()),
                on,
            });
        }
    }
    let mut at: BTreeMap<&str, String> = BTreeMap::new();
    for task in world.tasks.values().filter(|task| is_alive(task)) {
        if let (Some(address), Some(on)) = (&task.address, of_task(task)) {
            at.insert(address, on);
        }
    }
    for ((group, id, port), drains) in groups::targets(world) {
        if !drains {
            let machine = world.machine(&id).map(|(arn, _)| arn.clone());
            let on = machine
                .or_else(|| at.get(id.as_str()).cloned())
                .filter(|arn| is_there(world, arn));
            all.push(Endpoint {
                domain: Domain::Balancing,
                place: (group, format!("{id}:{port}")),
                on,
            });
        }
    }
    all
}

fn is_there(world: &World, arn: &str) -> bool {
    world
        .fleet
        .machines
        .get(arn)
        .is_some_and(|machine| !machine.status.is_gone())
}

fn wrong(world: &World) -> BTreeSet<(Domain, Wrong, Place)> {
    let all = endpoints(world);
    let drains = |arn: &String| {
        let machine = world.fleet.machines.get(arn);
        machine.is_some_and(|machine| machine.status == InstanceStatus::Draining)
    };
    let stays = all.iter().filter(|one| one.on.as_ref().is_some_and(|arn| !drains(arn)));
    let elsewhere: BTreeSet<_> = stays.map(|one| one.place.0.clone()).collect();
    let judged = all.into_iter().filter_map(|one| {
        let wrong = match &one.on {
            None => Wrong::Gone,
            Some(arn) if drains(arn) && elsewhere.contains(&one.place.0) => Wrong::Drains,
            Some(_) => return None,
        };
        Some((one.domain, wrong, one.place))
    });
    judged.collect()
}
