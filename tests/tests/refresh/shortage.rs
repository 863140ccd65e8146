//! Tasks that find no place: the group grows once within the cooldown, whatever dies on the way, and a twin takes those for
//! which Spot has no room.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_capacity::Capacity;
use wharfinger_cloud::config::TARGET_ATTRIBUTE;
use wharfinger_cloud::ports::ServiceChange;
use wharfinger_cloud::table::{TableName, to_attribute};
use wharfinger_cloud::world::{Caller, Change, Fate, Gates, HostNetwork, Order, PortMapping, Shared, World};
use wharfinger_core::capacity::CapacityProvider;
use wharfinger_core::config::stored::StoredTarget;
use wharfinger_core::ids::Target;
use wharfinger_tests::simulation::poll;

use super::{configure, hand, item, move_on, play, running};

const MACHINES: u32 = 4;

/// A service of tasks of which an instance takes one, for they have a port of it.
fn service(world: &mut World, tasks: u32) -> Target {
    let target = Target::service("prod", "web");
    let port = PortMapping {
        container: "web".into(),
        container_port: 80,
        host_port: Some(80),
    };
    let network = HostNetwork {
        ports: vec![port],
        ..HostNetwork::default()
    };
    world.host_networks.insert(target.clone(), network);
    make(world, &target, tasks);
    target
}

fn make(world: &mut World, target: &Target, tasks: u32) {
    let container = json!({ "name": "web", "image": "web:1" });
    let definition = world.define(&json!({ "family": target.name, "containerDefinitions": [container] }));
    world.make_service(target, &definition.unwrap(), tasks, false);
}

/// What ECS tells of a service whose tasks find no place.
fn failure(at: Timestamp) -> Value {
    json!({
        "id": format!("failure-{at}"),
        "detail-type": "ECS Service Action",
        "source": "aws.ecs",
        "time": at.to_string(),
        "resources": ["arn:aws:ecs:eu-west-1:111122223333:service/prod/web"],
        "detail": {
            "eventType": "ERROR",
            "eventName": "SERVICE_TASK_PLACEMENT_FAILURE",
            "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod",
            "reason": "RESOURCE:PORTS",
            "createdAt": at.to_string(),
        },
    })
}

/// Six tasks, and room for four of them.
fn crowded(capacity: &Value) -> Shared {
    let mut world = World::new("2026-03-14T09:26:53Z".parse().unwrap());
    service(&mut world, MACHINES + 2);
    world.make_scaling_group("web", "prod", MACHINES, 10, None);
    configure(&mut world, capacity);
    while move_on(&mut world, usize::MAX) > 0 {}
    world.emitted.clear();
    world.shared()
}

fn raises(shared: &Shared) -> Vec<(Timestamp, u32)> {
    let world = shared.borrow();
    let orders = world.fleet.orders.iter();
    let raises = orders.filter_map(|(at, _, order)| match order {
        Order::Capacity(_, desired) => Some((*at, *desired)),
        _ => None,
    });
    raises.collect()
}

/// An invocation that dies once so many of its calls were made; `false` when it came to its end before.
fn dies_after(shared: &Shared, calls: usize, event: &Value) -> bool {
    let gates = Gates::default();
    let deadline = shared.borrow().now + SignedDuration::from_mins(1);
    let caller = Caller::gated(shared, "dies", gates.clone(), deadline, SignedDuration::ZERO);
    let function = Capacity::default();
    let mut work = Box::pin(function.on_event(&caller, "dies/0", event));
    let mut made = 0;
    while poll(work.as_mut()).is_pending() {
        let Some(stop) = gates.stops().into_iter().next().filter(|_| made < calls) else {
            return true;
        };
        made += 1;
        gates.open(stop.id, Fate::Fine);
    }
    false
}

#[test]
fn a_group_grows_once_within_the_cooldown_whatever_dies_on_the_way() {
    let rule = json!({ "auto-scaling-group": "web", "add": 1, "max": 20, "cooldown": "5m" });
    let mut crashes = 0;
    loop {
        let shared = crowded(&json!({ "placement": rule }));
        let event = failure(shared.borrow().now);
        let died = dies_after(&shared, crashes, &event);
        play(&shared, 2, |_| false);
        // It is tried again, comes a second time, and others follow.
        hand(&Capacity::default(), &shared, 100, &event);
        for _ in 0..16 {
            hand(&Capacity::default(), &shared, 101, &event);
            let again = failure(shared.borrow().now);
            hand(&Capacity::default(), &shared, 102, &again);
            play(&shared, 1, |_| false);
        }
        let raised = raises(&shared);
        let [(first, 5), (second, 6)] = raised[..] else {
            panic!("after {crashes} calls: {raised:?}");
        };
        let apart = second.duration_since(first);
        assert!(apart >= SignedDuration::from_mins(5), "after {crashes} calls: {apart}");
        assert_eq!(running(&shared, "web"), 6, "after {crashes} calls");
        if !died {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 10, "{crashes} calls");
}

#[test]
fn a_group_grows_to_its_bounds_and_not_for_what_was_long_ago() {
    let rule = json!({ "auto-scaling-group": "web", "add": 5, "max": 5, "cooldown": "1m" });
    let shared = crowded(&json!({ "placement": rule }));
    let event = failure(shared.borrow().now);
    hand(&Capacity::default(), &shared, 100, &event);
    play(&shared, 10, |_| false);
    assert_eq!(raises(&shared).iter().map(|(_, to)| *to).collect::<Vec<_>>(), [5]);

    // There is a place by now, and the event comes late.
    let shared = crowded(&json!({ "placement": { "auto-scaling-group": "web", "max": 20 } }));
    let event = failure(shared.borrow().now);
    {
        let mut world = shared.borrow_mut();
        world.now += SignedDuration::from_mins(30);
        world.fleet.groups.get_mut("web").unwrap().desired += 2;
        world.settle_scaling_groups();
    }
    hand(&Capacity::default(), &shared, 100, &event);
    play(&shared, 3, |_| false);
    assert_eq!(raises(&shared), []);
}

#[test]
fn in_a_dry_run_no_group_grows() {
    let rule = json!({ "auto-scaling-group": "web", "max": 20 });
    let shared = crowded(&json!({ "dry-run": true, "placement": rule }));
    let event = failure(shared.borrow().now);
    hand(&Capacity::default(), &shared, 100, &event);
    play(&shared, 6, |_| false);
    assert_eq!(raises(&shared), []);
}

/// A service with a twin that runs anywhere, both at rest. Its capacity provider's group is Spot, is not, or nobody knows.
fn with_twin(spot: Option<bool>) -> (Shared, Vec<String>) {
    let mut world = World::new("2026-03-14T09:26:53Z".parse().unwrap());
    let target = service(&mut world, MACHINES);
    make(&mut world, &Target::service("prod", "web-on-demand"), 0);
    let provider = CapacityProvider {
        name: "web".into(),
        auto_scaling_group: Some("web".into()),
        ..CapacityProvider::default()
    };
    world.fleet.providers.insert(provider.name.clone(), provider);
    world.make_scaling_group("web", "prod", 0, 9, None);
    world.fleet.groups.get_mut("web").unwrap().spot = spot;
    let strategy = json!([{ "capacity-provider": "web", "weight": 1 }]);
    world.services.get_mut(&target).unwrap().strategy = serde_json::from_value(strategy).unwrap();
    let ids = (0..MACHINES).map(|_| {
        let arn = world.make_machine("prod");
        world.fleet.machines[&arn].id.clone()
    });
    let ids = ids.collect();
    configure(&mut world, &json!({}));
    let config = json!({
        "capacity": { "spot": { "fallback": { "twin": "prod/web-on-demand" }, "after": "2m", "return-after": "10m" } },
    });
    let stored = StoredTarget::new(serde_json::from_value(config).unwrap());
    for partition in stored.partitions() {
        let mut item = item(&partition, &target.key());
        item.insert(TARGET_ATTRIBUTE.to_owned(), to_attribute("a target", &stored).unwrap());
        world.tables.put(TableName::Config, item);
    }
    while move_on(&mut world, usize::MAX) > 0 {}
    world.emitted.clear();
    (world.shared(), ids)
}

/// The counts that were set, of which service.
fn counts(shared: &Shared) -> Vec<(String, u32)> {
    let world = shared.borrow();
    let set = world.journal.iter().filter_map(|did| match &did.change {
        Change::UpdateService {
            target,
            change: ServiceChange::DesiredCount(count),
            ..
        } => Some((target.name.clone(), *count)),
        _ => None,
    });
    set.collect()
}

#[test]
fn a_twin_takes_what_spot_has_no_room_for_and_gives_it_back() {
    let (shared, ids) = with_twin(Some(true));
    let has = |counts_set: &[u32], own: usize, twin: usize| {
        let set = counts_set.iter().map(|count| ("web-on-demand".to_owned(), *count));
        assert_eq!(counts(&shared), set.collect::<Vec<_>>());
        assert_eq!(
            (running(&shared, "web"), running(&shared, "web-on-demand")),
            (own, twin)
        );
    };
    for id in &ids[..2] {
        shared.borrow_mut().end_machine(id);
    }
    let event = failure(shared.borrow().now);
    hand(&Capacity::default(), &shared, 100, &event);
    play(&shared, 2, |_| false);
    has(&[], 2, 0);
    play(&shared, 2, |_| false);
    has(&[2], 2, 2);
    // It comes back bit by bit: the twin keeps what it has until that has lasted.
    shared.borrow_mut().make_machine("prod");
    play(&shared, 9, |_| false);
    has(&[2], 3, 2);
    play(&shared, 4, |_| false);
    has(&[2, 1], 3, 1);
    shared.borrow_mut().make_machine("prod");
    play(&shared, 9, |_| false);
    has(&[2, 1], 4, 1);
    play(&shared, 4, |_| false);
    has(&[2, 1, 0], 4, 0);
    play(&shared, 15, |_| false);
    has(&[2, 1, 0], 4, 0);
}

#[test]
fn a_twin_takes_nothing_of_a_service_that_is_not_on_spot() {
    for (spot, expected) in [(Some(false), vec![]), (None, vec![("web-on-demand".to_owned(), 2)])] {
        let (shared, ids) = with_twin(spot);
        for id in &ids[..2] {
            shared.borrow_mut().end_machine(id);
        }
        let event = failure(shared.borrow().now);
        hand(&Capacity::default(), &shared, 100, &event);
        play(&shared, 6, |_| false);
        assert_eq!(counts(&shared), expected, "{spot:?}");
    }
}
