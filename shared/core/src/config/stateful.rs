//! Stateful tasks: a family of which so many tasks are kept running, each with a volume that outlives it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Keep, Span, StrategyItem, is_default};

/// How the tasks of a family are kept running: one for each identity, from 0 on, each with a volume of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stateful {
    /// How many identities there are.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 100))]
    pub count: u32,
    /// The volume's name in the task definition, where it has `configuredAtLaunch`.
    pub volume: String,
    /// The volume's size in GiB. One that is made of a larger snapshot has the snapshot's.
    pub size: u32,
    /// The ARN of the ECS infrastructure role, with which ECS makes and attaches the volume.
    pub role: String,
    /// The type of the volume, like `gp3`; EBS's default when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_type: Option<String>,
    /// The operations a second that the volume is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<u32>,
    /// The throughput that it is given, in MiB a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<u32>,
    /// The KMS key with which it is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The file system: `xfs` when left out. It stays what the first volume had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<Filesystem>,
    /// The network of tasks whose network mode is `awsvpc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Where the tasks run; the cluster's default strategy when neither this nor `capacity-providers` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_type: Option<LaunchType>,
    /// By which capacity providers they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capacity_providers: Vec<StrategyItem>,
    /// Snapshots besides the one that is made when a task is over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub snapshot: StatefulSnapshot,
}

/// The snapshots of a stateful task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StatefulSnapshot {
    /// How often one is made while the task runs; none when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Which are kept; without it all are, for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
}

/// The network of a task (ECS API reference, `AwsVpcConfiguration`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Network {
    /// The subnets; a volume made of a snapshot is made in the zone of the one that ECS chooses.
    pub subnets: Vec<String>,
    /// The security groups; the default one of the VPC when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// Whether it gets a public address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub public_ip: bool,
}

/// A file system that ECS makes on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    /// XFS.
    Xfs,
    /// Ext3.
    Ext3,
    /// Ext4.
    Ext4,
    /// NTFS, for Windows.
    Ntfs,
}

/// Where a task runs (ECS API reference, `RunTask`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LaunchType {
    /// On Fargate.
    Fargate,
    /// On container instances.
    Ec2,
    /// On ECS managed instances.
    ManagedInstances,
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(count: &u32) -> bool {
    *count == one()
}
