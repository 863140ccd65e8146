//! A target, as Elastic Load Balancing names it.

use serde::{Deserialize, Serialize};

/// A target of a group: `TargetDescription` of the ELBv2 API.
///
/// The port is always given, also at removal: what was registered with a port of its own is removed with it only
/// (ELBv2 API reference, `DeregisterTargets`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetDescription {
    /// An IP address in a group of type `ip`, `i-…` in one of type `instance`.
    pub id: String,
    /// The port.
    pub port: u16,
    /// `all` for an address outside of the group's VPC, otherwise not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
}

/// What a group's targets are (ELBv2 API reference, `TargetGroup`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// Addresses.
    Ip,
    /// EC2 instances.
    Instance,
    /// Nobody has looked: a target is named after the network of its task.
    Unknown,
    /// Functions, other load balancers, or what this version does not know: no tasks.
    #[default]
    #[serde(other)]
    Other,
}

/// A target group, as it is looked up when the configuration is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// What its targets are.
    pub target_type: TargetType,
}

/// Where a target is in its life (ELBv2 API reference, `TargetHealth`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetHealth {
    /// The target.
    pub target: TargetDescription,
    /// `initial`, `healthy`, `unhealthy`, `unhealthy.draining`, `unused`, `draining`, `unavailable`, or a newer word.
    pub state: String,
}

impl TargetHealth {
    /// Whether it is on its way out: a target that drains counts as gone, and is never brought back for being listed.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        matches!(self.state.as_str(), "draining" | "unhealthy.draining")
    }

    /// Whether it takes requests, as far as is known: one that is `unused` or `unavailable` is not checked. A load balancer sends
    /// nothing to those that are new or fail their checks while others are healthy (ELB user guides, "Target health status").
    #[must_use]
    pub fn serves(&self) -> bool {
        matches!(self.state.as_str(), "healthy" | "unused" | "unavailable")
    }
}
