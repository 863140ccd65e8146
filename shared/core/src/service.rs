//! What is known of an ECS service: the part of `DescribeServices` that deciders need.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::time_from_json;
use crate::ids::same_revision;

/// A service, as `DescribeServices` answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceFacts {
    /// Its ARN.
    pub service_arn: String,
    /// ACTIVE, DRAINING or INACTIVE.
    pub status: String,
    /// The count that it is to have.
    pub desired_count: u32,
    /// How many of its tasks run, of every deployment.
    pub running_count: u32,
    /// How many of its tasks are on their way up.
    pub pending_count: u32,
    /// The task definition of its newest deployment.
    pub task_definition: String,
    /// `ECS`, `CODE_DEPLOY` or `EXTERNAL`; ECS when the answer says nothing.
    pub deployment_controller: String,
    /// Its deployments: PRIMARY, and those on their way out.
    pub deployments: Vec<DeploymentFacts>,
    /// That its tasks could not be placed or started, unless it has reached a steady state since.
    #[serde(default)]
    pub unplaceable: Option<Unplaceable>,
    /// The ARN of the service deployment that is in progress.
    #[serde(default)]
    pub current_service_deployment: Option<String>,
    /// For how long its deployment configuration makes a healthy deployment last.
    #[serde(default)]
    pub deployment_patience: Duration,
}

/// A service event that says that tasks cannot be placed, or do not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unplaceable {
    /// When ECS said so.
    pub at: Timestamp,
    /// What it said.
    pub message: String,
}

impl Unplaceable {
    /// The newest such event of a service's, in any order; `None` when a steady state came after it.
    ///
    /// The messages are those of the ECS developer guide, "Viewing Amazon ECS service event messages".
    pub fn newest(events: impl IntoIterator<Item = (Timestamp, String)>) -> Option<Self> {
        const FAILURES: [&str; 2] = ["unable to place a task", "unable to consistently start"];
        const STEADY: &str = "has reached a steady state";
        let is_failure = |message: &str| FAILURES.iter().any(|failure| message.contains(failure));
        let told = events
            .into_iter()
            .filter(|(_, message)| is_failure(message) || message.contains(STEADY));
        let (at, message) = told.max_by_key(|(at, message)| (*at, is_failure(message)))?;
        is_failure(&message).then_some(Self { at, message })
    }
}

/// A deployment of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentFacts {
    /// `ecs-svc/…`.
    pub id: String,
    /// PRIMARY, ACTIVE or INACTIVE.
    pub status: String,
    /// The task definition.
    pub task_definition: String,
    /// IN_PROGRESS, COMPLETED or FAILED; absent for other controllers than ECS's.
    pub rollout_state: Option<String>,
    /// When it began.
    pub created_at: Option<Timestamp>,
}

impl ServiceFacts {
    /// Reads one service of `DescribeServices`; `None` when it has no ARN, status, counts or task definition.
    #[must_use]
    pub fn parse(service: &Value) -> Option<Self> {
        let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
        let count = |field| {
            service
                .get(field)
                .and_then(Value::as_u64)
                .and_then(|n| u32::try_from(n).ok())
        };
        let list = |field| {
            let found = service.get(field).and_then(Value::as_array);
            found.map(Vec::as_slice).unwrap_or_default()
        };
        let (deployments, events) = (list("deployments"), list("events"));
        let desired_count = count("desiredCount")?;
        Some(Self {
            service_arn: text(service, "serviceArn")?,
            status: text(service, "status")?,
            desired_count,
            // ECS always says it; where a hand-made answer does not, nothing is known to be missing.
            running_count: count("runningCount").unwrap_or(desired_count),
            pending_count: count("pendingCount").unwrap_or_default(),
            task_definition: text(service, "taskDefinition").unwrap_or_default(),
            deployment_controller: service
                .get("deploymentController")
                .and_then(|c| text(c, "type"))
                .unwrap_or_else(|| "ECS".into()),
            deployments: deployments
                .iter()
                .filter_map(|d| {
                    Some(DeploymentFacts {
                        id: text(d, "id")?,
                        status: text(d, "status").unwrap_or_default(),
                        task_definition: text(d, "taskDefinition").unwrap_or_default(),
                        rollout_state: text(d, "rolloutState"),
                        created_at: d.get("createdAt").and_then(time_from_json),
                    })
                })
                .collect(),
            unplaceable: Unplaceable::newest(events.iter().filter_map(|event| {
                let at = event.get("createdAt").and_then(time_from_json)?;
                Some((at, text(event, "message")?))
            })),
            current_service_deployment: text(service, "currentServiceDeployment"),
            deployment_patience: Duration::ZERO,
        })
    }

    /// Whether it exists and takes changes.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == "ACTIVE"
    }

    /// Whether it is on a revision, or has a deployment of it, also one that failed or is on its way out.
    #[must_use]
    pub fn has_had(&self, revision: &str) -> bool {
        let deployments = self.deployments.iter().map(|d| d.task_definition.as_str());
        std::iter::once(self.task_definition.as_str())
            .chain(deployments)
            .any(|one| same_revision(one, revision))
    }

    /// The deployment that is to stay.
    #[must_use]
    pub fn primary(&self) -> Option<&DeploymentFacts> {
        self.deployments.iter().find(|d| d.status == "PRIMARY")
    }

    /// The deployment that is in progress, also when it is a rollback: either PRIMARY says so, or an old one still goes.
    #[must_use]
    pub fn in_progress(&self) -> Option<&DeploymentFacts> {
        let primary = self.primary()?;
        match primary.rollout_state.as_deref() {
            Some("IN_PROGRESS") => Some(primary),
            Some(_) => None,
            None => (self.deployments.len() > 1).then_some(primary),
        }
    }
}

/// Where ECS itself registers the tasks of a service, by ARN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// Target groups.
    pub target_groups: BTreeSet<String>,
    /// Cloud Map services, those of Service Connect included.
    pub registries: BTreeSet<String>,
}

impl Attached {
    /// Reads one service of `DescribeServices`: what the service names, what its task sets name, and the second group of a
    /// blue/green deployment.
    #[must_use]
    pub fn parse(service: &Value) -> Self {
        let list = |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let mut attached = Self::default();
        for owner in std::iter::once(service.clone()).chain(list(service, "taskSets")) {
            for balancer in list(&owner, "loadBalancers") {
                let groups = ["/targetGroupArn", "/advancedConfiguration/alternateTargetGroupArn"];
                attached
                    .target_groups
                    .extend(groups.iter().filter_map(|group| text(&balancer, group)));
            }
            let registries = list(&owner, "serviceRegistries");
            attached
                .registries
                .extend(registries.iter().filter_map(|r| text(r, "/registryArn")));
        }
        for deployment in list(service, "deployments") {
            let connected = list(&deployment, "serviceConnectResources");
            attached
                .registries
                .extend(connected.iter().filter_map(|r| text(r, "/discoveryArn")));
        }
        attached
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_placement_failure_lasts_until_a_steady_state() {
        const PLACE: &str =
            "(service web) was unable to place a task because no container instance met all of its requirements.";
        const START: &str = "(service web) is unable to consistently start tasks successfully.";
        const STEADY: &str = "(service web) has reached a steady state.";
        const OTHER: &str = "(service web) has started 1 tasks: (task 1).";
        for (events, expected) in [
            (vec![(3, OTHER), (2, PLACE), (1, STEADY)], Some(2)),
            (vec![(1, PLACE), (3, START), (2, PLACE)], Some(3)),
            (vec![(3, STEADY), (2, PLACE)], None),
            (vec![(3, OTHER)], None),
            (vec![], None),
        ] {
            let events: Vec<_> = events
                .into_iter()
                .map(|(at, message)| json!({ "id": "e", "createdAt": at, "message": message }))
                .collect();
            let service = json!({ "serviceArn": "a", "status": "ACTIVE", "desiredCount": 1, "events": events });
            let found = ServiceFacts::parse(&service).unwrap().unplaceable;
            assert_eq!(found.map(|found| found.at.as_second()), expected, "{events:?}");
        }
    }

    #[test]
    fn every_place_in_which_ecs_names_a_group_or_a_registry_is_read() {
        let attached = Attached::parse(&json!({
            "loadBalancers": [
                { "targetGroupArn": "blue", "advancedConfiguration": { "alternateTargetGroupArn": "green" } },
                { "loadBalancerName": "classic" },
            ],
            "serviceRegistries": [{ "registryArn": "a" }],
            "taskSets": [{ "loadBalancers": [{ "targetGroupArn": "set" }], "serviceRegistries": [{ "registryArn": "b" }] }],
            "deployments": [{ "serviceConnectResources": [{ "discoveryName": "web", "discoveryArn": "c" }] }],
        }));
        assert_eq!(
            attached.target_groups.into_iter().collect::<Vec<_>>(),
            ["blue", "green", "set"]
        );
        assert_eq!(attached.registries.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(Attached::parse(&json!({})), Attached::default());
    }
}
