//! One history: what happens, in which order, drawn from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_cloud::error::Fault;
use wharfinger_cloud::world::{Fate, Shared, Stop, What, World};

use super::bus::{Domain, Parcel};
use super::checks::{Violation, Watch};
use super::counts;
use super::dice::Dice;
use super::fleet::{self, Fleet};
use super::groups;
use super::heard;
use super::hosts::Hosts;
use super::invocation::{Environment, Running};
use super::scenario::{Scenario, beginning};
use super::settings::Settings;
use super::tally::Tally;
use super::temper::Temper;

/// More steps than any history takes that comes to rest.
const PATIENCE: u64 = 100_000;

/// What tells the dice of counts from the others.
const COUNTS: u64 = 0x5ca1_ab1e;

/// What tells the dice that make a history one of delivery alone.
const FLEETS: u64 = 0xf1ee_7000_0000;

/// What a history is made of.
pub(super) struct Parts {
    /// For what all have, for what plain ones have not, and for what moves counts.
    pub dice: [Dice; 3],
    /// Its kind.
    pub temper: Temper,
    /// Everything outside of the functions.
    pub world: Shared,
    /// What is there at first.
    pub scenario: Scenario,
    /// What the checks know.
    pub watch: Watch,
}

/// A history while it happens.
#[derive(Debug)]
pub struct History {
    pub(super) dice: Dice,
    /// For what plain histories do not have: so each of them is the same as if it were not.
    pub(super) more: Dice,
    /// For what moves counts besides alarms.
    pub(super) counts: Dice,
    /// What a history of delivery alone has.
    pub(super) fleet: Option<Fleet>,
    /// What a history of instances that go and come has.
    pub(super) hosts: Hosts,
    /// The operation that was let through last.
    pub(super) last_call: Option<&'static str>,
    /// Whether there is any such thing.
    pub(super) silent: bool,
    pub(super) settings: Settings,
    pub(super) temper: Temper,
    pub(super) world: Shared,
    pub(super) scenario: Scenario,
    pub(super) watch: Watch,
    pub(super) tally: Tally,
    /// Events that were handled without an error.
    pub(super) handled: Vec<Parcel>,
    /// Whether events alone must have kept the world true so far.
    pub(super) clean: bool,
    /// Whether the world is left alone now: no faults, no losses.
    pub(super) quiet: bool,
    /// The keys of items that were reported as malformed.
    pub(super) reported: BTreeSet<String>,
    /// The trace, when it is asked for.
    pub lines: Vec<String>,
    pub(super) parcels: Vec<Parcel>,
    pub(super) running: Vec<Running>,
    pub(super) idle: BTreeMap<Domain, Vec<Environment>>,
    pub(super) next_sweep: BTreeMap<Domain, Timestamp>,
    /// When what makes no event is looked at next: tasks that wait to be healthy, active services.
    pub(super) next_look: Timestamp,
    pub(super) last: String,
    pub(super) number: u64,
}

impl History {
    /// The beginning of the history of a seed.
    #[must_use]
    pub fn of(seed: u64, settings: Settings) -> Self {
        if let Some(size) = settings.hosts {
            return Self::of_hosts(seed, settings, size);
        }
        let (mut dice, mut more) = (Dice::of(seed), Dice::of(!seed));
        let mut counts = Dice::of(seed.rotate_left(32) ^ COUNTS);
        let temper = Temper::draw(&mut dice);
        let mut world = World::new(beginning());
        let only_others = settings.plain || settings.alarms_only || settings.no_fleets;
        let fleet = !only_others && Dice::of(seed ^ FLEETS).chance(fleet::SHARE);
        let mut scenario = if fleet {
            Scenario::fleet(&mut dice, &mut world)
        } else {
            Scenario::draw(&mut dice, &temper, &mut world)
        };
        let world = world.shared();
        if !settings.plain && !fleet {
            groups::add(&mut more, &temper, &world, &mut scenario);
        }
        let mut watch = Watch::default();
        if !settings.plain && !settings.alarms_only && !fleet {
            counts::add(&mut counts, &world, &mut scenario, &mut watch);
        }
        if fleet {
            watch.fleet(&world.borrow(), &scenario, beginning());
        }
        let parts = Parts {
            dice: [dice, more, counts],
            temper,
            world,
            scenario,
            watch,
        };
        Self {
            fleet: fleet.then(Fleet::default),
            ..Self::new(settings, parts)
        }
        .begin(seed)
    }

    /// A history of these parts, before anything happens.
    pub(super) fn new(settings: Settings, parts: Parts) -> Self {
        let Parts {
            dice: [dice, more, counts],
            temper,
            world,
            scenario,
            watch,
        } = parts;
        let silent = scenario.is_silent();
        world.borrow_mut().talkative = settings.trace;
        Self {
            dice,
            more,
            counts,
            fleet: None,
            hosts: Hosts::default(),
            last_call: None,
            silent,
            settings,
            clean: temper.gentle,
            temper,
            world,
            scenario,
            watch,
            tally: Tally {
                histories: 1,
                ..Tally::default()
            },
            handled: Vec::new(),
            quiet: false,
            reported: BTreeSet::new(),
            lines: Vec::new(),
            parcels: Vec::new(),
            running: Vec::new(),
            idle: BTreeMap::new(),
            next_sweep: BTreeMap::new(),
            next_look: beginning(),
            last: String::new(),
            number: 0,
        }
    }

    pub(super) fn begin(mut self, seed: u64) -> Self {
        for domain in self.domains() {
            self.next_sweep.insert(domain, beginning());
        }
        self.say(|h| format!("seed {seed}: {:?}", h.temper));
        for place in 0..self.scenario.targets.len() {
            self.say(|h| {
                let plan = &h.scenario.targets[place];
                format!("{} is to be scaled as {:?}", plan.target, plan.scaling)
            });
        }
        self.collect();
        self
    }

    /// The functions that are there.
    pub(super) fn domains(&self) -> impl Iterator<Item = Domain> + use<> {
        let (plain, fleet, hosts) = (self.settings.plain, self.fleet.is_some(), self.settings.hosts.is_some());
        let there = move |domain: &Domain| match domain {
            Domain::Capacity => hosts,
            Domain::Delivery => !hosts,
            Domain::Balancing => !plain && !fleet,
            Domain::Discovery => !fleet,
            Domain::Scaling => !fleet && !hosts,
        };
        Domain::ALL.into_iter().filter(there)
    }

    /// The functions that keep tasks where others find them.
    pub(super) fn sides(&self) -> impl Iterator<Item = Domain> + use<> {
        self.domains().filter(|domain| Domain::ENDPOINTS.contains(domain))
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    /// Adds a line to the trace.
    pub(super) fn say(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.settings.trace {
            let line = line(self);
            self.tell(&line);
        }
    }

    fn tell(&mut self, line: &str) {
        let at = self.now().duration_since(beginning());
        let (minutes, rest) = (at.as_secs() / 60, at.as_secs() % 60);
        self.lines
            .push(format!("[{minutes:>4}:{rest:02}.{:03}] {line}", at.subsec_millis()));
    }

    /// One that drains has drained.
    fn finish_draining(&mut self) {
        let draining = groups::draining(&self.world.borrow());
        if let Some(place) = self.more.pick(&draining) {
            self.drained(place);
        }
    }

    pub(super) fn drained(&mut self, place: &groups::Place) {
        let (group, id, port) = place;
        if let Some(group) = self.world.borrow_mut().groups.get_mut(group) {
            group.finish_draining(id, *port);
        }
        self.watch.drained(place);
        self.tally.deed("target drained");
        self.say(|_| format!("{id}:{port} has drained"));
    }

    /// Time goes on.
    pub(super) fn advance(&mut self, by: SignedDuration) {
        let mut world = self.world.borrow_mut();
        world.now = world.now.saturating_add(by).unwrap_or(world.now);
        if by > SignedDuration::from_hours(1) {
            let now = world.now;
            world.tables.expire(now);
        }
    }

    pub(super) fn millis(&mut self, low: u64, high: u64) {
        let by = i64::try_from(self.dice.between(low, high)).unwrap_or_default();
        self.advance(SignedDuration::from_millis(by));
    }

    /// What happens until the world falls quiet.
    pub(super) fn noise(&mut self) -> Result<(), Violation> {
        for _ in 0..self.temper.steps {
            self.act()?;
        }
        self.say(|_| "the world falls quiet".into());
        Ok(())
    }

    fn act(&mut self) -> Result<(), Violation> {
        self.schedule();
        if self.silent && self.counts.chance(120) {
            self.stir_counts();
            return self.settle_up();
        }
        let startable = self.running.len() < self.temper.concurrency && self.first_due().is_some();
        let operations = self.world.borrow().map.running().next().is_some();
        let moves = self.world.borrow().moves();
        let busy = u64::from(!self.running.is_empty());
        let pace = if self.only_laggards() { 60 } else { 1_000 };
        let weights = [
            busy * pace,
            u64::from(startable) * 300,
            u64::from(!moves.is_empty()) * 220,
            u64::from(operations) * 150,
            70,
            self.temper.clock,
            busy * self.temper.kills,
            u64::from(!groups::draining(&self.world.borrow()).is_empty()) * 60,
        ];
        match self.dice.weighted(&weights) {
            0 => self.step()?,
            1 => self.start_any(),
            2 => {
                if let Some(a) = self.dice.pick(&moves).cloned() {
                    self.make(&a);
                }
            }
            3 => self.finish_operation(),
            4 => self.disturb(),
            5 => self.pass_time(),
            6 => self.kill_any(),
            _ => self.finish_draining(),
        }
        self.settle_up()
    }

    fn pass_time(&mut self) {
        match (self.running.is_empty(), self.temper.pauses) {
            (true, _) => self.millis(100, 90_000),
            (false, true) => self.millis(100, 50_000),
            (false, false) => self.millis(10, 800),
        }
    }

    /// Lets one call of one invocation through.
    fn step(&mut self) -> Result<(), Violation> {
        let quick: Vec<_> = (0..self.running.len()).filter(|i| !self.running[*i].lags()).collect();
        let same = quick.iter().find(|i| self.running[**i].name == self.last);
        let place = match same {
            _ if quick.is_empty() || self.dice.chance(30) => self.dice.index(self.running.len()),
            Some(place) if self.dice.chance(self.temper.steady) => *place,
            _ => quick[self.dice.index(quick.len())],
        };
        self.step_one(place)
    }

    fn only_laggards(&self) -> bool {
        self.running.iter().all(Running::lags)
    }

    pub(super) fn step_one(&mut self, place: usize) -> Result<(), Violation> {
        let Some(running) = self.running.get(place) else {
            return Ok(());
        };
        self.last.clone_from(&running.name);
        let (gates, deadline) = (running.gates.clone(), running.deadline);
        let stops = gates.stops();
        let Some(Stop { id, what }) = self.dice.pick(&stops).cloned() else {
            return Err(Violation::new(format!(
                "{running:?} waits for something that is no call and no time"
            )));
        };
        let fate = match what {
            What::Sleep(until) => {
                let now = self.now();
                self.advance(until.duration_since(now).max(SignedDuration::ZERO));
                Fate::Fine
            }
            What::Call { operation, writes } => {
                self.tally.calls += 1;
                self.last_call = Some(operation);
                self.lasts(2, 30);
                self.fate(operation, writes)
            }
        };
        if self.now() >= deadline {
            self.time_out();
            return Ok(());
        }
        gates.open(id, fate);
        self.poll(place);
        Ok(())
    }

    pub(super) fn poll(&mut self, place: usize) {
        if let Some(running) = self.running.get_mut(place)
            && let Poll::Ready(result) = running.poll()
        {
            self.flush();
            let running = self.running.swap_remove(place);
            self.ended(running, result);
        }
    }

    fn ended(&mut self, running: Running, result: Result<(), Fault>) {
        let Running {
            name,
            parcel,
            environment,
            deadline,
            ..
        } = running;
        self.idle.entry(parcel.to).or_default().push(environment);
        if self.settings.hosts.is_some() {
            self.answered(&name, &parcel, deadline, result.is_ok());
        }
        match result {
            Ok(()) => {
                self.say(|_| format!("{name} ends"));
                self.watch.looked(&self.scenario, &name, true, self.world.borrow().now);
                if parcel.to == Domain::Balancing && self.settings.hosts.is_none() {
                    let world = self.world.borrow();
                    self.watch.heard(&world, &self.scenario, &parcel.event, self.number);
                }
                self.handled.push(parcel);
            }
            Err(fault) => {
                self.say(|_| format!("{name} FAILS: {fault}"));
                self.watch.looked(&self.scenario, &name, false, self.world.borrow().now);
                self.watch.failures.push(format!("{name}: {fault}"));
                self.again(parcel);
            }
        }
    }

    /// After everything that happens: what was told goes into the trace and on its way, and the checks look.
    pub(super) fn settle_up(&mut self) -> Result<(), Violation> {
        self.time_out();
        self.flush();
        self.collect();
        if self.settings.hosts.is_some() {
            return self.look_at_hosts();
        }
        if self.silent {
            self.watch.leases(&self.world.borrow(), &self.scenario);
        }
        if self.fleet.is_some() {
            self.watch.sees(&self.world.borrow());
        }
        let journal = std::mem::take(&mut self.world.borrow_mut().journal);
        for did in journal {
            self.watch
                .look(&self.world.borrow(), &self.scenario, &did, &mut self.tally)?;
        }
        Ok(())
    }

    fn flush(&mut self) {
        let heard = heard::take();
        self.reported.extend(heard.malformed);
        let told = std::mem::take(&mut self.world.borrow_mut().told);
        for line in told {
            self.tell(&line);
        }
        for line in heard.lines {
            self.tell(&format!("    {line}"));
        }
    }

    /// Whatever is on its way arrives and is dealt with; the world itself stands still.
    pub(super) fn drain(&mut self) -> Result<(), Violation> {
        for _ in 0..PATIENCE {
            let operations = self.world.borrow().map.running().next().is_some();
            let busy = !self.running.is_empty();
            let startable = self.running.len() < self.temper.concurrency && self.first_due().is_some();
            if busy && !self.quiet && self.dice.chance(self.temper.kills / 4) {
                self.kill_any();
            } else if startable && self.dice.chance(if self.only_laggards() { 950 } else { 150 }) {
                self.start_any();
            } else if operations && (!busy || self.dice.chance(150)) {
                self.finish_operation();
            } else if busy {
                self.step()?;
            } else if let Some(next) = self.parcels.iter().map(|p| p.due).min() {
                let wait = next.duration_since(self.now());
                self.advance(wait.max(SignedDuration::ZERO));
            } else {
                return self.settle_up();
            }
            self.settle_up()?;
        }
        Err(Violation::new("the history does not come to rest".into()))
    }

    /// Runs one function to its end, alone and undisturbed.
    pub(super) fn run_alone(&mut self, to: Domain, event: Rc<Value>) -> Result<(), Violation> {
        let before = self.watch.failures.len();
        let due = self.now();
        self.start(Parcel {
            to,
            event,
            due,
            tried: 0,
            first: None,
        });
        self.drain()?;
        match self.watch.failures.get(before) {
            Some(failure) => Err(Violation::new(format!("an undisturbed invocation fails: {failure}"))),
            None => Ok(()),
        }
    }
}
