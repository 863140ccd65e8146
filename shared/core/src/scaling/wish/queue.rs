//! What a queue asks for: messages per task, the age of the oldest, and the way from and to zero.
//!
//! Messages in flight count, and activation is strict, as in KEDA's SQS scaler (KEDA documentation, "AWS SQS Queue";
//! "ScaledObject specification", "activation").

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::super::facts::CONFIRM_AFTER;
use super::super::{Bounds, Facts, Memory, QueueFacts, steps};
use super::{Ask, Heard, Source, Voice, Wanted, objects};
use crate::config::{QueueRule, Rule, Span};
use crate::report::{Code, counted};

const GET_QUEUE_ATTRIBUTES: &str = "GetQueueAttributes";
const GET_METRIC_DATA: &str = "GetMetricData";

/// SQS's counts are right a minute after the producers have stopped (SQS API reference, `GetQueueAttributes`): so long a
/// queue must be empty to count as idle when its rule does not say.
const IDLE_FOR: Span = Span::minutes(1);

/// The age of the oldest message is a metric of one minute: sooner after a change it says nothing of it.
const AGE_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// The messages of a queue, against what its rule says of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Messages {
    /// All of them, in flight too.
    pub(super) total: u64,
    /// How many tasks they are for.
    by_count: Option<u32>,
    /// What their age says.
    age: Age,
    /// Above how many the first task is started.
    activate_above: u64,
    /// Whether there has been none for long enough.
    idle: bool,
}

/// What the age of the oldest message says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Age {
    /// It is not too old, or nobody asks.
    Fine,
    /// It is not known, or too old and acted upon just now: no task is removed.
    Holds,
    /// It is so many times as old as it may be.
    TooOld(f64),
}

impl Messages {
    pub(super) fn of(self, base: u32) -> u32 {
        let by_count = self.by_count.unwrap_or_default();
        match (base, self.total) {
            (0, total) if total > self.activate_above => by_count.max(1),
            (0, _) => 0,
            (_, 0) => u32::from(!self.idle),
            _ => {
                // Without a number per task nothing says how many fewer would do.
                let by_count = self.by_count.unwrap_or(base);
                let by_age = match self.age {
                    Age::Fine => 0,
                    Age::Holds => base,
                    Age::TooOld(ratio) => steps::proportional(base, ratio)
                        .max(base.saturating_add(1))
                        .min(base.saturating_mul(2)),
                };
                by_count.max(by_age).max(1)
            }
        }
    }
}

pub(super) fn hear<'a>(
    facts: &'a Facts,
    rule: &'a QueueRule,
    memory: &Memory,
    bounds: Bounds,
    now: Timestamp,
) -> Heard<'a> {
    let name = &rule.queue;
    let found = match facts.queues.get(name) {
        Some(None) => {
            let message = format!("queue `{name}` does not exist");
            return Heard::plainly(objects(Code::QueueNotFound, message));
        }
        Some(Some(found)) if now.duration_since(found.at) <= CONFIRM_AFTER => found,
        _ => {
            let message = format!("how many messages queue `{name}` has is not known");
            return Heard::needing(objects(Code::FactsMissing, message), GET_QUEUE_ATTRIBUTES);
        }
    };
    let total = found.total();
    let messages = Messages {
        total,
        by_count: rule.per_task.map(|per_task| tasks(total, per_task)),
        age: age(rule, found, memory, facts),
        activate_above: if bounds.min > 0 { 0 } else { rule.activate_above.into() },
        idle: has_been_idle(rule, found, memory, now),
    };
    let blind = rule.max_age.is_some() && total > 0 && found.oldest.is_none();
    Heard {
        voice: Voice::Asks(Ask {
            source: Source::Queue(name),
            said: said(rule, found),
            wanted: Wanted::Messages(messages),
            used: None,
        }),
        needs: blind.then_some(GET_METRIC_DATA),
        level: None,
    }
}

/// ceil(messages / per task); a rule for 0 messages per task is no valid one, and counts as for 1.
fn tasks(messages: u64, per_task: u32) -> u32 {
    u32::try_from(messages.div_ceil(per_task.max(1).into())).unwrap_or(u32::MAX)
}

fn age(rule: &QueueRule, found: &QueueFacts, memory: &Memory, facts: &Facts) -> Age {
    let Some(max) = rule.max_age else {
        return Age::Fine;
    };
    let Some(oldest) = found.oldest else {
        return Age::Holds;
    };
    let ratio = oldest.as_secs_f64() / max.duration().as_secs_f64();
    if ratio.is_nan() || ratio <= 1.0 {
        return Age::Fine;
    }
    let warm_up = facts.scaling.warm_up.duration();
    let again = memory.last_own().map(|last| {
        let settled = last.saturating_add(AGE_AFTER).unwrap_or(Timestamp::MAX);
        settled.saturating_add(warm_up).unwrap_or(Timestamp::MAX)
    });
    if again.is_some_and(|again| found.at < again) {
        Age::Holds
    } else {
        Age::TooOld(ratio)
    }
}

fn has_been_idle(rule: &QueueRule, found: &QueueFacts, memory: &Memory, now: Timestamp) -> bool {
    let since = memory.idle.get(&rule.queue).copied().unwrap_or(found.at);
    let idle_for = rule.idle_for.unwrap_or(IDLE_FOR).duration();
    found.total() == 0 && since.saturating_add(idle_for).is_ok_and(|until| until <= now)
}

fn said(rule: &QueueRule, found: &QueueFacts) -> String {
    let per_task = rule
        .per_task
        .map_or_else(String::new, |per_task| format!(", a task is for {per_task}"));
    let age = match (rule.max_age, found.oldest) {
        (None, _) => String::new(),
        (Some(max), Some(oldest)) => format!(", the oldest of {} s may be of {max}", oldest.as_secs()),
        (Some(_), None) => ", the age of the oldest is not known".to_owned(),
    };
    format!(
        "queue `{}` has {}, {} of them in flight{per_task}{age}",
        rule.queue,
        counted(found.total(), "message"),
        found.in_flight
    )
}

/// Since when each queue has had no message. A queue that is not known just now stays as it was.
pub(in crate::scaling) fn idle(facts: &Facts, memory: &Memory) -> BTreeMap<String, Timestamp> {
    let queues = facts.scaling.rules.iter().filter_map(|rule| match rule {
        Rule::Queue(rule) => Some(&rule.queue),
        Rule::Alarm(_) => None,
    });
    let since = |name: &String| {
        let before = memory.idle.get(name).copied();
        match facts.queues.get(name) {
            Some(Some(found)) if found.total() == 0 => Some(before.unwrap_or(found.at)),
            Some(_) => None,
            None => before,
        }
    };
    queues.filter_map(|name| Some((name.clone(), since(name)?))).collect()
}
