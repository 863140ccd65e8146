//! The choice: any out wins, in only when every rule agrees or is silent; then what earlier wishes and changes allow,
//! the bounds, the cooldowns, and what must come first.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::history::{self, Stable};
use super::hold::{self, Deploying};
use super::memory::after;
use super::standing::Count;
use super::wish::{Ask, Heard, Voice};
use super::{Bounds, Facts, InForce, Intent, Memory, Rise, Used, tasks};
use crate::config::{Limit, Span};
use crate::report::{Code, Outcome, Reason, counted};
use crate::service::ServiceFacts;

/// A persistent ALARM makes another step no sooner than this, as CloudWatch repeats an alarm's scaling actions once a
/// minute while it stays in ALARM (CloudWatch user guide, "Using Amazon CloudWatch alarms").
const REPEAT_AFTER: Span = Span::minutes(1);

/// A change that is not made, and why.
pub(super) struct Held(pub(super) Outcome, pub(super) Vec<Reason>);

impl Held {
    fn new(outcome: Outcome, code: Code, message: String) -> Self {
        Self(outcome, vec![Reason::new(code, message)])
    }
}

/// A change that is made.
pub(super) struct Chosen {
    pub(super) intent: Intent,
    /// What cut it short, and which rule wanted more; or why it is made without a rule.
    pub(super) because: Option<String>,
    /// What the report has of it: [`Code::ScaleOut`], [`Code::ScaleIn`], or which bounds it follows.
    pub(super) code: Code,
    /// What is said besides.
    pub(super) notes: Vec<Reason>,
}

/// A rule's wish, in tasks.
struct Wish<'a> {
    ask: &'a Ask<'a>,
    to: u32,
}

/// What the rules come to.
enum Combined<'a> {
    /// Some want more tasks.
    Out(Vec<Wish<'a>>),
    /// Some want fewer, none wants more, and so many do not agree.
    In(Vec<Wish<'a>>, usize),
    /// Nobody asks for anything else.
    Content,
}

/// A count that was reckoned, and what cut it short.
struct Reckoned {
    to: u32,
    /// What was asked for.
    wanted: u32,
    cut: Option<String>,
    /// What left nothing of the change.
    spent: Option<Code>,
}

/// A service whose count is known, and what the rules say of it.
pub(super) struct Look<'a> {
    pub(super) facts: &'a Facts,
    pub(super) service: &'a ServiceFacts,
    pub(super) heard: &'a [Heard<'a>],
    pub(super) count: &'a Count,
    pub(super) force: &'a InForce,
    pub(super) now: Timestamp,
}

impl Look<'_> {
    /// Any rule that asks for more tasks gets them; fewer only when none does and none objects. `memory` is what is
    /// remembered when that is done or not.
    pub(super) fn choose(&self, memory: &mut Memory) -> Result<Chosen, Held> {
        let (target, base) = (&self.facts.target, self.count.base);
        if self.count.is_maintenance(self.facts.scaling.min) {
            let message = format!("service {target} was set to 0: it is left alone until someone raises it again");
            return Err(Held::new(Outcome::Ignore, Code::Maintenance, message));
        }
        if let Some(moved) = self.within_bounds() {
            memory.unbounded = true;
            return moved;
        }
        (memory.bounds, memory.unbounded) = (Some(self.bounds()), false);
        let combined = self.combine();
        if matches!(combined, Combined::In(..)) && self.free_of_deployment(false).is_err() {
            memory.deploying = Some(self.now);
        }
        let wish = match &combined {
            Combined::Out(wishes) | Combined::In(wishes, 0) => wishes.iter().map(|wish| wish.to).max().unwrap_or(base),
            Combined::In(..) | Combined::Content => base,
        };
        // Without data nothing is known of the wish: what lasted goes on to last.
        let stable = if wish == base && self.is_blind() {
            Stable::default()
        } else {
            history::wished(memory, &self.facts.scaling.stabilise, base, wish, self.now)
        };
        match combined {
            Combined::Out(wishes) => self.out(&wishes, stable),
            Combined::In(wishes, objectors) => self.inward(&wishes, objectors, stable),
            Combined::Content => Err(Held(Outcome::Ignore, Vec::new())),
        }
    }

    fn is_blind(&self) -> bool {
        let without = |heard: &Heard<'_>| match &heard.voice {
            Voice::Objects(reason) => matches!(reason.code, Code::InsufficientData | Code::FactsMissing),
            Voice::Silent(_) | Voice::Asks(_) => false,
        };
        self.heard.iter().any(without)
    }

    fn bounds(&self) -> Bounds {
        self.force.bounds
    }

    fn combine(&self) -> Combined<'_> {
        let base = self.count.base;
        let outs: Vec<_> = self.wishes().filter(|wish| wish.to > base).collect();
        if !outs.is_empty() {
            return Combined::Out(outs);
        }
        let ins: Vec<_> = self.wishes().filter(|wish| wish.to < base).collect();
        if ins.is_empty() {
            return Combined::Content;
        }
        let objects = |heard: &&Heard<'_>| match &heard.voice {
            Voice::Silent(_) => false,
            Voice::Objects(_) => true,
            Voice::Asks(ask) => ask.of(base) == base,
        };
        Combined::In(ins, self.heard.iter().filter(objects).count())
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

    /// Other bounds than at the last look move the count at once: no rule is asked, and no cooldown.
    fn within_bounds(&self) -> Option<Result<Chosen, Held>> {
        let (facts, base, bounds) = (self.facts, self.count.base, self.bounds());
        if !super::bounds::differ(&facts.scaling, &self.count.memory, bounds) {
            return None;
        }
        let to = base.max(bounds.min).min(bounds.max);
        (to != base).then(|| {
            let notes = self.free_of_deployment(to > base)?;
            let (bound, value) = if to > base {
                ("min", bounds.min)
            } else {
                ("max", bounds.max)
            };
            Ok(Chosen {
                // Until the count has moved these bounds are not done with: the call may be held back, or have no effect.
                intent: Intent {
                    bounds: Some(bounds),
                    ..self.intent((to, to), base, std::iter::empty())
                },
                because: Some(format!("{bound} is {value}, {}", self.force.why.message)),
                code: self.force.why.code,
                notes,
            })
        })
    }

    fn out(&self, wishes: &[Wish<'_>], stable: Stable) -> Result<Chosen, Held> {
        let (scaling, base, target) = (&self.facts.scaling, self.count.base, &self.facts.target);
        let max = self.bounds().max;
        if base >= max {
            let message = format!("service {target} has {}, max is {max}", tasks(base));
            return Err(Held::new(Outcome::Ignore, Code::AlreadyAtMaxCapacity, message));
        }
        let notes = self.free_of_deployment(true)?;
        let due = self.due(wishes, scaling.cooldown.out)?;
        let reckon = |from: u32| self.reckon(due.iter().map(|wish| (wish.ask.of(from), wish.ask)), stable);
        let mut from = base;
        let mut reckoned = reckon(base);
        self.unspent(&reckoned)?;
        if let Some(until) = self.cooling_out() {
            // AWS: within the cooldown only what a larger step adds to the one before it.
            let rest = self.rise().map(|rise| (rise, reckon(rise.base)));
            let is_larger = |(rise, rest): &(Rise, Reckoned)| rest.to > base && rest.wanted > rise.wanted;
            let Some((rise, rest)) = rest.filter(is_larger) else {
                let message = format!("no task is added to service {target} before {until}: cooldown");
                return Err(Held::new(Outcome::Wait, Code::Cooldown, message));
            };
            from = rise.base;
            reckoned = rest;
        }
        if let Some(reason) = hold::unready(self.facts, self.service, self.count, self.now) {
            return Err(Held(Outcome::Wait, vec![reason]));
        }
        // A rule that is content with the count has had its say too: 1 % of 0 tasks is 0, of 1 task it is another one.
        let heeded = self.wishes().filter(|wish| wish.to >= base);
        Ok(Chosen {
            intent: self.intent((reckoned.to, reckoned.wanted), from, heeded),
            because: reckoned.cut,
            code: Code::ScaleOut,
            notes,
        })
    }

    fn inward(&self, wishes: &[Wish<'_>], objectors: usize, stable: Stable) -> Result<Chosen, Held> {
        let (scaling, base, target) = (&self.facts.scaling, self.count.base, &self.facts.target);
        let min = self.bounds().min;
        if base <= min {
            let message = format!("service {target} has {}, min is {min}", tasks(base));
            return Err(Held::new(Outcome::Ignore, Code::AlreadyAtMinCapacity, message));
        }
        if objectors > 0 {
            let message = format!(
                "fewer tasks are against {} of service {target}",
                counted(objectors, "rule")
            );
            return Err(Held::new(Outcome::Ignore, Code::ScaleInBlocked, message));
        }
        let notes = self.free_of_deployment(false)?;
        self.due(wishes, scaling.cooldown.inward)?;
        let reckoned = self.reckon(wishes.iter().map(|wish| (wish.to, wish.ask)), stable);
        self.unspent(&reckoned)?;
        let reckoned = self.steady(reckoned)?;
        if let Some(until) = self.cooling_in() {
            let message = format!("no task is removed from service {target} before {until}: cooldown");
            return Err(Held::new(Outcome::Wait, Code::Cooldown, message));
        }
        Ok(Chosen {
            intent: self.intent((reckoned.to, reckoned.wanted), base, self.wishes()),
            because: reckoned.cut,
            code: Code::ScaleIn,
            notes,
        })
    }

    /// The largest wish, as far as the windows, the limits and the bounds let it.
    fn reckon<'w>(&self, wishes: impl Iterator<Item = (u32, &'w Ask<'w>)>, stable: Stable) -> Reckoned {
        let (base, bounds) = (self.count.base, self.bounds());
        let Some((wanted, ask)) = wishes.max_by_key(|(to, _)| *to) else {
            return Reckoned {
                to: base,
                wanted: base,
                cut: None,
                spent: None,
            };
        };
        let mut cuts = Vec::new();
        let mut spent = None;
        let stabilised = stable.of(base, wanted);
        if stabilised != wanted {
            cuts.push(format!("`stabilise` lets {stabilised} stand"));
            spent = (stabilised == base).then_some(Code::Stabilising);
        }
        let (memory, limit) = (&self.count.memory, &self.facts.scaling.limit);
        let limited = history::limited(&memory.moves, limit, base, stabilised, self.now);
        if limited != stabilised {
            cuts.push(format!("`limit` lets {limited} stand"));
            spent = (limited == base).then_some(Code::RateLimited);
        }
        let to = limited.max(bounds.min).min(bounds.max);
        match to.cmp(&limited) {
            Ordering::Less => cuts.push(format!("max is {}", bounds.max)),
            Ordering::Equal => {}
            Ordering::Greater => cuts.push(format!("min is {}", bounds.min)),
        }
        let cut = (!cuts.is_empty()).then(|| format!("{} wants {wanted}, {}", ask.source, cuts.join(", ")));
        Reckoned { to, wanted, cut, spent }
    }

    /// Whether anything is left of the change.
    fn unspent(&self, reckoned: &Reckoned) -> Result<(), Held> {
        match reckoned.spent.filter(|_| reckoned.to == self.count.base) {
            None => Ok(()),
            Some(code) => {
                let cut = reckoned.cut.as_deref().unwrap_or_default();
                let message = format!("service {} stays at {}: {cut}", self.facts.target, self.count.base);
                Err(Held::new(Outcome::Wait, code, message))
            }
        }
    }

    /// As few tasks as no rule would at once ask more than, if that is fewer than there are.
    fn steady(&self, reckoned: Reckoned) -> Result<Reckoned, Held> {
        let base = self.count.base;
        let asks_for_more = |to: u32| {
            let mut levels = self.heard.iter().filter_map(|heard| heard.level);
            levels.find(|level| level.would_ask_for_more(base, to))
        };
        let Some(level) = asks_for_more(reckoned.to) else {
            return Ok(reckoned);
        };
        let why = format!(
            "with {} alarm `{}` would be above its target",
            tasks(reckoned.to),
            level.alarm
        );
        // Too many are too many, whatever they have to do.
        let last = base.min(self.bounds().max.saturating_add(1));
        match (reckoned.to..last).find(|to| asks_for_more(*to).is_none()) {
            None if base > self.bounds().max => Ok(reckoned),
            Some(to) => Ok(Reckoned {
                to,
                wanted: reckoned.wanted,
                cut: Some(reckoned.cut.into_iter().chain([why]).collect::<Vec<_>>().join(", ")),
                spent: None,
            }),
            None => {
                let message = format!("service {} stays at {base}: {why}", self.facts.target);
                let code = Code::AutoScalingAnticipatedFlapping;
                Err(Held::new(Outcome::Ignore, code, message))
            }
        }
    }

    fn free_of_deployment(&self, out: bool) -> Result<Vec<Reason>, Held> {
        match hold::deployment(self.facts, self.service, out, self.now) {
            Deploying::Holds(reason) => Err(Held(Outcome::Wait, vec![reason])),
            Deploying::Overdue(reason) => Ok(vec![reason]),
            Deploying::No => Ok(Vec::new()),
        }
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

    /// Until when no task is added, if that is not over.
    fn cooling_out(&self) -> Option<Timestamp> {
        let until = self.count.memory.cooling_out(&self.facts.scaling.cooldown);
        until.filter(|until| self.now < *until)
    }

    /// Until when no task is removed: after any change, and after a deployment that held that back.
    fn cooling_in(&self) -> Option<Timestamp> {
        let cooldown = self.facts.scaling.cooldown.inward;
        let changed = self.count.memory.cooling_in(&self.facts.scaling.cooldown);
        let deployed = hold::deployed(self.service, self.count).map(|at| after(at, cooldown));
        changed.max(deployed).filter(|until| self.now < *until)
    }

    /// The steps of this cooldown, if nothing but steps to more tasks happened since the first.
    fn rise(&self) -> Option<Rise> {
        let (last, rise) = (self.count.memory.last?, self.count.memory.rise?);
        (!last.foreign && last.at == rise.at).then_some(rise)
    }

    fn intent<'w>(&self, (to, wanted): (u32, u32), base: u32, wishes: impl Iterator<Item = Wish<'w>>) -> Intent {
        let mut used: BTreeMap<String, Used> = BTreeMap::new();
        for Wish { ask, .. } in wishes {
            let Some((alarm, new)) = ask.mark(self.now) else {
                continue;
            };
            used.entry(alarm.to_owned())
                .and_modify(|old| *old = old.and(new))
                .or_insert(new);
        }
        Intent {
            from: self.count.base,
            to,
            at: self.now,
            repeated: None,
            base,
            wanted,
            limited: self.facts.scaling.limit != Limit::default(),
            bounds: None,
            used,
        }
    }
}
