//! Images that were out and failed, or that people took back: they are not rolled out again until someone agrees to them.
//!
//! Else the next event, or the sweep, would bring the same image out once more (containers-roadmap #1488).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Facts, Memory, Wish};
use crate::config::asked::Approved;
use crate::ids::Digest;

/// How many are kept; the oldest go. An image that old is far below what a policy ranks highest.
const KEPT: usize = 50;

/// An image in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Quarantined {
    /// The image.
    pub digest: Digest,
    /// `repository:tag@sha256:…`, as it was called then.
    pub image: String,
    /// The ARN of the revision with which it was out.
    pub revision: String,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

impl Memory {
    /// Puts an image into quarantine; of one revision once.
    pub(super) fn quarantine(&mut self, wish: &Wish, revision: &str, why: &str, now: Timestamp) {
        if self.has_failed(&wish.digest, revision) {
            return;
        }
        self.quarantine.push(Quarantined {
            digest: wish.digest.clone(),
            image: wish.name(),
            revision: revision.to_owned(),
            at: now,
            why: why.to_owned(),
        });
        let excess = self.quarantine.len().saturating_sub(KEPT);
        self.quarantine.drain(..excess);
    }

    /// Whether the image is known to have failed with this revision.
    pub(super) fn has_failed(&self, digest: &Digest, revision: &str) -> bool {
        self.quarantine
            .iter()
            .any(|q| q.digest == *digest && q.revision == revision)
    }

    /// The quarantine that an image is in, unless someone agreed to it later and that still holds.
    #[must_use]
    pub fn quarantined(&self, digest: &Digest, approvals: &[Approved], now: Timestamp) -> Option<&Quarantined> {
        let agreed = |q: &Quarantined| approvals.iter().any(|a| a.holds(digest, now) && a.at > q.at);
        self.quarantine
            .iter()
            .rev()
            .find(|q| q.digest == *digest)
            .filter(|q| !agreed(q))
    }
}

impl Facts {
    /// Whether someone agreed to an image that was held back, and it is not out again: nothing else may tell that a look is
    /// worth while.
    #[must_use]
    pub fn is_agreed_anew(&self, now: Timestamp) -> bool {
        let memory = &self.memory;
        let mut open = self.approvals.iter().filter(|a| a.holds(&a.digest, now));
        open.any(|agreed| {
            let is_out = memory.proved.values().any(|proof| proof.wish.digest == agreed.digest);
            let kept = memory
                .quarantine
                .iter()
                .filter(|q| q.digest == agreed.digest)
                .map(|q| q.at);
            let done = memory
                .done
                .values()
                .filter(|done| done.digest == agreed.digest)
                .map(|done| done.at);
            let held = kept.chain(done).max();
            !is_out && held.is_some_and(|at| agreed.at > at)
        })
    }

    /// Whether an image is out that nobody has seen come up, and that is not in quarantine: others may wait for its proof.
    #[must_use]
    pub fn is_unproved(&self) -> bool {
        let memory = &self.memory;
        self.wishes.iter().any(|(key, wish)| {
            let is = |digest: &Digest| *digest == wish.digest;
            memory.done.get(key).is_some_and(|done| is(&done.digest))
                && !memory.proved.values().any(|proof| is(&proof.wish.digest))
                && !memory.quarantine.iter().any(|q| is(&q.digest))
        })
    }
}
