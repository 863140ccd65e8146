//! What the volumes of a rollout begin with: `restore: newest`.
//!
//! The deployment that a rollout makes gives each task a new volume anyway, so the snapshot that it is made of is named in
//! the same call: one deployment, and no other because of the volume. A way back is a deployment like any other.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::action::Action;
use super::decide::Decided;
use super::{Facts, Intent};
use crate::config::{Restore, Storage};
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason, in_words};
use crate::storage::{Lineage, RestoreError, RestorePoint, Snapshot, newest, seeded};

/// What is known of the volumes of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Volumes {
    /// `volumeConfigurations` of its PRIMARY deployment, as `DescribeServices` answers it; `None` when it has none.
    pub configurations: Known<Option<Value>>,
    /// The snapshots of its lineages that carry our mark.
    pub snapshots: Known<Vec<Snapshot>>,
}

impl Facts {
    /// The volumes that begin with their newest snapshot.
    pub fn restores(&self) -> impl Iterator<Item = &str> {
        let wanted = |storage: &&Storage| storage.restore == Restore::Newest;
        self.storage
            .iter()
            .filter(wanted)
            .map(|storage| storage.volume.as_str())
    }
}

impl Decided {
    /// Whether the plan waits for what the volumes begin with ([`Facts::volumes`]).
    #[must_use]
    pub fn asks_volumes(&self) -> bool {
        self.decision.missing.contains(&SNAPSHOTS)
    }
}

const SNAPSHOTS: &str = "DescribeSnapshots";
const SERVICES: &str = "DescribeServices";

/// The same plan with what the volumes begin with; or why it waits.
pub(super) fn restore(mut decided: Decided, facts: &Facts, now: Timestamp) -> Decided {
    let sends = |action: &Action| matches!(action, Action::UpdateService { .. });
    if facts.restores().next().is_none() || !decided.decision.actions.iter().any(sends) {
        return decided;
    }
    let found = match seeds(facts, now) {
        Ok(found) => found,
        Err(missing) => return held(decided, missing),
    };
    // A way back is not held up by what cannot be restored: it is what leads out of trouble.
    let leads_back = decided.intent.as_ref().is_none_or(Intent::leads_back);
    if let Some(refused) = found.refused.filter(|_| !leads_back) {
        return held(decided, Decision::without_calls(Outcome::Wait, refused));
    }
    for action in &mut decided.decision.actions {
        if let Action::UpdateService { volumes, .. } = action {
            volumes.clone_from(&found.configurations);
        }
    }
    if let Some(intent) = &mut decided.intent {
        intent.restored = found.points;
    }
    decided.decision.reasons.extend(found.reasons);
    decided
}

/// The plan is not carried out now.
fn held(decided: Decided, mut decision: Decision<Action>) -> Decided {
    decision.reasons.extend(decided.decision.reasons);
    Decided {
        decision,
        intent: None,
        left: None,
        ..decided
    }
}

/// What the volumes begin with.
#[derive(Default)]
struct Seeds {
    /// The service's own configurations with it; `None` when nothing of them changes.
    configurations: Option<Value>,
    points: Vec<RestorePoint>,
    reasons: Vec<Reason>,
    /// Why one of them cannot begin with its snapshot, though it could if someone did something.
    refused: Option<Reason>,
}

fn seeds(facts: &Facts, now: Timestamp) -> Result<Seeds, Decision<Action>> {
    let (Known::Yes(own), Known::Yes(snapshots)) = (&facts.volumes.configurations, &facts.volumes.snapshots) else {
        return Err(unknown(facts));
    };
    let mut found = Seeds::default();
    for volume in facts.restores() {
        let lineage = Lineage::of(&facts.target, volume);
        let Some(snapshot) = newest(snapshots, &lineage, None) else {
            let message =
                format!("{lineage} has no completed snapshot yet: the volume begins with what the service says");
            found.reasons.push(Reason::new(Code::NothingToRestore, message));
            continue;
        };
        let point = RestorePoint::of(volume, snapshot);
        let before = found.configurations.as_ref().or(own.as_ref()).unwrap_or(&Value::Null);
        match seeded(before, &point) {
            Ok(after) => {
                found.reasons.push(begins(facts, &point, now));
                found.configurations = Some(after);
                found.points.push(point);
            }
            Err(error @ RestoreError::NoVolume(_)) => {
                let reason = Reason::new(Code::RestoreRefused, format!("{lineage} is not restored: {error}"));
                found.reasons.push(reason);
            }
            Err(error @ RestoreError::TooSmall { .. }) => {
                let message = format!("{lineage} cannot be restored: {error}");
                let reason = Reason::new(Code::RestoreRefused, message);
                found.reasons.push(reason.clone());
                found.refused = Some(reason);
            }
        }
    }
    Ok(found)
}

fn unknown(facts: &Facts) -> Decision<Action> {
    let volumes: Vec<_> = facts.restores().collect();
    let message = format!(
        "what {} of {} begins with is not known: its newest snapshot, and the service's `volumeConfigurations`",
        volumes.join(", "),
        facts.target
    );
    let mut decision = Decision::needs(SNAPSHOTS, Reason::new(Code::FactsMissing, message));
    if facts.volumes.configurations == Known::No {
        decision.missing.insert(0, SERVICES);
    }
    decision
}

/// What is lost is said: whatever was written since.
fn begins(facts: &Facts, point: &RestorePoint, now: Timestamp) -> Reason {
    let RestorePoint {
        volume,
        snapshot_id,
        at,
        ..
    } = point;
    let age = in_words(now.duration_since(*at).max(SignedDuration::ZERO));
    let goes_on = match &facts.service {
        Known::Yes(Some(service)) => service.minimum_healthy_percent != Some(0),
        Known::Yes(None) | Known::No => true,
    };
    let also = if goes_on {
        "; the task before goes on writing to its own volume until it stops"
    } else {
        ""
    };
    let message = format!(
        "volume {volume} begins with {snapshot_id}, of {at}, {age} ago: what was written since is not in it{also}"
    );
    Reason::new(Code::RestoreNewest, message)
}

#[cfg(test)]
mod tests;
