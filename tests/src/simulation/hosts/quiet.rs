//! How a history of instances begins and ends: everything in its place, then the noise, then rest, and the checks look.

use jiff::SignedDuration;
use wharfinger_cloud::history;
use wharfinger_cloud::table::{Key, attribute};
use wharfinger_cloud::world::World;
use wharfinger_core::capacity::{Did, Going, InstanceStatus};
use wharfinger_core::ids::Target;
use wharfinger_core::report::Code;

use super::book::{Book, Ended, rows};
use super::plan::DEADLINE;
use crate::simulation::bus::Domain;
use crate::simulation::checks::{Leeway, Violation, compare_endpoints, compare_targets};
use crate::simulation::history::History;
use crate::simulation::scenario::{CLUSTER, beginning};

/// How long things happen.
const NOISE: SignedDuration = SignedDuration::from_mins(42);

/// How long a quiet world plays on before it is looked at: longer than two deadlines.
const REST: SignedDuration = SignedDuration::from_mins(26);

/// How often it may play on for longer.
const MORE: usize = 4;

impl History {
    /// The whole history, to its end.
    pub(in super::super) fn run_hosts(&mut self) -> Result<(), Violation> {
        let done = self.begin_hosts().and_then(|()| self.noise_and_rest());
        let (book, places) = (&mut self.hosts.book, &self.hosts.places);
        let numbers = &mut book.numbers;
        numbers.histories = 1;
        numbers.instances = self.settings.hosts.map_or(0, |size| size.instances.into());
        numbers.tasks = self.settings.hosts.map_or(0, |size| size.tasks.into());
        numbers.outlived = places.outlived;
        numbers.left = places.left;
        numbers.longest_endpoint = u64::try_from(places.longest.as_secs()).unwrap_or_default();
        numbers.at_gone = places.gone() as u64;
        book.count_actions();
        self.tally.hosts = book.numbers.clone();
        done
    }

    /// Everything is registered where it belongs; that takes no time, and nobody is told.
    fn begin_hosts(&mut self) -> Result<(), Violation> {
        self.quiet = true;
        for domain in Domain::HOSTS {
            self.sweep(domain)?;
        }
        let mut world = self.world.borrow_mut();
        world.unheard = false;
        world.emitted.clear();
        world.map.operations.clear();
        drop(world);
        self.hosts.beginning = false;
        self.quiet = false;
        self.tally.invocations = 0;
        self.tally.calls = 0;
        self.tally.changes.clear();
        Ok(())
    }

    fn noise_and_rest(&mut self) -> Result<(), Violation> {
        self.play_until(beginning() + NOISE)?;
        self.say(|_| "the world falls quiet".into());
        self.quiet = true;
        let mut left = MORE;
        loop {
            let until = self.now() + REST;
            self.play_until(until)?;
            match self.at_rest() {
                Ok(()) => break,
                Err(violation) if left == 0 => return Err(violation),
                Err(_) => left -= 1,
            }
        }
        self.drain()?;
        for domain in Domain::HOSTS {
            let what = format!("a sweep of {} that has nothing to do", domain.name());
            self.still(&what, |h| h.sweep(domain))?;
        }
        Ok(())
    }

    fn at_rest(&mut self) -> Result<(), Violation> {
        let world = self.world.borrow();
        let (dry, now) = (self.hosts.rule.dry, world.now);
        for (target, service) in &world.services {
            let running = world
                .tasks
                .values()
                .filter(|task| task.target == *target && task.is_running());
            let running = running.count();
            if u32::try_from(running) != Ok(service.desired) {
                return Err(Violation::new(format!(
                    "{running} of {} tasks of {target} run",
                    service.desired
                )));
            }
        }
        if !dry {
            instances(&world, &self.hosts.book)?;
            rest(&world, &self.hosts.book)?;
            let paused = self.hosts.pause.is_some();
            self.hosts.book.reported(&world, paused)?;
        }
        compare_endpoints(&world, &self.scenario, false)?;
        compare_targets(&world, &self.scenario, &self.watch, Leeway::default())?;
        let gone = self.hosts.places.gone();
        if gone > 0 {
            return Err(Violation::new(format!(
                "{gone} endpoints point at instances that are gone at {now}"
            )));
        }
        Ok(())
    }
}

/// Whoever drains goes, or somebody drained it; whoever is dead is gone.
fn instances(world: &World, book: &Book) -> Result<(), Violation> {
    let now = world.now;
    for machine in world
        .fleet
        .machines
        .values()
        .filter(|machine| !machine.status.is_gone())
    {
        let id = &machine.id;
        let drains = machine.status == InstanceStatus::Draining;
        let by_hand = book.by_hand.contains(id);
        if drains && !by_hand && !book.is_asked(id, now) {
            return Err(Violation::new(format!(
                "{id} is DRAINING still, and nothing asks for it to go"
            )));
        }
        if by_hand && !drains {
            return Err(Violation::new(format!(
                "{id} is {:?}, and somebody drained it",
                machine.status
            )));
        }
        if book.is_dead(id, now) {
            return Err(Violation::new(format!("{id} is dead still")));
        }
    }
    match book.actions.iter().find(|action| action.ended.is_none()) {
        Some(action) => Err(Violation::new(format!("{action:?} waits still"))),
        None => Ok(()),
    }
}

/// What is remembered is over, or of an instance that goes and is there still.
fn rest(world: &World, book: &Book) -> Result<(), Violation> {
    for (id, causes) in rows(world) {
        let key = Key::new(format!("going#{CLUSTER}"), id.as_str());
        let did = world
            .tables
            .state
            .get(&key)
            .and_then(|item| attribute::<Did>(item, "did").ok().flatten());
        let going = Going {
            causes,
            did: did.unwrap_or_default(),
        };
        // Of one that is there it may be remembered what was told.
        let there = world.machine(&id).is_some();
        let drained = going.did.drained_by_us() && !book.is_asked(&id, world.now);
        if !going.is_over() && (drained || !there) {
            return Err(Violation::new(format!("{id} is not over: {going:?}")));
        }
    }
    let waits = world
        .fleet
        .machines
        .values()
        .any(|machine| !machine.status.is_gone() && book.is_asked(&machine.id, world.now));
    if waits {
        return Ok(());
    }
    let mut active = world.tables.state.iter().filter(|(key, _)| key.pk == "active#capacity");
    match active.find(|(_, item)| item.contains_key("due")) {
        Some((key, _)) => Err(Violation::new(format!("{key} is looked at every minute still"))),
        None => Ok(()),
    }
}

impl Book {
    /// A hook that was completed with tasks on its instance was reported; one that timed out had no good look in time.
    fn reported(&self, world: &World, paused: bool) -> Result<(), Violation> {
        let partition = history::partition(&Target::of_cluster(CLUSTER));
        let items = world.tables.state.iter().filter(|(key, _)| key.pk == partition);
        let records: Vec<history::Record> = items.filter_map(|(_, item)| attribute(item, "record").ok()?).collect();
        for (at, caller, id, left) in self.completed.iter().filter(|(.., left)| *left > 0) {
            let near = |record: &&history::Record| at.duration_since(record.at).abs() < DEADLINE;
            let mut reasons = records.iter().filter(near).flat_map(|record| &record.reasons);
            let told = reasons.any(|reason| {
                let names = reason.message.contains(id.as_str()) || reason.message.contains(" more");
                reason.code == Code::DeadlineReached && names
            });
            if !told && !self.failed.contains(&**caller) {
                return Err(Violation::new(format!(
                    "{id} was let go with {left} tasks, and nobody told"
                )));
            }
        }
        let late = self
            .actions
            .iter()
            .filter(|action| matches!(action.ended, Some((_, Ended::TimedOut))));
        for action in late.filter(|action| action.known.is_some() && !paused) {
            let until = action.ended.map_or(world.now, |(at, _)| at);
            let due = action.beat + SignedDuration::from_secs(60);
            let passes = self
                .passes
                .iter()
                .filter(|began| due <= **began && **began + DUE_BEFORE <= until);
            if passes.count() > 1 {
                return Err(Violation::new(format!(
                    "{action:?} timed out although passes came through"
                )));
            }
        }
        Ok(())
    }

    fn count_actions(&mut self) {
        let numbers = &mut self.numbers;
        for action in &self.actions {
            let Some((at, ended)) = action.ended else { continue };
            let lasted = at.duration_since(action.since).as_secs();
            numbers.longest_hook = numbers.longest_hook.max(u64::try_from(lasted).unwrap_or_default());
            match ended {
                Ended::Completed(0) => numbers.empty += 1,
                Ended::Completed(_) => numbers.deadline += 1,
                Ended::TimedOut => numbers.timed_out += 1,
                Ended::Taken => numbers.taken += 1,
            }
        }
    }
}

/// A pass that began so long before a hook's end had time to look.
const DUE_BEFORE: SignedDuration = SignedDuration::from_secs(60);
