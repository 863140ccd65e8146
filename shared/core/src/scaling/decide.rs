//! The decision and its report.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::choose::{Chosen, Held, Look, deployment};
use super::standing::{Standing, stand};
use super::wish::{Heard, Voice, hear};
use super::{Action, Decided, Facts, Intent};
use crate::config::Rule;
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason};
use crate::service::ServiceFacts;

const DESCRIBE_SERVICES: &str = "DescribeServices";
const DESCRIBE_ALARMS: &str = "DescribeAlarms";

/// Decides what becomes of a service's count.
#[must_use = "a decision that nobody applies changes nothing, and a memory that nobody stores is lost"]
pub fn decide(facts: &Facts, now: Timestamp) -> Decided {
    let Known::Yes(found) = &facts.service else {
        return without_service(facts, now);
    };
    let Some(service) = found.as_ref().filter(|service| service.is_active()) else {
        let message = match found {
            Some(service) => format!("service {} is {}", facts.target, service.status),
            None => format!("service {} does not exist", facts.target),
        };
        let decision = Decision::without_calls(Outcome::Ignore, Reason::new(Code::ServiceNotFound, message));
        return Decided {
            decision,
            memory: facts.memory.clone(),
            intent: None,
        };
    };
    match stand(facts, service, now) {
        Standing::Repeat(intent) => repeat(facts, service, intent),
        Standing::Count(count) => {
            let heard = hear(facts, &count.memory, now);
            choose(&Look {
                facts,
                service,
                heard: &heard,
                count: &count,
                now,
            })
        }
    }
}

/// Where the count is known: what every rule says, then what comes of it.
fn choose(look: &Look<'_>) -> Decided {
    let (facts, base) = (look.facts, look.count.base);
    let mut memory = look.count.memory.clone();
    let mut reasons = look.count.reasons.clone();
    reasons.extend(look.heard.iter().map(|heard| rule_reason(&heard.voice, base)));
    match look.choose() {
        Ok(Chosen { intent, bound }) => {
            memory.used.retain(|alarm, _| names(facts, alarm));
            let code = if intent.to > base {
                Code::ScaleOut
            } else {
                Code::ScaleIn
            };
            let bound = bound.map_or_else(String::new, |bound| format!(": {bound}"));
            let message = format!(
                "service {} goes from {base} to {} tasks{bound}",
                facts.target, intent.to
            );
            reasons.push(Reason::new(code, message));
            let mut decision = Decision::of(vec![action(facts, intent.to)], reasons);
            decision.missing = missing(look.heard);
            Decided {
                decision,
                memory,
                intent: Some(intent),
            }
        }
        Err(Held(outcome, reason)) => {
            reasons.extend(reason);
            let decision = nothing(facts, look.heard, outcome, reasons);
            Decided {
                decision,
                memory,
                intent: None,
            }
        }
    }
}

fn names(facts: &Facts, alarm: &str) -> bool {
    let mut rules = facts.scaling.rules.iter();
    rules.any(|rule| matches!(rule, Rule::Alarm(rule) if rule.alarm == alarm))
}

/// What can be said without the count: the service is looked up only when a rule asks for something, or a change is
/// unfinished.
fn without_service(facts: &Facts, now: Timestamp) -> Decided {
    let heard = hear(facts, &facts.memory, now);
    let mut needed = facts.memory.intent.is_some();
    let mut reasons = Vec::new();
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

fn missing(heard: &[Heard<'_>]) -> Vec<&'static str> {
    let describe = heard.iter().any(|heard| heard.describe);
    describe.then_some(DESCRIBE_ALARMS).into_iter().collect()
}

/// Makes the same call again, with nothing reckoned anew.
fn repeat(facts: &Facts, service: &ServiceFacts, intent: Intent) -> Decided {
    let Intent { from, to, at, .. } = intent;
    let mut reasons = vec![Reason::new(
        Code::IntentResumed,
        format!("the change from {from} to {to} of {at} had no effect so far"),
    )];
    let (outcome, actions) = match deployment(facts, service, to > from) {
        Some(reason) => {
            reasons.push(reason);
            (Outcome::Wait, Vec::new())
        }
        None => (Outcome::Act, vec![action(facts, to)]),
    };
    let intent = (outcome == Outcome::Act).then_some(intent);
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
                Ordering::Equal => Code::AlreadyAtDesiredCapacity,
                Ordering::Greater => Code::ScaleOut,
            };
            let again = ask.used.map(|at| format!(", acted upon at {at}")).unwrap_or_default();
            Reason::new(
                code,
                format!("{}{again}: asks for {to} tasks, there are {base}", ask.said),
            )
        }
    }
}
