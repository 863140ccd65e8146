//! Instances that go: in which order, by which calls, and until when.

use expect_test::expect;
use serde_json::json;

use super::*;

fn task(id: &str, service: Option<&str>) -> TaskOn {
    TaskOn {
        arn: format!("arn:aws:ecs:eu-west-1:111122223333:task/prod/{id}"),
        service: service.map(|name| Target::service("prod", name)),
    }
}

#[test]
fn an_action_that_no_event_told_is_found_after_one_that_was() {
    let scene = Scene::new(json!({ "drain": { "hooks": ["drain"] } }))
        .has("i-1", "DRAINING", 0)
        .grouped("i-1", "Terminating:Wait")
        .hears(&hook("i-1", 0))
        .did("i-1", |did| {
            did.completed.insert("drain-i-1-0".into(), at(10));
        });
    // What its group says may be of before it was told to go on.
    assert_eq!(scene.decide(60).decision.actions, []);
    let scene = scene.grouped("i-1", "InService").stored(
        200,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
    let scene = scene.grouped("i-1", "Terminating:Wait").has("i-1", "ACTIVE", 1);
    let scene = scene.stored(
        4000,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: web waits with it (drain)
        TasksLeft: i-1: 1 task is left; web goes on at 2026-03-01T13:16:40Z at the latest
    "#]],
    );
    let scene = scene.has("i-1", "DRAINING", 0).stored(4060, expect![[r#"
        Act, busy
          CompleteLifecycleAction {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionResult":"CONTINUE"}
        InstanceEmpty: i-1: no task is left on it: web goes on (drain)
    "#]]);
    scene.check(
        4061,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: web waits with it (drain); no task is left on it
    "#]],
    );
}

#[test]
fn an_empty_instance_does_not_let_the_others_out_of_sight() {
    let scene = Scene::new(json!({}))
        .has("i-1", "DRAINING", 1)
        .has("i-2", "DRAINING", 0)
        .hears(&hook("i-1", 0))
        .hears(&spot("i-2", 0, "terminate"));
    assert!(scene.decide(30).busy);
    let empty = Scene::new(json!({}))
        .has("i-2", "DRAINING", 0)
        .hears(&spot("i-2", 0, "terminate"));
    assert!(!empty.decide(30).busy);
}

#[test]
fn a_task_that_stops_is_left_though_ecs_does_not_count_it() {
    let scene = Scene::new(json!({}))
        .has("i-1", "DRAINING", 0)
        .has("i-2", "DRAINING", 1)
        .has("i-3", "DRAINING", 0)
        .grouped("i-1", "Terminating:Wait")
        .hears(&hook("i-1", 0))
        .hears(&hook("i-2", 0))
        .hears(&spot("i-3", 0, "terminate"));
    // Where ECS counts tasks they are left anyway, and where nobody waits nothing depends on it.
    assert_eq!(scene.facts.asks_leaving(at(30)), [arn("i-1")]);
    let scene = scene.leaving("i-1", 1);
    scene.check(30, expect![[r#"
        Wait, busy
        TasksLeft: i-1: 1 task is left; web goes on at 2026-03-01T12:10:00Z at the latest; i-2: 1 task is left; web goes on at 2026-03-01T12:10:00Z at the latest
        InstanceEmpty: i-3: Spot terminates it; no task is left on it
    "#]]);
    scene.leaving("i-1", 0).check(31, expect![[r#"
        Act, busy
          CompleteLifecycleAction {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionToken":"drain-i-1-0","LifecycleActionResult":"CONTINUE"}
        InstanceEmpty: i-1: no task is left on it: web goes on (drain); i-3: Spot terminates it; no task is left on it
        TasksLeft: i-2: 1 task is left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]]);
}

#[test]
fn a_hook_is_drained_for_heartbeaten_and_completed_when_empty() {
    let scene = Scene::waits("ACTIVE", 3);
    let scene = scene.stored(
        1,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: web waits with it (drain)
        TasksLeft: i-1: 3 tasks are left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]],
    );
    // A copy of the event; ECS has not taken it in yet, or has.
    let scene = scene.has("i-1", "DRAINING", 3).hears(&hook("i-1", 0)).stored(
        2,
        expect![[r#"
        Wait, busy
        TasksLeft: i-1: 3 tasks are left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]],
    );
    let scene = scene.has("i-1", "DRAINING", 1).stored(60, expect![[r#"
        Act, busy
          RecordLifecycleActionHeartbeat {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionToken":"drain-i-1-0"}
        TasksLeft: i-1: 1 task is left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]]);
    scene.check(
        90,
        expect![[r#"
        Wait, busy
        TasksLeft: i-1: 1 task is left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]],
    );
    let scene = scene.stored(120, expect![[r#"
        Act, busy
          RecordLifecycleActionHeartbeat {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionToken":"drain-i-1-0"}
        TasksLeft: i-1: 1 task is left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]]);
    scene.has("i-1", "DRAINING", 0).check(130, expect![[r#"
        Act, busy
          CompleteLifecycleAction {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionToken":"drain-i-1-0","LifecycleActionResult":"CONTINUE"}
        InstanceEmpty: i-1: no task is left on it: web goes on (drain)
    "#]]);
}

#[test]
fn until_it_is_terminated_nothing_is_done_twice() {
    let scene = Scene::waits("DRAINING", 0);
    let scene = scene.goes_on(130);
    let scene = scene.hears(&hook("i-1", 0)).stored(
        131,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: web waits with it (drain); no task is left on it
    "#]],
    );
    let mut scene = scene.hears(&state("i-1", 140, "shutting-down"));
    scene.instances().clear();
    let scene = scene.stored(
        150,
        expect![[r#"
        Ignore
        InstanceNotRegistered: i-1: it has left prod
    "#]],
    );
    scene.check(
        160,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
}

#[test]
fn at_the_deadline_a_hook_is_completed_whatever_runs() {
    let scene = Scene::new(json!({ "drain": { "deadline": "5m" } }))
        .has("i-1", "DRAINING", 2)
        .hears(&hook("i-1", 0));
    scene.check(299, expect![[r#"
        Act, busy
          RecordLifecycleActionHeartbeat {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionToken":"drain-i-1-0"}
        TasksLeft: i-1: 2 tasks are left; web goes on at 2026-03-01T12:05:00Z at the latest
    "#]]);
    let scene = scene.stored(300, expect![[r#"
        Act, busy
          CompleteLifecycleAction {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionToken":"drain-i-1-0","LifecycleActionResult":"CONTINUE"}
        DeadlineReached: i-1: 5m have passed since 2026-03-01T12:00:00Z, and 2 tasks are left: web goes on (drain)
    "#]]);
    scene.check(
        360,
        expect![[r#"
        Wait, busy
        TasksLeft: i-1: web waits with it (drain); 2 tasks are left
    "#]],
    );
    // Nothing was done before: it is drained all the same.
    let late = Scene::new(json!({})).has("i-1", "ACTIVE", 2).hears(&hook("i-1", 0));
    late.check(3_600, expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
          CompleteLifecycleAction {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionToken":"drain-i-1-0","LifecycleActionResult":"CONTINUE"}
        InstanceDrains: i-1: web waits with it (drain)
        DeadlineReached: i-1: 10m have passed since 2026-03-01T12:00:00Z, and 2 tasks are left: web goes on (drain)
    "#]]);
}

#[test]
fn all_that_go_are_drained_first_with_the_fewest_calls() {
    let mut scene = Scene::new(json!({}));
    for i in 1..=12 {
        let id = format!("i-{i}");
        scene = scene.has(&id, "ACTIVE", 1).hears(&spot(&id, 0, "terminate"));
    }
    scene = scene.has("i-a", "DRAINING", 0).hears(&hook("i-a", 0));
    scene.check(1, expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1 i-10 i-11 i-12 i-2 i-3 i-4 i-5 i-6 i-7
          UpdateContainerInstancesState DRAINING i-8 i-9
          CompleteLifecycleAction {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-a","LifecycleActionToken":"drain-i-a-0","LifecycleActionResult":"CONTINUE"}
        InstanceDrains: i-1: Spot terminates it; i-10: Spot terminates it; i-11: Spot terminates it; i-12: Spot terminates it; i-2: Spot terminates it; and 7 more
        InstanceEmpty: i-a: no task is left on it: web goes on (drain)
    "#]]);
}

#[test]
fn other_hooks_are_not_ours() {
    let named = json!({ "drain": { "hooks": ["drain"] } });
    let scene = Scene::new(named.clone())
        .has("i-1", "ACTIVE", 1)
        .hears(&hook_of("logs", "i-1", 0));
    scene.check(
        1,
        expect![[r#"
        Ignore
        HookNotOurs: i-1: the hook logs is not among those that are ours
    "#]],
    );
    let managed = "ecs-managed-draining-termination-hook";
    let scene = Scene::new(json!({}))
        .has("i-1", "ACTIVE", 1)
        .hears(&hook_of(managed, "i-1", 0));
    scene.check(
        1,
        expect![[r#"
        Ignore
        HookNotOurs: i-1: the hook ecs-managed-draining-termination-hook is ECS's own
    "#]],
    );
    let both = Scene::new(named)
        .has("i-1", "DRAINING", 0)
        .hears(&hook_of("logs", "i-1", 0))
        .hears(&hook("i-1", 0));
    both.check(1, expect![[r#"
        Act, busy
          CompleteLifecycleAction {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionToken":"drain-i-1-0","LifecycleActionResult":"CONTINUE"}
        InstanceEmpty: i-1: no task is left on it: web goes on (drain)
    "#]]);
}

#[test]
fn an_instance_that_starts_and_one_that_is_not_here_ask_for_nothing() {
    let scene = Scene::new(json!({})).has("i-1", "ACTIVE", 1).hears(&launch("i-1", 0));
    scene.check(
        1,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
    Scene::new(json!({})).hears(&hook("i-9", 0)).check(
        1,
        expect![[r#"
        Ignore
        NotManaged: i-9: it is no instance of prod: nothing is done for it
    "#]],
    );
}

#[test]
fn ecs_that_drains_itself_is_not_fought() {
    let mut scene = Scene::new(json!({}))
        .has("i-1", "ACTIVE", 1)
        .hears(&hook("i-1", 0))
        .hears(&spot("i-1", 1, "stop"));
    scene.instances().get_mut("i-1").unwrap().capacity_provider_name = Some("web".into());
    let provider = CapacityProvider {
        name: "web".into(),
        managed_draining: true,
        ..CapacityProvider::default()
    };
    scene.facts.providers.insert("web".into(), provider);
    scene.check(
        3_600,
        expect![[r#"
        Ignore
        ManagedDraining: i-1: web waits with it (drain), and ECS drains it: web has managed draining
    "#]],
    );
}

#[test]
fn standalone_tasks_are_stopped_where_it_is_asked_for() {
    let stop = json!({ "drain": { "standalone": "stop" } });
    let mut scene = Scene::new(stop.clone())
        .has("i-1", "ACTIVE", 2)
        .hears(&spot("i-1", 0, "terminate"));
    scene.check(
        1,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: Spot terminates it
        missing DescribeTasks, ListTasks
    "#]],
    );
    scene
        .facts
        .tasks
        .insert(arn("i-1"), vec![task("a", None), task("b", Some("web"))]);
    scene.check(1, expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
          StopTask {"cluster":"prod","task":"arn:aws:ecs:eu-west-1:111122223333:task/prod/a","reason":"Wharfinger: its container instance goes, and no service moves the task"}
        InstanceDrains: i-1: Spot terminates it
        StandaloneStopped: i-1: 1 standalone task
    "#]]);
    let mut left = Scene::new(json!({}))
        .has("i-1", "DRAINING", 2)
        .hears(&spot("i-1", 0, "terminate"));
    left.facts.tasks.clone_from(&scene.facts.tasks);
    left.check(
        1,
        expect![[r#"
            Wait, busy
            StandaloneLeft: i-1: 1 standalone task left alone, at most until the instance ends
            TasksLeft: i-1: Spot terminates it; 2 tasks are left
        "#]],
    );
    Scene::new(stop)
        .has("i-1", "DRAINING", 0)
        .hears(&spot("i-1", 0, "terminate"))
        .check(
            1,
            expect![[r#"
        Wait
        InstanceEmpty: i-1: Spot terminates it; no task is left on it
    "#]],
        );
}

#[test]
fn a_service_whose_tasks_cannot_leave_is_reported() {
    let mut scene = Scene::new(json!({})).has("i-1", "DRAINING", 2).hears(&hook("i-1", 0));
    scene.facts.tasks.insert(
        arn("i-1"),
        vec![task("a", Some("web")), task("b", Some("web")), task("c", Some("api"))],
    );
    for (name, minimum) in [("web", 100), ("api", 50)] {
        let service = json!({ "deploymentConfiguration": { "minimumHealthyPercent": minimum, "maximumPercent": 100 } });
        scene
            .facts
            .services
            .insert(Target::service("prod", name), Percents::parse(&service).unwrap());
    }
    scene.check(
        1,
        expect![[r#"
        Wait, busy
        DrainBlocked: i-1: the tasks of prod/web cannot leave: its minimumHealthyPercent and maximumPercent are both 100
        TasksLeft: i-1: 2 tasks are left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]],
    );
}

#[test]
fn a_rebalance_recommendation_is_ignored_unless_it_is_asked_for() {
    let scene = Scene::new(json!({}))
        .has("i-1", "ACTIVE", 1)
        .hears(&rebalance("i-1", 0));
    scene.check(
        1,
        expect![[r#"
        Ignore
        RebalanceIgnored: i-1: Spot may take it back: most are not taken, so this is ignored
    "#]],
    );
    let asked = Scene::new(json!({ "spot": { "rebalance": "drain" } })).has("i-1", "ACTIVE", 1);
    asked.hears(&rebalance("i-1", 0)).check(
        1,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: Spot may take it back
    "#]],
    );
}

#[test]
fn a_group_that_waits_without_an_event_is_found() {
    let waits = |capacity| {
        Scene::new(capacity)
            .has("i-1", "ACTIVE", 1)
            .grouped("i-1", "Terminating:Wait")
            .did("i-1", |_| {})
    };
    let named = waits(json!({ "drain": { "hooks": ["drain"] } })).stored(
        0,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: its group waits with it, which no event told
        TasksLeft: i-1: 1 task is left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]],
    );
    let named = named.has("i-1", "DRAINING", 0).stored(60, expect![[r#"
        Act, busy
          CompleteLifecycleAction {"LifecycleHookName":"drain","AutoScalingGroupName":"web","InstanceId":"i-1","LifecycleActionResult":"CONTINUE"}
        InstanceEmpty: i-1: no task is left on it: web goes on (drain)
    "#]]);
    named.check(
        120,
        expect![[r#"
        Wait
        InstanceEmpty: i-1: its group waits with it, which no event told; no task is left on it
    "#]],
    );
    waits(json!({})).check(
        0,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: its group waits with it, which no event told
    "#]],
    );
}

#[test]
fn one_that_is_gone_before_its_hook_was_completed_is_told() {
    let found = Scene::new(json!({}))
        .has("i-1", "ACTIVE", 1)
        .grouped("i-1", "Terminating:Wait")
        .did("i-1", |_| {});
    let mut found = found.stored(
        0,
        expect![[r#"
        Act, busy
          UpdateContainerInstancesState DRAINING i-1
        InstanceDrains: i-1: its group waits with it, which no event told
    "#]],
    );
    // No pass got through before its heartbeat time-out.
    found.instances().clear();
    found.scaling().clear();
    let told = found.clone().stored(3600, expect![[r#"
        Ignore
        InstanceNotRegistered: i-1: it has left prod
        HookTimedOut: i-1: its group was seen to wait with it since 2026-03-01T12:00:00Z, which no event told: its hook timed out, or someone else completed it, whatever ran
    "#]]);
    told.check(
        3660,
        expect![[r#"
        Ignore
        NothingGoes: nothing goes in prod
    "#]],
    );
    let completed = found.did("i-1", |did| {
        did.completed.insert("web/drain".into(), at(60));
    });
    completed.check(
        3600,
        expect![[r#"
        Ignore
        InstanceNotRegistered: i-1: it has left prod
    "#]],
    );
}

#[test]
fn a_dry_run_says_every_step_and_makes_none() {
    let scene = Scene::new(json!({ "dry-run": true }))
        .has("i-1", "ACTIVE", 1)
        .hears(&hook("i-1", 0));
    let decided = scene.decide(1);
    assert_eq!((decided.before.len(), decided.after.len()), (0, 0));
    scene.check(1, expect![[r#"
        Ignore, busy
        DryRun: dry run, 1 call not made: UpdateContainerInstancesState {"cluster":"prod","containerInstances":["arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/i-1"],"status":"DRAINING"}
        InstanceDrains: i-1: web waits with it (drain)
        TasksLeft: i-1: 1 task is left; web goes on at 2026-03-01T12:10:00Z at the latest
    "#]]);
}
