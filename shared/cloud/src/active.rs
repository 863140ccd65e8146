//! The targets that a domain looks at every minute: one small item each, in one partition, so that the pass of a minute
//! costs nothing for those of which nothing is to be expected.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharfinger_core::ids::Target;
use wharfinger_core::ledger::{LIVING_SECONDS, expiry};

use crate::error::CloudError;
use crate::ports::Clock;
use crate::table::{Condition, Item, Key, Table, TableName, Update, as_number, number};

/// The targets that a domain looks at every minute, by its name.
#[derive(Debug, Clone, Copy)]
pub struct Active(pub &'static str);

/// What is looked at every minute.
pub const EACH_MINUTE: Timestamp = Timestamp::UNIX_EPOCH;

/// From when on it is to be looked at, in epoch seconds; 0 is every minute.
const DUE: &str = "due";
/// When that was written, in epoch milliseconds: who forgets it says which.
const SINCE: &str = "since";
const TTL: &str = "ttl";

/// A target in the set.
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

impl Active {
    /// The partition.
    #[must_use]
    pub fn partition(self) -> String {
        format!("active#{}", self.0)
    }

    /// Every target in the set.
    ///
    /// # Errors
    /// When the state table cannot be read.
    pub async fn rows(self, cloud: &impl Table) -> Result<BTreeMap<Target, Row>, CloudError> {
        let row = |item: &Item| {
            let target = Target::from_key(&Key::of(item)?.sk).ok()?;
            let (due, since) = (as_number(item, DUE)?, as_number(item, SINCE)?);
            Some((target, Row { due, since }))
        };
        let items = cloud.query(TableName::State, &self.partition()).await?;
        Ok(items.iter().filter_map(row).collect())
    }

    /// Takes note of when a target is to be looked at next. What the set has already is not written again.
    ///
    /// # Errors
    /// When the state table cannot be written.
    pub async fn keep(
        self,
        cloud: &(impl Table + Clock),
        target: &Target,
        next: Timestamp,
        row: Option<Row>,
    ) -> Result<(), CloudError> {
        let due = next.as_second();
        if row.is_some_and(|row| row.due == due) {
            return Ok(());
        }
        let now = cloud.now();
        let update = Update::of(self.key(target))
            .set(DUE, number(due))
            .set(SINCE, number(now.as_millisecond()))
            .set(TTL, number(expiry(now, LIVING_SECONDS)));
        cloud.update(TableName::State, update).await.map(drop)
    }

    /// Takes a target out of the set, unless someone put it there again meanwhile.
    ///
    /// # Errors
    /// When the state table cannot be written.
    pub async fn forget(self, cloud: &(impl Table + Clock), target: &Target, row: Row) -> Result<(), CloudError> {
        let update = Update::of(self.key(target))
            .remove(DUE)
            .set(TTL, number(expiry(cloud.now(), 0)))
            .only_if(Condition::Equal(SINCE, number(row.since)));
        cloud.update(TableName::State, update).await.map(drop)
    }

    fn key(self, target: &Target) -> Key {
        Key::new(self.partition(), target.key())
    }
}
