//! Short histories of events that come late: what is to be removed stays so.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wharfinger_cloud::world::{Caller, Fate, Gates, Move, Shared, What, World};
use wharfinger_core::balancing::TargetType;
use wharfinger_core::event::TaskStatus;
use wharfinger_core::ids::Target;

use super::stage::{self, Function, Side};

/// A target group `web` and a task of `prod/web` that is in it: the world, and the event of RUNNING.
fn joined() -> (Shared, Value) {
    let mut world = World::new(stage::beginning());
    let target = Target::service("prod", "web");
    let containers = json!([{ "name": "app", "image": "web:1" }]);
    let definition = world
        .define(&json!({ "family": "web", "containerDefinitions": containers }))
        .unwrap();
    world.make_service(&target, &definition, 1, false);
    world.make_group("web", TargetType::Ip, 10);
    stage::store(&mut world, &target, config());
    world.make(&Move::Start(target.clone()));
    let arn = world.tasks.keys().next().cloned().unwrap();
    while world.tasks[&arn].status != TaskStatus::Running {
        world.make(&Move::Advance(arn.clone()));
    }
    let joins = world.emitted.pop().unwrap();
    let world = world.shared();
    stage::hear_now(Side::Balancing, &world, &joins).unwrap();
    (world, joins)
}

fn config() -> Value {
    json!({ "balancing": [{ "target-group": "web", "port": 8080 }] })
}

/// The task of [`joined`] stops: the first event of that.
fn stop(world: &Shared) -> Value {
    let mut world = world.borrow_mut();
    let arn = world.tasks.keys().next().cloned().unwrap();
    world.make(&Move::Stop(arn.clone()));
    let leaves = world.emitted.pop().unwrap();
    while world.tasks[&arn].status != TaskStatus::Stopped {
        world.make(&Move::Advance(arn.clone()));
    }
    leaves
}

/// Hears an event, and dies before a call.
fn dies_before(world: &Shared, event: &Value, call: &str) {
    let gates = Gates::default();
    let deadline = world.borrow().now + SignedDuration::from_mins(1);
    let caller = Caller::gated(world, "dies", gates.clone(), deadline, SignedDuration::ZERO);
    let function = Function::of(Side::Balancing);
    let mut dies = Box::pin(function.hear(&caller, event));
    while stage::poll(dies.as_mut()).is_pending() {
        let stop = gates.stops().into_iter().next().unwrap();
        if matches!(stop.what, What::Call { operation, .. } if operation == call) {
            return;
        }
        gates.open(stop.id, Fate::Fine);
    }
    panic!("it does not come to {call}");
}

#[test]
fn a_late_start_does_not_take_the_mark_off_what_is_to_be_removed() {
    let (world, joins) = joined();
    // Who hears of the stop dies before anything is removed, and so does who hears of the start once more.
    for event in [stop(&world), joins] {
        dies_before(&world, &event, "DeregisterTargets");
    }
    assert_eq!(stage::members(&world.borrow()).len(), 1);
    stage::hear_now(Side::Balancing, &world, &stage::scheduled(&json!({}))).unwrap();
    assert_eq!(stage::members(&world.borrow()), BTreeSet::new());
}

/// A task of `prod/web` starts, a minute later, and has the address of the first: the event of RUNNING.
fn follow(world: &Shared) -> (String, Value) {
    stage::pass(world, SignedDuration::from_mins(1));
    let mut world = world.borrow_mut();
    let first = world.tasks.keys().next().cloned().unwrap();
    world.make(&Move::Start(Target::service("prod", "web")));
    let second = world.tasks.keys().find(|arn| **arn != first).cloned().unwrap();
    while world.tasks[&second].status != TaskStatus::Running {
        world.make(&Move::Advance(second.clone()));
    }
    assert_eq!(world.tasks[&second].address, world.tasks[&first].address);
    (second, world.emitted.pop().unwrap())
}

#[test]
fn a_late_start_does_not_take_the_mark_off_what_another_task_left() {
    let (world, _) = joined();
    // Nobody hears that the first stops; of the second's start it is heard last.
    stop(&world);
    let (second, joins) = follow(&world);
    world.borrow_mut().make(&Move::Stop(second));
    let leaves = world.borrow_mut().emitted.pop().unwrap();
    for event in [leaves, joins] {
        stage::hear_now(Side::Balancing, &world, &event).unwrap();
    }
    assert_eq!(stage::members(&world.borrow()).len(), 1);
    stage::hear_now(Side::Balancing, &world, &stage::scheduled(&json!({}))).unwrap();
    assert_eq!(stage::members(&world.borrow()), BTreeSet::new());
}
