//! What a rollout leaves behind, so that a crash between any two calls leads to one rollout.
//!
//! It is stored in the target's state item under its lease: the intent before each call, and what became of it after. What
//! it says at the next look:
//!
//! | intent | the service | what is done |
//! |---|---|---|
//! | none | | decide |
//! | not registered | | decide anew: the answer of a registration may have been lost, and its revision stays unused |
//! | registered | is on that revision, has a deployment of it, or had one since | it has begun, and is watched ([`Watched`]) |
//! | registered, and sent less than two minutes ago | is not | wait: ECS may not show the call yet |
//! | registered | is not, and the same is wanted of the same base | UpdateService to that revision |
//! | registered | is not, and something else is wanted | decide anew |
//!
//! That the service had a deployment of it is asked of `ListServiceDeployments`, and only when the service is not on it though
//! it may have been sent there: when the circuit breaker has gone back, `DescribeServices` soon forgets the deployment.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::compare::Difference;
use super::linger::Side;
use super::mounts::Mounts;
use super::newest::Newer;
use super::notice::{Notice, Stage};
use super::proof::Proof;
use super::quarantine::Quarantined;
use super::revision::Images;
use super::standing::short;
use super::waiting::Waiting;
use super::watch::{UNSEEN, Watched};
use super::{Back, Wish};
use crate::ids::{Digest, Target, TargetKind, TaskDefinitionRef, same_revision};
use crate::known::Known;
use crate::report::Code;
use crate::service::ServiceFacts;
use crate::storage::RestorePoint;

/// How many of the rollouts that are over are remembered, for `rollback` and `status`.
const PAST: usize = 10;

/// By how much ECS's clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// What is remembered of the rollouts of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Memory {
    /// The rollout that has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The rollout that ECS carries out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<Watched>,
    /// The last rollout that came up by itself, as long as a crash loop of its tasks would end it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<Watched>,
    /// What each rule has brought out last, by [`super::rule_key`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub done: BTreeMap<String, Rollout>,
    /// What runs as each rule wants it, by [`super::rule_key`], and since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proved: BTreeMap<String, Proof>,
    /// Images that are not rolled out again, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<Quarantined>,
    /// The last rollouts that are over, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Past>,
    /// What waits, and for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The ARN of the family's new revision to which its schedules are still to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub following: Option<String>,
    /// The last `wharfinger rollback` that was dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub went_back: Option<Timestamp>,
    /// The rollout that was given up, since its revision was not what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// The last `apply --linger` that was dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lingered: Option<Timestamp>,
    /// What someone else registered since, and is not out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<Newer>,
}

/// A rollout that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The image of each rule that takes part, by [`super::rule_key`].
    pub wishes: BTreeMap<String, Wish>,
    /// The containers that change.
    pub changes: Vec<ImageChange>,
    /// What becomes of the side container.
    #[serde(default, skip_serializing_if = "Side::is_keep")]
    pub side: Side,
    /// The access points through which volumes are mounted, where that changes.
    #[serde(default, skip_serializing_if = "Mounts::is_empty")]
    pub mounts: Mounts,
    /// The `apply --linger` that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Timestamp>,
    /// The `wharfinger rollback` that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Back>,
    /// The ARN of the revision before.
    pub base: String,
    /// The ARN of the revision that its own is made of, unless that is the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_of: Option<String>,
    /// The containers that keep the image that they have, since `made_of` has another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeps: Vec<ImageChange>,
    /// When it began.
    pub at: Timestamp,
    /// The ARN of the revision that was registered for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<String>,
    /// When the service was about to be sent there: whether it was is not known before it is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Timestamp>,
    /// What its volumes begin with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<RestorePoint>,
}

impl Intent {
    /// Whether the service is on the intent's revision, or has a deployment of it that began since: a way back leads to one
    /// that may be on its way out just now.
    pub(super) fn is_shown(&self, revision: &str, service: &ServiceFacts) -> bool {
        let since = self.at.saturating_sub(SKEW).unwrap_or(self.at);
        let deployments = service.deployments.iter();
        let mut own = deployments.filter(|d| same_revision(&d.task_definition, revision));
        same_revision(&service.task_definition, revision) || own.any(|d| d.created_at.is_none_or(|at| at >= since))
    }

    /// The digest of each rule that takes part.
    pub fn digests(&self) -> BTreeMap<String, Digest> {
        let digest = |(key, wish): (&String, &Wish)| (key.clone(), wish.digest.clone());
        self.wishes.iter().map(digest).collect()
    }

    /// The images, as [`super::revise`] and [`super::differences`] take them.
    pub fn images(&self) -> Images {
        let all = self.changes.iter().chain(&self.keeps);
        all.map(|c| (c.container, c.to.clone())).collect()
    }

    /// Whether a person asked for it, to get away from what runs.
    #[must_use]
    pub const fn leads_back(&self) -> bool {
        self.back.is_some()
    }

    /// Whether ECS may not show yet that the service was sent to its revision.
    pub(super) fn may_show(&self, now: Timestamp) -> bool {
        self.sent.is_some_and(|sent| now.duration_since(sent) < UNSEEN)
    }

    /// The ARN of the revision that its own is made of.
    pub fn source(&self) -> &str {
        self.made_of.as_deref().unwrap_or(&self.base)
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

/// A rollout that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Past {
    /// How it ended: succeeded, failed or superseded.
    pub stage: Stage,
    /// The ARN of the revision before.
    pub from: String,
    /// The ARN of its revision.
    pub to: String,
    /// The containers that changed.
    pub changes: Vec<ImageChange>,
    /// When it began.
    pub began: Timestamp,
    /// When it was over.
    pub at: Timestamp,
    /// What its volumes began with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<RestorePoint>,
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
    /// The access points through which volumes were to be mounted.
    #[serde(default, skip_serializing_if = "Mounts::is_empty")]
    pub mounts: Mounts,
    /// The ARN of the revision that it was made of.
    pub base: String,
    /// The ARN of the revision that was not what was asked for.
    pub revision: String,
    /// In what it differs, without values.
    pub differences: Vec<String>,
}

impl Memory {
    /// What volumes began with, or are about to, in the rollouts that are remembered.
    pub fn restore_points(&self) -> impl Iterator<Item = &RestorePoint> {
        let intent = self.intent.iter().flat_map(|intent| &intent.restored);
        let watched = self.watched.iter().chain(&self.fresh).flat_map(|one| &one.restored);
        intent
            .chain(watched)
            .chain(self.past.iter().flat_map(|past| &past.restored))
    }

    /// Whether a rollout has begun that is not over.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.intent.is_some() || self.watched.is_some() || self.following.is_some()
    }

    /// When the target is to be looked at next, though no event tells of it: the epoch is every minute. `None` when nothing
    /// is to be expected but by an event, by a person, or by the pass over everything.
    #[must_use]
    pub fn next_look(&self) -> Option<Timestamp> {
        const BY_ITSELF: [Code; 6] = [
            Code::AccessPointMissing,
            Code::DeploymentInProgress,
            Code::Paced,
            Code::ScanPending,
            Code::WaveWaits,
            Code::LeaseHeld,
        ];
        let waiting = self.waiting.as_ref();
        let soon = waiting.is_some_and(|waiting| waiting.codes.iter().any(|code| BY_ITSELF.contains(code)));
        if soon || self.is_under_way() {
            return Some(Timestamp::UNIX_EPOCH);
        }
        waiting?.until
    }

    /// The revision was registered. Store it before the service is touched.
    pub fn registered(&mut self, arn: &str) {
        if let Some(intent) = &mut self.intent {
            intent.registered = Some(arn.to_owned());
        }
    }

    /// The service is about to be sent to the revision. Store it before the call.
    pub fn sends(&mut self, now: Timestamp) {
        if let Some(intent) = self.intent.as_mut().filter(|intent| intent.registered.is_some()) {
            intent.sent = Some(now);
        }
    }

    /// The call was not made, or was refused.
    pub fn sent_nothing(&mut self) {
        if let Some(intent) = &mut self.intent {
            intent.sent = None;
        }
    }

    /// Forgets the rollout that has begun, unless ECS may be about to show it.
    pub(super) fn give_up(&mut self, now: Timestamp) {
        self.intent = self.intent.take().filter(|intent| intent.may_show(now));
    }

    /// The calls are made: the service was sent to the revision, or the family has it. Of a service it is to be watched from
    /// now on. What is to be told: that it began, and what it takes the place of.
    pub fn settle(&mut self, target: &Target, now: Timestamp) -> Vec<Notice> {
        let Some(intent) = self.intent.take() else {
            return Vec::new();
        };
        let Some(revision) = intent.registered.clone() else {
            return Vec::new();
        };
        self.lingered = intent.asked.or(self.lingered);
        self.went_back = intent.back.as_ref().map(|back| back.at).or(self.went_back);
        for (key, wish) in &intent.wishes {
            let rollout = Rollout {
                digest: wish.digest.clone(),
                revision: revision.clone(),
                at: now,
            };
            self.done.insert(key.clone(), rollout);
        }
        self.refused = None;
        self.waiting = None;
        if intent.made_of.is_some() {
            self.newer = None;
        }
        let watched = Watched::new(intent, revision, now);
        let mut notices = Vec::new();
        if let Some(before) = self.watched.take() {
            let why = format!("{} takes its place", short(&watched.to));
            notices.extend(before.end(self, target, Stage::Superseded, &why, now));
        }
        notices.push(watched.notice(target, Stage::Started, "", now));
        match target.kind {
            TargetKind::Service => self.watched = Some(watched),
            // Whoever starts the family next runs it: there is nothing to be proved.
            TargetKind::Task | TargetKind::Cluster => {
                self.prove(&watched.wishes, &watched.to, now);
                self.following = Some(watched.to.clone());
                self.remember(&watched, Stage::Succeeded, now);
                let why = format!("whoever starts the family next runs {}", short(&watched.to));
                notices.push(watched.notice(target, Stage::Succeeded, &why, now));
            }
        }
        notices
    }

    /// Remembers a rollout that is over.
    pub(super) fn remember(&mut self, watched: &Watched, stage: Stage, now: Timestamp) {
        self.past.push(Past {
            stage,
            from: watched.from.clone(),
            to: watched.to.clone(),
            changes: watched.changes.clone(),
            began: watched.at,
            at: now,
            restored: watched.restored.clone(),
        });
        let excess = self.past.len().saturating_sub(PAST);
        self.past.drain(..excess);
    }

    /// The registered revision differs from its base in more than the images: the rollout is given up, and not begun again
    /// before another image is wanted or the service has another base. Each attempt would leave one more revision.
    pub fn refuse(&mut self, differences: &[Difference]) {
        let Some(intent) = self.intent.take() else { return };
        self.refused = Some(Refusal {
            digests: intent.digests(),
            base: intent.source().to_owned(),
            side: intent.side,
            mounts: intent.mounts,
            revision: intent.registered.unwrap_or_default(),
            differences: differences.iter().map(ToString::to_string).collect(),
        });
    }

    /// ECS does not stop the deployment of the rollout that is to be ended: the service is sent back instead.
    pub fn refuse_to_stop(&mut self) {
        if let Some(ending) = self.watched.as_mut().and_then(|watched| watched.ending.as_mut()) {
            ending.refused = true;
            ending.called = None;
        }
    }

    /// Whether the intent's rollout has begun. A deployment of the revision, even one that failed or is over, proves that the
    /// service was sent there: after a rollback by ECS it is not sent there again.
    pub(super) fn has_arrived(&self, service: Option<&ServiceFacts>, sent_to: &Known<Vec<String>>) -> bool {
        let registered = self.intent.as_ref().and_then(|i| i.registered.as_deref());
        let was_there = |arn| match sent_to {
            Known::Yes(all) => all.iter().any(|one| same_revision(one, arn)),
            Known::No => false,
        };
        let shows = |arn| {
            self.intent
                .as_ref()
                .is_some_and(|intent| service.is_none_or(|s| intent.is_shown(arn, s)))
        };
        registered.is_some_and(|arn| shows(arn) || was_there(arn))
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
}

/// Whether a revision is an earlier one of the same family.
pub(super) fn is_before(a: &str, b: &str) -> bool {
    let both = TaskDefinitionRef::parse(a).zip(TaskDefinitionRef::parse(b));
    both.is_some_and(|(a, b)| a.family == b.family && a.revision < b.revision)
}
