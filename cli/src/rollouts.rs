//! What is stored of the rollouts of a target.

use std::collections::BTreeMap;

use anyhow::Context;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{Item, Key, Malformed, Table, TableName, attribute};
use wharfinger_core::config::asked::Approved;
use wharfinger_core::delivery::{Memory, Wish};
use wharfinger_core::ids::{Digest, Target};

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
        let items = items.with_context(|| format!("the state of {target} cannot be read"))?;
        let (read, malformed) = Self::of(target, &items);
        for malformed in malformed {
            warning(malformed);
        }
        Ok(read)
    }

    /// The same of the items of a target, and those of them that cannot be read.
    pub(crate) fn of(target: &Target, items: &[Item]) -> (Self, Vec<Malformed>) {
        let mut read = Self::default();
        let malformed = items.iter().filter_map(|item| read.take(target, item).err()).collect();
        (read, malformed)
    }

    /// Of what people agreed to, that on which a rollout may still begin: a rule wants the image, or it was in quarantine
    /// before; and it was not brought out since.
    pub(crate) fn unspent(&self, approvals: &[Approved]) -> Vec<Approved> {
        approvals
            .iter()
            .filter(|agreed| self.is_unspent(agreed))
            .cloned()
            .collect()
    }

    fn is_unspent(&self, agreed: &Approved) -> bool {
        let memory = &self.memory;
        let is_it = |digest: &Digest| *digest == agreed.digest;
        let waiting = memory.waiting.iter().flat_map(|waiting| waiting.wishes.values());
        let begun = memory.intent.iter().flat_map(|intent| intent.wishes.values());
        let mut wanted = self.wishes.values().chain(waiting).chain(begun);
        let mut kept = memory.quarantine.iter();
        let open = wanted.any(|wish| is_it(&wish.digest)) || kept.any(|q| is_it(&q.digest) && q.at < agreed.at);
        let runs = memory.proved.values().any(|proof| is_it(&proof.wish.digest));
        let out = memory
            .done
            .values()
            .any(|done| is_it(&done.digest) && done.at >= agreed.at);
        let was_out = memory.past.iter().filter(|past| past.at >= agreed.at).any(|past| {
            let mut images = past.changes.iter();
            images.any(|change| change.to.ends_with(agreed.digest.as_str()))
        });
        open && !runs && !out && !was_out
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
