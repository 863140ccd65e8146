//! The side container that lets a task serve on after it left discovery.
//!
//! ECS sends SIGTERM as soon as it stops a task, while clients still hold the address that was just removed
//! (aws/containers-roadmap #343). But it stops a container only when all that depend on it have stopped (ECS API reference,
//! `ContainerDependency`: "for container shutdown it is reversed"). So a container that depends on the app, and takes its
//! time on SIGTERM, holds the app up for as long.
//!
//! It is told from one of the same name that is not ours by an environment variable, [`MARK`]; a foreign one is never
//! touched. It is put into the raw JSON of a task definition and taken out of it; nothing else changes.

mod container;
mod order;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::compare::is_same;
use crate::config::{Drain, Service};
use crate::report::{Code, Reason};

use container::MARGIN;
pub(super) use container::is_ours;
pub use container::{MARK, SIDE_CONTAINER, SideContainer};
use order::{Containers, Serving};

/// The longest that a task can linger on Fargate, which takes a `stopTimeout` of 120 s (ECS API reference,
/// `ContainerDefinition.stopTimeout`).
pub const FARGATE_LINGER: Duration = Duration::from_secs(120 - MARGIN);

/// How many containers a task definition takes (ECS developer guide, "Service quotas").
const MAX_CONTAINERS: usize = 10;

/// What a service's configuration asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Linger {
    drain: Drain,
    serving: Vec<Serving>,
}

impl Linger {
    /// `None` when its tasks are to stop as ECS stops them.
    #[must_use]
    pub fn of(config: &Service) -> Option<Self> {
        let drain = config
            .drain
            .clone()
            .filter(|drain| !drain.linger.duration().is_zero())?;
        let discovery = config.discovery.iter().map(|e| (&e.container, e.port));
        let balancing = config.balancing.iter().map(|e| (&e.container, e.port));
        let serving = discovery.chain(balancing).map(|(container, port)| Serving {
            container: container.clone(),
            port,
        });
        Some(Self {
            drain,
            serving: serving.collect(),
        })
    }
}

/// What becomes of the side container in the next revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// It stays as it is, or stays out.
    #[default]
    Keep,
    /// It is added, or takes the place of the one before.
    Put(SideContainer),
    /// It is taken out.
    Remove,
}

impl Side {
    /// Whether anything changes.
    #[must_use]
    pub fn changes(&self) -> bool {
        *self != Self::Keep
    }

    pub(super) fn is_keep(&self) -> bool {
        !self.changes()
    }

    /// Makes the change in a task definition or in the request that registers it, and no other.
    pub fn apply(&self, definition: &mut Value) {
        let Some(list) = definition.get_mut("containerDefinitions").and_then(Value::as_array_mut) else {
            return;
        };
        let ours = list.iter().position(is_ours);
        match (self, ours) {
            (Self::Keep, _) | (Self::Remove, None) => {}
            (Self::Put(side), Some(at)) => list[at] = side.definition(),
            (Self::Put(side), None) => list.push(side.definition()),
            (Self::Remove, Some(at)) => drop(list.remove(at)),
        }
    }
}

/// What is to be done with the side container, and what is to be said of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lingering {
    /// The change.
    pub side: Side,
    /// What changes, or why it cannot; nothing when all is as it should be.
    pub reasons: Vec<Reason>,
}

/// Compares a described task definition with what is asked for.
pub fn linger(answer: &Value, wanted: Option<&Linger>) -> Lingering {
    let Some(definition) = answer.get("taskDefinition").and_then(Value::as_object) else {
        return Lingering::default();
    };
    let containers = Containers::of(definition);
    let found = match wanted {
        Some(wanted) => put(definition, &containers, wanted),
        None => take_out(&containers),
    };
    found.unwrap_or_else(|why| Lingering {
        side: Side::Keep,
        reasons: vec![Reason::new(
            Code::LingerRefused,
            format!("the side container `{SIDE_CONTAINER}` is left as it is: {why}"),
        )],
    })
}

fn put(definition: &Map<String, Value>, containers: &Containers<'_>, wanted: &Linger) -> Result<Lingering, String> {
    let asked = wanted.drain.linger.duration();
    let seconds = if on_fargate(definition) {
        asked.min(FARGATE_LINGER)
    } else {
        asked
    };
    let mut reasons = Vec::new();
    if seconds < asked {
        let message = format!(
            "tasks linger for {} s and not {} s: Fargate stops a container after 120 s",
            seconds.as_secs(),
            asked.as_secs()
        );
        reasons.push(Reason::new(Code::LingerShortened, message));
    }
    possible(definition, containers)?;
    let side = SideContainer {
        image: wanted.drain.image.clone(),
        linger: seconds.as_secs(),
        depends_on: containers.held_up(&wanted.serving)?,
        reserves: definition.get("memory").is_none_or(Value::is_null),
    };
    let before = containers.side.filter(|c| is_ours(c));
    if before.is_some_and(|before| is_same(before, &side.definition())) {
        return Ok(Lingering {
            side: Side::Keep,
            reasons,
        });
    }
    let names: Vec<_> = side.depends_on.iter().map(|name| format!("`{name}`")).collect();
    let message = format!(
        "`{SIDE_CONTAINER}` is {}: {} stops {} s after the task was told to",
        if before.is_some() { "changed" } else { "added" },
        names.join(", "),
        side.linger
    );
    reasons.insert(0, Reason::new(Code::LingerChanges, message));
    Ok(Lingering {
        side: Side::Put(side),
        reasons,
    })
}

fn take_out(containers: &Containers<'_>) -> Result<Lingering, String> {
    if !containers.side.is_some_and(is_ours) {
        return Ok(Lingering::default());
    }
    if let Some(dependant) = containers.dependant(SIDE_CONTAINER) {
        return Err(format!("`{dependant}` depends on it"));
    }
    let message = format!("`{SIDE_CONTAINER}` is taken out: tasks stop as ECS stops them");
    Ok(Lingering {
        side: Side::Remove,
        reasons: vec![Reason::new(Code::LingerChanges, message)],
    })
}

fn possible(definition: &Map<String, Value>, containers: &Containers<'_>) -> Result<(), String> {
    if containers.side.is_some_and(|c| !is_ours(c)) {
        return Err(format!("a container of that name is there, without our mark `{MARK}`"));
    }
    if on_windows(definition) {
        return Err("it is a shell script, and the task runs on Windows".into());
    }
    if containers.len() >= MAX_CONTAINERS {
        return Err(format!(
            "a task definition takes {MAX_CONTAINERS} containers, which it has"
        ));
    }
    Ok(())
}

/// Whether its tasks may run on Fargate: it says so, or says nothing and ECS found that it fits. With a longer `stopTimeout`
/// it would not fit any more.
fn on_fargate(definition: &Map<String, Value>) -> bool {
    let list = |key| {
        definition
            .get(key)
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty())
    };
    let compatible = list("requiresCompatibilities").or_else(|| list("compatibilities"));
    compatible.is_some_and(|list| list.iter().any(|kind| kind == "FARGATE"))
}

/// On EC2 the platform may be left out, and is then said by a placement constraint on `ecs.os-type` or `ecs.os-family`.
pub(super) fn on_windows(definition: &Map<String, Value>) -> bool {
    let family = definition
        .get("runtimePlatform")
        .and_then(|platform| platform.get("operatingSystemFamily"));
    let constraints = definition.get("placementConstraints").and_then(Value::as_array);
    let expressions = constraints.into_iter().flatten().filter_map(|c| c.get("expression"));
    family
        .into_iter()
        .chain(expressions)
        .filter_map(Value::as_str)
        .any(|text| text.to_ascii_lowercase().contains("windows"))
}

#[cfg(test)]
mod tests;
