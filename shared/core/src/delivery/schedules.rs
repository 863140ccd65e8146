//! The schedules of a family move to its new revision.

use serde_json::Value;

use super::action::Action;
use super::base::Base;
use super::decide::{Calls, Look};
use super::follow::{Follow, follow};
use super::revision::{ContainerImage, containers, task_definition_arn};
use super::standing::short;
use super::{Facts, ImageChange, Memory};
use crate::ids::Arn;
use crate::known::Known;
use crate::report::{Code, Outcome, Reason};

/// The calls that move them; none when each is where it should be, or has to be left alone.
pub(super) fn moves(look: &mut Look<'_>) -> Option<Calls> {
    let revision = look.memory.following.clone()?;
    let Known::Yes(followers) = &look.facts.followers else {
        let message = format!("what runs {} on a schedule is not known", look.facts.target);
        look.others
            .push((Outcome::Wait, Reason::new(Code::FactsMissing, message)));
        return None;
    };
    let cluster = cluster_arn(&revision, &look.facts.target.cluster)?;
    let mut calls = Calls {
        actions: Vec::new(),
        reasons: Vec::new(),
        intent: None,
    };
    for (follower, raw) in followers {
        match follow(follower, raw, &cluster, &revision) {
            Follow::Moves(to) if !look.facts.unmovable.contains(follower) => {
                let message = format!("{follower} moves from {} to {}", short(&to.from), short(&to.to));
                calls.reasons.push(Reason::new(Code::ScheduleFollows, message));
                calls.actions.push(Action::Move(to));
            }
            Follow::Moves(_) => {
                let message = format!("{follower} is managed by an AWS service, and stays as it is");
                let reason = Reason::new(Code::ScheduleLeft, message);
                look.others.push((Outcome::Ignore, reason));
            }
            Follow::Newer(is) => {
                let message = format!("{follower} runs {}, which is newer: it stays", short(&is));
                let reason = Reason::new(Code::ScheduleLeft, message);
                look.others.push((Outcome::Ignore, reason));
            }
            Follow::There | Follow::ByItself | Follow::Other => {}
        }
    }
    if calls.actions.is_empty() {
        look.memory.following = None;
        return None;
    }
    Some(calls)
}

/// The answer of a family's registration was lost: a revision after the one before has just the images that were to be
/// brought out, so it is that one. Nothing else would tell that its schedules are still to move; and should someone have
/// registered another since, the image would go out once more over that.
pub(super) fn recognise(memory: &mut Memory, base: &Base<'_>, facts: &Facts) {
    let Some(intent) = &memory.intent else { return };
    if base.service.is_some() || intent.registered.is_some() || intent.base == base.arn || intent.changes.is_empty() {
        return;
    }
    let is_ours = |containers: &[ContainerImage<'_>]| {
        let has = |change: &ImageChange| {
            let mut its = containers.iter();
            its.any(|c| c.index == change.container && c.image == change.to)
        };
        intent.changes.iter().all(has)
    };
    let earlier = || {
        let active = facts.since.iter().rev().filter(|answer| is_active(answer));
        let mut ours = active.filter(|answer| containers(answer).is_ok_and(|own| is_ours(&own)));
        ours.find_map(task_definition_arn).map(str::to_owned)
    };
    let found = if is_ours(&base.containers) {
        Some(base.arn.to_owned())
    } else {
        earlier()
    };
    if let Some(arn) = found {
        memory.registered(&arn);
    }
}

/// Whether tasks can be started of a revision.
fn is_active(answer: &Value) -> bool {
    answer["taskDefinition"]["status"].as_str().unwrap_or("ACTIVE") == "ACTIVE"
}

/// The ARN of a cluster in the account and Region of a revision.
#[must_use]
pub fn cluster_arn(revision: &str, cluster: &str) -> Option<String> {
    let arn: Arn<'_> = Arn::parse(revision)?;
    Some(format!(
        "arn:{}:ecs:{}:{}:cluster/{cluster}",
        arn.partition, arn.region, arn.account
    ))
}
