//! What is to be done for one target.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::action::Action;
use super::back::{Way, way};
use super::base::{Base, base};
use super::course::follow;
use super::gate::Closed;
use super::linger::Lingering;
use super::memory::{Intent, Memory};
use super::newest::tell_newer;
use super::notice::Notice;
use super::push::{Heard, hear};
use super::quarantine::Quarantined;
use super::rollout::{Next, actions, lingering};
use super::schedules::{moves, recognise};
use super::standing::{Due, Standing, Wanted, quarantined, standing, wanted};
use super::waiting::Waits;
use super::{Facts, Published, Wish, rule_key};
use crate::event::{Envelope, ImageAction};
use crate::report::{Code, Decision, Outcome, Reason};

/// What [`decide()`] says.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that nobody applies changes nothing, and a memory that nobody stores is lost"]
pub struct Decided {
    /// The calls to make, in order, and why, or why not.
    pub decision: Decision<Action>,
    /// What is remembered when no call is made, or none may be: store it when it differs from what was stored.
    pub memory: Memory,
    /// The rollout that the calls make.
    pub intent: Option<Intent>,
    /// What is to be told, before the memory is stored.
    pub notices: Vec<Notice>,
    /// The images that are out now: where others read which, before the memory is stored.
    pub published: Published,
    /// What is in quarantine once the calls are made, where that differs: a way back that is held back leaves nothing.
    left: Option<Vec<Quarantined>>,
}

impl Decided {
    /// What is stored before the first call is made: the memory with the intent.
    pub fn before_call(&self) -> Memory {
        let mut memory = self.memory.clone();
        memory.intent.clone_from(&self.intent);
        if let Some(left) = &self.left {
            memory.quarantine.clone_from(left);
        }
        memory
    }

    fn without_calls(decision: Decision<Action>, memory: &Memory) -> Self {
        Self {
            decision,
            memory: memory.clone(),
            intent: None,
            notices: Vec::new(),
            published: Published::default(),
            left: None,
        }
    }
}

/// What is to be done for a target when an image was pushed: the push met its rules, then [`decide()`].
pub fn decide_push(envelope: &Envelope, action: &ImageAction, facts: &Facts, now: Timestamp) -> Decided {
    match hear(envelope, action, facts) {
        Heard::Nothing(decision) => Decided::without_calls(decision, &facts.memory),
        Heard::Wanted { fresh, reasons } => {
            let mut facts = facts.clone();
            facts.wishes.extend(fresh);
            let mut decided = decide(&facts, now);
            decided.decision.reasons.extend(reasons);
            decided
        }
    }
}

/// What is to be done for a target: in the order of the module's description.
pub fn decide(facts: &Facts, now: Timestamp) -> Decided {
    let idle = |decision| Decided::without_calls(decision, &facts.memory);
    let asked = facts.asks_to_linger();
    let asks = asked.is_some() || facts.asks_back().is_some();
    let asks = asks || facts.memory.is_under_way() || facts.relapse().is_some();
    if facts.rules.is_empty() && !asks {
        let message = format!("{} is configured, but not for delivery", facts.target);
        return idle(Decision::without_calls(
            Outcome::Ignore,
            Reason::new(Code::NotConfigured, message),
        ));
    }
    let (wanted, mut others) = wanted(facts);
    if wanted.is_empty() && !asks {
        if others.is_empty() {
            let message = format!("no push that {} wants is known", facts.target);
            others.push((Outcome::Ignore, Reason::new(Code::NothingWaiting, message)));
        }
        return idle(nothing(others));
    }
    let base = match base(facts, &wanted) {
        Ok(base) => base,
        Err(mut decision) => {
            decision.reasons.extend(others.into_iter().map(|(_, reason)| reason));
            return idle(decision);
        }
    };
    let mut look = Look::new(facts, &base, others, now);
    look.remember();
    match follow(&mut look) {
        Some(end) => look.make(end),
        None => look.next(&wanted),
    }
}

/// One look at a target: what is found on the way.
pub(super) struct Look<'a> {
    pub(super) facts: &'a Facts,
    pub(super) base: &'a Base<'a>,
    pub(super) now: Timestamp,
    pub(super) memory: Memory,
    /// What is to be said beside the decision.
    pub(super) others: Vec<(Outcome, Reason)>,
    pub(super) notices: Vec<Notice>,
    pub(super) published: Published,
    /// What waits behind gates.
    pub(super) waits: Waits,
}

/// Calls that are to be made, and why.
pub(super) struct Calls {
    pub(super) actions: Vec<Action>,
    pub(super) reasons: Vec<Reason>,
    pub(super) intent: Option<Intent>,
}

impl<'a> Look<'a> {
    fn new(facts: &'a Facts, base: &'a Base<'a>, others: Vec<(Outcome, Reason)>, now: Timestamp) -> Self {
        Self {
            facts,
            base,
            now,
            memory: facts.memory.clone(),
            others,
            notices: Vec::new(),
            published: Published::default(),
            waits: Waits::default(),
        }
    }

    /// What the look tells of what was remembered.
    fn remember(&mut self) {
        recognise(&mut self.memory, self.base, self.facts);
        if self.memory.has_arrived(self.base.service, &self.facts.sent_to) {
            let sent = self.memory.intent.as_ref().and_then(|intent| intent.sent);
            self.notices.extend(self.memory.settle(&self.facts.target, self.now));
            if let (Some(watched), Some(sent)) = (&mut self.memory.watched, sent) {
                watched.sent = sent;
            }
        }
        let keys: BTreeSet<_> = self.facts.rules.iter().map(rule_key).collect();
        self.memory.done.retain(|key, _| keys.contains(key));
        self.memory.disprove(self.base, &self.facts.approvals, self.now);
        self.memory.look_for_newer(self.facts, self.base, self.now);
    }

    /// Takes down what waits.
    fn conclude(&mut self) {
        let (waiting, notices) = std::mem::take(&mut self.waits).conclude(self.facts, self.now);
        self.memory.waiting = waiting;
        self.notices.extend(notices);
    }

    /// A decision with these calls. What they bring out waits until they are made ([`Memory::settle`]): when there is no
    /// room for them, its wait goes on, and was told.
    pub(super) fn make(mut self, calls: Calls) -> Decided {
        self.conclude();
        if calls.intent.is_some() {
            self.memory.waiting.clone_from(&self.facts.memory.waiting);
        }
        let mut reasons = calls.reasons;
        reasons.extend(self.others.into_iter().map(|(_, reason)| reason));
        tell_newer(&self.memory, self.facts, &mut reasons);
        Decided {
            decision: Decision::of(calls.actions, reasons),
            memory: self.memory,
            intent: calls.intent,
            notices: self.notices,
            published: self.published,
            left: None,
        }
    }

    /// A decision without calls, and what else is to be said.
    pub(super) fn hold(mut self, mut decision: Decision<Action>) -> Decided {
        let missing = std::mem::take(&mut self.waits.missing);
        decision.missing.extend(missing);
        decision.missing.sort_unstable();
        decision.missing.dedup();
        self.conclude();
        decision
            .reasons
            .extend(self.others.into_iter().map(|(_, reason)| reason));
        tell_newer(&self.memory, self.facts, &mut decision.reasons);
        Decided {
            decision,
            memory: self.memory,
            intent: None,
            notices: self.notices,
            published: self.published,
            left: None,
        }
    }

    /// A way back that was asked for, or the next images.
    fn next(mut self, wanted: &[Wanted<'_>]) -> Decided {
        let facts = self.facts;
        if let Some(back) = facts.asks_back() {
            let kept = self.memory.quarantine.clone();
            match way(facts, self.base, back, &mut self.memory, self.now) {
                Way::Go(intent, reason) => {
                    let left = std::mem::replace(&mut self.memory.quarantine, kept);
                    return self.go_back(*intent, reason, left);
                }
                Way::Unknown(decision) => return self.hold(decision),
                Way::Answered(outcome, reason) => {
                    self.memory.went_back = Some(back.at);
                    self.others.push((outcome, reason));
                }
            }
        }
        let due = self.due(wanted);
        // What was registered for the request may have arrived.
        let done = self.memory.lingered;
        let asked = facts.asks_to_linger().filter(|at| done.is_none_or(|done| done < *at));
        let lingering = lingering(facts, self.base, self.base.answer);
        if due.is_empty() && !(asked.is_some() && lingering.side.changes()) {
            // Whatever was begun is through, or no longer wanted.
            self.memory.give_up(self.now);
            if asked.is_some() {
                self.memory.lingered = asked;
                let said = unchanged(facts, lingering).map(|reason| (Outcome::Ignore, reason));
                self.others.extend(said);
            }
            if let Some(moves) = moves(&mut self) {
                return self.make(moves);
            }
            let decision = nothing(std::mem::take(&mut self.others));
            return self.hold(decision);
        }
        self.roll_out(Next { due, asked })
    }

    fn go_back(mut self, intent: Intent, reason: Reason, left: Vec<Quarantined>) -> Decided {
        match actions(self.facts, self.base, &intent) {
            Err(decision) => self.hold(decision),
            Ok(_) if self.facts.paced.is_some() => {
                let held = self.paced();
                self.hold(held)
            }
            Ok(actions) => {
                self.memory.intent = None;
                let calls = Calls {
                    actions,
                    reasons: vec![reason],
                    intent: Some(intent),
                };
                Decided {
                    left: Some(left),
                    ..self.make(calls)
                }
            }
        }
    }

    /// The rules whose images are to be brought out.
    fn due(&mut self, wanted: &[Wanted<'_>]) -> Vec<Due> {
        let mut taken = BTreeSet::new();
        let mut due = Vec::new();
        for wanted in wanted {
            match standing(wanted, self.base, self.facts, &mut self.memory, &mut taken, self.now) {
                Standing::Due(one) => due.push(one),
                // What follows the rollout has told it.
                Standing::Sent => {}
                Standing::Not(outcome, reason) => self.others.push((outcome, reason)),
                Standing::Closed(key, wish, closed) => {
                    for Closed { reason, until, missing } in closed {
                        self.waits.add(&key, &wish, &reason, until);
                        self.waits.missing.extend(missing);
                        self.others.push((Outcome::Wait, reason));
                    }
                }
                Standing::Deployed(key, wish, reason) => {
                    self.memory.seen(&key, &wish.digest, self.base.arn, self.now);
                    let held = quarantined(wanted, self.facts, &self.memory, self.now);
                    let outcome = match held {
                        // The way back from it failed, or someone deployed it: it runs, and proves nothing.
                        Some(_) => Outcome::Ignore,
                        None => self.comes_up(&BTreeMap::from([(key, wish)])),
                    };
                    self.others.push((outcome, reason));
                    self.others.extend(held);
                }
            }
        }
        match self.base.taken() {
            None => due,
            Some(newest) => newest.place(due, self.facts, self.base, &mut self.others),
        }
    }

    /// What the target has is proved once its tasks run: others may wait for that.
    fn comes_up(&mut self, wishes: &BTreeMap<String, Wish>) -> Outcome {
        let watched = self.memory.watched.as_ref();
        let is_ended = watched.is_some_and(|watched| watched.ending.is_some());
        if self.base.is_at_rest() && !is_ended {
            self.memory.prove(wishes, self.base.arn, self.now);
        }
        if self.memory.has_proved(wishes) {
            Outcome::Ignore
        } else {
            Outcome::Wait
        }
    }
}

/// What is said to `apply --linger` when there is nothing to roll out.
fn unchanged(facts: &Facts, lingering: Lingering) -> impl Iterator<Item = Reason> {
    let refused = lingering
        .reasons
        .iter()
        .any(|reason| reason.code == Code::LingerRefused);
    let already = (!refused).then(|| {
        let message = match &facts.linger {
            Some(_) => format!("{} has the side container that `drain` asks for", facts.target),
            None => format!("{} has no side container, and no `drain` asks for one", facts.target),
        };
        Reason::new(Code::AlreadyLingers, message)
    });
    already.into_iter().chain(lingering.reasons)
}

/// What is said when nothing is to be brought out.
fn nothing(others: Vec<(Outcome, Reason)>) -> Decision<Action> {
    let outcome = if others.iter().any(|(outcome, _)| *outcome == Outcome::Wait) {
        Outcome::Wait
    } else if others.iter().all(|(outcome, _)| *outcome == Outcome::Stale) {
        Outcome::Stale
    } else {
        Outcome::Ignore
    };
    let reasons = others.into_iter().map(|(_, reason)| reason).collect();
    Decision {
        outcome,
        actions: Vec::new(),
        reasons,
        missing: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
