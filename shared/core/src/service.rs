//! What is known of an ECS service: the part of `DescribeServices` that deciders need.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::time_from_json;

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
        let deployments = service
            .get("deployments")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Some(Self {
            service_arn: text(service, "serviceArn")?,
            status: text(service, "status")?,
            desired_count: count("desiredCount")?,
            running_count: count("runningCount").unwrap_or_default(),
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
        })
    }

    /// Whether it exists and takes changes.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == "ACTIVE"
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
