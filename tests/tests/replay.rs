//! Captured sequences of events, heard in order, reversed, shuffled, doubled, and with a third of them lost: the world is
//! the same in the end.
//!
//! The corpus lies beside the project, as `tests/corpus.rs` says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may stop at the first thing that is wrong"
)]

#[path = "corpus/files.rs"]
#[allow(dead_code, reason = "a part of it is for the other tests of the corpus")]
mod files;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde_json::{Value, json};
use wharfinger_cloud::world::{Shared, Task, World};
use wharfinger_core::balancing::TargetType;
use wharfinger_core::event::{Detail, Event, TaskStateChange};
use wharfinger_core::ids::Target;

use files::Corpus;
use stage::Side;

const SHUFFLES: u64 = 20;

fn task(event: &Value) -> Option<TaskStateChange> {
    match Event::parse(event).ok()?.detail {
        Detail::Task(task) => Some(task),
        _ => None,
    }
}

/// What ECS knows after all of it: every task as the last of its events has it. What has stopped it may have forgotten.
fn last(events: &[Value]) -> BTreeMap<String, (TaskStateChange, Value)> {
    let mut tasks: BTreeMap<String, (TaskStateChange, Value)> = BTreeMap::new();
    for event in events {
        let Some(task) = task(event) else { continue };
        let known = tasks.get(task.task_arn.as_str());
        if known.is_none_or(|(known, _)| known.version < task.version) {
            tasks.insert(task.task_arn.to_string(), (task, event.clone()));
        }
    }
    tasks
}

/// A world in which every target of the events is to be in a registry and in a target group.
fn world(events: &[Value], forgotten: bool) -> Shared {
    let mut world = World::new(stage::beginning());
    world.map.services.insert("srv-all".into(), BTreeMap::new());
    world.make_group("all", TargetType::Ip, 1_000);
    let config = json!({
        "discovery": [{ "to": "srv-all", "port": 8080 }],
        "balancing": [{ "target-group": "all", "port": 8080 }],
    });
    let targets: BTreeSet<Target> = events
        .iter()
        .filter_map(task)
        .map(|task| task.target().unwrap())
        .collect();
    for target in &targets {
        stage::store(&mut world, target, config.clone());
    }
    for (task, event) in last(events).into_values() {
        if forgotten && task.is_leaving() {
            continue;
        }
        world.adopt(Task::from_event(&event["detail"]).unwrap());
    }
    world.shared()
}

/// What is there after these events, and after some sweeps.
fn after(all: &[Value], heard: &[Value], sweeps: usize, forgotten: bool) -> BTreeSet<String> {
    let world = world(all, forgotten);
    for event in heard.iter().filter(|event| task(event).is_some()) {
        for side in Side::BOTH {
            stage::hear_now(side, &world, event).unwrap();
        }
        stage::pass(&world, SignedDuration::from_secs(1));
    }
    for _ in 0..sweeps {
        stage::finish_draining(&world);
        stage::pass(&world, SignedDuration::from_mins(5));
        stage::sweep(&world);
    }
    stage::members(&world.borrow())
}

#[test]
fn every_sequence_ends_in_the_same_world_whatever_becomes_of_its_events() {
    let Some(corpus) = Corpus::find() else { return };
    let mut compared = 0;
    for (name, json) in corpus.folder("sequences") {
        let events = json.as_array().unwrap_or_else(|| panic!("{name} is no array"));
        let expected = after(events, events, 0, false);
        let running = last(events).into_values().filter(|(task, _)| task.is_running()).count();
        assert_eq!(expected.len(), 2 * running, "{name}: {expected:?}");
        let mut check = |what: &str, heard: &[Value], sweeps: usize, forgotten: bool| {
            let found = after(events, heard, sweeps, forgotten);
            assert_eq!(found, expected, "{name} {what}");
            compared += 1;
        };
        let reversed: Vec<_> = events.iter().rev().cloned().collect();
        check("reversed", &reversed, 0, false);
        let doubled: Vec<_> = events.iter().flat_map(|event| [event.clone(), event.clone()]).collect();
        check("doubled", &doubled, 0, false);
        check("twice", &[events.clone(), events.clone()].concat(), 0, false);
        check("with a sweep", events, 1, false);
        for seed in 0..SHUFFLES {
            let mut shuffled = events.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            check(&format!("shuffled with {seed}"), &shuffled, 0, false);
            for (forgotten, sweeps) in [(false, 1), (true, 2)] {
                for third in 0..3 {
                    let kept = |order: &[Value]| -> Vec<Value> {
                        let kept = order.iter().enumerate().filter(|(place, _)| place % 3 != third);
                        kept.map(|(_, event)| event.clone()).collect()
                    };
                    let what = format!("without third {third}, shuffled with {seed}, forgotten: {forgotten}");
                    check(&what, &kept(&shuffled), sweeps, forgotten);
                    if seed == 0 {
                        check(&format!("in order {what}"), &kept(events), sweeps, forgotten);
                    }
                }
            }
        }
    }
    eprintln!("{compared} worlds compared");
    assert!(compared > 0);
}
