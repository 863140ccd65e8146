//! The bounds of a moment: configured, scheduled, overridden.

use jiff::{SignedDuration, Timestamp};

use super::{Bounds, Memory, Override};
use crate::config::{Scaling, Schedule};
use crate::cron::{Cron, CronError};
use crate::report::{Code, Reason};

/// How long an entry of the schedule that does not fire again holds at most.
const HOLDS: SignedDuration = SignedDuration::from_hours(366 * 24);

/// The bounds that are in force, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    /// The bounds.
    pub bounds: Bounds,
    /// What they are of: [`Code::ConfiguredBounds`], [`Code::ScheduledBounds`] or [`Code::OverriddenBounds`], in words.
    pub why: Reason,
    /// Entries of the schedule that cannot be read, and are left out.
    pub problems: Vec<Reason>,
}

/// The bounds at a time. Of the schedule each of `min` and `max` is what the entry says that fired last and has one;
/// before any has, it is the configured one. An override goes before both. Where they contradict, `max` holds, unless
/// an override says otherwise.
pub fn bounds(scaling: &Scaling, overridden: Option<Override>, now: Timestamp) -> InForce {
    let mut problems = Vec::new();
    let fired: Vec<_> = scaling
        .schedule
        .iter()
        .filter_map(|entry| match cron(entry) {
            Ok(cron) => Some((cron.last_before(now)?, entry)),
            Err(error) => {
                problems.push(Reason::new(Code::ConfigMalformed, format!("`schedule`: {error}")));
                None
            }
        })
        .filter(|(at, _)| now.duration_since(*at) <= HOLDS)
        .collect();
    let last = |value: fn(&Schedule) -> Option<u32>| {
        let with = fired.iter().filter_map(|(at, entry)| Some((*at, entry, value(entry)?)));
        with.max_by_key(|(at, ..)| *at)
    };
    let (min, max) = (last(|entry| entry.min), last(|entry| entry.max));
    let newest = min.into_iter().chain(max).max_by_key(|(at, ..)| *at);
    let mut why = match newest {
        None => Reason::new(Code::ConfiguredBounds, "as configured"),
        Some((at, entry, _)) => {
            let message = format!("by `{}` of the schedule, since {at}", entry.cron);
            Reason::new(Code::ScheduledBounds, message)
        }
    };
    let max = max.map_or(scaling.max, |(.., max)| max);
    let mut bounds = Bounds {
        min: min.map_or(scaling.min, |(.., min)| min).min(max),
        max,
    };
    if let Some(over) = overridden.filter(|over| now < over.until) {
        bounds = overrule(bounds, over);
        why = Reason::new(Code::OverriddenBounds, format!("overridden until {}", over.until));
    }
    InForce { bounds, why, problems }
}

/// A bound that is overridden takes the other one along when they contradict.
fn overrule(bounds: Bounds, over: Override) -> Bounds {
    match (over.min, over.max) {
        (Some(min), Some(max)) => Bounds { min: min.min(max), max },
        (Some(min), None) => Bounds {
            min,
            max: bounds.max.max(min),
        },
        (None, Some(max)) => Bounds {
            min: bounds.min.min(max),
            max,
        },
        (None, None) => bounds,
    }
}

/// When the bounds may change next, later than `now`: the next time of the schedule, or the end of an override. `None`
/// when they never will.
pub fn next_change(scaling: &Scaling, overridden: Option<Override>, now: Timestamp) -> Option<Timestamp> {
    let scheduled = scaling
        .schedule
        .iter()
        .filter_map(|entry| cron(entry).ok()?.next_after(now));
    let ends = overridden.map(|over| over.until).filter(|until| *until > now);
    scheduled.chain(ends).min()
}

fn cron(entry: &Schedule) -> Result<Cron, CronError> {
    Cron::parse(&entry.cron, entry.timezone.as_deref())
}

/// Whether the count is to be moved into bounds: other ones than at the last look are in force, or were. At the first look only what differs from the configuration
/// counts, so that a service is taken as it is.
pub(super) fn differ(scaling: &Scaling, memory: &Memory, bounds: Bounds) -> bool {
    let before = memory.bounds.unwrap_or(Bounds {
        min: scaling.min.min(scaling.max),
        max: scaling.max,
    });
    memory.unbounded || before != bounds
}
