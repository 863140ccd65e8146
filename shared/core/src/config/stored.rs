//! What is stored in the config table: one item per target, and copies of it under each alarm and repository that it
//! names, so that every event needs one key look-up however many services there are.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::asked::{Approved, Back, RestoreAsked};
use super::{Cluster, Rule, Service, is_default};
use crate::balancing::TargetGroup;
use crate::ids::{Target, TargetKind};

/// Under how many partitions a target may stand: those that it leaves, those that it enters and [`Meta`] are written in
/// one transaction, and DynamoDB takes 100 items in one (DynamoDB API reference, `TransactWriteItems`).
pub const MAX_PARTITIONS: usize = 50;

/// The partition that lists every target.
pub const TARGETS: &str = "targets";
/// The partition that lists every cluster.
pub const CLUSTERS: &str = "clusters";
/// The partition and sort key of [`Meta`].
pub const META: &str = "meta";

/// What is paused when every domain of a target is.
pub const EVERY_DOMAIN: &str = "all";

/// What is paused: `discovery`, `scaling`, …, or [`EVERY_DOMAIN`], until when; without a time until it is resumed.
pub type Pauses = BTreeMap<String, Option<Timestamp>>;

/// Until when a domain is paused at `now`: `Some(None)` is until it is resumed.
#[must_use]
pub fn paused(pauses: &Pauses, domain: &str, now: Timestamp) -> Option<Option<Timestamp>> {
    let open = |until: &&Option<Timestamp>| until.is_none_or(|t| now < t);
    pauses
        .get(domain)
        .filter(open)
        .or_else(|| pauses.get(EVERY_DOMAIN).filter(open))
        .copied()
}

/// The partition of the targets that an alarm moves.
#[must_use]
pub fn alarm_partition(name: &str) -> String {
    format!("alarm#{name}")
}

/// The partition of the targets that take images of a repository: its name without the registry's host, which the event
/// does not carry.
#[must_use]
pub fn repository_partition(name: &str) -> String {
    format!("repository#{name}")
}

/// A Cloud Map service, as it is looked up when the configuration is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Registry {
    /// `srv-…`, or the ARN of a shared one.
    pub id: String,
    /// The DNS records that it makes of each instance; none when it is for API calls only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// Whether it has a custom health check, which can be told of an unhealthy instance.
    #[serde(default, skip_serializing_if = "is_default")]
    pub custom_health: bool,
}

impl Registry {
    /// A registry of which nothing but its id is known.
    pub fn of(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }
}

/// What the names of a document mean, as it is looked up when the document is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Cloud Map services by `discovery.to`.
    pub registries: BTreeMap<String, Registry>,
    /// Target groups by `balancing.target-group`.
    pub target_groups: BTreeMap<String, TargetGroup>,
}

/// A type of DNS record (Cloud Map API reference, `DnsRecord`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Record {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// An address and a port.
    Srv,
    /// Another name.
    Cname,
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
            Self::Cname => "CNAME",
        })
    }
}

/// Bounds that hold for a while in place of the configured and scheduled ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Override {
    /// The least number of tasks; the usual one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// The greatest number of tasks; the usual one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Until when, exclusive.
    pub until: Timestamp,
}

/// A target as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoredTarget {
    /// What the person wrote.
    pub config: Service,
    /// The Cloud Map service of each `discovery.to`, looked up when the configuration was applied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registries: BTreeMap<String, Registry>,
    /// The target group of each `balancing.target-group`, looked up likewise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub target_groups: BTreeMap<String, TargetGroup>,
    /// What is paused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paused: Pauses,
    /// Other bounds of its count for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Override>,
    /// When `apply --linger` last asked that the side container of `drain` be rolled out without an image to wait for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linger_asked: Option<Timestamp>,
    /// The images that people agreed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approved>,
    /// The last `wharfinger rollback`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Back>,
    /// The last `wharfinger restore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreAsked>,
    /// The version of the whole configuration that wrote it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: u64,
}

impl StoredTarget {
    /// A target's configuration with nothing looked up and nothing paused.
    pub fn new(config: Service) -> Self {
        Self {
            config,
            registries: BTreeMap::new(),
            target_groups: BTreeMap::new(),
            paused: BTreeMap::new(),
            scale: None,
            linger_asked: None,
            approvals: Vec::new(),
            back: None,
            restore: None,
            version: 0,
        }
    }

    /// The same with what its names mean.
    #[must_use]
    pub fn resolved(mut self, names: &Resolved) -> Self {
        let own = |to: &String| names.registries.get(to).map(|found| (to.clone(), found.clone()));
        self.registries = self
            .config
            .discovery
            .iter()
            .filter_map(|entry| own(&entry.to))
            .collect();
        let own = |name: &String| names.target_groups.get(name).map(|found| (name.clone(), found.clone()));
        let groups = self.config.balancing.iter().map(|entry| &entry.target_group);
        self.target_groups = groups.filter_map(own).collect();
        self
    }

    /// Takes over what stands beside the configuration: an apply changes none of it.
    pub fn keep(&mut self, before: &Self) {
        self.paused = before.paused.clone();
        self.scale = before.scale;
        self.linger_asked = before.linger_asked;
        self.approvals.clone_from(&before.approvals);
        self.back.clone_from(&before.back);
        self.restore.clone_from(&before.restore);
    }

    /// The partitions under which it stands: its own, and one per alarm and repository.
    #[must_use]
    pub fn partitions(&self) -> BTreeSet<String> {
        let alarms = self.alarms().into_iter().map(alarm_partition);
        let repositories = self
            .config
            .delivery
            .iter()
            .map(|d| repository_partition(repository_path(&d.repository)));
        std::iter::once(TARGETS.to_owned())
            .chain(alarms)
            .chain(repositories)
            .collect()
    }

    /// The alarms that move its count.
    #[must_use]
    pub fn alarms(&self) -> BTreeSet<&str> {
        let rules = self.config.scaling.iter().flat_map(|s| &s.rules);
        rules
            .filter_map(|rule| match rule {
                Rule::Alarm(alarm) => Some(alarm.alarm.as_str()),
                Rule::Queue(_) => None,
            })
            .collect()
    }

    /// The Cloud Map service id of a `discovery.to`: looked up, or written as it is.
    #[must_use]
    pub fn registry<'a>(&'a self, to: &'a str) -> Option<&'a str> {
        let known = self.registries.get(to).map(|registry| registry.id.as_str());
        known.or_else(|| registry_id(to))
    }

    /// The target group of a `balancing.target-group`, if it was looked up.
    #[must_use]
    pub fn target_group(&self, name: &str) -> Option<&TargetGroup> {
        self.target_groups.get(name)
    }
}

/// A cluster as it is stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredCluster {
    /// What the person wrote.
    pub config: Cluster,
    /// What is paused.
    pub paused: Pauses,
}

impl StoredCluster {
    /// A cluster's configuration with nothing paused.
    pub fn new(config: Cluster) -> Self {
        Self {
            config,
            paused: Pauses::new(),
        }
    }
}

/// A cluster with its key.
#[derive(Debug, Clone, PartialEq)]
pub struct ManagedCluster {
    /// Which cluster, as a target.
    pub target: Target,
    /// What is stored of it.
    pub stored: StoredCluster,
}

/// The repository's name without the registry's host (the part before the first `/`, if it has a `.` or `:`).
#[must_use]
pub fn repository_path(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) => path,
        _ => repository,
    }
}

/// The Cloud Map service that `to` names without a look-up: `srv-…`, or the ARN of one. A shared service must be named by
/// its ARN (Cloud Map API reference, `RegisterInstance`).
#[must_use]
pub fn registry_id(to: &str) -> Option<&str> {
    (to.starts_with("srv-") || (to.starts_with("arn:") && to.contains(":service/"))).then_some(to)
}

/// The configuration as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Meta {
    /// Rises with every apply, pause and override.
    pub version: u64,
    /// When it was written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// An apply that needs several transactions has begun and not ended.
    #[serde(default, skip_serializing_if = "is_default")]
    pub applying: bool,
}

/// A target with its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Managed {
    /// Which target.
    pub target: Target,
    /// What is stored of it.
    pub stored: StoredTarget,
}

impl Managed {
    /// A service's or family's configuration as `explain --config` has it: nothing looked up, nothing paused.
    #[must_use]
    pub fn unresolved(target: Target, config: Service) -> Self {
        Self {
            target,
            stored: StoredTarget::new(config),
        }
    }

    /// Whether it is a service, whose count and revision can be changed.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.target.kind == TargetKind::Service
    }
}
