//! What capacity needs: container instances, Auto Scaling groups, capacity providers.

use wharfinger_core::capacity::{
    AutoScalingGroup, AutoScalingInstance, CapacityProvider, ContainerInstance, State, Waiting,
};
use wharfinger_core::ids::TaskArn;

use crate::error::CloudError;

/// A container instance that was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotChanged {
    /// Its ARN.
    pub arn: String,
    /// Why, in ECS's words: `MISSING`, `INACTIVE`, …
    pub reason: String,
}

/// Which container instances of a cluster drain, and what runs on them.
pub trait DrainingInstances {
    /// `ListContainerInstances` whose status is DRAINING, every page, by ARN; none of a cluster that does not exist.
    async fn draining(&self, cluster: &str) -> Result<Vec<String>, CloudError>;

    /// `DescribeContainerInstances` by ARN, 100 at a time; absent are those that ECS does not know.
    async fn describe_container_instances(
        &self,
        cluster: &str,
        arns: &[String],
    ) -> Result<Vec<ContainerInstance>, CloudError>;

    /// `ListTasks` of a container instance whose desired status is RUNNING, every page.
    async fn tasks_on(&self, cluster: &str, container_instance: &str) -> Result<Vec<TaskArn>, CloudError>;
}

/// The container instances of a cluster.
pub trait ContainerInstances: DrainingInstances {
    /// `ListContainerInstances`, every page, then `DescribeContainerInstances`, 100 at a time: those of the EC2 instances, or
    /// all. Neither those that ECS has forgotten nor those of a cluster that does not exist are there.
    async fn container_instances(
        &self,
        cluster: &str,
        ec2_instances: Option<&[String]>,
    ) -> Result<Vec<ContainerInstance>, CloudError>;

    /// `ListTasks` of a container instance whose desired status is STOPPED, every page: those that are stopping, and those
    /// that have stopped not long ago.
    async fn tasks_leaving(&self, cluster: &str, container_instance: &str) -> Result<Vec<TaskArn>, CloudError>;

    /// `UpdateContainerInstancesState` to ACTIVE or DRAINING, 10 at a time; the same again changes nothing. The answer is
    /// which were not changed.
    async fn set_container_instances_state(
        &self,
        cluster: &str,
        arns: &[String],
        state: State,
    ) -> Result<Vec<NotChanged>, CloudError>;

    /// `StopTask`; of a task that has stopped, or is forgotten, it is done already.
    async fn stop_task(&self, cluster: &str, task: &TaskArn, reason: &str) -> Result<(), CloudError>;
}

/// What became of a call about an instance of an Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upheld {
    /// It was taken.
    Done,
    /// There is nothing that it could be about any more, with Auto Scaling's words: the action is over, the instance is gone.
    Over(String),
}

/// Auto Scaling groups of this account and Region.
pub trait AutoScaling {
    /// `DescribeAutoScalingInstances`, 50 at a time; absent are those that are in no group.
    async fn auto_scaling_instances(&self, ids: &[String]) -> Result<Vec<AutoScalingInstance>, CloudError>;

    /// `DescribeAutoScalingGroups` by name; `None` when it does not exist.
    async fn auto_scaling_group(&self, name: &str) -> Result<Option<AutoScalingGroup>, CloudError>;

    /// `RecordLifecycleActionHeartbeat`: the action waits for as long as its hook says, from now on.
    async fn heartbeat(&self, action: &Waiting) -> Result<Upheld, CloudError>;

    /// `CompleteLifecycleAction` with CONTINUE.
    async fn complete(&self, action: &Waiting) -> Result<Upheld, CloudError>;

    /// `SetInstanceHealth` to Unhealthy, whatever the group's grace period: the group replaces the instance. The same again
    /// changes nothing.
    async fn set_unhealthy(&self, instance: &str) -> Result<Upheld, CloudError>;

    /// `SetDesiredCapacity`, whatever the group's cooldown; the same again changes nothing.
    async fn set_desired_capacity(&self, group: &str, capacity: u32) -> Result<(), CloudError>;
}

/// Capacity providers of this account and Region.
pub trait CapacityProviders {
    /// `DescribeCapacityProviders` by name; absent are those that do not exist.
    async fn capacity_providers(&self, names: &[String]) -> Result<Vec<CapacityProvider>, CloudError>;
}
