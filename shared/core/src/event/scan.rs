//! `ECR Image Scan` of basic scanning, `Inspector2 Scan` of enhanced scanning.
//!
//! A hint that findings are there to be looked at, no more. Which image it was does not say what it concerns: the images of
//! an index are scanned one by one, and what is to be rolled out is the index.

use serde_json::Value;

use super::Rejected;
use crate::ids::Digest;

/// By which scanner an image was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanner {
    /// ECR's own.
    Basic,
    /// Inspector.
    Enhanced,
}

impl Scanner {
    /// `detail-type`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Basic => "ECR Image Scan",
            Self::Enhanced => "Inspector2 Scan",
        }
    }
}

/// The scan of an image moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageScanned {
    /// The scanner.
    pub scanner: Scanner,
    /// The repository's name, without its registry.
    pub repository: String,
    /// The image, where it can be read.
    pub digest: Option<Digest>,
    /// Whether there is something to look at now: basic scans say `COMPLETE`, Inspector says `INITIAL_SCAN_COMPLETE` and so on.
    pub complete: bool,
}

impl ImageScanned {
    /// Reads `detail` of the event. Inspector writes the repository's ARN where ECR writes its name.
    ///
    /// # Errors
    /// When `repository-name` is missing, or is an ARN of something else: Inspector scans instances and functions too.
    pub fn parse(scanner: Scanner, detail: &Value) -> Result<Self, Rejected> {
        let kind = scanner.kind();
        let malformed = |reason: String| Rejected::Malformed { kind, reason };
        let text = |field: &'static str| detail.get(field).and_then(Value::as_str).filter(|t| !t.is_empty());
        let named = text("repository-name").ok_or_else(|| {
            malformed("`detail.repository-name` is missing or no text: it is not about an image".into())
        })?;
        let repository = match named.strip_prefix("arn:").map(|arn| arn.split_once(":repository/")) {
            None => named,
            Some(Some((_, name))) => name,
            Some(None) => {
                return Err(malformed(format!(
                    "`detail.repository-name`: `{named}` is no repository"
                )));
            }
        };
        Ok(Self {
            scanner,
            repository: repository.into(),
            digest: text("image-digest").and_then(|digest| digest.parse().ok()),
            complete: text("scan-status").is_some_and(|status| status.ends_with("COMPLETE")),
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
    fn check(scanner: Scanner, detail: &Value, expected: &str) {
        let found = ImageScanned::parse(scanner, detail).map(|scan| format!("{} {}", scan.name(), scan.complete));
        assert_eq!(
            found.unwrap_or_else(|rejected| rejected.to_string()),
            expected,
            "{detail}"
        );
    }

    #[test]
    fn both_scanners_name_the_repository() {
        use Scanner::{Basic, Enhanced};
        let digest = format!("sha256:{}", "a".repeat(64));
        let arn = "arn:aws:ecr:us-east-2:123456789012:repository/shop/web";
        let of = |name: &str, status: &str| json!({ "repository-name": name, "image-digest": digest, "scan-status": status });
        check(Basic, &of("shop/web", "COMPLETE"), "shop/web@sha256:aaaaaaaaaaaa true");
        check(Basic, &of("shop/web", "FAILED"), "shop/web@sha256:aaaaaaaaaaaa false");
        check(
            Enhanced,
            &of(arn, "INITIAL_SCAN_COMPLETE"),
            "shop/web@sha256:aaaaaaaaaaaa true",
        );
        check(
            Enhanced,
            &of("shop/web", "RESCAN_COMPLETE"),
            "shop/web@sha256:aaaaaaaaaaaa true",
        );
        check(
            Basic,
            &json!({ "repository-name": "shop/web" }),
            "an image of shop/web false",
        );
        check(
            Enhanced,
            &of("arn:aws:lambda:us-east-2:123456789012:function:f", "COMPLETE"),
            "this `Inspector2 Scan` event cannot be used: `detail.repository-name`: \
             `arn:aws:lambda:us-east-2:123456789012:function:f` is no repository",
        );
        check(
            Basic,
            &json!({}),
            "this `ECR Image Scan` event cannot be used: `detail.repository-name` is missing or no text: it is not about an \
             image",
        );
    }
}
