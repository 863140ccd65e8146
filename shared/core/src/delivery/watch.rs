//! A rollout that ECS carries out: how it stands at each look.
//!
//! | the service | the rollout |
//! |---|---|
//! | is on the revision, its deployment COMPLETED, and as many tasks run as are wanted | succeeded |
//! | is on it, and the deployment is in progress | goes on, until `rollback.timeout` |
//! | is on it, and the deployment FAILED, or takes too long | has failed, and is ended |
//! | is on it, and its tasks stop again and again, for what is the revision's own | the same, also after it succeeded |
//! | is on an earlier revision of the family, or on the one before | has failed: ECS's circuit breaker went back, or a person |
//! | is anywhere else | is superseded by someone |
//!
//! An event COMPLETED alone says nothing: a rollback ends with the same (ECS developer guide, "Amazon ECS service deployment
//! state change events"), and a deployment without circuit breaker or alarms never ends in an event at all.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::memory::{ImageChange, Intent, is_before};
use super::notice::{Notice, Stage};
use super::standing::short;
use super::{Back, Memory, Wish};
use crate::capacity::crash::{Stops, sentence};
use crate::config::is_default;
use crate::ids::{Digest, Target, same_revision};
use crate::report::{Code, counted};
use crate::service::{DeploymentFacts, ServiceFacts};
use crate::storage::RestorePoint;

/// For how long `DescribeServices` may not show yet what `UpdateService` did (ECS API reference, `RunTask`: "the Amazon ECS
/// API follows an eventual consistency model").
pub(crate) const UNSEEN: SignedDuration = SignedDuration::from_mins(2);

/// After how long a call that is to end a rollout is made again.
const AGAIN: SignedDuration = SignedDuration::from_mins(2);

/// A rollout that ECS carries out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Watched {
    /// The image of each rule that takes part, by [`super::rule_key`].
    pub wishes: BTreeMap<String, Wish>,
    /// The containers that change.
    pub changes: Vec<ImageChange>,
    /// The ARN of the revision before.
    pub from: String,
    /// The ARN of its revision.
    pub to: String,
    /// When it was decided.
    pub at: Timestamp,
    /// When the service was sent there, or found there.
    pub sent: Timestamp,
    /// The person who asked for it, where it is a way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Back>,
    /// What its volumes begin with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<RestorePoint>,
    /// That it has failed and is to be ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// A rollout is to be ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ending {
    /// Why.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// When the last call was made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<Timestamp>,
    /// That ECS refused to stop its deployment: the service is sent to the revision before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub refused: bool,
}

impl Ending {
    /// Whether a call is to be made: none was, or the last one has had its time.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.called.is_none_or(|called| now.duration_since(called) >= AGAIN)
    }
}

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Course {
    /// ECS goes on with it.
    Running(String),
    /// It is through.
    Succeeded,
    /// It will not come up: the service is to leave the revision.
    Stuck(Code, String),
    /// The service has left the revision for an earlier one.
    Failed(String),
    /// The service is somewhere else.
    Superseded(String),
}

impl Watched {
    /// The rollout of an intent whose calls were made.
    pub(super) fn new(intent: Intent, revision: String, now: Timestamp) -> Self {
        Self {
            wishes: intent.wishes,
            changes: intent.changes,
            from: intent.base,
            to: revision,
            at: intent.at,
            sent: now,
            back: intent.back,
            restored: intent.restored,
            ending: None,
        }
    }

    /// Whether it brings this image out for a rule, and is not to be ended.
    pub(super) fn brings(&self, key: &str, digest: &Digest) -> bool {
        self.ending.is_none() && self.wishes.get(key).is_some_and(|wish| wish.digest == *digest)
    }

    /// The same, as it is ended.
    pub(super) fn with(&self, ending: Ending) -> Self {
        Self {
            ending: Some(ending),
            ..self.clone()
        }
    }

    /// How it stands, when a deployment may take this long.
    pub(super) fn course(&self, service: &ServiceFacts, stops: &Stops, patience: Duration, now: Timestamp) -> Course {
        if !same_revision(&service.task_definition, &self.to) {
            return self.elsewhere(service, now);
        }
        // ECS may call a deployment through, or through in time, whose tasks do not stay (containers-roadmap #1206).
        if let Some(known) = stops.against(&self.to, self.at) {
            return Course::Stuck(Code::CrashLoop, sentence(short(&self.to), known));
        }
        let Some(primary) = service.primary() else {
            return Course::Running(format!("no deployment of {} is shown yet", short(&self.to)));
        };
        let running = format!(
            "deployment {} of {}: {} running, {} wanted",
            primary.id,
            short(&self.to),
            counted(service.running_count, "task"),
            service.desired_count
        );
        let enough = service.running_count >= service.desired_count;
        let through = match primary.rollout_state.as_deref() {
            Some("COMPLETED") => true,
            Some("FAILED") => {
                let why = format!("deployment {} of {} FAILED", primary.id, short(&self.to));
                return Course::Stuck(Code::RolloutFailed, why);
            }
            Some(_) => false,
            // Only ECS's own controller says a state; elsewhere the other deployments going away tells.
            None => service.deployments.len() == 1,
        };
        if through && enough {
            return Course::Succeeded;
        }
        let age = now.duration_since(self.began(primary)).unsigned_abs();
        // What ECS calls through stays: tasks may be missing since the count was raised just now.
        if !through && age > patience {
            let why = format!(
                "{running}, after {} s, longer than `rollback.timeout` lets it",
                age.as_secs()
            );
            return Course::Stuck(Code::DeploymentTimedOut, why);
        }
        Course::Running(running)
    }

    fn began(&self, primary: &DeploymentFacts) -> Timestamp {
        primary.created_at.unwrap_or(self.sent)
    }

    fn elsewhere(&self, service: &ServiceFacts, now: Timestamp) -> Course {
        let is = &service.task_definition;
        // What is to be ended was seen there.
        let fresh = self.ending.is_none() && now.duration_since(self.sent) < UNSEEN;
        let unseen = fresh && !service.has_had(&self.to);
        if unseen {
            return Course::Running(format!("ECS does not show {} yet", short(&self.to)));
        }
        let there = format!("the service is on {} now, not on {}", short(is), short(&self.to));
        if is_before(is, &self.to) || same_revision(is, &self.from) {
            Course::Failed(there)
        } else {
            Course::Superseded(there)
        }
    }

    /// It is over: remembered, and told unless that it failed was told before.
    pub(super) fn end(
        &self,
        memory: &mut Memory,
        target: &Target,
        stage: Stage,
        why: &str,
        now: Timestamp,
    ) -> Option<Notice> {
        let stage = if self.ending.is_some() { Stage::Failed } else { stage };
        memory.remember(self, stage, now);
        self.ending.is_none().then(|| self.notice(target, stage, why, now))
    }

    /// What is told of it.
    pub(super) fn notice(&self, target: &Target, stage: Stage, reason: &str, now: Timestamp) -> Notice {
        let images: Vec<_> = self.wishes.values().map(Wish::name).collect();
        let reason = match (reason, stage) {
            ("", _) if images.is_empty() => format!("{target} goes from {} to {}", short(&self.from), short(&self.to)),
            ("", _) => format!("{target} goes to {} with {}", short(&self.to), images.join(", ")),
            (reason, _) => reason.to_owned(),
        };
        let person = self
            .back
            .as_ref()
            .map(|back| back.by.clone().unwrap_or_else(|| "someone".into()));
        Notice {
            stage,
            target: target.to_string(),
            rollout: format!("{} {}", self.at, short(&self.to)),
            images,
            changes: self.changes.clone(),
            from: Some(self.from.clone()),
            to: Some(self.to.clone()),
            reason,
            actor: person.unwrap_or_else(|| "push".into()),
            began: self.at,
            at: now,
        }
    }
}
