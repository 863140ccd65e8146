//! What a task's events lead to, and what that costs.

use std::time::Duration;

use serde_json::json;
use wharfinger_tests::lambda::story::{
    REGISTRY, address, at_address_of, configure, schedule_event, task, task_arn, task_event, waiting_event,
    with_discovery,
};
use wharfinger_tests::lambda::{STATE_TABLE, plain};

use super::{Rig, in_turn};

/// A function with `prod/web` configured.
fn rig() -> Rig {
    let rig = Rig::start("discovery");
    rig.lambda
        .world(|world| configure(world, "prod/web", &with_discovery()).unwrap());
    rig
}

#[test]
fn a_task_that_runs_is_registered_at_most_four_calls_deep() {
    let rig = rig();
    // Long enough that calls made at once overlap on any machine.
    rig.lambda.latency(Duration::from_millis(150));
    let joined = rig.done(&task_event(&task("web", "t1", 3, "RUNNING", "RUNNING")));
    // The ledger, the claim on the address, and the note that something of ours is in the registry.
    assert_eq!(
        in_turn(&joined),
        [
            "GetItem",
            "UpdateItem UpdateItem UpdateItem",
            "RegisterInstance",
            "PutItem UpdateItem"
        ]
    );

    let key = (REGISTRY.to_owned(), "t1-8080".to_owned());
    let attributes = rig.lambda.world(|world| world.instances[&key].clone());
    let attribute = |name: &str| attributes.get(name).map(String::as_str);
    assert_eq!(attribute("AWS_INSTANCE_IPV4"), Some(address("t1").as_str()));
    assert_eq!(attribute("AWS_INSTANCE_PORT"), Some("8080"));
    assert_eq!(attribute("lane"), Some("blue"));
    assert_eq!(attribute("WHARFINGER_OWNER"), Some("wharfinger"));
    assert_eq!(attribute("WHARFINGER_TASK"), Some(task_arn("t1").as_str()));

    // The configuration is known now, and the note is made.
    let second = rig.done(&task_event(&task("web", "t2", 3, "RUNNING", "RUNNING")));
    assert_eq!(
        in_turn(&second),
        ["UpdateItem UpdateItem", "RegisterInstance", "PutItem UpdateItem"]
    );
}

#[test]
fn a_task_leaves_at_most_three_calls_deep() {
    let rig = rig();
    rig.done(&task_event(&task("web", "t1", 3, "RUNNING", "RUNNING")));
    rig.lambda.latency(Duration::from_millis(150));
    let left = rig.done(&task_event(&task("web", "t1", 4, "RUNNING", "STOPPED")));
    assert_eq!(
        in_turn(&left),
        ["UpdateItem", "DeregisterInstance", "PutItem UpdateItem UpdateItem"]
    );
}

#[test]
fn an_endpoint_at_an_address_that_is_anothers_by_now_goes() {
    let rig = rig();
    rig.done(&task_event(&task("web", "t1", 3, "RUNNING", "RUNNING")));
    let later = at_address_of(task("web", "t2", 3, "RUNNING", "RUNNING"), "t1");
    rig.done(&task_event(&later));
    assert_eq!(rig.instances(), ["t2-8080"], "{}", rig.said());
    rig.done(&task_event(&task("web", "t1", 4, "STOPPED", "STOPPED")));
    assert_eq!(rig.instances(), ["t2-8080"]);
}

#[test]
fn a_task_that_waits_to_be_healthy_is_found_by_the_look_every_minute() {
    let rig = Rig::start("discovery");
    let config = json!({ "discovery": [{ "to": REGISTRY, "port": 8080, "when": "healthy" }] });
    let mut running = task("web", "t1", 3, "RUNNING", "RUNNING");
    running["healthStatus"] = json!("UNKNOWN");
    rig.lambda.world(|world| {
        configure(world, "prod/web", &config).unwrap();
        world.tasks.insert(task_arn("t1"), running.clone());
    });
    rig.done(&task_event(&task("web", "t1", 3, "RUNNING", "RUNNING")));
    assert!(rig.instances().is_empty());
    rig.done(&waiting_event());
    assert!(rig.instances().is_empty(), "it is not healthy yet");

    running["healthStatus"] = json!("HEALTHY");
    rig.lambda.world(|world| world.tasks.insert(task_arn("t1"), running));
    rig.done(&waiting_event());
    assert_eq!(rig.instances(), ["t1-8080"], "{}", rig.said());
    // Nobody waits any more: the next look is one read.
    assert_eq!(rig.done(&waiting_event()).operations(), ["Query"]);
}

#[test]
fn a_task_leaves_at_the_first_sign_and_its_history_says_so() {
    let rig = rig();
    rig.done(&task_event(&task("web", "t1", 3, "RUNNING", "RUNNING")));
    assert_eq!(rig.instances(), ["t1-8080"]);
    let left = rig.done(&task_event(&task("web", "t1", 4, "RUNNING", "STOPPED")));
    assert_eq!(
        left.operations(),
        [
            "DeregisterInstance",
            "PutItem",
            "UpdateItem",
            "UpdateItem",
            "UpdateItem"
        ]
    );
    assert!(rig.instances().is_empty());

    // A tombstone: whatever comes late finds it.
    let ledger = rig
        .lambda
        .world(|world| world.tables.get(STATE_TABLE, "task#prod/t1", "discovery").cloned())
        .unwrap();
    assert_eq!(ledger["order"], ledger["settled"]);
    let records: Vec<_> = rig.lambda.world(|world| {
        let items = world.tables.partition(STATE_TABLE, "history#prod/web");
        items.map(|item| plain(&item["record"]).unwrap()).collect()
    });
    let calls: Vec<_> = records
        .iter()
        .map(|record| record["actions"][0]["call"].as_str().unwrap())
        .collect();
    assert_eq!(calls, ["RegisterInstance", "DeregisterInstance"]);
    let late = rig.done(&task_event(&task("web", "t1", 3, "RUNNING", "RUNNING")));
    // Its claim on the address is made beside the merge, and taken back.
    assert_eq!(late.operations(), ["UpdateItem", "UpdateItem", "UpdateItem"]);
    assert!(rig.instances().is_empty());
}

#[test]
fn a_task_that_never_joined_leaves_without_a_call_to_cloud_map() {
    let rig = rig();
    let left = rig.done(&task_event(&task("web", "t1", 4, "STOPPED", "STOPPED")));
    assert_eq!(left.operations(), ["GetItem", "PutItem", "UpdateItem", "UpdateItem"]);
    rig.process
        .line(|line| super::has(line, &[("message", "decision"), ("reasons", "NeverJoined")]))
        .unwrap();
}

#[test]
fn copies_and_older_events_cost_no_call_to_cloud_map() {
    let rig = rig();
    let joining = task_event(&task("web", "t1", 3, "RUNNING", "RUNNING"));
    rig.done(&joining);
    assert_eq!(rig.done(&joining).operations(), ["UpdateItem", "UpdateItem"]);
    let older = task_event(&task("web", "t1", 2, "PENDING", "RUNNING"));
    assert_eq!(rig.done(&older).operations(), ["UpdateItem"]);
    assert_eq!(rig.instances(), ["t1-8080"]);
    rig.process
        .line(|line| super::has(line, &[("outcome", "stale"), ("reasons", "DuplicateEvent")]))
        .unwrap();
    rig.process
        .line(|line| super::has(line, &[("outcome", "stale"), ("reasons", "StaleEvent")]))
        .unwrap();
}

#[test]
fn a_task_that_nobody_configured_costs_one_look_up_in_thirty_seconds() {
    let rig = rig();
    let event = task_event(&task("other", "t9", 3, "RUNNING", "RUNNING"));
    assert_eq!(rig.done(&event).operations(), ["GetItem"]);
    assert!(rig.done(&event).operations().is_empty());
}

#[test]
fn a_sweep_makes_good_what_no_event_told() {
    let rig = rig();
    let described = task("web", "t1", 5, "RUNNING", "RUNNING");
    rig.lambda.world(|world| {
        world.tasks.insert(task_arn("t1"), described);
        let ghost = task("web", "t0", 9, "STOPPED", "STOPPED");
        world.tasks.insert(task_arn("t0"), ghost);
        let mark = [
            ("WHARFINGER_OWNER", "wharfinger".to_owned()),
            ("WHARFINGER_TASK", task_arn("t0")),
        ];
        let mark = mark.map(|(name, value)| (name.to_owned(), value)).into();
        world
            .instances
            .insert((REGISTRY.to_owned(), "t0-8080".to_owned()), mark);
        world
            .instances
            .insert((REGISTRY.to_owned(), "somebody-else".to_owned()), [].into());
    });
    rig.done(&schedule_event());
    assert_eq!(rig.instances(), ["somebody-else", "t1-8080"]);
}
