//! What follows once the world falls quiet: what is on its way arrives, the sweeps run, and the checks look.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_cloud::ledger::ORDER;
use wharfinger_cloud::table::{AttributeValue, Key, as_number};
use wharfinger_core::ids::Target;

use super::bus::{Domain, Parcel};
use super::checks::{Leeway, Violation, compare_endpoints, compare_targets};
use super::groups::{self, ROOM};
use super::history::History;
use super::scenario::{BROKEN, Plan};
use super::tally::Slowest;

/// Longer than a lease, and than a function keeps what it read of the configuration.
const REST: SignedDuration = SignedDuration::from_secs(100);

/// More than clocks differ.
const CLOCKS: SignedDuration = SignedDuration::from_secs(5);

/// How many minutes of sweeps a quiet world may take to come to rest.
const MINUTES: usize = 60;

/// What the functions are to keep: what is the same after a sweep needs no other.
#[derive(Debug, PartialEq)]
struct Picture {
    endpoints: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    targets: Vec<(groups::Place, bool)>,
    services: Vec<(u32, String)>,
    tasks: usize,
}

impl History {
    /// The whole history, to its end.
    ///
    /// # Errors
    /// When something must not be.
    pub fn run(&mut self, seed: u64) -> Result<(), Violation> {
        if self.settings.hosts.is_some() {
            return self.run_hosts();
        }
        if self.fleet.is_some() {
            return self.run_fleet();
        }
        self.noise()?;
        self.drain()?;
        let clean = self.clean;
        if clean {
            self.tally.gentle += 1;
            // No sweep was needed: the events that came told enough.
            for side in self.sides() {
                let leeway = Leeway::default();
                self.compare(side, leeway).map_err(|v| before_any_sweep(&v))?;
            }
        }
        self.quiet = true;
        self.world
            .borrow_mut()
            .groups
            .values_mut()
            .for_each(|group| group.limit = ROOM);
        self.meet_malformed()?;
        self.advance(REST);
        let paused = self
            .scenario
            .targets
            .iter()
            .filter_map(|p| p.paused)
            .map(|(_, until)| until)
            .max();
        let left = paused.map_or(SignedDuration::ZERO, |until| until.duration_since(self.now()));
        self.advance(left.max(SignedDuration::ZERO) + CLOCKS);
        let (since, calls) = (self.now(), self.tally.calls);
        for side in self.sides() {
            for forgotten in [true, false] {
                self.sweep(side)?;
                let draining = true;
                self.compare(side, Leeway { forgotten, draining })?;
            }
        }
        self.come_to_rest()?;
        self.check_at_rest()?;
        self.took(seed, since, calls);
        self.sweep_again()?;
        self.hear_again()?;
        self.fall_ill_and_recover()?;
        self.sleep_and_wake()
    }

    /// Compares what stands for tasks with what is asked for.
    fn compare(&self, side: Domain, leeway: Leeway) -> Result<(), Violation> {
        let world = self.world.borrow();
        match side {
            Domain::Balancing => compare_targets(&world, &self.scenario, &self.watch, leeway),
            _ => compare_endpoints(&world, &self.scenario, leeway.forgotten),
        }
    }

    fn took(&mut self, seed: u64, since: Timestamp, calls: u64) {
        let time = Duration::try_from(self.now().duration_since(since)).unwrap_or_default();
        let calls = self.tally.calls - calls;
        self.tally.slowest = Slowest {
            time,
            time_seed: seed,
            calls,
            calls_seed: seed,
        };
    }

    pub(super) fn sweep(&mut self, domain: Domain) -> Result<(), Violation> {
        let tick = self.tick();
        self.run_alone(domain, tick)
    }

    pub(super) fn look_at(&mut self, domain: Domain) -> Result<(), Violation> {
        let look = self.look(domain);
        look.map_or(Ok(()), |look| self.run_alone(domain, look))
    }

    /// Minute after minute, until neither the world nor the functions change anything.
    fn come_to_rest(&mut self) -> Result<(), Violation> {
        let told = self.dice.chance(500);
        self.world.borrow_mut().unheard = !told;
        self.settle_loads();
        for minute in 0..MINUTES {
            let before = self.picture();
            self.tell_loads();
            self.let_the_world_settle(told)?;
            self.look_at(Domain::Scaling)?;
            let still = self.picture() == before;
            // Every five minutes, as in template.yaml; in between when there may be something to see.
            if !still || minute % 5 == 0 || self.pending().is_none() {
                self.sweep(Domain::Scaling)?;
                self.sweep(Domain::Delivery)?;
                for side in self.sides() {
                    self.sweep(side)?;
                }
                if self.picture() == before && self.pending().is_none() && !self.is_in_between() {
                    return Ok(());
                }
            }
            self.advance(SignedDuration::from_mins(1));
        }
        let what = self
            .pending()
            .map_or_else(|| "something goes on changing".to_owned(), |v| v.what);
        Err(Violation::new(format!("after {MINUTES} minutes of sweeps: {what}")))
    }

    /// A service whose count is still to move: a cooldown holds it.
    fn pending(&self) -> Option<Violation> {
        self.watch.at_rest(&self.world.borrow(), &self.scenario).err()
    }

    /// ECS does whatever it still has to do; its events arrive, or do not.
    pub(super) fn let_the_world_settle(&mut self, told: bool) -> Result<(), Violation> {
        let draining = groups::draining(&self.world.borrow());
        for place in &draining {
            self.drained(place);
        }
        loop {
            let moves = self.world.borrow().moves();
            let Some(a) = self.dice.pick(&moves).cloned() else {
                return Ok(());
            };
            self.make(&a);
            self.millis(100, 2_000);
            self.settle_up()?;
            if told && self.dice.chance(300) {
                self.drain()?;
            }
        }
    }

    fn check_at_rest(&mut self) -> Result<(), Violation> {
        for side in self.sides() {
            self.compare(side, Leeway::default())?;
        }
        self.watch.at_rest(&self.world.borrow(), &self.scenario)?;
        if self.scenario.broken && !self.reported.iter().any(|key| key.contains(BROKEN)) {
            return Err(Violation::new(format!(
                "the malformed config item {BROKEN} was never reported"
            )));
        }
        Ok(())
    }

    fn picture(&self) -> Picture {
        let world = self.world.borrow();
        let service = |s: &wharfinger_cloud::world::Service| {
            let definition = s.primary().map(|d| d.definition.clone()).unwrap_or_default();
            (s.desired, definition)
        };
        Picture {
            endpoints: world.map.services.clone(),
            targets: groups::targets(&world).collect(),
            services: world.services.values().map(service).collect(),
            tasks: world.tasks.len(),
        }
    }

    /// Another sweep right after one that had nothing to do makes no call that changes anything.
    fn sweep_again(&mut self) -> Result<(), Violation> {
        for domain in self.domains() {
            self.still(&format!("a sweep of {} that has nothing to do", domain.name()), |h| {
                h.sweep(domain)
            })?;
        }
        Ok(())
    }

    /// Whether the task of an event may have waited to be healthy: who saw that it was may have died unconfirmed, and then
    /// a copy registers once more what is there.
    fn waited(&self, event: &Value) -> bool {
        let plan = self.plan_of(event);
        plan.is_some_and(|plan| plan.checked)
    }

    /// The target to which the task of an event belongs.
    fn plan_of(&self, event: &Value) -> Option<&Plan> {
        let group = event.pointer("/detail/group")?.as_str()?;
        let name = group.rsplit(':').next()?;
        self.scenario.targets.iter().find(|p| p.target.name == name)
    }

    /// Copies of events that were dealt with, however late, change nothing. What a pause held back was not dealt with: a
    /// copy of it is as good as the first, and the next sweep's affair if its task is gone.
    fn hear_again(&mut self) -> Result<(), Violation> {
        if self.scenario.targets.iter().any(|p| p.paused.is_some()) {
            return Ok(());
        }
        for _ in 0..4 {
            let Some(Parcel { to, event, .. }) = self.dice.pick(&self.handled).cloned() else {
                return Ok(());
            };
            if event.get("detail-type").is_some_and(|kind| kind == "Scheduled Event") {
                continue;
            }
            if !self.settings.plain && self.waited(&event) {
                continue;
            }
            let title = super::bus::title(&event);
            self.still(&format!("a late copy of `{title}`"), |h| h.run_alone(to, event))?;
        }
        Ok(())
    }

    /// A task that is asked to be healthy is taken out by a sweep when it is not, and is looked for from then on.
    fn fall_ill_and_recover(&mut self) -> Result<(), Violation> {
        let asked: Vec<_> = {
            let world = self.world.borrow();
            let asks = |target: &Target| {
                self.scenario
                    .targets
                    .iter()
                    .any(|p| p.target == *target && p.asks_for_health())
            };
            let checked = world
                .tasks
                .values()
                .filter(|t| t.is_running() && t.health == Some("HEALTHY"));
            checked.filter(|t| asks(&t.target)).map(|t| t.arn.clone()).collect()
        };
        let Some(arn) = self.more.pick(&asked).filter(|_| !self.settings.plain).cloned() else {
            return Ok(());
        };
        self.set_health(&arn, "UNHEALTHY");
        for side in self.sides() {
            self.sweep(side)?;
            self.compare(side, Leeway::default())?;
        }
        self.set_health(&arn, "HEALTHY");
        for side in self.sides() {
            self.look_at(side)?;
            self.compare(side, Leeway::default())?;
        }
        Ok(())
    }

    pub(super) fn still(
        &mut self,
        what: &str,
        run: impl FnOnce(&mut Self) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let (before, changes) = (self.picture(), self.tally.changes.clone());
        run(self)?;
        if self.tally.changes != changes {
            let new = self
                .tally
                .changes
                .iter()
                .filter(|(kind, n)| changes.get(*kind) != Some(n));
            let kinds: Vec<_> = new.map(|(kind, _)| *kind).collect();
            return Err(Violation::new(format!("{what} makes calls: {}", kinds.join(", "))));
        }
        if self.picture() != before {
            return Err(Violation::new(format!("{what} changes the world")));
        }
        Ok(())
    }

    /// Whether a function looks into the ledger of the task that an event is about: its target is configured for it, and
    /// has been for long enough.
    fn minds(&self, parcel: &Parcel) -> bool {
        let plan = self.plan_of(&parcel.event);
        let known = |plan: &Plan| plan.changed.is_none_or(|at| self.now().duration_since(at) > REST);
        match parcel.to {
            Domain::Discovery => plan.is_none_or(|plan| known(plan) && !plan.discovery().is_empty()),
            Domain::Balancing => plan.is_some_and(|plan| known(plan) && !plan.balancing().is_empty()),
            Domain::Scaling | Domain::Delivery | Domain::Capacity => false,
        }
    }

    /// A ledger item that holds nonsense is reported with its key when the next event meets it.
    fn meet_malformed(&mut self) -> Result<(), Violation> {
        // Without a condition no write meets what is there.
        if !self.temper.malformed || self.settings.without.is_some() {
            return Ok(());
        }
        let tasks: Vec<_> = self
            .handled
            .iter()
            .filter(|p| self.minds(p))
            .filter_map(|p| {
                Some((
                    p.event
                        .pointer("/detail/taskArn")?
                        .as_str()?
                        .rsplit('/')
                        .next()?
                        .to_owned(),
                    p.clone(),
                ))
            })
            .collect();
        let Some((id, copy)) = self.dice.pick(&tasks).cloned() else {
            return Ok(());
        };
        let key = Key::new(format!("task#prod/{id}"), copy.to.name());
        let attribute = *self.dice.pick(&["facts", "order"]).unwrap_or(&"facts");
        {
            let mut world = self.world.borrow_mut();
            let Some(item) = world.tables.state.get_mut(&key) else {
                return Ok(());
            };
            // What is older than the event is replaced unread.
            if as_number(item, ORDER) < copy.event.pointer("/detail/version").and_then(Value::as_i64) {
                return Ok(());
            }
            item.insert(attribute.to_owned(), AttributeValue::S("no such thing".into()));
        }
        self.say(|_| format!("`{attribute}` of {key} holds nonsense now"));
        self.tally.fault("ledger item malformed");
        self.run_alone(copy.to, copy.event)?;
        if !self.reported.contains(&key.to_string()) {
            return Err(Violation::new(format!(
                "the malformed ledger item {key} was not reported"
            )));
        }
        Ok(())
    }
}

fn before_any_sweep(violation: &Violation) -> Violation {
    Violation::new(format!(
        "{violation}; every event arrived, and nothing but events was needed"
    ))
}
