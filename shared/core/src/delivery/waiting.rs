//! What waits, for what, and until when: what `status` shows and the bus is told once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::notice::{Notice, Stage};
use super::{Facts, Memory, Wish};
use crate::report::{Code, Reason};

/// The images of a target that wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Waiting {
    /// The image of each rule that waits, by [`super::rule_key`].
    pub wishes: BTreeMap<String, Wish>,
    /// For what.
    pub codes: BTreeSet<Code>,
    /// The same in words.
    pub why: Vec<String>,
    /// Since when, whatever it waited for in between; of several images that wait together, since the first of them did.
    pub since: Timestamp,
    /// Until when, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Memory {
    /// Whether nothing but the rate of calls keeps its images back.
    #[must_use]
    pub fn waits_for_room(&self) -> bool {
        let alone = |waiting: &Waiting| waiting.codes.iter().all(|code| *code == Code::Paced);
        !self.is_under_way() && self.waiting.as_ref().is_some_and(alone)
    }
}

/// What is found to wait in one look.
#[derive(Debug, Default)]
pub(super) struct Waits {
    wishes: BTreeMap<String, Wish>,
    codes: BTreeSet<Code>,
    why: Vec<String>,
    until: Option<Timestamp>,
    /// The operations that would tell more.
    pub(super) missing: Vec<&'static str>,
}

impl Waits {
    /// An image waits, for this.
    pub(super) fn add(&mut self, key: &str, wish: &Wish, reason: &Reason, until: Option<Timestamp>) {
        self.wishes.insert(key.to_owned(), wish.clone());
        self.codes.insert(reason.code);
        if !self.why.contains(&reason.message) {
            self.why.push(reason.message.clone());
        }
        self.until = self.until.into_iter().chain(until).min();
    }

    /// What is remembered of it, and what is told: a wait that is new, and an image that another one took the place of
    /// while it waited.
    pub(super) fn conclude(self, facts: &Facts, now: Timestamp) -> (Option<Waiting>, Vec<Notice>) {
        let before = facts.memory.waiting.as_ref();
        let mut notices = Vec::new();
        for (key, old) in before.into_iter().flat_map(|before| &before.wishes) {
            if let Some(new) = facts.wishes.get(key).filter(|new| new.digest != old.digest) {
                let why = format!("{} takes its place", new.name());
                let since = before.map_or(now, |before| before.since);
                notices.push(notice(facts, Stage::Superseded, vec![old.name()], why, since, now));
            }
        }
        if self.wishes.is_empty() {
            return (None, notices);
        }
        let waited = before.filter(|before| {
            let mut wishes = self.wishes.iter();
            wishes.any(|(key, new)| before.wishes.get(key).is_some_and(|old| old.digest == new.digest))
        });
        let waiting = Waiting {
            wishes: self.wishes,
            codes: self.codes,
            why: self.why,
            since: waited.map_or(now, |before| before.since),
            until: self.until,
        };
        if before.is_none_or(|b| (&b.wishes, &b.codes) != (&waiting.wishes, &waiting.codes)) {
            let names: Vec<_> = waiting.wishes.values().map(Wish::name).collect();
            let why = waiting.why.join("; ");
            notices.push(Notice {
                // Each reason is told by itself.
                rollout: format!("{now} {}", names.join(" ")),
                ..notice(facts, Stage::Waiting, names, why, waiting.since, now)
            });
        }
        (Some(waiting), notices)
    }
}

fn notice(facts: &Facts, stage: Stage, images: Vec<String>, reason: String, began: Timestamp, at: Timestamp) -> Notice {
    Notice {
        stage,
        target: facts.target.to_string(),
        rollout: format!("{began} {}", images.join(" ")),
        images,
        changes: Vec::new(),
        from: None,
        to: None,
        reason,
        actor: "push".into(),
        began,
        at,
    }
}
