//! What the rules of a service ask for, reckoned from what the world said at the time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::scaling::Count;
use super::{SKEW, Watch};
use crate::simulation::counts::{Out, Rules, ScalingPlan, TARGET};

/// For how long a value or an event is acted upon without another look, and the invocation's own time.
pub(super) const BELIEVED: SignedDuration = SignedDuration::from_mins(17);

/// What something was, from each time on.
pub(super) type Timeline<T> = BTreeMap<String, Vec<(Timestamp, T)>>;

/// What it was at one time or another from one time to another.
pub(super) fn within<'a, T>(
    timeline: &'a Timeline<T>,
    name: &str,
    from: Timestamp,
    to: Timestamp,
) -> impl Iterator<Item = &'a T> + use<'a, T> {
    let states = timeline.get(name).map(Vec::as_slice).unwrap_or_default();
    states.iter().enumerate().filter_map(move |(i, (since, state))| {
        let until = states.get(i + 1).map_or(Timestamp::MAX, |(until, _)| *until);
        (*since <= to && until >= from).then_some(state)
    })
}

pub(super) fn back(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

pub(super) fn seconds(s: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(s).unwrap_or_default())
}

/// What a queue asks for: as many tasks as its messages need; the first one only above the activation; none only
/// where there is no message, and whether it was so for long enough is looked at elsewhere.
pub(super) fn of_queue(rules: (u32, u32), min: u32, total: u64, base: u32) -> Vec<u32> {
    let (per_task, activate_above) = rules;
    let needed = u32::try_from(total.div_ceil(per_task.into())).unwrap_or(u32::MAX);
    match (base, total) {
        (0, total) if min == 0 && total <= activate_above.into() => vec![0],
        (0, 0) => vec![0],
        (_, 0) => vec![0, 1],
        _ => vec![needed.max(1)],
    }
}

impl Watch {
    pub(super) fn was_in_alarm(&self, alarm: &str, from: Timestamp, to: Timestamp) -> bool {
        within(&self.alarms, alarm, from, to).any(|on| *on)
    }

    /// What the rules ask for, before any bound, at one time or another. Of an alarm's steps only the direction is told:
    /// as many as can be, none, or what there is.
    pub(super) fn wishes(&self, plan: &ScalingPlan, base: u32, from: Timestamp, to: Timestamp) -> Vec<u32> {
        match &plan.rules {
            Rules::Queue {
                queue,
                per_task,
                activate_above,
                ..
            } => {
                let totals = within(&self.queues, queue, from, to);
                // The first task has no threshold while the bounds ask for one anyway.
                let bounds = plan.bounds_within(from, to).into_iter();
                let mins: BTreeSet<u32> = bounds.map(|(min, _)| min).chain([plan.least()]).collect();
                let of = |total: &u64, min: u32| of_queue((*per_task, *activate_above), min, *total, base);
                let wish = |total: &u64| mins.iter().flat_map(|min| of(total, *min)).collect::<Vec<_>>();
                totals.flat_map(wish).collect()
            }
            Rules::Alarms { high, idle, .. } => {
                let up = self.was_in_alarm(high, from, to).then_some(u32::MAX);
                let down = self.was_in_alarm(idle, from, to).then_some(0);
                up.into_iter().chain(down).chain([base]).collect()
            }
            Rules::Target { .. } => Vec::new(),
        }
    }

    /// What the rules may make of a count, before limits and windows.
    pub(super) fn sizes(&self, plan: &ScalingPlan, change: &Count) -> Vec<u32> {
        let wanted = match &plan.rules {
            Rules::Alarms { out, .. } => self.steps(plan, *out, change),
            Rules::Queue { .. } => self.wishes(plan, change.from, change.looked(), later(change.at, SKEW)),
            Rules::Target { alarm } => {
                let proportional = |value: f64| proportional(change.from, value);
                self.values(alarm, change).into_iter().map(proportional).collect()
            }
        };
        let bounds = plan.bounds_within(change.looked(), change.called);
        let bounded = |to: u32| bounds.iter().map(move |(min, max)| to.max(*min).min(*max));
        wanted.into_iter().flat_map(bounded).collect()
    }

    fn steps(&self, plan: &ScalingPlan, out: Out, change: &Count) -> Vec<u32> {
        if !change.is_out() {
            return vec![change.from.saturating_sub(1)];
        }
        match out {
            Out::Add(n) => vec![change.from + n],
            Out::Steps => {
                // Within the cooldown a larger step counts from where the first one began.
                let first = self.rises(change, plan.cooldown.0).last().map(|c| c.from);
                let bases = [Some(change.from), first].into_iter().flatten();
                bases.flat_map(|base| [base + 1, base + 3]).collect()
            }
        }
    }

    /// The values that may count: of after the last change, not yet too old, and not from the future.
    pub(super) fn values(&self, alarm: &str, change: &Count) -> Vec<f64> {
        let own = self
            .counts
            .iter()
            .rev()
            .find(|c| c.target == change.target && c.at != change.at);
        let after = own.map_or(Timestamp::MIN, |own| back(own.at, SKEW));
        let oldest = back(change.at, BELIEVED);
        let told = self.values.get(alarm).into_iter().flatten();
        let may = |(at, value): &(Timestamp, f64)| {
            let counts = *at >= oldest && *at >= after && *at <= later(change.at, SKEW);
            counts.then_some(*value)
        };
        told.filter_map(may).collect()
    }
}

/// The count at which a value per task would be at its target.
pub(super) fn proportional(base: u32, value: f64) -> u32 {
    let exact = f64::from(base) * value / TARGET;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of a simulated service are small, and none is negative"
    )]
    let whole = (exact - 1e-9).ceil().max(0.0) as u32;
    whole
}
