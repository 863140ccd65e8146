//! The events that are handed to the functions.

use std::io;

use serde_json::{Value, json};
use wharfinger_tests::lambda::World;
use wharfinger_tests::lambda::story::{
    alarm_event, configure, push_event, service, task, task_definition, task_event, with_balancing, with_discovery,
};

/// A kind of event, and the world that it finds.
pub(crate) struct Scene {
    pub(crate) function: &'static str,
    pub(crate) name: &'static str,
    pub(crate) prepare: fn(&mut World) -> io::Result<()>,
    /// What must have happened before.
    pub(crate) before: Option<fn(usize) -> Value>,
    /// The n-th event.
    pub(crate) event: fn(usize) -> Value,
    /// How deep its calls may be with a cold cache, where the project has promised it.
    pub(crate) deepest: Option<usize>,
}

/// Every kind of event.
pub(crate) fn all() -> Vec<Scene> {
    let of_tasks = discovery().into_iter().chain(balancing());
    of_tasks.chain(of_services()).collect()
}

/// What tasks do, and Cloud Map.
fn discovery() -> [Scene; 4] {
    [
        Scene {
            function: "discovery",
            name: "a task joins",
            prepare: discovered,
            before: None,
            event: joins,
            deepest: Some(4),
        },
        Scene {
            function: "discovery",
            name: "a task leaves",
            prepare: discovered,
            before: Some(joins),
            event: leaves,
            deepest: Some(4),
        },
        Scene {
            function: "discovery",
            name: "a copy of an event",
            prepare: discovered,
            before: Some(joins),
            event: joins,
            deepest: None,
        },
        Scene {
            function: "discovery",
            name: "a task that is not managed",
            prepare: discovered,
            before: None,
            event: unmanaged,
            deepest: Some(1),
        },
    ]
}

/// What tasks do, and a target group.
fn balancing() -> [Scene; 3] {
    [
        Scene {
            function: "balancing",
            name: "a task joins",
            prepare: balanced,
            before: None,
            event: joins,
            deepest: Some(4),
        },
        Scene {
            function: "balancing",
            name: "a task leaves",
            prepare: balanced,
            before: Some(joins),
            event: leaves,
            deepest: Some(4),
        },
        Scene {
            function: "balancing",
            name: "a task that is not managed",
            prepare: balanced,
            before: None,
            event: unmanaged,
            deepest: Some(1),
        },
    ]
}

/// What moves services.
fn of_services() -> [Scene; 2] {
    [
        Scene {
            function: "scaling",
            name: "an alarm moves a count",
            prepare: scaled,
            before: None,
            event: alarm,
            deepest: None,
        },
        Scene {
            function: "delivery",
            name: "a push is rolled out",
            prepare: delivered,
            before: None,
            event: push,
            deepest: None,
        },
    ]
}

/// The event that a function is for; the hello has none.
pub(crate) fn main_scene(function: &str) -> Option<Scene> {
    all().into_iter().find(|scene| scene.function == function)
}

fn id(n: usize) -> String {
    format!("{n:032x}")
}

fn joins(n: usize) -> Value {
    task_event(&task("web", &id(n), 3, "RUNNING", "RUNNING"))
}

fn leaves(n: usize) -> Value {
    task_event(&task("web", &id(n), 4, "RUNNING", "STOPPED"))
}

fn unmanaged(n: usize) -> Value {
    task_event(&task("other", &id(n), 3, "RUNNING", "RUNNING"))
}

fn balanced(world: &mut World) -> io::Result<()> {
    configure(world, "prod/web", &with_balancing()).map_err(io::Error::other)
}

fn discovered(world: &mut World) -> io::Result<()> {
    configure(world, "prod/web", &with_discovery()).map_err(io::Error::other)
}

fn scaled(world: &mut World) -> io::Result<()> {
    let scaling = json!({
        "min": 1, "max": 100_000, "rules": [{ "alarm": "web-cpu", "add": 1 }], "cooldown": { "out": "0s", "in": "0s" },
    });
    world.services.insert("web".into(), service("web", 2));
    configure(world, "prod/web", &json!({ "scaling": scaling })).map_err(io::Error::other)
}

/// An alarm that began now, a millisecond after the one before.
fn alarm(n: usize) -> Value {
    #[allow(clippy::disallowed_methods, reason = "an old alarm would be looked up first")]
    let now = jiff::Timestamp::now();
    let since = now.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string();
    alarm_event(
        "web-cpu",
        &since,
        90.0 + f64::from(u8::try_from(n % 10).unwrap_or_default()),
        60.0,
    )
}

fn delivered(world: &mut World) -> io::Result<()> {
    let delivery = json!([{ "repository": "shop/web", "tags": { "semver": ">=1.0.0" } }]);
    world.services.insert("web".into(), service("web", 2));
    world.task_definitions.push(task_definition("web", "shop/web:1.0.0"));
    configure(world, "prod/web", &json!({ "delivery": delivery })).map_err(io::Error::other)
}

/// A push that is newer than the one before.
fn push(n: usize) -> Value {
    push_event("shop/web", &format!("1.1.{n}"), &format!("sha256:{n:064x}"))
}
