//! Capacity providers: `DescribeCapacityProviders`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::text;
use crate::ids::Arn;

/// A capacity provider, as far as what it does by itself matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityProvider {
    /// Its name.
    pub name: String,
    /// The name of its Auto Scaling group; absent for Fargate's and for managed instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_scaling_group: Option<String>,
    /// Whether ECS drains its instances itself, with a hook of its own on the group.
    #[serde(default)]
    pub managed_draining: bool,
    /// Whether ECS moves the group's desired capacity itself.
    #[serde(default)]
    pub managed_scaling: bool,
    /// Whether its instances are Spot; of a group's instances the group tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<bool>,
}

impl CapacityProvider {
    /// Reads one capacity provider of `DescribeCapacityProviders`; `None` when it has no name.
    ///
    /// Where the answer does not say whether draining is managed, it is: that is the default of a provider that is made
    /// (ECS API reference, `AutoScalingGroupProvider`, `managedDraining`).
    #[must_use]
    pub fn parse(provider: &Value) -> Option<Self> {
        let name = text(provider, "name")?.to_owned();
        let Some(group) = provider
            .get("autoScalingGroupProvider")
            .filter(|group| group.is_object())
        else {
            let managed = provider.get("managedInstancesProvider").filter(|one| one.is_object());
            return Some(Self {
                name,
                spot: managed.map(|managed| {
                    let template = managed.get("instanceLaunchTemplate");
                    template.and_then(|template| text(template, "capacityOptionType")) == Some("SPOT")
                }),
                ..Self::default()
            });
        };
        let scaling = group.get("managedScaling").and_then(|scaling| text(scaling, "status"));
        Some(Self {
            name,
            auto_scaling_group: text(group, "autoScalingGroupArn").map(|arn| group_name(arn).to_owned()),
            managed_draining: text(group, "managedDraining") != Some("DISABLED"),
            managed_scaling: scaling == Some("ENABLED"),
            spot: None,
        })
    }
}

/// An Auto Scaling group's name from its ARN (`…:autoScalingGroup:id:autoScalingGroupName/name`), or the text itself when it
/// is a name already.
#[must_use]
pub fn group_name(arn_or_name: &str) -> &str {
    Arn::parse(arn_or_name)
        .and_then(|arn| arn.resource.split_once(":autoScalingGroupName/"))
        .map_or(arn_or_name, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:61e5d7ed-7b9e-4a2b-b5f0-6a1f1cf3b2e2:\
                       autoScalingGroupName/prod/web";

    #[test]
    fn what_ecs_manages_itself_is_read() {
        let read = |group: Value| CapacityProvider::parse(&json!({ "name": "web", "autoScalingGroupProvider": group }));
        let of = |draining, scaling| CapacityProvider {
            name: "web".into(),
            auto_scaling_group: Some("prod/web".into()),
            managed_draining: draining,
            managed_scaling: scaling,
            spot: None,
        };
        for (draining, scaling, expected) in [
            (json!("ENABLED"), json!({ "status": "ENABLED" }), of(true, true)),
            (json!("DISABLED"), json!({ "status": "DISABLED" }), of(false, false)),
            (json!(null), json!(null), of(true, false)),
        ] {
            let group = json!({ "autoScalingGroupArn": ARN, "managedDraining": draining, "managedScaling": scaling });
            assert_eq!(read(group), Some(expected));
        }
    }

    #[test]
    fn fargate_has_no_group() {
        let read = CapacityProvider::parse(&json!({ "name": "FARGATE_SPOT", "status": "ACTIVE" })).unwrap();
        assert_eq!(
            read,
            CapacityProvider {
                name: "FARGATE_SPOT".into(),
                ..CapacityProvider::default()
            }
        );
        assert_eq!(CapacityProvider::parse(&json!({ "status": "ACTIVE" })), None);
    }

    #[test]
    fn a_name_is_its_own_name() {
        assert_eq!(group_name("web"), "web");
        assert_eq!(group_name(ARN), "prod/web");
    }
}
