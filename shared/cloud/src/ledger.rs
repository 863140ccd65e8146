//! The ledger: what is known of a task or an alarm, merged by one conditional write per event.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wharfinger_core::ledger::{Merge, compare, expiry};

use crate::error::Fault;
use crate::table::{
    AttributeValue, Condition, Found, Item, Key, Malformed, Table, TableName, Transacted, Update, Updated, Write,
    as_number, attribute, number, to_attribute,
};

/// The order key: greater is later.
pub const ORDER: &str = "order";
/// What is known, at that order.
pub const FACTS: &str = "facts";
/// The order for which the world was made what it should be, and confirmed.
pub const SETTLED: &str = "settled";
/// The last decision that the history has.
pub const SAID: &str = "said";
/// When DynamoDB forgets the item.
pub const TTL: &str = "ttl";

/// An item of the ledger, after a merge or a look.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<T> {
    /// What became of the event.
    pub merge: Merge,
    /// The order of what is known.
    pub order: i64,
    /// What is known.
    pub facts: T,
    /// Whether the world was made what this asks for.
    pub settled: bool,
    /// The whole item, with what the domain adds.
    pub item: Item,
}

impl<T: DeserializeOwned> Entry<T> {
    /// Reads an item.
    ///
    /// # Errors
    /// When it has no order or no facts.
    pub fn read(item: Item, merge: Merge) -> Result<Self, Malformed> {
        let missing = |name: &str| Malformed {
            key: Key::of(&item).map_or_else(|| "?".to_owned(), |k| k.to_string()),
            reason: format!("it has no `{name}`"),
        };
        let order = as_number(&item, ORDER).ok_or_else(|| missing(ORDER))?;
        let facts = attribute(&item, FACTS)?.ok_or_else(|| missing(FACTS))?;
        let settled = as_number(&item, SETTLED) == Some(order);
        Ok(Self {
            merge,
            order,
            facts,
            settled,
            item,
        })
    }
}

/// What is merged.
#[derive(Debug, Clone)]
pub struct News<'a, T> {
    /// Which item.
    pub key: Key,
    /// Its order key.
    pub order: i64,
    /// What it says.
    pub facts: &'a T,
    /// What the domain stores beside it, in the same write.
    pub beside: Vec<(&'static str, AttributeValue)>,
    /// What the domain puts into sets beside it.
    pub put_in: Vec<(&'static str, String)>,
    /// How long the item is kept.
    pub keep_seconds: i64,
}

/// Merges news: one conditional write, whatever the order and number of events.
///
/// A malformed item is replaced, since nothing can be compared with it; it is reported by the caller's log.
///
/// # Errors
/// When the table cannot be written, or the facts cannot be stored.
pub async fn merge<T: Serialize + DeserializeOwned + Clone>(
    table: &impl Table,
    news: News<'_, T>,
    now: Timestamp,
) -> Result<Entry<T>, Fault> {
    let facts = to_attribute("the ledger's facts", news.facts)?;
    let mut update = Update::of(news.key.clone())
        .set(ORDER, number(news.order))
        .set(FACTS, facts)
        .set(TTL, number(expiry(now, news.keep_seconds)));
    update.set.extend(news.beside.iter().cloned());
    update.put_in.clone_from(&news.put_in);
    let newer = Condition::Any(vec![
        Condition::Missing(ORDER),
        Condition::Less(ORDER, number(news.order)),
    ]);
    match table.update(TableName::State, update.clone().only_if(newer)).await? {
        Updated::Made(item) => Ok(Entry {
            merge: Merge::Fresh,
            order: news.order,
            facts: news.facts.clone(),
            settled: false,
            item,
        }),
        Updated::Refused(item) => {
            let item = item.unwrap_or_default();
            let known = as_number(&item, ORDER);
            match Entry::read(item, compare(known, news.order)) {
                Ok(entry) => Ok(entry),
                Err(malformed) => {
                    tracing::error!(
                        key = malformed.key,
                        reason = malformed.reason,
                        "malformed ledger item is replaced"
                    );
                    replace(table, update, news).await
                }
            }
        }
    }
}

async fn replace<T: Clone>(table: &impl Table, update: Update, news: News<'_, T>) -> Result<Entry<T>, Fault> {
    let item = match table.update(TableName::State, update).await? {
        Updated::Made(item) => item,
        Updated::Refused(item) => item.unwrap_or_default(),
    };
    Ok(Entry {
        merge: Merge::Fresh,
        order: news.order,
        facts: news.facts.clone(),
        settled: false,
        item,
    })
}

/// The confirmation: nothing newer than this order was merged meanwhile, and, when `done`, the world is what it asks for.
#[must_use]
pub fn confirmation(key: Key, order: i64, done: bool, beside: Vec<(&'static str, AttributeValue)>) -> Update {
    let mut update = Update::of(key).only_if(Condition::Equal(ORDER, number(order)));
    update.set = beside;
    if done {
        update = update.set(SETTLED, number(order));
    }
    update
}

/// What was confirmed is not so any more.
#[derive(Debug)]
pub struct Unsettled<T> {
    /// The newer entry, if there is one.
    pub newer: Option<Entry<T>>,
    /// The items of the other writes whose conditions did not hold.
    pub others: Found,
}

/// Writes a confirmation, and with it all of the others or none of it all. `None` when it is written.
///
/// # Errors
/// When the table cannot be written, or the newer item is malformed beyond reading.
pub async fn settle<T: DeserializeOwned>(
    table: &impl Table,
    confirmation: Update,
    others: Vec<Write>,
) -> Result<Option<Unsettled<T>>, Fault> {
    let key = confirmation.key.clone();
    let (item, others) = if others.is_empty() {
        match table.update(TableName::State, confirmation).await? {
            // Of what is forgotten nobody knows anything newer.
            Updated::Made(_) | Updated::Refused(None) => return Ok(None),
            Updated::Refused(item) => (item, Found::new()),
        }
    } else {
        let writes = [Write::Update(confirmation)].into_iter().chain(others).collect();
        match table.transact(TableName::State, writes).await? {
            Transacted::Made => return Ok(None),
            Transacted::Refused(mut found) => (found.remove(&key).flatten(), found),
        }
    };
    let newer = item.map(|item| Entry::read(item, Merge::Fresh)).transpose();
    let newer = newer.map_err(|malformed| Fault::Unstorable {
        what: malformed.key,
        reason: malformed.reason,
    })?;
    Ok(Some(Unsettled { newer, others }))
}
