//! What the row of an instance tells by itself, without an answer of AWS: for people who ask how it stands.

use jiff::{SignedDuration, Timestamp};

use super::cause::{Cause, goes, is_ours, stays};
use super::{Facts, Going, Hook};
use crate::config::Capacity;
use crate::ids::Target;

/// Spot takes an instance back so long after its notice (EC2 user guide, "Spot Instance interruption notices").
const NOTICE: SignedDuration = SignedDuration::from_mins(2);

/// How an instance stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether it goes, as far as its row tells.
    pub goes: bool,
    /// Why it goes, is suspected, or stays although something was told of it.
    pub why: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when it is waited for at most, or when it is taken away.
    pub until: Option<Timestamp>,
}

impl Standing {
    /// Reads it from the row of the EC2 instance `id`; `None` when nothing is left to be said of it.
    #[must_use]
    pub fn of(cluster: &Target, capacity: &Capacity, id: &str, going: &Going, now: Timestamp) -> Option<Self> {
        if going.is_over() {
            return None;
        }
        let facts = Facts::new(cluster.clone(), capacity.clone());
        // Whether its group still waits is asked at the next look.
        let found = going.did.found_waiting.map(|_| Cause::FoundWaiting);
        if let Some(cause) = goes(&facts, id, going, now).or(found) {
            let (since, until) = times(&facts, going, cause);
            return Some(Self {
                goes: true,
                why: cause.why(),
                since,
                until,
            });
        }
        if let Some(silence) = going.did.disconnected {
            let after = capacity.disconnected.as_ref().map(|rule| rule.after);
            return Some(Self {
                goes: false,
                why: "its agent is disconnected".to_owned(),
                since: Some(silence.since),
                until: after.and_then(|after| silence.since.checked_add(after.duration()).ok()),
            });
        }
        let (_, why) = stays(&facts, going, now)?;
        Some(Self {
            goes: false,
            why,
            since: going.causes.latest(),
            until: None,
        })
    }
}

/// Since when a cause is there, and until when.
fn times(facts: &Facts, going: &Going, cause: Cause<'_>) -> (Option<Timestamp>, Option<Timestamp>) {
    let deadline = |since: Timestamp| since.checked_add(facts.capacity.drain.deadline.duration()).ok();
    match cause {
        Cause::Hook(hook) => {
            let open = going.open().filter(|hook| is_ours(facts, hook));
            let until = open.map(|hook: &Hook| hook.since).max().and_then(deadline);
            (Some(hook.since), until)
        }
        Cause::FoundWaiting => {
            let since = going.did.found_waiting;
            (since, since.and_then(deadline))
        }
        Cause::Spot(spot) => (Some(spot.at), spot.at.checked_add(NOTICE).ok()),
        Cause::Rebalance => (going.causes.rebalance, None),
        Cause::Maintenance(scheduled) => (Some(scheduled.told), scheduled.starts),
        Cause::State(_) => (going.causes.state.map(|seen| seen.at), None),
        Cause::GivenUp => (going.did.unhealthy_at, None),
    }
}
