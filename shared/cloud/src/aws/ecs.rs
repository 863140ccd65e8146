//! Amazon ECS: tasks and services through the SDK, task definitions as raw JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::operation::describe_services::DescribeServicesError;
use aws_sdk_ecs::operation::list_tasks::builders::ListTasksFluentBuilder;
use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{
    CanaryConfiguration, CapacityProviderStrategyItem, Container as SdkContainer, Deployment, DeploymentConfiguration,
    DeploymentLifecycleHookTargetType, DeploymentLifecycleHookTimeoutConfiguration, DeploymentStrategy, DesiredStatus,
    LinearConfiguration, Service, Task, TaskField,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_core::config::StrategyItem;
use wharfinger_core::event::{Container, NetworkBinding, TaskStateChange, TaskStatus};
use wharfinger_core::ids::{Target, TargetKind, TaskArn};
use wharfinger_core::service::{DeploymentFacts, ServiceFacts, Unplaceable, deployment_patience};
use wharfinger_core::storage::TaskVolume;

use super::{Aws, sdk};
use crate::error::{CloudError, Kind};
use crate::ports::{DescribedTasks, ServiceChange, Services, TaskDefinitions, Tasks};

impl Tasks for Aws {
    async fn list_tasks(&self, target: &Target) -> Result<Vec<TaskArn>, CloudError> {
        let request = self
            .ecs
            .list_tasks()
            .cluster(&target.cluster)
            .desired_status(DesiredStatus::Running);
        let request = match target.kind {
            TargetKind::Service => request.service_name(&target.name),
            TargetKind::Task => request.family(&target.name),
            TargetKind::Cluster => request,
        };
        self.within("ListTasks", task_arns(request)).await
    }

    async fn describe_tasks(&self, cluster: &str, tasks: &[TaskArn]) -> Result<DescribedTasks, CloudError> {
        let call = async {
            let mut described = DescribedTasks::default();
            for batch in tasks.chunks(100) {
                let answer = self
                    .ecs
                    .describe_tasks()
                    .cluster(cluster)
                    .include(TaskField::Tags)
                    .set_tasks(Some(batch.iter().map(|t| t.as_str().to_owned()).collect()))
                    .send()
                    .await
                    .map_err(|e| sdk::error("DescribeTasks", &e))?;
                described
                    .tasks
                    .extend(answer.tasks.unwrap_or_default().into_iter().filter_map(task));
                let failures = answer.failures.unwrap_or_default();
                described.missing.extend(
                    failures
                        .into_iter()
                        .filter(|f| f.reason() == Some("MISSING"))
                        .filter_map(|f| f.arn),
                );
            }
            Ok(described)
        };
        self.within("DescribeTasks", call).await
    }
}

/// What `ListTasks` finds, on every page.
pub(super) async fn task_arns(request: ListTasksFluentBuilder) -> Result<Vec<TaskArn>, CloudError> {
    let mut pages = request.into_paginator().send();
    let mut tasks = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|e| sdk::error("ListTasks", &e))?;
        for arn in page.task_arns.unwrap_or_default() {
            tasks.push(arn.parse().map_err(|e| {
                CloudError::new("ListTasks", Kind::Unreadable, format!("an answer that is no task: {e}"))
            })?);
        }
    }
    Ok(tasks)
}

fn timestamp(time: DateTime) -> Option<Timestamp> {
    time.to_millis()
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

fn task(task: Task) -> Option<TaskStateChange> {
    let attachments = task.attachments.unwrap_or_default();
    let volumes = attachments.iter().filter_map(|attachment| {
        let details = attachment.details().iter();
        let details = details.filter_map(|detail| Some((detail.name()?, detail.value()?)));
        TaskVolume::of_details(attachment.r#type()?, details)
    });
    let volumes = volumes.collect();
    let details = attachments
        .into_iter()
        .filter(|a| matches!(a.r#type.as_deref(), Some("ElasticNetworkInterface" | "eni")))
        .flat_map(|a| a.details.unwrap_or_default())
        .filter_map(|d| Some((d.name?, d.value.filter(|v| !v.is_empty())?)))
        .collect::<BTreeMap<_, _>>();
    let containers = task.containers.unwrap_or_default();
    let interfaces = || containers.iter().flat_map(SdkContainer::network_interfaces);
    let status = |s: Option<String>| {
        s.and_then(|s| serde_json::from_value(Value::String(s)).ok())
            .unwrap_or(TaskStatus::Unknown)
    };
    let tags = task.tags.as_ref().map(|tags| {
        let tag = |tag: &aws_sdk_ecs::types::Tag| Some((tag.key.clone()?, tag.value.clone().unwrap_or_default()));
        tags.iter().filter_map(tag).collect()
    });
    Some(TaskStateChange {
        tags,
        task_arn: task.task_arn?.parse().ok()?,
        cluster_arn: task.cluster_arn?,
        task_definition_arn: task.task_definition_arn.unwrap_or_default(),
        version: task.version,
        group: task.group,
        started_by: task.started_by,
        desired_status: status(task.desired_status),
        last_status: status(task.last_status),
        health_status: task.health_status.map(|h| h.as_str().to_owned()),
        private_ipv4: details
            .get("privateIPv4Address")
            .cloned()
            .or_else(|| interfaces().find_map(|i| i.private_ipv4_address().map(str::to_owned))),
        ipv6: interfaces().find_map(|i| i.ipv6_address().map(str::to_owned)),
        network_interface_id: details.get("networkInterfaceId").cloned(),
        container_instance_arn: task.container_instance_arn,
        availability_zone: task.availability_zone,
        started_at: task.started_at.and_then(timestamp),
        stopped_at: task.stopped_at.and_then(timestamp),
        stop_code: task.stop_code.map(|code| code.as_str().to_owned()),
        stopped_reason: task.stopped_reason,
        volumes,
        containers: containers.iter().filter_map(container).collect(),
    })
}

fn container(container: &SdkContainer) -> Option<Container> {
    let port = |p: Option<i32>| p.and_then(|p| u16::try_from(p).ok());
    let bindings = container.network_bindings().iter().map(|b| NetworkBinding {
        container_port: port(b.container_port),
        host_port: port(b.host_port),
        container_port_range: b.container_port_range.clone(),
    });
    Some(Container {
        name: container.name.clone()?,
        image: container.image.clone(),
        image_digest: container.image_digest.clone(),
        network_bindings: bindings.collect(),
        exit_code: container.exit_code.map(i64::from),
        reason: container.reason.clone(),
    })
}

impl Services for Aws {
    async fn describe_services(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, ServiceFacts>, CloudError> {
        let call = async {
            let mut found = BTreeMap::new();
            for batch in names.chunks(10) {
                let sent = self
                    .ecs
                    .describe_services()
                    .cluster(cluster)
                    .set_services(Some(batch.to_vec()))
                    .send()
                    .await;
                match sent {
                    Ok(answer) => found.extend(
                        answer
                            .services
                            .unwrap_or_default()
                            .into_iter()
                            .filter_map(|s| Some((s.service_name.clone()?, service(s)?))),
                    ),
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(DescribeServicesError::is_cluster_not_found_exception) => {}
                    Err(error) => return Err(sdk::error("DescribeServices", &error)),
                }
            }
            Ok(found)
        };
        self.within("DescribeServices", call).await
    }

    async fn update_service(&self, target: &Target, change: &ServiceChange) -> Result<(), CloudError> {
        const OPERATION: &str = "UpdateService";
        let request = self.ecs.update_service().cluster(&target.cluster).service(&target.name);
        let request = match change {
            ServiceChange::DesiredCount(count) => {
                let count = i32::try_from(*count).map_err(|_| {
                    CloudError::new(
                        OPERATION,
                        Kind::Invalid,
                        format!("a count of {count} is more than ECS takes"),
                    )
                })?;
                request.desired_count(count)
            }
            ServiceChange::TaskDefinition(arn) => request.task_definition(arn),
            ServiceChange::Volumes {
                task_definition,
                configurations,
            } => {
                // Raw, as they were answered: a typed one loses what its SDK does not know.
                let mut body = json!({
                    "cluster": target.cluster, "service": target.name, "volumeConfigurations": configurations,
                });
                match task_definition {
                    Some(arn) => body["taskDefinition"] = arn.as_str().into(),
                    // It begins anew, also where it says the same already.
                    None => body["forceNewDeployment"] = true.into(),
                }
                let call = self.raw.json_once("ecs", TARGET, OPERATION, &body);
                return self.within(OPERATION, call).await.map(drop);
            }
            ServiceChange::Strategy(items) => request
                .set_capacity_provider_strategy(Some(strategy(items)?))
                .force_new_deployment(true),
        };
        let mut request = request.customize();
        // Each attempt counts against the account's rate: whoever paces the call makes the next one too.
        if matches!(change, ServiceChange::TaskDefinition(_)) {
            let once = aws_sdk_ecs::config::Builder::new().retry_config(RetryConfig::disabled());
            request = request.config_override(once);
        }
        let call = async { request.send().await.map_err(|e| sdk::error(OPERATION, &e)) };
        self.within(OPERATION, call).await.map(drop)
    }
}

fn strategy(items: &[StrategyItem]) -> Result<Vec<CapacityProviderStrategyItem>, CloudError> {
    let number = |number: Option<u32>| i32::try_from(number.unwrap_or_default()).unwrap_or(i32::MAX);
    let item = |item: &StrategyItem| {
        CapacityProviderStrategyItem::builder()
            .capacity_provider(&item.capacity_provider)
            .weight(number(item.weight))
            .base(number(item.base))
            .build()
            .map_err(|e| CloudError::new("UpdateService", Kind::Invalid, e.to_string()))
    };
    items.iter().map(item).collect()
}

fn service(service: Service) -> Option<ServiceFacts> {
    let count = |n: i32| u32::try_from(n).unwrap_or_default();
    let configuration = service.deployment_configuration.as_ref();
    let percent = |of: fn(&DeploymentConfiguration) -> Option<i32>| u64::try_from(configuration.and_then(of)?).ok();
    let (minimum_healthy_percent, maximum_percent) =
        (percent(|d| d.minimum_healthy_percent), percent(|d| d.maximum_percent));
    Some(ServiceFacts {
        service_arn: service.service_arn?,
        status: service.status?,
        desired_count: count(service.desired_count),
        running_count: count(service.running_count),
        pending_count: count(service.pending_count),
        task_definition: service.task_definition.unwrap_or_default(),
        deployment_controller: service
            .deployment_controller
            .map_or_else(|| "ECS".to_owned(), |c| c.r#type.as_str().to_owned()),
        deployments: service
            .deployments
            .unwrap_or_default()
            .into_iter()
            .filter_map(deployment)
            .collect(),
        unplaceable: Unplaceable::newest(
            service
                .events
                .unwrap_or_default()
                .into_iter()
                .filter_map(|e| Some((e.created_at.and_then(timestamp)?, e.message?))),
        ),
        current_service_deployment: service.current_service_deployment,
        resource_management_type: service.resource_management_type.map(|t| t.as_str().to_owned()),
        scheduling_strategy: service.scheduling_strategy.map(|s| s.as_str().to_owned()),
        capacity_provider_strategy: service
            .capacity_provider_strategy
            .unwrap_or_default()
            .into_iter()
            .map(|item| StrategyItem {
                capacity_provider: item.capacity_provider,
                weight: Some(count(item.weight)),
                base: Some(count(item.base)),
            })
            .collect(),
        minimum_healthy_percent,
        maximum_percent,
        deployment_patience: service
            .deployment_configuration
            .as_ref()
            .map(patience)
            .unwrap_or_default(),
    })
}

fn deployment(deployment: Deployment) -> Option<DeploymentFacts> {
    let count = |n: i32| u32::try_from(n).unwrap_or_default();
    Some(DeploymentFacts {
        id: deployment.id?,
        status: deployment.status.unwrap_or_default(),
        task_definition: deployment.task_definition.unwrap_or_default(),
        rollout_state: deployment.rollout_state.map(|s| s.as_str().to_owned()),
        rollout_state_reason: deployment.rollout_state_reason,
        created_at: deployment.created_at.and_then(timestamp),
        updated_at: deployment.updated_at.and_then(timestamp),
        desired_count: count(deployment.desired_count),
        running_count: count(deployment.running_count),
        pending_count: count(deployment.pending_count),
        failed_tasks: count(deployment.failed_tasks),
    })
}

/// The same rule as for raw JSON, from the members that it looks at.
fn patience(configuration: &DeploymentConfiguration) -> Duration {
    let linear = configuration.linear_configuration();
    let canary = configuration.canary_configuration();
    let hooks = configuration.lifecycle_hooks().iter().map(|hook| {
        let timeout = hook.timeout_configuration();
        let timeout = timeout.and_then(DeploymentLifecycleHookTimeoutConfiguration::timeout_in_minutes);
        json!({
            "targetType": hook.target_type().map(DeploymentLifecycleHookTargetType::as_str),
            "timeoutConfiguration": { "timeoutInMinutes": timeout },
        })
    });
    deployment_patience(&json!({
        "strategy": configuration.strategy().map(DeploymentStrategy::as_str),
        "bakeTimeInMinutes": configuration.bake_time_in_minutes(),
        "lifecycleHooks": hooks.collect::<Vec<_>>(),
        "linearConfiguration": {
            "stepPercent": linear.and_then(LinearConfiguration::step_percent),
            "stepBakeTimeInMinutes": linear.and_then(LinearConfiguration::step_bake_time_in_minutes),
        },
        "canaryConfiguration": { "canaryBakeTimeInMinutes": canary.and_then(CanaryConfiguration::canary_bake_time_in_minutes) },
    }))
}

/// The prefix of `X-Amz-Target` (botocore's service model of ECS).
const TARGET: &str = "AmazonEC2ContainerServiceV20141113";

impl TaskDefinitions for Aws {
    async fn describe_task_definition(&self, name: &str) -> Result<Option<Value>, CloudError> {
        let body = json!({ "taskDefinition": name, "include": ["TAGS"] });
        let call = self.raw.json("ecs", TARGET, "DescribeTaskDefinition", &body);
        match self.within("DescribeTaskDefinition", call).await {
            Ok(answer) => Ok(Some(answer)),
            // ECS answers ClientException for a family or revision that does not exist.
            Err(e) if e.code.as_deref() == Some("ClientException") && e.message.contains("Unable to describe") => {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    async fn register_task_definition(&self, request: &Value) -> Result<String, CloudError> {
        let call = self.raw.json_once("ecs", TARGET, "RegisterTaskDefinition", request);
        let answer = self.within("RegisterTaskDefinition", call).await?;
        answer
            .pointer("/taskDefinition/taskDefinitionArn")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| {
                CloudError::new(
                    "RegisterTaskDefinition",
                    Kind::Unreadable,
                    "the answer names no revision",
                )
            })
    }
}

#[cfg(test)]
mod tests;
