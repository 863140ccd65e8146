//! The decision and its report.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::bounds::{bounds, differ};
use super::choose::{Chosen, Held, Look};
use super::hold::{self, Deploying};
use super::standing::{Standing, stand};
use super::wish::{self, Heard, Voice, hear};
use super::{Action, Decided, Facts, InForce, Intent, Memory, history, tasks};
use crate::config::Rule;
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason};
use crate::service::ServiceFacts;

const DESCRIBE_SERVICES: &str = "DescribeServices";

/// Decides what becomes of a service's count.
#[must_use = "a decision that nobody applies changes nothing, and a memory that nobody stores is lost"]
pub fn decide(facts: &Facts, now: Timestamp) -> Decided {
    if facts.scalable == Known::Yes(true) {
        let message = format!(
            "Application Auto Scaling has a scalable target for service {}: deregister it, or take `scaling` out here",
            facts.target
        );
        return ignored(facts, Code::ManagedByApplicationAutoScaling, message);
    }
    let force = bounds(&facts.scaling, facts.overridden, now);
    let Known::Yes(found) = &facts.service else {
        return without_service(facts, &force, now);
    };
    let Some(service) = found.as_ref().filter(|service| service.is_active()) else {
        let message = match found {
            Some(service) => format!(
                "service {} is {}: create it anew, or take its `scaling` out",
                facts.target, service.status
            ),
            None => format!(
                "service {} does not exist: create it, or take its `scaling` out",
                facts.target
            ),
        };
        return ignored(facts, Code::ServiceNotFound, message);
    };
    match stand(facts, service, force.bounds, now) {
        Standing::Repeat(intent) => repeat(facts, service, intent, now),
        Standing::Count(count) => {
            let heard = hear(facts, &count.memory, force.bounds, now);
            choose(&Look {
                facts,
                service,
                heard: &heard,
                count: &count,
                force: &force,
                now,
            })
        }
    }
}

fn ignored(facts: &Facts, code: Code, message: String) -> Decided {
    Decided {
        decision: Decision::without_calls(Outcome::Ignore, Reason::new(code, message)),
        memory: facts.memory.clone(),
        intent: None,
    }
}

/// Where the count is known: what every rule says, then what comes of it.
fn choose(look: &Look<'_>) -> Decided {
    let (facts, base) = (look.facts, look.count.base);
    let mut memory = remembered(look);
    let mut reasons = look.count.reasons.clone();
    reasons.extend(look.force.problems.iter().cloned());
    reasons.extend(look.heard.iter().map(|heard| rule_reason(&heard.voice, base)));
    match look.choose(&mut memory) {
        Ok(Chosen {
            intent,
            because,
            code,
            notes,
        }) => {
            memory.used.retain(|alarm, _| names(facts, alarm));
            let because = because.map_or_else(String::new, |because| format!(": {because}"));
            let message = format!(
                "service {} goes from {base} to {}{because}",
                facts.target,
                tasks(intent.to)
            );
            reasons.extend(notes);
            reasons.push(Reason::new(code, message));
            let mut decision = Decision::of(vec![action(facts, intent.to)], reasons);
            decision.missing = missing(look.heard);
            Decided {
                decision,
                memory,
                intent: Some(intent),
            }
        }
        Err(Held(outcome, held)) => {
            reasons.extend(held);
            let decision = nothing(facts, look.heard, outcome, reasons);
            Decided {
                decision,
                memory,
                intent: None,
            }
        }
    }
}

/// What is remembered of this look, whatever it comes to.
fn remembered(look: &Look<'_>) -> Memory {
    let mut memory = look.count.memory.clone();
    memory.pending = hold::pending(look.service, look.count, look.now);
    memory.idle = wish::idle(look.facts, &memory);
    history::tidy(&mut memory, &look.facts.scaling.limit, look.now);
    memory
}

fn names(facts: &Facts, alarm: &str) -> bool {
    let mut rules = facts.scaling.rules.iter();
    rules.any(|rule| matches!(rule, Rule::Alarm(rule) if rule.alarm == alarm))
}

/// What can be said without the count: the service is looked up only when a rule asks for something, or a change is
/// unfinished.
fn without_service(facts: &Facts, force: &InForce, now: Timestamp) -> Decided {
    let heard = hear(facts, &facts.memory, force.bounds, now);
    let moved = differ(&facts.scaling, &facts.memory, force.bounds);
    let mut needed = moved || facts.memory.intent.is_some();
    let mut reasons = force.problems.clone();
    if moved {
        let Reason { code, message } = &force.why;
        let (min, max) = (force.bounds.min, force.bounds.max);
        let message = format!("the count is to be within {min} and {max}, {message}; it is not known");
        reasons.push(Reason::new(*code, message));
    }
    if let Some(intent) = &facts.memory.intent {
        let message = format!(
            "the change from {} to {} of {} is unfinished",
            intent.from, intent.to, intent.at
        );
        reasons.push(Reason::new(Code::FactsMissing, message));
    }
    for heard in &heard {
        reasons.push(match &heard.voice {
            Voice::Silent(reason) | Voice::Objects(reason) => reason.clone(),
            Voice::Asks(ask) => {
                needed = true;
                let message = format!("{}: the count of service {} is not known", ask.said, facts.target);
                Reason::new(Code::FactsMissing, message)
            }
        });
    }
    let mut decision = nothing(facts, &heard, Outcome::Ignore, reasons);
    if needed {
        decision.outcome = Outcome::Wait;
        decision.missing.insert(0, DESCRIBE_SERVICES);
    }
    Decided {
        decision,
        memory: facts.memory.clone(),
        intent: None,
    }
}

/// No call. Facts that are missing are named, and waited for.
fn nothing(facts: &Facts, heard: &[Heard<'_>], outcome: Outcome, mut reasons: Vec<Reason>) -> Decision<Action> {
    if facts.scaling.rules.is_empty() {
        let message = format!("service {} has bounds, but no rule that moves its count", facts.target);
        reasons.push(Reason::new(Code::NotConfigured, message));
    }
    let missing = missing(heard);
    let outcome = if missing.is_empty() { outcome } else { Outcome::Wait };
    Decision {
        outcome,
        actions: Vec::new(),
        reasons,
        missing,
    }
}

/// The operations that rules need, each once, in the order of the rules.
fn missing(heard: &[Heard<'_>]) -> Vec<&'static str> {
    let mut missing = Vec::new();
    for operation in heard.iter().filter_map(|heard| heard.needs) {
        if !missing.contains(&operation) {
            missing.push(operation);
        }
    }
    missing
}

/// Makes the same call again, with nothing reckoned anew.
fn repeat(facts: &Facts, service: &ServiceFacts, intent: Intent, now: Timestamp) -> Decided {
    let Intent { from, to, at, .. } = intent;
    let mut reasons = vec![Reason::new(
        Code::IntentResumed,
        format!("the change from {from} to {to} of {at} had no effect so far"),
    )];
    let (outcome, actions) = match hold::deployment(facts, service, to > from, now) {
        Deploying::Holds(reason) => {
            reasons.push(reason);
            (Outcome::Wait, Vec::new())
        }
        Deploying::Overdue(reason) => {
            reasons.push(reason);
            (Outcome::Act, vec![action(facts, to)])
        }
        Deploying::No => (Outcome::Act, vec![action(facts, to)]),
    };
    let intent = (outcome == Outcome::Act).then_some(Intent {
        repeated: Some(now),
        ..intent
    });
    let decision = Decision {
        outcome,
        actions,
        reasons,
        missing: Vec::new(),
    };
    Decided {
        decision,
        memory: facts.memory.clone(),
        intent,
    }
}

fn action(facts: &Facts, to: u32) -> Action {
    Action::UpdateService {
        cluster: facts.target.cluster.clone(),
        service: facts.target.name.clone(),
        desired_count: to,
    }
}

/// A rule's part of the report.
fn rule_reason(voice: &Voice<'_>, base: u32) -> Reason {
    match voice {
        Voice::Silent(reason) | Voice::Objects(reason) => reason.clone(),
        Voice::Asks(ask) => {
            let to = ask.of(base);
            let code = match to.cmp(&base) {
                Ordering::Less => Code::ScaleIn,
                Ordering::Equal => ask.content(base),
                Ordering::Greater => Code::ScaleOut,
            };
            let again = ask.used.map(|at| format!(", acted upon at {at}")).unwrap_or_default();
            let there = if base == 1 { "there is" } else { "there are" };
            let message = format!("{}{again}: asks for {}, {there} {base}", ask.said, tasks(to));
            Reason::new(code, message)
        }
    }
}
