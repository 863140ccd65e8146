//! The history: one item whenever the outcome or the reasons of a target's decisions changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharfinger_core::ids::Target;
use wharfinger_core::ledger::{HISTORY_SECONDS, expiry};
use wharfinger_core::report::{Outcome, Reason};

use crate::error::{CloudError, Fault};
use crate::table::{Item, Key, Malformed, Table, TableName, attribute, number, text, to_attribute};

/// One decision, as the history and the log have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// When it was taken.
    pub at: Timestamp,
    /// Which domain took it.
    pub domain: String,
    /// On what: `cluster/service`.
    pub target: String,
    /// On which of its tasks or images, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What led to it: the event's kind and id.
    pub cause: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The calls, with their requests as JSON text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Call>,
    /// How long it took from the event to here, in milliseconds, where the event says when it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<i64>,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The AWS operation.
    pub call: String,
    /// Its request, as JSON text: it may hold what DynamoDB's types would bend.
    pub input: String,
}

/// The partition of a target's history: a service and a family of one name share it, as they share the command's `TARGET`.
#[must_use]
pub fn partition(target: &Target) -> String {
    format!("history#{target}")
}

/// Writes one record. A repeat of the same decision of the same event overwrites itself.
///
/// # Errors
/// When the table cannot be written.
pub async fn write(table: &impl Table, target: &Target, record: &Record) -> Result<(), Fault> {
    // Milliseconds of fixed width sort as text.
    let sort = format!("{:.3}#{}#{}", record.at, record.domain, record.cause);
    let mut item = Item::default();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set("pk", text(partition(target)));
    set("sk", text(sort));
    set("record", to_attribute("a history record", record)?);
    set("ttl", number(expiry(record.at, HISTORY_SECONDS)));
    Ok(table.put(TableName::State, item).await?)
}

/// A target's records, oldest first, and the items that cannot be read.
///
/// # Errors
/// When the table cannot be read.
pub async fn read(table: &impl Table, target: &Target) -> Result<(Vec<Record>, Vec<Malformed>), Fault> {
    Ok(records(table.query(TableName::State, &partition(target)).await?))
}

/// The end of a partition, for the command.
pub trait Newest {
    /// `Query`, backwards and one page: the last items of a partition, at most so many, last first.
    async fn newest(&self, table: TableName, pk: &str, limit: u32) -> Result<Vec<Item>, CloudError>;
}

/// A target's last records, newest first, and the items among them that cannot be read.
///
/// # Errors
/// When the table cannot be read.
pub async fn newest(
    table: &impl Newest,
    target: &Target,
    limit: u32,
) -> Result<(Vec<Record>, Vec<Malformed>), CloudError> {
    Ok(records(
        table.newest(TableName::State, &partition(target), limit).await?,
    ))
}

fn records(items: Vec<Item>) -> (Vec<Record>, Vec<Malformed>) {
    let (mut records, mut malformed) = (Vec::new(), Vec::new());
    for item in items {
        match attribute(&item, "record") {
            Ok(Some(record)) => records.push(record),
            Ok(None) => malformed.push(Malformed {
                key: Key::of(&item).map_or_else(|| "?".to_owned(), |k| k.to_string()),
                reason: "it has no `record`".into(),
            }),
            Err(bad) => malformed.push(bad),
        }
    }
    (records, malformed)
}
