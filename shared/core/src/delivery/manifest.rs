//! What a digest stands for: an image, an index of images, or something that is no image at all.

use serde_json::Value;

use super::push::image_media;
use crate::ids::Digest;

/// What a platform is called in a manifest (OCI image specification, "Image Index", `platform`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`, `windows`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
}

impl Platform {
    /// Reads `os` and `architecture`, of an index's `platform` or of an image's configuration.
    pub fn parse(json: &Value) -> Option<Self> {
        let text = |field: &str| json[field].as_str().filter(|t| !t.is_empty() && *t != "unknown");
        // What `uname` says, and some builders too.
        let architecture = match text("architecture")? {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Some(Self {
            os: text("os")?.to_ascii_lowercase(),
            architecture: architecture.to_ascii_lowercase(),
        })
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// An image of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its digest.
    pub digest: Digest,
    /// What it runs on, if the index says so.
    pub platform: Option<Platform>,
}

/// What a digest stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// One image. What it runs on is in its configuration, which is a blob of its own, and in manifests of Docker's first
    /// schema.
    Image {
        /// What it runs on, where it is known.
        platform: Option<Platform>,
        /// The digest of its configuration.
        configuration: Option<Digest>,
    },
    /// Images of one name. What is in it besides images, like attestations, signatures and SOCI indexes, is left out.
    Index(Vec<Child>),
    /// No image: what it is, by a media type.
    Other(String),
}

impl Manifest {
    /// Reads a manifest, and the media type under which the registry keeps it.
    pub fn parse(media_type: Option<&str>, manifest: &Value) -> Self {
        let text = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let own = text(&manifest["mediaType"]);
        let media_type = media_type.or(own.as_deref());
        let kind = text(&manifest["artifactType"]).or_else(|| text(&manifest["config"]["mediaType"]));
        if let Err(other) = image_media(media_type, kind.as_deref()) {
            return Self::Other(other.to_owned());
        }
        if let Some(children) = manifest["manifests"].as_array() {
            return Self::Index(children.iter().filter_map(child).collect());
        }
        let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut layers = layers.iter().filter_map(|layer| layer["mediaType"].as_str()).peekable();
        if let Some(first) = layers.peek().copied()
            && !layers.any(is_file_system)
        {
            return Self::Other(first.to_owned());
        }
        let (os, first_schema) = (&manifest["os"], &manifest["architecture"]);
        let platform = Platform::parse(&serde_json::json!({
            // Docker's first schema knows of no other system.
            "os": os.as_str().unwrap_or("linux"),
            "architecture": first_schema,
        }));
        Self::Image {
            platform,
            configuration: manifest["config"]["digest"].as_str().and_then(|d| d.parse().ok()),
        }
    }

    /// The images that it stands for, given the digest that it has itself.
    pub fn images<'a>(&'a self, own: &'a Digest) -> Vec<&'a Digest> {
        match self {
            Self::Image { .. } => vec![own],
            Self::Index(children) => children.iter().map(|child| &child.digest).collect(),
            Self::Other(_) => Vec::new(),
        }
    }
}

/// A child of an index that is an image. BuildKit marks attestations by an annotation and by a platform that is unknown;
/// other artifacts say so by their media type.
fn child(json: &Value) -> Option<Child> {
    let artifact = json["artifactType"].as_str();
    image_media(json["mediaType"].as_str(), artifact).ok()?;
    let mark = &json["annotations"]["vnd.docker.reference.type"];
    let platform = &json["platform"];
    let is_nowhere = platform["os"] == "unknown" && platform["architecture"] == "unknown";
    if mark == "attestation-manifest" || is_nowhere {
        return None;
    }
    Some(Child {
        digest: json["digest"].as_str()?.parse().ok()?,
        platform: Platform::parse(platform),
    })
}

/// Whether a layer is a part of a file system. Signatures and attestations have the configuration of an image and other
/// layers (cosign, "Signature Specification"; BuildKit, "Attestation storage").
fn is_file_system(media_type: &str) -> bool {
    const LAYERS: [&str; 4] = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    LAYERS.iter().any(|layer| media_type.starts_with(layer))
}

#[cfg(test)]
mod tests;
