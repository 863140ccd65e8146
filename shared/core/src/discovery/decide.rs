//! What is to be done for one task.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::endpoint::place;
use super::{Endpoint, Facts, Wanted, wanted};
use crate::guard::{Removal, Removes};
use crate::known::Known;
use crate::report::{Code, Decision, Effect, Outcome, Reason};

/// The request of `DeregisterInstance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeregisterInstance {
    /// The Cloud Map service.
    pub service_id: String,
    /// The instance.
    pub instance_id: String,
}

impl From<&Endpoint> for DeregisterInstance {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            service_id: endpoint.service_id.clone(),
            instance_id: endpoint.instance_id.clone(),
        }
    }
}

/// A call to Cloud Map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// An endpoint joins, or changes: the call replaces all attributes.
    Register(Endpoint),
    /// An endpoint leaves.
    Deregister(DeregisterInstance),
}

impl Effect for Action {
    fn call(&self) -> &'static str {
        match self {
            Self::Register(_) => "RegisterInstance",
            Self::Deregister(_) => "DeregisterInstance",
        }
    }

    fn input(&self) -> Value {
        match self {
            Self::Register(endpoint) => serde_json::to_value(endpoint),
            Self::Deregister(request) => serde_json::to_value(request),
        }
        .unwrap_or_default()
    }
}

impl Removes for Action {
    fn removal(&self) -> Option<Removal<'_>> {
        match self {
            Self::Register(_) => None,
            // The ids come from our own ledger or configuration: the mark was set when it was registered.
            Self::Deregister(request) => Some(Removal {
                from: &request.service_id,
                ours: true,
            }),
        }
    }
}

/// What is to be done for one task: the table in the module's description.
pub fn decide(facts: &Facts) -> Decision<Action> {
    let configured = !facts.managed.stored.config.discovery.is_empty();
    let nothing_known = match &facts.belief {
        Known::Yes(belief) => belief.possible().next().is_none(),
        Known::No => true,
    };
    if !configured && nothing_known {
        let message = format!("{} is configured, but not for discovery", facts.managed.target);
        return Decision::without_calls(Outcome::Ignore, Reason::new(Code::NotConfigured, message));
    }
    if facts.task.is_leaving() {
        return leave(facts);
    }
    if !facts.task.is_running() {
        let message = format!(
            "the task is {}: it joins when it is RUNNING",
            name(facts.task.last_status)
        );
        return Decision::without_calls(Outcome::Wait, Reason::new(Code::TaskStarting, message));
    }
    join(facts)
}

fn leave(facts: &Facts) -> Decision<Action> {
    let (gone, mut reasons) = match &facts.belief {
        Known::Yes(belief) => (belief.possible().map(DeregisterInstance::from).collect(), Vec::new()),
        Known::No if facts.task.started_at.is_none() => (Vec::new(), Vec::new()),
        Known::No => {
            let (mut gone, mut reasons) = (Vec::new(), Vec::new());
            for place in facts
                .managed
                .stored
                .config
                .discovery
                .iter()
                .map(|entry| place(facts, entry))
            {
                match place {
                    Ok(endpoint) => gone.push(DeregisterInstance::from(&endpoint)),
                    Err(reason) => reasons.push(reason),
                }
            }
            (gone, reasons)
        }
    };
    let task = facts.task.task_arn.id();
    if gone.is_empty() && reasons.is_empty() {
        let message = format!("task {task} leaves and had not joined: it will not be let in any more");
        return Decision::without_calls(Outcome::Ignore, Reason::new(Code::NeverJoined, message));
    }
    let sign = if facts.task.last_status.is_leaving() {
        format!("it is {}", name(facts.task.last_status))
    } else {
        "ECS wants it stopped".to_owned()
    };
    let message = format!("task {task} leaves ({sign}): {} endpoint(s) go first", gone.len());
    reasons.insert(0, Reason::new(Code::TaskLeaves, message));
    Decision::of(gone.into_iter().map(Action::Deregister).collect(), reasons)
}

fn join(facts: &Facts) -> Decision<Action> {
    let empty = super::Belief::default();
    let belief = match &facts.belief {
        Known::Yes(belief) => belief,
        Known::No => &empty,
    };
    let (mut actions, mut reasons, mut missing, mut stay) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for answer in wanted(facts) {
        match answer {
            Wanted::Endpoint(endpoint) => {
                let known = belief.possible().find(|e| e.is_same_instance(&endpoint));
                if belief.registered.contains(&endpoint) {
                    reasons.push(Reason::new(
                        Code::AlreadyRegistered,
                        format!("{} is as it should be", endpoint.instance_id),
                    ));
                } else {
                    let (code, verb) = match known {
                        Some(other) if *other != endpoint => (Code::EndpointChanged, "changes"),
                        _ => (Code::TaskJoins, "joins"),
                    };
                    let message = format!("{} {verb} in {}", endpoint.instance_id, registry(facts, &endpoint));
                    reasons.push(Reason::new(code, message));
                    actions.push(Action::Register(endpoint.clone()));
                }
                stay.push(endpoint);
            }
            Wanted::Needs(operation, reason) => {
                missing.push(operation);
                reasons.push(reason);
            }
            Wanted::Nothing(reason) => reasons.push(reason),
        }
    }
    // What an entry wants while a fact is missing is not known: nothing is taken away then.
    let gone = belief
        .possible()
        .filter(|e| missing.is_empty() && !stay.iter().any(|s| s.is_same_instance(e)));
    for endpoint in gone {
        let message = format!(
            "{} is no longer wanted in {}",
            endpoint.instance_id,
            registry(facts, endpoint)
        );
        reasons.push(Reason::new(Code::EndpointChanged, message));
        actions.push(Action::Deregister(endpoint.into()));
    }
    missing.dedup();
    let nothing_stays = stay.is_empty();
    let mut decision = Decision::of(actions, reasons);
    if decision.actions.is_empty() && (!missing.is_empty() || nothing_stays) {
        decision.outcome = Outcome::Wait;
    }
    decision.missing = missing;
    decision
}

/// The registry of an endpoint as people know it: as it is configured, or its id when it no longer is.
fn registry<'a>(facts: &'a Facts, endpoint: &'a Endpoint) -> &'a str {
    let stored = &facts.managed.stored;
    let mut entries = stored.config.discovery.iter();
    let entry = entries.find(|entry| stored.registry(&entry.to) == Some(endpoint.service_id.as_str()));
    entry.map_or(endpoint.service_id.as_str(), |entry| &entry.to)
}

fn name(status: crate::event::TaskStatus) -> String {
    serde_json::to_value(status)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
