//! Bad input by hand: it gives a reason, never a panic.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

mod stage;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use wharfinger_cloud::world::{Shared, World};
use wharfinger_core::balancing::TargetType;
use wharfinger_core::ids::Target;

use stage::Side;

/// A world with `prod/web` in a registry and a target group; the attributes are those of its entry.
fn world(attributes: &Value) -> Shared {
    let mut world = World::new(stage::beginning());
    world.map.services.insert("srv-web".into(), BTreeMap::new());
    world.make_group("web", TargetType::Ip, 10);
    let config = json!({
        "discovery": [{ "to": "srv-web", "port": 8080, "attributes": attributes }],
        "balancing": [{ "target-group": "web", "port": 8080 }],
    });
    stage::store(&mut world, &Target::service("prod", "web"), config);
    world.shared()
}

/// The event of a task that runs, with some fields changed; `null` takes one away.
fn event(change: &Value) -> Value {
    let mut detail = json!({
        "taskArn": "arn:aws:ecs:eu-west-1:111122223333:task/prod/0123456789abcdef0123456789abcdef",
        "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod",
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7",
        "version": 3,
        "group": "service:web",
        "desiredStatus": "RUNNING",
        "lastStatus": "RUNNING",
        "startedAt": "2026-01-05T08:00:00Z",
        "attachments": [{ "type": "eni", "details": [{ "name": "privateIPv4Address", "value": "10.0.0.7" }] }],
        "containers": [{ "name": "web" }],
    });
    for (field, value) in change.as_object().unwrap() {
        detail[field] = value.clone();
    }
    json!({ "id": "1", "detail-type": "ECS Task State Change", "source": "aws.ecs", "resources": [], "detail": detail })
}

/// What is there after both functions heard it, and the reasons that the history has.
fn told(attributes: &Value, change: &Value) -> (BTreeSet<String>, String) {
    let world = world(attributes);
    let mut said = Vec::new();
    for side in Side::BOTH {
        if let Err(error) = stage::hear_now(side, &world, &event(change)) {
            said.push(error.to_string());
        }
    }
    let world = world.borrow();
    let history = world
        .tables
        .state
        .iter()
        .filter(|(key, _)| key.pk.starts_with("history"));
    said.extend(history.map(|(_, item)| format!("{item:?}")));
    (stage::members(&world), said.join("\n"))
}

#[track_caller]
fn joins(change: &Value) {
    let (found, told) = told(&json!({}), change);
    let expected = ["srv-web/0123456789abcdef0123456789abcdef-8080", "web/10.0.0.7:8080"];
    assert_eq!(found, expected.map(str::to_owned).into(), "{told}");
}

#[track_caller]
fn stays_out(change: &Value, reason: &str) {
    let (found, told) = told(&json!({}), change);
    assert_eq!(found, BTreeSet::new(), "{told}");
    assert!(told.contains(reason), "no {reason} in {told}");
}

#[test]
fn other_partitions_are_as_good() {
    for partition in ["aws-cn", "aws-us-gov"] {
        joins(&json!({
            "taskArn": format!("arn:{partition}:ecs:eu-west-1:111122223333:task/prod/0123456789abcdef0123456789abcdef"),
            "clusterArn": format!("arn:{partition}:ecs:eu-west-1:111122223333:cluster/prod"),
        }));
    }
}

#[test]
fn nonsense_is_refused() {
    for arn in [
        "",
        "prod/0123",
        "arn:aws:s3:::bucket",
        "arn::ecs:r:a:task/x/y",
        "arn:aws:ecs:r:a:task/",
        "arn:aws:ecs",
    ] {
        stays_out(&json!({ "taskArn": arn }), "taskArn");
    }
    stays_out(&json!({ "version": "three" }), "version");
    stays_out(&json!({ "group": "service:web/two" }), "is not a target");
    stays_out(&json!({ "clusterArn": 7 }), "clusterArn");
}

#[test]
fn what_a_task_lacks_is_said() {
    stays_out(&json!({ "attachments": [] }), "NoAddress");
    stays_out(&json!({ "attachments": "none" }), "NoAddress");
    joins(&json!({ "containers": [] }));
    joins(&json!({ "containers": null }));
    joins(&json!({ "startedAt": null }));
    let many: Vec<_> = (0..200).map(|n| json!({ "name": format!("c{n}") })).collect();
    joins(&json!({ "containers": many }));
}

#[test]
fn a_port_of_a_range_is_none_of_its_own() {
    let binding = json!({ "containerPortRange": "8000-8100", "hostPortRange": "32000-32100" });
    stays_out(
        &json!({
            "attachments": [],
            "containerInstanceArn": "arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/0f",
            "containers": [{ "name": "web", "networkBindings": [binding] }],
        }),
        "NoContainer",
    );
}

#[test]
fn unknown_statuses_wait() {
    stays_out(&json!({ "lastStatus": "DREAMING" }), "TaskStarting");
    stays_out(&json!({ "desiredStatus": "DREAMING" }), "TaskStarting");
    stays_out(&json!({ "lastStatus": null }), "TaskStarting");
}

#[test]
fn what_cloud_map_does_not_take_is_not_sent() {
    let long = json!({ "long": "x".repeat(1_025) });
    let many: serde_json::Map<_, _> = (0..6)
        .map(|n| (format!("many{n}"), Value::from("x".repeat(900))))
        .collect();
    for attributes in [long, many.into()] {
        let (found, told) = told(&attributes, &json!({}));
        assert_eq!(found, BTreeSet::from(["web/10.0.0.7:8080".to_owned()]), "{told}");
        assert!(told.contains("AttributeTooLong"), "{told}");
    }
}
