//! What runs as it is wanted, and since when: what `after` and `waves` of other targets wait for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::base::Base;
use super::image::ImageRef;
use super::{Memory, Wish};
use crate::config::asked::Approved;

/// An image that every wanted task of a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// The image.
    pub wish: Wish,
    /// The ARN of the revision with it.
    pub revision: String,
    /// Since when that is known.
    pub since: Timestamp,
}

impl Memory {
    /// These images run, and are in no quarantine any more: an approval of one may expire. What was known to run keeps its
    /// time; the revision with it may be another by now.
    pub(super) fn prove(&mut self, wishes: &BTreeMap<String, Wish>, revision: &str, now: Timestamp) {
        for (key, wish) in wishes {
            self.quarantine.retain(|held| held.digest != wish.digest);
            if let Some(known) = self.proved.get_mut(key).filter(|p| p.wish.digest == wish.digest) {
                revision.clone_into(&mut known.revision);
                // By the tag that the rule takes now: by another one it could not be compared with what comes next.
                known.wish.clone_from(wish);
                continue;
            }
            let proof = Proof {
                wish: wish.clone(),
                revision: revision.to_owned(),
                since: now,
            };
            self.proved.insert(key.clone(), proof);
        }
    }

    /// Whether these images are known to run.
    pub(super) fn has_proved(&self, wishes: &BTreeMap<String, Wish>) -> bool {
        let mut wishes = wishes.iter();
        wishes.all(|(key, wish)| self.proved.get(key).is_some_and(|p| p.wish.digest == wish.digest))
    }

    /// Forgets what was proved and is in no container any more, or is in quarantine: it did not stay so.
    pub(super) fn disprove(&mut self, base: &Base<'_>, approvals: &[Approved], now: Timestamp) {
        let images: Vec<ImageRef> = base.containers.iter().filter_map(|c| c.image.parse().ok()).collect();
        let mut proved = std::mem::take(&mut self.proved);
        proved.retain(|_, proof| {
            let digest = &proof.wish.digest;
            let runs = images.iter().any(|image| image.digest.as_ref() == Some(digest));
            runs && self.quarantined(digest, approvals, now).is_none()
        });
        self.proved = proved;
    }
}
