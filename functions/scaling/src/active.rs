//! The services that are looked at every minute: one small item each, in one partition, so that the pass of a minute costs
//! nothing for those of which nothing is to be expected.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharfinger_cloud::error::CloudError;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::{Condition, Item, Key, Table, TableName, Update, as_number, number};
use wharfinger_core::ids::Target;
use wharfinger_core::ledger::{LIVING_SECONDS, expiry};
use wharfinger_core::scaling::Watch;

/// The partition.
pub const ACTIVE: &str = "active#scaling";
/// From when on it is to be looked at, in epoch seconds; 0 is every minute.
const DUE: &str = "due";
/// When that was written, in epoch milliseconds: who forgets it says which.
const SINCE: &str = "since";
const TTL: &str = "ttl";

/// A service in the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    due: i64,
    since: i64,
}

impl Row {
    /// Whether it is to be looked at now.
    #[must_use]
    pub fn is_due(self, now: Timestamp) -> bool {
        self.due <= now.as_second()
    }
}

/// Every service in the set.
///
/// # Errors
/// When the state table cannot be read.
pub async fn rows(cloud: &impl Table) -> Result<BTreeMap<Target, Row>, CloudError> {
    let row = |item: &Item| {
        let target = Target::from_key(&Key::of(item)?.sk).ok()?;
        let (due, since) = (as_number(item, DUE)?, as_number(item, SINCE)?);
        Some((target, Row { due, since }))
    };
    let items = cloud.query(TableName::State, ACTIVE).await?;
    Ok(items.iter().filter_map(row).collect())
}

/// Takes note of when a service is to be looked at next, if at all. What the set has already is not written again.
///
/// # Errors
/// When the state table cannot be written.
pub async fn keep(
    cloud: &(impl Table + Clock),
    target: &Target,
    watch: Watch,
    row: Option<Row>,
) -> Result<(), CloudError> {
    let due = match watch {
        Watch::EachMinute => 0,
        Watch::At(time) => time.as_second(),
        Watch::Idle => return Ok(()),
    };
    if row.is_some_and(|row| row.due == due) {
        return Ok(());
    }
    let now = cloud.now();
    let update = Update::of(key(target))
        .set(DUE, number(due))
        .set(SINCE, number(now.as_millisecond()))
        .set(TTL, number(expiry(now, LIVING_SECONDS)));
    cloud.update(TableName::State, update).await.map(drop)
}

/// Takes a service out of the set, unless someone put it there again meanwhile.
///
/// # Errors
/// When the state table cannot be written.
pub async fn forget(cloud: &(impl Table + Clock), target: &Target, row: Row) -> Result<(), CloudError> {
    let update = Update::of(key(target))
        .remove(DUE)
        .set(TTL, number(expiry(cloud.now(), 0)))
        .only_if(Condition::Equal(SINCE, number(row.since)));
    cloud.update(TableName::State, update).await.map(drop)
}

fn key(target: &Target) -> Key {
    Key::new(ACTIVE, target.key())
}
