//! What ECS, the Auto Scaling groups and the load balancer do by themselves, a turn at a time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use wharfinger_cloud::world::{Move, Task, World};
use wharfinger_core::capacity::InstanceStatus;
use wharfinger_core::event::TaskStatus;
use wharfinger_core::ids::{Target, TargetKind};

use super::book::by_arn;
use crate::simulation::checks::Violation;

use crate::simulation::history::History;

/// Between two turns.
const EVERY: SignedDuration = SignedDuration::from_secs(5);

/// After how many turns endpoints are looked at.
const LOOKS: u64 = 3;

/// How ECS sees a service.
#[derive(Debug, Default)]
struct Count {
    /// Tasks that are to run.
    wanted: usize,
    /// Those of them that do.
    running: usize,
    /// Those that may stay where they are.
    staying: usize,
    /// Those that are to leave, and whether they run.
    leaving: Vec<(String, bool)>,
}

impl History {
    /// The world takes its turn.
    pub(super) fn take_turn(&mut self) -> Result<(), Violation> {
        let now = self.now();
        if now < self.hosts.next_turn {
            return Ok(());
        }
        self.hosts.next_turn = now + EVERY;
        self.hosts.turns += 1;
        self.groups_turn();
        self.tasks_go_on();
        let counts = counts(&self.world.borrow());
        for (target, count) in counts {
            self.service_turn(&target, &count);
        }
        self.targets_turn();
        if self.hosts.turns.is_multiple_of(LOOKS) {
            self.hosts.places.look(&self.world.borrow())?;
        }
        Ok(())
    }

    /// Groups replace what is gone; what was given a new root volume comes back after a while.
    fn groups_turn(&mut self) {
        let now = self.now();
        let mut world = self.world.borrow_mut();
        let book = &mut self.hosts.book;
        world.settle_scaling_groups();
        book.look_at_actions(&world);
        let restarted: Vec<_> = world
            .fleet
            .machines
            .values()
            .filter(|machine| !machine.agent_connected && !machine.status.is_gone())
            .map(|machine| machine.id.clone())
            .collect();
        for id in restarted {
            if book.is_restarted(&world, &id) {
                let wait = i64::try_from(self.dice.between(30, 150)).unwrap_or_default();
                book.silent.entry(id.clone()).or_insert(now);
                let at = *book
                    .roots
                    .entry(id.clone())
                    .or_insert(now + SignedDuration::from_secs(wait));
                if at <= now {
                    book.silent.remove(&id);
                    world.set_agent(&id, true);
                }
            }
        }
        book.silent.retain(|id, _| world.machine(id).is_some());
    }

    fn tasks_go_on(&mut self) {
        let due: Vec<_> = {
            let world = self.world.borrow();
            let moves = world.tasks.values().filter(|task| goes_on(&world, task));
            moves.map(|task| task.arn.clone()).collect()
        };
        for arn in due {
            if self.dice.chance(500) {
                self.world.borrow_mut().make(&Move::Advance(arn));
            }
        }
        let stopped: Vec<_> = {
            let world = self.world.borrow();
            let stopped = world.tasks.values().filter(|task| task.status == TaskStatus::Stopped);
            stopped.map(|task| task.arn.clone()).collect()
        };
        for arn in stopped {
            if self.dice.chance(5) {
                self.world.borrow_mut().make(&Move::Forget(arn));
            }
        }
    }

    /// Tasks on instances that drain leave, as far as the service may go down; others start, as far as it may go up.
    fn service_turn(&mut self, target: &Target, count: &Count) {
        let mut world = self.world.borrow_mut();
        let Some(service) = world.services.get(target) else {
            return;
        };
        let share = |percent: u32, up: u32| usize::try_from((service.desired * percent + up) / 100).unwrap_or_default();
        let (least, most) = (share(service.percents.0, 99), share(service.percents.1, 0));
        let desired = usize::try_from(service.desired).unwrap_or_default();
        let mut left = count.running.saturating_sub(least);
        let mut wanted = count.wanted;
        for (arn, runs) in &count.leaving {
            if *runs && left == 0 {
                continue;
            }
            left -= usize::from(*runs);
            wanted -= 1;
            self.hosts.book.numbers.moved += 1;
            world.make(&Move::Stop(arn.clone()));
        }
        let starts = desired.saturating_sub(count.staying).min(most.saturating_sub(wanted));
        for _ in 0..starts {
            let before = world.tasks.len();
            world.make(&Move::Start(target.clone()));
            if world.tasks.len() == before {
                break;
            }
            self.hosts.book.placed(&world);
        }
    }

    /// Targets become healthy, and those that drain are gone.
    fn targets_turn(&mut self) {
        let mut world = self.world.borrow_mut();
        for group in world.groups.values_mut() {
            let known: Vec<_> = group.targets().filter(|target| target.state != "healthy").collect();
            for target in known {
                let (id, port) = (target.target.id, target.target.port);
                if !group.judge(&id, port, "healthy") && self.dice.chance(200) {
                    group.finish_draining(&id, port);
                }
            }
        }
    }
}

/// Whether a task can go on: one on an instance whose agent is gone cannot.
fn goes_on(world: &World, task: &Task) -> bool {
    let moves = match task.status {
        TaskStatus::Provisioning
        | TaskStatus::Pending
        | TaskStatus::Activating
        | TaskStatus::Deactivating
        | TaskStatus::Stopping
        | TaskStatus::Deprovisioning => true,
        TaskStatus::Running => !task.wanted,
        TaskStatus::Stopped | TaskStatus::Deleted | TaskStatus::Unknown => false,
    };
    let machine = task
        .placement
        .as_ref()
        .and_then(|placed| by_arn(world, &placed.container_instance));
    moves && machine.is_none_or(|machine| machine.agent_connected)
}

fn counts(world: &World) -> BTreeMap<Target, Count> {
    let machines = world.fleet.machines.iter();
    let drain = machines.filter(|(_, machine)| machine.status == InstanceStatus::Draining);
    let drain: BTreeSet<&str> = drain.map(|(arn, _)| arn.as_str()).collect();
    let mut counts: BTreeMap<Target, Count> = BTreeMap::new();
    for target in world.services.keys() {
        counts.entry(target.clone()).or_default();
    }
    for task in world
        .tasks
        .values()
        .filter(|task| task.wanted && task.target.kind == TargetKind::Service)
    {
        let Some(count) = counts.get_mut(&task.target) else {
            continue;
        };
        let leaves = task
            .placement
            .as_ref()
            .is_some_and(|placed| drain.contains(placed.container_instance.as_str()));
        count.wanted += 1;
        count.running += usize::from(task.is_running());
        if leaves {
            count.leaving.push((task.arn.clone(), task.is_running()));
        } else {
            count.staying += 1;
        }
    }
    counts
}
