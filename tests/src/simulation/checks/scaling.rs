//! Counts: each step once, of the right size, at the right pace, for an alarm that was there.

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{Item, attribute};
use wharfinger_cloud::world::{Did, World};
use wharfinger_core::ids::Target;
use wharfinger_core::scaling::Memory;

use super::{SKEW, Violation, Watch, plan};
use crate::simulation::scenario::{Out, ScalingPlan, Scenario};

/// For how long an event is acted upon without another look, and the invocation's own time.
const BELIEVED: SignedDuration = SignedDuration::from_mins(17);

/// How often an alarm that stays is acted upon at most.
const REPEAT: SignedDuration = SignedDuration::from_mins(1);

/// A count that a function changed.
#[derive(Debug, Clone)]
pub(super) struct Count {
    target: Target,
    from: u32,
    to: u32,
    /// When it was decided.
    at: Timestamp,
}

impl Count {
    fn is_out(&self) -> bool {
        self.to > self.from
    }
}

fn memory(item: &Item) -> Memory {
    attribute(item, "scaling").ok().flatten().unwrap_or_default()
}

impl Watch {
    pub(super) fn look_at_count(
        &mut self,
        scenario: &Scenario,
        target: &Target,
        item: &Item,
        (before, to): (u32, u32),
        did: &Did,
    ) -> Result<(), Violation> {
        let wrong = |what: String| {
            Err(Violation::new(format!(
                "{} sets {target} from {before} to {to}: {what}",
                did.caller
            )))
        };
        let Some(intent) = memory(item).intent.filter(|i| i.to == to) else {
            return wrong("no such intent is stored".into());
        };
        if before == to {
            return Ok(());
        }
        let Some(plan) = plan(scenario, target).and_then(|p| p.scaling.as_ref()) else {
            return wrong("nothing asks for it".into());
        };
        let change = Count {
            target: target.clone(),
            // Not the count before the call: someone may have changed it since it was decided.
            from: intent.from,
            to,
            at: intent.at,
        };
        // Someone else may set the count between our look and our call: then the size of the step says nothing.
        let someone = self
            .someone
            .iter()
            .any(|(t, at)| t == target && *at >= intent.at.saturating_sub(REPEAT).unwrap_or(*at));
        if !someone {
            if before != intent.from {
                return wrong(format!("it was decided when the count was {}", intent.from));
            }
            if self.counts.iter().any(|c| c.target == *target && c.at == intent.at) {
                return wrong(format!("the decision of {} has its effect twice", intent.at));
            }
            if !self.sizes(plan, &change).contains(&to) {
                return wrong(format!("no rule asks for this step: {plan:?}"));
            }
        }
        let alarm = if change.is_out() { &plan.high } else { &plan.idle };
        if !self.was_in_alarm(alarm, intent.at) {
            return wrong(format!("alarm {alarm} was not in ALARM before {}", intent.at));
        }
        if let Some(last) = self.too_soon(plan, &change, alarm) {
            return wrong(format!("too soon: decided at {}, after {last:?}", intent.at));
        }
        self.counts.push(change);
        Ok(())
    }

    /// What the rules may make of a count.
    fn sizes(&self, plan: &ScalingPlan, change: &Count) -> Vec<u32> {
        let bounded = |to: u32| to.max(plan.min).min(plan.max);
        if !change.is_out() {
            return vec![bounded(change.from.saturating_sub(1))];
        }
        match plan.out {
            Out::Add(n) => vec![bounded(change.from + n)],
            Out::Steps => {
                // Within the cooldown a larger step counts from where the first one began.
                let first = self.rises(change, plan.cooldown.0).last().map(|c| c.from);
                let bases = [Some(change.from), first];
                let mut sizes: Vec<_> = bases
                    .into_iter()
                    .flatten()
                    .flat_map(|b| [b + 1, b + 3])
                    .map(bounded)
                    .collect();
                sizes.dedup();
                sizes
            }
        }
    }

    /// The steps to more tasks before this one, each within the cooldown of the next, the latest first.
    fn rises<'a>(&'a self, change: &'a Count, cooldown: u64) -> impl Iterator<Item = &'a Count> {
        let cooldown = SignedDuration::from_secs(i64::try_from(cooldown).unwrap_or_default());
        let mut at = change.at;
        self.counts
            .iter()
            .rev()
            .filter(|c| c.target == change.target && c.is_out())
            .take_while(move |c| {
                let within = at.duration_since(c.at) < cooldown + SKEW;
                at = c.at;
                within
            })
    }

    fn was_in_alarm(&self, alarm: &str, at: Timestamp) -> bool {
        let Some(states) = self.alarms.get(alarm) else {
            return false;
        };
        let from = at.saturating_sub(BELIEVED).unwrap_or(Timestamp::MIN);
        let to = at.saturating_add(SKEW).unwrap_or(Timestamp::MAX);
        // In ALARM since a time before the end, and until a time after the beginning.
        states.iter().enumerate().any(|(i, (since, on))| {
            let until = states.get(i + 1).map_or(Timestamp::MAX, |(until, _)| *until);
            *on && *since <= to && until >= from
        })
    }

    /// The change after which this one comes too soon; an earlier effect of the same decision is looked at elsewhere.
    fn too_soon(&self, plan: &ScalingPlan, change: &Count, alarm: &str) -> Option<&Count> {
        let seconds = |s: u64| SignedDuration::from_secs(i64::try_from(s).unwrap_or_default());
        let out = change.is_out();
        let mut earlier = self
            .counts
            .iter()
            .rev()
            .filter(|c| c.target == change.target && c.at != change.at && (!out || c.is_out()));
        let last = earlier.next()?;
        let passed = change.at.duration_since(last.at) + SKEW;
        let cooldown = seconds(if out { plan.cooldown.0 } else { plan.cooldown.1 });
        let larger = out && plan.out == Out::Steps;
        if passed < cooldown && !larger {
            return Some(last);
        }
        let since = change.at.saturating_sub(BELIEVED).unwrap_or(Timestamp::MIN);
        let transitions = self
            .alarms
            .get(alarm)
            .into_iter()
            .flatten()
            .filter(|(at, on)| *on && *at >= since)
            .count();
        (last.is_out() == out && transitions < 2 && passed < REPEAT && !larger).then_some(last)
    }

    pub(super) fn count_at_rest(&self, world: &World, target: &Target, plan: &ScalingPlan) -> Result<(), Violation> {
        let Some(service) = world.services.get(target) else {
            return Ok(());
        };
        let count = service.desired;
        let wrong = |what: String| Err(Violation::new(format!("{target} rests at {count} tasks: {what}")));
        let memory = world
            .tables
            .state
            .get(&service_key(target))
            .map(memory)
            .unwrap_or_default();
        if let Some(intent) = memory.intent {
            return wrong(format!("an intent is left: {intent:?}"));
        }
        if let Some(last) = memory.last
            && last.to != count
            && !self
                .someone
                .iter()
                .any(|(t, at)| t == target && *at > last.at.saturating_sub(REPEAT).unwrap_or(last.at))
        {
            return wrong(format!(
                "the last change was to {}, and nobody else changed it",
                last.to
            ));
        }
        let state = |alarm: &str| world.alarms.state(alarm).map(|(value, _)| value);
        let maintenance = count == 0 && plan.min > 0 && self.someone.iter().any(|(t, _)| t == target);
        if state(&plan.high) == Some("ALARM") && count < plan.max && !maintenance {
            return wrong(format!("{} is in ALARM, and {} are allowed", plan.high, plan.max));
        }
        if (state(&plan.high), state(&plan.idle)) == (Some("OK"), Some("ALARM")) && count > plan.min {
            return wrong(format!("{} is in ALARM, and {} are enough", plan.idle, plan.min));
        }
        Ok(())
    }
}
