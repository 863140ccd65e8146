//! Every order of what may happen at once to one task, or to two tasks at one address: nothing is sampled here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may stop at the first thing that is wrong"
)]

#[path = "interleavings/held_up.rs"]
mod held_up;
#[path = "interleavings/search.rs"]
mod search;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wharfinger_cloud::world::{Caller, Fate, Gates, HostNetwork, Move, PortMapping, Shared, Stop, What, World};
use wharfinger_core::balancing::TargetType;
use wharfinger_core::capacity::InstanceStatus;
use wharfinger_core::endpoint::Host;
use wharfinger_core::event::TaskStatus;
use wharfinger_core::ids::Target;

use search::{Play, Start, Warm};
use stage::Side;

/// A world with `prod/web`, whose tasks share the address of one instance and its port 80 when `bridge` says so.
fn world(bridge: Option<TargetType>) -> (World, Target) {
    let mut world = World::new(stage::beginning());
    let target = Target::service("prod", "web");
    let container = json!({ "name": "app", "image": "web:1" });
    let definition = world
        .define(&json!({ "family": "web", "containerDefinitions": [container] }))
        .unwrap();
    world.make_service(&target, &definition, 1, false);
    world.map.services.insert("srv-web".into(), BTreeMap::new());
    world.make_group("web", bridge.unwrap_or(TargetType::Ip), 10);
    if bridge.is_some() {
        let host = Host {
            instance_id: Some("i-1".into()),
            private_ipv4: Some("10.1.0.1".into()),
            ..Host::default()
        };
        let instance = world.make_container_instance("prod", host);
        let port = PortMapping {
            container: "app".into(),
            container_port: 8080,
            host_port: Some(80),
        };
        let network = HostNetwork {
            instances: vec![instance],
            ports: vec![port],
            told: true,
            interfaces: false,
        };
        world.host_networks.insert(target.clone(), network);
    }
    let config = json!({
        "discovery": [{ "to": "srv-web", "port": 8080 }],
        "balancing": [{ "target-group": "web", "port": 8080 }],
    });
    stage::store(&mut world, &target, config);
    (world, target)
}

fn event(world: &mut World) -> Value {
    world.emitted.pop().unwrap()
}

/// Starts a task: its ARN and the event of RUNNING.
fn start(world: &mut World, target: &Target) -> (String, Value) {
    world.now += SignedDuration::from_secs(1);
    world.make(&Move::Start(target.clone()));
    let arn = world
        .tasks
        .values()
        .find(|t| t.status == TaskStatus::Provisioning)
        .unwrap()
        .arn
        .clone();
    while world.tasks[&arn].status != TaskStatus::Running {
        world.make(&Move::Advance(arn.clone()));
    }
    (arn, event(world))
}

/// ECS decides to stop a task: the first event of that.
fn stop(world: &mut World, arn: &str) -> Value {
    world.make(&Move::Stop(arn.to_owned()));
    let first = event(world);
    while world.tasks[arn].status != TaskStatus::Stopped {
        world.make(&Move::Advance(arn.to_owned()));
    }
    first
}

fn starts<const N: usize>(events: [(&'static str, Value); N]) -> Vec<Start> {
    events.map(|(name, event)| Start { name, event }).into()
}

/// What is to be there at the end: `srv-web/…` or `web/…`.
fn is(world: &Shared, expected: &BTreeSet<String>) -> Result<(), String> {
    let found = stage::members(&world.borrow());
    if found == *expected {
        return Ok(());
    }
    Err(format!("there is {found:?} and should be {expected:?}"))
}

/// After retries it is right at once; where a crash was not retried, after a sweep. What drains has to go first: a sweep
/// does not bring it back.
fn ends(side: Side, expected: BTreeSet<String>) -> impl Fn(&Shared, bool) -> Result<(), String> {
    move |world, given_up| {
        if !given_up {
            is(world, &expected)?;
        }
        world.borrow_mut().talkative = false;
        stage::finish_draining(world);
        stage::pass(world, SignedDuration::from_mins(5));
        stage::hear_now(side, world, &stage::scheduled(&json!({}))).map_err(|e| e.to_string())?;
        is(world, &expected).map_err(|what| format!("after a sweep {what}"))
    }
}

fn report(what: &str, seen: &search::Seen) {
    eprintln!("{what}: {} interleavings, {} states", seen.orders, seen.states);
}

/// A world in which another task has joined.
fn warm(bridge: Option<TargetType>) -> Warm {
    let (mut world, target) = world(bridge);
    let (_, event) = start(&mut world, &target);
    Warm {
        world: world.shared(),
        event,
    }
}

fn one_task() -> Play {
    let (mut world, target) = world(None);
    let (arn, joins) = start(&mut world, &target);
    let leaves = stop(&mut world, &arn);
    Play {
        world: world.shared(),
        starts: starts([("join", joins), ("leave", leaves)]),
    }
}

#[test]
fn a_stop_while_a_registration_is_in_flight() {
    for side in Side::BOTH {
        let seen = search::all(side, 1, &warm(None), &one_task, &ends(side, BTreeSet::new()));
        report(&format!("{} of one task", side.name()), &seen);
        assert!(seen.orders > 1_000);
    }
}

/// The task is told of once more, in a version that is so much newer.
fn one_task_told_twice(newer: i64) -> Play {
    let Play { world, mut starts } = one_task();
    let later = |event: &Value| {
        let mut event = event.clone();
        event["detail"]["version"] = json!(event["detail"]["version"].as_i64().unwrap() + newer);
        event
    };
    starts[1].event = later(&starts[1].event);
    let again = Start {
        name: "join again",
        event: later(&starts[0].event),
    };
    starts.push(again);
    Play { world, starts }
}

#[test]
fn a_stop_while_a_registration_is_in_flight_twice() {
    // Three at once in Cloud Map, where operations end at any time, take minutes: that is the simulation's.
    let side = Side::Balancing;
    for newer in [0, 1] {
        let play = || one_task_told_twice(newer);
        let seen = search::all(side, 1, &warm(None), &play, &ends(side, BTreeSet::new()));
        report(&format!("{} of one task, told {newer} newer", side.name()), &seen);
    }
}

/// Two tasks of a service, each on an instance of its own: the first has joined. The second's event of RUNNING, and its
/// instance.
fn on_two_instances(side: Side) -> (Shared, Value, String) {
    let (mut world, target) = world(Some(TargetType::Ip));
    let host = Host {
        instance_id: Some("i-2".into()),
        private_ipv4: Some("10.1.0.2".into()),
        ..Host::default()
    };
    let other = world.make_container_instance("prod", host);
    world.host_networks.get_mut(&target).unwrap().instances.push(other);
    let (_, joins) = start(&mut world, &target);
    let (second, joins_too) = start(&mut world, &target);
    let instance = world.tasks[&second]
        .placement
        .as_ref()
        .unwrap()
        .container_instance
        .clone();
    let world = world.shared();
    stage::hear_now(side, &world, &joins).unwrap();
    // A target that is not healthy takes nobody's place.
    for group in world.borrow_mut().groups.values_mut() {
        for target in group.targets().collect::<Vec<_>>() {
            assert!(group.judge(&target.target.id, target.target.port, "healthy"));
        }
    }
    (world, joins_too, instance)
}

fn state(world: &Shared, instance: &str, status: InstanceStatus) -> Value {
    let mut world = world.borrow_mut();
    world.set_instance_state(instance, status);
    event(&mut world)
}

#[test]
fn a_task_that_joins_while_its_instance_begins_to_drain_is_not_there_at_the_end() {
    for side in Side::BOTH {
        let play = || {
            let (world, joins, instance) = on_two_instances(side);
            let drains = state(&world, &instance, InstanceStatus::Draining);
            let starts = starts([("join", joins), ("drain", drains)]);
            Play { world, starts }
        };
        let expected = stage::members(&play().world.borrow());
        assert_eq!(expected.len(), 1);
        let seen = search::all(side, 0, &warm(Some(TargetType::Ip)), &play, &ends(side, expected));
        report(&format!("{} of a task whose instance drains", side.name()), &seen);
        assert!(seen.orders > 100);
    }
}

#[test]
fn of_two_instances_that_drain_at_once_neither_takes_the_last_away() {
    for side in Side::BOTH {
        let play = || {
            let (world, joins, instance) = on_two_instances(side);
            stage::hear_now(side, &world, &joins).unwrap();
            let all = world.borrow().container_instances.keys().cloned().collect::<Vec<_>>();
            let other = all.into_iter().find(|arn| *arn != instance).unwrap();
            let drains = state(&world, &instance, InstanceStatus::Draining);
            let drains_too = state(&world, &other, InstanceStatus::Draining);
            let starts = starts([("drain", drains), ("drain too", drains_too)]);
            Play { world, starts }
        };
        let expected = stage::members(&play().world.borrow());
        assert_eq!(expected.len(), 2);
        let seen = search::all(side, 0, &warm(Some(TargetType::Ip)), &play, &ends(side, expected));
        report(&format!("{} of two instances that drain", side.name()), &seen);
    }
}

#[test]
fn an_instance_that_came_back_while_it_was_heard_that_it_drains_has_its_endpoints() {
    // A target that drains has to be gone before it joins again.
    let side = Side::Discovery;
    let joined = || {
        let (world, joins, instance) = on_two_instances(side);
        stage::hear_now(side, &world, &joins).unwrap();
        (world, instance)
    };
    let play = || {
        let (world, instance) = joined();
        let drains = state(&world, &instance, InstanceStatus::Draining);
        stage::hear_now(side, &world, &drains).unwrap();
        let back = state(&world, &instance, InstanceStatus::Active);
        let starts = starts([("drain again", drains), ("back", back)]);
        Play { world, starts }
    };
    let expected = stage::members(&joined().0.borrow());
    let seen = search::all(side, 0, &warm(Some(TargetType::Ip)), &play, &ends(side, expected));
    report("discovery of an instance that came back", &seen);
}

/// The name of what stands for the later of two tasks at one address.
fn later(side: Side, bridge: TargetType, world: &World) -> BTreeSet<String> {
    let task = world.tasks.values().find(|t| t.is_running()).unwrap();
    BTreeSet::from([match (side, bridge) {
        (Side::Discovery, _) => format!("srv-web/{}-8080", task.id()),
        (Side::Balancing, TargetType::Instance) => "web/i-1:80".to_owned(),
        (Side::Balancing, _) => "web/10.1.0.1:80".to_owned(),
    }])
}

/// A task has joined, or not when `told` is false; it leaves, and another gets its address.
fn two_tasks(side: Side, bridge: TargetType, told: bool) -> Play {
    let (mut world, target) = world(Some(bridge));
    let (first, first_joins) = start(&mut world, &target);
    let world = world.shared();
    if told {
        stage::hear_now(side, &world, &first_joins).unwrap();
    }
    let mut inner = world.borrow_mut();
    let leaves = stop(&mut inner, &first);
    let (_, joins) = start(&mut inner, &target);
    drop(inner);
    let mut starts = starts([("leave", leaves), ("join", joins)]);
    if !told {
        starts.push(Start {
            name: "join of the first",
            event: first_joins,
        });
    }
    Play { world, starts }
}

#[test]
fn two_tasks_at_one_address() {
    for (side, bridge) in [
        (Side::Discovery, TargetType::Ip),
        (Side::Balancing, TargetType::Ip),
        (Side::Balancing, TargetType::Instance),
    ] {
        let play = || two_tasks(side, bridge, true);
        let expected = later(side, bridge, &play().world.borrow());
        let seen = search::all(side, 1, &warm(Some(bridge)), &play, &ends(side, expected));
        report(&format!("{} of two tasks ({bridge:?})", side.name()), &seen);
        assert!(seen.orders > 1_000);
    }
}

#[test]
fn two_tasks_at_one_address_the_first_of_which_joins_late() {
    let side = Side::Balancing;
    let play = || two_tasks(side, TargetType::Ip, false);
    let expected = later(side, TargetType::Ip, &play().world.borrow());
    let seen = search::all(side, 0, &warm(Some(TargetType::Ip)), &play, &ends(side, expected));
    report(&format!("{} of two tasks, the first joins late", side.name()), &seen);
}

/// Both have joined and both leave.
fn two_leave(side: Side) -> Play {
    let (mut world, target) = world(Some(TargetType::Ip));
    let (first, joins) = start(&mut world, &target);
    let world = world.shared();
    stage::hear_now(side, &world, &joins).unwrap();
    let mut inner = world.borrow_mut();
    let leaves = stop(&mut inner, &first);
    let (second, joins) = start(&mut inner, &target);
    drop(inner);
    stage::hear_now(side, &world, &joins).unwrap();
    let leaves_too = stop(&mut world.borrow_mut(), &second);
    Play {
        world,
        starts: starts([("leave", leaves), ("leave too", leaves_too)]),
    }
}

#[test]
fn two_tasks_at_one_address_that_both_leave() {
    for side in Side::BOTH {
        let seen = search::all(
            side,
            1,
            &warm(Some(TargetType::Ip)),
            &|| two_leave(side),
            &ends(side, BTreeSet::new()),
        );
        report(&format!("{} of two tasks that both leave", side.name()), &seen);
    }
}

/// How far the start of a task came that leaves before it was dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Started {
    /// It has claimed and died, before its ledger had heard of it.
    Claimed,
    /// It comes after the end.
    Late,
}

/// Hears an event up to the claim, and not the ledger's first write; then it dies.
fn claims_and_dies(side: Side, world: &Shared, event: &Value) {
    let gates = Gates::default();
    let deadline = world.borrow().now + SignedDuration::from_mins(1);
    let caller = Caller::gated(world, "dies", gates.clone(), deadline, SignedDuration::ZERO);
    let function = stage::Function::of(side);
    let mut work = pin!(function.hear(&caller, event));
    let mut ledger = None;
    loop {
        assert!(stage::poll(work.as_mut()).is_pending(), "it has ended");
        let stops = gates.stops();
        let writes = |stop: &Stop| {
            matches!(
                stop.what,
                What::Call {
                    operation: "UpdateItem",
                    ..
                }
            )
        };
        ledger = ledger.or_else(|| stops.iter().find(|stop| writes(stop)).map(|stop| stop.id));
        let mut others = stops.iter().filter(|stop| Some(stop.id) != ledger).peekable();
        if others.peek().is_none() {
            return;
        }
        others.for_each(|stop| gates.open(stop.id, Fate::Fine));
    }
}

/// One has joined and leaves; another gets its address, and leaves before its start was dealt with.
fn second_leaves_at_once(side: Side, started: Started) -> Play {
    let (mut world, target) = world(Some(TargetType::Ip));
    let (first, joins) = start(&mut world, &target);
    let world = world.shared();
    stage::hear_now(side, &world, &joins).unwrap();
    let mut inner = world.borrow_mut();
    let leaves = stop(&mut inner, &first);
    let (second, joins) = start(&mut inner, &target);
    let leaves_too = stop(&mut inner, &second);
    drop(inner);
    let then = match started {
        Started::Claimed => {
            claims_and_dies(side, &world, &joins);
            ("leave too", leaves_too)
        }
        Started::Late => {
            stage::hear_now(side, &world, &leaves_too).unwrap();
            ("join", joins)
        }
    };
    Play {
        world,
        starts: starts([("leave", leaves), then]),
    }
}

#[test]
fn two_tasks_at_one_address_the_second_of_which_leaves_at_once() {
    let side = Side::Balancing;
    for started in [Started::Claimed, Started::Late] {
        let play = || second_leaves_at_once(side, started);
        let seen = search::all(
            side,
            0,
            &warm(Some(TargetType::Ip)),
            &play,
            &ends(side, BTreeSet::new()),
        );
        report(
            &format!("{} of two tasks, the second leaves at once ({started:?})", side.name()),
            &seen,
        );
        assert!(seen.orders > 100);
    }
}
