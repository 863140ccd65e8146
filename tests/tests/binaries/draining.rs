//! What stands for tasks on an instance that drains, and what that costs.

use std::time::Duration;

use serde_json::{Value, json};
use wharfinger_tests::lambda::story::{
    address, configure, container_instance_arn, instance_event, schedule_event, task, task_arn, task_event,
    waiting_event, with_balancing, with_discovery,
};
use wharfinger_tests::lambda::{STATE_TABLE, container_instance};

use super::{Rig, has, in_turn};

/// A task of `prod/web` with a network interface of its own, on an instance.
fn on(host: &str, id: &str, version: i64, last: &str, desired: &str) -> Value {
    let mut task = task("web", id, version, last, desired);
    task["launchType"] = json!("EC2");
    task["containerInstanceArn"] = json!(container_instance_arn(host));
    task
}

/// A function for `prod/web`, and tasks of it that have joined, each on its instance.
fn rig(function: &str, tasks: &[(&str, &str)]) -> Rig {
    let config = if function == "discovery" {
        with_discovery()
    } else {
        with_balancing()
    };
    let rig = Rig::start(function);
    rig.lambda.world(|world| {
        configure(world, "prod/web", &config).unwrap();
        for host in ["c1", "c2", "c3"] {
            world
                .container_instances
                .insert(container_instance_arn(host), format!("i-{host}"));
        }
    });
    for (host, id) in tasks {
        runs(&rig, host, id);
        rig.done(&task_event(&on(host, id, 3, "RUNNING", "RUNNING")));
    }
    assert_eq!(there(&rig).len(), tasks.len(), "{}", rig.said());
    rig
}

fn runs(rig: &Rig, host: &str, id: &str) {
    let described = on(host, id, 3, "RUNNING", "RUNNING");
    rig.lambda.world(|world| world.tasks.insert(task_arn(id), described));
}

fn stops(rig: &Rig, host: &str, id: &str) {
    let stopping = on(host, id, 4, "RUNNING", "STOPPED");
    rig.lambda
        .world(|world| world.tasks.insert(task_arn(id), stopping.clone()));
    rig.done(&task_event(&stopping));
}

fn drains(rig: &Rig, host: &str, version: i64) {
    is(rig, host, version, "DRAINING");
}

fn returns(rig: &Rig, host: &str, version: i64) {
    is(rig, host, version, "ACTIVE");
}

fn is(rig: &Rig, host: &str, version: i64, status: &str) {
    let arn = container_instance_arn(host);
    let mut shown = container_instance(&arn, &format!("i-{host}"), 0);
    shown["status"] = json!(status);
    shown["version"] = json!(version);
    rig.lambda.world(|world| world.hosts.insert(arn, shown));
}

/// The tasks for which something is there.
fn there(rig: &Rig) -> Vec<String> {
    let ids = ["t1", "t2", "t3", "t4"];
    let found = rig.lambda.world(|world| {
        let targets = world.targets.iter().map(|target| target.id.clone());
        let instances = world
            .instances
            .keys()
            .map(|(_, id)| id.trim_end_matches("-8080").to_owned());
        targets.chain(instances).collect::<Vec<_>>()
    });
    let has = |id: &&&str| found.contains(&address(id)) || found.iter().any(|found| found == *id);
    ids.iter().filter(has).map(|id| (*id).to_owned()).collect()
}

fn said(rig: &Rig, code: &str) {
    let told = rig
        .process
        .line(|line| has(line, &[("message", "decision"), ("reasons", code)]));
    told.unwrap_or_else(|e| panic!("{code}: {e}\n{}", rig.said()));
}

/// The same for both functions.
fn each(story: impl Fn(&str)) {
    ["discovery", "balancing"].into_iter().for_each(story);
}

#[test]
fn what_stands_for_tasks_of_a_draining_instance_leaves_at_once() {
    each(|function| {
        let rig = rig(function, &[("c1", "t1"), ("c1", "t2"), ("c2", "t3")]);
        drains(&rig, "c1", 7);
        rig.done(&instance_event("c1", 7, "DRAINING"));
        assert_eq!(there(&rig), ["t3"], "{function}\n{}", rig.said());
        said(&rig, "HostDraining");

        // ECS tells of every start and stop on it, and copies come: one read each.
        assert_eq!(rig.done(&instance_event("c1", 7, "DRAINING")).operations(), ["GetItem"]);
        assert_eq!(rig.done(&instance_event("c1", 8, "DRAINING")).operations(), ["GetItem"]);
        // Of an instance that never drained nothing is asked.
        assert_eq!(rig.done(&instance_event("c2", 9, "ACTIVE")).operations(), ["GetItem"]);

        // Whatever is heard of its tasks later lets none of them in again.
        rig.done(&task_event(&on("c1", "t1", 5, "RUNNING", "RUNNING")));
        rig.done(&task_event(&on("c1", "t1", 3, "RUNNING", "RUNNING")));
        rig.done(&waiting_event());
        rig.done(&schedule_event());
        assert_eq!(there(&rig), ["t3"], "{function}\n{}", rig.said());
        stops(&rig, "c1", "t2");
        assert_eq!(there(&rig), ["t3"]);
    });
}

#[test]
fn a_draining_instance_costs_few_calls() {
    let rig = rig("discovery", &[("c1", "t1"), ("c2", "t2")]);
    drains(&rig, "c1", 7);
    rig.lambda.latency(Duration::from_millis(150));
    let drained = rig.done(&instance_event("c1", 7, "DRAINING"));
    assert_eq!(
        in_turn(&drained),
        [
            "GetItem",
            "DescribeContainerInstances ListContainerInstances",
            // The instance joins the set that is looked at every minute.
            "UpdateItem",
            "ListTasks",
            "DescribeTasks",
            "ListInstances",
            // The other task is somewhere else.
            "DescribeTasks",
            // The mark, then the task's own round.
            "UpdateItem",
            "UpdateItem",
            // What became of the registration.
            "GetOperation",
            "DeregisterInstance",
            "PutItem UpdateItem UpdateItem",
            "UpdateItem",
        ]
    );
    // While it drains, one look in a minute, and in a sweep one listing and one look.
    assert_eq!(
        in_turn(&rig.done(&waiting_event())),
        ["Query", "DescribeContainerInstances"]
    );
    let swept = rig.done(&schedule_event());
    let asked = |operation: &str| swept.operations().iter().filter(|name| **name == operation).count();
    assert_eq!(
        (asked("ListContainerInstances"), asked("DescribeContainerInstances")),
        (1, 1)
    );
    assert_eq!(asked("DeregisterInstance") + asked("RegisterInstance"), 0);
}

#[test]
fn the_last_stays_until_another_has_joined() {
    each(|function| {
        let rig = rig(function, &[("c1", "t1"), ("c2", "t2")]);
        // Both drain, and each is asked about before anyone dealt with the other.
        drains(&rig, "c1", 7);
        drains(&rig, "c2", 7);
        rig.done(&instance_event("c1", 7, "DRAINING"));
        rig.done(&instance_event("c2", 7, "DRAINING"));
        assert_eq!(there(&rig), ["t1", "t2"], "{function}\n{}", rig.said());
        rig.done(&waiting_event());
        rig.done(&schedule_event());
        assert_eq!(there(&rig), ["t1", "t2"]);

        stops(&rig, "c1", "t1");
        assert_eq!(there(&rig), ["t2"]);
        runs(&rig, "c3", "t3");
        rig.done(&task_event(&on("c3", "t3", 3, "RUNNING", "RUNNING")));
        assert_eq!(there(&rig), ["t2", "t3"]);
        rig.done(&waiting_event());
        assert_eq!(there(&rig), ["t3"], "{function}\n{}", rig.said());
        // Nothing is left that could leave: one look at the instances.
        assert_eq!(
            rig.done(&waiting_event()).operations(),
            ["DescribeContainerInstances", "Query"]
        );
    });
}

#[test]
fn what_is_on_an_instance_that_came_back_joins_again() {
    each(|function| {
        let rig = rig(function, &[("c1", "t1"), ("c2", "t2")]);
        drains(&rig, "c1", 7);
        rig.done(&instance_event("c1", 7, "DRAINING"));
        assert_eq!(there(&rig), ["t2"]);
        returns(&rig, "c1", 9);
        rig.done(&waiting_event());
        assert_eq!(there(&rig), ["t1", "t2"], "{function}\n{}", rig.said());
        assert_eq!(rig.done(&waiting_event()).operations(), ["Query"]);

        // The news that it drains comes late: ECS is asked, and knows better.
        rig.done(&instance_event("c1", 8, "DRAINING"));
        assert_eq!(there(&rig), ["t1", "t2"], "{function}\n{}", rig.said());
        // It drains once more.
        drains(&rig, "c1", 11);
        rig.done(&instance_event("c1", 11, "DRAINING"));
        assert_eq!(there(&rig), ["t2"]);
        // And the task's own next event finds that it came back.
        returns(&rig, "c1", 12);
        let again = on("c1", "t1", 6, "RUNNING", "RUNNING");
        rig.lambda
            .world(|world| world.tasks.insert(task_arn("t1"), again.clone()));
        rig.done(&task_event(&again));
        assert_eq!(there(&rig), ["t1", "t2"], "{function}\n{}", rig.said());
    });
}

#[test]
fn a_sweep_makes_good_what_was_not_told_of_an_instance() {
    each(|function| {
        let rig = rig(function, &[("c1", "t1"), ("c2", "t2")]);
        drains(&rig, "c1", 7);
        rig.done(&schedule_event());
        assert_eq!(there(&rig), ["t2"], "{function}\n{}", rig.said());
        // ECS does not answer as new yet as the event is.
        drains(&rig, "c2", 7);
        stops(&rig, "c1", "t1");
        rig.done(&schedule_event());
        assert_eq!(there(&rig), ["t2"], "it is the last");
        returns(&rig, "c1", 8);
        returns(&rig, "c2", 8);
        runs(&rig, "c1", "t3");
        rig.done(&schedule_event());
        assert_eq!(there(&rig), ["t2", "t3"], "{function}\n{}", rig.said());
    });
}

#[test]
fn an_event_that_is_newer_than_what_ecs_answers_is_right() {
    let rig = rig("discovery", &[("c1", "t1"), ("c2", "t2")]);
    rig.done(&instance_event("c1", 7, "DRAINING"));
    assert_eq!(there(&rig), ["t2"], "{}", rig.said());
}

#[test]
fn a_task_that_was_placed_before_its_instance_drained_does_not_join_after_it() {
    each(|function| {
        let rig = rig(function, &[("c2", "t2")]);
        let pending = on("c1", "t1", 2, "PENDING", "RUNNING");
        rig.lambda.world(|world| world.tasks.insert(task_arn("t1"), pending));
        drains(&rig, "c1", 7);
        rig.done(&instance_event("c1", 7, "DRAINING"));
        runs(&rig, "c1", "t1");
        rig.done(&task_event(&on("c1", "t1", 3, "RUNNING", "RUNNING")));
        assert_eq!(there(&rig), ["t2"], "{function}\n{}", rig.said());
        let ledger = rig
            .lambda
            .world(|world| world.tables.get(STATE_TABLE, "task#prod/t1", function).cloned());
        assert_eq!(ledger.unwrap()["host-drains"], json!({ "BOOL": true }));
        // Where nobody else is left it is let in.
        stops(&rig, "c2", "t2");
        rig.done(&task_event(&on("c1", "t1", 4, "RUNNING", "RUNNING")));
        assert_eq!(there(&rig), ["t1"], "{function}\n{}", rig.said());
        said(&rig, "LastEndpoint");
    });
}

#[test]
fn what_is_gone_is_forgotten() {
    let rig = rig("discovery", &[("c1", "t1"), ("c2", "t2")]);
    drains(&rig, "c1", 7);
    rig.done(&instance_event("c1", 7, "DRAINING"));
    stops(&rig, "c1", "t1");
    rig.lambda.world(|world| {
        world.hosts.remove(&container_instance_arn("c1"));
        world.container_instances.remove(&container_instance_arn("c1"));
    });
    rig.done(&waiting_event());
    assert_eq!(rig.done(&waiting_event()).operations(), ["Query"]);
}
