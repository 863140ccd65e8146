//! The image that a rule wants: the best of the pushes that are known.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Delivery;
use crate::ids::Digest;

/// An image that was pushed under a tag that a rule wants. Stored in the state table, one per rule of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wish {
    /// The repository's name in its registry.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What the tag pointed to.
    pub digest: Digest,
    /// When it was pushed: the event's time in whole seconds, or the registry's in milliseconds.
    pub pushed_at: Timestamp,
}

impl Wish {
    /// `repository:tag@sha256:…`, shortened for people.
    pub fn name(&self) -> String {
        format!("{}:{}@{}", self.repository, self.tag, self.digest.short())
    }
}

/// What tells a rule from the others of its target, whatever the order in which they are written: the state table's sort key
/// and the key of [`super::Facts::wishes`].
pub fn rule_key(rule: &Delivery) -> String {
    match &rule.container {
        Some(container) => format!("{}#{container}", rule.repository),
        None => rule.repository.clone(),
    }
}
