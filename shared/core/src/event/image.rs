//! `ECR Image Action`.
//!
//! Best effort: a push can be missed. `image-tag` is absent for untagged pushes; the children of an index, signatures,
//! attestations and SOCI indexes are pushes too (ECR user guide, "Amazon ECR events and EventBridge").

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Rejected;
use crate::ids::Digest;

const KIND: &str = "ECR Image Action";

/// What was done with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ImageActionType {
    /// It was pushed.
    Push,
    /// It was deleted.
    Delete,
    /// It was archived or restored.
    UpdateStorageClass,
    /// An action that this version does not know.
    #[serde(other)]
    Unknown,
}

/// An action on an image of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAction {
    /// The repository's name, without its registry.
    pub repository: String,
    /// The image.
    pub digest: Digest,
    /// The tag; one event carries one.
    pub tag: Option<String>,
    /// What was done.
    pub action: ImageActionType,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// The media type of the manifest, where the event says it.
    pub manifest_media_type: Option<String>,
    /// The media type of the artifact, where the event says it.
    pub artifact_media_type: Option<String>,
}

impl ImageAction {
    /// Reads `detail` of the event.
    ///
    /// # Errors
    /// When `repository-name` is missing, or `image-digest` is missing or no sha256 digest: such an image cannot be pinned.
    pub fn parse(detail: &Value) -> Result<Self, Rejected> {
        let malformed = |reason: String| Rejected::Malformed { kind: KIND, reason };
        let text = |field: &'static str| detail.get(field).and_then(Value::as_str).filter(|t| !t.is_empty());
        let needed = |field| text(field).ok_or_else(|| malformed(format!("`detail.{field}` is missing or no text")));
        Ok(Self {
            repository: needed("repository-name")?.into(),
            digest: needed("image-digest")?
                .parse()
                .map_err(|e| malformed(format!("`detail.image-digest`: {e}")))?,
            tag: text("image-tag").map(str::to_owned),
            action: detail
                .get("action-type")
                .and_then(|a| ImageActionType::deserialize(a).ok())
                .unwrap_or(ImageActionType::Unknown),
            succeeded: text("result") == Some("SUCCESS"),
            manifest_media_type: text("manifest-media-type").map(str::to_owned),
            artifact_media_type: text("artifact-media-type").map(str::to_owned),
        })
    }
}
