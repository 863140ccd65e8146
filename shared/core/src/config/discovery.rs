//! Where tasks appear, and how they leave.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create::Create;
use super::{Span, is_default};

/// What `${…}` in an attribute may name, besides `tag:KEY`, a tag of the task.
pub const ATTRIBUTE_NAMES: &[&str] = &[
    "image.tag",
    "image.digest",
    "task.id",
    "task.family",
    "task.revision",
    "task.az",
];

/// An endpoint in AWS Cloud Map for each task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Discovery {
    /// `namespace/service`, a Cloud Map service id (`srv-…`), or the ARN of a shared one.
    pub to: String,
    /// The container that has the port; needed only when several have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The container port; without it the endpoint has no port attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Which address is registered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub address: Address,
    /// When a task joins.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when: When,
    /// Custom attributes; `${image.tag}`, `${image.digest}`, `${task.id}`, `${task.family}`, `${task.revision}`,
    /// `${task.az}` and `${tag:KEY}` are filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// How `apply --create` makes the Cloud Map service, and its namespace, when they are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<Create>,
}

/// A target group that each task joins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Balancing {
    /// The target group's name or ARN.
    pub target_group: String,
    /// The container that has the port; needed only when several have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The container port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// When a task joins.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when: When,
}

/// Which address of a task is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Address {
    /// The private IPv4 address.
    #[default]
    Private,
    /// The public IPv4 address.
    Public,
    /// The IPv6 address.
    Ipv6,
}

/// When a task joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// As soon as it is RUNNING.
    #[default]
    Running,
    /// When its health is HEALTHY.
    Healthy,
}

/// How tasks leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Drain {
    /// How long an old task keeps serving after it left discovery.
    pub linger: Span,
    /// The image of the side container that holds the task up; it needs `sh` and `sleep`. Without it a public busybox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}
