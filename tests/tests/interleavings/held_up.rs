//! What an invocation must not be held up by: what it has begun itself, and what it knows already.

use jiff::SignedDuration;
use serde_json::{Value, json};
use std::pin::pin;
use wharfinger_cloud::ports::OperationStatus;
use wharfinger_cloud::table::{AttributeValue, Key, Table, TableName, Update, number, text};
use wharfinger_cloud::world::{Caller, Fate, Gates, Operation, Shared, What, Work};
use wharfinger_core::balancing::TargetType;

use crate::stage::{self, Side};
use crate::{start, stop, world};

/// How often an operation is asked for before it is given up that anyone but it is waited for.
const PATIENCE: usize = 5;

/// Hears an event while that one operation ends, and those that the invocation begins do not.
fn hear_while_ends(world: &Shared, event: &Value, ends: &str) {
    let gates = Gates::default();
    let deadline = world.borrow().now + SignedDuration::from_mins(1);
    let caller = Caller::gated(world, "joins", gates.clone(), deadline, SignedDuration::ZERO);
    let function = stage::Function::of(Side::Discovery);
    let mut work = pin!(function.hear(&caller, event));
    let mut slept = 0;
    while stage::poll(work.as_mut()).is_pending() {
        for stop in gates.stops() {
            if let What::Sleep(_) = stop.what {
                slept += 1;
                assert!(slept < PATIENCE, "it waits for what it has begun itself");
                world.borrow_mut().map.finish(ends, true);
            }
            gates.open(stop.id, Fate::Fine);
        }
    }
    assert!(slept > 0, "nothing was in the way");
}

#[test]
fn what_it_has_registered_itself_is_not_waited_for() {
    let (mut world, target) = world(None);
    world
        .map
        .services
        .insert("srv-other".into(), std::collections::BTreeMap::new());
    let config = json!({ "discovery": [{ "to": "srv-web", "port": 8080 }, { "to": "srv-other", "port": 8080 }] });
    stage::store(&mut world, &target, config);
    let (arn, joins) = start(&mut world, &target);
    let id = arn.rsplit('/').next().unwrap().to_owned();
    world.map.operations.push(Operation {
        id: "op-in-the-way".into(),
        service_id: "srv-other".into(),
        instance_id: format!("{id}-8080"),
        work: Work::Remove,
        status: OperationStatus::Running,
    });
    let world = world.shared();
    hear_while_ends(&world, &joins, "op-in-the-way");
    stage::finish_operations(&world);
    let found = stage::members(&world.borrow());
    assert_eq!(
        found,
        [format!("srv-other/{id}-8080"), format!("srv-web/{id}-8080")].into()
    );
}

fn state_key(world: &Shared, pk: &str, of: &str) -> Key {
    let world = world.borrow();
    let mut keys = world.tables.state.keys();
    keys.find(|key| key.pk.starts_with(pk) && key.pk.contains(of))
        .unwrap()
        .clone()
}

/// An earlier task has said that it puts back what this one had in the one group, and has taken over its claim in the
/// other; an attempt for this one has died, and left its mark.
#[test]
fn what_was_put_back_is_removed_once_more_and_not_for_ever() {
    let (mut world, target) = world(Some(TargetType::Ip));
    world.make_group("jobs", TargetType::Ip, 10);
    let config = json!({ "balancing": [
        { "target-group": "web", "port": 8080 },
        { "target-group": "jobs", "port": 8080 },
    ] });
    stage::store(&mut world, &target, config);
    let (first, _) = start(&mut world, &target);
    stop(&mut world, &first);
    let (second, joins) = start(&mut world, &target);
    let leaves = stop(&mut world, &second);
    let world = world.shared();
    stage::hear_now(Side::Balancing, &world, &joins).unwrap();
    let id = second.rsplit('/').next().unwrap();
    let changes = [
        Update::of(state_key(&world, "task#", id)).put_in("attempts", "died/1"),
        Update::of(state_key(&world, "held#", "/web/")).set("back", text(&first)),
        Update::of(state_key(&world, "held#", "/jobs/"))
            .set("task", text(&first))
            .set("since", number(0))
            .set("leaves", AttributeValue::Bool(true)),
    ];
    let cloud = Caller::direct(&world, "before");
    for change in changes {
        stage::now(cloud.update(TableName::State, change)).unwrap();
    }
    stage::hear_now(Side::Balancing, &world, &leaves).unwrap();
    assert_eq!(stage::members(&world.borrow()), [].into());
}
