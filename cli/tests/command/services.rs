//! `explain` of services that find no place, and of tasks that stopped.

use serde_json::{Value, json};

use crate::events::{TASK, event, task};
use crate::explain::codes;
use crate::folder::Folder;

const SERVICE: &str = "arn:aws:ecs:eu-west-1:111122223333:service/prod/web";
const PLACEMENT: &str = "version: 1
clusters:
  prod:
    capacity:
      placement: { auto-scaling-group: web, add: 2, max: 5, cooldown: 5m }
";
const FALLBACK: &str = "version: 1
services:
  prod/web:
    capacity:
      spot: { fallback: { twin: prod/web-on-demand }, after: 0s }
";

fn action(name: &str, reason: Option<&str>) -> Value {
    let mut detail = json!({ "eventName": name, "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod" });
    if let Some(reason) = reason {
        detail["reason"] = json!(reason);
    }
    event("ECS Service Action", "aws.ecs", &[SERVICE], &detail)
}

fn unplaced(reason: &str) -> Value {
    action("SERVICE_TASK_PLACEMENT_FAILURE", Some(reason))
}

fn service(name: &str, desired: u32, running: u32, provider: Option<&str>) -> Value {
    let strategy = provider.map(|name| json!({ "capacityProvider": name, "weight": 1, "base": 0 }));
    json!({
        "serviceArn": format!("arn:aws:ecs:eu-west-1:111122223333:service/prod/{name}"), "status": "ACTIVE",
        "desiredCount": desired, "runningCount": running, "taskDefinition": "web:1", "deployments": [], "events": [],
        "capacityProviderStrategy": strategy.into_iter().collect::<Vec<_>>(),
    })
}

fn group(desired: u32) -> Value {
    let group = json!({ "AutoScalingGroupName": "web", "MinSize": 1, "MaxSize": 20, "DesiredCapacity": desired });
    json!({ "AutoScalingGroups": [group] })
}

fn facts(service: &Value, group: &Value) -> Value {
    json!({ "DescribeServices": { "services": [service] }, "DescribeAutoScalingGroups": group })
}

fn answer(config: &str, event: &Value, facts: &Value) -> Value {
    let folder = Folder::new();
    folder.write("w.yaml", config);
    folder.write_json("facts.json", facts);
    let (code, answer) = folder.explain(event, &["--facts", "facts.json"]);
    assert_eq!(code, 0, "{answer}");
    answer
}

fn check(config: &str, event: &Value, facts: &Value, outcome: &str, code: &str, missing: &[&str]) -> Value {
    let mut answer = answer(config, event, facts);
    assert_eq!(answer["event"]["target"], "prod/web");
    assert_eq!(
        (answer["outcome"].as_str(), codes(&answer)[0], &answer["missing"]),
        (Some(outcome), code, &json!(missing)),
        "{answer}"
    );
    answer["actions"].take()
}

#[test]
fn a_group_grows_where_tasks_find_no_place() {
    let lacking = service("web", 4, 2, None);
    let call = |desired: u32| {
        let input = json!({ "AutoScalingGroupName": "web", "DesiredCapacity": desired, "HonorCooldown": false });
        json!([{ "call": "SetDesiredCapacity", "input": input }])
    };
    let cpu = unplaced("RESOURCE:CPU");
    let known = facts(&lacking, &group(2));
    assert_eq!(check(PLACEMENT, &cpu, &known, "act", "CapacityRaised", &[]), call(4));
    let near = facts(&lacking, &group(4));
    assert_eq!(check(PLACEMENT, &cpu, &near, "act", "CapacityRaised", &[]), call(5));
    let none = json!([]);
    for (event, facts, outcome, code) in [
        (&cpu, facts(&lacking, &group(5)), "ignore", "AlreadyAtMaxCapacity"),
        (
            &cpu,
            facts(&lacking, &json!({ "AutoScalingGroups": [] })),
            "ignore",
            "GroupNotFound",
        ),
        (
            &cpu,
            facts(&service("web", 4, 4, None), &group(2)),
            "ignore",
            "NothingUnplaced",
        ),
        (&unplaced("RESOURCE:FARGATE"), json!({}), "ignore", "NothingUnplaced"),
        (&unplaced("AGENT"), json!({}), "ignore", "NothingUnplaced"),
    ] {
        assert_eq!(check(PLACEMENT, event, &facts, outcome, code, &[]), none);
    }
    let dry = PLACEMENT.replace("placement:", "dry-run: true\n      placement:");
    assert_eq!(check(&dry, &cpu, &known, "ignore", "DryRun", &[]), none);
}

#[test]
fn ecs_that_moves_the_group_itself_is_left_to_it() {
    let event = unplaced("RESOURCE:MEMORY");
    let of = |status: &str| {
        let provider = json!({ "name": "ec2", "autoScalingGroupProvider": { "managedScaling": { "status": status } } });
        let mut facts = facts(&service("web", 4, 2, Some("ec2")), &group(2));
        facts["DescribeCapacityProviders"] = json!({ "capacityProviders": [provider] });
        facts
    };
    check(PLACEMENT, &event, &of("ENABLED"), "ignore", "ManagedScaling", &[]);
    check(PLACEMENT, &event, &of("DISABLED"), "act", "CapacityRaised", &[]);
}

#[test]
fn what_is_missing_of_a_placement_is_named() {
    let event = unplaced("RESOURCE:CPU");
    let needs = |facts: &Value, missing: &[&str]| {
        let actions = check(PLACEMENT, &event, facts, "wait", "FactsMissing", missing);
        assert_eq!(actions, json!([]));
    };
    needs(&json!({}), &["DescribeServices", "DescribeAutoScalingGroups"]);
    needs(&json!({ "DescribeAutoScalingGroups": group(2) }), &["DescribeServices"]);
    let services = |provider| json!({ "DescribeServices": { "services": [service("web", 4, 2, provider)] } });
    needs(&services(None), &["DescribeAutoScalingGroups"]);
    needs(
        &services(Some("ec2")),
        &["DescribeCapacityProviders", "DescribeAutoScalingGroups"],
    );
    // Fargate's own providers have no group.
    needs(&services(Some("FARGATE_SPOT")), &["DescribeAutoScalingGroups"]);
}

#[test]
fn a_service_on_spot_runs_elsewhere_meanwhile() {
    let event = unplaced("RESOURCE:FARGATE");
    let both = json!({ "DescribeServices": { "services": [
        service("web", 4, 1, Some("FARGATE_SPOT")), service("web-on-demand", 0, 0, None),
    ] } });
    let input = json!({ "cluster": "prod", "service": "web-on-demand", "desiredCount": 3 });
    let call = json!([{ "call": "UpdateService", "input": input }]);
    assert_eq!(check(FALLBACK, &event, &both, "act", "FallbackStarts", &[]), call);
    let usual = FALLBACK.replace(", after: 0s", "");
    check(&usual, &event, &both, "wait", "SpotShort", &[]);
    let dry = format!("{FALLBACK}clusters: {{ prod: {{ capacity: {{ dry-run: true }} }} }}\n");
    check(&dry, &event, &both, "ignore", "DryRun", &[]);
    check(
        FALLBACK,
        &event,
        &json!({}),
        "wait",
        "FactsMissing",
        &["DescribeServices"],
    );
    // What ECS tells besides is of no use to it.
    let steady = action("SERVICE_STEADY_STATE", None);
    check(FALLBACK, &steady, &json!({}), "ignore", "ToldOtherwise", &[]);
}

/// A task that is over, as `DescribeTasks` has it and as its event tells it.
fn stopped(id: u32, code: &str, reason: &str, exit: Option<i64>) -> Value {
    let mut detail = task(9, "STOPPED", "service:web")["detail"].take();
    let arn = TASK.replace("0123456789abcdef0123456789abcdef", &format!("{id:032x}"));
    let more = json!({
        "taskArn": arn, "lastStatus": "STOPPED", "stopCode": code, "stoppedReason": reason,
        "stoppedAt": format!("2026-01-31T10:00:{id:02}Z"),
        "containers": [{ "name": "web", "image": "web", "exitCode": exit }],
    });
    detail
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    detail
}

#[test]
fn a_task_that_stopped_is_told_with_its_remedy_and_leaves_as_before() {
    let exits = stopped(
        1,
        "EssentialContainerExited",
        "Essential container in task exited",
        Some(1),
    );
    let told = event("ECS Task State Change", "aws.ecs", &[TASK], &exits);
    let cluster = "clusters: { prod: { capacity: {} } }\n";
    let discovery = "services: { prod/web: { discovery: [{ to: srv-abc, port: 8080 }] } }\n";
    let of = |parts: &[&str]| answer(&format!("version: 1\n{}", parts.concat()), &told, &json!({}));
    let (joined, plain) = (of(&[discovery, cluster]), of(&[discovery]));
    for key in ["event", "outcome", "actions", "missing"] {
        assert_eq!(joined[key], plain[key]);
    }
    let expected: Vec<_> = codes(&plain).into_iter().chain(["TaskStopped"]).collect();
    assert_eq!(codes(&joined), expected);
    let alone = of(&[cluster]);
    assert_eq!(
        (&alone["outcome"], codes(&alone)),
        (&json!("ignore"), vec!["TaskStopped"])
    );
    assert_eq!(
        alone["reasons"][0]["message"],
        "Exited: an essential container exited with 1 (container `web`); see the container's log: a service's container \
         must not end; 3 such within 10m are a crash loop"
    );
    assert_eq!(codes(&of(&[])), ["NotManaged"]);
    let meant = stopped(2, "UserInitiated", "Task stopped by user", Some(143));
    let meant = event("ECS Task State Change", "aws.ecs", &[TASK], &meant);
    let meant = answer(&format!("version: 1\n{cluster}"), &meant, &json!({}));
    assert_eq!(
        meant["reasons"][0]["message"],
        "ByUser: someone stopped it; this is no failure of the service"
    );
}

#[test]
fn a_service_whose_tasks_do_not_start_is_told_of_with_those_that_stopped() {
    let config = "version: 1\nclusters: { prod: { capacity: {} } }\n";
    let event = action("SERVICE_TASK_START_IMPAIRED", None);
    check(config, &event, &json!({}), "ignore", "ToldOtherwise", &[]);
    let pull = "CannotPullContainerError: pull image manifest has been retried 1 time(s): web:9: not found";
    let fails = |id| stopped(id, "TaskFailedToStart", pull, None);
    let facts = json!({ "DescribeTasks": { "tasks": [fails(1), fails(2), fails(3)] } });
    let told = answer(config, &event, &facts);
    assert_eq!(
        (&told["outcome"], codes(&told)),
        (&json!("ignore"), vec!["TaskStopped", "CrashLoop"])
    );
    let message = told["reasons"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("ImageNotFound: ") && message.contains("push the image"),
        "{message}"
    );
    // Where the group may be what is lacking, the service's own events say so.
    check(
        PLACEMENT,
        &event,
        &facts,
        "wait",
        "FactsMissing",
        &["DescribeServices", "DescribeAutoScalingGroups"],
    );
}
