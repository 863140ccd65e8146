//! Which snapshots of a lineage are kept.
//!
//! Each line of `keep` is read as restic and Borg read theirs: `daily: 7` keeps the newest of each of the last seven days
//! that have one, so a day without a snapshot costs nothing. What any line keeps is kept. Days are UTC's, weeks begin on
//! Monday (ISO 8601). Besides, the newest is always kept, and so is what is held: something refers to it.
//!
//! Only completed snapshots take part. One that is not may still become the newest recovery point, or never: no line
//! counts it, and nothing here removes it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Snapshot, SnapshotState};
use crate::config::Keep;

/// A snapshot as retention sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// `snap-…`.
    pub id: String,
    /// The moment that it shows.
    pub at: Timestamp,
    /// How far it is.
    pub state: SnapshotState,
}

impl From<&Snapshot> for Point {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            id: snapshot.snapshot_id.clone(),
            at: snapshot.start_time,
            state: snapshot.state,
        }
    }
}

/// Why a snapshot is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It is the newest that is completed.
    Newest,
    /// Something refers to it.
    Held,
    /// It is among the `last`.
    Last,
    /// It is the newest of its hour.
    Hourly,
    /// It is the newest of its day.
    Daily,
    /// It is the newest of its week.
    Weekly,
    /// It is the newest of its month.
    Monthly,
    /// No line of `keep` says how many there may be.
    Unlimited,
}

impl Why {
    /// The word: of a line of `keep` its key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Held => "held",
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Unlimited => "unlimited",
        }
    }
}

/// What becomes of the completed snapshots of a lineage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Those that are kept, by id, and why; each reason once.
    pub kept: BTreeMap<String, Vec<Why>>,
    /// Those that go.
    pub pruned: BTreeSet<String>,
}

/// Says which of the snapshots of one lineage are kept. `held` are those that something refers to.
///
/// The order of `points` does not matter; of two of one moment the one with the greater id counts as newer. What is left
/// after a pruning is kept by the next.
#[must_use]
pub fn prune(keep: &Keep, points: &[Point], held: &BTreeSet<String>) -> Plan {
    let mut completed: Vec<_> = points
        .iter()
        .filter(|point| point.state == SnapshotState::Completed)
        .collect();
    completed.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    let mut kept: BTreeMap<String, Vec<Why>> = BTreeMap::new();
    let mut say = |point: &Point, why| kept.entry(point.id.clone()).or_default().push(why);
    if let Some(newest) = completed.first() {
        say(newest, Why::Newest);
    }
    for point in completed.iter().filter(|point| held.contains(&point.id)) {
        say(point, Why::Held);
    }
    if keep.is_unlimited() {
        for point in &completed {
            say(point, Why::Unlimited);
        }
    }
    for (number, why) in lines(keep) {
        for point in newest_of_each(&completed, number, why) {
            say(point, why);
        }
    }
    let pruned = completed.iter().filter(|point| !kept.contains_key(&point.id));
    let pruned = pruned.map(|point| point.id.clone()).collect();
    Plan { kept, pruned }
}

const fn lines(keep: &Keep) -> [(u32, Why); 5] {
    [
        (keep.last, Why::Last),
        (keep.hourly, Why::Hourly),
        (keep.daily, Why::Daily),
        (keep.weekly, Why::Weekly),
        (keep.monthly, Why::Monthly),
    ]
}

/// The newest of each of so many periods, the newest period first.
fn newest_of_each<'p>(newest_first: &[&'p Point], number: u32, why: Why) -> Vec<&'p Point> {
    let mut found: Vec<&Point> = Vec::new();
    let mut last = None;
    for point in newest_first {
        if u32::try_from(found.len()).is_ok_and(|found| found >= number) {
            break;
        }
        // Each is a period of its own where there are none.
        let period = period(why, point.at);
        if period.is_none() || period != last {
            found.push(point);
        }
        last = period;
    }
    found
}

/// The period that a moment is in: its year, its number in it, and the hour.
fn period(why: Why, at: Timestamp) -> Option<(i16, i16, i8)> {
    let moment = at.to_zoned(TimeZone::UTC).datetime();
    let (day, week) = (moment.date(), moment.date().iso_week_date());
    match why {
        Why::Hourly => Some((day.year(), day.day_of_year(), moment.hour())),
        Why::Daily => Some((day.year(), day.day_of_year(), 0)),
        Why::Weekly => Some((week.year(), week.week().into(), 0)),
        Why::Monthly => Some((day.year(), day.month().into(), 0)),
        Why::Newest | Why::Held | Why::Last | Why::Unlimited => None,
    }
}

#[cfg(test)]
mod tests;
