//! `ECS Service Action`: what ECS tells of a service besides its deployments (ECS developer guide, "Amazon ECS service action
//! events"). Names are added all the time; one that is not known asks for nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Envelope, Rejected, parse_time, service_target, text};
use crate::ids::Target;

const KIND: &str = "ECS Service Action";

/// What ECS tells of a service, as far as anything is done on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceNews {
    /// As many tasks run as are wanted. It is repeated, and said of a service that was made smaller too.
    ServiceSteadyState,
    /// A task finds no place.
    ServiceTaskPlacementFailure,
    /// Tasks stop again and again before they run, or cannot be placed.
    ServiceTaskStartImpaired,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// What ECS tells of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAction {
    /// The service.
    pub target: Target,
    /// What it is, as far as anything is done on it.
    pub news: ServiceNews,
    /// `eventName`, as it was written.
    pub name: String,
    /// `RESOURCE:CPU`, `RESOURCE:FARGATE`, `AGENT`, … of a placement failure.
    pub reason: Option<String>,
    /// The ARNs of the capacity providers that it is about.
    pub capacity_providers: Vec<String>,
    /// The ARNs of the container instances that it is about.
    pub container_instances: Vec<String>,
    /// When ECS wrote it.
    pub created_at: Option<Timestamp>,
}

impl ServiceAction {
    /// Reads `detail`, and the service's ARN from `resources`.
    ///
    /// # Errors
    /// When `resources` has no ARN of a service and nothing names its cluster, or `eventName` is missing.
    pub fn parse(envelope: &Envelope, detail: &Value) -> Result<Self, Rejected> {
        let name = text(detail, "eventName").ok_or_else(|| Rejected::Malformed {
            kind: KIND,
            reason: "`detail.eventName` is missing or no text".into(),
        })?;
        let all = |field| {
            let all = detail.get(field).and_then(Value::as_array).map(Vec::as_slice);
            let texts = all.unwrap_or_default().iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        Ok(Self {
            target: service_target(KIND, envelope, detail)?,
            news: ServiceNews::deserialize(Value::from(name)).unwrap_or(ServiceNews::Other),
            name: name.to_owned(),
            reason: text(detail, "reason").map(str::to_owned),
            capacity_providers: all("capacityProviderArns"),
            container_instances: all("containerInstanceArns"),
            created_at: text(detail, "createdAt").and_then(parse_time),
        })
    }
}
