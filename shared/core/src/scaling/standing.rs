//! Where the count stands: an unfinished change is finished first, and someone else's is adopted.

use jiff::{SignedDuration, Timestamp};

use super::facts::CONFIRM_AFTER;
use super::{Bounds, Change, Facts, Intent, Memory, settle};
use crate::report::{Code, Reason};
use crate::service::ServiceFacts;

/// How long `DescribeServices` may go on answering with the count before our change (ECS API reference: "the Amazon ECS
/// API follows an eventual consistency model").
const LAG: SignedDuration = SignedDuration::from_secs(10);

/// What is to be done first.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// The call of an earlier look was never made, or had no effect: it is made again.
    Repeat(Intent),
    /// The count is known, and what is remembered of it.
    Count(Box<Count>),
}

/// A count to reckon from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Count {
    /// The desired count. Never the running one: during a deployment it counts the tasks of both revisions.
    pub(super) base: u32,
    /// The memory, without an unfinished change.
    pub(super) memory: Memory,
    /// What was found out.
    pub(super) reasons: Vec<Reason>,
}

/// Compares the count with what is remembered.
pub(super) fn stand(facts: &Facts, service: &ServiceFacts, bounds: Bounds, now: Timestamp) -> Standing {
    let mut count = Count {
        base: service.desired_count,
        memory: facts.memory.clone(),
        reasons: Vec::new(),
    };
    let mut before = count.memory.last.map(|last| last.to);
    if let Some(intent) = count.memory.intent.clone() {
        let Intent { from, to, at, .. } = intent;
        if count.base == to {
            count.memory = settle(count.memory);
            count.say(
                Code::IntentResumed,
                format!("the change from {from} to {to} of {at} had its effect"),
            );
            return Standing::Count(Box::new(count));
        }
        if count.base == from {
            let possible = (bounds.min..=bounds.max).contains(&to);
            if now.duration_since(at) <= CONFIRM_AFTER && possible {
                return Standing::Repeat(intent);
            }
            count.memory.intent = None;
            let message = format!("the change from {from} to {to} of {at} had no effect and is no longer wanted");
            count.say(Code::IntentResumed, message);
            before = Some(from);
        } else {
            // Whether its call had an effect that was overwritten, nobody knows: it is not made again.
            count.memory.mark(intent.used);
            count.memory.intent = None;
            before = Some(to);
        }
    }
    match before {
        Some(before) if before != count.base => count.adopt(before, now),
        _ => {}
    }
    Standing::Count(Box::new(count))
}

impl Count {
    fn say(&mut self, code: Code, message: String) {
        self.reasons.push(Reason::new(code, message));
    }

    fn adopt(&mut self, before: u32, now: Timestamp) {
        if let Some(Change {
            from,
            to,
            at,
            foreign: false,
        }) = self.memory.last
            && (from, to) == (self.base, before)
            && now.duration_since(at) < LAG
        {
            self.base = to;
            return;
        }
        self.memory.last = Some(Change {
            from: before,
            to: self.base,
            at: now,
            foreign: true,
        });
        let message = format!(
            "someone else changed the count from {before} to {}: it stands, and a cooldown begins",
            self.base
        );
        self.say(Code::ForeignChange, message);
    }

    /// Whether someone set the count to 0 although the service was to have tasks: it is left alone until someone raises
    /// it again. Of a service that had none, since it was to have none, another `min` is no such thing.
    pub(super) fn is_maintenance(&self, configured: u32) -> bool {
        let ours = self.memory.last.is_some_and(|last| !last.foreign && last.to == 0);
        let min = self.memory.bounds.map_or(configured, |bounds| bounds.min);
        self.base == 0 && min > 0 && configured > 0 && !ours
    }
}
