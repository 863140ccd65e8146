//! ARNs, targets and image references: parsed once, then passed as types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not an ARN of the kind that was expected.
    #[error("`{text}` is not {expected}")]
    NotAn {
        /// What was read.
        text: String,
        /// What it should have been, with an article.
        expected: &'static str,
    },
    /// A target is not `cluster/name`.
    #[error("`{0}` is not a target: write `cluster/service` or `cluster/family`, each of letters, digits, `-` and `_`")]
    NotATarget(String),
    /// A cluster's name has another character, or is too long.
    #[error("`{0}` is not the name of a cluster: write letters, digits, `-` and `_`, at most 255")]
    NotACluster(String),
    /// A digest is not `sha256:` and 64 hexadecimal digits.
    #[error("`{0}` is not an image digest: write `sha256:` and 64 hexadecimal digits")]
    NotADigest(String),
    /// An image reference has no repository or an odd part.
    #[error("`{0}` is not an image reference: it is `[registry/]repository[:tag][@digest]`")]
    NotAnImage(String),
}

/// The parts of an ARN (`arn:partition:service:region:account:resource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: &'a str,
    /// `ecs`, `cloudwatch`, …
    pub service: &'a str,
    /// The Region, empty for global resources.
    pub region: &'a str,
    /// The account, empty for some resources.
    pub account: &'a str,
    /// Everything after the fifth colon.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads the five prefixes; the resource is whatever is left.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next()? != "arn" {
            return None;
        }
        let arn = Self {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        };
        (!arn.partition.is_empty() && !arn.service.is_empty() && !arn.resource.is_empty()).then_some(arn)
    }
}

/// An ECS cluster's name from its ARN, or the text itself when it is a name already.
#[must_use]
pub fn cluster_name(arn_or_name: &str) -> &str {
    arn_or_name
        .rsplit_once("cluster/")
        .map_or(arn_or_name, |(_, name)| name)
}

/// What a target is: decided by the top-level key of the configuration under which it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// An ECS service, under `services`.
    Service,
    /// The standalone and scheduled tasks of a family, under `tasks`.
    Task,
    /// A cluster as a whole, under `clusters`.
    Cluster,
}

/// `cluster/service`, `cluster/family` for standalone tasks, or `cluster` for all of one: what configuration, history and
/// commands name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Service, family or cluster.
    pub kind: TargetKind,
    /// The cluster's name.
    pub cluster: String,
    /// The service's or the family's name; empty of a cluster.
    pub name: String,
}

impl Target {
    /// A service's target.
    pub fn service(cluster: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind: TargetKind::Service,
            cluster: cluster.into(),
            name: name.into(),
        }
    }

    /// A family's target.
    pub fn task(cluster: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind: TargetKind::Task,
            cluster: cluster.into(),
            name: name.into(),
        }
    }

    /// A cluster's target.
    pub fn of_cluster(cluster: impl Into<String>) -> Self {
        Self {
            kind: TargetKind::Cluster,
            cluster: cluster.into(),
            name: String::new(),
        }
    }

    /// Reads `cluster/name`, of a cluster `cluster`. ECS allows letters, digits, hyphens and underscores in both, up to 255
    /// (API reference: `CreateCluster`, `CreateService`, `RegisterTaskDefinition`).
    ///
    /// # Errors
    /// When there is not exactly one `/`, or one in a cluster's name, or a part is empty, too long or holds another character.
    pub fn parse(kind: TargetKind, text: &str) -> Result<Self, IdError> {
        let good = |part: &str| {
            !part.is_empty()
                && part.len() <= 255
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if kind == TargetKind::Cluster {
            let is_name = good(text).then(|| Self::of_cluster(text));
            return is_name.ok_or_else(|| IdError::NotACluster(text.into()));
        }
        match text.split_once('/') {
            Some((cluster, name)) if good(cluster) && good(name) => Ok(Self {
                kind,
                cluster: cluster.into(),
                name: name.into(),
            }),
            _ => Err(IdError::NotATarget(text.into())),
        }
    }

    /// A service's target from its ARN (`…:service/cluster/name`; the old form without a cluster names none).
    ///
    /// # Errors
    /// When the text is not the ARN of an ECS service, or of the old form.
    pub fn from_service_arn(arn: &str) -> Result<Self, IdError> {
        let wrong = || IdError::NotAn {
            text: arn.into(),
            expected: "the ARN of an ECS service with its cluster",
        };
        let parsed = Arn::parse(arn).filter(|a| a.service == "ecs").ok_or_else(wrong)?;
        let path = parsed.resource.strip_prefix("service/").ok_or_else(wrong)?;
        Self::parse(TargetKind::Service, path).map_err(|_| wrong())
    }

    /// The key under which the state and config tables know it: `service#cluster/name`, `task#cluster/name` or
    /// `cluster#cluster`.
    #[must_use]
    pub fn key(&self) -> String {
        let kind = match self.kind {
            TargetKind::Service => "service",
            TargetKind::Task => "task",
            TargetKind::Cluster => "cluster",
        };
        format!("{kind}#{self}")
    }

    /// The reverse of [`Target::key`].
    ///
    /// # Errors
    /// When the text is not such a key.
    pub fn from_key(key: &str) -> Result<Self, IdError> {
        match key.split_once('#') {
            Some(("service", rest)) => Self::parse(TargetKind::Service, rest),
            Some(("task", rest)) => Self::parse(TargetKind::Task, rest),
            Some(("cluster", rest)) => Self::parse(TargetKind::Cluster, rest),
            _ => Err(IdError::NotATarget(key.into())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TargetKind::Service | TargetKind::Task => write!(f, "{}/{}", self.cluster, self.name),
            TargetKind::Cluster => f.write_str(&self.cluster),
        }
    }
}

/// A task's ARN: `…:task/cluster/id`, or the old `…:task/id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskArn(String);

impl TaskArn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The task's id: what follows the last `/`.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl FromStr for TaskArn {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let good = Arn::parse(text)
            .filter(|a| a.service == "ecs")
            .and_then(|a| a.resource.strip_prefix("task/"))
            .is_some_and(|path| !path.is_empty() && path.split('/').all(|part| !part.is_empty()));
        if good {
            Ok(Self(text.into()))
        } else {
            Err(IdError::NotAn {
                text: text.into(),
                expected: "the ARN of an ECS task",
            })
        }
    }
}

impl fmt::Display for TaskArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A task definition's ARN or name, with its revision: `[…:task-definition/]family:revision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskDefinitionRef<'a> {
    /// The family.
    pub family: &'a str,
    /// The revision.
    pub revision: u64,
}

impl<'a> TaskDefinitionRef<'a> {
    /// Reads an ARN or `family:revision`.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let name = text.rsplit('/').next()?;
        let (family, revision) = name.rsplit_once(':')?;
        let revision = revision.parse().ok()?;
        (!family.is_empty()).then_some(Self { family, revision })
    }
}

/// Whether two names are of one revision: ECS takes and gives both the ARN and `family:revision`.
#[must_use]
pub fn same_revision(a: &str, b: &str) -> bool {
    match (TaskDefinitionRef::parse(a), TaskDefinitionRef::parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// An image's digest: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The whole text, `sha256:…`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it for people: `sha256:` and 12 digits.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..19]
    }
}

impl FromStr for Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let good = text
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        if good {
            Ok(Self(text.into()))
        } else {
            Err(IdError::NotADigest(text.into()))
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_found_again_by_its_key() {
        for (target, name, key) in [
            (Target::service("prod", "web"), "prod/web", "service#prod/web"),
            (Target::task("prod", "nightly"), "prod/nightly", "task#prod/nightly"),
            (Target::of_cluster("prod"), "prod", "cluster#prod"),
        ] {
            assert_eq!((target.to_string().as_str(), target.key().as_str()), (name, key));
            assert_eq!(Target::from_key(key), Ok(target.clone()));
            assert_eq!(Target::parse(target.kind, name), Ok(target));
        }
        for bad in ["cluster#", "cluster#a/b", "service#prod", "host#prod", "prod"] {
            assert!(Target::from_key(bad).is_err(), "{bad}");
        }
    }
}
