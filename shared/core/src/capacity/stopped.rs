//! Why a task stopped: read from what ECS says of it once it is over.
//!
//! Only a task whose `lastStatus` is STOPPED is read: before, the exit codes of its containers are not known. The stop code
//! goes first where it says enough (a person, the scheduler, Spot); else the words do, see `texts`.

mod class;
mod texts;

use crate::delivery::SIDE_CONTAINER;
use crate::event::{Container, TaskStateChange, TaskStatus};

pub use class::{Blame, Class};

/// How much of ECS's words is kept, in characters.
const KEPT: usize = 300;

/// Why a task stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The class.
    pub class: Class,
    /// The container that it began with, where there is one.
    pub container: Option<String>,
    /// What that container's main process ended with.
    pub exit_code: Option<i64>,
    /// ECS's own words, cut short.
    pub text: String,
}

impl Stopped {
    /// Reads it; `None` when the task is not STOPPED.
    #[must_use]
    pub fn of(task: &TaskStateChange) -> Option<Self> {
        if task.last_status != TaskStatus::Stopped {
            return None;
        }
        let reason = task.stopped_reason.as_deref().unwrap_or_default();
        // The side container that lets tasks linger is not essential, and is stopped with the rest.
        let containers: Vec<_> = task.containers.iter().filter(|c| c.name != SIDE_CONTAINER).collect();
        let (class, culprit) = classify(task.stop_code.as_deref(), reason, &containers);
        let own = culprit
            .and_then(|c| c.reason.as_deref())
            .filter(|own| !reason.contains(own));
        let text = [Some(reason).filter(|r| !r.is_empty()), own];
        let text = text.into_iter().flatten().collect::<Vec<_>>().join("; ");
        Some(Self {
            class,
            container: culprit.map(|c| c.name.clone()),
            exit_code: culprit.and_then(|c| c.exit_code),
            text: text.chars().take(KEPT).collect(),
        })
    }

    /// What happened, as half a sentence.
    #[must_use]
    pub fn what(&self) -> String {
        said(self.class, self.container.as_deref(), self.exit_code)
    }
}

/// What happened, as half a sentence with the names and numbers that are known.
pub(super) fn said(class: Class, container: Option<&str>, exit_code: Option<i64>) -> String {
    let container = container
        .map(|name| format!(" (container `{name}`)"))
        .unwrap_or_default();
    match (class, exit_code) {
        (Class::Exited, Some(code)) => format!("{} with {code}{}{container}", class.what(), meaning(code)),
        _ => format!("{}{container}", class.what()),
    }
}

/// What an exit code is known to mean (Bash reference manual, "Exit Status": 128 and the number of the signal).
fn meaning(code: i64) -> &'static str {
    match code {
        126 => ": the command cannot be executed",
        127 => ": there is no such command",
        134 => ": it aborted itself",
        137 => ": it was killed",
        139 => ": it touched memory that it may not",
        143 => ": it was asked to end",
        _ => "",
    }
}

fn classify<'a>(code: Option<&str>, reason: &str, containers: &[&'a Container]) -> (Class, Option<&'a Container>) {
    let by_code = match code {
        // Whoever calls StopTask writes the reason.
        Some("UserInitiated") => Some(Class::ByUser),
        Some("SpotInterruption") => Some(Class::SpotInterrupted),
        Some("InfrastructureHealth") => Some(Class::HostGone),
        _ => None,
    };
    if let Some(class) = by_code {
        return (class, None);
    }
    let of_task = texts::class(reason);
    // What the agent says of a container is nearer to the cause than that the container exited, or that the task did not
    // start.
    if matches!(of_task, None | Some(Class::Exited)) && code != Some("ServiceSchedulerInitiated") {
        let telling = containers.iter().find_map(|c| {
            let class = texts::class(c.reason.as_deref()?)?;
            Some((class, Some(*c)))
        });
        if let Some(found) = telling {
            return found;
        }
    }
    match of_task.unwrap_or_else(|| unsaid(code, reason)) {
        Class::Exited => (Class::Exited, exited(containers)),
        class => (class, containers.iter().copied().find(|c| c.reason.is_some())),
    }
}

/// What the stop code alone says (ECS API reference, `Task`).
fn unsaid(code: Option<&str>, reason: &str) -> Class {
    match code {
        Some("TaskFailedToStart") => Class::FailedToStart,
        Some("EssentialContainerExited") => Class::Exited,
        Some("ServiceSchedulerInitiated") => Class::ScaledIn,
        // Of an instance; those of Fargate name Spot in their words.
        Some("TerminationNotice") => Class::HostGone,
        None if reason.to_lowercase().contains("failed to start") => Class::FailedToStart,
        _ => Class::Unknown,
    }
}

/// The container with which it began: which are essential is not said, and those that were stopped with it end by SIGTERM
/// or SIGKILL, or well.
fn exited<'a>(containers: &[&'a Container]) -> Option<&'a Container> {
    let rank = |code: i64| match code {
        0 => 2,
        137 | 143 => 1,
        _ => 0,
    };
    let ended = containers.iter().filter(|c| c.exit_code.is_some());
    ended.min_by_key(|c| c.exit_code.map(rank)).copied()
}

#[cfg(test)]
mod tests;
