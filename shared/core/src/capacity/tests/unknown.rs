//! Facts that are missing are asked for, once something depends on them.

use expect_test::expect;
use serde_json::json;

use super::*;

#[test]
fn what_is_not_known_is_asked_for() {
    let mut scene = Scene::new(json!({})).hears(&hook("i-1", 0));
    scene.facts.instances = Known::No;
    scene.check(
        1,
        expect![[r#"
        Wait, busy
        FactsMissing: which container instances of prod these are is not known
        missing ListContainerInstances, DescribeContainerInstances
    "#]],
    );
    scene.facts.going.clear();
    scene.check(
        1,
        expect![[r#"
        Ignore
        NothingGoes: nothing is known to go in prod
    "#]],
    );
    // An event of the container instance says no counts.
    let mut scene = Scene::new(json!({})).has("i-1", "DRAINING", 0).hears(&hook("i-1", 0));
    let instance = scene.instances().get_mut("i-1").unwrap();
    (instance.running_tasks_count, instance.pending_tasks_count) = (None, None);
    scene.check(
        1,
        expect![[r#"
        Wait, busy
        TasksLeft: i-1: how many tasks are left is not known; web goes on at 2026-03-01T12:10:00Z at the latest
        missing DescribeContainerInstances
    "#]],
    );
}

#[test]
fn an_instance_is_empty_once_it_is_known_that_no_task_is_stopping() {
    let mut scene = Scene::new(json!({})).has("i-1", "DRAINING", 0).hears(&hook("i-1", 0));
    scene.facts.leaving = Known::No;
    scene.check(
        1,
        expect![[r#"
        Wait, busy
        TasksLeft: i-1: whether tasks are still stopping is not known; web goes on at 2026-03-01T12:10:00Z at the latest
        missing DescribeTasks, ListTasks
    "#]],
    );
    scene.check(600, expect![[r#"
        Act, busy
          CompleteLifecycleAction {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionToken":"drain-i-1-0","LifecycleActionResult":"CONTINUE"}
        DeadlineReached: i-1: 10m have passed since 2026-03-01T12:00:00Z, and whether tasks are still stopping is not known: web goes on (drain)
    "#]]);
    // Nobody waits for those.
    let mut spot = Scene::new(json!({}))
        .has("i-1", "DRAINING", 0)
        .hears(&spot("i-1", 0, "terminate"));
    spot.facts.leaving = Known::No;
    spot.check(
        1,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: Spot terminates it; no task is left on it
    "#]],
    );
    // Before it drains nothing is asked.
    scene.has("i-1", "ACTIVE", 0).check(
        1,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: web waits with it (drain)
        TasksLeft: i-1: no task is left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]],
    );
}

#[test]
fn what_the_configuration_ignores_needs_no_facts() {
    let check = |capacity: Value, event: Event, expected: Expect| {
        let mut scene = Scene::new(capacity).hears(&event);
        scene.facts.instances = Known::No;
        scene.check(0, expected);
    };
    check(
        json!({}),
        rebalance("i-1", 0),
        expect![[r#"
        Ignore
        RebalanceIgnored: i-1: Spot may take it back: most are not taken, so this is ignored
    "#]],
    );
    check(
        json!({ "spot": { "rebalance": "drain" } }),
        rebalance("i-1", 0),
        expect![[r#"
            Wait, busy
            FactsMissing: which container instances of prod these are is not known
            missing ListContainerInstances, DescribeContainerInstances
        "#]],
    );
    check(
        json!({ "drain": { "hooks": ["other"] } }),
        hook("i-1", 0),
        expect![[r#"
            Ignore
            HookNotOurs: i-1: the hook drain is not among those that are ours
        "#]],
    );
    let later = health("i-1", 0, 7200, 9000, "open");
    check(
        json!({}),
        later.clone(),
        expect![[r#"
        Wait
        MaintenanceLater: i-1: REBOOT begins at 2026-03-01T14:00:00Z: it is drained 1h before
    "#]],
    );
    check(
        json!({ "maintenance": { "action": "ignore" } }),
        later,
        expect![[r#"
            Ignore
            MaintenanceIgnored: i-1: REBOOT is ignored
        "#]],
    );
}
