//! The choice: any out wins, in only when every rule agrees or is silent; then the bounds, a deployment, the cooldowns.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::standing::Count;
use super::wish::{Ask, Heard, Voice};
use super::{Facts, Intent, Used};
use crate::config::{DuringDeployment, Span};
use crate::report::{Code, Outcome, Reason};
use crate::service::ServiceFacts;

/// A persistent ALARM makes another step no sooner than this, as CloudWatch repeats an alarm's scaling actions once a
/// minute while it stays in ALARM (CloudWatch user guide, "Using Amazon CloudWatch alarms").
const REPEAT_AFTER: Span = Span::minutes(1);

/// A change that is not made, and why.
pub(super) struct Held(pub(super) Outcome, pub(super) Option<Reason>);

impl Held {
    fn new(outcome: Outcome, code: Code, message: String) -> Self {
        Self(outcome, Some(Reason::new(code, message)))
    }
}

/// A change that is made.
pub(super) struct Chosen {
    pub(super) intent: Intent,
    /// The bound that the rule would have gone beyond, and the rule.
    pub(super) bound: Option<String>,
}

/// A rule's wish, in tasks.
struct Wish<'a> {
    ask: &'a Ask<'a>,
    to: u32,
}

/// A service whose count is known, and what the rules say of it.
pub(super) struct Look<'a> {
    pub(super) facts: &'a Facts,
    pub(super) service: &'a ServiceFacts,
    pub(super) heard: &'a [Heard<'a>],
    pub(super) count: &'a Count,
    pub(super) now: Timestamp,
}

impl Look<'_> {
    /// Any rule that asks for more tasks gets them; fewer only when none does and none objects.
    pub(super) fn choose(&self) -> Result<Chosen, Held> {
        let (target, base) = (&self.facts.target, self.count.base);
        if self.count.is_maintenance(self.facts.scaling.min) {
            let message = format!("service {target} was set to 0: it is left alone until someone raises it again");
            return Err(Held::new(Outcome::Ignore, Code::Maintenance, message));
        }
        let outs: Vec<_> = self.wishes().filter(|wish| wish.to > base).collect();
        if !outs.is_empty() {
            return self.out(&outs);
        }
        let ins: Vec<_> = self.wishes().filter(|wish| wish.to < base).collect();
        if ins.is_empty() {
            Err(Held(Outcome::Ignore, None))
        } else {
            self.inward(&ins)
        }
    }

    fn wishes(&self) -> impl Iterator<Item = Wish<'_>> {
        self.heard.iter().filter_map(|heard| match &heard.voice {
            Voice::Asks(ask) => Some(Wish {
                ask,
                to: ask.of(self.count.base),
            }),
            Voice::Silent(_) | Voice::Objects(_) => None,
        })
    }

    fn out(&self, wishes: &[Wish<'_>]) -> Result<Chosen, Held> {
        let (scaling, base, target) = (&self.facts.scaling, self.count.base, &self.facts.target);
        let max = scaling.max;
        if base >= max {
            let message = format!("service {target} has {base} tasks, max is {max}");
            return Err(Held::new(Outcome::Ignore, Code::AlreadyAtMaxCapacity, message));
        }
        self.free_of_deployment(true)?;
        let due = self.due(wishes, scaling.cooldown.out)?;
        let largest = |from: u32| self.bounded(due.iter().map(|wish| (wish.ask.of(from), wish.ask)), from);
        let mut from = base;
        let (mut to, mut bound) = largest(base);
        if let Some(until) = self.cooling_out() {
            // AWS: within the cooldown only what a larger step adds to the one before it.
            let rest = self.rise_base().map(|rise| (rise, largest(rise)));
            let Some((rise, rest)) = rest.filter(|(_, (to, _))| *to > base) else {
                let message = format!("no task is added to service {target} before {until}: cooldown");
                return Err(Held::new(Outcome::Wait, Code::Cooldown, message));
            };
            from = rise;
            (to, bound) = rest;
        }
        // A rule that is content with the count has had its say too: 1 % of 0 tasks is 0, of 1 task it is another one.
        let intent = self.intent(to, from, self.wishes().filter(|wish| wish.to >= base));
        Ok(Chosen { intent, bound })
    }

    fn inward(&self, wishes: &[Wish<'_>]) -> Result<Chosen, Held> {
        let (scaling, base, target) = (&self.facts.scaling, self.count.base, &self.facts.target);
        if base <= scaling.min {
            let message = format!("service {target} has {base} tasks, min is {}", scaling.min);
            return Err(Held::new(Outcome::Ignore, Code::AlreadyAtMinCapacity, message));
        }
        let objectors = self.heard.iter().filter(|heard| match &heard.voice {
            Voice::Silent(_) => false,
            Voice::Objects(_) => true,
            Voice::Asks(ask) => ask.of(base) == base,
        });
        let objectors = objectors.count();
        if objectors > 0 {
            let message = format!("{objectors} rule(s) of service {target} do not agree to fewer tasks");
            return Err(Held::new(Outcome::Ignore, Code::ScaleInBlocked, message));
        }
        self.free_of_deployment(false)?;
        self.due(wishes, scaling.cooldown.inward)?;
        let cooling = self
            .count
            .memory
            .last
            .map(|last| after(last.at, scaling.cooldown.inward));
        if let Some(until) = cooling.filter(|until| self.now < *until) {
            let message = format!("no task is removed from service {target} before {until}: cooldown");
            return Err(Held::new(Outcome::Wait, Code::Cooldown, message));
        }
        let (to, bound) = self.bounded(wishes.iter().map(|wish| (wish.to, wish.ask)), base);
        let intent = self.intent(to, base, self.wishes());
        Ok(Chosen { intent, bound })
    }

    /// The largest of these within the bounds, and what it would have been without them.
    fn bounded<'w>(&self, wishes: impl Iterator<Item = (u32, &'w Ask<'w>)>, base: u32) -> (u32, Option<String>) {
        let Some((wanted, ask)) = wishes.max_by_key(|(to, _)| *to) else {
            return (base, None);
        };
        let (min, max) = (self.facts.scaling.min, self.facts.scaling.max);
        let to = wanted.max(min).min(max);
        let bound = match to.cmp(&wanted) {
            Ordering::Less => Some(format!("max is {max}")),
            Ordering::Equal => None,
            Ordering::Greater => Some(format!("min is {min}")),
        };
        let bound = bound.map(|bound| format!("alarm `{}` wants {wanted}, {bound}", ask.alarm));
        (to, bound)
    }

    fn free_of_deployment(&self, out: bool) -> Result<(), Held> {
        let stops = deployment(self.facts, self.service, out);
        stops.map_or(Ok(()), |reason| Err(Held(Outcome::Wait, Some(reason))))
    }

    /// The wishes that may be followed: a transition that was acted upon counts again only while its alarm stays, after
    /// the cooldown and at most once a minute.
    fn due<'w>(&self, wishes: &'w [Wish<'w>], cooldown: Span) -> Result<Vec<&'w Wish<'w>>, Held> {
        let last = self.count.memory.last.map(|last| last.at);
        let again = |wish: &Wish<'_>| {
            let used = wish.ask.used?;
            Some(after(
                last.map_or(used, |last| last.max(used)),
                cooldown.max(REPEAT_AFTER),
            ))
        };
        let due: Vec<_> = wishes
            .iter()
            .filter(|wish| again(wish).is_none_or(|at| at <= self.now))
            .collect();
        if due.is_empty() {
            let at = wishes.iter().filter_map(again).min().unwrap_or(self.now);
            let message = format!("every alarm of this was acted upon: again at {at}, if it stays");
            return Err(Held::new(Outcome::Wait, Code::Cooldown, message));
        }
        Ok(due)
    }

    /// Until when no task is added: after our last change to more tasks, and after someone else's change.
    fn cooling_out(&self) -> Option<Timestamp> {
        let memory = &self.count.memory;
        let foreign = memory.last.filter(|last| last.foreign).map(|last| last.at);
        let since = memory.rise.map(|rise| rise.at).max(foreign)?;
        Some(after(since, self.facts.scaling.cooldown.out)).filter(|until| self.now < *until)
    }

    /// The count before the first step of this cooldown, if nothing but steps to more tasks happened since.
    fn rise_base(&self) -> Option<u32> {
        let (last, rise) = (self.count.memory.last?, self.count.memory.rise?);
        (!last.foreign && last.at == rise.at).then_some(rise.base)
    }

    fn intent<'w>(&self, to: u32, base: u32, wishes: impl Iterator<Item = Wish<'w>>) -> Intent {
        let mut used: BTreeMap<String, Used> = BTreeMap::new();
        for Wish { ask, .. } in wishes {
            let new = ask.mark(self.now);
            used.entry(ask.alarm.to_owned())
                .and_modify(|old| *old = old.and(new))
                .or_insert(new);
        }
        Intent {
            from: self.count.base,
            to,
            at: self.now,
            base,
            limited: false,
            used,
        }
    }
}

/// Why a deployment stands in the way.
pub(super) fn deployment(facts: &Facts, service: &ServiceFacts, out: bool) -> Option<Reason> {
    let stops = match facts.scaling.during_deployment {
        DuringDeployment::OutOnly => !out,
        DuringDeployment::Hold => true,
        DuringDeployment::Free => false,
    };
    let deployment = service.in_progress().filter(|_| stops)?;
    let what = if out { "no task is added" } else { "no task is removed" };
    let message = format!("{what} while deployment {} is in progress", deployment.id);
    Some(Reason::new(Code::DeploymentInProgress, message))
}

fn after(time: Timestamp, span: Span) -> Timestamp {
    time.saturating_add(span.duration()).unwrap_or(Timestamp::MAX)
}
