//! `explain` of what is told of instances.

use serde_json::{Value, json};

use crate::events::event;
use crate::explain::codes;
use crate::folder::Folder;

const CLUSTER: &str =
    "version: 1\nclusters:\n  prod:\n    capacity:\n      drain: { deadline: 10m, standalone: stop }\n";

fn arn(id: &str) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/{id}")
}

fn hook(kind: &str, more: &Value) -> Value {
    let mut detail = json!({
        "LifecycleActionToken": "t-1", "AutoScalingGroupName": "web", "LifecycleHookName": "drain", "EC2InstanceId": "i-1",
        "LifecycleTransition": format!("autoscaling:EC2_INSTANCE_{}", if kind == "terminate" { "TERMINATING" } else { "LAUNCHING" }),
    });
    detail
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    event(
        &format!("EC2 Instance-{kind} Lifecycle Action"),
        "aws.autoscaling",
        &[],
        &detail,
    )
}

fn instance(status: &str, tasks: u32) -> Value {
    json!({
        "containerInstanceArn": arn("abc"), "ec2InstanceId": "i-1", "status": status, "agentConnected": true,
        "runningTasksCount": tasks, "pendingTasksCount": 0,
    })
}

fn described(status: &str, tasks: u32) -> Value {
    json!({
        "DescribeContainerInstances": { "containerInstances": [instance(status, tasks)], "failures": [] },
        "ListTasks": { "taskArns": [] },
    })
}

/// The answer on an event, with these facts.
fn answer(config: &str, event: &Value, facts: &Value, more: &[&str]) -> Value {
    let folder = Folder::new();
    folder.write("w.yaml", config);
    folder.write_json("facts.json", facts);
    let (code, answer) = folder.explain(event, &[&["--facts", "facts.json"], more].concat());
    assert_eq!(code, i32::from(answer["outcome"] == "rejected"));
    answer
}

#[test]
fn a_terminating_instance_is_drained_and_its_hook_completed() {
    let hook = hook("terminate", &json!({}));
    let draining = answer(CLUSTER, &hook, &described("ACTIVE", 3), &[]);
    assert_eq!(
        draining["event"],
        json!({ "kind": "EC2 Instance-terminate Lifecycle Action", "target": "prod" })
    );
    let input = json!({ "cluster": "prod", "containerInstances": [arn("abc")], "status": "DRAINING" });
    let call = json!({ "call": "UpdateContainerInstancesState", "input": input });
    assert_eq!(
        (&draining["outcome"], &draining["actions"]),
        (&json!("act"), &json!([call]))
    );
    assert_eq!(draining["missing"], json!([]));

    let complete = json!({
        "LifecycleHookName": "drain", "AutoScalingGroupName": "web", "LifecycleActionToken": "t-1",
        "LifecycleActionResult": "CONTINUE", "InstanceId": "i-1",
    });
    let empty = answer(CLUSTER, &hook, &described("DRAINING", 0), &[]);
    assert_eq!(
        empty["actions"],
        json!([{ "call": "CompleteLifecycleAction", "input": complete }])
    );
    assert_eq!(codes(&empty), ["InstanceEmpty"]);

    let waits = answer(CLUSTER, &hook, &described("DRAINING", 2), &[]);
    assert_eq!((&waits["outcome"], codes(&waits)), (&json!("wait"), vec!["TasksLeft"]));
    let later = answer(
        CLUSTER,
        &hook,
        &described("DRAINING", 2),
        &["--now", "2026-01-31T10:01:00Z"],
    );
    assert_eq!(later["actions"][0]["call"], "RecordLifecycleActionHeartbeat");
    let deadline = answer(
        CLUSTER,
        &hook,
        &described("DRAINING", 2),
        &["--now", "2026-01-31T10:10:00Z"],
    );
    assert_eq!(
        deadline["actions"],
        json!([{ "call": "CompleteLifecycleAction", "input": complete }])
    );
    assert_eq!(codes(&deadline), ["DeadlineReached"]);
}

#[test]
fn launches_and_tests_of_a_group_drain_nothing() {
    let launch = answer(CLUSTER, &hook("launch", &json!({})), &described("ACTIVE", 1), &[]);
    assert_eq!(
        (&launch["outcome"], codes(&launch)),
        (&json!("ignore"), vec!["NothingGoes"])
    );
    for test in [
        json!({ "Event": "autoscaling:TEST_NOTIFICATION" }),
        json!({ "LifecycleTransition": "autoscaling:TEST_NOTIFICATION" }),
    ] {
        let test = answer(CLUSTER, &hook("terminate", &test), &described("ACTIVE", 1), &[]);
        assert_eq!(
            (&test["outcome"], codes(&test)),
            (&json!("ignore"), vec!["TestNotification"])
        );
        assert_eq!(test["actions"], json!([]));
    }
}

#[test]
fn what_is_missing_is_named_once_it_is_needed() {
    let hook = hook("terminate", &json!({}));
    let nothing = answer(CLUSTER, &hook, &json!({}), &[]);
    assert_eq!(
        (&nothing["outcome"], &nothing["event"]["target"]),
        (&json!("wait"), &json!("prod"))
    );
    assert_eq!(
        nothing["missing"],
        json!(["ListContainerInstances", "DescribeContainerInstances"])
    );
    let listed = json!({ "ListContainerInstances": { "containerInstanceArns": [arn("abc")] } });
    assert_eq!(
        answer(CLUSTER, &hook, &listed, &[])["missing"],
        json!(["DescribeContainerInstances"])
    );
    let mut facts = described("ACTIVE", 3);
    facts.as_object_mut().unwrap().remove("ListTasks");
    let stops = answer(CLUSTER, &hook, &facts, &[]);
    assert_eq!(stops["missing"], json!(["DescribeTasks", "ListTasks"]));
    // Of two clusters only the container instance says which.
    let two = format!("{CLUSTER}  dev:\n    capacity: {{}}\n");
    let unknown = answer(&two, &hook, &json!({}), &[]);
    assert_eq!(
        (&unknown["outcome"], &unknown["event"]["target"]),
        (&json!("wait"), &Value::Null)
    );
    assert_eq!(
        answer(&two, &hook, &described("ACTIVE", 1), &[])["event"]["target"],
        "prod"
    );
}

#[test]
fn a_hook_is_completed_once_nothing_stops_any_more() {
    let hook = hook("terminate", &json!({}));
    let stopping = |last: &str| {
        json!({
            "taskArn": "arn:aws:ecs:eu-west-1:111122223333:task/prod/a", "group": "service:web", "version": 1, "containers": [],
            "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod", "containerInstanceArn": arn("abc"),
            "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:1",
            "desiredStatus": "STOPPED", "lastStatus": last,
        })
    };
    let check = |facts: &Value, outcome: &str, code: &str, missing: Value| {
        let answer = answer(CLUSTER, &hook, facts, &[]);
        assert_eq!(
            (&answer["outcome"], codes(&answer)),
            (&json!(outcome), vec![code]),
            "{answer}"
        );
        assert_eq!(answer["missing"], missing);
    };
    let mut facts = described("DRAINING", 0);
    facts.as_object_mut().unwrap().remove("ListTasks");
    check(&facts, "wait", "TasksLeft", json!(["DescribeTasks", "ListTasks"]));
    facts["DescribeTasks"] = json!({ "tasks": [stopping("DEACTIVATING")] });
    check(&facts, "wait", "TasksLeft", json!([]));
    facts["DescribeTasks"] = json!({ "tasks": [stopping("STOPPED")] });
    check(&facts, "act", "InstanceEmpty", json!([]));
}

#[test]
fn what_depends_on_managed_draining_waits_for_its_provider() {
    let mut facts = described("ACTIVE", 1);
    facts["DescribeContainerInstances"]["containerInstances"][0]["capacityProviderName"] = json!("web");
    let hook = hook("terminate", &json!({}));
    let check = |config: &str, facts: &Value, outcome: &str, code: &str, missing: Value| {
        let answer = answer(config, &hook, facts, &[]);
        assert_eq!(
            (&answer["outcome"], codes(&answer)[0]),
            (&json!(outcome), code),
            "{answer}"
        );
        assert_eq!(answer["missing"], missing);
    };
    check(
        CLUSTER,
        &facts,
        "wait",
        "FactsMissing",
        json!(["DescribeCapacityProviders"]),
    );
    let dry = format!("{CLUSTER}      dry-run: true\n");
    check(
        &dry,
        &facts,
        "wait",
        "FactsMissing",
        json!(["DescribeCapacityProviders"]),
    );
    let others = CLUSTER.replace("deadline: 10m", "hooks: [other]");
    check(&others, &facts, "ignore", "HookNotOurs", json!([]));
    facts["DescribeCapacityProviders"] = json!({ "capacityProviders": [{ "name": "web", "autoScalingGroupProvider": { "managedDraining": "DISABLED" } }] });
    check(CLUSTER, &facts, "act", "InstanceDrains", json!([]));
}

#[test]
fn what_the_configuration_leaves_alone_needs_no_facts() {
    let rebalance = event(
        "EC2 Instance Rebalance Recommendation",
        "aws.ec2",
        &[],
        &json!({ "instance-id": "i-1" }),
    );
    let check = |config: &str, event: &Value, code: &str| {
        let answer = answer(config, event, &json!({}), &[]);
        assert_eq!(
            (&answer["outcome"], codes(&answer)[0]),
            (&json!("ignore"), code),
            "{answer}"
        );
        assert_eq!(answer["missing"], json!([]));
    };
    check(CLUSTER, &rebalance, "RebalanceIgnored");
    let others = CLUSTER.replace("deadline: 10m", "hooks: [other]");
    check(&others, &hook("terminate", &json!({})), "HookNotOurs");
    // In which of two it is, matters only where they differ.
    let two = format!("{CLUSTER}  dev:\n    capacity: {{}}\n");
    check(&two, &rebalance, "RebalanceIgnored");
    let differ = format!("{CLUSTER}  dev:\n    capacity: {{ spot: {{ rebalance: drain }} }}\n");
    assert_eq!(answer(&differ, &rebalance, &json!({}), &[])["outcome"], "wait");
}

#[test]
fn what_is_not_managed_is_left_alone() {
    let hook = hook("terminate", &json!({}));
    let check = |config: &str, facts: &Value, code: &str| {
        let answer = answer(config, &hook, facts, &[]);
        assert_eq!(
            (&answer["outcome"], &answer["actions"]),
            (&json!("ignore"), &json!([])),
            "{answer}"
        );
        assert_eq!(codes(&answer), [code]);
    };
    let none = json!({ "ListContainerInstances": { "containerInstanceArns": [] } });
    check(CLUSTER, &none, "NotManaged");
    check(
        CLUSTER,
        &json!({ "DescribeContainerInstances": { "containerInstances": [] } }),
        "NotManaged",
    );
    check("version: 1\n", &described("ACTIVE", 1), "NotManaged");
    check(
        "version: 1\nclusters: { prod: {} }\n",
        &described("ACTIVE", 1),
        "NotConfigured",
    );
    check(&CLUSTER.replace("prod", "dev"), &described("ACTIVE", 1), "NotManaged");
    let mut managed = described("ACTIVE", 1);
    managed["DescribeContainerInstances"]["containerInstances"][0]["capacityProviderName"] = json!("web");
    managed["DescribeCapacityProviders"] = json!({ "capacityProviders": [{ "name": "web", "autoScalingGroupProvider": { "managedDraining": "ENABLED" } }] });
    check(CLUSTER, &managed, "ManagedDraining");
}

#[test]
fn standalone_tasks_and_services_that_block_are_told() {
    let cluster = "arn:aws:ecs:eu-west-1:111122223333:cluster/prod";
    let task = |id: &str, group: &str| {
        json!({
            "taskArn": format!("arn:aws:ecs:eu-west-1:111122223333:task/prod/{id}"), "clusterArn": cluster, "group": group,
            "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:1", "version": 1,
            "desiredStatus": "RUNNING", "lastStatus": "RUNNING", "containerInstanceArn": arn("abc"), "containers": [],
        })
    };
    let mut facts = described("DRAINING", 2);
    facts["DescribeTasks"] = json!({ "tasks": [task("a", "family:batch"), task("b", "service:web")] });
    facts["DescribeServices"] = json!({ "services": [{
        "serviceArn": "arn:aws:ecs:eu-west-1:111122223333:service/prod/web", "status": "ACTIVE", "desiredCount": 1,
        "deploymentConfiguration": { "minimumHealthyPercent": 100, "maximumPercent": 100 },
    }] });
    let told = answer(CLUSTER, &hook("terminate", &json!({})), &facts, &[]);
    assert_eq!(codes(&told), ["StandaloneStopped", "DrainBlocked", "TasksLeft"]);
    assert_eq!(told["actions"][0]["call"], "StopTask");
    assert_eq!(
        told["actions"][0]["input"]["task"],
        "arn:aws:ecs:eu-west-1:111122223333:task/prod/a"
    );
}

#[test]
fn what_ec2_and_aws_health_tell_is_explained() {
    let of = |kind: &str, detail: Value| event(kind, "aws.ec2", &[], &detail);
    let check = |event: &Value, config: &str, outcome: &str, code: &str| {
        let answer = answer(config, event, &described("ACTIVE", 0), &[]);
        assert_eq!(
            (answer["outcome"].as_str().unwrap(), codes(&answer)[0]),
            (outcome, code),
            "{event}"
        );
    };
    let spot = of(
        "EC2 Spot Instance Interruption Warning",
        json!({ "instance-id": "i-1", "instance-action": "terminate" }),
    );
    check(&spot, CLUSTER, "act", "InstanceDrains");
    let rebalance = of("EC2 Instance Rebalance Recommendation", json!({ "instance-id": "i-1" }));
    check(&rebalance, CLUSTER, "ignore", "RebalanceIgnored");
    let asked = format!("{CLUSTER}      spot: {{ rebalance: drain }}\n");
    check(&rebalance, &asked, "act", "InstanceDrains");
    let state = |state: &str| {
        of(
            "EC2 Instance State-change Notification",
            json!({ "instance-id": "i-1", "state": state }),
        )
    };
    check(&state("shutting-down"), CLUSTER, "act", "InstanceDrains");
    check(&state("running"), CLUSTER, "ignore", "NothingGoes");
    let health = |category: &str, start: &str| {
        let detail = json!({
            "service": "EC2", "eventTypeCode": "AWS_EC2_INSTANCE_REBOOT_MAINTENANCE_SCHEDULED", "eventTypeCategory": category,
            "startTime": start, "affectedEntities": [{ "entityValue": "i-1" }],
        });
        event("AWS Health Event", "aws.health", &["i-1"], &detail)
    };
    check(
        &health("scheduledChange", "Sat, 31 Jan 2026 10:30:00 GMT"),
        CLUSTER,
        "act",
        "InstanceDrains",
    );
    check(
        &health("scheduledChange", "Sat, 31 Jan 2026 12:30:00 GMT"),
        CLUSTER,
        "wait",
        "MaintenanceLater",
    );
    check(
        &health("issue", "Sat, 31 Jan 2026 10:30:00 GMT"),
        CLUSTER,
        "ignore",
        "NotMaintenance",
    );
    let dry = format!("{CLUSTER}      dry-run: true\n");
    check(&spot, &dry, "ignore", "DryRun");
}

#[test]
fn a_dry_run_says_that_it_is_one() {
    let folder = Folder::new();
    folder.write("w.yaml", &format!("{CLUSTER}      dry-run: true\n"));
    folder.write_json("facts.json", &described("ACTIVE", 1));
    folder.write_json("event.json", &hook("terminate", &json!({})));
    let ran = folder.run(&["explain", "event.json", "--config", "w.yaml", "--facts", "facts.json"]);
    assert!(
        ran.out
            .contains("\nignore: a dry run: the calls are told, and not made\n"),
        "{ran:?}"
    );
    let checked = folder.run(&["check", "w.yaml"]);
    assert!(checked.out.contains("valid, 0 targets, 1 cluster"), "{checked:?}");
}

#[test]
fn only_what_runs_on_spot_falls_back() {
    let config =
        format!("{CLUSTER}services:\n  prod/web:\n    capacity: {{ spot: {{ fallback: {{ twin: prod/od }} }} }}\n");
    let arn = |name: &str| format!("arn:aws:ecs:eu-west-1:111122223333:service/prod/{name}");
    let told = event(
        "ECS Service Action",
        "aws.ecs",
        &[&arn("web")],
        &json!({ "eventName": "SERVICE_TASK_PLACEMENT_FAILURE", "reason": "RESOURCE:MEMORY" }),
    );
    let service = |name: &str, desired: u32, provider: &str| {
        json!({
            "serviceArn": arn(name), "status": "ACTIVE", "desiredCount": desired, "runningCount": 0, "taskDefinition": "web:1",
            "capacityProviderStrategy": [{ "capacityProvider": provider, "weight": 1 }],
        })
    };
    let check = |provider: &str, more: Value, outcome: &str, code: &str, missing: Value| {
        let services = json!({ "services": [service("web", 2, provider), service("od", 0, "FARGATE")] });
        let mut facts = json!({ "DescribeServices": services });
        facts.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = answer(&config, &told, &facts, &[]);
        assert_eq!(
            (&answer["outcome"], codes(&answer)),
            (&json!(outcome), vec![code]),
            "{answer}"
        );
        assert_eq!(answer["missing"], missing);
    };
    check("FARGATE", json!({}), "ignore", "NotOnSpot", json!([]));
    check("FARGATE_SPOT", json!({}), "wait", "SpotShort", json!([]));
    check(
        "cp",
        json!({}),
        "wait",
        "FactsMissing",
        json!(["DescribeCapacityProviders"]),
    );
    let provider = json!({ "name": "cp", "autoScalingGroupProvider": { "autoScalingGroupArn": "asg" } });
    let providers = json!({ "DescribeCapacityProviders": { "capacityProviders": [provider] } });
    check(
        "cp",
        providers.clone(),
        "wait",
        "FactsMissing",
        json!(["DescribeAutoScalingGroups"]),
    );
    for (percentage, outcome, code) in [(0, "wait", "SpotShort"), (100, "ignore", "NotOnSpot")] {
        let policy = json!({ "InstancesDistribution": { "OnDemandPercentageAboveBaseCapacity": percentage } });
        let group = json!({ "AutoScalingGroupName": "asg", "MinSize": 0, "MaxSize": 9, "DesiredCapacity": 1,
            "MixedInstancesPolicy": policy });
        let mut more = providers.clone();
        more["DescribeAutoScalingGroups"] = json!({ "AutoScalingGroups": [group] });
        check("cp", more, outcome, code, json!([]));
    }
}

#[test]
fn container_instances_groups_and_services_are_explained() {
    let check = |event: &Value, config: &str, target: Value, outcome: &str, code: &str| {
        let answer = answer(config, event, &json!({}), &[]);
        assert_eq!(answer["event"]["target"], target, "{event}");
        assert_eq!(
            (answer["outcome"].as_str().unwrap(), codes(&answer)[0]),
            (outcome, code),
            "{event}"
        );
    };
    let changed = |connected: bool| {
        let detail = json!({ "containerInstanceArn": arn("abc"), "ec2InstanceId": "i-1", "status": "ACTIVE", "agentConnected": connected });
        event("ECS Container Instance State Change", "aws.ecs", &[], &detail)
    };
    check(&changed(true), CLUSTER, json!("prod"), "ignore", "NothingGoes");
    check(&changed(false), CLUSTER, json!("prod"), "ignore", "NothingGoes");
    let replace = format!("{CLUSTER}      disconnected: {{ after: 5m }}\n");
    check(&changed(false), &replace, json!("prod"), "wait", "AgentDisconnected");
    check(&changed(false), "version: 1\n", json!("prod"), "ignore", "NotManaged");
    let refresh = event(
        "EC2 Auto Scaling Instance Refresh Started",
        "aws.autoscaling",
        &[],
        &json!({ "AutoScalingGroupName": "web" }),
    );
    check(&refresh, CLUSTER, Value::Null, "ignore", "ToldOtherwise");
    let service = "arn:aws:ecs:eu-west-1:111122223333:service/prod/web";
    let action = |name: &str| {
        event(
            "ECS Service Action",
            "aws.ecs",
            &[service],
            &json!({ "eventName": name }),
        )
    };
    check(
        &action("SERVICE_STEADY_STATE"),
        CLUSTER,
        json!("prod/web"),
        "ignore",
        "ToldOtherwise",
    );
    check(
        &action("SERVICE_TASK_PLACEMENT_FAILURE"),
        CLUSTER,
        json!("prod/web"),
        "ignore",
        "NotConfigured",
    );
    check(
        &action("SOMETHING_NEW"),
        "version: 1\n",
        json!("prod/web"),
        "ignore",
        "NotManaged",
    );
}
