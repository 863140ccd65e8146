//! What is to be done for one target.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::action::{Action, TaskDefinition};
use super::base::{Base, base};
use super::linger::{Lingering, linger};
use super::memory::{Intent, Memory};
use super::push::{Heard, hear};
use super::revision::revise;
use super::standing::{Due, Standing, Wanted, short, standing, wanted};
use super::{Facts, rule_key};
use crate::config::Rollback;
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
}

impl Decided {
    /// What is stored before the first call is made: the memory with the intent.
    pub fn before_call(&self) -> Memory {
        let mut memory = self.memory.clone();
        memory.intent.clone_from(&self.intent);
        memory
    }
}

/// What is to be done for a target when an image was pushed: the push met its rules, then [`decide()`].
pub fn decide_push(envelope: &Envelope, action: &ImageAction, facts: &Facts, now: Timestamp) -> Decided {
    match hear(envelope, action, facts) {
        Heard::Nothing(decision) => Decided {
            decision,
            memory: facts.memory.clone(),
            intent: None,
        },
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
    let without = |decision, memory| Decided {
        decision,
        memory,
        intent: None,
    };
    let asked = facts.asks_to_linger();
    if facts.rules.is_empty() && asked.is_none() {
        let message = format!("{} is configured, but not for delivery", facts.target);
        let decision = Decision::without_calls(Outcome::Ignore, Reason::new(Code::NotConfigured, message));
        return without(decision, facts.memory.clone());
    }
    let (wanted, mut others) = wanted(facts);
    if wanted.is_empty() && asked.is_none() {
        if others.is_empty() {
            let message = format!("no push that {} wants is known", facts.target);
            others.push((Outcome::Ignore, Reason::new(Code::NothingWaiting, message)));
        }
        return without(nothing(others), facts.memory.clone());
    }
    let base = match base(facts, &wanted) {
        Ok(base) => base,
        Err(mut decision) => {
            let mut memory = facts.memory.clone();
            // Another controller's service never takes a revision from here; one that is not there yet may come.
            if asked.is_some() && decision.reasons.iter().any(|r| r.code == Code::UnsupportedController) {
                memory.lingered = asked;
            }
            decision.reasons.extend(others.into_iter().map(|(_, reason)| reason));
            return without(decision, memory);
        }
    };
    let mut memory = facts.memory.looked(base.service, now);
    let keys: BTreeSet<_> = facts.rules.iter().map(rule_key).collect();
    memory.done.retain(|key, _| keys.contains(key));
    let due = due(&wanted, &base, &mut memory, &mut others, now);
    // What was registered for the request may have arrived.
    let asked = asked.filter(|at| memory.lingered.is_none_or(|done| done < *at));
    let lingering = lingering(facts, &base);
    if due.is_empty() && !(asked.is_some() && lingering.side.changes()) {
        // Whatever was begun is through, or no longer wanted.
        memory.intent = None;
        if asked.is_some() {
            memory.lingered = asked;
            others.extend(unchanged(facts, lingering).map(|reason| (Outcome::Ignore, reason)));
        }
        return without(nothing(others), memory);
    }
    let next = Next { due, lingering, asked };
    roll_out(facts, &base, next, others, memory, now)
}

/// The rules whose images are to be brought out; what is to be said of the others goes to `others`.
fn due(
    wanted: &[Wanted<'_>],
    base: &Base<'_>,
    memory: &mut Memory,
    others: &mut Vec<(Outcome, Reason)>,
    now: Timestamp,
) -> Vec<Due> {
    let mut taken = BTreeSet::new();
    let mut due = Vec::new();
    for wanted in wanted {
        match standing(wanted, base, memory, &mut taken) {
            Standing::Due(one) => due.push(one),
            Standing::Not(outcome, reason) => others.push((outcome, reason)),
            Standing::Deployed(key, digest, reason) => {
                memory.seen(&key, &digest, base.arn, now);
                others.push((Outcome::Ignore, reason));
            }
        }
    }
    due
}

/// What becomes of the side container. A family has no `drain`: a revision of it that a service made is left as it is.
fn lingering(facts: &Facts, base: &Base<'_>) -> Lingering {
    match base.service {
        Some(_) => linger(base.answer, facts.linger.as_ref()),
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
    lingering: Lingering,
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

fn roll_out(
    facts: &Facts,
    base: &Base<'_>,
    next: Next,
    others: Vec<(Outcome, Reason)>,
    memory: Memory,
    now: Timestamp,
) -> Decided {
    let Next { due, lingering, asked } = next;
    let mut intent = Intent {
        digests: due.iter().map(|d| (d.key.clone(), d.digest.clone())).collect(),
        changes: due.iter().flat_map(|d| d.changes.clone()).collect(),
        side: lingering.side,
        asked,
        base: base.arn.to_owned(),
        at: now,
        registered: None,
    };
    let rest = others.into_iter().map(|(_, reason)| reason);
    let (mut extra, plan) = match in_the_way(&memory, &intent, base, &due, now) {
        Err(held) => (Vec::new(), Err(held)),
        Ok(timed_out) => {
            let mut extra: Vec<_> = timed_out.into_iter().collect();
            if let Some((arn, at)) = resumed(&memory, &intent, base) {
                let message = format!(
                    "the rollout that began at {at} goes on with {}, which is registered",
                    short(&arn)
                );
                extra.push(Reason::new(Code::IntentResumed, message));
                intent.at = at;
                intent.registered = Some(arn);
            }
            (extra, actions(facts, base, &intent))
        }
    };
    match plan {
        Err(mut held) => {
            held.reasons.extend(rest);
            Decided {
                decision: held,
                memory,
                intent: None,
            }
        }
        Ok(actions) => {
            let mut reasons: Vec<_> = due.into_iter().map(|d| d.reason).collect();
            reasons.extend(lingering.reasons);
            reasons.append(&mut extra);
            reasons.extend(rest);
            Decided {
                decision: Decision::of(actions, reasons),
                memory,
                intent: Some(intent),
            }
        }
    }
}

/// What holds the rollout up; or, when nothing does any longer, what did.
fn in_the_way(
    memory: &Memory,
    intent: &Intent,
    base: &Base<'_>,
    due: &[Due],
    now: Timestamp,
) -> Result<Option<Reason>, Decision<Action>> {
    if let Some(reason) = refused(memory, intent, base) {
        return Err(Decision::without_calls(Outcome::Ignore, reason));
    }
    match in_progress(base, due, now) {
        Some(Progress::Running(reason)) => Err(Decision::without_calls(Outcome::Wait, reason)),
        Some(Progress::TimedOut(reason)) => Ok(Some(reason)),
        None => Ok(None),
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
    let mut request = revise(base.answer, &intent.images()).map_err(|error| {
        Decision::needs(
            "DescribeTaskDefinition",
            Reason::new(Code::FactsMissing, error.to_string()),
        )
    })?;
    intent.side.apply(&mut request);
    let mut actions = vec![Action::RegisterTaskDefinition { request }];
    if base.service.is_some() {
        actions.push(update(TaskDefinition::Registered {
            base: base.arn.to_owned(),
        }));
    }
    Ok(actions)
}

/// The revision that is registered for just this rollout, and when the rollout began. A family has no second call that
/// could be missing.
fn resumed(memory: &Memory, intent: &Intent, base: &Base<'_>) -> Option<(String, Timestamp)> {
    base.service?;
    let known = memory
        .intent
        .as_ref()
        .filter(|k| k.digests == intent.digests && k.side == intent.side && k.base == intent.base)?;
    Some((known.registered.clone()?, known.at))
}

fn refused(memory: &Memory, intent: &Intent, base: &Base<'_>) -> Option<Reason> {
    let refusal = memory
        .refused
        .as_ref()
        .filter(|r| r.digests == intent.digests && r.side == intent.side && r.base == base.arn)?;
    let message = format!(
        "{} was made of {} and differs in more than was asked for: {}; the service was not sent to it",
        short(&refusal.revision),
        base.short(),
        refusal.differences.join(", ")
    );
    Some(Reason::new(Code::RevisionDiffers, message))
}

enum Progress {
    Running(Reason),
    TimedOut(Reason),
}

/// The deployment that is in the way. One at a time: while one runs or rolls back, a second leaves ECS's circuit breaker
/// without a completed deployment to go back to (ECS developer guide, "How the deployment circuit breaker works").
///
/// The rules of one revision wait as long as the most patient of them says; the side container alone as long as a rule that
/// says nothing.
fn in_progress(base: &Base<'_>, due: &[Due], now: Timestamp) -> Option<Progress> {
    let patience = due.iter().map(|d| d.timeout).max();
    let timeout = patience.unwrap_or_else(|| Rollback::default().timeout.duration());
    let deployment = base.service?.in_progress()?;
    let since = deployment
        .created_at
        .map_or_else(String::new, |at| format!(" since {at}"));
    let running = format!(
        "deployment {} of {} is in progress{since}",
        deployment.id,
        short(&deployment.task_definition)
    );
    let age = deployment
        .created_at
        .and_then(|at| Duration::try_from(now.duration_since(at)).ok());
    if age.is_some_and(|age| age > timeout) {
        let message = format!(
            "{running}, longer than the {} s of `rollback.timeout`: nothing waits for it",
            timeout.as_secs()
        );
        return Some(Progress::TimedOut(Reason::new(Code::DeploymentTimedOut, message)));
    }
    let mut waiting: Vec<_> = due.iter().map(|d| d.name.as_str()).collect();
    if waiting.is_empty() {
        waiting.push("the side container");
    }
    let message = format!("{running}: {} waits", waiting.join(", "));
    Some(Progress::Running(Reason::new(Code::DeploymentInProgress, message)))
}

#[cfg(test)]
mod tests;
