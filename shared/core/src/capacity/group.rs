//! Auto Scaling groups and their instances: `DescribeAutoScalingGroups`, `DescribeAutoScalingInstances`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::text;

/// An Auto Scaling group: how many instances it has, and between which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoScalingGroup {
    /// Its name.
    pub name: String,
    /// The fewest instances that it may have.
    pub min_size: u32,
    /// The most instances that it may have.
    pub max_size: u32,
    /// How many it is to have; each instance counts as one unless the group has weights.
    pub desired_capacity: u32,
    /// Whether instances of it are Spot, by its mixed instances policy. Without one its launch template says so, which is not
    /// looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<bool>,
}

impl AutoScalingGroup {
    /// Reads one group of `DescribeAutoScalingGroups`; `None` when it has no name or a size is missing.
    #[must_use]
    pub fn parse(group: &Value) -> Option<Self> {
        let size = |field: &str| {
            let number = group.get(field).and_then(Value::as_u64);
            number.and_then(|n| u32::try_from(n).ok())
        };
        Some(Self {
            name: text(group, "AutoScalingGroupName")?.to_owned(),
            min_size: size("MinSize")?,
            max_size: size("MaxSize")?,
            desired_capacity: size("DesiredCapacity")?,
            spot: group
                .get("MixedInstancesPolicy")
                .filter(|policy| policy.is_object())
                .map(|policy| {
                    let distribution = policy.get("InstancesDistribution");
                    let share = distribution.and_then(|d| d.get("OnDemandPercentageAboveBaseCapacity"));
                    Self::has_spot(share.and_then(Value::as_u64))
                }),
        })
    }

    /// Whether a group with such a share of On-Demand instances has Spot instances, too: without a share it has none (EC2 Auto
    /// Scaling API reference, `InstancesDistribution`, `OnDemandPercentageAboveBaseCapacity`).
    #[must_use]
    pub fn has_spot(on_demand_percentage: Option<u64>) -> bool {
        on_demand_percentage.unwrap_or(100) < 100
    }
}

/// An instance of an Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoScalingInstance {
    /// The EC2 instance.
    pub instance_id: String,
    /// Its group's name.
    pub group: String,
    /// `InService`, `Terminating:Wait`, `Warmed:Stopped`, … (EC2 Auto Scaling user guide, "instance lifecycle").
    pub lifecycle_state: String,
    /// `HEALTHY` or `UNHEALTHY`, in the case in which AWS writes it.
    pub health_status: String,
}

impl AutoScalingInstance {
    /// Reads one instance of `DescribeAutoScalingInstances`; `None` when it has no id, group or state.
    #[must_use]
    pub fn parse(instance: &Value) -> Option<Self> {
        let owned = |field: &str| text(instance, field).map(str::to_owned);
        Some(Self {
            instance_id: owned("InstanceId")?,
            group: owned("AutoScalingGroupName")?,
            lifecycle_state: owned("LifecycleState")?,
            health_status: owned("HealthStatus").unwrap_or_default(),
        })
    }

    /// Whether it serves its group.
    #[must_use]
    pub fn is_in_service(&self) -> bool {
        self.lifecycle_state == "InService"
    }

    /// Whether its group replaces it already, or will.
    #[must_use]
    pub fn is_unhealthy(&self) -> bool {
        self.health_status.eq_ignore_ascii_case("unhealthy")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_group_has_its_sizes() {
        let group = json!({
            "AutoScalingGroupName": "web", "MinSize": 1, "MaxSize": 20, "DesiredCapacity": 3, "Instances": [],
        });
        let expected = AutoScalingGroup {
            name: "web".into(),
            min_size: 1,
            max_size: 20,
            desired_capacity: 3,
            spot: None,
        };
        assert_eq!(AutoScalingGroup::parse(&group), Some(expected));
        assert_eq!(AutoScalingGroup::parse(&json!({ "AutoScalingGroupName": "web" })), None);
    }

    #[test]
    fn an_instance_has_its_group_and_state() {
        let read = |state: &str, health: &str| {
            AutoScalingInstance::parse(&json!({
                "InstanceId": "i-1", "AutoScalingGroupName": "web", "LifecycleState": state, "HealthStatus": health,
            }))
            .unwrap()
        };
        let serving = read("InService", "HEALTHY");
        assert_eq!((serving.instance_id.as_str(), serving.group.as_str()), ("i-1", "web"));
        assert!(serving.is_in_service() && !serving.is_unhealthy());
        let going = read("Terminating:Wait", "Unhealthy");
        assert!(!going.is_in_service() && going.is_unhealthy());
        assert_eq!(AutoScalingInstance::parse(&json!({ "InstanceId": "i-1" })), None);
    }
}
