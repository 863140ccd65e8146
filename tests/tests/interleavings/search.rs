//! Every order in which the calls of a few invocations are let through, every point at which one of them may die, and every
//! moment at which an operation of Cloud Map may end.
//!
//! A future cannot be copied, so each order is run from its beginning. What led to the same world, with the same answers
//! heard by the same invocations, goes on alike and is looked at once; how many orders lead there is added up.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::task::Poll;

use jiff::SignedDuration;
use serde_json::Value;
use wharfinger_cloud::Fault;
use wharfinger_cloud::table::AttributeValue;
use wharfinger_cloud::world::{Caller, Fate, Gates, Shared, What};

use crate::stage::{self, Function, Side};

/// What is let through as soon as it is asked for: the history is read by nobody here.
const ALONE: [&str; 1] = ["PutItem"];

/// How often an invocation that fails is tried again.
const TRIES: u32 = 4;

/// What an invocation is started with.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) name: &'static str,
    pub(crate) event: Value,
}

/// A world with what is to happen in it.
pub(crate) struct Play {
    pub(crate) world: Shared,
    pub(crate) starts: Vec<Start>,
}

/// What functions have in their caches when they begin, from a world alike: reading the configuration, and taking note of
/// where something is about to be, are calls whose place does not matter.
pub(crate) struct Warm {
    pub(crate) world: Shared,
    pub(crate) event: Value,
}

impl Warm {
    fn function(&self, side: Side) -> Function {
        let function = Function::of(side);
        self.world.borrow_mut().tables.state.clear();
        stage::now(function.hear(&Caller::direct(&self.world, "before"), &self.event)).unwrap();
        stage::finish_operations(&self.world);
        function
    }
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A call of an invocation goes through.
    Call { invocation: usize, stop: u64 },
    /// An invocation dies. Lambda tries again after a minute: by then the others are over.
    Crash(usize),
    /// Its event is tried again, or never.
    Again(usize, bool),
    /// An operation of Cloud Map ends, the oldest that runs or another.
    Finish(usize),
}

type Work = Pin<Box<dyn Future<Output = Result<Value, Fault>>>>;

struct Invocation {
    start: Start,
    gates: Gates,
    work: Option<Work>,
    /// What it was told so far.
    heard: u64,
    tries: u32,
    dead: bool,
}

/// One order, as far as it has come.
struct Run<'a> {
    side: Side,
    warm: &'a Warm,
    world: Shared,
    invocations: Vec<Invocation>,
    crashes: usize,
    given_up: bool,
    trace: Vec<String>,
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl<'a> Run<'a> {
    fn of(side: Side, warm: &'a Warm, play: Play) -> Self {
        play.world.borrow_mut().talkative = true;
        let mut run = Self {
            side,
            warm,
            world: play.world,
            invocations: Vec::new(),
            crashes: 0,
            given_up: false,
            trace: Vec::new(),
        };
        for start in play.starts {
            run.invocations.push(Invocation {
                start,
                gates: Gates::default(),
                work: None,
                heard: 0,
                tries: 0,
                dead: false,
            });
        }
        for place in 0..run.invocations.len() {
            run.begin(place);
        }
        run
    }

    fn begin(&mut self, place: usize) {
        let invocation = &mut self.invocations[place];
        invocation.tries += 1;
        invocation.heard = 0;
        invocation.gates = Gates::default();
        let deadline = self.world.borrow().now + SignedDuration::from_hours(1);
        let gates = invocation.gates.clone();
        let caller = Caller::gated(
            &self.world,
            invocation.start.name,
            gates,
            deadline,
            SignedDuration::ZERO,
        )
        .named(&format!("{}/{}", invocation.start.name, invocation.tries));
        let (function, event) = (self.warm.function(self.side), invocation.start.event.clone());
        invocation.work = Some(Box::pin(async move { function.hear(&caller, &event).await }));
        self.go_on(place);
    }

    fn go_on(&mut self, place: usize) {
        loop {
            let invocation = &mut self.invocations[place];
            let Some(work) = invocation.work.as_mut() else { return };
            if let Poll::Ready(result) = stage::poll(work.as_mut()) {
                invocation.work = None;
                self.listen(place);
                self.invocations[place].heard = 0;
                if let Err(fault) = result {
                    self.trace
                        .push(format!("{} FAILS: {fault}", self.invocations[place].start.name));
                    self.again(place);
                }
                return;
            }
            let stops = invocation.gates.stops();
            let alone = |what: &What| matches!(what, What::Call { operation, .. } if ALONE.contains(operation));
            // What nobody else can see the order of is let through at once.
            match stops.iter().find(|stop| alone(&stop.what)) {
                Some(stop) => invocation.gates.open(stop.id, Fate::Fine),
                None => break,
            }
        }
        self.listen(place);
    }

    fn again(&mut self, place: usize) {
        if self.invocations[place].tries >= TRIES {
            self.given_up = true;
        } else {
            self.begin(place);
        }
    }

    /// What the last call was answered: its own words, and the item that it was about.
    fn listen(&mut self, place: usize) {
        let told = std::mem::take(&mut self.world.borrow_mut().told);
        let world = self.world.borrow();
        for line in told {
            let named = |pk: &str, sk: &str| line.contains(pk) && line.contains(sk);
            let items = world.tables.state.iter().filter(|(key, _)| named(&key.pk, &key.sk));
            let items: Vec<_> = items.map(|(_, item)| canonical(item.inner())).collect();
            let invocation = &mut self.invocations[place];
            // In whichever order it heard this: calls that wait together are answered together.
            invocation.heard = invocation.heard.wrapping_add(hash((&line, items)));
            self.trace.push(line);
        }
    }

    fn steps(&self, most_crashes: usize) -> Vec<Step> {
        let operations = self.world.borrow().map.running().count();
        let mut steps: Vec<_> = (0..operations).map(Step::Finish).collect();
        for (place, invocation) in self.invocations.iter().enumerate().filter(|(_, i)| i.work.is_some()) {
            let waiting = invocation.gates.stops();
            // Who waits for an operation looks again once it is over.
            let open = waiting
                .iter()
                .filter(|s| operations == 0 || !matches!(s.what, What::Sleep(_)));
            steps.extend(open.map(|stop| Step::Call {
                invocation: place,
                stop: stop.id,
            }));
            if self.crashes < most_crashes {
                steps.push(Step::Crash(place));
            }
        }
        if steps.is_empty() {
            let dead = (0..self.invocations.len()).filter(|place| self.invocations[*place].dead);
            steps.extend(dead.flat_map(|place| [true, false].map(|again| Step::Again(place, again))));
        }
        steps
    }

    fn make(&mut self, step: Step) {
        match step {
            Step::Call { invocation, stop } => {
                let gates = self.invocations[invocation].gates.clone();
                // Time stands still: who sleeps waits for an operation, and wakes when it is over.
                gates.open(stop, Fate::Fine);
                self.go_on(invocation);
            }
            Step::Crash(place) => {
                self.crashes += 1;
                let invocation = &mut self.invocations[place];
                (invocation.work, invocation.heard, invocation.dead) = (None, 0, true);
                self.trace.push(format!("{} dies", invocation.start.name));
            }
            Step::Again(place, again) => {
                let invocation = &mut self.invocations[place];
                invocation.dead = false;
                let what = if again {
                    "is tried again"
                } else {
                    "is never tried again"
                };
                self.trace.push(format!("{} {what}", invocation.start.name));
                if again {
                    self.begin(place);
                } else {
                    self.given_up = true;
                }
            }
            Step::Finish(which) => {
                let mut world = self.world.borrow_mut();
                let id = world.map.running().nth(which).map(|o| o.id.clone()).unwrap();
                world.map.finish(&id, true);
                self.trace.push(format!("{id} ends"));
            }
        }
    }

    /// All that what comes next depends on.
    fn state(&self) -> u64 {
        let world = self.world.borrow();
        let shared = |pk: &str| pk.starts_with("task#") || pk.starts_with("held#");
        let items = world.tables.state.iter().filter(|(key, _)| shared(&key.pk));
        let items: Vec<_> = items.map(|(key, item)| (key, canonical(item.inner()))).collect();
        let running: Vec<_> = world.map.running().map(|o| format!("{o:?}")).collect();
        let groups: Vec<_> = world
            .groups
            .values()
            .map(|g| g.targets().map(|t| format!("{t:?}")).collect::<Vec<_>>())
            .collect();
        let invocation = |i: &Invocation| (i.work.is_some(), i.heard, i.tries, i.dead);
        let invocations: Vec<_> = self.invocations.iter().map(invocation).collect();
        let rest = (self.crashes, self.given_up, world.now.as_millisecond());
        hash((items, &world.map.services, running, groups, invocations, rest))
    }
}

/// The same text for the same item, whatever the order of its maps.
fn canonical(item: &HashMap<String, AttributeValue>) -> String {
    let mut fields: Vec<_> = item
        .iter()
        .map(|(name, value)| format!("{name}={}", plain(value)))
        .collect();
    fields.sort_unstable();
    fields.join(" ")
}

fn plain(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(fields) => format!("{{{}}}", canonical(fields)),
        AttributeValue::L(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => format!("{other:?}"),
    }
}

/// What was gone through.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Orders, each with its crashes.
    pub(crate) orders: u128,
    /// Different states.
    pub(crate) states: usize,
}

/// Goes through everything that may happen with at most so many crashes; `check` looks at each end, and is told whether an
/// event was given up.
pub(crate) fn all(
    side: Side,
    most_crashes: usize,
    warm: &Warm,
    play: &dyn Fn() -> Play,
    check: &dyn Fn(&Shared, bool) -> Result<(), String>,
) -> Seen {
    let mut search = Search {
        side,
        most_crashes,
        warm,
        play,
        check,
        known: HashMap::new(),
    };
    let orders = search.from(&mut Vec::new(), None);
    Seen {
        orders,
        states: search.known.len(),
    }
}

struct Search<'a> {
    side: Side,
    most_crashes: usize,
    warm: &'a Warm,
    play: &'a dyn Fn() -> Play,
    check: &'a dyn Fn(&Shared, bool) -> Result<(), String>,
    known: HashMap<u64, u128>,
}

impl<'a> Search<'a> {
    fn again(&self, steps: &[Step]) -> Run<'a> {
        let mut run = Run::of(self.side, self.warm, (self.play)());
        for step in steps {
            run.make(*step);
        }
        run
    }

    /// How many orders there are from here on.
    fn from(&mut self, made: &mut Vec<Step>, run: Option<Run<'a>>) -> u128 {
        let run = run.unwrap_or_else(|| self.again(made));
        let state = run.state();
        if let Some(orders) = self.known.get(&state) {
            return *orders;
        }
        let steps = run.steps(self.most_crashes);
        if steps.is_empty() {
            if let Err(what) = (self.check)(&run.world, run.given_up) {
                panic!("{what}\n{}", run.trace.join("\n"));
            }
            self.known.insert(state, 1);
            return 1;
        }
        let (mut orders, mut first) = (0, Some(run));
        for step in steps {
            made.push(step);
            // The first goes on where we are; the others begin anew.
            let next = first.take().map(|mut run| {
                run.make(step);
                run
            });
            orders += self.from(made, next);
            made.pop();
        }
        self.known.insert(state, orders);
        orders
    }
}
