//! Container instances of a cluster, and the Auto Scaling groups that wait with them.

use serde_json::{Value, json};

use super::query::{Answered, done, field, several};
use super::world::{Answer, World, names};

/// A container instance that takes tasks, as `DescribeContainerInstances` shows it.
#[must_use]
pub fn container_instance(arn: &str, machine: &str, tasks: u32) -> Value {
    json!({
        "containerInstanceArn": arn,
        "ec2InstanceId": machine,
        "status": "ACTIVE",
        "agentConnected": true,
        "runningTasksCount": tasks,
        "pendingTasksCount": 0,
        "version": 1,
    })
}

impl World {
    /// Answers a call of ECS about container instances; `None` when it is about something else.
    pub(super) fn cluster(&mut self, operation: &str, request: &Value) -> Option<Answer> {
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        Some(match operation {
            "ListContainerInstances" => {
                let wanted = text("filter").strip_prefix("ec2InstanceId == ");
                let is_wanted = |one: &&Value| wanted.is_none_or(|wanted| one["ec2InstanceId"] == wanted);
                let status = request.get("status").filter(|status| !status.is_null());
                let is_in = |one: &&Value| status.is_none_or(|status| one["status"] == *status);
                let found = self.hosts.values().filter(is_wanted).filter(is_in);
                let arns: Vec<_> = found.map(|one| &one["containerInstanceArn"]).collect();
                (200, json!({ "containerInstanceArns": arns }))
            }
            "DescribeContainerInstances" => {
                let known = names(request, "containerInstances").filter_map(|arn| {
                    let machine = self.container_instances.get(arn);
                    let bare = machine.map(|machine| container_instance(arn, machine, 0));
                    self.hosts.get(arn).cloned().or(bare)
                });
                let known: Vec<_> = known.collect();
                (200, json!({ "containerInstances": known, "failures": [] }))
            }
            "UpdateContainerInstancesState" => {
                let mut failures = Vec::new();
                for arn in names(request, "containerInstances") {
                    match self.hosts.get_mut(arn) {
                        Some(host) => host["status"] = json!(text("status")),
                        None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
                    }
                }
                (200, json!({ "failures": failures }))
            }
            "ListTasks" if !text("containerInstance").is_empty() => {
                let here = |task: &&Value| {
                    task["containerInstanceArn"] == text("containerInstance")
                        && task["desiredStatus"] == text("desiredStatus")
                };
                let arns: Vec<_> = self.tasks.values().filter(here).map(|task| &task["taskArn"]).collect();
                (200, json!({ "taskArns": arns }))
            }
            "StopTask" => {
                if let Some(task) = self.tasks.get_mut(text("task")) {
                    task["desiredStatus"] = json!("STOPPED");
                }
                (200, json!({}))
            }
            "DescribeCapacityProviders" => (200, json!({ "capacityProviders": [] })),
            _ => return None,
        })
    }

    /// Answers a call of Auto Scaling; `None` when it is about something else.
    pub(super) fn auto_scaling(&mut self, operation: &str, form: &Value) -> Option<Answered> {
        let token = field(form, "LifecycleActionToken");
        let over = Err(("ValidationError", "No active Lifecycle Action found with token"));
        Some(match operation {
            "RecordLifecycleActionHeartbeat" if self.lifecycle_actions.contains_key(token) => Ok(done(operation)),
            "CompleteLifecycleAction" if self.lifecycle_actions.remove(token).is_some() => Ok(done(operation)),
            "RecordLifecycleActionHeartbeat" | "CompleteLifecycleAction" => over,
            "DescribeAutoScalingInstances" => {
                let asked: Vec<_> = several(form, "InstanceIds.").collect();
                let waiting = self
                    .lifecycle_actions
                    .values()
                    .filter(|id| asked.contains(&id.as_str()));
                let members = waiting.map(|id| {
                    format!(
                        "<member><InstanceId>{id}</InstanceId><AutoScalingGroupName>web</AutoScalingGroupName>\
                         <LifecycleState>Terminating:Wait</LifecycleState><HealthStatus>HEALTHY</HealthStatus></member>"
                    )
                });
                let members: String = members.collect();
                Ok(format!(
                    "<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances>\
                     {members}</AutoScalingInstances></DescribeAutoScalingInstancesResult>\
                     </DescribeAutoScalingInstancesResponse>"
                ))
            }
            _ => return None,
        })
    }
}
