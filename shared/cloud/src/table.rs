//! The port to DynamoDB: small items, conditional writes, one partition at a time.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
pub use serde_dynamo::{AttributeValue, Item};

use crate::error::{CloudError, Fault};

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableName {
    /// People write it, through the command; functions only read.
    Config,
    /// Functions write it.
    State,
}

/// An item's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    /// A key.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self {
            pk: pk.into(),
            sk: sk.into(),
        }
    }

    /// The key that an item carries.
    #[must_use]
    pub fn of(item: &Item) -> Option<Self> {
        match (item.get("pk")?, item.get("sk")?) {
            (AttributeValue::S(pk), AttributeValue::S(sk)) => Some(Self::new(pk, sk)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} / {}", self.pk, self.sk)
    }
}

/// When a write is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Always.
    Always,
    /// The attribute is not there; of a key attribute: the item is not there.
    Missing(&'static str),
    /// The attribute is there and less.
    Less(&'static str, AttributeValue),
    /// The attribute is there and equal.
    Equal(&'static str, AttributeValue),
    /// One of these.
    Any(Vec<Condition>),
    /// All of these.
    All(Vec<Condition>),
}

/// One conditional write of some attributes of an item; the others stay. The item is made when it is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Which item.
    pub key: Key,
    /// Attributes to set.
    pub set: Vec<(&'static str, AttributeValue)>,
    /// Attributes to remove.
    pub remove: Vec<&'static str>,
    /// Numbers to add to; an absent one counts as 0.
    pub add: Vec<(&'static str, i64)>,
    /// Texts to put into sets.
    pub put_in: Vec<(&'static str, String)>,
    /// Texts to take out of sets; an empty set is not there.
    pub take_out: Vec<(&'static str, String)>,
    /// When.
    pub condition: Condition,
}

impl Update {
    /// An update of nothing yet, always made.
    #[must_use]
    pub fn of(key: Key) -> Self {
        Self {
            key,
            set: Vec::new(),
            remove: Vec::new(),
            add: Vec::new(),
            put_in: Vec::new(),
            take_out: Vec::new(),
            condition: Condition::Always,
        }
    }

    /// Sets an attribute.
    #[must_use]
    pub fn set(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.set.push((name, value));
        self
    }

    /// Removes an attribute.
    #[must_use]
    pub fn remove(mut self, name: &'static str) -> Self {
        self.remove.push(name);
        self
    }

    /// Puts a text into a set.
    #[must_use]
    pub fn put_in(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.put_in.push((name, text.into()));
        self
    }

    /// Takes a text out of a set.
    #[must_use]
    pub fn take_out(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.take_out.push((name, text.into()));
        self
    }

    /// Only when this holds.
    #[must_use]
    pub fn only_if(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }
}

/// One part of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Writes the whole item, under a condition.
    Put(Item, Condition),
    /// Writes some attributes, under a condition.
    Update(Update),
    /// Deletes the item.
    Delete(Key),
    /// Writes nothing; the others are written under this condition only.
    Check(Key, Condition),
}

impl Write {
    /// Which item; `None` of a whole item that has no key.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        match self {
            Self::Put(item, _) => Key::of(item),
            Self::Update(update) => Some(update.key.clone()),
            Self::Delete(key) | Self::Check(key, _) => Some(key.clone()),
        }
    }
}

/// Items as they are, by key; `None` of one that is not there.
pub type Found = BTreeMap<Key, Option<Item>>;

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Transacted {
    /// All of it was written.
    Made,
    /// Nothing was: the items whose condition did not hold.
    Refused(Found),
}

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq)]
pub enum Updated {
    /// It was made: the item as it is now.
    Made(Item),
    /// The condition did not hold: the item as it is, if there is one.
    Refused(Option<Item>),
}

/// The two tables. Reads are consistent, except of whole partitions of the config table.
pub trait Table {
    /// Reads one item.
    async fn get(&self, table: TableName, key: &Key) -> Result<Option<Item>, CloudError>;

    /// Reads several items; those that are not there are absent, in no order.
    async fn get_all(&self, table: TableName, keys: &[Key]) -> Result<Vec<Item>, CloudError> {
        let mut items = Vec::new();
        for key in keys {
            items.extend(self.get(table, key).await?);
        }
        Ok(items)
    }

    /// Reads a partition, every page of it.
    async fn query(&self, table: TableName, pk: &str) -> Result<Vec<Item>, CloudError>;

    /// Writes some attributes.
    async fn update(&self, table: TableName, update: Update) -> Result<Updated, CloudError>;

    /// Writes a whole item, whatever is there.
    async fn put(&self, table: TableName, item: Item) -> Result<(), CloudError>;

    /// Writes all of these, at most 100 and each to another item, or none.
    async fn transact(&self, table: TableName, writes: Vec<Write>) -> Result<Transacted, CloudError>;
}

/// A number attribute.
#[must_use]
pub fn number(n: i64) -> AttributeValue {
    AttributeValue::N(n.to_string())
}

/// A text attribute.
pub fn text(s: impl Into<String>) -> AttributeValue {
    AttributeValue::S(s.into())
}

/// The number in an attribute.
#[must_use]
pub fn as_number(item: &Item, name: &str) -> Option<i64> {
    match item.get(name)? {
        AttributeValue::N(n) => n.parse().ok(),
        _ => None,
    }
}

/// The text in an attribute.
#[must_use]
pub fn as_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name)? {
        AttributeValue::S(s) => Some(s),
        _ => None,
    }
}

/// The texts in a set.
#[must_use]
pub fn as_texts<'a>(item: &'a Item, name: &str) -> &'a [String] {
    match item.get(name) {
        Some(AttributeValue::Ss(texts)) => texts,
        _ => &[],
    }
}

/// An item or attribute that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the item `{key}` cannot be read and is skipped: {reason}")]
pub struct Malformed {
    /// Its key.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

/// An attribute read as `T`; `None` when it is not there.
///
/// # Errors
/// When it does not hold a `T`.
pub fn attribute<T: DeserializeOwned>(item: &Item, name: &str) -> Result<Option<T>, Malformed> {
    let Some(value) = item.get(name) else { return Ok(None) };
    serde_dynamo::from_attribute_value(value.clone())
        .map(Some)
        .map_err(|e| Malformed {
            key: Key::of(item).map_or_else(|| "?".to_owned(), |key| key.to_string()),
            reason: format!("`{name}`: {e}"),
        })
}

/// A value as an attribute.
///
/// # Errors
/// When it cannot be one; ours all can.
pub fn to_attribute(what: &str, value: &impl Serialize) -> Result<AttributeValue, Fault> {
    serde_dynamo::to_attribute_value(value).map_err(|e| Fault::Unstorable {
        what: what.into(),
        reason: e.to_string(),
    })
}
