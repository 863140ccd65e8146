//! What scaling remembers of a service between two decisions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Cooldown, Span};

/// What scaling remembers of a service; part of the service's state item.
///
/// Missing fields are those of a service that was never scaled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Memory {
    /// The last change of the count, ours or someone else's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Change>,
    /// Our last change to more tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rise: Option<Rise>,
    /// A change that was begun: whether its call was made, and had its effect, shows in the service's count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// What of each alarm was acted upon already, by the alarm's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub used: BTreeMap<String, Used>,
    /// The bounds in which the count was left at the last look: others move it into them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// Whether other bounds came into force, and the count has not moved into them yet: it is also moved when the former
    /// ones have come back meanwhile.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unbounded: bool,
    /// What was wished for within the longest window of `stabilise`, before it was stabilised; oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wishes: Vec<Wished>,
    /// Our changes within the longest period of `limit`; oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Moved>,
    /// Since when fewer tasks run than are wanted, outside of a deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Timestamp>,
    /// When a deployment was last seen to hold back that tasks are removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploying: Option<Timestamp>,
    /// Since when each queue has had no message, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub idle: BTreeMap<String, Timestamp>,
}

/// The least and the greatest count at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bounds {
    /// The least number of tasks.
    pub min: u32,
    /// The greatest number of tasks.
    pub max: u32,
}

/// The wishes of a short while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wished {
    /// When the last of them was made.
    pub at: Timestamp,
    /// The smallest.
    pub low: u32,
    /// The greatest.
    pub high: u32,
    /// The last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
}

/// Our changes of a short while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moved {
    /// When the last of them was decided.
    pub at: Timestamp,
    /// How many tasks were added.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub added: u32,
    /// How many tasks were removed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub removed: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A change of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// The count before.
    pub from: u32,
    /// The count after.
    pub to: u32,
    /// When it was decided; someone else's: when it was noticed.
    pub at: Timestamp,
    /// Whether someone else made it: a person, a pipeline.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
}

/// A change of ours to more tasks, and what a larger step within its cooldown is reckoned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rise {
    /// The count before the first change of this cooldown.
    pub base: u32,
    /// The count that was asked for of it, before windows, limits and bounds: what they left of a step is no larger step.
    #[serde(default)]
    pub wanted: u32,
    /// When the last change was decided.
    pub at: Timestamp,
}

/// A change that was decided, stored before its call is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The count before.
    pub from: u32,
    /// The count after.
    pub to: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// When its call was made once more, since it had had no effect: the cooldown counts from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Timestamp>,
    /// What the step was reckoned from; see [`Rise::base`].
    pub base: u32,
    /// What was asked for; see [`Rise::wanted`].
    #[serde(default)]
    pub wanted: u32,
    /// Whether it counts towards a `limit`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub limited: bool,
    /// The bounds into which it moves the count, when it does: see [`Memory::bounds`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// What of each alarm it acts upon.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub used: BTreeMap<String, Used>,
}

/// What of an alarm was acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Used {
    /// When.
    pub at: Timestamp,
    /// The transition that `add`, `percent`, `set` or `steps` acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<Timestamp>,
    /// The reading that `target` acted upon: its datapoint's time, else its transition's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Timestamp>,
}

impl Used {
    /// Both, each at its latest.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            at: self.at.max(other.at),
            transition: self.transition.max(other.transition),
            reading: self.reading.max(other.reading),
        }
    }
}

impl Memory {
    /// When the count was last changed by us.
    pub(super) fn last_own(&self) -> Option<Timestamp> {
        let last = self.last.filter(|change| !change.foreign).map(|change| change.at);
        self.used
            .values()
            .map(|used| used.at)
            .chain(last)
            .chain(self.rise.map(|rise| rise.at))
            .max()
    }

    /// Until when no task is added: after our last change to more tasks, and after someone else's change.
    pub fn cooling_out(&self, cooldown: &Cooldown) -> Option<Timestamp> {
        let foreign = self.last.filter(|last| last.foreign).map(|last| last.at);
        let since = self.rise.map(|rise| rise.at).max(foreign)?;
        Some(after(since, cooldown.out))
    }

    /// Until when no task is removed: after any change.
    pub fn cooling_in(&self, cooldown: &Cooldown) -> Option<Timestamp> {
        self.last.map(|last| after(last.at, cooldown.inward))
    }

    /// Notes what was acted upon.
    pub(super) fn mark(&mut self, used: BTreeMap<String, Used>) {
        for (alarm, new) in used {
            self.used
                .entry(alarm)
                .and_modify(|old| *old = old.and(new))
                .or_insert(new);
        }
    }
}

pub(super) fn after(time: Timestamp, span: Span) -> Timestamp {
    time.saturating_add(span.duration()).unwrap_or(Timestamp::MAX)
}

/// What is stored after the call succeeded: the intent became the last change. Without an intent nothing changes.
pub fn settle(mut memory: Memory) -> Memory {
    if let Some(intent) = memory.intent.take() {
        let Intent {
            from,
            to,
            at,
            repeated,
            base,
            wanted,
            limited,
            bounds,
            used,
        } = intent;
        let at = repeated.unwrap_or(at);
        if limited {
            memory.moves.push(Moved {
                at,
                added: to.saturating_sub(from),
                removed: from.saturating_sub(to),
            });
        }
        memory.last = Some(Change {
            from,
            to,
            at,
            foreign: false,
        });
        if to > from {
            memory.rise = Some(Rise { base, wanted, at });
        }
        memory.bounds = bounds.or(memory.bounds);
        memory.unbounded &= bounds.is_none();
        memory.mark(used);
    }
    memory
}
