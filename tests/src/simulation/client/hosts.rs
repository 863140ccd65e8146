//! The calls about instances and their groups.

use std::collections::HashMap;

use wharfinger_cloud::CloudError;
use wharfinger_cloud::ports::{AutoScaling, CapacityProviders, ContainerInstances, NotChanged, Upheld};
use wharfinger_cloud::table::AttributeValue;
use wharfinger_core::capacity::{
    AutoScalingGroup, AutoScalingInstance, CapacityProvider, ContainerInstance, State, Waiting,
};
use wharfinger_core::ids::TaskArn;

use super::{Client, Without};

impl Without {
    /// Changes what a cluster's configuration says.
    pub(super) fn bend(self, cluster: &mut HashMap<String, AttributeValue>) {
        let write = |part: &mut HashMap<String, AttributeValue>, key: &str, value: &str| {
            part.insert(key.to_owned(), AttributeValue::S(value.to_owned()));
        };
        let part = match self {
            Self::DryRun => {
                cluster.remove("dry-run");
                return;
            }
            Self::Deadline => "drain",
            Self::Silence | Self::AtMost => "disconnected",
            _ => return,
        };
        if let Some(AttributeValue::M(rule)) = cluster.get_mut(part) {
            match self {
                Self::Deadline => write(rule, "deadline", "2m"),
                Self::Silence => write(rule, "after", "1m"),
                _ => write(rule, "at-most", "100%"),
            }
        }
    }
}

impl ContainerInstances for Client {
    async fn container_instances(
        &self,
        cluster: &str,
        ec2_instances: Option<&[String]>,
    ) -> Result<Vec<ContainerInstance>, CloudError> {
        self.caller.container_instances(cluster, ec2_instances).await
    }

    async fn tasks_leaving(&self, cluster: &str, container_instance: &str) -> Result<Vec<TaskArn>, CloudError> {
        self.caller.tasks_leaving(cluster, container_instance).await
    }

    async fn set_container_instances_state(
        &self,
        cluster: &str,
        arns: &[String],
        state: State,
    ) -> Result<Vec<NotChanged>, CloudError> {
        let arns = match (self.without, state) {
            (Some(Without::Together), State::Draining) => arns.get(..1).unwrap_or(arns),
            (Some(Without::Returns), State::Active) => &[],
            _ => arns,
        };
        self.caller.set_container_instances_state(cluster, arns, state).await
    }

    async fn stop_task(&self, cluster: &str, task: &TaskArn, reason: &str) -> Result<(), CloudError> {
        self.caller.stop_task(cluster, task, reason).await
    }
}

impl AutoScaling for Client {
    async fn auto_scaling_instances(&self, ids: &[String]) -> Result<Vec<AutoScalingInstance>, CloudError> {
        self.caller.auto_scaling_instances(ids).await
    }

    async fn auto_scaling_group(&self, name: &str) -> Result<Option<AutoScalingGroup>, CloudError> {
        self.caller.auto_scaling_group(name).await
    }

    async fn heartbeat(&self, action: &Waiting) -> Result<Upheld, CloudError> {
        if self.without == Some(Without::Heartbeats) {
            return Ok(Upheld::Done);
        }
        self.caller.heartbeat(action).await
    }

    async fn complete(&self, action: &Waiting) -> Result<Upheld, CloudError> {
        self.caller.complete(action).await
    }

    async fn set_unhealthy(&self, instance: &str) -> Result<Upheld, CloudError> {
        self.caller.set_unhealthy(instance).await
    }

    async fn set_desired_capacity(&self, group: &str, capacity: u32) -> Result<(), CloudError> {
        self.caller.set_desired_capacity(group, capacity).await
    }
}

impl CapacityProviders for Client {
    async fn capacity_providers(&self, names: &[String]) -> Result<Vec<CapacityProvider>, CloudError> {
        self.caller.capacity_providers(names).await
    }
}
