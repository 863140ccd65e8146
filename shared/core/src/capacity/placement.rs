//! Tasks find no place: the Auto Scaling group that the configuration names grows, where no capacity provider grows it.
//!
//! | what is found | code | outcome |
//! |---|---|---|
//! | no task lacks a place, or not one that an instance would give | `NothingUnplaced` | ignore |
//! | the tasks' capacity provider has managed scaling | `ManagedScaling` | ignore |
//! | the group is not known | `FactsMissing` | wait |
//! | there is no such group | `GroupNotFound` | ignore |
//! | a raise was begun, and the group does not show it | `IntentResumed` | act, with the same number |
//! | the last raise is younger than `cooldown` | `Cooldown` | wait |
//! | the group has `max` instances, or its own greatest size | `AlreadyAtMaxCapacity` | ignore |
//! | otherwise | `CapacityRaised` | act |
//!
//! The caller holds the cluster's lease, stores [`Decided::memory`] before the call, and after it the same once
//! [`Memory::made`]. The number is absolute and in the intent, so a crash between the two leads to one raise: whoever comes
//! next finds the group at that number, or makes the same call again.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::AutoScalingGroup;
use crate::config::Placement;
use crate::guard::Removes;
use crate::known::Known;
use crate::report::{Code, Decision, Effect, Outcome, Reason, counted};

/// That the tasks of a service find no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaced {
    /// `cluster/service`.
    pub service: String,
    /// What they lack: the `reason` of `SERVICE_TASK_PLACEMENT_FAILURE`, as `RESOURCE:CPU`, or the message of the service's
    /// event.
    pub reason: String,
    /// Whether ECS moves the desired capacity of the group itself for them.
    pub managed_scaling: bool,
}

impl Unplaced {
    /// Whether one more instance would help. Fargate has none; what else is lacking is an agent that is connected, or an
    /// instance with some attribute, of which nobody knows whether the group makes any (ECS developer guide, "Amazon ECS
    /// service action events" and "service event messages").
    #[must_use]
    pub fn lacks_instances(&self) -> bool {
        let reason = self.reason.to_lowercase();
        if let Some(resource) = reason.strip_prefix("resource:") {
            return resource != "fargate";
        }
        let lacks = [
            "insufficient",
            "doesn't have enough",
            "already using a port",
            "no container instances were found",
        ];
        lacks.iter().any(|words| reason.contains(words))
    }
}

/// What is remembered of the raises of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Memory {
    /// A raise that was begun: whether its call was made shows in the group's desired capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Raise>,
    /// The last raise that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Raise>,
}

/// More instances are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Raise {
    /// The group's name.
    pub group: String,
    /// The desired capacity before.
    pub from: u32,
    /// The desired capacity after.
    pub to: u32,
    /// When it was decided.
    pub at: Timestamp,
}

impl Memory {
    /// The call was made.
    pub fn made(&mut self) {
        self.last = self.intent.take().or_else(|| self.last.take());
    }
}

/// What [`decide()`] looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    /// The configuration.
    pub rule: &'a Placement,
    /// The services whose tasks find no place now.
    pub unplaced: &'a [Unplaced],
    /// The group, `None` when there is none of the name.
    pub group: Known<Option<AutoScalingGroup>>,
    /// What is remembered.
    pub memory: &'a Memory,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The group is to have so many instances.
    SetDesiredCapacity {
        /// Its name.
        group: String,
        /// How many.
        desired: u32,
    },
}

impl Effect for Action {
    fn call(&self) -> &'static str {
        "SetDesiredCapacity"
    }

    fn input(&self) -> Value {
        let Self::SetDesiredCapacity { group, desired } = self;
        json!({ "AutoScalingGroupName": group, "DesiredCapacity": desired, "HonorCooldown": false })
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

/// Whether the group is to grow, and to how many instances.
pub fn decide(facts: &Facts<'_>, now: Timestamp) -> Decided {
    let mut memory = facts.memory.clone();
    let decision = raise(facts, &mut memory, now).unwrap_or_else(|decision| decision);
    Decided { decision, memory }
}

fn raise(facts: &Facts<'_>, memory: &mut Memory, now: Timestamp) -> Result<Decision<Action>, Decision<Action>> {
    let rule = facts.rule;
    let name = &rule.auto_scaling_group;
    // One that was begun for another group is not gone on with.
    memory.intent.take_if(|intent| intent.group != *name);
    let needed = needed(facts);
    let group = match &facts.group {
        Known::Yes(group) => group.as_ref(),
        Known::No if needed.is_ok() || memory.intent.is_some() => {
            let message = format!("how many instances Auto Scaling group {name} has is not known");
            return Err(Decision::needs(
                "DescribeAutoScalingGroups",
                Reason::new(Code::FactsMissing, message),
            ));
        }
        Known::No => None,
    };
    if let (Some(intent), Some(group)) = (&memory.intent, group)
        && group.desired_capacity >= intent.to
    {
        memory.made();
    }
    let lacking = needed?;
    let Some(group) = group else {
        return Err(ignore(
            Code::GroupNotFound,
            format!("there is no Auto Scaling group {name}"),
        ));
    };
    let most = rule.max.min(group.max_size);
    if let Some(resumed) = resume(group, most, memory, now) {
        return Ok(resumed);
    }
    let cooldown = SignedDuration::try_from(rule.cooldown.duration()).unwrap_or(SignedDuration::MAX);
    if let Some(last) = memory.last.as_ref().filter(|last| last.group == *name)
        && now.duration_since(last.at) < cooldown
    {
        let message = format!(
            "{lacking}: {name} was raised to {} at {}, and `cooldown` is not over",
            last.to, last.at
        );
        return Err(Decision::without_calls(
            Outcome::Wait,
            Reason::new(Code::Cooldown, message),
        ));
    }
    let from = group.desired_capacity;
    let to = from.saturating_add(rule.add.get()).min(most);
    if to <= from {
        let message = format!("{lacking}: {name} has {from} of {}", counted(most, "instance"));
        return Err(ignore(Code::AlreadyAtMaxCapacity, message));
    }
    memory.intent = Some(Raise {
        group: name.clone(),
        from,
        to,
        at: now,
    });
    let message = format!("{lacking}: {name} goes from {from} to {}", counted(to, "instance"));
    Ok(set(to, name, Reason::new(Code::CapacityRaised, message)))
}

/// The raise that was begun and whose call was not made, as far as the group shows.
fn resume(group: &AutoScalingGroup, most: u32, memory: &mut Memory, now: Timestamp) -> Option<Decision<Action>> {
    let intent = memory.intent.as_mut()?;
    if intent.from != group.desired_capacity || intent.to > most {
        // Someone else moved the group meanwhile. The call may have been made, so its cooldown holds.
        memory.made();
        return None;
    }
    let message = format!(
        "the raise of {} to {} that began at {} goes on",
        group.name, intent.to, intent.at
    );
    // The cooldown counts from the call.
    intent.at = now;
    Some(set(intent.to, &intent.group, Reason::new(Code::IntentResumed, message)))
}

/// Who lacks a place that an instance would give, as half a sentence; else why nothing is done.
fn needed(facts: &Facts<'_>) -> Result<String, Decision<Action>> {
    let lacking: Vec<_> = facts.unplaced.iter().filter(|one| one.lacks_instances()).collect();
    if let Some(one) = lacking.iter().find(|one| !one.managed_scaling) {
        return Ok(format!("tasks of {} find no place ({})", one.service, one.reason));
    }
    if let Some(one) = lacking.first() {
        let message = format!("tasks of {} find no place; ECS moves their group itself", one.service);
        return Err(ignore(Code::ManagedScaling, message));
    }
    let message = match facts.unplaced.first() {
        Some(one) => format!("tasks of {} lack what no instance gives: {}", one.service, one.reason),
        None => "no task is known to lack a place".to_owned(),
    };
    Err(ignore(Code::NothingUnplaced, message))
}

fn set(desired: u32, group: &str, reason: Reason) -> Decision<Action> {
    let action = Action::SetDesiredCapacity {
        group: group.to_owned(),
        desired,
    };
    Decision::of(vec![action], vec![reason])
}

fn ignore(code: Code, message: String) -> Decision<Action> {
    Decision::without_calls(Outcome::Ignore, Reason::new(code, message))
}

#[cfg(test)]
mod tests;
