//! The function of storage, invoked as Lambda does it, on the world in memory: events are lost, late and told twice, calls fail
//! before or after their effect, and invocations are killed between any two of them.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::Fault;
use wharfinger_cloud::config::TARGET_ATTRIBUTE;
use wharfinger_cloud::error::Kind;
use wharfinger_cloud::table::{Item, TableName, text, to_attribute};
use wharfinger_cloud::world::{Caller, Fate, Gates, Shared, What, World};
use wharfinger_core::config::stored::StoredTarget;
use wharfinger_core::ids::Target;
use wharfinger_storage::Storage;

use crate::simulation::dice::Dice;
use crate::simulation::poll;

/// The owner mark.
pub const OWNER: &str = "wharfinger";
/// How long Lambda lets an invocation live.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(60);
/// How often the function is to look.
const TICK: SignedDuration = SignedDuration::from_mins(1);
/// How many invocations run at once.
const AT_ONCE: usize = 3;

/// What histories were made of.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// What they are histories of.
    pub of: &'static str,
    /// How many there were.
    pub histories: u64,
    /// The time that passed in them.
    pub time: SignedDuration,
    /// What was done and what happened, by name.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// One more of these.
    pub fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    /// How often something was done or happened.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// Those of another history.
    pub fn add(&mut self, other: &Self) {
        self.of = other.of;
        self.histories += other.histories;
        self.time += other.time;
        for (name, n) in &other.counts {
            *self.counts.entry(name).or_default() += n;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.time.as_hours() / 24;
        writeln!(f, "{} histories of {}, {days} days in all", self.histories, self.of)?;
        for (name, n) in &self.counts {
            writeln!(f, "{n:>10}  {name}")?;
        }
        Ok(())
    }
}

/// A history that went wrong.
#[derive(Debug)]
pub struct Failed {
    /// Its seed.
    pub seed: u64,
    /// What must never be.
    pub violation: String,
    /// What happened, when it was asked for.
    pub trace: Vec<String>,
}

/// What differs from one kind of history to the next.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// What they are histories of.
    pub of: &'static str,
    /// Whether an event reaches the function, as the template's rules say.
    pub hears: fn(&Value) -> bool,
    /// The calls whose answers may lag behind the last change.
    pub lags: &'static [&'static str],
    /// The calls that fail often.
    pub fails: &'static [&'static str],
    /// Whether clocks may be wrong by minutes.
    pub wild_clocks: bool,
    /// Whether what happens is written down.
    pub trace: bool,
}

/// An event on its way to the function.
struct Parcel {
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

/// The function and its world.
pub struct Engine {
    /// The world.
    pub world: Shared,
    /// The source of chance.
    pub dice: Dice,
    /// What was done and what happened.
    pub tally: Tally,
    /// Whether nothing goes wrong any more.
    pub is_quiet: bool,
    manner: Manner,
    environments: Vec<Rc<Storage>>,
    running: Vec<Run>,
    post: Vec<Parcel>,
    next_tick: Timestamp,
    serial: u64,
}

impl Engine {
    /// A function in a world.
    #[must_use]
    pub fn of(mut world: World, dice: Dice, manner: Manner) -> Self {
        world.talkative = manner.trace;
        Self {
            world: world.shared(),
            dice,
            tally: Tally {
                of: manner.of,
                ..Tally::default()
            },
            is_quiet: false,
            manner,
            environments: (0..2).map(|_| Rc::new(Storage::new(OWNER))).collect(),
            running: Vec::new(),
            post: Vec::new(),
            next_tick: Timestamp::UNIX_EPOCH,
            serial: 0,
        }
    }

    /// What happened, as far as it was written down.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.world.borrow().told.clone()
    }

    /// The world's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    /// Writes down what happens.
    pub fn say(&mut self, what: &str) {
        if self.manner.trace {
            let now = self.now();
            self.world.borrow_mut().told.push(format!("{now} {what}"));
        }
    }

    /// Whether something goes wrong that does so many times in a thousand.
    pub fn harms(&mut self, per_mille: u64, name: &'static str) -> bool {
        let happens = !self.is_quiet && self.dice.chance(per_mille);
        if happens {
            self.say(name);
            self.tally.count(name);
        }
        happens
    }

    /// Stores what a target wants, as the command does.
    pub fn store(&mut self, target: &Target, stored: &StoredTarget) {
        for partition in stored.partitions() {
            let Ok(attribute) = to_attribute("a target", stored) else {
                return;
            };
            let mut item = Item::default();
            item.insert("pk".to_owned(), text(partition));
            item.insert("sk".to_owned(), text(target.key()));
            item.insert(TARGET_ATTRIBUTE.to_owned(), attribute);
            self.world.borrow_mut().tables.put(TableName::Config, item);
        }
    }

    /// Whether an invocation runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Time passes: so many milliseconds at least and at most, and little while something runs.
    pub fn pass(&mut self, least: u64, most: u64) {
        let millis = if self.is_busy() {
            self.dice.between(0, 4_000)
        } else {
            self.dice.between(least, most)
        };
        self.skip(SignedDuration::from_millis(i64::try_from(millis).unwrap_or_default()));
    }

    /// Time passes.
    pub fn skip(&mut self, by: SignedDuration) {
        let mut world = self.world.borrow_mut();
        world.now = world.now.saturating_add(by).unwrap_or(world.now);
    }

    /// Lambda is not there: what runs is killed, and what is on its way is lost.
    pub fn fail(&mut self) {
        self.running.clear();
        self.post.clear();
    }

    /// What was told goes on its way, unless it is lost; what has arrived begins.
    pub fn deliver(&mut self) {
        self.collect();
        self.begin();
    }

    fn collect(&mut self) {
        let told = std::mem::take(&mut self.world.borrow_mut().emitted);
        for event in told {
            if !(self.manner.hears)(&event) {
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
        let skew = self.skew();
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

    fn skew(&mut self) -> SignedDuration {
        let most: u64 = if self.manner.wild_clocks && self.harms(40, "clock that is wrong by minutes") {
            300_000
        } else {
            2_000
        };
        let millis = i64::try_from(self.dice.between(0, 2 * most)).unwrap_or_default();
        SignedDuration::from_millis(millis - i64::try_from(most).unwrap_or_default())
    }

    /// One invocation takes its next step, or is killed. The answer is whether one ended otherwise than well.
    pub fn go_on(&mut self) -> bool {
        if self.running.is_empty() {
            return false;
        }
        let place = self.dice.index(self.running.len());
        if self.running[place].deadline <= self.now() || self.harms(6, "invocation killed") {
            let run = self.running.swap_remove(place);
            self.again(run.parcel);
            return true;
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
                self.again(run.parcel);
                return true;
            }
        }
        false
    }

    /// Lambda tries again, twice.
    fn again(&mut self, parcel: Parcel) {
        if parcel.tries < 2 {
            self.send(parcel.event, parcel.tries + 1, 180);
        }
    }

    fn fate(&mut self, operation: &'static str, writes: bool) -> Fate {
        if self.manner.lags.contains(&operation) && self.harms(60, "answer that lags") {
            return Fate::Lagging;
        }
        let share = if self.manner.fails.contains(&operation) {
            250
        } else {
            25
        };
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
