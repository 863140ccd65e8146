//! `ECS Deployment State Change`.
//!
//! A hint that a deployment moved, no more: it names neither image nor task definition, a rollback differs from a first
//! attempt by its `reason` only, and FAILED comes with a circuit breaker or alarms only
//! (ECS developer guide, "Amazon ECS service deployment state change events"; containers-roadmap #1371).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Envelope, Rejected, service_target};
use crate::ids::Target;

const KIND: &str = "ECS Deployment State Change";

/// What happened to a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeploymentEvent {
    /// It began, or a rollback did.
    #[serde(rename = "SERVICE_DEPLOYMENT_IN_PROGRESS")]
    InProgress,
    /// It is through; also after a rollback.
    #[serde(rename = "SERVICE_DEPLOYMENT_COMPLETED")]
    Completed,
    /// The circuit breaker or an alarm ended it.
    #[serde(rename = "SERVICE_DEPLOYMENT_FAILED")]
    Failed,
    /// An event that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A deployment that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentStateChange {
    /// The service.
    pub target: Target,
    /// What happened.
    pub event: DeploymentEvent,
    /// `ecs-svc/…`.
    pub deployment_id: String,
    /// ECS's own words.
    pub reason: Option<String>,
}

impl DeploymentStateChange {
    /// Reads `detail`, and the service's ARN from `resources`.
    ///
    /// # Errors
    /// When `resources` has no ARN of a service and cluster, or `eventName` or `deploymentId` is missing.
    pub fn parse(envelope: &Envelope, detail: &Value) -> Result<Self, Rejected> {
        let malformed = |reason: String| Rejected::Malformed { kind: KIND, reason };
        let text = |field: &'static str| detail.get(field).and_then(Value::as_str);
        Ok(Self {
            target: service_target(KIND, envelope, detail)?,
            event: detail
                .get("eventName")
                .and_then(|e| DeploymentEvent::deserialize(e).ok())
                .ok_or_else(|| malformed("`detail.eventName` is missing or no text".into()))?,
            deployment_id: text("deploymentId")
                .ok_or_else(|| malformed("`detail.deploymentId` is missing or no text".into()))?
                .into(),
            reason: text("reason").map(str::to_owned),
        })
    }
}
