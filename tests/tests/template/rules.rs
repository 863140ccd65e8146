//! Which events start which function: all that a domain needs, and none that no domain needs.

use serde_json::{Value, json};
use wharfinger_core::event::{Detail, Event};

use crate::document::Template;
use crate::pattern::matches;

/// The functions that follow tasks, in the order of the template.
const FOLLOW_TASKS: &[&str] = &["DiscoveryFunction", "BalancingFunction"];

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
            assert_eq!(started(&event), wanted, "{last}, wanted {desired}");
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
        assert_eq!(started(&task(last, desired)), FOLLOW_TASKS, "{last}, wanted {desired}");
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
        assert_eq!(started(&event), wanted, "{status}");
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
fn nothing_else_starts_anything() {
    for (source, detail_type) in [
        ("aws.ecs", "ECS Service Action"),
        ("aws.ecs", "ECS Container Instance State Change"),
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
