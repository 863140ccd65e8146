//! Who does what when.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::Fault;
use wharfinger_cloud::config::TARGET_ATTRIBUTE;
use wharfinger_cloud::error::Kind;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{Item, TableName, text, to_attribute};
use wharfinger_cloud::world::{Caller, Fate, Gates, Shared, What, World};
use wharfinger_core::config::Keep;
use wharfinger_core::config::stored::{Pauses, StoredTarget};
use wharfinger_core::ids::Target;
use wharfinger_storage::{Storage, observe};

use super::checks::{Book, named};
use super::{Settings, Tally};
use crate::simulation::dice::Dice;
use crate::simulation::poll;

/// The owner mark.
pub(super) const OWNER: &str = "wharfinger";
/// The volume that is kept.
pub(super) const VOLUME: &str = "data";
/// How long Lambda lets an invocation live.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(60);
/// How often the function is to look.
const TICK: SignedDuration = SignedDuration::from_mins(1);
/// How many invocations run at once.
const AT_ONCE: usize = 3;
/// How many times `every` passes before the world falls quiet, and while it is.
const NOISY: i32 = 20;
const QUIET: i32 = 3;

pub(super) fn service() -> Target {
    Target::service("prod", "db")
}

/// An event on its way to the function.
pub(super) struct Parcel {
    event: Rc<Value>,
    at: Timestamp,
    tries: u32,
}

struct Run {
    work: Pin<Box<dyn Future<Output = Result<(), Fault>>>>,
    gates: Gates,
    parcel: Parcel,
    deadline: Timestamp,
}

/// One history.
pub(super) struct Play {
    pub(super) world: Shared,
    pub(super) dice: Dice,
    pub(super) tally: Tally,
    pub(super) book: Book,
    pub(super) every: SignedDuration,
    pub(super) is_quiet: bool,
    settings: Settings,
    environments: Vec<Rc<Storage>>,
    running: Vec<Run>,
    post: Vec<Parcel>,
    next_tick: Timestamp,
    serial: u64,
}

impl Play {
    pub(super) fn of(seed: u64, settings: Settings) -> Self {
        let mut dice = Dice::of(seed);
        let hours = [1, 6, 24];
        let every = SignedDuration::from_hours(hours[dice.index(hours.len())]);
        let mut keep = Keep::default();
        for line in [
            &mut keep.last,
            &mut keep.hourly,
            &mut keep.daily,
            &mut keep.weekly,
            &mut keep.monthly,
        ] {
            if dice.chance(400) {
                *line = u32::try_from(dice.between(1, 4)).unwrap_or(1);
            }
        }
        let mut world = World::new(Timestamp::from_second(1_767_600_000).unwrap_or(Timestamp::UNIX_EPOCH));
        world.talkative = settings.trace;
        let mut play = Self {
            book: Book::new(every, keep),
            world: World::new(Timestamp::UNIX_EPOCH).shared(),
            dice,
            tally: Tally::default(),
            every,
            is_quiet: false,
            settings,
            environments: Vec::new(),
            running: Vec::new(),
            post: Vec::new(),
            next_tick: Timestamp::UNIX_EPOCH,
            serial: 0,
        };
        Self::found(&mut world);
        play.world = world.shared();
        play.environments = (0..2).map(|_| Rc::new(Storage::new(OWNER))).collect();
        play.configure(true, false);
        play.removes_orphans();
        play
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.world.borrow().told.clone()
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        let begun = self.now();
        let end = begun.saturating_add(self.every * NOISY).map_err(|e| e.to_string())?;
        while self.now() < end {
            self.step()?;
        }
        self.fall_quiet();
        let end = self
            .now()
            .saturating_add(self.every * QUIET)
            .map_err(|e| e.to_string())?;
        while self.now() < end || !self.running.is_empty() {
            self.step()?;
        }
        self.book.at_rest(&self.world.borrow())?;
        self.tally.histories += 1;
        self.tally.time += self.now().duration_since(begun);
        Ok(())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    pub(super) fn say(&mut self, what: &str) {
        if self.settings.trace {
            let now = self.now();
            self.world.borrow_mut().told.push(format!("{now} {what}"));
        }
    }

    /// Stores the configuration, as `wharfinger apply` and `pause` do.
    pub(super) fn configure(&mut self, keeps: bool, paused: bool) {
        let mut snapshot = json!({ "every": format!("{}h", self.every.as_hours()) });
        if !self.book.keep.is_unlimited() {
            snapshot["keep"] = json!(self.book.keep);
        }
        let storage = if keeps {
            json!([{ "volume": VOLUME, "snapshot": snapshot }])
        } else {
            json!([])
        };
        let Ok(config) = serde_json::from_value(json!({ "storage": storage })) else {
            return;
        };
        let mut stored = StoredTarget::new(config);
        if paused {
            stored.paused = Pauses::from([("storage".to_owned(), None)]);
        }
        for partition in stored.partitions() {
            let Ok(attribute) = to_attribute("a target", &stored) else {
                return;
            };
            let mut item = Item::default();
            item.insert("pk".to_owned(), text(partition));
            item.insert("sk".to_owned(), text(service().key()));
            item.insert(TARGET_ATTRIBUTE.to_owned(), attribute);
            self.world.borrow_mut().tables.put(TableName::Config, item);
        }
        let now = self.now();
        self.book.configured(keeps && !paused, now);
    }

    fn fall_quiet(&mut self) {
        self.say("the world falls quiet");
        self.is_quiet = true;
        self.configure(true, false);
        self.world.borrow_mut().set_count(&service(), 1);
        let now = self.now();
        self.book.counted(1, now);
        self.world.borrow_mut().ebs.shown_after = SignedDuration::ZERO;
        let is_there = |id: &String| self.world.borrow().ebs.snapshots.contains_key(id);
        let named = named(&self.world.borrow());
        if !named.iter().all(is_there) {
            // Someone deployed it while it was removed, and its tasks cannot start.
            self.deploy(None);
        }
    }

    fn step(&mut self) -> Result<(), String> {
        self.pass();
        self.happens();
        self.collect();
        self.begin();
        for _ in 0..self.dice.between(1, 12) {
            self.go_on();
            self.book.look(&self.world.borrow(), &mut self.tally)?;
        }
        Ok(())
    }

    /// Time passes: little while something runs.
    fn pass(&mut self) {
        let millis = if self.running.is_empty() {
            let most = u64::try_from(self.every.as_millis() / 12).unwrap_or(u64::MAX);
            self.dice.between(20_000, most)
        } else {
            self.dice.between(0, 4_000)
        };
        let mut world = self.world.borrow_mut();
        let by = SignedDuration::from_millis(i64::try_from(millis).unwrap_or_default());
        world.now = world.now.saturating_add(by).unwrap_or(world.now);
    }

    /// What was told goes on its way, unless it is lost.
    fn collect(&mut self) {
        let told = std::mem::take(&mut self.world.borrow_mut().emitted);
        let rules = ["ECS Task State Change", "EBS Snapshot Notification"];
        for event in told {
            let is_ours = event
                .get("detail-type")
                .and_then(Value::as_str)
                .is_some_and(|kind| rules.contains(&kind));
            let state = event.pointer("/detail/lastStatus").and_then(Value::as_str);
            if !is_ours || state.is_some_and(|state| !["RUNNING", "STOPPED"].contains(&state)) {
                continue;
            }
            if self.harms(120, "event lost") {
                continue;
            }
            let event = Rc::new(event);
            for _ in 0..if self.harms(80, "event told twice") { 2 } else { 1 } {
                self.send(Rc::clone(&event), 0, 90);
            }
        }
        let now = self.now();
        if self.next_tick <= now && self.dice.chance(900) {
            self.next_tick = now.saturating_add(TICK).unwrap_or(now);
            let only = if self.dice.chance(if self.is_quiet { 600 } else { 300 }) {
                json!({})
            } else {
                json!({ "only": "active" })
            };
            let tick =
                json!({ "id": "tick", "detail-type": "Scheduled Event", "source": "aws.events", "detail": only });
            self.send(Rc::new(tick), 0, 3);
        }
    }

    fn send(&mut self, event: Rc<Value>, tries: u32, within_seconds: u64) {
        let late = i64::try_from(self.dice.below(within_seconds * 1_000)).unwrap_or_default();
        let at = self
            .now()
            .saturating_add(SignedDuration::from_millis(late))
            .unwrap_or(Timestamp::MAX);
        self.post.push(Parcel { event, at, tries });
    }

    /// Lambda begins what has arrived.
    fn begin(&mut self) {
        let now = self.now();
        while self.running.len() < AT_ONCE {
            let Some(place) = self.post.iter().position(|parcel| parcel.at <= now) else {
                return;
            };
            let parcel = self.post.swap_remove(place);
            self.start(parcel);
        }
    }

    fn start(&mut self, parcel: Parcel) {
        self.serial += 1;
        self.tally.count("invocations");
        let place = self.dice.index(self.environments.len());
        if self.harms(30, "cold start") {
            self.environments[place] = Rc::new(Storage::new(OWNER));
        }
        let skew = SignedDuration::from_millis(i64::try_from(self.dice.between(0, 4_000)).unwrap_or_default() - 2_000);
        let now = self.now();
        let deadline = now.saturating_add(TIMEOUT).unwrap_or(now);
        let (gates, name) = (Gates::default(), format!("storage {}", self.serial));
        let caller = Caller::gated(&self.world, &name, gates.clone(), deadline, skew);
        let (function, event) = (Rc::clone(&self.environments[place]), Rc::clone(&parcel.event));
        self.say(&format!("{name} begins with {}", event["detail-type"]));
        let work = Box::pin(async move { Box::pin(function.on_event(&caller, &name, &event)).await });
        self.running.push(Run {
            work,
            gates,
            parcel,
            deadline,
        });
    }

    /// One invocation takes its next step, or is killed.
    fn go_on(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let place = self.dice.index(self.running.len());
        if self.running[place].deadline <= self.now() || self.harms(6, "invocation killed") {
            let run = self.running.swap_remove(place);
            self.forget();
            return self.again(run.parcel);
        }
        let now = self.now();
        let stops = self.running[place].gates.stops();
        let ready = stops
            .iter()
            .filter(|stop| !matches!(stop.what, What::Sleep(until) if until > now));
        let ready: Vec<_> = ready.cloned().collect();
        if let Some(stop) = self.dice.pick(&ready).cloned() {
            let fate = match stop.what {
                What::Call { operation, writes } => self.fate(operation, writes),
                What::Sleep(_) => Fate::Fine,
            };
            self.tally.count("calls and waits");
            self.running[place].gates.open(stop.id, fate);
        }
        if let Poll::Ready(done) = poll(self.running[place].work.as_mut()) {
            let run = self.running.swap_remove(place);
            if let Err(fault) = done {
                self.say(&format!("failed: {fault}"));
                self.forget();
                self.again(run.parcel);
            }
        }
    }

    /// Lambda tries again, twice.
    fn again(&mut self, parcel: Parcel) {
        if parcel.tries < 2 {
            self.send(parcel.event, parcel.tries + 1, 180);
        }
    }

    /// Breaks the function on purpose.
    fn forget(&mut self) {
        if !self.settings.forgets {
            return;
        }
        let mut world = self.world.borrow_mut();
        if let Some(item) = world.tables.of_mut(TableName::State).get_mut(&service_key(&service())) {
            item.remove(observe::MEMORY);
        }
    }

    /// Whether something goes wrong that does so many times in a thousand.
    pub(super) fn harms(&mut self, per_mille: u64, name: &'static str) -> bool {
        let happens = !self.is_quiet && self.dice.chance(per_mille);
        if happens {
            self.say(name);
            self.tally.count(name);
        }
        happens
    }

    fn fate(&mut self, operation: &'static str, writes: bool) -> Fate {
        if ["DescribeSnapshots", "DescribeServices"].contains(&operation) && self.harms(60, "answer that lags") {
            return Fate::Lagging;
        }
        let share = if operation == "CreateSnapshot" { 250 } else { 25 };
        if !self.harms(share, "call that fails") {
            return Fate::Fine;
        }
        let kind = [Kind::Throttled, Kind::TimedOut, Kind::Unavailable][self.dice.index(3)];
        match (self.dice.index(3), writes) {
            (0, true) if kind != Kind::Throttled => {
                self.tally.count("answer lost after the effect");
                Fate::After(kind)
            }
            // What is sent once is not repeated by the SDK.
            (1, true) if operation != "CreateSnapshot" => Fate::Twice,
            _ => Fate::Before(kind),
        }
    }
}
