//! Events and configuration for the functions: written here, in the shapes of the AWS documentation.

use serde_json::{Map, Value, json};
use wharfinger_core::config::stored::{CLUSTERS, StoredTarget};
use wharfinger_core::config::{Cluster, Service};
use wharfinger_core::ids::Target;

use super::json::item;
use super::{ACCOUNT, CONFIG_TABLE, REGION, World};

/// The Cloud Map service of every discovery entry here.
pub const REGISTRY: &str = "srv-web0000000000000";

fn event(source: &str, kind: &str, resources: &Value, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": "9bcdac79-b31f-4d3d-9410-fbd727c29fab",
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT,
        "time": "2026-01-05T12:00:00Z",
        "region": REGION,
        "resources": resources,
        "detail": detail,
    })
}

/// The ARN of a task of the cluster `prod`.
#[must_use]
pub fn task_arn(id: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/prod/{id}")
}

/// The target group of every balancing entry here.
pub const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web-internal/0123456789abcdef";

/// The address of a task: each has its own.
#[must_use]
pub fn address(id: &str) -> String {
    let hash = id.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let [_, a, b, c] = hash.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

/// A task of the service `prod/<service>`, as its event has it.
#[must_use]
pub fn task(service: &str, id: &str, version: i64, last: &str, desired: &str) -> Value {
    json!({
        "taskArn": task_arn(id),
        "clusterArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/prod"),
        "taskDefinitionArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{service}:7"),
        "group": format!("service:{service}"),
        "version": version,
        "lastStatus": last,
        "desiredStatus": desired,
        "startedAt": "2026-01-05T11:50:00Z",
        "launchType": "FARGATE",
        "availabilityZone": "eu-west-1a",
        "attachments": [{
            "id": "1789bcae-ddfb-4d10-8ebe-8ac87ddba5b8",
            "type": "eni",
            "status": "ATTACHED",
            "details": [
                { "name": "networkInterfaceId", "value": "eni-0123456789abcdef0" },
                { "name": "privateIPv4Address", "value": address(id) },
            ],
        }],
        "containers": [{ "name": service, "lastStatus": last, "image": format!("shop/{service}:1.2.0") }],
    })
}

/// The same task with the address of another: it began later, when that had become free.
#[must_use]
pub fn at_address_of(mut task: Value, other: &str) -> Value {
    task["attachments"][0]["details"][1]["value"] = json!(address(other));
    task["startedAt"] = json!("2026-01-05T11:59:00Z");
    task
}

/// The same task on the network of a container instance: port 8080 of its container is bound to `host_port` there.
#[must_use]
pub fn on_host(mut task: Value, container_instance: &str, host_port: u16) -> Value {
    task["launchType"] = json!("EC2");
    task["attachments"] = json!([]);
    task["containerInstanceArn"] = json!(container_instance);
    let binding = json!({ "bindIP": "0.0.0.0", "containerPort": 8080, "hostPort": host_port, "protocol": "tcp" });
    task["containers"][0]["networkBindings"] = json!([binding]);
    task
}

/// The ARN of a container instance of the cluster `prod`.
#[must_use]
pub fn container_instance_arn(id: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/prod/{id}")
}

/// `ECS Container Instance State Change`.
#[must_use]
pub fn instance_event(id: &str, version: i64, status: &str) -> Value {
    let arn = container_instance_arn(id);
    let detail = json!({
        "containerInstanceArn": arn,
        "clusterArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/prod"),
        "ec2InstanceId": format!("i-{id}"),
        "agentConnected": true,
        "status": status,
        "version": version,
    });
    event("aws.ecs", "ECS Container Instance State Change", &json!([arn]), &detail)
}

/// A service of the cluster `prod` that is as it should be, as `DescribeServices` shows it.
#[must_use]
pub fn service(name: &str, count: u32) -> Value {
    let definition = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{name}:1");
    json!({
        "serviceName": name,
        "serviceArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/prod/{name}"),
        "clusterArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/prod"),
        "status": "ACTIVE",
        "desiredCount": count,
        "runningCount": count,
        "pendingCount": 0,
        "taskDefinition": definition,
        "deploymentController": { "type": "ECS" },
        "deployments": [{
            "id": "ecs-svc/1",
            "status": "PRIMARY",
            "taskDefinition": definition,
            "desiredCount": count,
            "runningCount": count,
            "pendingCount": 0,
            "rolloutState": "COMPLETED",
            "createdAt": 1_767_600_000,
        }],
    })
}

/// The first revision of a family with one container of its name, which runs an image of the account's own registry, as
/// `DescribeTaskDefinition` shows it.
#[must_use]
pub fn task_definition(family: &str, image: &str) -> Value {
    json!({
        "taskDefinitionArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:1"),
        "family": family,
        "revision": 1,
        "status": "ACTIVE",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{
            "name": family,
            "image": format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{image}"),
            "essential": true,
            "portMappings": [{ "containerPort": 8080, "hostPort": 8080, "protocol": "tcp" }],
            "environment": [],
            "mountPoints": [],
            "volumesFrom": [],
        }],
        "volumes": [],
        "placementConstraints": [],
    })
}

/// `ECS Task State Change`.
#[must_use]
pub fn task_event(task: &Value) -> Value {
    event("aws.ecs", "ECS Task State Change", &json!([task["taskArn"]]), task)
}

/// `CloudWatch Alarm State Change` of a metric alarm in ALARM, with what the metric said.
#[must_use]
pub fn alarm_event(name: &str, since: &str, value: f64, threshold: f64) -> Value {
    let reason = json!({
        "version": "1.0", "queryDate": since, "period": 60, "statistic": "Average",
        "recentDatapoints": [value], "threshold": threshold,
    });
    let arn = format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}");
    let state = json!({ "value": "ALARM", "timestamp": since, "reason": "crossed", "reasonData": reason.to_string() });
    event(
        "aws.cloudwatch",
        "CloudWatch Alarm State Change",
        &json!([arn]),
        &json!({ "alarmName": name, "state": state }),
    )
}

/// `ECR Image Action` of a push.
#[must_use]
pub fn push_event(repository: &str, tag: &str, digest: &str) -> Value {
    let detail = json!({
        "action-type": "PUSH", "result": "SUCCESS", "repository-name": repository, "image-tag": tag, "image-digest": digest,
    });
    event("aws.ecr", "ECR Image Action", &json!([]), &detail)
}

/// `ECR Replication Action` of an image that came from another Region.
#[must_use]
pub fn replication_event(repository: &str, tag: &str, digest: &str) -> Value {
    let detail = json!({
        "action-type": "REPLICATE", "result": "SUCCESS", "repository-name": repository, "image-tag": tag,
        "image-digest": digest, "source-account": "123456789012", "source-region": "us-east-1",
    });
    event("aws.ecr", "ECR Replication Action", &json!([]), &detail)
}

/// `Inspector2 Scan` of an image that was scanned for the first time.
#[must_use]
pub fn scan_event(repository: &str, digest: &str) -> Value {
    let detail = json!({
        "scan-status": "INITIAL_SCAN_COMPLETE", "image-digest": digest, "image-tags": [],
        "repository-name": format!("arn:aws:ecr:eu-west-1:123456789012:repository/{repository}"),
    });
    event("aws.inspector2", "Inspector2 Scan", &json!([]), &detail)
}

/// `Scheduled Event`: time for a sweep.
#[must_use]
pub fn schedule_event() -> Value {
    event("aws.events", "Scheduled Event", &json!([]), &json!({}))
}

/// `Scheduled Event`: time to look at the tasks that wait to be healthy.
#[must_use]
pub fn waiting_event() -> Value {
    event(
        "aws.events",
        "Scheduled Event",
        &json!([]),
        &json!({ "only": "waiting" }),
    )
}

/// The configuration of a service whose tasks join a target group.
#[must_use]
pub fn with_balancing() -> Value {
    json!({ "balancing": [{ "target-group": GROUP, "port": 8080 }] })
}

/// The configuration of a service with one endpoint for each task.
#[must_use]
pub fn with_discovery() -> Value {
    json!({ "discovery": [{ "to": REGISTRY, "port": 8080, "attributes": { "lane": "blue" } }] })
}

/// Stores a target's configuration as the command does: `cluster/service` and what stands under it.
///
/// # Errors
/// When it is no configuration.
pub fn configure(world: &mut World, target: &str, config: &Value) -> Result<(), serde_json::Error> {
    let stored = StoredTarget::new(serde_json::from_value::<Service>(config.clone())?);
    let (cluster, name) = target.split_once('/').unwrap_or((target, ""));
    let sort = Target::service(cluster, name).key();
    for partition in stored.partitions() {
        let mut plain = Map::new();
        plain.insert("pk".into(), json!(partition));
        plain.insert("sk".into(), json!(sort));
        plain.insert("target".into(), serde_json::to_value(&stored)?);
        world.tables.put(CONFIG_TABLE, item(&plain));
    }
    Ok(())
}

/// Puts a cluster's configuration into the config table, as `wharfinger apply` does.
///
/// # Errors
/// When it is no such configuration.
pub fn configure_cluster(world: &mut World, name: &str, config: &Value) -> Result<(), serde_json::Error> {
    let cluster: Cluster = serde_json::from_value(config.clone())?;
    let mut plain = Map::new();
    plain.insert("pk".into(), json!(CLUSTERS));
    plain.insert("sk".into(), json!(name));
    plain.insert("cluster".into(), serde_json::to_value(&cluster)?);
    world.tables.put(CONFIG_TABLE, item(&plain));
    Ok(())
}

/// An Auto Scaling group waits with an instance that it terminates; `at` is RFC 3339.
#[must_use]
pub fn terminating_event(instance: &str, token: &str, at: &str) -> Value {
    let detail = json!({
        "LifecycleActionToken": token,
        "AutoScalingGroupName": "web",
        "LifecycleHookName": "drain",
        "EC2InstanceId": instance,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "Origin": "AutoScalingGroup",
        "Destination": "EC2",
    });
    let kind = "EC2 Instance-terminate Lifecycle Action";
    let mut event = event("aws.autoscaling", kind, &json!([]), &detail);
    event["time"] = json!(at);
    event
}
