//! What happens when a group waits with an instance, and what that costs.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_tests::lambda::story::{
    configure_cluster, container_instance_arn, instance_event, on_host, task, task_arn, task_event, terminating_event,
};
use wharfinger_tests::lambda::{CONFIG_TABLE, Invoked, STATE_TABLE, container_instance, item};

use super::{Rig, has};

const TOKEN: &str = "bcd2f1b8-9a78-44d3-8a7a-4dd07d7cf635";

/// A function with a cluster of two instances, each with so many tasks; the group waits with the first.
fn rig(tasks: u32) -> Rig {
    let rig = Rig::start("capacity");
    rig.lambda.world(|world| {
        for n in ["1", "2"] {
            let arn = container_instance_arn(n);
            world
                .hosts
                .insert(arn.clone(), container_instance(&arn, &format!("i-{n}"), tasks));
        }
        world.lifecycle_actions.insert(TOKEN.into(), "i-1".into());
        configure_cluster(world, "prod", &json!({ "capacity": {} })).unwrap();
    });
    rig
}

/// The event that the group waits, since a minute.
fn waits() -> Value {
    #[allow(clippy::disallowed_methods, reason = "a hook's deadline counts from its beginning")]
    let now = Timestamp::now();
    let begun = now.checked_sub(SignedDuration::from_mins(1)).unwrap();
    terminating_event("i-1", TOKEN, &begun.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn minute() -> Value {
    json!({ "id": "tick", "detail-type": "Scheduled Event", "source": "aws.events", "detail": { "only": "active" } })
}

fn status(rig: &Rig, n: &str) -> String {
    let arn = container_instance_arn(n);
    rig.lambda
        .world(|world| world.hosts[&arn]["status"].as_str().unwrap().to_owned())
}

fn calls(invoked: &Invoked, host: &str) -> Vec<String> {
    let own = invoked.operations().into_iter().map(str::to_owned);
    own.filter(|operation| operation.contains(host)).collect()
}

#[test]
fn a_hook_is_kept_waiting_and_completed_when_its_instance_is_empty() {
    let rig = rig(2);
    let drained = rig.done(&waits());
    assert_eq!(
        (status(&rig, "1").as_str(), status(&rig, "2").as_str()),
        ("DRAINING", "ACTIVE")
    );
    let operations: Vec<_> = drained.calls.iter().map(|call| call.operation.as_str()).collect();
    let at = |name: &str| operations.iter().position(|operation| *operation == name).unwrap();
    assert!(
        at("UpdateContainerInstancesState") < at("RecordLifecycleActionHeartbeat"),
        "{operations:?}"
    );
    let state = &drained.calls[at("UpdateContainerInstancesState")].input;
    assert_eq!(
        *state,
        json!({ "cluster": "prod", "containerInstances": [container_instance_arn("1")], "status": "DRAINING" })
    );
    assert_eq!(calls(&drained, "CompleteLifecycleAction"), [""; 0]);

    let copy = rig.done(&waits());
    assert_eq!(calls(&copy, "UpdateContainerInstancesState"), [""; 0], "{}", rig.said());

    let arn = container_instance_arn("1");
    rig.lambda
        .world(|world| world.hosts.get_mut(&arn).unwrap()["runningTasksCount"] = json!(0));
    let ended = rig.done(&minute());
    let complete = ended
        .calls
        .iter()
        .find(|call| call.operation == "CompleteLifecycleAction");
    let input = &complete.unwrap_or_else(|| panic!("{}", rig.said())).input;
    for (name, value) in [
        ("AutoScalingGroupName", "web"),
        ("LifecycleHookName", "drain"),
        ("LifecycleActionToken", TOKEN),
        ("InstanceId", "i-1"),
        ("LifecycleActionResult", "CONTINUE"),
    ] {
        assert_eq!(input[name], value);
    }
    assert!(rig.lambda.world(|world| world.lifecycle_actions.is_empty()));
    rig.process
        .line(|line| has(line, &[("outcome", "act"), ("reasons", "InstanceEmpty")]))
        .unwrap();
    let quiet = rig.done(&minute());
    assert_eq!(calls(&quiet, "LifecycleAction"), [""; 0], "{}", rig.said());
}

/// ECS counts the tasks that it wants, so that a task that stops is in no count.
#[test]
fn a_hook_waits_for_a_task_that_is_stopping() {
    let rig = rig(0);
    let stopping = on_host(
        task("web", "a", 9, "DEACTIVATING", "STOPPED"),
        &container_instance_arn("1"),
        8080,
    );
    rig.lambda
        .world(|world| drop(world.tasks.insert(task_arn("a"), stopping)));
    rig.done(&waits());
    let waiting = rig.done(&minute());
    assert_eq!(status(&rig, "1"), "DRAINING");
    assert_eq!(calls(&waiting, "CompleteLifecycleAction"), [""; 0], "{}", rig.said());
    rig.lambda
        .world(|world| world.tasks.get_mut(&task_arn("a")).unwrap()["lastStatus"] = json!("STOPPED"));
    let ended = rig.done(&minute());
    assert_eq!(calls(&ended, "CompleteLifecycleAction").len(), 1, "{}", rig.said());
}

#[test]
fn an_agent_that_is_gone_is_seen_with_the_next_minute() {
    let rig = rig(2);
    rig.lambda.world(|world| {
        let capacity = json!({ "capacity": { "disconnected": { "after": "5m" } } });
        configure_cluster(world, "prod", &capacity).unwrap();
        world.hosts.get_mut(&container_instance_arn("1")).unwrap()["agentConnected"] = json!(false);
    });
    let known = || {
        rig.lambda
            .world(|world| world.tables.get(STATE_TABLE, "going#prod", "i-1").is_some())
    };
    let mut event = instance_event("1", 2, "ACTIVE");
    event["detail"]["agentConnected"] = json!(false);
    rig.done(&event);
    assert!(!known(), "short disconnects are normal");
    rig.done(&minute());
    assert!(known(), "{}", rig.said());
    let again = rig.done(&minute());
    assert_eq!(
        calls(&again, "DescribeContainerInstances").len(),
        1,
        "it is looked at again"
    );
}

#[test]
fn a_hook_that_is_over_is_no_failure() {
    let rig = rig(0);
    rig.lambda.world(|world| world.lifecycle_actions.clear());
    rig.done(&waits());
    rig.done(&minute());
    let quiet = rig.done(&minute());
    assert_eq!(calls(&quiet, "LifecycleAction"), [""; 0], "{}", rig.said());
}

#[test]
fn an_instance_of_no_cluster_of_ours_costs_a_look_and_changes_nothing() {
    let rig = rig(2);
    let mut event = waits();
    event["detail"]["EC2InstanceId"] = json!("i-9");
    let looked = rig.done(&event);
    assert_eq!(calls(&looked, "LifecycleAction"), [""; 0]);
    assert_eq!(status(&rig, "1"), "ACTIVE");

    let unconfigured = Rig::start("capacity");
    assert_eq!(unconfigured.done(&waits()).operations(), ["Query"]);
    assert!(
        unconfigured.done(&waits()).operations().is_empty(),
        "it is remembered for a while"
    );
}

#[test]
fn what_cannot_be_used_is_refused_and_a_test_is_set_aside() {
    let rig = rig(2);
    let mut event = waits();
    event["detail"]["LifecycleActionToken"] = json!(null);
    let (kind, message) = rig.failed(&event);
    assert_eq!(kind, "Rejected");
    assert!(message.contains("detail.LifecycleActionToken"), "{message}");
    let mut test = waits();
    test["detail"] = json!({ "Event": "autoscaling:TEST_NOTIFICATION", "AutoScalingGroupName": "web" });
    assert!(rig.done(&test).operations().is_empty());
    let mut launch = waits();
    launch["detail-type"] = json!("EC2 Instance-launch Lifecycle Action");
    launch["detail"]["LifecycleTransition"] = json!("autoscaling:EC2_INSTANCE_LAUNCHING");
    rig.done(&launch);
    assert_eq!(status(&rig, "1"), "ACTIVE", "{}", rig.said());
}

#[test]
fn a_malformed_cluster_is_reported_and_the_others_are_served() {
    let rig = rig(2);
    let bad = json!({ "pk": "clusters", "sk": "bad", "cluster": { "capacity": 7 } });
    rig.lambda
        .world(|world| world.tables.put(CONFIG_TABLE, item(bad.as_object().unwrap())));
    rig.done(&waits());
    assert_eq!(status(&rig, "1"), "DRAINING", "{}", rig.said());
    rig.process
        .line(|line| has(line, &[("level", "ERROR"), ("key", "clusters / bad")]))
        .unwrap();
}

#[test]
fn tasks_that_stop_again_and_again_are_told_of_once() {
    let rig = rig(2);
    #[allow(clippy::disallowed_methods, reason = "what stopped long ago is no crash loop")]
    let now = Timestamp::now();
    let mut told = Vec::new();
    for id in ["a", "b", "c", "d"] {
        let mut stopped = task("web", id, 9, "STOPPED", "STOPPED");
        stopped["taskArn"] = json!(task_arn(id));
        stopped["startedAt"] = json!(now.to_string());
        stopped["stoppedAt"] = json!(now.to_string());
        stopped["stopCode"] = json!("EssentialContainerExited");
        stopped["stoppedReason"] = json!("Essential container in task exited");
        stopped["containers"][0]["exitCode"] = json!(1);
        let mut event = task_event(&stopped);
        event["time"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        told.push(calls(&rig.done(&event), "PutEvents").len());
    }
    assert_eq!(told, [0, 0, 1, 0], "{}", rig.said());
    rig.process.line(|line| has(line, &[("reasons", "CrashLoop")])).unwrap();
}
