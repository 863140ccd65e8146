//! The image that each rule of a target wants: one item per rule, merged by the rule's policy.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharfinger_cloud::lease::STOPS;
use wharfinger_cloud::table::{
    Condition, Item, Key, Malformed, TableName, Update, Updated, as_number, as_text, attribute, number, to_attribute,
};
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::capacity::crash::Stops;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::delivery::{Compiled, Facts, Heard, Memory, Wish, hear as hear_push, rule_key};
use wharfinger_core::event::{Envelope, ImageAction};
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::ledger::{LIVING_SECONDS, expiry};
use wharfinger_core::storage::{self, Provided};

use crate::listings::Listings;
use crate::{Attempt, Cloud, NAME};

/// The prefix of the sort key of a wish.
const IMAGE: &str = "image#";
const WISH: &str = "wish";
/// Rises with every wish of the rule: the condition under which the next one takes its place.
const REVISION: &str = "revision";
/// The revision that was dealt with.
const SETTLED: &str = "settled";
/// The attribute of the target's item with [`Memory`].
pub const MEMORY: &str = "delivery";
/// The attribute of the same item with what storage remembers.
const STORAGE: &str = "storage";
/// The attribute with the fingerprint of the last decision in the history.
pub const SAID: &str = "delivery-said";

/// How often a wish is tried again when another invocation was quicker.
const ROUNDS: usize = 5;

/// What is stored of a target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// What each rule wants, by its key.
    pub wishes: BTreeMap<String, Wish>,
    /// The revision of each wish, and whether it was dealt with.
    revisions: BTreeMap<String, (i64, bool)>,
    /// What is remembered of its rollouts.
    pub memory: Memory,
    /// What is known of its tasks that stopped.
    pub stops: Stops,
    /// The access points of its volumes on EFS.
    pub access_points: BTreeMap<String, Provided>,
    /// What was said last.
    pub said: Option<String>,
}

impl Stored {
    /// Reads it: one `Query`. What cannot be read is reported and counts as nothing.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn read(cloud: &impl Cloud, target: &Target) -> Result<Self, Fault> {
        let mut stored = Self::default();
        for item in cloud.query(TableName::State, &target.key()).await? {
            if let Err(malformed) = stored.take(&item) {
                telemetry::malformed(NAME, cloud.now(), &malformed);
            }
        }
        Ok(stored)
    }

    fn take(&mut self, item: &Item) -> Result<(), Malformed> {
        let Some(key) = Key::of(item) else { return Ok(()) };
        if key.sk == "state" {
            self.said = as_text(item, SAID).map(str::to_owned);
            self.memory = attribute(item, MEMORY)?.unwrap_or_default();
            let storage: storage::Memory = attribute(item, STORAGE)?.unwrap_or_default();
            self.access_points = storage.access_points;
            // The rollouts go on by what ECS says of them when this cannot be read.
            self.stops = attribute(item, STOPS)?.unwrap_or_default();
        }
        if let Some(rule) = key.sk.strip_prefix(IMAGE) {
            let revision = as_number(item, REVISION).unwrap_or_default();
            // The revision counts even when the wish cannot be read: the next one takes its place.
            self.revisions
                .insert(rule.to_owned(), (revision, as_number(item, SETTLED) == Some(revision)));
            if let Some(wish) = attribute(item, WISH)? {
                self.wishes.insert(rule.to_owned(), wish);
            }
        }
        Ok(())
    }

    /// The same, once this was said.
    #[must_use]
    pub fn after(self, said: String) -> Self {
        Self {
            said: Some(said),
            ..self
        }
    }

    /// Whether every wish was dealt with and no rollout is unfinished.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.memory.is_under_way() && !self.has_news()
    }

    /// Whether a wish was not dealt with yet.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.revisions.values().any(|(_, settled)| !settled)
    }

    /// Whether the target asks for nothing: nothing waits, its wishes were dealt with, so was what people asked of it and agreed to, and
    /// what was rolled out stays up.
    #[must_use]
    pub fn is_quiet(&self, attempt: &Attempt, managed: &Managed, now: Timestamp) -> bool {
        let facts = facts(attempt, managed, self);
        let asked = facts.asks_to_linger().is_some() || facts.asks_back().is_some();
        let news = facts.is_agreed_anew(now) || facts.is_unproved() || facts.relapse().is_some();
        // What another service has proved may wait though the push that this one knows is dealt with.
        self.is_settled() && !asked && !news && self.memory.waiting.is_none()
    }

    /// Puts a wish in the place of the one that was read. `false` when another invocation was quicker.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn put(&self, cloud: &impl Cloud, target: &Target, rule: &str, wish: &Wish) -> Result<bool, Fault> {
        let known = self.revisions.get(rule).map(|(revision, _)| *revision);
        let unchanged = match known {
            Some(revision) => Condition::Equal(REVISION, number(revision)),
            None => Condition::Missing(REVISION),
        };
        let update = Update::of(wish_key(target, rule))
            .set(WISH, to_attribute("a wish", wish)?)
            .set(REVISION, number(known.unwrap_or_default() + 1))
            .set("ttl", number(expiry(cloud.now(), LIVING_SECONDS)))
            .only_if(unchanged);
        Ok(match cloud.update(TableName::State, update).await? {
            Updated::Made(_) => true,
            // Our own write whose answer was lost, sent again by the SDK, is found by reading again.
            Updated::Refused(_) => false,
        })
    }

    /// Says that the wishes that were read are dealt with; a newer one is not.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn settle(&self, cloud: &impl Cloud, target: &Target) -> Result<(), Fault> {
        for (rule, (revision, _)) in self.revisions.iter().filter(|(_, (_, settled))| !settled) {
            let update = Update::of(wish_key(target, rule))
                .set(SETTLED, number(*revision))
                .only_if(Condition::Equal(REVISION, number(*revision)));
            cloud.update(TableName::State, update).await?;
        }
        Ok(())
    }
}

fn wish_key(target: &Target, rule: &str) -> Key {
    Key::new(target.key(), format!("{IMAGE}{rule}"))
}

/// The facts that are known without a look at ECS.
#[must_use]
pub fn facts(attempt: &Attempt, managed: &Managed, stored: &Stored) -> Facts {
    Facts {
        wishes: stored.wishes.clone(),
        memory: stored.memory.clone(),
        stops: stored.stops.clone(),
        access_points: Known::Yes(stored.access_points.clone()),
        ..Facts::of(managed, &attempt.account, &attempt.region)
    }
}

/// A push, as its event tells of it.
#[derive(Debug)]
pub struct Push<'a> {
    /// When and where.
    pub envelope: &'a Envelope,
    /// What was pushed.
    pub image: &'a ImageAction,
    /// What the repository holds: asked for by those who need it.
    pub listings: Listings,
}

impl Push<'_> {
    /// The best that the rules know of which a first push was heard: it may have come late, and then the repository holds
    /// what wins against it. A rule that knows a wish of its policy has what it is to be compared with.
    async fn listed(
        &self,
        cloud: &impl Cloud,
        attempt: &Attempt,
        managed: &Managed,
        stored: &Stored,
        fresh: &mut BTreeMap<String, Wish>,
    ) -> Result<(), Fault> {
        let said = |said: &str, own: &str| said.is_empty() || said == own;
        if !said(&self.envelope.account, &attempt.account) || !said(&self.envelope.region, &attempt.region) {
            return Ok(());
        }
        for rule in &managed.stored.config.delivery {
            let key = rule_key(rule);
            let (Some(wish), Ok(policy)) = (fresh.get_mut(&key), Compiled::new(&rule.tags)) else {
                continue;
            };
            if stored
                .wishes
                .get(&key)
                .is_some_and(|known| policy.select(&known.tag).is_ok())
            {
                continue;
            }
            if let Some(listing) = self.listings.of(cloud, &self.image.repository).await?
                && let Some(best) = policy.seen(Some(wish), &listing)
            {
                *wish = best;
            }
        }
        Ok(())
    }
}

/// Merges a push into the wishes of a target, by the policies of its rules.
///
/// # Errors
/// When the table cannot be read or written, the registry does not answer, or other invocations were quicker each time.
pub async fn hear(
    cloud: &impl Cloud,
    attempt: &Attempt,
    managed: &Managed,
    push: &Push<'_>,
) -> Result<(Heard, Stored), Fault> {
    for _ in 0..ROUNDS {
        let stored = Stored::read(cloud, &managed.target).await?;
        let mut heard = hear_push(push.envelope, push.image, &facts(attempt, managed, &stored));
        let Heard::Wanted { fresh, .. } = &mut heard else {
            return Ok((heard, stored));
        };
        push.listed(cloud, attempt, managed, &stored, fresh).await?;
        let mut all = true;
        for (rule, wish) in &*fresh {
            all &= stored.put(cloud, &managed.target, rule, wish).await?;
        }
        if all {
            return Ok((heard, stored));
        }
    }
    Err(Fault::Unsettled {
        subject: format!("the images of {}", managed.target),
        rounds: ROUNDS,
    })
}

#[cfg(test)]
mod tests {
    use wharfinger_cloud::table::{AttributeValue, text};
    use wharfinger_core::config::Service;
    use wharfinger_core::ids::Target;

    use super::*;

    fn item(stops: AttributeValue) -> Item {
        let memory = serde_json::json!({ "fresh": {
            "wishes": {}, "changes": [], "from": "web:7", "to": "web:8",
            "at": "2026-03-01T12:00:00Z", "sent": "2026-03-01T12:00:00Z",
        } });
        let stored = to_attribute("the memory of delivery", &memory).unwrap();
        let mut item = Item::default();
        let attributes = [
            ("pk", text("service#prod/web")),
            ("sk", text("state")),
            (MEMORY, stored),
            (STOPS, stops),
        ];
        for (name, value) in attributes {
            item.insert(name.to_owned(), value);
        }
        item
    }

    #[test]
    fn a_crash_loop_of_what_was_rolled_out_last_is_no_quiet() {
        let managed = Managed::unresolved(Target::service("prod", "web"), Service::default());
        let attempt = Attempt {
            holder: "a".into(),
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            owner: "wharfinger".into(),
        };
        let now: Timestamp = "2026-03-01T12:03:00Z".parse().unwrap();
        for (revision, quiet) in [("web:8", false), ("web:7", true)] {
            let stops = serde_json::json!({ "loops": { revision: {
                "since": "2026-03-01T12:01:00Z", "window": "2026-03-01T12:01:00Z", "last": "2026-03-01T12:02:00Z",
                "failures": 3, "class": "exited",
            } } });
            let stops: Stops = serde_json::from_value(stops).unwrap();
            let mut stored = Stored::default();
            stored.take(&item(to_attribute("stops", &stops).unwrap())).unwrap();
            assert_eq!(stored.stops.open().count(), 1);
            assert_eq!(stored.is_quiet(&attempt, &managed, now), quiet, "{revision}");
        }
        // What is remembered counts also when the stops cannot be read.
        let mut stored = Stored::default();
        assert!(stored.take(&item(text("no stops"))).is_err());
        assert!(stored.memory.fresh.is_some() && stored.is_quiet(&attempt, &managed, now));
    }
}
