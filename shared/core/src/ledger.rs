//! The merge rules: under them neither the order nor the number of events matters.
//!
//! A rule is an order key. An item takes an event only when the event's key is greater than the item's, in one
//! conditional write; equal keys are copies of one event.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{AlarmStateChange, TaskStateChange};

/// How long a tombstone stays: longer than EventBridge goes on retrying (24 hours) and Lambda after it (6 hours)
/// (EventBridge user guide, "Retry policy"; Lambda developer guide, "Asynchronous invocation").
pub const TOMBSTONE_SECONDS: i64 = 3 * 86_400;

/// How long an item of a living task stays without any news of it: longer than tasks live.
pub const LIVING_SECONDS: i64 = 2 * 365 * 86_400;

/// How long the history stays.
pub const HISTORY_SECONDS: i64 = 90 * 86_400;

/// What an event is ordered by.
pub trait Ordered {
    /// Greater is later; equal is a copy.
    fn order(&self) -> i64;
}

impl Ordered for TaskStateChange {
    fn order(&self) -> i64 {
        self.version
    }
}

impl Ordered for AlarmStateChange {
    /// Milliseconds: the time of a transition is unique for an alarm (CloudWatch user guide, "Alarm history").
    fn order(&self) -> i64 {
        self.state.timestamp.as_millisecond()
    }
}

/// What became of an event that met the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Merge {
    /// It is news.
    Fresh,
    /// A copy of what is known already.
    Duplicate,
    /// Something newer is known.
    Stale,
}

/// Compares an event with what the ledger knows.
#[must_use]
pub fn compare(known: Option<i64>, event: i64) -> Merge {
    match known {
        Some(known) if known > event => Merge::Stale,
        Some(known) if known == event => Merge::Duplicate,
        _ => Merge::Fresh,
    }
}

/// When an item that is written now is forgotten, in the epoch seconds that DynamoDB's TTL takes.
#[must_use]
pub fn expiry(now: Timestamp, keep_seconds: i64) -> i64 {
    now.as_second().saturating_add(keep_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_news_equal_a_copy_and_earlier_stale() {
        assert_eq!(compare(None, 1), Merge::Fresh);
        assert_eq!(compare(Some(1), 2), Merge::Fresh);
        assert_eq!(compare(Some(2), 2), Merge::Duplicate);
        assert_eq!(compare(Some(3), 2), Merge::Stale);
    }

    #[test]
    fn a_tombstone_outlives_every_retry() {
        // EventBridge tries for 24 hours, Lambda for 6 more.
        const { assert!(TOMBSTONE_SECONDS > 30 * 3_600) };
        assert_eq!(expiry(Timestamp::UNIX_EPOCH, TOMBSTONE_SECONDS), TOMBSTONE_SECONDS);
    }
}
