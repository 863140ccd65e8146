//! Target groups of Elastic Load Balancing, version 2.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use wharfinger_core::balancing::{TargetDescription, TargetGroup, TargetHealth, TargetType};

use super::{Aws, batch, form};
use crate::error::{CloudError, Kind};
use crate::ports::TargetGroups;

const HOST: &str = "elasticloadbalancing";
const VERSION: &str = "2015-12-01";

/// How many names one call asks for: what the API reference says of `DescribeLoadBalancers`; of target groups it names no
/// number.
const NAMES: usize = 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeTargetHealthResponse {
    describe_target_health_result: DescribeTargetHealthResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeTargetHealthResult {
    #[serde(default)]
    target_health_descriptions: Descriptions,
}

#[derive(Debug, Default, Deserialize)]
struct Descriptions {
    #[serde(default)]
    member: Vec<Description>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    target: Target,
    target_health: Option<Health>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    id: String,
    port: Option<u16>,
    availability_zone: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    #[serde(default)]
    state: String,
}

impl Description {
    /// Nothing for a target without a port, which is a function and no task.
    fn read(self) -> Option<TargetHealth> {
        Some(TargetHealth {
            target: TargetDescription {
                id: self.target.id,
                port: self.target.port?,
                availability_zone: self.target.availability_zone.filter(|zone| !zone.is_empty()),
            },
            state: self.target_health.map(|health| health.state).unwrap_or_default(),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeTargetGroupsResponse {
    describe_target_groups_result: DescribeTargetGroupsResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeTargetGroupsResult {
    #[serde(default)]
    target_groups: Groups,
    next_marker: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Groups {
    #[serde(default)]
    member: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    #[serde(rename = "TargetGroupName")]
    name: String,
    #[serde(rename = "TargetGroupArn")]
    arn: String,
    target_type: Option<String>,
}

impl Group {
    fn read(self) -> (String, TargetGroup) {
        let group = TargetGroup {
            arn: self.arn,
            target_type: match self.target_type.as_deref() {
                Some("ip") => TargetType::Ip,
                Some("instance") => TargetType::Instance,
                _ => TargetType::Other,
            },
        };
        (self.name, group)
    }
}

fn targets_form(group: &str, targets: &[TargetDescription]) -> Vec<(String, String)> {
    let mut parameters = vec![form::pair("TargetGroupArn", group)];
    for (i, target) in targets.iter().enumerate() {
        let name = |field: &str| format!("Targets.member.{}.{field}", i + 1);
        parameters.push((name("Id"), target.id.clone()));
        parameters.push((name("Port"), target.port.to_string()));
        let zone = target.availability_zone.iter();
        parameters.extend(zone.map(|zone| (name("AvailabilityZone"), zone.clone())));
    }
    parameters
}

impl Aws {
    async fn change_targets(
        &self,
        operation: &'static str,
        group: &str,
        targets: &[TargetDescription],
    ) -> Result<(), CloudError> {
        // `Targets` is required, so AWS refuses a list of none.
        if targets.is_empty() {
            return Ok(());
        }
        let parameters = targets_form(group, targets);
        let call = self.raw.query::<IgnoredAny>(HOST, VERSION, operation, &parameters);
        self.within(operation, call).await.map(drop)
    }

    async fn named_groups(&self, names: &[String]) -> Result<Vec<(String, TargetGroup)>, CloudError> {
        let (mut found, mut marker) = (Vec::new(), None);
        loop {
            let mut parameters: Vec<_> = form::list("Names.member", names).collect();
            parameters.extend(marker.map(|marker| form::pair("Marker", marker)));
            let answer: DescribeTargetGroupsResponse = self
                .raw
                .query(HOST, VERSION, "DescribeTargetGroups", &parameters)
                .await?;
            let result = answer.describe_target_groups_result;
            found.extend(result.target_groups.member.into_iter().map(Group::read));
            marker = result.next_marker.filter(|marker: &String| !marker.is_empty());
            if marker.is_none() {
                return Ok(found);
            }
        }
    }
}

impl TargetGroups for Aws {
    async fn register_targets(&self, group: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
        self.change_targets("RegisterTargets", group, targets).await
    }

    async fn deregister_targets(&self, group: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
        self.change_targets("DeregisterTargets", group, targets).await
    }

    async fn target_health(&self, group: &str) -> Result<Vec<TargetHealth>, CloudError> {
        const OPERATION: &str = "DescribeTargetHealth";
        let parameters = [form::pair("TargetGroupArn", group)];
        let call = self
            .raw
            .query::<DescribeTargetHealthResponse>(HOST, VERSION, OPERATION, &parameters);
        let answer = self.within(OPERATION, call).await?;
        let descriptions = answer.describe_target_health_result.target_health_descriptions.member;
        Ok(descriptions.into_iter().filter_map(Description::read).collect())
    }

    async fn target_groups(&self, names: &[String]) -> Result<BTreeMap<String, TargetGroup>, CloudError> {
        let is_absence = |error: &CloudError| error.kind == Kind::NotFound;
        let call = batch::ask(names, NAMES, is_absence, async |names| self.named_groups(names).await);
        let found = self.within("DescribeTargetGroups", call).await?;
        Ok(found.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
