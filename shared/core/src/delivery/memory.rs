//! What a rollout leaves behind, so that a crash between any two calls leads to one rollout.
//!
//! It is stored in the target's state item under its lease: the intent before each call, and what became of it after. What
//! it says at the next look:
//!
//! | intent | the service | what is done |
//! |---|---|---|
//! | none | | decide |
//! | not registered | | decide anew: the answer of a registration may have been lost, and its revision stays unused |
//! | registered | is on that revision, or has a deployment of it | it is done |
//! | registered | is not, and the same is wanted of the same base | UpdateService to that revision |
//! | registered | is not, and something else is wanted | decide anew |

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::compare::Difference;
use super::linger::Side;
use super::revision::Images;
use crate::ids::{Digest, TaskDefinitionRef};
use crate::service::ServiceFacts;

/// What is remembered of the rollouts of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Memory {
    /// The rollout that has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// What each rule has brought out last, by [`super::rule_key`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub done: BTreeMap<String, Rollout>,
    /// The rollout that was given up, since its revision was not what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// The last `apply --linger` that was dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lingered: Option<Timestamp>,
}

/// A rollout that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The image of each rule that takes part, by [`super::rule_key`].
    pub digests: BTreeMap<String, Digest>,
    /// The containers that change.
    pub changes: Vec<ImageChange>,
    /// What becomes of the side container.
    #[serde(default, skip_serializing_if = "Side::is_keep")]
    pub side: Side,
    /// The `apply --linger` that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Timestamp>,
    /// The ARN of the revision that it is made of.
    pub base: String,
    /// When it began.
    pub at: Timestamp,
    /// The ARN of the revision that was registered for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<String>,
}

impl Intent {
    /// The images, as [`super::revise`] and [`super::differences`] take them.
    pub fn images(&self) -> Images {
        self.changes.iter().map(|c| (c.container, c.to.clone())).collect()
    }
}

/// A container that gets another image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageChange {
    /// Its place in `containerDefinitions`.
    pub container: usize,
    /// Its name.
    pub name: String,
    /// The image that it has.
    pub from: String,
    /// The image that it gets.
    pub to: String,
}

/// An image that a target has been seen with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rollout {
    /// The image.
    pub digest: Digest,
    /// The ARN of the revision with it.
    pub revision: String,
    /// When it was brought out, or first seen.
    pub at: Timestamp,
}

/// A rollout that was given up before the service was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refusal {
    /// The image of each rule that took part.
    pub digests: BTreeMap<String, Digest>,
    /// What was to become of the side container.
    #[serde(default, skip_serializing_if = "Side::is_keep")]
    pub side: Side,
    /// The ARN of the revision that it was made of.
    pub base: String,
    /// The ARN of the revision that was not what was asked for.
    pub revision: String,
    /// In what it differs, without values.
    pub differences: Vec<String>,
}

impl Memory {
    /// The revision was registered. Store it before the service is touched.
    pub fn registered(&mut self, arn: &str) {
        if let Some(intent) = &mut self.intent {
            intent.registered = Some(arn.to_owned());
        }
    }

    /// The rollout is through: the service was sent to the revision, or the family has it.
    pub fn settle(&mut self, now: Timestamp) {
        let Some(intent) = self.intent.take() else { return };
        let Some(revision) = intent.registered else { return };
        self.lingered = intent.asked.or(self.lingered);
        for (key, digest) in intent.digests {
            self.done.insert(
                key,
                Rollout {
                    digest,
                    revision: revision.clone(),
                    at: now,
                },
            );
        }
        self.refused = None;
    }

    /// The registered revision differs from its base in more than the images: the rollout is given up, and not begun again
    /// before another image is wanted or the service has another base. Each attempt would leave one more revision.
    pub fn refuse(&mut self, differences: &[Difference]) {
        let Some(intent) = self.intent.take() else { return };
        self.refused = Some(Refusal {
            digests: intent.digests,
            side: intent.side,
            base: intent.base,
            revision: intent.registered.unwrap_or_default(),
            differences: differences.iter().map(ToString::to_string).collect(),
        });
    }

    /// What a look at the service tells of the intent. A deployment of the revision, even one that failed or is on its way
    /// out, proves that the service was sent there: after a rollback by ECS it is not sent there again.
    pub(super) fn looked(&self, service: Option<&ServiceFacts>, now: Timestamp) -> Self {
        let mut memory = self.clone();
        let registered = self.intent.as_ref().and_then(|i| i.registered.as_deref());
        let arrived = registered.is_some_and(|arn| match service {
            None => true,
            Some(s) => {
                same_revision(&s.task_definition, arn)
                    || s.deployments.iter().any(|d| same_revision(&d.task_definition, arn))
            }
        });
        if arrived {
            memory.settle(now);
        }
        memory
    }

    /// Remembers that the target runs an image, whoever brought it out.
    pub(super) fn seen(&mut self, key: &str, digest: &Digest, revision: &str, now: Timestamp) {
        if self.done.get(key).is_none_or(|d| d.digest != *digest) {
            let rollout = Rollout {
                digest: digest.clone(),
                revision: revision.to_owned(),
                at: now,
            };
            self.done.insert(key.to_owned(), rollout);
        }
    }

    /// The rollout of this image from which the target went back: it is on an older revision of the family now. ECS's
    /// circuit breaker does that, and people do. A newer revision is someone else's deployment, with an image of its own.
    pub(super) fn went_back(&self, key: &str, digest: &Digest, base: &str) -> Option<&Rollout> {
        let done = self.done.get(key).filter(|d| d.digest == *digest)?;
        let (then, now) = TaskDefinitionRef::parse(&done.revision).zip(TaskDefinitionRef::parse(base))?;
        (then.family == now.family && now.revision < then.revision).then_some(done)
    }
}

/// Whether two names are of one revision: ECS takes and gives both the ARN and `family:revision`.
pub(super) fn same_revision(a: &str, b: &str) -> bool {
    match (TaskDefinitionRef::parse(a), TaskDefinitionRef::parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
