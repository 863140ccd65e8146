//! Machines and groups, as ECS and Auto Scaling would have them.

use futures_util::FutureExt;
use jiff::SignedDuration;
use wharfinger_core::capacity::Waiting;
use wharfinger_core::event::{Detail, Event, TaskStatus};
use wharfinger_core::ids::Target;

use super::super::{Hook, HostNetwork, Move, Shared};
use super::*;
use crate::ports::{AutoScaling, DrainingInstances, Upheld};

const TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

/// A group of machines with a hook, and a service of so many tasks on them.
fn world(machines: u32, tasks: u32) -> (World, Target) {
    let mut world = World::new(Timestamp::UNIX_EPOCH);
    let target = Target::service("prod", "web");
    world.host_networks.insert(target.clone(), HostNetwork::default());
    let hook = Hook {
        name: "drain".into(),
        timeout: TIMEOUT,
    };
    world.make_scaling_group("web", "prod", machines, 10, Some(hook));
    let container = json!({ "name": "web", "image": "web:1" });
    let definition = world.define(&json!({ "family": "web", "containerDefinitions": [container] }));
    world.make_service(&target, &definition.unwrap(), tasks, false);
    settle(&mut world);
    (world, target)
}

/// Lets the world do what it does by itself, one move at a time, and answers the fewest tasks that ran meanwhile.
fn settle(world: &mut World) -> usize {
    let mut fewest = running(world);
    for _ in 0..1_000 {
        let Some(a) = world.moves().into_iter().next() else {
            return fewest;
        };
        world.make(&a);
        fewest = fewest.min(running(world));
    }
    panic!("the world does not come to rest: {:?}", world.moves());
}

fn running(world: &World) -> usize {
    world.tasks.values().filter(|task| task.is_running()).count()
}

fn first(world: &World) -> (String, String) {
    let (arn, machine) = world.fleet.machines.iter().next().unwrap();
    (arn.clone(), machine.id.clone())
}

fn waiting(world: &World) -> Waiting {
    let mut members = world.fleet.groups["web"].members.iter();
    let (id, waits) = members
        .find_map(|(id, member)| Some((id, member.waits.as_ref()?)))
        .unwrap();
    Waiting {
        group: "web".into(),
        hook: "drain".into(),
        token: Some(waits.token.clone()),
        instance: id.clone(),
    }
}

fn pass(shared: &Shared, time: SignedDuration) {
    let mut world = shared.borrow_mut();
    world.now = world.now.checked_add(time).unwrap();
    world.settle_scaling_groups();
}

#[test]
fn service_tasks_leave_a_draining_instance_and_standalone_ones_stay() {
    let (mut world, _) = world(3, 6);
    let nightly = Target::task("prod", "web");
    let (arn, _) = first(&world);
    let network = HostNetwork {
        instances: vec![arn.clone()],
        ..HostNetwork::default()
    };
    world.host_networks.insert(nightly.clone(), network);
    world.make(&Move::Start(nightly));
    settle(&mut world);
    assert_eq!((world.on(&arn).len(), running(&world)), (3, 7));
    let shared = world.shared();
    let caller = Caller::direct(&shared, "test");
    let drain = || {
        let arns = [arn.clone(), "gone".to_owned()];
        let made = caller.set_container_instances_state("prod", &arns, State::Draining);
        made.now_or_never().unwrap().unwrap()
    };
    assert_eq!((drain().len(), drain().len()), (1, 1));
    let mut world = shared.borrow_mut();
    assert_eq!(world.fleet.orders.len(), 1, "the second changes nothing");
    assert_eq!(settle(&mut world), 7, "a task is started before another is stopped");
    assert_eq!((world.on(&arn).len(), running(&world)), (1, 7));
}

#[test]
fn where_none_may_be_missing_and_none_too_many_nothing_moves() {
    let (mut world, target) = world(2, 2);
    world.services.get_mut(&target).unwrap().percents = (100, 100);
    let (arn, _) = first(&world);
    world.set_states(std::slice::from_ref(&arn), State::Draining);
    settle(&mut world);
    assert_eq!(world.on(&arn).len(), 1);
    world.services.get_mut(&target).unwrap().percents = (50, 100);
    assert_eq!(settle(&mut world), 1);
    assert_eq!((world.on(&arn).len(), running(&world)), (0, 2));
}

#[test]
fn a_hook_waits_for_as_long_as_it_hears_of_it() {
    let (mut world, _) = world(2, 2);
    let (_, id) = first(&world);
    world.terminate(&id);
    let action = waiting(&world);
    let shared = world.shared();
    let caller = Caller::direct(&shared, "test");
    let is_there = || shared.borrow().machine(&id).is_some();
    let one_second = SignedDuration::from_secs(1);
    for _ in 0..3 {
        pass(&shared, TIMEOUT - one_second);
        assert_eq!(caller.heartbeat(&action).now_or_never().unwrap(), Ok(Upheld::Done));
    }
    assert!(is_there());
    pass(&shared, TIMEOUT);
    assert!(!is_there());
    for upheld in [
        caller.heartbeat(&action).now_or_never(),
        caller.complete(&action).now_or_never(),
    ] {
        assert!(matches!(upheld.unwrap(), Ok(Upheld::Over(_))));
    }
    assert_eq!(
        shared.borrow().fleet.groups["web"].members.len(),
        2,
        "another takes its place"
    );
}

#[test]
fn a_machine_ends_when_its_hook_is_completed_with_whatever_runs_on_it() {
    let (mut world, _) = world(2, 2);
    let (arn, id) = first(&world);
    world.terminate(&id);
    let action = Waiting {
        token: None,
        ..waiting(&world)
    };
    let shared = world.shared();
    let caller = Caller::direct(&shared, "test");
    assert_eq!(caller.complete(&action).now_or_never().unwrap(), Ok(Upheld::Done));
    let world = shared.borrow();
    let orders: Vec<_> = world.fleet.orders.iter().map(|(_, _, order)| order.clone()).collect();
    assert_eq!(orders, [Order::Complete(id, 1)]);
    assert_eq!(world.fleet.machines[&arn].status, InstanceStatus::Inactive);
    let stopped = world.tasks.values().filter(|task| task.status == TaskStatus::Stopped);
    assert_eq!(stopped.count(), 1);
}

#[test]
fn what_is_unhealthy_is_replaced_and_a_group_grows() {
    let (world, _) = world(2, 2);
    let (_, id) = first(&world);
    let shared = world.shared();
    let caller = Caller::direct(&shared, "test");
    assert_eq!(caller.set_unhealthy(&id).now_or_never().unwrap(), Ok(Upheld::Done));
    assert!(matches!(
        caller.set_unhealthy("i-9").now_or_never().unwrap(),
        Ok(Upheld::Over(_))
    ));
    assert_eq!(caller.set_desired_capacity("web", 4).now_or_never().unwrap(), Ok(()));
    assert!(caller.set_desired_capacity("web", 11).now_or_never().unwrap().is_err());
    pass(&shared, SignedDuration::ZERO);
    let ids = [id.clone()];
    let found = caller.auto_scaling_instances(&ids).now_or_never().unwrap().unwrap();
    assert_eq!(found[0].lifecycle_state, "Terminating:Wait");
    assert!(found[0].is_unhealthy());
    let group = caller.auto_scaling_group("web").now_or_never().unwrap().unwrap();
    assert_eq!(group.unwrap().desired_capacity, 4);
    assert_eq!(
        shared.borrow().fleet.groups["web"].members.len(),
        5,
        "the one that goes is not counted"
    );
}

#[test]
fn what_is_told_can_be_read() {
    let (mut world, _) = world(2, 0);
    let (arn, id) = first(&world);
    world.emitted.clear();
    world.set_agent(&id, false);
    world.set_agent(&id, false);
    world.warn_of_spot(&id, "terminate");
    world.terminate(&id);
    world.lose_machine(&id);
    let kinds: Vec<_> = world
        .emitted
        .iter()
        .map(|event| match Event::parse(event).unwrap().detail {
            Detail::ContainerInstance(one) => format!("{:?} {}", one.status, one.agent_connected),
            Detail::Instance(event) => format!("{:?}", event.news),
            Detail::Lifecycle(action) => format!("{} {}", action.group, action.hook),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "Active false",
            "SpotInterruption(Terminate)",
            "web drain",
            "State(ShuttingDown)",
            "Inactive false"
        ]
    );
    let shared = world.shared();
    let caller = Caller::direct(&shared, "test");
    let all = caller
        .container_instances("prod", None)
        .now_or_never()
        .unwrap()
        .unwrap();
    assert_eq!(all.len(), 1, "{arn} is gone");
    let known = caller
        .describe_container_instances("prod", &[arn])
        .now_or_never()
        .unwrap();
    assert_eq!(known.unwrap()[0].status, InstanceStatus::Inactive);
}
