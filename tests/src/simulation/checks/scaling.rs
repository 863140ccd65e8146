//! Counts: each step once, of the right size, at the right pace, for a reason that was there, within the bounds.

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::table::{Item, attribute};
use wharfinger_cloud::world::{Did, Rollout, World};
use wharfinger_core::ids::Target;
use wharfinger_core::scaling::Memory;

use super::asked::{BELIEVED, back, later, proportional, seconds};
use super::{SKEW, Violation, Watch, plan};
use crate::simulation::counts::{Limit, Out, Rules, ScalingPlan};
use crate::simulation::scenario::Scenario;
use crate::simulation::tally::Tally;

/// How often an alarm that stays is acted upon at most.
pub(super) const REPEAT: SignedDuration = SignedDuration::from_mins(1);

/// How long an answer of ECS may be of before a change, and more.
const LAGS: SignedDuration = SignedDuration::from_secs(10);

/// How long it is believed whether Application Auto Scaling moves a service, and an invocation's own time.
pub(super) const ASIDE: SignedDuration = SignedDuration::from_mins(6);

/// How long a deployment holds back that tasks are removed.
const DEPLOYS: SignedDuration = SignedDuration::from_mins(60);

/// A count that a function changed.
#[derive(Debug, Clone)]
pub(super) struct Count {
    pub(super) target: Target,
    pub(super) from: u32,
    pub(super) to: u32,
    /// When it was decided.
    pub(super) at: Timestamp,
    /// When the invocation began that made the call; later than the decision where that was another's.
    begun: Timestamp,
    /// When the call was made.
    pub(super) called: Timestamp,
    /// What was asked for at least and at most, where the world can tell.
    wanted: Option<(u32, u32)>,
    /// Whether it moved the count into other bounds, whatever was asked for.
    into_bounds: bool,
}

impl Count {
    pub(super) fn is_out(&self) -> bool {
        self.to > self.from
    }

    /// From when on something that it was decided on was looked at.
    pub(super) fn looked(&self) -> Timestamp {
        back(self.begun.min(back(self.at, REPEAT)), SKEW)
    }

    /// When it had its effect, at the earliest.
    fn time(&self) -> Timestamp {
        self.at.max(self.begun)
    }

    fn passed_since(&self, earlier: &Self) -> SignedDuration {
        self.at.duration_since(earlier.time()) + SKEW
    }
}

pub(super) fn memory(item: &Item) -> Memory {
    attribute(item, "scaling").ok().flatten().unwrap_or_default()
}

impl Watch {
    pub(super) fn look_at_count(
        &mut self,
        (world, scenario): (&World, &Scenario),
        (target, item): (&Target, &Item),
        (before, to): (u32, u32),
        did: &Did,
        tally: &mut Tally,
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
        let mut change = Count {
            target: target.clone(),
            // Not the count before the call: someone may have changed it since it was decided.
            from: intent.from,
            to,
            at: intent.at,
            begun: self.began(&did.caller).unwrap_or(intent.at),
            called: world.now,
            wanted: None,
            into_bounds: false,
        };
        change.into_bounds = Self::follows_bounds(plan, &change);
        change.wanted = if change.into_bounds {
            Some((to, to))
        } else {
            self.wanted(plan, &change)
        };
        // Someone else may set the count between our look and our call: then the size of the step says nothing.
        let someone = self
            .someone
            .iter()
            .any(|(t, at, _)| t == target && *at >= back(intent.at, REPEAT));
        if !someone {
            if before != intent.from {
                return wrong(format!("it was decided when the count was {}", intent.from));
            }
            if self.counts.iter().any(|c| c.target == *target && c.at == intent.at) {
                return wrong(format!("the decision of {} has its effect twice", intent.at));
            }
        }
        let checked = self.check(world, scenario, plan, &change, someone, tally);
        if let Err(what) = checked {
            return wrong(format!("{what}, decided at {}: {plan:?}", intent.at));
        }
        self.counts.push(change);
        Ok(())
    }

    fn check(
        &self,
        world: &World,
        scenario: &Scenario,
        plan: &ScalingPlan,
        change: &Count,
        someone: bool,
        tally: &mut Tally,
    ) -> Result<(), String> {
        self.stands_aside(scenario, change)?;
        self.lets_maintenance_be(plan, change)?;
        let deploying = Self::waits_for_deployments(world, change)?;
        if change.into_bounds {
            tally.moved("by other bounds");
            return Ok(());
        }
        if !someone {
            let sizes = self.sizes(plan, change);
            let between = |size: &u32| {
                let cut = plan.is_cut() || (matches!(plan.rules, Rules::Target { .. }) && !change.is_out());
                *size == change.to || (cut && (change.from.min(*size)..=change.from.max(*size)).contains(&change.to))
            };
            if !sizes.iter().any(between) {
                return Err(format!("no rule asks for this step, but for {sizes:?}"));
            }
            self.keeps_limits(plan, change, tally)?;
            self.keeps_windows(plan, change)?;
        }
        self.has_alarm(plan, change)?;
        self.was_idle(plan, change)?;
        if let Some(last) = self.too_soon(plan, change) {
            return Err(format!("too soon after {last:?}"));
        }
        self.respects_others(plan, change, someone)?;
        tell(plan, change, tally);
        if deploying {
            tally.moved("beside a deployment");
        }
        Ok(())
    }

    /// What Application Auto Scaling moves is left alone, once that can be known.
    fn stands_aside(&self, scenario: &Scenario, change: &Count) -> Result<(), String> {
        let Some(since) = scenario.others.get(&change.target) else {
            return Ok(());
        };
        let asked = back(change.begun, ASIDE);
        let unanswered = self.looks.unanswered.iter().any(|at| *at >= asked);
        if *since <= asked && !unanswered {
            return Err(format!("Application Auto Scaling has moved it since {since}"));
        }
        Ok(())
    }

    /// A count that someone set to 0 where there are to be tasks is left alone.
    fn lets_maintenance_be(&self, plan: &ScalingPlan, change: &Count) -> Result<(), String> {
        let last = self.someone.iter().rev().find(|(t, ..)| *t == change.target);
        let zero = last.filter(|(_, at, count)| *count == 0 && *at < back(change.begun, LAGS));
        if change.from == 0 && plan.least() > 0 && zero.is_some() {
            return Err("someone set it to 0, and there are to be tasks".into());
        }
        Ok(())
    }

    /// No task is removed while two revisions run; whether they do.
    fn waits_for_deployments(world: &World, change: &Count) -> Result<bool, String> {
        let primary = world.services.get(&change.target).and_then(|s| s.primary());
        let deploying = primary.filter(|d| d.rollout == Rollout::InProgress);
        let lasting =
            |since: Timestamp| since < back(change.begun, LAGS) && change.called.duration_since(since) < DEPLOYS;
        match deploying {
            Some(d) if !change.is_out() && lasting(d.since) => {
                Err(format!("deployment {} is in progress since {}", d.id, d.since))
            }
            _ => Ok(deploying.is_some()),
        }
    }

    /// Whether a count outside of the bounds moves into those that the time of the day brought.
    fn follows_bounds(plan: &ScalingPlan, change: &Count) -> bool {
        let bounds = plan.bounds_within(change.looked(), change.called);
        let into = |(min, max): &(u32, u32)| {
            let nearest = change.from.max(*min).min(*max);
            nearest != change.from && nearest == change.to
        };
        !plan.schedule.is_empty() && bounds.iter().any(into)
    }

    fn has_alarm(&self, plan: &ScalingPlan, change: &Count) -> Result<(), String> {
        let Rules::Alarms { high, idle, .. } = &plan.rules else {
            return Ok(());
        };
        let alarm = if change.is_out() { high } else { idle };
        if self.was_in_alarm(alarm, back(change.at, BELIEVED), later(change.at, SKEW)) {
            return Ok(());
        }
        Err(format!("alarm {alarm} was not in ALARM"))
    }

    /// The last task goes only when there was no message for long enough, neither waiting nor in flight.
    fn was_idle(&self, plan: &ScalingPlan, change: &Count) -> Result<(), String> {
        let Rules::Queue { queue, idle_for, .. } = &plan.rules else {
            return Ok(());
        };
        let empty = |from, to| super::asked::within(&self.queues, queue, from, to).any(|total| *total == 0);
        if change.to > 0 || self.has_lasted(&change.target, change.at, *idle_for, empty) {
            return Ok(());
        }
        Err(format!("queue {queue} was not empty for {idle_for} s"))
    }

    fn keeps_limits(&self, plan: &ScalingPlan, change: &Count, tally: &mut Tally) -> Result<(), String> {
        let out = change.is_out();
        let (Some(limit), bounds) = (
            if out { plan.limit.0 } else { plan.limit.1 },
            plan.bounds_within(change.looked(), change.called),
        ) else {
            return Ok(());
        };
        let bound = |(min, max): &(u32, u32)| change.to == if out { *min } else { *max };
        let (up, down) = limit.reach(self.start(limit, change));
        let within = if out { change.to <= up } else { change.to >= down };
        if !within && !bounds.iter().any(bound) {
            return Err(format!("{limit:?} allows {down} to {up}"));
        }
        let cut = change
            .wanted
            .is_some_and(|(least, most)| if out { least > up } else { most < down });
        if cut {
            tally.moved("as far as a limit lets it");
        }
        Ok(())
    }

    /// The count at the beginning of a limit's period, from what we changed since.
    fn start(&self, limit: Limit, change: &Count) -> u32 {
        let begins = later(back(change.at, seconds(limit.per)), SKEW);
        let ours = |c: &&Count| c.target == change.target && c.at != change.at && c.time() > begins;
        self.counts
            .iter()
            .filter(ours)
            .fold(change.from, |start, c| (start + c.from).saturating_sub(c.to))
    }

    /// Whatever lasts less than `stabilise` changes nothing.
    fn keeps_windows(&self, plan: &ScalingPlan, change: &Count) -> Result<(), String> {
        let out = change.is_out();
        let window = if out { plan.stabilise.0 } else { plan.stabilise.1 };
        let bounds = plan.bounds_within(change.looked(), change.called);
        let is_bound = bounds
            .iter()
            .any(|(min, max)| change.to == if out { *min } else { *max });
        // What is wished for of the count that someone set says nothing of the one before.
        let begins = back(change.at, seconds(window) + REPEAT);
        let someone = self
            .someone
            .iter()
            .any(|(t, at, _)| *t == change.target && *at >= begins);
        if window == 0 || is_bound || someone || matches!(plan.rules, Rules::Target { .. }) {
            return Ok(());
        }
        let asked = |from, to| {
            let mut wishes = self.wishes(plan, change.from, from, to).into_iter();
            wishes.any(|wish| if out { wish >= change.to } else { wish <= change.to })
        };
        if self.has_stood(&change.target, (change.at, change.begun), window, asked) {
            return Ok(());
        }
        Err(format!("that was not asked for all of {window} s"))
    }

    /// What was asked for, at least and at most.
    fn wanted(&self, plan: &ScalingPlan, change: &Count) -> Option<(u32, u32)> {
        let wishes = match &plan.rules {
            Rules::Alarms { .. } => Vec::new(),
            Rules::Queue { .. } => self.wishes(plan, change.from, change.looked(), later(change.at, SKEW)),
            Rules::Target { alarm } => {
                let values = self.values(alarm, change).into_iter();
                values.map(|value| proportional(change.from, value)).collect()
            }
        };
        let same = wishes.iter().copied().filter(|wish| {
            if change.is_out() {
                *wish >= change.to
            } else {
                *wish <= change.to
            }
        });
        Some((same.clone().min()?, same.max()?))
    }

    /// The steps to more tasks before this one, each within the cooldown of the next, the latest first.
    pub(super) fn rises<'a>(&'a self, change: &'a Count, cooldown: u64) -> impl Iterator<Item = &'a Count> {
        let cooldown = seconds(cooldown);
        let mut at = change.at;
        self.counts
            .iter()
            .rev()
            .filter(|c| c.target == change.target && c.is_out())
            .take_while(move |c| {
                let within = at.duration_since(c.time()) < cooldown + SKEW;
                at = c.at;
                within
            })
    }

    /// The change after which this one comes too soon; an earlier effect of the same decision is looked at elsewhere.
    fn too_soon(&self, plan: &ScalingPlan, change: &Count) -> Option<&Count> {
        let out = change.is_out();
        let mut earlier = self
            .counts
            .iter()
            .rev()
            .filter(|c| c.target == change.target && c.at != change.at && (!out || c.is_out()));
        let last = earlier.next()?;
        let cooldown = seconds(if out { plan.cooldown.0 } else { plan.cooldown.1 });
        // Within the cooldown only a larger step adds what it is larger by.
        let larger = out
            && match &plan.rules {
                Rules::Alarms { out: Out::Steps, .. } => true,
                // It may ask for more than the bounds did that moved the count before it.
                Rules::Alarms { out: Out::Add(by), .. } => last.into_bounds && change.to <= last.from + by,
                Rules::Queue { .. } => {
                    let (now, before) = (change.wanted?, last.wanted);
                    before.is_none_or(|(least, _)| now.1 > least)
                }
                Rules::Target { alarm } => {
                    let first = self.rises(change, plan.cooldown.0).last().map_or(last.from, |c| c.from);
                    let values = self.values(alarm, change);
                    values.iter().any(|value| proportional(first, *value) > change.from)
                }
            };
        if change.passed_since(last) < cooldown && !larger {
            return Some(last);
        }
        let Rules::Alarms { high, idle, .. } = &plan.rules else {
            return None;
        };
        let since = back(change.at, BELIEVED);
        let states = self.alarms.get(if out { high } else { idle }).into_iter().flatten();
        let transitions = states.filter(|(at, on)| *on && *at >= since).count();
        let again = last.is_out() == out && !last.into_bounds && transitions < 2;
        (again && change.passed_since(last) < REPEAT && !larger).then_some(last)
    }

    /// Someone else's count stands, and a cooldown begins with it.
    fn respects_others(&self, plan: &ScalingPlan, change: &Count, racing: bool) -> Result<(), String> {
        let own = self.counts.iter().rev().find(|c| c.target == change.target);
        let Some(own) = own.filter(|own| own.to != change.from && !racing) else {
            return Ok(());
        };
        let first = self
            .someone
            .iter()
            .find(|(t, at, _)| *t == change.target && *at > own.called);
        let cooldown = seconds(if change.is_out() {
            plan.cooldown.0
        } else {
            plan.cooldown.1
        });
        match first {
            Some((_, at, count)) if change.at.duration_since(*at) + SKEW < cooldown => {
                Err(format!("someone set it to {count} at {at}"))
            }
            _ => Ok(()),
        }
    }
}

/// What a change was, for the numbers.
fn tell(plan: &ScalingPlan, change: &Count, tally: &mut Tally) {
    tally.moved(match (&plan.rules, change.is_out()) {
        (Rules::Alarms { .. }, true) => "up by an alarm",
        (Rules::Alarms { .. }, false) => "down by an alarm",
        (Rules::Queue { .. }, true) => "up by a queue",
        (Rules::Queue { .. }, false) => "down by a queue",
        (Rules::Target { .. }, true) => "up by a value",
        (Rules::Target { .. }, false) => "down by a value",
    });
    match (change.from, change.to) {
        (0, _) => tally.moved("from zero"),
        (_, 0) => tally.moved("to zero"),
        _ => {}
    }
    if plan.stabilise != (0, 0) {
        tally.moved("through a window");
    }
    if change.begun > change.at {
        tally.moved("finished by another");
    }
}
