//! Events, and what AWS would answer.

use serde_json::{Value, json};

pub(crate) const TASK: &str = "arn:aws:ecs:eu-west-1:111122223333:task/prod/0123456789abcdef0123456789abcdef";

pub(crate) fn event(detail_type: &str, source: &str, resources: &[&str], detail: &Value) -> Value {
    json!({
        "version": "0", "id": "5f1f2a3b-0000-4000-8000-000000000001", "detail-type": detail_type, "source": source,
        "account": "111122223333", "region": "eu-west-1", "time": "2026-01-31T10:00:00Z", "resources": resources,
        "detail": detail,
    })
}

pub(crate) fn task(version: u32, desired: &str, group: &str) -> Value {
    let detail = json!({
        "taskArn": TASK, "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod",
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-web:3",
        "group": group, "version": version, "desiredStatus": desired, "lastStatus": "RUNNING",
        "startedAt": "2026-01-31T09:59:58Z", "availabilityZone": "eu-west-1a",
        "containers": [{ "name": "web", "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.4.0" }],
        "attachments": [{ "type": "eni", "details": [{ "name": "privateIPv4Address", "value": "10.0.0.5" }] }],
    });
    event("ECS Task State Change", "aws.ecs", &[TASK], &detail)
}

pub(crate) fn alarm() -> Value {
    let reading = json!({ "recentDatapoints": [120.0], "threshold": 50.0 }).to_string();
    let state = json!({ "value": "ALARM", "timestamp": "2026-01-31T09:59:59.989+0000", "reasonData": reading });
    let detail = json!({ "alarmName": "web-cpu", "state": state });
    event("CloudWatch Alarm State Change", "aws.cloudwatch", &[], &detail)
}

pub(crate) fn push() -> Value {
    let digest = format!("sha256:{}", "7f".repeat(32));
    let detail = json!({
        "result": "SUCCESS", "repository-name": "shop/web", "image-digest": digest, "action-type": "PUSH", "image-tag": "1.5.0",
    });
    event("ECR Image Action", "aws.ecr", &[], &detail)
}

/// The same image, replicated from another Region.
pub(crate) fn replication() -> Value {
    let mut detail = push()["detail"].take();
    detail["action-type"] = json!("REPLICATE");
    detail["source-region"] = json!("us-east-1");
    event("ECR Replication Action", "aws.ecr", &[], &detail)
}

pub(crate) fn scan(status: &str) -> Value {
    let detail = json!({ "repository-name": "shop/web", "scan-status": status, "image-tags": [] });
    event("ECR Image Scan", "aws.ecr", &[], &detail)
}

pub(crate) fn service() -> Value {
    let definition = "arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-web:3";
    json!({
        "serviceArn": "arn:aws:ecs:eu-west-1:111122223333:service/prod/web", "status": "ACTIVE",
        "desiredCount": 2, "runningCount": 2, "pendingCount": 0, "taskDefinition": definition,
        "deployments": [{
            "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": definition, "rolloutState": "COMPLETED",
            "createdAt": 1_735_689_600.123,
        }],
    })
}
