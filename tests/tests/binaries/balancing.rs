//! What a task's events lead to in a target group, and what that costs.

use std::time::Duration;

use serde_json::{Value, json};
use wharfinger_tests::lambda::STATE_TABLE;
use wharfinger_tests::lambda::story::{
    GROUP, address, at_address_of, configure, container_instance_arn, on_host, schedule_event, task, task_arn,
    task_event, with_balancing,
};
use wharfinger_tests::lambda::{Call, Fault, Target};

use super::{Rig, has, in_turn};

/// A function with `prod/web` configured.
fn rig() -> Rig {
    let rig = Rig::start("balancing");
    rig.lambda
        .world(|world| configure(world, "prod/web", &with_balancing()).unwrap());
    rig
}

fn targets(rig: &Rig) -> Vec<(String, u16)> {
    rig.lambda
        .world(|world| world.targets.iter().map(|t| (t.id.clone(), t.port)).collect())
}

fn joins(id: &str) -> Value {
    task_event(&task("web", id, 3, "RUNNING", "RUNNING"))
}

fn leaves(id: &str) -> Value {
    task_event(&task("web", id, 4, "RUNNING", "STOPPED"))
}

fn call<'c>(calls: &'c [Call], operation: &str) -> &'c Value {
    &calls.iter().find(|call| call.operation == operation).unwrap().input
}

#[test]
fn a_task_joins_and_leaves_at_most_three_calls_deep_once_the_configuration_is_known() {
    let rig = rig();
    // Long enough that calls made at once overlap on any machine.
    rig.lambda.latency(Duration::from_millis(150));
    let joined = rig.done(&joins("t1"));
    // The ledger, the claim on the address, and the note that something of ours is in the group. The task is settled in one
    // transaction with a look at the claim: once it is, nobody looks after what others did meanwhile.
    assert_eq!(
        in_turn(&joined),
        [
            "GetItem",
            "UpdateItem UpdateItem UpdateItem",
            "RegisterTargets",
            "PutItem TransactWriteItems"
        ]
    );
    assert_eq!(targets(&rig), [(address("t1"), 8080)]);

    // The configuration is known now, and the note is made.
    let second = rig.done(&joins("t2"));
    assert_eq!(
        in_turn(&second),
        ["UpdateItem UpdateItem", "RegisterTargets", "PutItem TransactWriteItems"]
    );

    // Whose the target is by now is read before the removal; the claim ends after it, together with the task.
    let left = rig.done(&leaves("t1"));
    assert_eq!(
        in_turn(&left),
        ["GetItem UpdateItem", "DeregisterTargets", "PutItem TransactWriteItems"]
    );
    let removal = call(&left.calls, "DeregisterTargets");
    assert_eq!(removal["TargetGroupArn"], GROUP);
    assert_eq!(removal["Targets.member.1.Id"], json!(address("t1")));
    // What was registered with a port is removed with it only.
    assert_eq!(removal["Targets.member.1.Port"], "8080");
    assert_eq!(targets(&rig), [(address("t2"), 8080)]);
}

#[test]
fn a_late_stop_leaves_the_target_to_the_task_that_has_the_address_by_now() {
    let rig = rig();
    rig.done(&joins("t1"));
    let later = at_address_of(task("web", "t2", 3, "RUNNING", "RUNNING"), "t1");
    rig.done(&task_event(&later));
    let left = rig.done(&leaves("t1"));
    assert!(
        !left.operations().contains(&"DeregisterTargets"),
        "{:?}",
        left.operations()
    );
    assert_eq!(targets(&rig), [(address("t1"), 8080)], "{}", rig.said());
    rig.process
        .line(|line| has(line, &[("message", "decision"), ("reasons", "AddressTaken")]))
        .unwrap();
    // It goes with the task that has it.
    let last = at_address_of(task("web", "t2", 4, "STOPPED", "STOPPED"), "t1");
    rig.done(&task_event(&last));
    assert_eq!(targets(&rig), []);
}

#[test]
fn a_task_on_the_network_of_its_instance_is_the_instance_and_the_port_of_the_host() {
    let rig = rig();
    let arn = container_instance_arn("c1");
    rig.lambda.world(|world| {
        world.container_instances.insert(arn.clone(), "i-0abc".into());
        world.machines.insert("i-0abc".into(), "10.1.0.7".into());
    });
    rig.lambda.latency(Duration::from_millis(150));
    let joining = |id: &str, port| task_event(&on_host(task("web", id, 3, "RUNNING", "RUNNING"), &arn, port));
    let joined = rig.done(&joining("t1", 32_768));
    // What the event does not tell is looked up, and then claimed and intended before the call.
    assert_eq!(
        in_turn(&joined),
        [
            "GetItem",
            "UpdateItem",
            "DescribeContainerInstances",
            "DescribeInstances",
            "UpdateItem",
            "UpdateItem UpdateItem",
            "RegisterTargets",
            "PutItem TransactWriteItems"
        ]
    );
    assert_eq!(targets(&rig), [("i-0abc".to_owned(), 32_768)], "{}", rig.said());
    // The instance is known now: an event of its other tasks costs what any other does.
    let second = rig.done(&joining("t2", 32_769));
    assert_eq!(
        in_turn(&second),
        ["UpdateItem UpdateItem", "RegisterTargets", "PutItem TransactWriteItems"]
    );
    let stopped = on_host(task("web", "t1", 4, "RUNNING", "STOPPED"), &arn, 32_768);
    let left = rig.done(&task_event(&stopped));
    assert_eq!(in_turn(&left).len(), 3, "{:?}", in_turn(&left));
    assert_eq!(targets(&rig), [("i-0abc".to_owned(), 32_769)]);
}

#[test]
fn a_task_that_nobody_configured_costs_one_look_up_in_thirty_seconds() {
    let rig = rig();
    let event = task_event(&task("other", "t9", 3, "RUNNING", "RUNNING"));
    assert_eq!(rig.done(&event).operations(), ["GetItem"]);
    assert!(rig.done(&event).operations().is_empty());
}

#[test]
fn copies_cost_no_call_to_the_target_group() {
    let rig = rig();
    rig.done(&joins("t1"));
    assert_eq!(rig.done(&joins("t1")).operations(), ["UpdateItem", "UpdateItem"]);
    assert_eq!(targets(&rig), [(address("t1"), 8080)]);
}

#[test]
fn what_is_in_the_way_of_a_transaction_and_an_answer_that_is_lost_are_borne() {
    let conflict = Fault::Refuse(400, "TransactionConflictException");
    let running = Fault::Refuse(400, "TransactionInProgressException");
    for (operation, fault) in [
        ("UpdateItem", conflict),
        ("TransactWriteItems", running),
        ("TransactWriteItems", Fault::Cut),
        ("TransactWriteItems", Fault::CutAfter),
    ] {
        let rig = rig();
        for event in [joins("t1"), leaves("t1")] {
            rig.lambda.fail(operation, 1, fault.clone());
            let done = rig.done(&event);
            let sent = |call: &&Call| call.operation == "TransactWriteItems";
            let sent: Vec<_> = done.calls.iter().filter(sent).map(|call| &call.input).collect();
            // What was made already is told by its token, and so is its answer.
            assert!(sent.iter().all(|input| *input == sent[0]), "{operation} {fault:?}");
            assert_eq!(sent.len(), if operation == "UpdateItem" { 1 } else { 2 }, "{fault:?}");
            rig.lambda.mend();
            let copy = rig.done(&event);
            assert!(!copy.operations().iter().any(|o| o.ends_with("Targets")), "{fault:?}");
        }
        assert_eq!(targets(&rig), []);
    }
}

#[test]
fn a_sweep_makes_good_what_no_event_told_and_leaves_what_others_registered() {
    let rig = rig();
    let foreign = Target {
        group: GROUP.into(),
        id: "10.9.9.9".into(),
        port: 80,
    };
    rig.done(&joins("t0"));
    rig.lambda.world(|world| {
        world
            .tasks
            .insert(task_arn("t0"), task("web", "t0", 9, "STOPPED", "STOPPED"));
        world
            .tasks
            .insert(task_arn("t1"), task("web", "t1", 5, "RUNNING", "RUNNING"));
        world.targets.insert(foreign);
    });
    rig.done(&schedule_event());
    let mut wanted = [(address("t1"), 8080), ("10.9.9.9".to_owned(), 80)];
    wanted.sort();
    assert_eq!(targets(&rig), wanted, "{}", rig.said());
    let claims: Vec<_> = rig.lambda.world(|world| {
        let items = world.tables.partition(STATE_TABLE, "held#balancing");
        items.map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect()
    });
    assert_eq!(claims, [GROUP], "the sweep looks there also when no target names it");
}
