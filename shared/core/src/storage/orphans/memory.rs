//! What is remembered of the volumes of a cluster between two looks, and what `status` shows of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{OrphanAction, Orphans, is_default};
use crate::storage::due::{after, length};
use crate::storage::{Failed, Snapshot};

/// What is remembered of the volumes of a cluster that are attached to nothing; part of the cluster's state item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Memory {
    /// By id; at most [`Memory::MOST`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Seen>,
    /// How many more there are: they are taken up when others have gone.
    #[serde(skip_serializing_if = "is_default")]
    pub more: u32,
    /// When it was looked last, to a quarter of an hour; `None` when nothing was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked: Option<Timestamp>,
    /// How many completed snapshots there are of volumes that were left behind.
    #[serde(skip_serializing_if = "is_default")]
    pub snapshots: u32,
    /// The sizes of their volumes in GiB, summed.
    #[serde(skip_serializing_if = "is_default")]
    pub gib: u64,
}

/// A volume that is attached to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// Since when each look has found it so.
    pub since: Timestamp,
    /// Its size, in GiB.
    #[serde(default)]
    pub gib: u32,
    /// The service that it was made for, where its tags say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Whether no tag says of which cluster it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unclaimed: bool,
    /// Whether it was told of.
    #[serde(default, skip_serializing_if = "is_default")]
    pub told: bool,
    /// The snapshot that was asked for, until EC2 shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The snapshot that is copied, or is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The last snapshot that came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// Why it stays, until it is an orphan again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// When EC2 took its removal: it may show it for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Timestamp>,
}

/// A snapshot that was decided on, stored before its call is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Asked {
    /// When; the snapshot carries it as [`AT_TAG`](crate::storage::AT_TAG).
    pub at: Timestamp,
    /// The snapshot, once EC2 answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

impl Memory {
    /// How many volumes are remembered: some 200 bytes each, in an item that is written often.
    pub const MOST: usize = 200;

    /// EC2 makes the snapshot that was asked for.
    pub fn made(&mut self, volume: &str, snapshot: &Snapshot) {
        if let Some(asked) = self.volumes.get_mut(volume).and_then(|seen| seen.asked.as_mut()) {
            asked.snapshot = Some(snapshot.snapshot_id.clone());
        }
    }

    /// EC2 refused it: nothing was made.
    pub fn refused(&mut self, volume: &str) {
        if let Some(seen) = self.volumes.get_mut(volume) {
            seen.asked = None;
        }
    }

    /// EC2 took the removal.
    pub fn removed(&mut self, volume: &str, now: Timestamp) {
        if let Some(seen) = self.volumes.get_mut(volume) {
            seen.removed = Some(now);
        }
    }

    /// EC2 does not remove a volume, since something uses it: `why`, in its words. Whatever is written to it meanwhile is in
    /// no snapshot, so its time begins anew.
    pub fn in_use(&mut self, volume: &str, why: &str, now: Timestamp) {
        if let Some(seen) = self.volumes.get_mut(volume) {
            seen.keep(why.to_owned(), now);
        }
    }
}

impl Seen {
    /// One that was found now for the first time.
    pub(super) const fn first(now: Timestamp) -> Self {
        Self {
            since: now,
            gib: 0,
            service: None,
            unclaimed: false,
            told: false,
            asked: None,
            snapshot: None,
            failed: None,
            kept: None,
            removed: None,
        }
    }

    /// It stays: its time begins anew.
    pub(super) fn keep(&mut self, why: String, now: Timestamp) {
        self.since = now;
        self.kept = Some(why);
    }

    /// When it counts as left behind.
    #[must_use]
    pub fn due(&self, rule: &Orphans) -> Timestamp {
        after(self.since, length(rule.after))
    }

    /// Whether it counts as left behind.
    #[must_use]
    pub fn is_orphan(&self, rule: &Orphans, now: Timestamp) -> bool {
        self.due(rule) <= now
    }

    /// What becomes of it, in words.
    #[must_use]
    pub fn fate(&self, rule: &Orphans) -> String {
        if self.unclaimed {
            return "it stays: no tag says of which cluster it is".to_owned();
        }
        if rule.action == OrphanAction::Report {
            return "it stays: `action` is `report`".to_owned();
        }
        if let Some(at) = self.removed {
            return format!("removed at {at}");
        }
        match (&self.snapshot, &self.asked, &self.failed) {
            (Some(id), ..) => format!("it is removed when its snapshot {id} is completed"),
            (None, Some(asked), _) => format!("a snapshot of it is asked for since {}", asked.at),
            (None, None, Some(failed)) => format!("its snapshot {} failed: it is tried again", failed.snapshot),
            (None, None, None) => "a snapshot of it is made, then it is removed".to_owned(),
        }
    }
}
