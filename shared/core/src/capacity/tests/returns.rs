//! Instances that go for what may pass, and whether they come back.

use expect_test::expect;
use serde_json::json;

use super::*;

#[test]
fn a_root_volume_is_replaced_and_the_instance_returns() {
    let scene = Scene::waits("ACTIVE", 1);
    let scene = scene.stored(
        1,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: web waits with it (drain)
        TasksLeft: i-1: 1 task is left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]],
    );
    let scene = scene.has("i-1", "DRAINING", 0).goes_on(60);
    // An answer from before proves nothing.
    let scene = scene.grouped("i-1", "InService").stored(
        70,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: web waits with it (drain); no task is left on it
    "#]],
    );
    let scene = scene.silent("i-1").stored(
        180,
        expect![[r#"
        Wait
        AgentDisconnected: i-1: it stays, and its agent is not back yet
    "#]],
    );
    let scene = scene.has("i-1", "DRAINING", 0).stored(
        200,
        expect![[r#"
        Act
          UpdateContainerInstancesState ACTIVE i-1
        InstanceReturns: i-1: it stays in prod, and takes tasks again
    "#]],
    );
    scene.has("i-1", "ACTIVE", 5).check(
        260,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
}

#[test]
fn one_that_returned_goes_again_with_a_new_event_and_not_with_a_late_one() {
    let scene = Scene::waits("DRAINING", 0);
    let scene = scene.goes_on(60);
    let scene = scene
        .grouped("i-1", "InService")
        .has("i-1", "ACTIVE", 5)
        .hears(&hook("i-1", 0));
    scene.check(
        320,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
    let scene = scene.grouped("i-1", "Terminating:Wait").hears(&hook("i-1", 400));
    scene.check(
        401,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: web waits with it (drain)
        TasksLeft: i-1: 5 tasks are left; web goes on at 2026-03-01T12:16:40Z at the latest
    "#]],
    );
}

#[test]
fn what_somebody_else_drained_stays_drained() {
    let scene = Scene::new(json!({}))
        .has("i-1", "DRAINING", 1)
        .grouped("i-1", "InService")
        .hears(&hook("i-1", 0));
    scene.check(
        600,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
}

#[test]
fn spot_stops_an_instance_and_it_comes_back() {
    let scene = Scene::new(json!({}))
        .has("i-1", "ACTIVE", 1)
        .hears(&spot("i-1", 0, "stop"));
    let scene = scene.stored(
        1,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: Spot stops it
    "#]],
    );
    let scene = scene.has("i-1", "DRAINING", 0).silent("i-1").stored(
        120,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: Spot stops it; no task is left on it
    "#]],
    );
    // A short disconnect is no return.
    let scene = scene.has("i-1", "DRAINING", 0).stored(
        180,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: Spot stops it; no task is left on it
    "#]],
    );
    scene.check(
        600,
        expect![[r#"
        Act
          UpdateContainerInstancesState ACTIVE i-1
        InstanceReturns: i-1: it stays in prod, and takes tasks again
    "#]],
    );
    scene
        .clone()
        .hears(&state("i-1", 130, "stopped"))
        .hears(&state("i-1", 190, "running"))
        .check(
            200,
            expect![[r#"
        Act
          UpdateContainerInstancesState ACTIVE i-1
        NothingGoes: i-1: it is running
        InstanceReturns: i-1: it stays in prod, and takes tasks again
    "#]],
        );
}

#[test]
fn an_instance_that_stopped_and_runs_again_returns_though_no_event_tells() {
    let away = Scene::new(json!({}))
        .has("i-1", "DRAINING", 0)
        .silent("i-1")
        .hears(&state("i-1", 0, "stopping"))
        .did("i-1", |did| did.drained_at = Some(at(1)));
    let waits = || {
        expect![[r#"
        Wait
        InstanceEmpty: i-1: it is stopping; no task is left on it
    "#]]
    };
    let away = away.stored(120, waits());
    let back = away.has("i-1", "DRAINING", 0);
    back.check(300, waits());
    back.check(
        600,
        expect![[r#"
        Act
          UpdateContainerInstancesState ACTIVE i-1
        NothingGoes: i-1: it is stopping
        InstanceReturns: i-1: it stays in prod, and takes tasks again
    "#]],
    );
    // What is terminated never does.
    back.hears(&state("i-1", 130, "shutting-down")).check(
        900,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: it is shutting-down; no task is left on it
    "#]],
    );
}

#[test]
fn what_takes_tasks_again_is_not_ours_any_more() {
    let nothing = || {
        expect![[r#"
        Ignore
        NothingGoes: i-1: it is running
    "#]]
    };
    // It was brought back, and the answer was lost.
    let scene = Scene::new(json!({}))
        .has("i-1", "ACTIVE", 0)
        .hears(&state("i-1", 300, "running"))
        .did("i-1", |did| did.drained_at = Some(at(1)));
    let scene = scene.stored(301, nothing());
    // Somebody else drains it.
    scene.has("i-1", "DRAINING", 0).check(400, nothing());
}

#[test]
fn what_spot_terminates_does_not_come_back() {
    let terminated = Scene::new(json!({}))
        .has("i-1", "DRAINING", 0)
        .hears(&spot("i-1", 0, "terminate"));
    terminated
        .did("i-1", |did| {
            did.drained_at = Some(at(1));
            did.seen_disconnected = Some(at(60));
        })
        .check(
            3_600,
            expect![[r#"
        Wait
        InstanceEmpty: i-1: Spot terminates it; no task is left on it
    "#]],
        );
}

#[test]
fn a_scheduled_change_is_drained_for_in_time_and_the_instance_returns() {
    let hour = 3_600;
    let scene = Scene::new(json!({}))
        .has("i-1", "ACTIVE", 1)
        .hears(&health("i-1", 0, 3 * hour, 4 * hour, "upcoming"));
    scene.check(
        hour,
        expect![[r#"
        Wait
        MaintenanceLater: i-1: REBOOT begins at 2026-03-01T15:00:00Z: it is drained 1h before
    "#]],
    );
    let scene = scene.stored(
        2 * hour,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: REBOOT from 2026-03-01T15:00:00Z on
    "#]],
    );
    let away = scene.clone().has("i-1", "DRAINING", 0).silent("i-1").stored(
        3 * hour + 60,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: REBOOT from 2026-03-01T15:00:00Z on; no task is left on it
    "#]],
    );
    let back = away.has("i-1", "DRAINING", 0);
    back.check(
        3 * hour + 120,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: REBOOT from 2026-03-01T15:00:00Z on; no task is left on it
    "#]],
    );
    back.check(
        4 * hour,
        expect![[r#"
        Act
          UpdateContainerInstancesState ACTIVE i-1
        NothingGoes: i-1: REBOOT is through
        InstanceReturns: i-1: it stays in prod, and takes tasks again
    "#]],
    );
    // It is called off.
    let off = scene
        .has("i-1", "DRAINING", 0)
        .hears(&health("i-1", 2 * hour + 60, 3 * hour, 4 * hour, "closed"));
    off.check(
        2 * hour + 61,
        expect![[r#"
        Act
          UpdateContainerInstancesState ACTIVE i-1
        InstanceReturns: i-1: it stays in prod, and takes tasks again
    "#]],
    );
}

#[test]
fn a_scheduled_change_may_be_ignored() {
    let hour = 3_600;
    let ignored = Scene::new(json!({ "maintenance": { "action": "ignore" } })).has("i-1", "ACTIVE", 1);
    ignored.hears(&health("i-1", 0, hour, hour, "open")).check(
        hour,
        expect![[r#"
        Ignore
        MaintenanceIgnored: i-1: REBOOT is ignored
    "#]],
    );
}
