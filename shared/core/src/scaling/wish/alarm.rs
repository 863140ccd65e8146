//! What a rule says of its alarm.

use std::fmt;

use jiff::Timestamp;

use super::super::facts::{CONFIRM_AFTER, is_old, span};
use super::super::{AlarmFacts, Facts, Memory, needs_metric, steps};
use super::{Ask, Basis, Heard, Level, Source, Voice, Wanted, objects, silent};
use crate::config::{AlarmRule, Change, Missing, Step};
use crate::event::{AlarmState, AlarmValue, Reading};
use crate::known::Known;
use crate::report::Code;

const DESCRIBE_ALARMS: &str = "DescribeAlarms";
const GET_METRIC_DATA: &str = "GetMetricData";

/// How far a value may be from its target when the rule does not say.
const TOLERANCE: f64 = 0.1;

/// What a rule says of its alarm.
pub(super) fn hear<'a>(facts: &'a Facts, rule: &'a AlarmRule, memory: &'a Memory, now: Timestamp) -> Heard<'a> {
    Hearing {
        facts,
        rule,
        memory,
        now,
    }
    .hear()
}

/// One rule, and what is needed to hear it.
struct Hearing<'a> {
    facts: &'a Facts,
    rule: &'a AlarmRule,
    memory: &'a Memory,
    now: Timestamp,
}

/// A value, and what it is worth.
#[derive(Debug, Clone, Copy)]
struct Found {
    reading: Reading,
    /// The beginning of the datapoint's period.
    begun: Timestamp,
    /// From when on its age counts. A datapoint's time is the beginning of its period, which may be hours long: when the
    /// alarm was evaluated, its newest datapoint was as new as can be.
    as_of: Timestamp,
}

/// Where the value of a rule is.
enum Value {
    Found(Found),
    /// Nowhere.
    None,
    /// The AWS operation that would tell it.
    Ask(&'static str),
}

impl<'a> Hearing<'a> {
    fn hear(&self) -> Heard<'a> {
        let name = &self.rule.alarm;
        let Some(alarm) = self.facts.alarms.get(name) else {
            let message = format!("nothing is known of alarm `{name}`");
            return Heard::needing(self.without_data(Code::FactsMissing, message), DESCRIBE_ALARMS);
        };
        let Some(state) = &alarm.state else {
            return Heard::plainly(self.without_data(Code::AlarmNotFound, format!("alarm `{name}` does not exist")));
        };
        if state.is_muted(self.now) {
            let message = format!("alarm `{name}` is muted or suppressed");
            return Heard::plainly(silent(Code::AlarmMuted, message));
        }
        if state.value == AlarmValue::Alarm && alarm.is_doubtful(self.now) {
            let message = format!(
                "alarm `{name}` went to ALARM at {}, more than {} minutes ago: is it still?",
                state.timestamp,
                CONFIRM_AFTER.as_mins()
            );
            return Heard::needing(objects(Code::FactsMissing, message), DESCRIBE_ALARMS);
        }
        self.hear_state(alarm, state)
    }

    fn hear_state(&self, alarm: &'a AlarmFacts, state: &'a AlarmState) -> Heard<'a> {
        let name = &self.rule.alarm;
        let plainly = Heard::plainly;
        match (state.value, Kind::of(self.rule)) {
            (AlarmValue::InsufficientData, _) => {
                plainly(self.without_data(Code::InsufficientData, format!("alarm `{name}` is INSUFFICIENT_DATA")))
            }
            (AlarmValue::Unknown, _) => plainly(self.without_data(
                Code::InsufficientData,
                format!("the state of alarm `{name}` is not a known one"),
            )),
            (_, None) => plainly(objects(
                Code::ConfigMalformed,
                format!("the rule of alarm `{name}` needs exactly one of `target`, `steps`, `add`, `percent`, `set`"),
            )),
            (_, Some(Kind::Target(target))) => self.hear_target(alarm, state, target),
            (AlarmValue::Ok, Some(_)) => plainly(silent(Code::AlarmNotActive, format!("alarm `{name}` is OK"))),
            (AlarmValue::Alarm, Some(Kind::Steps(steps))) => self.hear_steps(alarm, state, steps),
            (AlarmValue::Alarm, Some(Kind::Change(change))) => {
                let said = format!("alarm `{name}` is in ALARM");
                plainly(self.ask(state, said, change))
            }
        }
    }

    /// The newest value: of the alarm, or of the first metric alarm that triggered it.
    fn value(&self, alarm: &AlarmFacts, state: &AlarmState) -> Value {
        if state.triggering.is_empty() {
            return self.value_of(alarm, state);
        }
        for name in &state.triggering {
            let Some(child) = self.facts.alarms.get(name) else {
                return Value::Ask(DESCRIBE_ALARMS);
            };
            match &child.state {
                Some(state) if state.triggering.is_empty() => return self.value_of(child, state),
                _ => {}
            }
        }
        Value::None
    }

    fn value_of(&self, alarm: &AlarmFacts, state: &AlarmState) -> Value {
        let told = state.reading.map(|reading| {
            let begun = reading.at.unwrap_or(state.timestamp);
            Found {
                reading,
                begun,
                as_of: begun.max(state.timestamp),
            }
        });
        let Known::Yes(asked) = alarm.metric else {
            let needed = match told {
                Some(told) => self.rule.target.is_some() && is_old(told.reading, state, self.now),
                None => needs_metric(self.rule, state, self.now),
            };
            return match told {
                _ if needed => Value::Ask(GET_METRIC_DATA),
                Some(told) => Value::Found(told),
                None => Value::None,
            };
        };
        let asked = asked.and_then(|mut reading| {
            let begun = reading.at?;
            reading.threshold = reading.threshold.or(told.and_then(|told| told.reading.threshold));
            let ended = begun.saturating_add(span(reading)).unwrap_or(Timestamp::MAX);
            Some(Found {
                reading,
                begun,
                as_of: ended.min(self.now),
            })
        });
        match (told, asked) {
            (Some(told), Some(asked)) if told.begun > asked.begun => Value::Found(told),
            (_, Some(asked)) => Value::Found(asked),
            (Some(told), None) => Value::Found(told),
            (None, None) => Value::None,
        }
    }

    fn hear_target(&self, alarm: &'a AlarmFacts, state: &'a AlarmState, target: f64) -> Heard<'a> {
        let name = &self.rule.alarm;
        let found = match self.value(alarm, state) {
            Value::Found(found) => found,
            Value::None => return Heard::plainly(self.without_reading(state)),
            Value::Ask(operation) => return self.asking(state, operation),
        };
        let ratio = found.reading.value / target;
        if target <= 0.0 || !ratio.is_finite() {
            return Heard::plainly(objects(
                Code::ConfigMalformed,
                format!("the target of alarm `{name}` is {}: it must be above 0", Number(target)),
            ));
        }
        let said = format!(
            "alarm `{name}` is at {}, its target is {}",
            Number(found.reading.value),
            Number(target)
        );
        let tolerance = self.rule.tolerance.unwrap_or(TOLERANCE);
        let level = Level {
            alarm: name,
            ratio,
            tolerance,
        };
        let aged = self.is_aged(found);
        let voice = if let Some(why) = self.is_stale(found) {
            // What it said last may still hold, and then it would not agree to fewer tasks.
            let high = ratio >= 1.0 || steps::within(ratio, tolerance);
            let holds = high && (state.value == AlarmValue::Alarm || !aged);
            let message = format!("{said}, but {why}");
            if holds {
                objects(Code::StaleReading, message)
            } else {
                silent(Code::StaleReading, message)
            }
        } else if steps::within(ratio, tolerance) {
            let message = format!("{said}: within {} %", Number(tolerance * 100.0));
            objects(Code::WithinTolerance, message)
        } else {
            Voice::Asks(Ask {
                source: Source::Alarm(name, Basis::Reading(found.begun)),
                said,
                wanted: Wanted::Ratio(ratio),
                used: None,
            })
        };
        Heard {
            voice,
            needs: None,
            level: (!aged).then_some(level),
        }
    }

    fn is_aged(&self, found: Found) -> bool {
        self.now.duration_since(found.as_of) > CONFIRM_AFTER
    }

    /// Why a reading says nothing of the count as it is now. A proportion acted upon twice would compound.
    fn is_stale(&self, found: Found) -> Option<String> {
        let begun = found.begun;
        let used = self.memory.used.get(&self.rule.alarm).and_then(|used| used.reading);
        if used.is_some_and(|used| begun <= used) {
            return Some(format!("the reading of {begun} was acted upon before"));
        }
        if let Some(change) = self.memory.last_own().filter(|change| begun <= *change) {
            return Some(format!("the reading of {begun} is from before the change of {change}"));
        }
        self.is_cold(found).or_else(|| {
            self.is_aged(found).then(|| {
                format!(
                    "the reading of {begun} is more than {} minutes old",
                    CONFIRM_AFTER.as_mins()
                )
            })
        })
    }

    /// Why a reading is of tasks that were not warm. Those that are left when others go are.
    fn is_cold(&self, found: Found) -> Option<String> {
        let warm_up = self.facts.scaling.warm_up;
        let change = self.memory.rise?.at;
        let warm = change.saturating_add(warm_up.duration()).unwrap_or(Timestamp::MAX);
        (found.begun < warm && !warm_up.duration().is_zero()).then(|| {
            format!(
                "the reading of {} is from within {warm_up} of the change of {change}",
                found.begun
            )
        })
    }

    fn hear_steps(&self, alarm: &'a AlarmFacts, state: &'a AlarmState, steps: &[Step]) -> Heard<'a> {
        let name = &self.rule.alarm;
        let found = match self.value(alarm, state) {
            Value::Found(found) => found,
            Value::None => return Heard::plainly(self.without_reading(state)),
            Value::Ask(operation) => return self.asking(state, operation),
        };
        let Reading { value, threshold, .. } = found.reading;
        let Some(threshold) = threshold else {
            return Heard::plainly(self.without_reading(state));
        };
        let side = if value < threshold { "under" } else { "over" };
        let distance = Number((value - threshold).abs());
        let said = format!(
            "alarm `{name}` is at {}, {distance} {side} its threshold",
            Number(value)
        );
        if let Some(why) = self.is_cold(found) {
            return Heard::plainly(objects(Code::StaleReading, format!("{said}, but {why}")));
        }
        let Some(step) = steps::find(steps, value, threshold) else {
            return Heard::plainly(silent(Code::NoStep, format!("{said}: no step is for that")));
        };
        Heard::plainly(match Change::of(step.add, step.percent, step.set) {
            Some(change) => self.ask(state, said, change),
            None => objects(
                Code::ConfigMalformed,
                format!("{said}: its step needs exactly one of `add`, `percent`, `set`"),
            ),
        })
    }

    fn ask(&self, state: &AlarmState, said: String, change: Change) -> Voice<'a> {
        let used = self.memory.used.get(&self.rule.alarm);
        let used = used.filter(|used| used.transition.is_some_and(|t| state.timestamp <= t));
        Voice::Asks(Ask {
            source: Source::Alarm(&self.rule.alarm, Basis::Transition(state.timestamp)),
            said,
            wanted: Wanted::Change(change, self.rule.min_step),
            used: used.map(|used| used.at),
        })
    }

    /// The value is to be looked up first.
    fn asking(&self, state: &AlarmState, operation: &'static str) -> Heard<'a> {
        let name = &self.rule.alarm;
        let message = match (operation, state.reading) {
            (DESCRIBE_ALARMS, _) => format!("what the alarms say that triggered alarm `{name}` is not known"),
            (_, Some(reading)) => format!(
                "alarm `{name}` was at {}, more than two periods ago: where is it now?",
                Number(reading.value)
            ),
            (_, None) => return Heard::needing(self.without_reading(state), operation),
        };
        Heard::needing(objects(Code::FactsMissing, message), operation)
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
