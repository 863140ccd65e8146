//! A deployment of the service that is in the way.

use std::time::Duration;

use jiff::Timestamp;

use super::base::Base;
use super::standing::{Due, short};
use crate::config::Rollback;
use crate::report::{Code, Reason};

/// How the deployment in the way stands.
pub(super) enum Progress {
    /// It is to be waited for.
    Running(Reason),
    /// It has taken too long: nothing waits for it.
    TimedOut(Reason),
}

/// The deployment that is in the way. One at a time: while one runs or rolls back, a second leaves ECS's circuit breaker
/// without a completed deployment to go back to (ECS developer guide, "How the deployment circuit breaker works").
///
/// The rules of one revision wait as long as the most patient of them says, and what the service's own deployment
/// configuration makes a healthy deployment last; the side container alone as long as a rule that says nothing.
pub(super) fn in_progress(base: &Base<'_>, due: &[Due], now: Timestamp) -> Option<Progress> {
    let patience = due.iter().map(|d| d.timeout).max();
    let service = base.service?;
    let timeout = patience.unwrap_or_else(|| Rollback::default().timeout.duration()) + service.deployment_patience;
    let deployment = service.in_progress()?;
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
            "{running}, longer than the {} s that `rollback.timeout` lets it: nothing waits for it",
            timeout.as_secs()
        );
        return Some(Progress::TimedOut(Reason::new(Code::DeploymentTimedOut, message)));
    }
    let mut waiting: Vec<_> = due.iter().map(|d| d.wish.name()).collect();
    if waiting.is_empty() {
        waiting.push("the side container".to_owned());
    }
    let message = format!("{running}: {} waits", waiting.join(", "));
    Some(Progress::Running(Reason::new(Code::DeploymentInProgress, message)))
}
