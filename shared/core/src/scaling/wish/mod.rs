//! What each rule says, before the service's count is known.

mod alarm;
mod queue;

use std::fmt;

use jiff::Timestamp;

use super::{Bounds, Facts, Memory, Used, steps};
use crate::config::{Change, Rule};
use crate::report::{Code, Reason};
use queue::Messages;

pub(super) use queue::idle;

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
    /// The alarm or queue.
    pub(super) source: Source<'a>,
    /// What the alarm or queue says.
    pub(super) said: String,
    /// The change.
    wanted: Wanted,
    /// When the same was acted upon before.
    pub(super) used: Option<Timestamp>,
}

/// What a rule listens to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source<'a> {
    /// An alarm, and what of it is acted upon.
    Alarm(&'a str, Basis),
    /// A queue: its wish is of the moment, and acted upon again as long as it stands.
    Queue(&'a str),
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alarm(name, _) => write!(f, "alarm `{name}`"),
            Self::Queue(name) => write!(f, "queue `{name}`"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wanted {
    Ratio(f64),
    Change(Change, Option<u32>),
    Messages(Messages),
}

/// What of an alarm a rule acts upon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Basis {
    /// Its transition.
    Transition(Timestamp),
    /// Its datapoint.
    Reading(Timestamp),
}

impl Ask<'_> {
    /// The count that it asks for.
    pub(super) fn of(&self, base: u32) -> u32 {
        match self.wanted {
            Wanted::Ratio(ratio) => steps::proportional(base, ratio),
            Wanted::Change(change, min_step) => steps::apply(change, base, min_step),
            Wanted::Messages(messages) => messages.of(base),
        }
    }

    /// Why it asks for the count that there is.
    pub(super) fn content(&self, base: u32) -> Code {
        match self.wanted {
            Wanted::Messages(messages) if messages.total > 0 && base == 0 => Code::BelowActivation,
            Wanted::Messages(messages) if messages.total == 0 && base > 0 => Code::QueueIdle,
            _ => Code::AlreadyAtDesiredCapacity,
        }
    }

    /// What is noted when it is followed: of which alarm, and what.
    pub(super) fn mark(&self, at: Timestamp) -> Option<(&str, Used)> {
        let Source::Alarm(name, basis) = self.source else {
            return None;
        };
        let (transition, reading) = match basis {
            Basis::Transition(t) => (Some(t), None),
            Basis::Reading(t) => (None, Some(t)),
        };
        let used = Used {
            at,
            transition,
            reading,
        };
        Some((name, used))
    }
}

/// What a rule says, and what must be looked up first to say more.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heard<'a> {
    /// What it says.
    pub(super) voice: Voice<'a>,
    /// The AWS operation that is to be asked.
    pub(super) needs: Option<&'static str>,
    /// How far the alarm of a `target` is from it, where that is known, whether it is acted upon or not.
    pub(super) level: Option<Level<'a>>,
}

/// How far a metric is from its target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level<'a> {
    /// The alarm.
    pub(super) alarm: &'a str,
    /// Value by target.
    pub(super) ratio: f64,
    /// How far from 1 the ratio may be.
    pub(super) tolerance: f64,
}

impl Level<'_> {
    /// Whether the rule would ask for more tasks if the load of `base` tasks were on `to`.
    pub(super) fn would_ask_for_more(&self, base: u32, to: u32) -> bool {
        let ratio = self.ratio * f64::from(base) / f64::from(to);
        ratio > 1.0 && !steps::within(ratio, self.tolerance) && steps::proportional(to, ratio) > to
    }
}

impl<'a> Heard<'a> {
    fn plainly(voice: Voice<'a>) -> Self {
        Self {
            voice,
            needs: None,
            level: None,
        }
    }

    fn needing(voice: Voice<'a>, operation: &'static str) -> Self {
        Self {
            voice,
            needs: Some(operation),
            level: None,
        }
    }
}

/// Hears every rule, in their order. What was used already is in the memory after an unfinished change was finished.
pub(super) fn hear<'a>(facts: &'a Facts, memory: &'a Memory, bounds: Bounds, now: Timestamp) -> Vec<Heard<'a>> {
    let rules = facts.scaling.rules.iter();
    rules
        .map(|rule| match rule {
            Rule::Alarm(rule) => alarm::hear(facts, rule, memory, now),
            Rule::Queue(rule) => queue::hear(facts, rule, memory, bounds, now),
        })
        .collect()
}

fn silent<'a>(code: Code, message: String) -> Voice<'a> {
    Voice::Silent(Reason::new(code, message))
}

fn objects<'a>(code: Code, message: String) -> Voice<'a> {
    Voice::Objects(Reason::new(code, message))
}
