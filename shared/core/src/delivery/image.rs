//! Image references and repositories: what a task definition names, what an event names, and whether they are the same.

use std::fmt;
use std::str::FromStr;

use crate::ids::{Digest, IdError};

/// An image as a task definition names it: `[registry[:port]/]path[:tag][@digest]`
/// (ECS API reference, `ContainerDefinition.image`; the grammar is that of the OCI distribution's references).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// The registry's host as it was written; `None` is Docker Hub.
    pub host: Option<String>,
    /// The repository in the registry.
    pub path: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<Digest>,
}

impl ImageRef {
    /// The repository that it is in, however its registry is spelt.
    pub fn repository(&self) -> Repository {
        match &self.host {
            Some(host) => Repository {
                registry: Registry::at(host),
                path: self.path.clone(),
            },
            None if self.path.contains('/') => Repository {
                registry: Registry::hub(),
                path: self.path.clone(),
            },
            None => Repository {
                registry: Registry::hub(),
                path: format!("library/{}", self.path),
            },
        }
    }

    /// The same image, pinned: the host and path that were written, and this digest. ECS documents a tag or a digest, not
    /// both, so the tag goes.
    pub fn with_digest(&self, digest: &Digest) -> String {
        match &self.host {
            Some(host) => format!("{host}/{}@{digest}", self.path),
            None => format!("{}@{digest}", self.path),
        }
    }

    /// The same for people: of the digest as much as tells it from others.
    pub fn short(&self) -> String {
        let pinned = self
            .digest
            .as_ref()
            .map_or_else(String::new, |d| format!("@{}", d.short()));
        format!(
            "{}{pinned}",
            Self {
                digest: None,
                ..self.clone()
            }
        )
    }
}

impl FromStr for ImageRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::NotAnImage(text.into());
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let (host, rest) = split_host(rest);
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let good = host.is_none_or(is_host) && is_path(path) && tag.is_none_or(is_tag);
        if !good {
            return Err(wrong());
        }
        Ok(Self {
            host: host.map(Into::into),
            path: path.into(),
            tag: tag.map(Into::into),
            digest,
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        f.write_str(&self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// A registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    /// An account's private Amazon ECR registry in a Region, under whichever of its host names.
    Ecr {
        /// The account.
        account: String,
        /// The Region.
        region: String,
    },
    /// Any other, by its host.
    Host(String),
}

impl Registry {
    /// The registry behind a host name. ECR's names for one registry are `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, its FIPS
    /// form `dkr.ecr-fips`, and the dual-stack forms `ACCOUNT.dkr-ecr[-fips].REGION.on.aws`, each with the partition's own
    /// domain (the pattern of amazon-ecr-credential-helper).
    pub fn at(host: &str) -> Self {
        let lower = host.to_ascii_lowercase();
        ecr_host(&lower).unwrap_or(Self::Host(lower))
    }

    fn hub() -> Self {
        Self::Host("docker.io".into())
    }

    /// A host name of it.
    pub fn host(&self) -> String {
        match self {
            Self::Ecr { account, region } => format!("{account}.dkr.ecr.{region}.{}", domain(region)),
            Self::Host(host) => host.clone(),
        }
    }
}

/// A repository: where images are pushed to and pulled from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// Its registry.
    pub registry: Registry,
    /// Its name in the registry.
    pub path: String,
}

impl Repository {
    /// A repository in ECR, as an event names it.
    pub fn in_ecr(account: &str, region: &str, path: &str) -> Self {
        Self {
            registry: Registry::Ecr {
                account: account.into(),
                region: region.into(),
            },
            path: path.into(),
        }
    }

    /// A repository as `wharfinger.yaml` names it: `shop/web` is in this account's and Region's registry, any other has its
    /// host in front.
    ///
    /// # Errors
    /// When the name is empty, has a character that no repository has, or carries a tag or digest.
    pub fn configured(text: &str, account: &str, region: &str) -> Result<Self, IdError> {
        match split_host(text) {
            (Some(host), path) if is_host(host) && is_path(path) => Ok(Self {
                registry: Registry::at(host),
                path: path.into(),
            }),
            (None, path) if is_path(path) => Ok(Self::in_ecr(account, region, path)),
            _ => Err(IdError::NotAn {
                text: text.into(),
                expected: "a repository: write its name in this account's and Region's registry, like `shop/web`, without tag or digest",
            }),
        }
    }

    /// The image of this digest in it, at its registry's own host name.
    pub fn with_digest(&self, digest: &Digest) -> String {
        format!("{}/{}@{digest}", self.registry.host(), self.path)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry.host(), self.path)
    }
}

/// Whether a text can be a tag (OCI distribution specification: a letter, digit or `_`, then up to 127 of those, `.`, `-`).
pub fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && !text.starts_with(['.', '-'])
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// The host in front, if there is one: as Docker tells it from a path, it has a `.` or a port, or is `localhost`.
fn split_host(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
        _ => (None, text),
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = text
        .split_once(':')
        .map_or((text, None), |(name, port)| (name, Some(port)));
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// Upper case too: ECS takes it, though no registry does, and what a task definition says is to be read.
fn is_path(text: &str) -> bool {
    text.split('/').all(|part| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    })
}

fn ecr_host(host: &str) -> Option<Registry> {
    let (account, rest) = host.split_once('.')?;
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let rest = ["dkr.ecr.", "dkr.ecr-fips.", "dkr-ecr.", "dkr-ecr-fips."]
        .iter()
        .find_map(|p| rest.strip_prefix(p))?;
    let (region, domain) = rest.split_once('.')?;
    let known = DOMAINS.iter().any(|(_, own)| domain == *own)
        || ["amazonaws.com", "on.aws", "on.amazonwebservices.com.cn"].contains(&domain);
    let named = !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (known && named).then(|| Registry::Ecr {
        account: account.into(),
        region: region.into(),
    })
}

/// The domain of a partition that has another than `amazonaws.com`, by the prefix of its Regions.
const DOMAINS: [(&str, &str); 7] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isof-", "csp.hci.ic.gov"),
];

fn domain(region: &str) -> &'static str {
    DOMAINS
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("amazonaws.com", |(_, domain)| domain)
}

#[cfg(test)]
mod tests;
