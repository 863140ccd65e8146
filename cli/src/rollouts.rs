//! What is stored of the rollouts of a target.

use std::collections::BTreeMap;

use anyhow::Context;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{Item, Key, Malformed, Table, TableName, attribute};
use wharfinger_core::delivery::{Memory, Wish};
use wharfinger_core::ids::Target;

use crate::output::warning;

/// The prefix of the sort key of a wish, and the attributes, as the reference has them.
const IMAGE: &str = "image#";
const WISH: &str = "wish";
const MEMORY: &str = "delivery";

/// What is stored of the rollouts of a target.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rollouts {
    /// What is remembered of them.
    pub memory: Memory,
    /// What each rule wants, by its key.
    pub wishes: BTreeMap<String, Wish>,
}

impl Rollouts {
    /// Reads it: one Query. What cannot be read is told, and counts as nothing.
    pub(crate) async fn read(table: &impl Table, target: &Target) -> anyhow::Result<Self> {
        let items = table.query(TableName::State, &target.key()).await;
        let mut read = Self::default();
        for item in items.with_context(|| format!("the state of {target} cannot be read"))? {
            if let Err(malformed) = read.take(target, &item) {
                warning(malformed);
            }
        }
        Ok(read)
    }

    fn take(&mut self, target: &Target, item: &Item) -> Result<(), Malformed> {
        let Some(key) = Key::of(item) else { return Ok(()) };
        if key == service_key(target) {
            self.memory = attribute(item, MEMORY)?.unwrap_or_default();
        } else if let Some(rule) = key.sk.strip_prefix(IMAGE)
            && let Some(wish) = attribute(item, WISH)?
        {
            self.wishes.insert(rule.to_owned(), wish);
        }
        Ok(())
    }
}
