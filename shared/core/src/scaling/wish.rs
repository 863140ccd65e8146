//! What each rule says of its alarm, before the service's count is known.

use std::fmt;

use jiff::Timestamp;

use super::facts::CONFIRM_AFTER;
use super::{AlarmFacts, Facts, Memory, Used, steps};
use crate::config::{AlarmRule, Change, Missing, Rule, Step};
use crate::event::{AlarmState, AlarmValue, Reading};
use crate::report::{Code, Reason};

/// How far a value may be from its target when the rule does not say.
const TOLERANCE: f64 = 0.1;

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Voice<'a> {
    /// Nothing: others decide.
    Silent(Reason),
    /// It asks for nothing, and objects to fewer tasks.
    Objects(Reason),
    /// It asks for a change.
    Asks(Ask<'a>),
}

/// What a rule asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ask<'a> {
    /// The alarm.
    pub(super) alarm: &'a str,
    /// What the alarm says.
    pub(super) said: String,
    /// The change.
    wanted: Wanted,
    /// What it acts upon.
    basis: Basis,
    /// When the same was acted upon before.
    pub(super) used: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wanted {
    Ratio(f64),
    Change(Change, Option<u32>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Basis {
    Transition(Timestamp),
    Reading(Timestamp),
}

impl Ask<'_> {
    /// The count that it asks for.
    pub(super) fn of(&self, base: u32) -> u32 {
        match self.wanted {
            Wanted::Ratio(ratio) => steps::proportional(base, ratio),
            Wanted::Change(change, min_step) => steps::apply(change, base, min_step),
        }
    }

    /// What is noted when it is followed.
    pub(super) fn mark(&self, at: Timestamp) -> Used {
        match self.basis {
            Basis::Transition(t) => Used {
                at,
                transition: Some(t),
                reading: None,
            },
            Basis::Reading(t) => Used {
                at,
                transition: None,
                reading: Some(t),
            },
        }
    }
}

/// What a rule says, and the alarm that must be looked up first to say more.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heard<'a> {
    /// What it says.
    pub(super) voice: Voice<'a>,
    /// Whether `DescribeAlarms` is to be asked.
    pub(super) describe: bool,
}

/// Hears every rule, in their order. What was used already is in the memory after an unfinished change was finished.
pub(super) fn hear<'a>(facts: &'a Facts, memory: &'a Memory, now: Timestamp) -> Vec<Heard<'a>> {
    let rules = facts.scaling.rules.iter();
    rules
        .map(|rule| match rule {
            Rule::Alarm(rule) => Hearing { rule, memory, now }.hear(facts.alarms.get(&rule.alarm)),
            Rule::Queue(rule) => Heard::plainly(objects(
                Code::QueueNotFound,
                format!(
                    "queue `{}`: queue rules are not evaluated in this version, so no task is removed",
                    rule.queue
                ),
            )),
        })
        .collect()
}

impl<'a> Heard<'a> {
    fn plainly(voice: Voice<'a>) -> Self {
        Self { voice, describe: false }
    }
}

fn silent<'a>(code: Code, message: String) -> Voice<'a> {
    Voice::Silent(Reason::new(code, message))
}

fn objects<'a>(code: Code, message: String) -> Voice<'a> {
    Voice::Objects(Reason::new(code, message))
}

/// One rule, and what is needed to hear it.
struct Hearing<'a> {
    rule: &'a AlarmRule,
    memory: &'a Memory,
    now: Timestamp,
}

impl<'a> Hearing<'a> {
    fn hear(&self, alarm: Option<&AlarmFacts>) -> Heard<'a> {
        let name = &self.rule.alarm;
        let Some(alarm) = alarm else {
            let message = format!("nothing is known of alarm `{name}`");
            return Heard {
                voice: self.without_data(Code::FactsMissing, message),
                describe: true,
            };
        };
        let Some(state) = &alarm.state else {
            return Heard::plainly(self.without_data(Code::AlarmNotFound, format!("alarm `{name}` does not exist")));
        };
        if state.muted {
            let message = format!("alarm `{name}` is muted or suppressed");
            return Heard::plainly(silent(Code::AlarmMuted, message));
        }
        if state.value == AlarmValue::Alarm && alarm.is_doubtful(self.now) {
            let message = format!(
                "alarm `{name}` went to ALARM at {}, more than {} minutes ago: is it still?",
                state.timestamp,
                CONFIRM_AFTER.as_mins()
            );
            return Heard {
                voice: objects(Code::FactsMissing, message),
                describe: true,
            };
        }
        Heard::plainly(self.hear_state(state))
    }

    fn hear_state(&self, state: &AlarmState) -> Voice<'a> {
        let name = &self.rule.alarm;
        match (state.value, Kind::of(self.rule)) {
            (AlarmValue::InsufficientData, _) => {
                self.without_data(Code::InsufficientData, format!("alarm `{name}` is INSUFFICIENT_DATA"))
            }
            (AlarmValue::Unknown, _) => self.without_data(
                Code::InsufficientData,
                format!("the state of alarm `{name}` is not a known one"),
            ),
            (_, None) => objects(
                Code::ConfigMalformed,
                format!("the rule of alarm `{name}` needs exactly one of `target`, `steps`, `add`, `percent`, `set`"),
            ),
            (_, Some(Kind::Target(target))) => self.hear_target(state, target),
            (AlarmValue::Ok, Some(_)) => silent(Code::AlarmNotActive, format!("alarm `{name}` is OK")),
            (AlarmValue::Alarm, Some(Kind::Steps(steps))) => self.hear_steps(state, steps),
            (AlarmValue::Alarm, Some(Kind::Change(change))) => {
                let said = format!("alarm `{name}` is in ALARM");
                self.ask(state, said, change)
            }
        }
    }

    fn hear_target(&self, state: &AlarmState, target: f64) -> Voice<'a> {
        let name = &self.rule.alarm;
        let Some(reading) = state.reading else {
            return self.without_reading(state);
        };
        let ratio = reading.value / target;
        if target <= 0.0 || !ratio.is_finite() {
            return objects(
                Code::ConfigMalformed,
                format!("the target of alarm `{name}` is {}: it must be above 0", Number(target)),
            );
        }
        let said = format!(
            "alarm `{name}` is at {}, its target is {}",
            Number(reading.value),
            Number(target)
        );
        let tolerance = self.rule.tolerance.unwrap_or(TOLERANCE);
        let read_at = reading.at.unwrap_or(state.timestamp);
        if let Some(why) = self.is_stale(state, reading) {
            // What it said last may still hold, and then it would not agree to fewer tasks.
            let aged = self.now.duration_since(reading_age(state, reading)) > CONFIRM_AFTER;
            let high = ratio >= 1.0 || steps::within(ratio, tolerance);
            let holds = high && (state.value == AlarmValue::Alarm || !aged);
            let message = format!("{said}, but {why}");
            return if holds {
                objects(Code::StaleReading, message)
            } else {
                silent(Code::StaleReading, message)
            };
        }
        if steps::within(ratio, tolerance) {
            let message = format!("{said}: within {} %", Number(tolerance * 100.0));
            return objects(Code::WithinTolerance, message);
        }
        Voice::Asks(Ask {
            alarm: name,
            said,
            wanted: Wanted::Ratio(ratio),
            basis: Basis::Reading(read_at),
            used: None,
        })
    }

    /// Why a reading says nothing of the count as it is now. A proportion acted upon twice would compound.
    fn is_stale(&self, state: &AlarmState, reading: Reading) -> Option<String> {
        let read_at = reading.at.unwrap_or(state.timestamp);
        let used = self.memory.used.get(&self.rule.alarm).and_then(|used| used.reading);
        if used.is_some_and(|used| read_at <= used) {
            return Some(format!("the reading of {read_at} was acted upon before"));
        }
        if let Some(change) = self.memory.last_own().filter(|change| read_at <= *change) {
            return Some(format!(
                "the reading of {read_at} is from before the change of {change}"
            ));
        }
        let aged = self.now.duration_since(reading_age(state, reading)) > CONFIRM_AFTER;
        aged.then(|| {
            format!(
                "the reading of {read_at} is more than {} minutes old",
                CONFIRM_AFTER.as_mins()
            )
        })
    }

    fn hear_steps(&self, state: &AlarmState, steps: &[Step]) -> Voice<'a> {
        let name = &self.rule.alarm;
        let Some(Reading {
            value,
            threshold: Some(threshold),
            ..
        }) = state.reading
        else {
            return self.without_reading(state);
        };
        let side = if value < threshold { "under" } else { "over" };
        let distance = Number((value - threshold).abs());
        let said = format!(
            "alarm `{name}` is at {}, {distance} {side} its threshold",
            Number(value)
        );
        let Some(step) = steps::find(steps, value, threshold) else {
            return silent(Code::NoStep, format!("{said}: no step is for that"));
        };
        match Change::of(step.add, step.percent, step.set) {
            Some(change) => self.ask(state, said, change),
            None => objects(
                Code::ConfigMalformed,
                format!("{said}: its step needs exactly one of `add`, `percent`, `set`"),
            ),
        }
    }

    fn ask(&self, state: &AlarmState, said: String, change: Change) -> Voice<'a> {
        let used = self.memory.used.get(&self.rule.alarm);
        let used = used.filter(|used| used.transition.is_some_and(|t| state.timestamp <= t));
        Voice::Asks(Ask {
            alarm: &self.rule.alarm,
            said,
            wanted: Wanted::Change(change, self.rule.min_step),
            basis: Basis::Transition(state.timestamp),
            used: used.map(|used| used.at),
        })
    }

    fn without_data(&self, code: Code, message: String) -> Voice<'a> {
        match self.rule.missing {
            Missing::Block => objects(code, message),
            Missing::Ignore => silent(code, message),
        }
    }

    fn without_reading(&self, state: &AlarmState) -> Voice<'a> {
        let name = &self.rule.alarm;
        if state.value == AlarmValue::Alarm {
            objects(
                Code::NoReading,
                format!("alarm `{name}` is in ALARM, but does not say by how much"),
            )
        } else {
            silent(
                Code::NoReading,
                format!("alarm `{name}` is OK and does not say its value"),
            )
        }
    }
}

/// A datapoint's time is the beginning of its period, which may be hours long: when the alarm was evaluated, its newest
/// datapoint was as new as can be.
fn reading_age(state: &AlarmState, reading: Reading) -> Timestamp {
    reading.at.map_or(state.timestamp, |at| at.max(state.timestamp))
}

enum Kind<'a> {
    Target(f64),
    Steps(&'a [Step]),
    Change(Change),
}

impl<'a> Kind<'a> {
    fn of(rule: &'a AlarmRule) -> Option<Self> {
        let change = Change::of(rule.add, rule.percent, rule.set);
        let changes = rule.add.is_some() || rule.percent.is_some() || rule.set.is_some();
        match (rule.target, rule.steps.as_slice(), changes) {
            (Some(target), [], false) => Some(Self::Target(target)),
            (None, [], true) => change.map(Self::Change),
            (None, [_, ..], false) => Some(Self::Steps(&rule.steps)),
            _ => None,
        }
    }
}

/// A number as people write it: four decimals at most.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.4}", self.0);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        match text {
            "0" | "-0" if self.0 != 0.0 => write!(f, "{:e}", self.0),
            "-0" => f.write_str("0"),
            _ => f.write_str(text),
        }
    }
}
