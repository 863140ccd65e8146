//! What holds a change back that the rules ask for: a deployment, tasks that are not there yet, tasks that cannot be.

use jiff::{SignedDuration, Timestamp};

use super::Facts;
use super::standing::Count;
use crate::config::DuringDeployment;
use crate::report::{Code, Reason};
use crate::service::ServiceFacts;

/// How long a deployment holds changes back: one that never ends must not hold the count for ever.
const DEPLOYS: SignedDuration = SignedDuration::from_mins(60);

/// How long tasks that do not come up hold more of them back: those that crash over and over must not hold the count
/// for ever.
const PENDING: SignedDuration = SignedDuration::from_mins(5);

/// How long a service event that says that tasks cannot be placed counts. ECS repeats it as long as it is so.
const UNPLACEABLE: SignedDuration = SignedDuration::from_mins(10);

/// What a deployment makes of a change.
pub(super) enum Deploying {
    /// It holds it back.
    Holds(Reason),
    /// It would, but has gone on for too long.
    Overdue(Reason),
    /// There is none, or it may go on beside it.
    No,
}

/// What the deployment in progress, if any, makes of a change to more (`out`) or fewer tasks.
pub(super) fn deployment(facts: &Facts, service: &ServiceFacts, out: bool, now: Timestamp) -> Deploying {
    let stops = match facts.scaling.during_deployment {
        DuringDeployment::OutOnly => !out,
        DuringDeployment::Hold => true,
        DuringDeployment::Free => false,
    };
    let Some(deployment) = service.in_progress().filter(|_| stops) else {
        return Deploying::No;
    };
    let overdue = deployment
        .created_at
        .filter(|begun| now.duration_since(*begun) >= DEPLOYS);
    if let Some(begun) = overdue {
        let message = format!(
            "deployment {} has been in progress since {begun}, more than {} minutes: it holds nothing back any more",
            deployment.id,
            DEPLOYS.as_mins()
        );
        return Deploying::Overdue(Reason::new(Code::DeploymentTimedOut, message));
    }
    let what = if out { "no task is added" } else { "no task is removed" };
    let message = format!("{what} while deployment {} is in progress", deployment.id);
    Deploying::Holds(Reason::new(Code::DeploymentInProgress, message))
}

/// When a deployment that is over was last seen to hold back that tasks are removed: what was measured until then is of
/// tasks of two revisions, more than the count, and says too little.
pub(super) fn deployed(service: &ServiceFacts, count: &Count) -> Option<Timestamp> {
    count.memory.deploying.filter(|_| service.in_progress().is_none())
}

/// Since when fewer tasks run than are wanted. During a deployment the running ones are of two revisions and say nothing.
pub(super) fn pending(service: &ServiceFacts, count: &Count, now: Timestamp) -> Option<Timestamp> {
    let short = service.in_progress().is_none() && service.running_count < count.base;
    short.then(|| count.memory.pending.unwrap_or(now))
}

/// Why no more tasks are added to those that are not there yet.
pub(super) fn unready(facts: &Facts, service: &ServiceFacts, count: &Count, now: Timestamp) -> Option<Reason> {
    let (target, base, running) = (&facts.target, count.base, service.running_count);
    let short = running < base || service.in_progress().is_some();
    let last = count.memory.last_own();
    let failure = service.unplaceable.as_ref().filter(|failure| {
        short && now.duration_since(failure.at) < UNPLACEABLE && last.is_none_or(|last| last < failure.at)
    });
    if let Some(failure) = failure {
        let message = format!(
            "no task is added to service {target}: ECS said at {}: {}",
            failure.at, failure.message
        );
        return Some(Reason::new(Code::TasksUnplaceable, message));
    }
    let until = pending(service, count, now)?.saturating_add(PENDING).ok()?;
    (now < until).then(|| {
        let message =
            format!("no task is added to service {target}: {running} of {base} run; at the latest at {until}");
        Reason::new(Code::TasksPending, message)
    })
}
