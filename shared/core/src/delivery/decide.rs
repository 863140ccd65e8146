//! What is to be done for one target.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::action::{Action, TaskDefinition};
use super::back::{Way, way};
use super::base::{Base, base};
use super::course::follow;
use super::gate::Closed;
use super::linger::{Lingering, Side, linger};
use super::memory::{Intent, Memory};
use super::newest::{made_of, tell_newer};
use super::notice::Notice;
use super::progress::{Progress, in_progress};
use super::push::{Heard, hear};
use super::quarantine::Quarantined;
use super::revision::revise;
use super::schedules::{moves, recognise};
use super::standing::{Due, Standing, Wanted, quarantined, short, standing, wanted};
use super::waiting::Waits;
use super::{Facts, Published, Wish, rule_key};
use crate::event::{Envelope, ImageAction};
use crate::ids::same_revision;
use crate::known::Known;
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
    waits: Waits,
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
    fn make(mut self, calls: Calls) -> Decided {
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
    fn hold(mut self, mut decision: Decision<Action>) -> Decided {
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

    fn intended(&self, due: &[Due], side: Side, asked: Option<Timestamp>) -> Intent {
        let taken = self.base.taken();
        Intent {
            wishes: due.iter().map(|d| (d.key.clone(), d.wish.clone())).collect(),
            changes: due.iter().flat_map(|d| d.changes.clone()).collect(),
            side,
            asked,
            back: None,
            base: self.base.arn.to_owned(),
            made_of: taken.map(|newest| newest.arn.to_owned()),
            keeps: taken.map_or_else(Vec::new, |newest| newest.keeps(due, self.facts, self.base)),
            at: self.now,
            registered: None,
            sent: None,
        }
    }

    fn roll_out(mut self, next: Next) -> Decided {
        let Next { due, asked } = next;
        let lingering = lingering(self.facts, self.base, self.base.source().1);
        let mut intent = self.intended(&due, lingering.side, asked);
        let mut extra = Vec::new();
        let plan = match self.in_the_way(&intent, &due) {
            Err(held) => Err(held),
            Ok(timed_out) => {
                extra.extend(timed_out);
                if let Some((known, arn)) = resumed(&self.memory, &intent, self.base) {
                    let message = format!(
                        "the rollout that began at {} goes on with {}, which is registered",
                        known.at,
                        short(&arn)
                    );
                    extra.push(Reason::new(Code::IntentResumed, message));
                    intent = known;
                }
                extra.extend(made_of(&intent));
                actions(self.facts, self.base, &intent)
            }
        };
        match plan {
            Err(held) => {
                if held.outcome == Outcome::Wait {
                    for due in &due {
                        for reason in &held.reasons {
                            self.waits.add(&due.key, &due.wish, reason, None);
                        }
                    }
                }
                // Of which nothing is registered has not begun.
                self.memory.intent = self.memory.intent.take().filter(|known| known.registered.is_some());
                self.hold(held)
            }
            Ok(actions) => {
                let mut reasons: Vec<_> = due.into_iter().map(|d| d.reason).collect();
                reasons.extend(lingering.reasons);
                reasons.append(&mut extra);
                self.make(Calls {
                    actions,
                    reasons,
                    intent: Some(intent),
                })
            }
        }
    }

    /// What holds the rollout up; or, when nothing does any longer, what did.
    fn in_the_way(&self, intent: &Intent, due: &[Due]) -> Result<Option<Reason>, Decision<Action>> {
        if let Some(reason) = refused(&self.memory, intent, self.base) {
            return Err(Decision::without_calls(Outcome::Ignore, reason));
        }
        if let Some(unseen) = unseen(&self.memory, self.base, self.now) {
            return Err(Decision::without_calls(Outcome::Wait, unseen));
        }
        if self.facts.sent_since().is_some() && self.facts.sent_to == Known::No {
            let message = format!(
                "whether {} was sent to its next revision is not known",
                self.facts.target
            );
            let reason = Reason::new(Code::FactsMissing, message);
            return Err(Decision::needs("ListServiceDeployments", reason));
        }
        let timed_out = match in_progress(self.base, due, self.now) {
            Some(Progress::Running(reason)) => return Err(Decision::without_calls(Outcome::Wait, reason)),
            Some(Progress::TimedOut(reason)) => Some(reason),
            None => None,
        };
        if self.facts.paced.is_some() {
            return Err(self.paced());
        }
        Ok(timed_out)
    }

    fn paced(&self) -> Decision<Action> {
        let until = self.facts.paced.map_or_else(String::new, |at| format!(" before {at}"));
        let message = format!("the rate of calls that AWS allows the account leaves no room{until}: it goes on then");
        Decision::without_calls(Outcome::Wait, Reason::new(Code::Paced, message))
    }
}

/// What becomes of the side container of a revision. A family has no `drain`: a revision of it that a service made is left
/// as it is.
fn lingering(facts: &Facts, base: &Base<'_>, answer: &Value) -> Lingering {
    match base.service {
        Some(_) => linger(answer, facts.linger.as_ref()),
        None => Lingering::default(),
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

/// What goes into the next revision.
struct Next {
    due: Vec<Due>,
    asked: Option<Timestamp>,
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

fn actions(facts: &Facts, base: &Base<'_>, intent: &Intent) -> Result<Vec<Action>, Decision<Action>> {
    let update = |task_definition| Action::UpdateService {
        cluster: facts.target.cluster.clone(),
        service: facts.target.name.clone(),
        task_definition,
    };
    if let Some(arn) = &intent.registered {
        return Ok(vec![update(TaskDefinition::Arn(arn.clone()))]);
    }
    let (source, answer) = match intent.made_of {
        Some(_) => base.source(),
        None => (base.arn, base.answer),
    };
    let mut request = revise(answer, &intent.images()).map_err(|error| {
        Decision::needs(
            "DescribeTaskDefinition",
            Reason::new(Code::FactsMissing, error.to_string()),
        )
    })?;
    intent.side.apply(&mut request);
    let mut actions = vec![Action::RegisterTaskDefinition { request }];
    if base.service.is_some() {
        actions.push(update(TaskDefinition::Registered {
            base: source.to_owned(),
        }));
    }
    Ok(actions)
}

/// The rollout that began as just this one, and its revision, which is registered. A family has no second call that could
/// be missing.
fn resumed(memory: &Memory, intent: &Intent, base: &Base<'_>) -> Option<(Intent, String)> {
    base.service?;
    let known = memory
        .intent
        .as_ref()
        .filter(|k| k.back.is_none() && k.digests() == intent.digests() && k.base == intent.base)?;
    let registered = known.registered.clone()?;
    // By now its own revision may be the family's newest, and as the next one would be.
    let is_newest = intent
        .made_of
        .as_deref()
        .is_some_and(|newest| same_revision(newest, &registered));
    let same = if is_newest {
        !intent.side.changes()
    } else {
        (&known.made_of, &known.side) == (&intent.made_of, &intent.side)
    };
    let resumed = Intent {
        wishes: intent.wishes.clone(),
        asked: intent.asked,
        ..known.clone()
    };
    same.then_some((resumed, registered))
}

/// The service was sent to a revision a moment ago, or may have been, and ECS does not show it yet: what it shows is no base
/// for the next.
fn unseen(memory: &Memory, base: &Base<'_>, now: Timestamp) -> Option<Reason> {
    let service = base.service?;
    let message = match (&memory.watched, &memory.intent) {
        (_, Some(intent)) if intent.may_show(now) => {
            let to = intent.registered.as_deref().map_or("another revision", short);
            format!("the service may have been sent to {to}, which ECS does not show yet")
        }
        (Some(watched), _) if !service.has_had(&watched.to) => {
            let to = short(&watched.to);
            format!("the service was sent to {to}, which ECS does not show yet")
        }
        _ => return None,
    };
    Some(Reason::new(Code::DeploymentInProgress, message))
}

fn refused(memory: &Memory, intent: &Intent, base: &Base<'_>) -> Option<Reason> {
    let refusal = memory.refused.as_ref()?;
    let (source, _) = base.source();
    // What it differs in would go on into each revision that is made of it.
    let spoilt = same_revision(&refusal.revision, source);
    let same = refusal.digests == intent.digests() && refusal.side == intent.side && refusal.base == source;
    if !spoilt && !same {
        return None;
    }
    let message = format!(
        "{} was made of {} and differs in more than was asked for: {}; the service was not sent to it{}",
        short(&refusal.revision),
        short(&refusal.base),
        refusal.differences.join(", "),
        if spoilt {
            ", and it is the family's newest now: deregister it, or register another"
        } else {
            ""
        }
    );
    Some(Reason::new(Code::RevisionDiffers, message))
}

#[cfg(test)]
mod tests;
