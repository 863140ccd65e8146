//! Spot has no room for the tasks of a service: they run elsewhere meanwhile, and come back.
//!
//! Spot is short while the service lacks tasks, and ECS says that it finds no place for them: by the service's own events, or
//! by `SERVICE_TASK_PLACEMENT_FAILURE` ([`Memory::hear`]). What then happens is one of two: another service takes as many as
//! the first lacks (`twin`), or the service itself changes its capacity provider strategy (`strategy`).
//!
//! The caller holds the service's lease, stores [`Decided::memory`] before the call, and calls.

mod strategy;
mod twin;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::market::{self, OnSpot};
use super::{AutoScalingGroup, CapacityProvider};
use crate::config::{Fallback, Span, SpotFallback, StrategyItem};
use crate::guard::Removes;
use crate::ids::Target;
use crate::known::Known;
use crate::report::{Code, Decision, Effect, Outcome, Reason, counted};
use crate::service::ServiceFacts;

pub use strategy::Switched;

/// What is remembered of a service and its fallback: an attribute of the service's item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Memory {
    /// When ECS last sent an event that it finds no place; forgotten once the service lacks no task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<Timestamp>,
    /// Since when Spot is short of more tasks than run elsewhere, and of how many at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short: Option<Lasting>,
    /// Since when more tasks run elsewhere than Spot is short of, and of how many it was at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back: Option<Lasting>,
    /// Since when tasks run in the twin because of us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub twin: Option<Timestamp>,
    /// That the service was put on another strategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switched: Option<Switched>,
}

/// Something that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lasting {
    /// Since when.
    pub since: Timestamp,
    /// How many tasks it was of, all that time.
    pub tasks: u32,
}

impl Lasting {
    /// Whether it lasts for so long.
    fn has_lasted(self, span: Span, now: Timestamp) -> bool {
        now.duration_since(self.since) >= length(span)
    }
}

impl Memory {
    /// ECS sent an event that it finds no place for a task of the service, for lack of Fargate's or of instances' resources.
    pub fn hear(&mut self, at: Timestamp) {
        self.heard = self.heard.max(Some(at));
    }

    /// Whether the service is to be looked at again soon, though nothing may tell of it.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        *self != Self::default()
    }

    /// Takes down for how many tasks Spot is short beyond those that run elsewhere.
    fn is_short_of(&mut self, tasks: u32, elsewhere: u32, now: Timestamp) -> Lasting {
        self.back = None;
        let known = self.short.filter(|short| short.tasks > elsewhere);
        let short = Lasting {
            since: known.map_or(now, |short| short.since),
            tasks: known.map_or(tasks, |short| short.tasks.min(tasks)),
        };
        self.short = Some(short);
        short
    }

    /// Takes down that more run elsewhere than Spot is short of.
    fn has_room_for_all_but(&mut self, tasks: u32, elsewhere: u32, now: Timestamp) -> Lasting {
        self.short = None;
        let known = self.back.filter(|back| back.tasks < elsewhere);
        let back = Lasting {
            since: known.map_or(now, |back| back.since),
            tasks: known.map_or(tasks, |back| back.tasks.max(tasks)),
        };
        self.back = Some(back);
        back
    }
}

/// What [`decide()`] looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    /// The service on Spot.
    pub target: &'a Target,
    /// The configuration.
    pub rule: &'a SpotFallback,
    /// The service, `None` when ECS does not know it.
    pub service: Known<Option<ServiceFacts>>,
    /// The capacity providers that [`market::asked`] names for its strategy, by name. Looked at only while it is short.
    pub providers: Known<BTreeMap<String, CapacityProvider>>,
    /// Their Auto Scaling groups, by name. Looked at only while it is short.
    pub groups: Known<BTreeMap<String, AutoScalingGroup>>,
    /// Its twin, where the configuration names one; `None` when ECS does not know it.
    pub twin: Known<Option<ServiceFacts>>,
    /// Whether delivery has a rollout of the service under way.
    pub delivering: bool,
    /// What is remembered.
    pub memory: &'a Memory,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The twin is to have so many tasks.
    SetDesiredCount {
        /// The twin.
        service: Target,
        /// How many.
        count: u32,
    },
    /// The service is to use this capacity provider strategy, in a new deployment: without one its tasks stay where they are
    /// (ECS API reference, `UpdateService`).
    SetStrategy {
        /// The service.
        service: Target,
        /// The strategy.
        strategy: Vec<StrategyItem>,
    },
}

impl Effect for Action {
    fn call(&self) -> &'static str {
        "UpdateService"
    }

    fn input(&self) -> Value {
        match self {
            Self::SetDesiredCount { service, count } => {
                json!({ "cluster": service.cluster, "service": service.name, "desiredCount": count })
            }
            Self::SetStrategy { service, strategy } => {
                let item = |item: &StrategyItem| {
                    json!({
                        "capacityProvider": item.capacity_provider,
                        "weight": item.weight.unwrap_or_default(),
                        "base": item.base.unwrap_or_default(),
                    })
                };
                json!({
                    "cluster": service.cluster,
                    "service": service.name,
                    "capacityProviderStrategy": strategy.iter().map(item).collect::<Vec<_>>(),
                    "forceNewDeployment": true,
                })
            }
        }
    }
}

/// Nothing of ours is taken away.
impl Removes for Action {}

/// What [`decide()`] says.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that nobody applies changes nothing, and a memory that nobody stores is lost"]
pub struct Decided {
    /// The call to make, and why, or why not.
    pub decision: Decision<Action>,
    /// What is remembered: store it before the call is made.
    pub memory: Memory,
}

/// Whether tasks are to run elsewhere, or to come back.
pub fn decide(facts: &Facts<'_>, now: Timestamp) -> Decided {
    let mut memory = facts.memory.clone();
    let decision = match look(facts, &mut memory) {
        Err(decision) => decision,
        Ok(look) => match &facts.rule.fallback {
            Fallback::Twin(name) => twin::decide(facts, &look, name, &mut memory, now),
            Fallback::Strategy(wanted) => strategy::decide(facts, &look, wanted, &mut memory, now),
        },
    };
    Decided { decision, memory }
}

/// The service, and what it lacks.
struct Look<'a> {
    service: &'a ServiceFacts,
    /// How many tasks it lacks.
    lacking: u32,
    /// Whether that is for want of a place.
    short: bool,
}

fn look<'a>(facts: &'a Facts<'_>, memory: &mut Memory) -> Result<Look<'a>, Decision<Action>> {
    let service = active(&facts.service, facts.target)?;
    let lacking = service.desired_count.saturating_sub(service.running_count);
    if lacking == 0 {
        memory.heard = None;
    }
    let said = service
        .unplaceable
        .as_ref()
        .is_some_and(|said| lacks_place(&said.message));
    Ok(Look {
        service,
        lacking,
        short: lacking > 0 && (said || memory.heard.is_some()),
    })
}

/// Whether it is Spot that is short, with what is to be said where that is not known; else why nothing is done. A service that
/// does not run on Spot lacks room of another kind, which other instances would lack, too.
fn of_spot(facts: &Facts<'_>, service: &ServiceFacts) -> Result<String, Decision<Action>> {
    let strategy = service.capacity_provider_strategy.as_slice();
    let unknown = |operation| {
        let message = format!("whether {} runs on Spot is not known", facts.target);
        Decision::needs(operation, Reason::new(Code::FactsMissing, message))
    };
    let empty = (BTreeMap::new(), BTreeMap::new());
    let providers = match &facts.providers {
        Known::Yes(providers) => providers,
        Known::No if market::asked(strategy).is_empty() => &empty.0,
        Known::No => return Err(unknown("DescribeCapacityProviders")),
    };
    let groups = match &facts.groups {
        Known::Yes(groups) => groups,
        Known::No => &empty.1,
    };
    match market::on_spot(strategy, providers, groups) {
        OnSpot::Yes => Ok(String::new()),
        OnSpot::No => {
            let names: Vec<_> = strategy.iter().map(|item| item.capacity_provider.as_str()).collect();
            let on = if names.is_empty() {
                "it has no capacity provider strategy".to_owned()
            } else {
                format!("its capacity provider strategy is {}", names.join(", "))
            };
            let message = format!(
                "{} finds no place for tasks, but does not run on Spot: {on}",
                facts.target
            );
            Err(ignore(Code::NotOnSpot, message))
        }
        OnSpot::Maybe(names) => {
            let has_group = |name: &String| providers.get(name).is_some_and(|one| one.auto_scaling_group.is_some());
            if facts.groups == Known::No && names.iter().any(has_group) {
                return Err(unknown("DescribeAutoScalingGroups"));
            }
            let names = names.join(", ");
            Ok(format!(
                " (whether {names} is Spot cannot be told, so it counts as Spot)"
            ))
        }
    }
}

/// Whether a service event says that there is no place, and not that tasks fail to start for their own sake (ECS developer
/// guide, "Amazon ECS service event messages").
fn lacks_place(message: &str) -> bool {
    let message = message.to_lowercase();
    let words = ["capacity is unavailable", "no container instance", "insufficient"];
    words.iter().any(|words| message.contains(words))
}

fn active<'a>(known: &'a Known<Option<ServiceFacts>>, target: &Target) -> Result<&'a ServiceFacts, Decision<Action>> {
    match known {
        Known::No => {
            let message = format!("what {target} lacks is not known");
            Err(Decision::needs(
                "DescribeServices",
                Reason::new(Code::FactsMissing, message),
            ))
        }
        Known::Yes(Some(service)) if service.is_active() => Ok(service),
        Known::Yes(_) => Err(ignore(
            Code::ServiceNotFound,
            format!("ECS knows no ACTIVE service {target}"),
        )),
    }
}

/// The decision while nothing is lacking and nothing runs elsewhere.
fn at_rest(target: &Target, lacking: u32) -> Decision<Action> {
    let message = match lacking {
        0 => format!("every task of {target} runs"),
        _ => format!(
            "{target} lacks {}, but not for want of a place",
            counted(lacking, "task")
        ),
    };
    ignore(Code::NothingUnplaced, message)
}

fn ignore(code: Code, message: String) -> Decision<Action> {
    Decision::without_calls(Outcome::Ignore, Reason::new(code, message))
}

fn wait(code: Code, message: String) -> Decision<Action> {
    Decision::without_calls(Outcome::Wait, Reason::new(code, message))
}

fn act(action: Action, code: Code, message: String) -> Decision<Action> {
    Decision::of(vec![action], vec![Reason::new(code, message)])
}

fn length(span: Span) -> SignedDuration {
    SignedDuration::try_from(span.duration()).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
