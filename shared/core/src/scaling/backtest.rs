//! What the rules would have done: the very decisions of [`decide()`], over values of the past and with a virtual clock.
//!
//! Each row is a moment. Alarms are evaluated from their values, and the service is decided on where the one-minute
//! schedule would: when an alarm has changed its state, or a rule asks for something. Every wanted task runs at once.

mod alarms;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use alarms::{AlarmDefinition, Comparison, Missing};

use self::alarms::Evaluated;
use super::{AlarmFacts, Decided, Facts, Memory, QueueFacts, bounds, decide, settle};
use crate::config::{Rule, Scaling};
use crate::event::AlarmState;
use crate::ids::Target;
use crate::known::Known;
use crate::report::{Outcome, Reason};
use crate::service::ServiceFacts;

/// How often the schedule looks.
const TICK: SignedDuration = SignedDuration::from_mins(1);

/// How long the schedule goes on between two rows: a longer gap is one in the data.
const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(24);

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Backtest {
    /// The service, for the reasons.
    pub target: Target,
    /// Its bounds and rules.
    pub scaling: Scaling,
    /// The alarms that the rules name, by name. Of one that is not here nothing is known.
    pub alarms: BTreeMap<String, AlarmDefinition>,
    /// The count before the first row; the `min` of then when it is left out.
    pub from: Option<u32>,
}

/// The values of a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When. Rows are in the order of time.
    pub time: Timestamp,
    /// The value of each alarm's metric, and how many messages each queue has, by name; `None` is missing data.
    pub values: BTreeMap<String, Option<f64>>,
}

/// What came of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// When.
    pub time: Timestamp,
    /// The count after it.
    pub desired: u32,
    /// Why, or why not: of each change since the row before, and of this row.
    pub reasons: Vec<Reason>,
    /// The changes since the row before, without that of this row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub between: Vec<Change>,
}

impl Moment {
    /// The reasons of this row alone.
    pub fn own(&self) -> &[Reason] {
        let others = self.between.iter().map(|change| change.reasons.len()).sum();
        self.reasons.get(others..).unwrap_or_default()
    }
}

/// A change between two rows, by a look of the schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// When.
    pub time: Timestamp,
    /// The count before.
    pub from: u32,
    /// The count after.
    pub to: u32,
    /// Why.
    pub reasons: Vec<Reason>,
}

impl Backtest {
    /// The count before the first row, which is at `first`.
    pub fn start(&self, first: Timestamp) -> u32 {
        self.from
            .unwrap_or_else(|| bounds(&self.scaling, None, first).bounds.min)
    }

    /// Goes through the rows, and says what came of each.
    pub fn run(&self, rows: &[Row]) -> Vec<Moment> {
        let Some(first) = rows.first() else {
            return Vec::new();
        };
        let mut world = World {
            backtest: self,
            count: self.start(first.time),
            memory: Memory::default(),
            alarms: BTreeMap::new(),
            queues: BTreeMap::new(),
        };
        let mut moments: Vec<Moment> = Vec::new();
        for row in rows {
            let between = moments
                .last()
                .map(|before| world.between(before.time, row.time))
                .unwrap_or_default();
            let mut reasons: Vec<_> = between.iter().flat_map(|change| change.reasons.clone()).collect();
            let moved = world.hears(row);
            reasons.extend(world.look(row.time, moved).decision.reasons);
            moments.push(Moment {
                time: row.time,
                desired: world.count,
                reasons,
                between,
            });
        }
        moments
    }
}

/// The service and what is known.
struct World<'a> {
    backtest: &'a Backtest,
    count: u32,
    memory: Memory,
    alarms: BTreeMap<String, Evaluated>,
    queues: BTreeMap<String, Option<f64>>,
}

impl World<'_> {
    /// Takes the values of a row. Says whether an alarm has changed its state.
    fn hears(&mut self, row: &Row) -> bool {
        let mut moved = false;
        let value = |name: &str| {
            row.values
                .get(name)
                .copied()
                .flatten()
                .filter(|value| value.is_finite())
        };
        for rule in &self.backtest.scaling.rules {
            match rule {
                Rule::Alarm(rule) => {
                    let Some(definition) = self.backtest.alarms.get(&rule.alarm) else {
                        continue;
                    };
                    let alarm = self.alarms.entry(rule.alarm.clone()).or_default();
                    moved |= alarm.hears(definition, row.time, value(&rule.alarm));
                }
                Rule::Queue(rule) => {
                    self.queues.insert(rule.queue.clone(), value(&rule.queue));
                }
            }
        }
        moved
    }

    /// The looks of the schedule between two rows, as far as they changed the count.
    fn between(&mut self, from: Timestamp, to: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        let end = to.min(from.saturating_add(LONGEST_GAP).unwrap_or(to));
        let ticks = std::iter::successors(Some(from), |at| at.checked_add(TICK).ok());
        for at in ticks.skip(1).take_while(|at| *at < end) {
            let before = self.count;
            let decided = self.look(at, false);
            if self.count != before {
                changes.push(Change {
                    time: at,
                    from: before,
                    to: self.count,
                    reasons: decided.decision.reasons,
                });
            }
        }
        changes
    }

    /// One look of the schedule: at the rules alone, and at the service when one asks for something.
    fn look(&mut self, now: Timestamp, moved: bool) -> Decided {
        let mut facts = self.facts(now);
        if !moved {
            let asked = decide(&facts, now);
            if asked.decision.outcome == Outcome::Ignore {
                return asked;
            }
        }
        facts.service = Known::Yes(Some(self.service()));
        let decided = decide(&facts, now);
        self.memory = match &decided.intent {
            Some(intent) => {
                self.count = intent.to;
                settle(decided.before_call())
            }
            None => decided.memory.clone(),
        };
        decided
    }

    fn facts(&self, now: Timestamp) -> Facts {
        let alarm = |(name, alarm): (&String, &Evaluated)| {
            let state: AlarmState = alarm.state()?;
            let facts = AlarmFacts::described(Some(state), now).with_metric(alarm.newest());
            Some((name.clone(), facts))
        };
        let queue = |(name, messages): (&String, &Option<f64>)| {
            let queue = QueueFacts {
                visible: whole((*messages)?),
                in_flight: 0,
                oldest: None,
                at: now,
            };
            Some((name.clone(), Some(queue)))
        };
        Facts {
            target: self.backtest.target.clone(),
            scaling: self.backtest.scaling.clone(),
            overridden: None,
            service: Known::No,
            scalable: Known::Yes(false),
            alarms: self.alarms.iter().filter_map(alarm).collect(),
            queues: self.queues.iter().filter_map(queue).collect(),
            memory: self.memory.clone(),
        }
    }

    fn service(&self) -> ServiceFacts {
        ServiceFacts {
            service_arn: String::new(),
            status: "ACTIVE".into(),
            desired_count: self.count,
            running_count: self.count,
            pending_count: 0,
            task_definition: String::new(),
            deployment_controller: "ECS".into(),
            ..ServiceFacts::default()
        }
    }
}

/// A number of messages: an average of some is rounded up, so that one is never none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is whole, and `as` holds what is out of range at the range's end"
)]
fn whole(messages: f64) -> u64 {
    messages.ceil() as u64
}
