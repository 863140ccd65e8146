//! `wharfinger restore`: a person asks that a service begin anew with a snapshot.
//!
//! It is one call: `UpdateService` with the service's own volume configurations, one of them with the snapshot, and a new
//! deployment. What was asked is stored beside the configuration; what came of it in the memory, so that it is done once.
//!
//! | what is found | what is done |
//! |---|---|
//! | it was answered before | nothing |
//! | the call was made, or may have been, and the service has a deployment since then | it is answered |
//! | the same less than two minutes ago, and no deployment is shown | wait: ECS may not show it yet |
//! | the service has no such volume, or the snapshot does not fit | it is refused, and answered |
//! | otherwise | the call, the intent stored before it |

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::due::after;
use super::restore::begins_with;
use super::{Action, Facts, Lineage, Memory, RestorePoint, seeded};
use crate::config::asked::RestoreAsked;
use crate::known::Known;
use crate::report::{Code, Outcome, Reason};
use crate::service::ServiceFacts;

/// For how long `DescribeServices` may not show yet what `UpdateService` did.
const UNSEEN: SignedDuration = SignedDuration::from_mins(2);

/// By how much ECS's clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// How many restores that are over are remembered: their snapshots are not removed.
const PAST: usize = 10;

/// A restore that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Restoring {
    /// When it was asked for.
    pub asked: Timestamp,
    /// When the call was about to be made.
    pub sent: Timestamp,
}

/// A restore that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Restored {
    /// When the service was sent there.
    pub at: Timestamp,
    /// What its volume began with.
    pub point: RestorePoint,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What comes of what was asked.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) reason: Reason,
    pub(super) action: Option<Action>,
    pub(super) missing: Vec<&'static str>,
    pub(super) again: Option<Timestamp>,
}

impl Answer {
    fn of(outcome: Outcome, code: Code, message: String) -> Self {
        Self {
            outcome,
            reason: Reason::new(code, message),
            action: None,
            missing: Vec::new(),
            again: None,
        }
    }
}

impl Facts {
    /// What was asked for and is not answered yet.
    #[must_use]
    pub fn asks_restore(&self) -> Option<&RestoreAsked> {
        let is_open = |asked: &&RestoreAsked| self.memory.answered.is_none_or(|done| done < asked.at);
        self.asked.as_ref().filter(is_open)
    }
}

/// What comes of what was asked; notes in the memory what is answered.
pub(super) fn answer(facts: &Facts, memory: &mut Memory, now: Timestamp) -> Option<Answer> {
    let asked = facts.asks_restore()?;
    let lineage = Lineage::of(&facts.target, asked.point.volume.clone());
    let service = match (&facts.service, &facts.volumes) {
        (Known::Yes(None), _) => {
            memory.refuse_restore(asked);
            let message = format!("{lineage}: there is no service {} to restore", facts.target);
            return Some(Answer::of(Outcome::Ignore, Code::ServiceNotFound, message));
        }
        (Known::Yes(Some(service)), Known::Yes(_)) => service,
        _ => {
            let message = format!("{lineage}: what the service's volumes begin with is not known");
            let mut answer = Answer::of(Outcome::Wait, Code::FactsMissing, message);
            answer.missing.push("DescribeServices");
            return Some(answer);
        }
    };
    let own = match &facts.volumes {
        Known::Yes(Some(own)) => own,
        Known::Yes(None) | Known::No => &Value::Null,
    };
    let sent = memory.restoring.as_ref().filter(|known| known.asked == asked.at);
    if let Some(sent) = sent.map(|known| known.sent) {
        if has_begun(service, own, asked, sent) {
            memory.restored(asked, sent);
            let message = format!("{lineage}: a deployment with {} has begun", asked.point.snapshot_id);
            return Some(Answer::of(Outcome::Ignore, Code::RestoreStarts, message));
        }
        if now.duration_since(sent) < UNSEEN {
            let message =
                format!("{lineage}: the service may have been sent to its snapshot, which ECS does not show yet");
            let mut answer = Answer::of(Outcome::Wait, Code::DeploymentInProgress, message);
            answer.again = Some(after(sent, UNSEEN));
            return Some(answer);
        }
    }
    Some(match seeded(own, &asked.point) {
        Err(error) => {
            memory.refuse_restore(asked);
            let message = format!("{lineage} is not restored: {error}");
            Answer::of(Outcome::Ignore, Code::RestoreRefused, message)
        }
        Ok(volumes) => {
            memory.restoring = Some(Restoring {
                asked: asked.at,
                sent: now,
            });
            begin(facts, asked, volumes, now)
        }
    })
}

fn begin(facts: &Facts, asked: &RestoreAsked, volumes: Value, now: Timestamp) -> Answer {
    let RestorePoint {
        volume,
        snapshot_id,
        at,
        ..
    } = &asked.point;
    let who = asked.by.as_deref().unwrap_or("someone");
    let message = format!(
        "{who} has {} begin with {snapshot_id} in volume {volume}, of {at}: what was written since is not in it",
        facts.target
    );
    let mut answer = Answer::of(Outcome::Act, Code::RestoreStarts, message);
    answer.action = Some(Action::UpdateService {
        cluster: facts.target.cluster.clone(),
        service: facts.target.name.clone(),
        volumes,
    });
    answer.again = Some(after(now, UNSEEN));
    answer
}

/// Whether the service has a deployment that began since the call, and begins with the snapshot: another may have begun
/// meanwhile.
fn has_begun(service: &ServiceFacts, own: &Value, asked: &RestoreAsked, sent: Timestamp) -> bool {
    let since = sent.saturating_sub(SKEW).unwrap_or(sent);
    let primary = service.primary().and_then(|primary| primary.created_at);
    let point = &asked.point;
    primary.is_some_and(|at| at >= since) && begins_with(own, &point.volume) == Some(&point.snapshot_id)
}

impl Memory {
    /// What was asked for is done.
    pub fn restored(&mut self, asked: &RestoreAsked, at: Timestamp) {
        self.answered = Some(asked.at);
        self.restoring = None;
        self.restores.push(Restored {
            at,
            point: asked.point.clone(),
            by: asked.by.clone(),
        });
        let excess = self.restores.len().saturating_sub(PAST);
        self.restores.drain(..excess);
    }

    /// ECS refuses it for good: it is answered.
    pub fn refuse_restore(&mut self, asked: &RestoreAsked) {
        self.answered = Some(asked.at);
        self.restoring = None;
    }

    /// The call was refused: nothing was begun.
    pub fn restored_nothing(&mut self) {
        self.restoring = None;
    }
}
