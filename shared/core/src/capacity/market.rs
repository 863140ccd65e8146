//! Whether a service runs on Spot, by its capacity provider strategy.

use std::collections::BTreeMap;

use super::{AutoScalingGroup, CapacityProvider};
use crate::config::StrategyItem;

/// Whether a service runs on Spot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnSpot {
    /// At least some of its tasks do.
    Yes,
    /// None of them.
    No,
    /// It may: what the instances of these capacity providers are is not known.
    Maybe(Vec<String>),
}

/// The capacity providers that are to be asked after; none where their names tell.
#[must_use]
pub fn asked(strategy: &[StrategyItem]) -> Vec<String> {
    let names = || strategy.iter().map(|item| item.capacity_provider.as_str());
    if names().any(|name| name == "FARGATE_SPOT") {
        return Vec::new();
    }
    names().filter(|name| *name != "FARGATE").map(str::to_owned).collect()
}

/// By what is known of the providers and of their groups, both by name. A service without a strategy has a launch type,
/// which names no Spot: on EC2 it takes whatever instance of the cluster has room.
#[must_use]
pub fn on_spot(
    strategy: &[StrategyItem],
    providers: &BTreeMap<String, CapacityProvider>,
    groups: &BTreeMap<String, AutoScalingGroup>,
) -> OnSpot {
    if strategy.iter().any(|item| item.capacity_provider == "FARGATE_SPOT") {
        return OnSpot::Yes;
    }
    let mut unknown = Vec::new();
    for name in asked(strategy) {
        let provider = providers.get(&name);
        let group = provider.and_then(|provider| groups.get(provider.auto_scaling_group.as_ref()?));
        match provider
            .and_then(|one| one.spot)
            .or_else(|| group.and_then(|one| one.spot))
        {
            Some(true) => return OnSpot::Yes,
            Some(false) => {}
            None => unknown.push(name),
        }
    }
    if unknown.is_empty() {
        OnSpot::No
    } else {
        OnSpot::Maybe(unknown)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_pass_by_value, reason = "the cases read better so")]

    use serde_json::{Value, json};

    use super::*;

    fn check(strategy: &[&str], provider: Value, group: Value, expected: OnSpot) {
        let strategy: Vec<_> = strategy
            .iter()
            .map(|name| serde_json::from_value(json!({ "capacity-provider": name })).unwrap())
            .collect();
        let provider = CapacityProvider::parse(&provider);
        let group = AutoScalingGroup::parse(&group);
        let providers = provider.into_iter().map(|one| (one.name.clone(), one)).collect();
        let groups = group.into_iter().map(|one| (one.name.clone(), one)).collect();
        assert_eq!(on_spot(&strategy, &providers, &groups), expected, "{strategy:?}");
    }

    fn of_group() -> Value {
        json!({ "name": "web", "autoScalingGroupProvider": { "autoScalingGroupArn": "asg" } })
    }

    fn mixed(policy: Value) -> Value {
        json!({ "AutoScalingGroupName": "asg", "MinSize": 0, "MaxSize": 9, "DesiredCapacity": 1, "MixedInstancesPolicy": policy })
    }

    #[test]
    fn fargate_tells_by_its_name() {
        check(&[], json!({}), json!({}), OnSpot::No);
        check(&["FARGATE"], json!({}), json!({}), OnSpot::No);
        check(&["FARGATE", "FARGATE_SPOT"], json!({}), json!({}), OnSpot::Yes);
    }

    #[test]
    fn a_group_tells_by_its_policy() {
        let of =
            |share: u32| mixed(json!({ "InstancesDistribution": { "OnDemandPercentageAboveBaseCapacity": share } }));
        check(&["web"], of_group(), of(0), OnSpot::Yes);
        check(&["web"], of_group(), of(99), OnSpot::Yes);
        check(&["web"], of_group(), of(100), OnSpot::No);
        // 100 is what it is without (EC2 Auto Scaling API reference, `InstancesDistribution`).
        check(
            &["web"],
            of_group(),
            mixed(json!({ "InstancesDistribution": {} })),
            OnSpot::No,
        );
        let maybe = || OnSpot::Maybe(vec!["web".into()]);
        // Its launch template may ask for Spot.
        check(&["web"], of_group(), mixed(Value::Null), maybe());
        check(&["web"], of_group(), json!({}), maybe());
        check(&["FARGATE", "web"], json!({}), json!({}), maybe());
    }

    #[test]
    fn managed_instances_tell_by_their_option() {
        let of = |option: Value| json!({ "name": "web", "managedInstancesProvider": { "instanceLaunchTemplate": { "capacityOptionType": option } } });
        check(&["web"], of(json!("SPOT")), json!({}), OnSpot::Yes);
        check(&["web"], of(json!("ON_DEMAND")), json!({}), OnSpot::No);
        check(&["web"], of(json!(null)), json!({}), OnSpot::No);
    }
}
