//! The rollout that ECS carries out: what a look at it leads to.

use std::time::Duration;

use super::action::{Action, TaskDefinition};
use super::decide::{Calls, Look};
use super::notice::Stage;
use super::rule_key;
use super::standing::short;
use super::watch::{Course, Ending, Watched};
use crate::capacity::crash::sentence;
use crate::config::Rollback;
use crate::ids::same_revision;
use crate::report::{Code, Outcome, Reason};
use crate::service::ServiceFacts;

/// Looks at the rollout that is watched, if there is one: the calls that end it, when it has failed and the service is still
/// on its revision.
pub(super) fn follow(look: &mut Look<'_>) -> Option<Calls> {
    let service = look.base.service?;
    let Some(watched) = look.memory.watched.clone() else {
        return relapse(look, service);
    };
    let patience = patience(look, &watched, service);
    match watched.course(service, &look.facts.stops, patience, look.now) {
        Course::Running(why) => match &watched.ending {
            None => {
                look.others
                    .push((Outcome::Wait, Reason::new(Code::RolloutInProgress, why)));
                None
            }
            Some(ending) => end(look, &watched, ending.clone()),
        },
        Course::Succeeded => match &watched.ending {
            None => {
                succeeded(look, &watched);
                None
            }
            // It was given up, and that was told: what comes up late goes all the same.
            Some(ending) => end(look, &watched, ending.clone()),
        },
        Course::Stuck(code, why) => stuck(look, &watched, code, &why),
        Course::Failed(why) => {
            failed(look, &watched, &why);
            over(look, &watched, Stage::Failed, Code::RolloutFailed, &why);
            None
        }
        Course::Superseded(why) => {
            over(look, &watched, Stage::Superseded, Code::Superseded, &why);
            None
        }
    }
}

/// How long the rollout may take: as the most patient of its rules says, and what the service's own deployment
/// configuration makes a healthy deployment last.
fn patience(look: &Look<'_>, watched: &Watched, service: &ServiceFacts) -> Duration {
    let rules = look.facts.rules.iter();
    let own = rules.filter(|rule| watched.wishes.contains_key(&rule_key(rule)));
    let timeout = own.map(|rule| rule.rollback.timeout.duration()).max();
    timeout.unwrap_or_else(|| Rollback::default().timeout.duration()) + service.deployment_patience
}

/// Looks at the rollout that came up last, for as long as it might have taken: what does not stay up has failed after all.
fn relapse(look: &mut Look<'_>, service: &ServiceFacts) -> Option<Calls> {
    let fresh = look.memory.fresh.clone()?;
    let known = look.facts.relapse();
    let age = look
        .memory
        .past
        .last()
        .map(|past| look.now.duration_since(past.at).unsigned_abs());
    let too_late = age.is_none_or(|age| age > patience(look, &fresh, service));
    if too_late || !same_revision(&service.task_definition, &fresh.to) {
        look.memory.fresh = None;
        return None;
    }
    let why = sentence(short(&fresh.to), known?);
    look.memory.fresh = None;
    look.memory.proved.retain(|_, proof| proof.revision != fresh.to);
    stuck(look, &fresh, Code::CrashLoop, &why)
}

fn succeeded(look: &mut Look<'_>, watched: &Watched) {
    look.memory.prove(&watched.wishes, &watched.to, look.now);
    let changed = watched.changes.iter().map(|c| (c.name.clone(), c.to.clone()));
    look.published.extend(changed);
    let took = look.now.duration_since(watched.at).as_secs();
    let why = format!(
        "every wanted task runs {}, {took} s after the rollout began",
        short(&watched.to)
    );
    over(look, watched, Stage::Succeeded, Code::RolloutSucceeded, &why);
    // From where a person asked to go there is no better one.
    look.memory.fresh = Some(watched.clone()).filter(|watched| watched.back.is_none());
}

/// The images are not rolled out again.
fn failed(look: &mut Look<'_>, watched: &Watched, why: &str) {
    for wish in watched.wishes.values() {
        look.memory.quarantine(wish, &watched.to, why, look.now);
    }
}

fn over(look: &mut Look<'_>, watched: &Watched, stage: Stage, code: Code, why: &str) {
    let notice = watched.end(&mut look.memory, &look.facts.target, stage, why, look.now);
    look.notices.extend(notice);
    look.memory.watched = None;
    look.others.push((Outcome::Ignore, Reason::new(code, why)));
}

fn stuck(look: &mut Look<'_>, watched: &Watched, code: Code, why: &str) -> Option<Calls> {
    if let Some(ending) = &watched.ending {
        return end(look, watched, ending.clone());
    }
    if watched.back.is_some() {
        // There is no better revision that it could go back to by itself.
        over(look, watched, Stage::Failed, code, why);
        return None;
    }
    failed(look, watched, why);
    look.others.push((Outcome::Ignore, Reason::new(code, why)));
    let notice = watched.notice(&look.facts.target, Stage::Failed, why, look.now);
    look.notices.push(notice);
    let ending = Ending {
        why: why.to_owned(),
        since: look.now,
        called: None,
        refused: false,
    };
    end(look, watched, ending)
}

/// The call that ends it, unless one was made a moment ago. ECS rolls its deployment back when it is asked to stop; where it
/// has none, or refuses, the service is sent to the revision before.
fn end(look: &mut Look<'_>, watched: &Watched, mut ending: Ending) -> Option<Calls> {
    let service = look.base.service?;
    let target = &look.facts.target;
    let back = format!("{target} goes back to {}: {}", short(&watched.from), ending.why);
    if !ending.is_due(look.now) || look.facts.paced.is_some() {
        look.others.push((Outcome::Wait, Reason::new(Code::RollingBack, back)));
        look.memory.watched = Some(watched.with(ending));
        return None;
    }
    let stop = service
        .current_service_deployment
        .clone()
        .filter(|_| ending.called.is_none() && !ending.refused);
    let action = match stop {
        Some(arn) => Action::StopServiceDeployment { arn },
        None => Action::UpdateService {
            cluster: target.cluster.clone(),
            service: target.name.clone(),
            task_definition: TaskDefinition::Arn(watched.from.clone()),
            volumes: None,
        },
    };
    ending.called = Some(look.now);
    look.memory.watched = Some(watched.with(ending));
    Some(Calls {
        actions: vec![action],
        reasons: vec![Reason::new(Code::RollingBack, back)],
        intent: None,
    })
}
