use expect_test::expect;
use serde_json::json;

use super::*;

/// A cluster of so many instances, each in the group `web`.
fn cluster(capacity: Value, count: usize) -> Scene {
    let ids = (0..count).map(|i| format!("i-{i}"));
    ids.fold(Scene::new(capacity).whole(), |scene, id| {
        scene.has(&id, "ACTIVE", 1).grouped(&id, "InService")
    })
}

fn replace() -> Value {
    json!({ "disconnected": { "after": "5m", "action": "replace", "at-most": "10%" } })
}

#[test]
fn a_dead_host_is_replaced_after_two_looks_and_the_time() {
    let scene = cluster(replace(), 3).silent("i-0").stored(
        0,
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]],
    );
    let scene = scene.stored(
        299,
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]],
    );
    let scene = scene.stored(
        300,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-0
          SetInstanceHealth {"InstanceId":"i-0","HealthStatus":"Unhealthy","ShouldRespectGracePeriod":false}
        InstanceReplaced: i-0: its agent is disconnected since 2026-03-01T12:00:00Z: web replaces it
    "#]],
    );
    // The call had no effect: it is made again.
    let scene = scene.has("i-0", "DRAINING", 1).silent("i-0").stored(
        360,
        expect![[r#"
        Act, busy
          SetInstanceHealth {"InstanceId":"i-0","HealthStatus":"Unhealthy","ShouldRespectGracePeriod":false}
        TasksLeft: i-0: its agent is gone; 1 task is left
        InstanceReplaced: i-0: its group did not take it yet that it is given up
    "#]],
    );
    // It had: the group waits with it, and then it is gone.
    let mut gone = scene.clone().grouped("i-0", "Terminating");
    gone.check(
        420,
        expect![[r#"
        Wait, busy
        TasksLeft: i-0: its agent is gone; 1 task is left
    "#]],
    );
    gone.instances().remove("i-0");
    gone.check(
        480,
        expect![[r#"
        Ignore
        InstanceNotRegistered: i-0: it has left prod
    "#]],
    );
    // Its agent is back before its group took it.
    scene.has("i-0", "DRAINING", 1).check(
        420,
        expect![[r#"
        Act
          UpdateContainerInstancesState ACTIVE i-0
        InstanceReturns: i-0: it stays in prod, and takes tasks again
    "#]],
    );
}

#[test]
fn one_look_after_a_long_time_is_not_enough_and_a_short_silence_is_forgotten() {
    let scene = cluster(replace(), 3).silent("i-0").stored(
        0,
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]],
    );
    let scene = scene.has("i-0", "ACTIVE", 1).stored(
        200,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
    let scene = scene.stored(
        260,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
    scene.silent("i-0").check(
        400,
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]],
    );
}

#[test]
fn an_agent_that_was_back_between_two_looks_is_silent_anew() {
    let nothing = || {
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]]
    };
    let scene = cluster(replace(), 3).silent("i-0").version("i-0", 7);
    let scene = scene.stored(0, nothing());
    // It was connected (8) and lost its connection again (9) between two looks.
    let scene = scene.version("i-0", 9).stored(320, nothing());
    let scene = scene.stored(560, nothing());
    scene.check(
        620,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-0
          SetInstanceHealth {"InstanceId":"i-0","HealthStatus":"Unhealthy","ShouldRespectGracePeriod":false}
        InstanceReplaced: i-0: its agent is disconnected since 2026-03-01T12:05:20Z: web replaces it
    "#]],
    );
}

#[test]
fn a_share_is_replaced_at_a_time() {
    let mut scene = cluster(replace(), 20);
    for id in ["i-1", "i-2", "i-3"] {
        scene = scene.silent(id);
    }
    let scene = scene.stored(
        0,
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]],
    );
    let scene = scene.stored(300, expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1 i-2
          SetInstanceHealth {"InstanceId":"i-1","HealthStatus":"Unhealthy","ShouldRespectGracePeriod":false}
          SetInstanceHealth {"InstanceId":"i-2","HealthStatus":"Unhealthy","ShouldRespectGracePeriod":false}
        InstanceReplaced: i-1: its agent is disconnected since 2026-03-01T12:00:00Z: web replaces it; i-2: its agent is disconnected since 2026-03-01T12:00:00Z: web replaces it
        ReplacementPaced: i-3: its agent is disconnected since 2026-03-01T12:00:00Z; 2 of 20 at a time are replaced
    "#]]);
    let mut scene = scene
        .grouped("i-1", "Terminating:Wait")
        .grouped("i-2", "Terminating:Wait");
    scene.check(360, expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1 i-2
        InstanceDrains: i-1: its group waits with it, which no event told; i-2: its group waits with it, which no event told
        ReplacementPaced: i-3: its agent is disconnected since 2026-03-01T12:00:00Z; 2 of 20 at a time are replaced
    "#]]);
    scene.instances().remove("i-1");
    scene.check(
        420,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-2
        InstanceNotRegistered: i-1: it has left prod
        InstanceDrains: i-2: its group waits with it, which no event told
        ReplacementPaced: i-3: its agent is disconnected since 2026-03-01T12:00:00Z; 1 of 19 at a time are replaced
    "#]],
    );
}

#[test]
fn when_most_are_silent_no_host_is_to_blame() {
    let mut scene = cluster(replace(), 4);
    for id in ["i-0", "i-1", "i-2"] {
        scene = scene.silent(id);
    }
    let scene = scene.stored(
        0,
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]],
    );
    scene.check(
        600,
        expect![[r#"
            Ignore, busy
            ClusterDisconnected: the agents of 3 of 4 instances are disconnected: no instance is to blame, and none is replaced
        "#]],
    );
}

#[test]
fn what_is_not_to_be_replaced_is_reported() {
    let report = json!({ "disconnected": { "after": "5m" } });
    let scene = cluster(report, 3).silent("i-0").stored(
        0,
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]],
    );
    scene.check(
        300,
        expect![[r#"
        Ignore, busy
        AgentDisconnected: i-0: its agent is disconnected since 2026-03-01T12:00:00Z
    "#]],
    );
    // In no group; in one that is not known.
    let mut scene = cluster(replace(), 3).silent("i-0").stored(
        0,
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]],
    );
    scene.scaling().remove("i-0");
    scene.check(300, expect![[r#"
        Ignore, busy
        AgentDisconnected: i-0: its agent is disconnected since 2026-03-01T12:00:00Z, and it is in no Auto Scaling group: nothing would replace it
    "#]]);
    scene.facts.scaling = Known::No;
    scene.check(300, expect![[r#"
        Wait, busy
        AgentDisconnected: i-0: its agent is disconnected since 2026-03-01T12:00:00Z, and what group it is in is not known
        missing DescribeAutoScalingInstances
    "#]]);
    // Its group deals with it.
    let scene = cluster(replace(), 3).silent("i-0").stored(
        0,
        expect![[r#"
        Ignore, busy
        NothingGoes: nothing goes in prod
    "#]],
    );
    scene.grouped("i-0", "Terminating").check(300, expect![[r#"
        Ignore, busy
        AgentDisconnected: i-0: its agent is disconnected since 2026-03-01T12:00:00Z, and its group deals with it: Terminating, HEALTHY
    "#]]);
    // Nobody asked.
    cluster(json!({}), 3).silent("i-0").check(
        0,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
}
