//! Container instances, the tasks on them, and capacity providers of Amazon ECS.

use aws_sdk_ecs::operation::describe_container_instances::DescribeContainerInstancesError;
use aws_sdk_ecs::operation::list_container_instances::ListContainerInstancesError;
use aws_sdk_ecs::operation::list_container_instances::builders::ListContainerInstancesFluentBuilder;
use aws_sdk_ecs::types::{
    CapacityOptionType, CapacityProvider as SdkProvider, ContainerInstance as SdkInstance, ContainerInstanceStatus,
    DesiredStatus, ManagedDraining, ManagedScaling, ManagedScalingStatus,
};
use serde_json::json;
use wharfinger_core::capacity::{CapacityProvider, ContainerInstance, State};
use wharfinger_core::ids::TaskArn;

use super::ecs::task_arns;
use super::{Aws, sdk};
use crate::error::CloudError;
use crate::ports::{CapacityProviders, ContainerInstances, DrainingInstances, NotChanged};

/// How many container instances one call changes (ECS API reference, `UpdateContainerInstancesState`).
const CHANGED_AT_ONCE: usize = 10;

/// How many capacity providers one call describes: the greatest page (ECS API reference, `DescribeCapacityProviders`).
const PROVIDERS_AT_ONCE: usize = 10;

impl Aws {
    async fn tasks_of(&self, cluster: &str, host: &str, desired: DesiredStatus) -> Result<Vec<TaskArn>, CloudError> {
        let request = self.ecs.list_tasks().cluster(cluster).desired_status(desired);
        self.within("ListTasks", task_arns(request.container_instance(host)))
            .await
    }

    /// `DescribeContainerInstances`, 100 at a time, as ECS answers it; absent are those that it does not know.
    pub(super) async fn described(&self, cluster: &str, arns: &[String]) -> Result<Vec<SdkInstance>, CloudError> {
        let mut found = Vec::new();
        for batch in arns.chunks(100) {
            let sent = self
                .ecs
                .describe_container_instances()
                .cluster(cluster)
                .set_container_instances(Some(batch.to_vec()))
                .send()
                .await;
            match sent {
                Ok(answer) => found.extend(answer.container_instances.unwrap_or_default()),
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(DescribeContainerInstancesError::is_cluster_not_found_exception) => {}
                Err(error) => return Err(sdk::error("DescribeContainerInstances", &error)),
            }
        }
        Ok(found)
    }
}

/// The ARNs of container instances, every page; none of a cluster that does not exist.
async fn listed(request: ListContainerInstancesFluentBuilder) -> Result<Vec<String>, CloudError> {
    let mut pages = request.into_paginator().send();
    let mut arns = Vec::new();
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => arns.extend(page.container_instance_arns.unwrap_or_default()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(ListContainerInstancesError::is_cluster_not_found_exception) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(sdk::error("ListContainerInstances", &error)),
        }
    }
    Ok(arns)
}

/// The same rule as for raw JSON; the cluster that was asked for stands in for what an old ARN lacks.
fn instance(cluster: &str, instance: &SdkInstance) -> Option<ContainerInstance> {
    let raw = json!({
        "containerInstanceArn": instance.container_instance_arn,
        "clusterArn": cluster,
        "ec2InstanceId": instance.ec2_instance_id,
        "status": instance.status,
        "agentConnected": instance.agent_connected,
        "runningTasksCount": instance.running_tasks_count,
        "pendingTasksCount": instance.pending_tasks_count,
        "capacityProviderName": instance.capacity_provider_name,
        "version": instance.version,
        "registeredAt": instance.registered_at.map(|at| at.as_secs_f64()),
    });
    ContainerInstance::parse(&raw).ok()
}

/// The same rule as for raw JSON.
fn provider(provider: SdkProvider) -> Option<CapacityProvider> {
    let group = provider.auto_scaling_group_provider.map(|group| {
        let scaling = group.managed_scaling.as_ref().and_then(ManagedScaling::status);
        json!({
            "autoScalingGroupArn": group.auto_scaling_group_arn,
            "managedDraining": group.managed_draining.as_ref().map(ManagedDraining::as_str),
            "managedScaling": { "status": scaling.map(ManagedScalingStatus::as_str) },
        })
    });
    let managed = provider.managed_instances_provider.map(|managed| {
        let option = managed
            .instance_launch_template
            .and_then(|template| template.capacity_option_type);
        json!({ "instanceLaunchTemplate": { "capacityOptionType": option.as_ref().map(CapacityOptionType::as_str) } })
    });
    CapacityProvider::parse(&json!({
        "name": provider.name, "autoScalingGroupProvider": group, "managedInstancesProvider": managed,
    }))
}

impl DrainingInstances for Aws {
    async fn draining(&self, cluster: &str) -> Result<Vec<String>, CloudError> {
        let request = self.ecs.list_container_instances().cluster(cluster);
        let request = request.status(ContainerInstanceStatus::Draining);
        self.within("ListContainerInstances", listed(request)).await
    }

    async fn describe_container_instances(
        &self,
        cluster: &str,
        arns: &[String],
    ) -> Result<Vec<ContainerInstance>, CloudError> {
        let call = self.described(cluster, arns);
        let found = self.within("DescribeContainerInstances", call).await?;
        Ok(found.iter().filter_map(|one| instance(cluster, one)).collect())
    }

    async fn tasks_on(&self, cluster: &str, container_instance: &str) -> Result<Vec<TaskArn>, CloudError> {
        self.tasks_of(cluster, container_instance, DesiredStatus::Running).await
    }
}

impl ContainerInstances for Aws {
    async fn container_instances(
        &self,
        cluster: &str,
        ec2_instances: Option<&[String]>,
    ) -> Result<Vec<ContainerInstance>, CloudError> {
        // One look at all costs less than a filter each; a filter names one.
        let filter = match ec2_instances {
            Some([]) => return Ok(Vec::new()),
            Some([one]) => Some(format!("ec2InstanceId == {one}")),
            Some(_) | None => None,
        };
        let request = self.ecs.list_container_instances().cluster(cluster).set_filter(filter);
        let arns = self.within("ListContainerInstances", listed(request)).await?;
        let mut found = self.describe_container_instances(cluster, &arns).await?;
        found.retain(|one| {
            let id = one.ec2_instance_id.as_ref();
            ec2_instances.is_none_or(|wanted| id.is_some_and(|id| wanted.contains(id)))
        });
        Ok(found)
    }

    async fn tasks_leaving(&self, cluster: &str, container_instance: &str) -> Result<Vec<TaskArn>, CloudError> {
        self.tasks_of(cluster, container_instance, DesiredStatus::Stopped).await
    }

    async fn set_container_instances_state(
        &self,
        cluster: &str,
        arns: &[String],
        state: State,
    ) -> Result<Vec<NotChanged>, CloudError> {
        const OPERATION: &str = "UpdateContainerInstancesState";
        let call = async {
            let mut not_changed = Vec::new();
            for batch in arns.chunks(CHANGED_AT_ONCE) {
                let answer = self
                    .ecs
                    .update_container_instances_state()
                    .cluster(cluster)
                    .set_container_instances(Some(batch.to_vec()))
                    .status(match state {
                        State::Active => ContainerInstanceStatus::Active,
                        State::Draining => ContainerInstanceStatus::Draining,
                    })
                    .send()
                    .await
                    .map_err(|e| sdk::error(OPERATION, &e))?;
                let failures = answer.failures.unwrap_or_default().into_iter();
                not_changed.extend(failures.filter_map(|failure| {
                    Some(NotChanged {
                        arn: failure.arn?,
                        reason: failure.reason.unwrap_or_default(),
                    })
                }));
            }
            Ok(not_changed)
        };
        self.within(OPERATION, call).await
    }

    async fn stop_task(&self, cluster: &str, task: &TaskArn, reason: &str) -> Result<(), CloudError> {
        const OPERATION: &str = "StopTask";
        let call = async {
            let request = self.ecs.stop_task().cluster(cluster).task(task.as_str()).reason(reason);
            match request.send().await {
                Ok(_) => Ok(()),
                Err(error) => Err(sdk::error(OPERATION, &error)),
            }
        };
        match self.within(OPERATION, call).await {
            // "The referenced task was not found": ECS has forgotten it.
            Err(e) if e.code.as_deref() == Some("InvalidParameterException") && e.message.contains("not found") => {
                Ok(())
            }
            done => done,
        }
    }
}

impl CapacityProviders for Aws {
    async fn capacity_providers(&self, names: &[String]) -> Result<Vec<CapacityProvider>, CloudError> {
        const OPERATION: &str = "DescribeCapacityProviders";
        let call = async {
            let mut found = Vec::new();
            for batch in names.chunks(PROVIDERS_AT_ONCE) {
                let request = self.ecs.describe_capacity_providers();
                let request = request.set_capacity_providers(Some(batch.to_vec()));
                let answer = request.send().await.map_err(|e| sdk::error(OPERATION, &e))?;
                let providers = answer.capacity_providers.unwrap_or_default();
                found.extend(providers.into_iter().filter_map(provider));
            }
            Ok(found)
        };
        self.within(OPERATION, call).await
    }
}

#[cfg(test)]
mod tests;
