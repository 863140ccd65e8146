//! As much of AWS as the functions call, in memory. It is quiet and orderly; what goes wrong is scripted
//! ([`Fault`](super::Fault)), and what goes wrong in any order is the simulation's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::dynamodb::Tables;
use super::query::Target;

/// A status and a body.
pub(super) type Answer = (u16, Value);

/// What the functions find and leave behind.
#[derive(Debug, Default)]
pub struct World {
    /// DynamoDB.
    pub tables: Tables,
    /// Cloud Map: the attributes of each instance, by service and instance id.
    pub instances: BTreeMap<(String, String), BTreeMap<String, String>>,
    /// Cloud Map: what the custom health check of an instance was told last.
    pub statuses: BTreeMap<(String, String), String>,
    /// Elastic Load Balancing: the targets of every group.
    pub targets: BTreeSet<Target>,
    /// ECS: the EC2 instance of each container instance, by ARN.
    pub container_instances: BTreeMap<String, String>,
    /// ECS: each container instance as `DescribeContainerInstances` shows it, by ARN, where more of it matters.
    pub hosts: BTreeMap<String, Value>,
    /// Auto Scaling: the lifecycle actions that wait: the instance, by the token.
    pub lifecycle_actions: BTreeMap<String, String>,
    /// EC2: the private address of each instance, by its id.
    pub machines: BTreeMap<String, String>,
    /// EC2: the public address of each network interface, by its id.
    pub public_addresses: BTreeMap<String, String>,
    /// ECS: each task as `DescribeTasks` shows it, by ARN.
    pub tasks: BTreeMap<String, Value>,
    /// ECS: each service as `DescribeServices` shows it, by name.
    pub services: BTreeMap<String, Value>,
    /// ECS: the task definitions in the order of their registration, as `DescribeTaskDefinition` shows them.
    pub task_definitions: Vec<Value>,
    /// CloudWatch: each alarm's members as `DescribeAlarms` shows them, by name.
    pub alarms: BTreeMap<String, BTreeMap<String, String>>,
    /// CloudWatch: the newest value of each metric, by its name.
    pub metrics: BTreeMap<String, f64>,
    /// SQS: how many messages each queue holds, visible and in flight.
    pub queues: BTreeMap<String, (u64, u64)>,
    /// Application Auto Scaling: `service/cluster/name` of the services that it moves.
    pub scalable: BTreeSet<String>,
    /// ECR: the image details of each repository.
    pub images: BTreeMap<String, Vec<Value>>,
}

impl World {
    /// Answers a call of a JSON protocol. `service` is the prefix of `X-Amz-Target`.
    pub(super) fn answer(&mut self, service: &str, operation: &str, request: &Value) -> Answer {
        match service.split('_').next().unwrap_or(service) {
            "DynamoDB" => self.tables.answer(operation, request),
            "Route53AutoNaming" => self.cloud_map(operation, request),
            "AmazonEC2ContainerServiceV20141113" => self.ecs(operation, request),
            "AmazonEC2ContainerRegistry" => self.ecr(operation, request),
            "AWSEvents" if operation == "PutEvents" => (200, json!({ "FailedEntryCount": 0, "Entries": [] })),
            "AmazonSSM" if operation == "PutParameter" => (200, json!({ "Version": 1 })),
            "AmazonSQS" => self.sqs(operation, request),
            "AnyScaleFrontendService" => self.application_auto_scaling(operation, request),
            _ => unknown(operation),
        }
    }

    fn sqs(&self, operation: &str, request: &Value) -> Answer {
        const PLACE: &str = "http://queues/";
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        let url = text("QueueUrl");
        let name = url.strip_prefix(PLACE).unwrap_or(text("QueueName"));
        let Some((visible, in_flight)) = self.queues.get(name) else {
            return refused(400, "com.amazonaws.sqs#QueueDoesNotExist", "there is no such queue");
        };
        match operation {
            "GetQueueUrl" => (200, json!({ "QueueUrl": format!("{PLACE}{name}") })),
            "GetQueueAttributes" => {
                let attributes = json!({
                    "ApproximateNumberOfMessages": visible.to_string(),
                    "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(),
                });
                (200, json!({ "Attributes": attributes }))
            }
            _ => unknown(operation),
        }
    }

    fn application_auto_scaling(&self, operation: &str, request: &Value) -> Answer {
        let asked = request.get("ResourceIds").and_then(Value::as_array);
        let asked = asked.into_iter().flatten().filter_map(Value::as_str);
        let found = asked.filter(|id| self.scalable.contains(*id));
        let found: Vec<_> = found.map(|id| json!({ "ResourceId": id })).collect();
        match operation {
            "DescribeScalableTargets" => (200, json!({ "ScalableTargets": found })),
            _ => unknown(operation),
        }
    }

    fn cloud_map(&mut self, operation: &str, request: &Value) -> Answer {
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (text("ServiceId"), text("InstanceId"));
        let submitted = |key: &(String, String)| (200, json!({ "OperationId": format!("{}-{}", key.0, key.1) }));
        match operation {
            "RegisterInstance" => {
                let attributes = request.get("Attributes").and_then(Value::as_object);
                let attributes = attributes.into_iter().flatten();
                let attributes = attributes.map(|(n, v)| (n.clone(), v.as_str().unwrap_or_default().to_owned()));
                self.instances.insert(key.clone(), attributes.collect());
                submitted(&key)
            }
            "DeregisterInstance" => match self.instances.remove(&key) {
                Some(_) => submitted(&key),
                None => refused(400, "InstanceNotFound", "there is no such instance"),
            },
            "UpdateInstanceCustomHealthStatus" if self.instances.contains_key(&key) => {
                self.statuses.insert(key, text("Status"));
                (200, json!({}))
            }
            "UpdateInstanceCustomHealthStatus" => refused(400, "InstanceNotFound", "there is no such instance"),
            "GetOperation" => (
                200,
                json!({ "Operation": { "Id": text("OperationId"), "Status": "SUCCESS" } }),
            ),
            "ListInstances" => {
                let of = self.instances.iter().filter(|((service, _), _)| *service == key.0);
                let shown: Vec<_> = of.map(|((_, id), a)| json!({ "Id": id, "Attributes": a })).collect();
                (200, json!({ "Instances": shown }))
            }
            _ => unknown(operation),
        }
    }

    fn ecs(&mut self, operation: &str, request: &Value) -> Answer {
        if let Some(answer) = self.cluster(operation, request) {
            return answer;
        }
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        match operation {
            "DescribeTasks" => {
                let (found, missing) = look(names(request, "tasks"), |arn| self.tasks.get(arn));
                (200, json!({ "tasks": found, "failures": missing }))
            }
            "ListTasks" => {
                let group = if text("serviceName").is_empty() {
                    format!("family:{}", text("family"))
                } else {
                    format!("service:{}", text("serviceName"))
                };
                let host = text("containerInstance");
                let asked = |task: &Value| match host {
                    "" => task["group"] == group,
                    _ => task["containerInstanceArn"] == host,
                };
                let running = |task: &&Value| asked(task) && task["desiredStatus"] == "RUNNING";
                let arns: Vec<_> = self
                    .tasks
                    .values()
                    .filter(running)
                    .map(|task| &task["taskArn"])
                    .collect();
                (200, json!({ "taskArns": arns }))
            }
            "DescribeServices" => {
                let (found, missing) = look(names(request, "services"), |name| self.services.get(name));
                (200, json!({ "services": found, "failures": missing }))
            }
            "UpdateService" => self.update_service(request),
            "DescribeTaskDefinition" => {
                // A family's name means its latest ACTIVE revision.
                let wanted = text("taskDefinition");
                let named =
                    |d: &&Value| d["taskDefinitionArn"] == wanted || d["family"] == wanted && d["status"] != "INACTIVE";
                match self.task_definitions.iter().rfind(named) {
                    Some(definition) => (200, json!({ "taskDefinition": definition, "tags": [] })),
                    None => refused(400, "ClientException", "Unable to describe task definition."),
                }
            }
            "RegisterTaskDefinition" => self.register(request),
            // Where a service was sent, it still is: nothing takes it back here.
            "ListServiceDeployments" => (200, json!({ "serviceDeployments": [] })),
            _ => unknown(operation),
        }
    }

    fn update_service(&mut self, request: &Value) -> Answer {
        let name = request.get("service").and_then(Value::as_str).unwrap_or_default();
        let Some(service) = self.services.get_mut(name) else {
            return refused(400, "ServiceNotFoundException", "Service not found.");
        };
        if let Some(count) = request.get("desiredCount") {
            for member in ["desiredCount", "runningCount"] {
                service[member] = count.clone();
            }
        }
        // A deployment is through at once: this world is quiet.
        if let Some(definition) = request.get("taskDefinition") {
            service["taskDefinition"] = definition.clone();
            service["deployments"][0]["taskDefinition"] = definition.clone();
        }
        (200, json!({ "service": service }))
    }

    fn register(&mut self, request: &Value) -> Answer {
        let family = request.get("family").and_then(Value::as_str).unwrap_or_default();
        let revision = 1 + self.task_definitions.iter().filter(|d| d["family"] == family).count();
        let mut definition = request.clone();
        if let Some(members) = definition.as_object_mut() {
            members.remove("tags");
        }
        definition["taskDefinitionArn"] = json!(format!(
            "arn:aws:ecs:eu-west-1:123456789012:task-definition/{family}:{revision}"
        ));
        definition["revision"] = json!(revision);
        definition["status"] = json!("ACTIVE");
        self.task_definitions.push(definition.clone());
        (
            200,
            json!({ "taskDefinition": definition, "tags": request.get("tags").unwrap_or(&json!([])) }),
        )
    }

    fn ecr(&self, operation: &str, request: &Value) -> Answer {
        let repository = request
            .get("repositoryName")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(images) = self.images.get(repository) else {
            return refused(400, "RepositoryNotFoundException", "there is no such repository");
        };
        let asked = request["imageIds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_asked =
            |image: &&Value| asked.is_empty() || asked.iter().any(|id| id["imageDigest"] == image["imageDigest"]);
        let found: Vec<_> = images.iter().filter(is_asked).collect();
        match operation {
            "DescribeImages" if found.is_empty() && !asked.is_empty() => {
                refused(400, "ImageNotFoundException", "there is no such image")
            }
            "DescribeImages" => (200, json!({ "imageDetails": found })),
            "BatchGetImage" => {
                let manifest = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{
                    "digest": format!("sha256:{:064x}", 1), "platform": { "os": "linux", "architecture": "amd64" },
                }] });
                let image = |found: &&Value| json!({ "imageId": { "imageDigest": found["imageDigest"] }, "imageManifest": manifest.to_string() });
                (
                    200,
                    json!({ "images": found.iter().map(image).collect::<Vec<_>>(), "failures": [] }),
                )
            }
            "DescribeImageScanFindings" => refused(400, "ScanNotFoundException", "there is no scan of the image"),
            _ => unknown(operation),
        }
    }

    /// Someone pushed an image.
    pub fn push(&mut self, repository: &str, tag: &str, digest: &str) {
        let image = json!({ "imageDigest": digest, "imageTags": [tag], "imagePushedAt": 1_760_000_000 });
        self.images.entry(repository.to_owned()).or_default().push(image);
    }
}

/// An error as the JSON protocols write it.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Answer {
    (
        status,
        json!({ "__type": format!("com.amazonaws#{code}"), "message": message }),
    )
}

fn unknown(operation: &str) -> Answer {
    refused(
        400,
        "UnknownOperationException",
        &format!("{operation} is not known here"),
    )
}

pub(super) fn names<'a>(request: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    request
        .get(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// What is found, and a failure for what is not.
fn look<'a>(
    names: impl Iterator<Item = &'a str>,
    find: impl Fn(&str) -> Option<&'a Value>,
) -> (Vec<&'a Value>, Vec<Value>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match find(name) {
            Some(value) => found.push(value),
            None => missing.push(json!({ "arn": name, "reason": "MISSING" })),
        }
    }
    (found, missing)
}
