//! Which events start which function: all that a domain needs, and none that no domain needs.

use serde_json::{Value, json};
use wharfinger_core::event::{Detail, Event};

use crate::document::Template;
use crate::pattern::matches;

/// The functions that follow tasks, in the order of the template.
const FOLLOW_TASKS: &[&str] = &["DiscoveryFunction", "BalancingFunction"];

/// The function that looks after instances.
const CAPACITY: [&str; 1] = ["CapacityFunction"];

const TASK_STATES: [&str; 8] = [
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
];

/// The functions that an event starts.
fn started(event: &Value) -> Vec<String> {
    let template = Template::load();
    let rules = template.functions().flat_map(|id| {
        let events = template.function_property(id, "Events").as_object().unwrap();
        events
            .values()
            .filter(|rule| rule["Type"] == "EventBridgeRule")
            .map(move |rule| (id, rule))
    });
    rules
        .filter(|(_, rule)| matches(&rule["Properties"]["Pattern"], event))
        .map(|(id, _)| id.to_owned())
        .collect()
}

/// The functions besides the one that counts what stopped.
fn besides_capacity(event: &Value) -> Vec<String> {
    let mut started = started(event);
    started.retain(|id| id != CAPACITY[0]);
    started
}

fn event(source: &str, detail_type: &str, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": "8f07966c-b005-4a0f-9ee9-63d2c41448b3",
        "detail-type": detail_type,
        "source": source,
        "account": "111122223333",
        "time": "2026-03-14T09:26:53Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:ecs:eu-west-1:111122223333:service/prod/web"],
        "detail": detail,
    })
}

fn task(last: &str, desired: &str) -> Value {
    let arn = "arn:aws:ecs:eu-west-1:111122223333";
    event(
        "aws.ecs",
        "ECS Task State Change",
        &json!({
            "taskArn": format!("{arn}:task/prod/0f3b5d0f6c7e4b0f8a1d2c3b4a596877"),
            "clusterArn": format!("{arn}:cluster/prod"),
            "taskDefinitionArn": format!("{arn}:task-definition/web:7"),
            "group": "service:web",
            "version": 4,
            "lastStatus": last,
            "desiredStatus": desired,
        }),
    )
}

#[test]
fn a_task_starts_discovery_and_balancing_exactly_when_it_runs_or_leaves() {
    for last in TASK_STATES.into_iter().chain(["DELETED"]) {
        for desired in ["RUNNING", "STOPPED"] {
            let event = task(last, desired);
            let Detail::Task(read) = Event::parse(&event).unwrap().detail else {
                panic!("not read as a task")
            };
            let needed = read.is_leaving() || read.is_running();
            let wanted: &[&str] = if needed { FOLLOW_TASKS } else { &[] };
            assert_eq!(besides_capacity(&event), wanted, "{last}, wanted {desired}");
        }
    }
}

#[test]
fn the_first_sign_of_leaving_starts_them_whatever_it_is() {
    // A Spot notice; a task that is stopped before it ran; one that is drained; one that just died.
    for (last, desired) in [
        ("RUNNING", "STOPPED"),
        ("PENDING", "STOPPED"),
        ("DEACTIVATING", "RUNNING"),
        ("STOPPED", "RUNNING"),
    ] {
        assert_eq!(
            besides_capacity(&task(last, desired)),
            FOLLOW_TASKS,
            "{last}, wanted {desired}"
        );
    }
    for last in ["PROVISIONING", "PENDING", "ACTIVATING"] {
        assert_eq!(started(&task(last, "RUNNING")), [""; 0], "{last}");
    }
}

#[test]
fn an_instance_starts_discovery_and_balancing_when_it_drains() {
    for (status, wanted) in [
        ("DRAINING", FOLLOW_TASKS),
        ("ACTIVE", &[]),
        ("REGISTERING", &[]),
        ("INACTIVE", &[]),
    ] {
        let arn = "arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/0f3b5d0f6c7e4b0f8a1d2c3b4a596877";
        let detail = json!({ "containerInstanceArn": arn, "status": status, "agentConnected": true, "version": 7 });
        let event = event("aws.ecs", "ECS Container Instance State Change", &detail);
        assert!(matches!(
            Event::parse(&event).unwrap().detail,
            Detail::ContainerInstance(_)
        ));
        assert_eq!(besides_capacity(&event), wanted, "{status}");
    }
}

#[test]
fn every_state_of_an_alarm_starts_scaling() {
    for state in ["OK", "ALARM", "INSUFFICIENT_DATA"] {
        let detail = json!({ "alarmName": "web-cpu", "state": { "value": state } });
        assert_eq!(
            started(&event("aws.cloudwatch", "CloudWatch Alarm State Change", &detail)),
            ["ScalingFunction"]
        );
        let other = event("aws.cloudwatch", "CloudWatch Alarm Configuration Change", &detail);
        assert_eq!(started(&other), [""; 0], "a changed alarm has not changed its state");
    }
}

#[test]
fn a_tagged_push_that_succeeded_starts_delivery() {
    let image = |action: &str, result: &str, tag: Option<&str>| {
        let mut detail = json!({
            "action-type": action,
            "result": result,
            "repository-name": "shop/web",
            "image-digest": format!("sha256:{}", "7".repeat(64)),
        });
        if let Some(tag) = tag {
            detail["image-tag"] = json!(tag);
        }
        event("aws.ecr", "ECR Image Action", &detail)
    };
    assert_eq!(started(&image("PUSH", "SUCCESS", Some("1.4.0"))), ["DeliveryFunction"]);
    assert_eq!(
        started(&image("PUSH", "SUCCESS", None)),
        [""; 0],
        "the parts of a multi-platform image"
    );
    assert_eq!(started(&image("PUSH", "FAILURE", Some("1.4.0"))), [""; 0]);
    assert_eq!(started(&image("DELETE", "SUCCESS", Some("1.4.0"))), [""; 0]);
    assert_eq!(
        started(&image("UPDATE_STORAGE_CLASS", "SUCCESS", Some("1.4.0"))),
        [""; 0]
    );
}

#[test]
fn an_image_that_came_in_another_way_starts_delivery() {
    let copied = |result: &str, tag: Value| {
        let detail =
            json!({ "action-type": "REPLICATE", "result": result, "repository-name": "shop/web", "image-tag": tag });
        event("aws.ecr", "ECR Replication Action", &without_null(&detail))
    };
    assert_eq!(started(&copied("SUCCESS", json!("1.4.0"))), ["DeliveryFunction"]);
    assert_eq!(started(&copied("SUCCESS", Value::Null)), [""; 0]);
    assert_eq!(started(&copied("FAILED", json!("1.4.0"))), [""; 0]);
    let fetched = |status: &str| {
        let detail = json!({ "sync-status": status, "repository-name": "docker-hub/alpine", "image-tag": "3.17" });
        event("aws.ecr", "ECR Pull Through Cache Action", &detail)
    };
    assert_eq!(started(&fetched("SUCCESS")), ["DeliveryFunction"]);
    assert_eq!(started(&fetched("FAILED")), [""; 0]);
}

#[test]
fn a_scan_of_an_image_that_ended_starts_delivery() {
    let scanned = |source: &str, kind: &str, status: &str, repository: Value| {
        let detail = json!({ "scan-status": status, "repository-name": repository });
        event(source, kind, &without_null(&detail))
    };
    let basic = |status| scanned("aws.ecr", "ECR Image Scan", status, json!("shop/web"));
    assert_eq!(started(&basic("COMPLETE")), ["DeliveryFunction"]);
    assert_eq!(started(&basic("FAILED")), [""; 0]);
    let enhanced = |status, repository| scanned("aws.inspector2", "Inspector2 Scan", status, repository);
    let arn = json!("arn:aws:ecr:eu-west-1:111122223333:repository/shop/web");
    assert_eq!(started(&enhanced("INITIAL_SCAN_COMPLETE", arn)), ["DeliveryFunction"]);
    assert_eq!(
        started(&enhanced("INITIAL_SCAN_COMPLETE", Value::Null)),
        [""; 0],
        "an instance"
    );
    for (source, kind) in [
        ("aws.ecr", "ECR Referrer Action"),
        ("aws.ecr", "ECR Scan Resource Change"),
        ("aws.inspector2", "Inspector2 Finding"),
    ] {
        assert_eq!(started(&event(source, kind, &json!({}))), [""; 0], "{kind}");
    }
}

/// A field that is null is not there.
fn without_null(detail: &Value) -> Value {
    let mut detail = detail.clone();
    detail.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    detail
}

#[test]
fn a_rollout_that_is_over_starts_delivery() {
    let deployment = |name: &str| {
        let detail = json!({ "eventType": "INFO", "eventName": name, "deploymentId": "ecs-svc/123" });
        event("aws.ecs", "ECS Deployment State Change", &detail)
    };
    assert_eq!(
        started(&deployment("SERVICE_DEPLOYMENT_COMPLETED")),
        ["DeliveryFunction"]
    );
    assert_eq!(started(&deployment("SERVICE_DEPLOYMENT_FAILED")), ["DeliveryFunction"]);
    assert_eq!(started(&deployment("SERVICE_DEPLOYMENT_IN_PROGRESS")), [""; 0]);
}

#[test]
fn a_task_of_a_service_starts_capacity_exactly_when_it_has_stopped() {
    for last in TASK_STATES {
        let mut event = task(last, "STOPPED");
        let is_started = |event: &Value| started(event).iter().any(|id| id == CAPACITY[0]);
        assert_eq!(is_started(&event), last == "STOPPED", "{last}");
        for group in ["family:nightly", "mine"] {
            event["detail"]["group"] = json!(group);
            assert!(!is_started(&event), "{last} {group}");
        }
    }
}

#[test]
fn a_group_that_waits_with_an_instance_starts_capacity() {
    let waits = |kind: &str, transition: &str, origin: &str| {
        let detail = json!({ "LifecycleTransition": transition, "Origin": origin, "EC2InstanceId": "i-1" });
        started(&event("aws.autoscaling", kind, &detail))
    };
    let (ends, begins) = (
        "EC2 Instance-terminate Lifecycle Action",
        "EC2 Instance-launch Lifecycle Action",
    );
    for origin in ["AutoScalingGroup", "WarmPool", "EC2"] {
        assert_eq!(waits(ends, "autoscaling:EC2_INSTANCE_TERMINATING", origin), CAPACITY);
    }
    for origin in ["AutoScalingGroup", "WarmPool"] {
        assert_eq!(waits(begins, "autoscaling:EC2_INSTANCE_LAUNCHING", origin), CAPACITY);
    }
    assert_eq!(
        waits(begins, "autoscaling:EC2_INSTANCE_LAUNCHING", "EC2"),
        [""; 0],
        "an instance that is new comes back from nowhere"
    );
    assert_eq!(waits(ends, "autoscaling:TEST_NOTIFICATION", "EC2"), [""; 0]);
}

#[test]
fn what_instances_go_by_starts_capacity() {
    for kind in [
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
    ] {
        let detail = json!({ "instance-id": "i-1", "instance-action": "terminate" });
        assert_eq!(started(&event("aws.ec2", kind, &detail)), CAPACITY, "{kind}");
    }
    for (state, wanted) in [
        ("running", true),
        ("shutting-down", true),
        ("stopping", true),
        ("pending", false),
        ("stopped", false),
        ("terminated", false),
    ] {
        let detail = json!({ "instance-id": "i-1", "state": state });
        let started = started(&event("aws.ec2", "EC2 Instance State-change Notification", &detail));
        assert_eq!(started == CAPACITY, wanted, "{state}");
    }
    for (service, category, wanted) in [
        ("EC2", "scheduledChange", true),
        ("EC2", "issue", false),
        ("RDS", "scheduledChange", false),
    ] {
        let detail = json!({ "service": service, "eventTypeCategory": category });
        let started = started(&event("aws.health", "AWS Health Event", &detail));
        assert_eq!(started == CAPACITY, wanted, "{service} {category}");
    }
}

#[test]
fn of_container_instances_only_those_that_are_silent_come_or_go_start_capacity() {
    for (status, connected, wanted) in [
        ("ACTIVE", true, false),
        ("ACTIVE", false, true),
        ("DRAINING", true, true),
        ("DEREGISTERING", true, true),
        ("INACTIVE", true, true),
        ("REGISTERING", true, true),
        ("REGISTRATION_FAILED", true, false),
    ] {
        let detail = json!({ "status": status, "agentConnected": connected });
        let started = started(&event("aws.ecs", "ECS Container Instance State Change", &detail));
        assert_eq!(
            started.iter().any(|id| id == CAPACITY[0]),
            wanted,
            "{status} {connected}"
        );
    }
}

#[test]
fn services_that_find_no_place_start_capacity() {
    for (name, wanted) in [
        ("SERVICE_TASK_PLACEMENT_FAILURE", true),
        ("SERVICE_TASK_START_IMPAIRED", true),
        ("SERVICE_STEADY_STATE", false),
        ("SERVICE_DEPLOYMENT_COMPLETED", false),
    ] {
        let started = started(&event("aws.ecs", "ECS Service Action", &json!({ "eventName": name })));
        assert_eq!(started == CAPACITY, wanted, "{name}");
    }
}

#[test]
fn a_task_with_volumes_starts_storage_when_it_runs_and_when_it_has_stopped() {
    let is_started = |event: &Value| started(event).iter().any(|id| id == "StorageFunction");
    for last in TASK_STATES {
        let mut event = task(last, "RUNNING");
        event["detail"]["attachments"] = json!([{ "type": "eni", "details": [] }]);
        assert!(!is_started(&event), "{last}: no volume");
        for kind in ["amazonebs", "AmazonElasticBlockStorage"] {
            let attachments = json!([{ "type": "eni" }, { "type": kind, "details": [] }]);
            event["detail"]["attachments"] = attachments;
            assert_eq!(
                is_started(&event),
                ["RUNNING", "STOPPED"].contains(&last),
                "{last} {kind}"
            );
        }
        event["detail"]["group"] = json!("family:nightly");
        assert!(!is_started(&event), "{last}: standalone");
    }
}

#[test]
fn a_task_that_storage_started_starts_it_when_it_runs_and_when_it_has_stopped() {
    for last in TASK_STATES {
        let mut event = task(last, "RUNNING");
        event["detail"]["group"] = json!("family:db");
        for (by, ours) in [
            ("${AWS::StackName}/0", true),
            ("${AWS::StackName}-2/0", false),
            ("ecs-svc/1", false),
        ] {
            event["detail"]["startedBy"] = json!(by);
            let is_started = started(&event).iter().any(|id| id == "StorageFunction");
            assert_eq!(
                is_started,
                ours && ["RUNNING", "STOPPED"].contains(&last),
                "{last} {by}"
            );
        }
    }
}

#[test]
fn a_snapshot_that_was_made_starts_storage() {
    for (made, wanted) in [
        ("createSnapshot", true),
        ("copySnapshot", false),
        ("shareSnapshot", false),
    ] {
        let detail = json!({ "event": made, "result": "failed", "snapshot_id": "arn:aws:ec2::x:snapshot/snap-1" });
        let event = event("aws.ec2", "EBS Snapshot Notification", &detail);
        assert_eq!(started(&event) == ["StorageFunction"], wanted, "{made}");
        assert_eq!(
            matches!(Event::parse(&event).unwrap().detail, Detail::Snapshot(_)),
            made != "shareSnapshot"
        );
    }
    let several = event(
        "aws.ec2",
        "EBS Multi-Volume Snapshots Completion Status",
        &json!({ "event": "createSnapshots" }),
    );
    assert_eq!(started(&several), [""; 0]);
}

#[test]
fn nothing_else_starts_anything() {
    for (source, detail_type) in [
        ("aws.ecs", "ECS Service Action"),
        ("aws.ecs", "ECS Container Instance State Change"),
        ("aws.ec2", "EC2 Instance State-change Notification"),
        ("aws.autoscaling", "EC2 Instance Launch Successful"),
        ("aws.health", "AWS Health Event"),
        ("aws.ecr", "ECR Image Scan"),
        ("my.app", "ECS Task State Change"),
        ("my.app", "CloudWatch Alarm State Change"),
    ] {
        let detail = json!({ "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "state": { "value": "ALARM" } });
        assert_eq!(
            started(&event(source, detail_type, &detail)),
            [""; 0],
            "{source} {detail_type}"
        );
    }
}
