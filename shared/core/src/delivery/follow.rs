//! What runs tasks of a family on a schedule, and moves to its new revision: targets of EventBridge rules and schedules of
//! EventBridge Scheduler.
//!
//! Both pin a revision, and both are replaced as a whole when they are changed (EventBridge API reference, `PutTargets`;
//! EventBridge Scheduler API reference, `UpdateSchedule`: what is left out gets its default). So the raw answer goes back
//! with one ARN changed, numbers as they were written and fields that nobody here knows. Times are numbers in the answer
//! and in the request.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ids::{Arn, TaskDefinitionRef};

/// A target of a rule, or a schedule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Follower {
    /// A target of an EventBridge rule.
    Rule {
        /// The event bus. Rules with a schedule are on `default`.
        bus: String,
        /// The rule's name.
        rule: String,
        /// The target's id within the rule.
        id: String,
    },
    /// A schedule of EventBridge Scheduler.
    Schedule {
        /// The schedule group.
        group: String,
        /// The schedule's name.
        name: String,
    },
}

impl fmt::Display for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { bus, rule, id } if bus == "default" => write!(f, "target {id} of rule {rule}"),
            Self::Rule { bus, rule, id } => write!(f, "target {id} of rule {rule} on bus {bus}"),
            Self::Schedule { group, name } => write!(f, "schedule {group}/{name}"),
        }
    }
}

/// The call that moves a follower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Who moves.
    pub follower: Follower,
    /// The revision that it runs now, its ARN.
    pub from: String,
    /// The revision that it is to run, its ARN.
    pub to: String,
    /// The request: of `PutTargets` for a rule, of `UpdateSchedule` for a schedule.
    pub input: Value,
}

impl Move {
    /// The AWS operation.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self.follower {
            Follower::Rule { .. } => "PutTargets",
            Follower::Schedule { .. } => "UpdateSchedule",
        }
    }
}

/// What becomes of a follower when its family has a new revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// It moves.
    Moves(Box<Move>),
    /// It runs that revision already.
    There,
    /// It names the family without a revision, and so runs the newest by itself.
    ByItself,
    /// It runs a newer revision, this one: someone else moved it.
    Newer(String),
    /// It runs no task of this family in this cluster.
    Other,
}

/// What only the answer of `GetSchedule` has.
const READ_ONLY: [&str; 3] = ["Arn", "CreationDate", "LastModificationDate"];

/// What becomes of a follower: `raw` is its target as `ListTargetsByRule` answers it, or the answer of `GetSchedule`;
/// `revision` is the ARN of the new one.
#[must_use]
pub fn follow(follower: &Follower, raw: &Value, cluster_arn: &str, revision: &str) -> Follow {
    let target = match follower {
        Follower::Rule { .. } => Some(raw),
        Follower::Schedule { .. } => raw.get("Target"),
    };
    let text = |pointer: &str| target.and_then(|t| t.pointer(pointer)).and_then(Value::as_str);
    let (Some(from), Some(to)) = (text(DEFINITION), pinned(revision)) else {
        return Follow::Other;
    };
    if text("/Arn") != Some(cluster_arn) || place(from) != place(revision) {
        return Follow::Other;
    }
    match pinned(from) {
        None if from.rsplit('/').next() == Some(to.family) => Follow::ByItself,
        Some(now) if now.family == to.family && now.revision == to.revision => Follow::There,
        Some(now) if now.family == to.family && now.revision > to.revision => Follow::Newer(from.to_owned()),
        Some(now) if now.family == to.family => Follow::Moves(Box::new(Move {
            follower: follower.clone(),
            from: from.to_owned(),
            to: revision.to_owned(),
            input: input(follower, raw, revision),
        })),
        _ => Follow::Other,
    }
}

const DEFINITION: &str = "/EcsParameters/TaskDefinitionArn";

fn input(follower: &Follower, raw: &Value, revision: &str) -> Value {
    let mut moved = raw.clone();
    let pointer = match follower {
        Follower::Rule { .. } => DEFINITION.to_owned(),
        Follower::Schedule { .. } => format!("/Target{DEFINITION}"),
    };
    if let Some(definition) = moved.pointer_mut(&pointer) {
        *definition = revision.into();
    }
    match follower {
        Follower::Rule { bus, rule, .. } => json!({ "Rule": rule, "EventBusName": bus, "Targets": [moved] }),
        Follower::Schedule { .. } => {
            if let Some(fields) = moved.as_object_mut() {
                fields.retain(|field, _| !READ_ONLY.contains(&field.as_str()));
            }
            moved
        }
    }
}

fn pinned(arn: &str) -> Option<TaskDefinitionRef<'_>> {
    let resource = Arn::parse(arn)?.resource;
    TaskDefinitionRef::parse(resource.strip_prefix("task-definition/")?)
}

/// Partition, Region and account of a task definition's ARN.
fn place(arn: &str) -> Option<(&str, &str, &str)> {
    let arn = Arn::parse(arn).filter(|arn| arn.service == "ecs" && arn.resource.starts_with("task-definition/"))?;
    Some((arn.partition, arn.region, arn.account))
}

#[cfg(test)]
mod tests;
