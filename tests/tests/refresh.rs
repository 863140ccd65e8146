//! The function of capacity on the world in memory: instances that go, as their groups end them, and too few of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

#[path = "refresh/shortage.rs"]
mod shortage;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wharfinger_capacity::Capacity;
use wharfinger_cloud::config::CLUSTER_ATTRIBUTE;
use wharfinger_cloud::table::{Item, TableName, text, to_attribute};
use wharfinger_cloud::world::{Caller, Hook, HostNetwork, Order, Shared, World};
use wharfinger_core::config::Cluster;
use wharfinger_core::config::stored::CLUSTERS;
use wharfinger_core::ids::Target;

const MACHINES: u32 = 10;
const TASKS: u32 = 40;

/// A cluster whose group waits two minutes for a heartbeat, with a service of tasks on it.
fn world(capacity: &Value) -> Shared {
    let mut world = World::new("2026-03-14T09:26:53Z".parse().unwrap());
    let target = Target::service("prod", "web");
    world.host_networks.insert(target.clone(), HostNetwork::default());
    let hook = Hook {
        name: "drain".into(),
        timeout: SignedDuration::from_mins(2),
    };
    world.make_scaling_group("web", "prod", MACHINES, 30, Some(hook));
    let container = json!({ "name": "web", "image": "web:1" });
    let definition = world.define(&json!({ "family": "web", "containerDefinitions": [container] }));
    world.make_service(&target, &definition.unwrap(), TASKS, false);
    configure(&mut world, capacity);
    while move_on(&mut world, usize::MAX) > 0 {}
    world.emitted.clear();
    world.shared()
}

fn item(pk: &str, sk: &str) -> Item {
    let mut item = Item::default();
    item.insert("pk".to_owned(), text(pk));
    item.insert("sk".to_owned(), text(sk));
    item
}

/// Stores what a cluster is to have, as `wharfinger apply` does.
fn configure(world: &mut World, capacity: &Value) {
    let cluster: Cluster = serde_json::from_value(json!({ "capacity": capacity })).unwrap();
    let mut item = item(CLUSTERS, "prod");
    item.insert(CLUSTER_ATTRIBUTE.to_owned(), to_attribute("prod", &cluster).unwrap());
    world.tables.put(TableName::Config, item);
}

/// Makes so many of the moves that the world may make; answers how many.
fn move_on(world: &mut World, most: usize) -> usize {
    for made in 0..most {
        let Some(a) = world.moves().into_iter().next() else {
            return made;
        };
        world.make(&a);
    }
    most
}

fn hand(function: &Capacity, shared: &Shared, n: usize, event: &Value) {
    let caller = Caller::direct(shared, "test");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let holder = format!("attempt-{n}/0");
    let done = runtime.block_on(function.on_event(&caller, &holder, event));
    done.unwrap_or_else(|fault| panic!("{fault}: {event}"));
}

fn pass(detail: &Value) -> Value {
    json!({ "id": "tick", "detail-type": "Scheduled Event", "source": "aws.events", "detail": detail })
}

/// Plays a minute at a time: what was told is handed over, as far as it is not lost, and the passes are made.
fn play(shared: &Shared, minutes: usize, is_lost: impl Fn(&Value) -> bool) {
    let function = Capacity::default();
    let mut handed = 0;
    for minute in 0..minutes {
        loop {
            let told = std::mem::take(&mut shared.borrow_mut().emitted);
            if told.is_empty() {
                break;
            }
            // Deployments are for delivery: no rule lets them through to here.
            let ours = |event: &&Value| event["detail-type"] != "ECS Deployment State Change";
            for event in told.iter().filter(ours).filter(|event| !is_lost(event)) {
                handed += 1;
                hand(&function, shared, handed, event);
            }
        }
        let detail = if minute % 5 == 4 {
            json!({})
        } else {
            json!({ "only": "active" })
        };
        handed += 1;
        hand(&function, shared, handed, &pass(&detail));
        let mut world = shared.borrow_mut();
        move_on(&mut world, 200);
        world.now = world.now.checked_add(SignedDuration::from_mins(1)).unwrap();
        world.settle_scaling_groups();
    }
}

fn ids(shared: &Shared) -> Vec<String> {
    let world = shared.borrow();
    world.fleet.groups["web"].members.keys().cloned().collect()
}

/// How many tasks ran on each instance whose hook was completed.
fn completed(shared: &Shared) -> Vec<usize> {
    let world = shared.borrow();
    let orders = world.fleet.orders.iter();
    let left = orders.filter_map(|(_, _, order)| match order {
        Order::Complete(_, left) => Some(*left),
        _ => None,
    });
    left.collect()
}

/// How many tasks of a service run.
fn running(shared: &Shared, service: &str) -> usize {
    let world = shared.borrow();
    let tasks = world.tasks.values();
    tasks
        .filter(|task| task.target.name == service && task.is_running())
        .count()
}

#[test]
fn instances_that_go_at_once_are_empty_when_their_hooks_are_completed() {
    let shared = world(&json!({}));
    for id in ids(&shared).iter().take(4) {
        shared.borrow_mut().terminate(id);
    }
    play(&shared, 12, |_| false);
    assert_eq!(completed(&shared), [0; 4]);
    assert_eq!(u32::try_from(running(&shared, "web")), Ok(TASKS));
    let drained = shared
        .borrow()
        .fleet
        .orders
        .iter()
        .filter(|(_, _, o)| matches!(o, Order::State(..)))
        .count();
    assert!(drained <= 4, "{drained} calls");
}

#[test]
fn at_the_deadline_the_group_goes_on_with_what_runs() {
    let shared = world(&json!({ "drain": { "deadline": "3m" } }));
    // Neither may one be missing, nor one too many run.
    for service in shared.borrow_mut().services.values_mut() {
        service.percents = (100, 100);
    }
    let id = ids(&shared).remove(0);
    shared.borrow_mut().terminate(&id);
    play(&shared, 6, |_| false);
    let left = completed(&shared);
    assert!(matches!(left[..], [tasks] if tasks > 0), "{left:?}");
}

#[test]
fn a_hook_of_which_no_event_told_is_found() {
    let shared = world(&json!({ "drain": { "hooks": ["drain"] } }));
    let lost = |event: &Value| event["detail-type"] == "EC2 Instance-terminate Lifecycle Action";
    // Long enough for the pass of five minutes to see it.
    if let Some(hook) = &mut shared.borrow_mut().fleet.groups.get_mut("web").unwrap().hook {
        hook.timeout = SignedDuration::from_mins(20);
    }
    let id = ids(&shared).remove(0);
    shared.borrow_mut().terminate(&id);
    play(&shared, 15, lost);
    assert_eq!(completed(&shared), [0]);
}

#[test]
fn in_a_dry_run_nothing_is_ordered() {
    let shared = world(&json!({ "dry-run": true }));
    let id = ids(&shared).remove(0);
    shared.borrow_mut().terminate(&id);
    play(&shared, 6, |_| false);
    assert_eq!(shared.borrow().fleet.orders, []);
}

#[test]
fn a_dead_host_is_replaced_and_a_short_silence_is_not() {
    let shared = world(&json!({ "disconnected": { "after": "5m", "action": "replace" } }));
    let ids = ids(&shared);
    shared.borrow_mut().set_agent(&ids[0], false);
    shared.borrow_mut().set_agent(&ids[1], false);
    play(&shared, 2, |_| false);
    shared.borrow_mut().set_agent(&ids[1], true);
    play(&shared, 15, |_| false);
    let world = shared.borrow();
    let given_up = world.fleet.orders.iter().filter_map(|(_, _, order)| match order {
        Order::Unhealthy(id) => Some(id.clone()),
        _ => None,
    });
    assert_eq!(given_up.collect::<Vec<_>>(), [ids[0].clone()]);
    let members = &world.fleet.groups["web"].members;
    assert!(members.contains_key(&ids[1]) && !members.contains_key(&ids[0]));
}

#[test]
fn where_nothing_goes_nothing_is_ordered() {
    let shared = world(&json!({}));
    play(&shared, 6, |_| false);
    assert_eq!(shared.borrow().fleet.orders, []);
}
