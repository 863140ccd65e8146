//! Amazon EC2 Auto Scaling: groups, their instances and the lifecycle actions that hold those up.

use serde::Deserialize;
use serde::de::IgnoredAny;
use wharfinger_core::capacity::{AutoScalingGroup, AutoScalingInstance, Waiting};

use super::{Aws, form};
use crate::error::CloudError;
use crate::ports::{AutoScaling, Upheld};

const HOST: &str = "autoscaling";
const VERSION: &str = "2011-01-01";

/// How many instances one call describes (Auto Scaling API reference, `DescribeAutoScalingInstances`).
const INSTANCES_AT_ONCE: usize = 50;

#[derive(Debug, Default, Deserialize)]
struct Members<T> {
    #[serde(default = "Vec::new")]
    member: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAutoScalingInstancesResponse {
    describe_auto_scaling_instances_result: DescribeAutoScalingInstancesResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAutoScalingInstancesResult {
    auto_scaling_instances: Members<Instance>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    #[serde(rename = "InstanceId")]
    id: String,
    auto_scaling_group_name: String,
    lifecycle_state: String,
    #[serde(default)]
    health_status: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAutoScalingGroupsResponse {
    describe_auto_scaling_groups_result: DescribeAutoScalingGroupsResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAutoScalingGroupsResult {
    auto_scaling_groups: Members<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    auto_scaling_group_name: String,
    min_size: u32,
    max_size: u32,
    desired_capacity: u32,
    mixed_instances_policy: Option<MixedInstancesPolicy>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MixedInstancesPolicy {
    instances_distribution: Option<InstancesDistribution>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstancesDistribution {
    on_demand_percentage_above_base_capacity: Option<u64>,
}

impl MixedInstancesPolicy {
    fn has_spot(&self) -> bool {
        let distribution = self.instances_distribution.as_ref();
        AutoScalingGroup::has_spot(distribution.and_then(|one| one.on_demand_percentage_above_base_capacity))
    }
}

/// Whether Auto Scaling says that there is nothing that the call could be about: it has no code of its own for that.
fn is_over(error: &CloudError) -> bool {
    const WORDS: [&str; 3] = [
        "No active Lifecycle Action found",
        "AutoScalingGroup name not found",
        "Instance Id not found",
    ];
    error.code.as_deref() == Some("ValidationError") && WORDS.iter().any(|words| error.message.contains(words))
}

fn action_form(action: &Waiting) -> Vec<(String, String)> {
    let mut parameters = vec![
        form::pair("AutoScalingGroupName", &action.group),
        form::pair("LifecycleHookName", &action.hook),
        form::pair("InstanceId", &action.instance),
    ];
    parameters.extend(
        action
            .token
            .iter()
            .map(|token| form::pair("LifecycleActionToken", token)),
    );
    parameters
}

impl Aws {
    async fn uphold(&self, operation: &'static str, parameters: &[(String, String)]) -> Result<Upheld, CloudError> {
        let call = self.raw.query::<IgnoredAny>(HOST, VERSION, operation, parameters);
        match self.within(operation, call).await {
            Ok(_) => Ok(Upheld::Done),
            Err(error) if is_over(&error) => Ok(Upheld::Over(error.message)),
            Err(error) => Err(error),
        }
    }
}

impl AutoScaling for Aws {
    async fn auto_scaling_instances(&self, ids: &[String]) -> Result<Vec<AutoScalingInstance>, CloudError> {
        const OPERATION: &str = "DescribeAutoScalingInstances";
        let mut found = Vec::new();
        for batch in ids.chunks(INSTANCES_AT_ONCE) {
            let parameters: Vec<_> = form::list("InstanceIds.member", batch).collect();
            let call = self
                .raw
                .query::<DescribeAutoScalingInstancesResponse>(HOST, VERSION, OPERATION, &parameters);
            let answer = self
                .within(OPERATION, call)
                .await?
                .describe_auto_scaling_instances_result;
            let instances = answer.auto_scaling_instances.member.into_iter();
            found.extend(instances.map(|instance| AutoScalingInstance {
                instance_id: instance.id,
                group: instance.auto_scaling_group_name,
                lifecycle_state: instance.lifecycle_state,
                health_status: instance.health_status,
            }));
        }
        Ok(found)
    }

    async fn auto_scaling_group(&self, name: &str) -> Result<Option<AutoScalingGroup>, CloudError> {
        const OPERATION: &str = "DescribeAutoScalingGroups";
        let names = [name.to_owned()];
        let parameters: Vec<_> = form::list("AutoScalingGroupNames.member", &names).collect();
        let call = self
            .raw
            .query::<DescribeAutoScalingGroupsResponse>(HOST, VERSION, OPERATION, &parameters);
        let answer = self.within(OPERATION, call).await?.describe_auto_scaling_groups_result;
        let groups = answer.auto_scaling_groups.member.into_iter();
        let mut groups = groups.filter(|group| group.auto_scaling_group_name == name);
        Ok(groups.next().map(|group| AutoScalingGroup {
            name: group.auto_scaling_group_name,
            min_size: group.min_size,
            max_size: group.max_size,
            desired_capacity: group.desired_capacity,
            spot: group
                .mixed_instances_policy
                .as_ref()
                .map(MixedInstancesPolicy::has_spot),
        }))
    }

    async fn heartbeat(&self, action: &Waiting) -> Result<Upheld, CloudError> {
        self.uphold("RecordLifecycleActionHeartbeat", &action_form(action))
            .await
    }

    async fn complete(&self, action: &Waiting) -> Result<Upheld, CloudError> {
        let mut parameters = action_form(action);
        parameters.push(form::pair("LifecycleActionResult", "CONTINUE"));
        self.uphold("CompleteLifecycleAction", &parameters).await
    }

    async fn set_unhealthy(&self, instance: &str) -> Result<Upheld, CloudError> {
        let parameters = [
            form::pair("InstanceId", instance),
            form::pair("HealthStatus", "Unhealthy"),
            form::pair("ShouldRespectGracePeriod", "false"),
        ];
        self.uphold("SetInstanceHealth", &parameters).await
    }

    async fn set_desired_capacity(&self, group: &str, capacity: u32) -> Result<(), CloudError> {
        const OPERATION: &str = "SetDesiredCapacity";
        let parameters = [
            form::pair("AutoScalingGroupName", group),
            form::pair("DesiredCapacity", capacity.to_string()),
            form::pair("HonorCooldown", "false"),
        ];
        let call = self.raw.query::<IgnoredAny>(HOST, VERSION, OPERATION, &parameters);
        self.within(OPERATION, call).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
