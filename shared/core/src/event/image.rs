//! `ECR Image Action`, and what has the same effect: `ECR Replication Action` in the Region to which an image was copied,
//! `ECR Pull Through Cache Action` when an image was fetched from another registry.
//!
//! Best effort: a push can be missed. `image-tag` is absent for untagged pushes; the children of an index, signatures,
//! attestations and SOCI indexes are pushes too (ECR user guide, "Amazon ECR events and EventBridge").

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Rejected;
use crate::ids::Digest;

/// By which kind of event something was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageEvent {
    /// `ECR Image Action`.
    Action,
    /// `ECR Replication Action`: it is sent where the copy is.
    Replication,
    /// `ECR Pull Through Cache Action`.
    PullThroughCache,
}

impl ImageEvent {
    /// `detail-type`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Action => "ECR Image Action",
            Self::Replication => "ECR Replication Action",
            Self::PullThroughCache => "ECR Pull Through Cache Action",
        }
    }

    /// What it tells of, in words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Action => "push",
            Self::Replication => "replication",
            Self::PullThroughCache => "fetch",
        }
    }

    fn action(self, detail: &Value) -> ImageActionType {
        let action = detail.get("action-type");
        match self {
            Self::Action => action
                .and_then(|a| ImageActionType::deserialize(a).ok())
                .unwrap_or(ImageActionType::Unknown),
            Self::Replication if action.is_none_or(|action| action == "REPLICATE") => ImageActionType::Push,
            Self::Replication => ImageActionType::Unknown,
            Self::PullThroughCache => ImageActionType::Push,
        }
    }

    /// Where it says whether it succeeded.
    const fn result(self) -> &'static str {
        match self {
            Self::Action | Self::Replication => "result",
            Self::PullThroughCache => "sync-status",
        }
    }
}

/// What was done with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ImageActionType {
    /// It was pushed, or came to be there in another way.
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
    /// By which event it was told.
    pub event: ImageEvent,
    /// The repository's name, without its registry.
    pub repository: String,
    /// The image. Of a push that succeeded it is always there.
    pub digest: Option<Digest>,
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
    /// When `repository-name` is missing, or an image was pushed and `image-digest` is missing or no sha256 digest: such an
    /// image cannot be pinned.
    pub fn parse(event: ImageEvent, detail: &Value) -> Result<Self, Rejected> {
        let kind = event.kind();
        let malformed = |reason: String| Rejected::Malformed { kind, reason };
        let text = |field: &'static str| detail.get(field).and_then(Value::as_str).filter(|t| !t.is_empty());
        let needed = |field| text(field).ok_or_else(|| malformed(format!("`detail.{field}` is missing or no text")));
        let (action, succeeded) = (event.action(detail), text(event.result()) == Some("SUCCESS"));
        let repository = needed("repository-name")?.into();
        let digest = if action == ImageActionType::Push && succeeded {
            let digest = needed("image-digest")?.parse();
            Some(digest.map_err(|e| malformed(format!("`detail.image-digest`: {e}")))?)
        } else {
            text("image-digest").and_then(|digest| digest.parse().ok())
        };
        Ok(Self {
            event,
            repository,
            digest,
            tag: text("image-tag").map(str::to_owned),
            action,
            succeeded,
            manifest_media_type: text("manifest-media-type").map(str::to_owned),
            artifact_media_type: text("artifact-media-type").map(str::to_owned),
        })
    }

    /// `repository@sha256:…`, shortened for people.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{}", self.repository, digest.short()),
            None => format!("an image of {}", self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(event: ImageEvent, change: &Value, expected: &str) {
        let mut detail = json!({
            "repository-name": "shop/web", "image-tag": "1.2", "result": "SUCCESS", "sync-status": "SUCCESS",
            "image-digest": format!("sha256:{}", "a".repeat(64)),
        });
        detail
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let found = match ImageAction::parse(event, &detail) {
            Ok(read) => format!("{:?} {} {}", read.action, read.name(), read.succeeded),
            Err(rejected) => rejected.to_string(),
        };
        assert_eq!(found, expected, "{event:?} {change}");
    }

    #[test]
    fn what_brings_an_image_here_is_a_push() {
        use ImageEvent::{Action, PullThroughCache, Replication};
        let pushed = "Push shop/web@sha256:aaaaaaaaaaaa true";
        let failed = "Push shop/web@sha256:aaaaaaaaaaaa false";
        check(Action, &json!({ "action-type": "PUSH" }), pushed);
        check(Action, &json!({ "action-type": "PUSH", "result": "FAILURE" }), failed);
        check(
            Action,
            &json!({ "action-type": "DELETE" }),
            "Delete shop/web@sha256:aaaaaaaaaaaa true",
        );
        check(Action, &json!({}), "Unknown shop/web@sha256:aaaaaaaaaaaa true");
        check(Replication, &json!({ "action-type": "REPLICATE" }), pushed);
        check(
            Replication,
            &json!({ "action-type": "REPLICATE", "result": "FAILED" }),
            failed,
        );
        check(
            Replication,
            &json!({ "action-type": "SOMETHING_NEW" }),
            "Unknown shop/web@sha256:aaaaaaaaaaaa true",
        );
        check(PullThroughCache, &json!({}), pushed);
        check(PullThroughCache, &json!({ "sync-status": "FAILED" }), failed);
    }

    #[test]
    fn only_a_push_that_succeeded_needs_a_digest() {
        let bad = |more: Value| {
            let mut detail = json!({ "image-digest": "sha256:ab" });
            detail
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            detail
        };
        let malformed =
            "`detail.image-digest`: `sha256:ab` is not an image digest: write `sha256:` and 64 hexadecimal digits";
        for (event, more) in [
            (ImageEvent::Action, json!({ "action-type": "PUSH" })),
            (ImageEvent::Replication, json!({})),
            (ImageEvent::PullThroughCache, json!({})),
        ] {
            let expected = format!("this `{}` event cannot be used: {malformed}", event.kind());
            check(event, &bad(more), &expected);
        }
        check(
            ImageEvent::Action,
            &bad(json!({ "action-type": "DELETE" })),
            "Delete an image of shop/web true",
        );
        check(
            ImageEvent::Replication,
            &bad(json!({ "result": "FAILED" })),
            "Push an image of shop/web false",
        );
    }
}
