//! Short histories of a count that alarms, people and schedules move.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::config::TARGET_ATTRIBUTE;
use wharfinger_cloud::table::{Item, TableName, text, to_attribute};
use wharfinger_cloud::world::{Caller, Shared, World};
use wharfinger_core::config::stored::StoredTarget;
use wharfinger_core::ids::Target;
use wharfinger_scaling::Scaling;
use wharfinger_tests::simulation::Without;
use wharfinger_tests::simulation::client::Client;

use super::stage::{self, now};

/// A service `prod/web` of two tasks, which an alarm `high` makes one more.
fn service() -> Shared {
    scaled(&json!({ "min": 1, "max": 9, "rules": [{ "alarm": "high", "add": 1 }], "cooldown": { "out": "0s" } }))
}

/// A service `prod/web` of two tasks, with an alarm `high`.
fn scaled(scaling: &Value) -> Shared {
    let mut world = World::new(Timestamp::from_second(1_767_600_000).unwrap());
    let containers = json!([{ "name": "app", "image": "web:1" }]);
    let definition = world
        .define(&json!({ "family": "web", "containerDefinitions": containers }))
        .unwrap();
    let target = Target::service("prod", "web");
    world.make_service(&target, &definition, 2, false);
    world.make_alarm("high", 70.0);
    let stored = StoredTarget::new(serde_json::from_value(json!({ "scaling": scaling })).unwrap());
    for partition in stored.partitions() {
        let mut item = Item::default();
        item.insert("pk".into(), text(partition));
        item.insert("sk".into(), text(target.key()));
        item.insert(TARGET_ATTRIBUTE.into(), to_attribute("a target", &stored).unwrap());
        world.tables.put(TableName::Config, item);
    }
    world.shared()
}

/// Puts the alarm into a state some seconds later: the event.
fn alarm(world: &Shared, value: &'static str) -> Value {
    let mut world = world.borrow_mut();
    world.now += SignedDuration::from_secs(5);
    world.set_alarm("high", value, Some(80.0));
    world.emitted.pop().unwrap()
}

fn count(world: &Shared) -> u32 {
    world.borrow().services[&Target::service("prod", "web")].desired
}

#[test]
fn a_copy_of_an_alarm_whose_end_was_lost_adds_nothing() {
    let world = service();
    let hear = |holder: &str, event: &Value| {
        now(Scaling::default().on_event(&Caller::direct(&world, holder), holder, event)).unwrap();
    };
    let first = alarm(&world, "ALARM");
    hear("a", &first);
    assert_eq!(count(&world), 3);
    let ended = alarm(&world, "OK");
    hear("b", &ended);
    let second = alarm(&world, "ALARM");
    // Another invocation has the lease: the event is merged, and left to the sweep.
    let (another, target) = (Caller::direct(&world, "c"), Target::service("prod", "web"));
    let busy = wharfinger_cloud::lease::acquire(&another, &target, "c");
    now(busy).unwrap();
    hear("d", &second);
    assert_eq!(count(&world), 3);
    let _lost = alarm(&world, "OK");
    world.borrow_mut().now += SignedDuration::from_secs(120);
    for (holder, event) in [("e", &second), ("f", &first)] {
        hear(holder, event);
        assert_eq!(count(&world), 3, "after the event that {holder} heard");
    }
}

#[test]
fn without_the_bounds_before_a_count_that_someone_set_is_moved() {
    for (without, expect) in [(None, 0), (Some(Without::Bounds), 2)] {
        let world = scaled(&json!({
            "min": 0, "max": 9, "rules": [{ "alarm": "high", "add": 1 }], "schedule": [{ "cron": "0 7 * * *", "min": 2 }],
        }));
        let sweep = |holder: &str| {
            let client = Client::new(Caller::direct(&world, holder), without);
            now(Scaling::default().on_event(&client, holder, &stage::scheduled(&json!({})))).unwrap();
        };
        sweep("a");
        assert_eq!(count(&world), 2);
        world.borrow_mut().set_count(&Target::service("prod", "web"), 0);
        stage::pass(&world, SignedDuration::from_mins(5));
        sweep("b");
        assert_eq!(count(&world), expect, "without {without:?}");
    }
}
