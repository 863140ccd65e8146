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
                expected: "a repository: write `shop/web`, or another registry's with its host in front, without tag or digest",
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
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn digest() -> Digest {
        format!("sha256:{HEX}").parse().unwrap()
    }

    #[test]
    fn reads_references() {
        let d = format!("sha256:{HEX}");
        let ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let cases: &[(&str, Option<&str>, &str, Option<&str>, bool)] = &[
            ("nginx", None, "nginx", None, false),
            ("nginx:1.27", None, "nginx", Some("1.27"), false),
            ("shop/web", None, "shop/web", None, false),
            ("Shop/Web:V1_0-a.b", None, "Shop/Web", Some("V1_0-a.b"), false),
            ("localhost/web:1", Some("localhost"), "web", Some("1"), false),
            ("localhost:5000/web", Some("localhost:5000"), "web", None, false),
            (
                "registry:5000/shop/web:2",
                Some("registry:5000"),
                "shop/web",
                Some("2"),
                false,
            ),
            (
                "ghcr.io/shop/team/web:main",
                Some("ghcr.io"),
                "shop/team/web",
                Some("main"),
                false,
            ),
            (&format!("{ecr}/shop/web"), Some(ecr), "shop/web", None, false),
            (
                &format!("{ecr}/shop/web:1.2.3"),
                Some(ecr),
                "shop/web",
                Some("1.2.3"),
                false,
            ),
            (&format!("{ecr}/shop/web@{d}"), Some(ecr), "shop/web", None, true),
            (
                &format!("{ecr}/shop/web:1.2.3@{d}"),
                Some(ecr),
                "shop/web",
                Some("1.2.3"),
                true,
            ),
            (&format!("nginx@{d}"), None, "nginx", None, true),
        ];
        for (text, host, path, tag, pinned) in cases {
            let image: ImageRef = text.parse().unwrap();
            assert_eq!(image.host.as_deref(), *host, "{text}");
            assert_eq!(image.path, *path, "{text}");
            assert_eq!(image.tag.as_deref(), *tag, "{text}");
            assert_eq!(image.digest, pinned.then(digest), "{text}");
            assert_eq!(image.to_string(), *text);
        }
    }

    #[test]
    fn refuses_what_is_no_reference() {
        let long = "t".repeat(129);
        for text in [
            "",
            "/",
            "web:",
            ":1",
            "web@",
            "web@sha256:abc",
            &format!("web@sha512:{HEX}{HEX}"),
            &format!("web@sha256:{}", HEX.to_uppercase()),
            "host.example//web",
            "host.example/",
            "host.example:port/web",
            "web:a:b",
            "web:a/b",
            "web:-a",
            &format!("web:{long}"),
            "we b",
            "shop/web ",
            "shop/.web",
            "${IMAGE}",
            "wéb",
        ] {
            assert_eq!(
                text.parse::<ImageRef>(),
                Err(IdError::NotAnImage(text.into())),
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_host_of_a_registry_is_that_registry() {
        let ecr = |region: &str| Registry::Ecr {
            account: "123456789012".into(),
            region: region.into(),
        };
        for (host, region) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
            ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1"),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
            ("123456789012.dkr-ecr-fips.us-gov-west-1.on.aws", "us-gov-west-1"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (
                "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
                "cn-north-1",
            ),
            ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
            ("123456789012.DKR.ECR.eu-west-1.amazonaws.com", "eu-west-1"),
        ] {
            assert_eq!(Registry::at(host), ecr(region), "{host}");
        }
        for host in [
            "public.ecr.aws",
            "docker.io",
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.example.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
            "123456789012.ecr.eu-west-1.amazonaws.com",
        ] {
            assert_eq!(Registry::at(host), Registry::Host(host.into()), "{host}");
        }
    }

    #[test]
    fn a_registry_has_its_partition_s_host() {
        for (region, host) in [
            ("eu-west-1", "1.dkr.ecr.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "1.dkr.ecr.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "1.dkr.ecr.cn-north-1.amazonaws.com.cn"),
            ("us-isob-east-1", "1.dkr.ecr.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            assert_eq!(
                Registry::Ecr {
                    account: "1".into(),
                    region: region.into()
                }
                .host(),
                host
            );
        }
    }

    #[test]
    fn a_configured_repository_is_met_by_its_images_only() {
        let own = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let cases = [
            ("shop/web", format!("{own}/shop/web:1"), true),
            (
                "shop/web",
                "123456789012.dkr-ecr.eu-west-1.on.aws/shop/web@sha256:".to_owned() + HEX,
                true,
            ),
            ("shop/web", format!("{own}/shop/web2:1"), false),
            ("shop/web", format!("{own}/web:1"), false),
            ("shop/web", format!("{own}/mirror/shop/web:1"), false),
            (
                "shop/web",
                "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop/web:1".into(),
                false,
            ),
            (
                "shop/web",
                "210987654321.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1".into(),
                false,
            ),
            ("shop/web", "shop/web:1".into(), false),
            ("shop/web", "ghcr.io/shop/web:1".into(), false),
            (
                "210987654321.dkr.ecr.eu-west-1.amazonaws.com/shop/web",
                "210987654321.dkr-ecr.eu-west-1.on.aws/shop/web".into(),
                true,
            ),
            (
                "210987654321.dkr.ecr.eu-west-1.amazonaws.com/shop/web",
                format!("{own}/shop/web:1"),
                false,
            ),
            ("ghcr.io/shop/web", "ghcr.io/shop/web:1".into(), true),
            ("GHCR.io/shop/web", "ghcr.io/shop/web:1".into(), true),
            ("registry:5000/web", "registry:5000/web:1".into(), true),
            ("registry:5000/web", "registry:5001/web:1".into(), false),
            ("docker.io/library/nginx", "nginx:1".into(), true),
        ];
        for (configured, image, same) in cases {
            let repository = Repository::configured(configured, "123456789012", "eu-west-1").unwrap();
            assert_eq!(
                image.parse::<ImageRef>().unwrap().repository() == repository,
                same,
                "{configured} {image}"
            );
        }
    }

    #[test]
    fn a_repository_has_no_tag() {
        for text in [
            "",
            "shop/web:1",
            "ghcr.io/shop/web:1",
            "shop/web@sha256:00",
            "/shop",
            "shop/",
            "https://ghcr.io/web",
        ] {
            let error = Repository::configured(text, "1", "eu-west-1").unwrap_err();
            assert!(error.to_string().contains("without tag or digest"), "{text:?}: {error}");
        }
    }

    #[test]
    fn pins_with_the_host_that_was_written() {
        let d = digest();
        for (text, host_and_path) in [
            (
                "123456789012.dkr-ecr.eu-west-1.on.aws/shop/web:1.2.3",
                "123456789012.dkr-ecr.eu-west-1.on.aws/shop/web",
            ),
            ("shop/web", "shop/web"),
            ("registry:5000/web:1", "registry:5000/web"),
        ] {
            assert_eq!(
                text.parse::<ImageRef>().unwrap().with_digest(&d),
                format!("{host_and_path}@{d}")
            );
        }
        assert_eq!(
            Repository::in_ecr("123456789012", "cn-north-1", "shop/web").with_digest(&d),
            format!("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/shop/web@{d}")
        );
    }
}
