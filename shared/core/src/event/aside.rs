//! Events of kinds that are known and ask for nothing.

use serde_json::Value;

use crate::report::{Code, Reason};

/// An event of a kind that is known and asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// `detail-type`.
    pub kind: &'static str,
    /// Why it asks for nothing.
    pub reason: Reason,
}

impl Aside {
    /// What an event of this kind says, if it is one.
    pub(super) fn parse(source: &str, detail_type: &str, detail: &Value) -> Option<Self> {
        let text = |field: &str| detail.get(field).and_then(Value::as_str);
        let (kind, code, message) = match (source, detail_type) {
            ("aws.ecr", "ECR Referrer Action") => {
                let (repository, media) = (text("repository-name"), text("artifact-media-type"));
                let message = format!(
                    "an artifact that refers to an image of {} moved{}: no container runs it",
                    repository.unwrap_or("a repository"),
                    media.map(|media| format!(" ({media})")).unwrap_or_default(),
                );
                ("ECR Referrer Action", Code::NotAnImage, message)
            }
            ("aws.ecr", "ECR Scan Resource Change") => {
                let message =
                    "repositories are scanned at other times from now on; the end of each scan is told by itself";
                ("ECR Scan Resource Change", Code::NotAPush, message.to_owned())
            }
            ("aws.inspector2", "Inspector2 Finding") => {
                let message = "one finding of many: what a scan found is looked up when it ends";
                ("Inspector2 Finding", Code::NotAPush, message.to_owned())
            }
            _ => return None,
        };
        Some(Self {
            kind,
            reason: Reason::new(code, message),
        })
    }
}
