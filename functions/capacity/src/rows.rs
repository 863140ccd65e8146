//! What is kept of instances: one row for each that goes or is suspected, in the partition of its cluster, and one that
//! remembers in which cluster an instance was found.
//!
//! Events are merged into [`Causes`] without the cluster's lease, by a rule under which neither order nor number matters;
//! what was done, [`Did`], is written by its holder alone, and never over what a later holder wrote.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharfinger_cloud::table::{
    Condition, Item, Key, Malformed, TableName, Update, Updated, as_number, attribute, number, to_attribute,
};
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::capacity::{Causes, Did, Going};
use wharfinger_core::ids::Target;
use wharfinger_core::ledger::{LIVING_SECONDS, TOMBSTONE_SECONDS, expiry};

use crate::{Cloud, NAME};

const CAUSES: &str = "causes";
/// Rises with each change of the causes.
const TOLD: &str = "told";
const DID: &str = "did";
/// The fencing number of the lease under which what was done was written.
const FENCE: &str = "fence";
const TTL: &str = "ttl";

/// How often a merge is tried anew when others write the same row.
const ROUNDS: usize = 8;

fn key(cluster: &Target, instance: &str) -> Key {
    Key::new(format!("going#{cluster}"), instance)
}

fn read(item: &Item) -> Result<Going, Malformed> {
    Ok(Going {
        causes: attribute(item, CAUSES)?.unwrap_or_default(),
        did: attribute(item, DID)?.unwrap_or_default(),
    })
}

/// Every instance of a cluster that goes or is suspected, by its EC2 id. What cannot be read is reported and left out.
///
/// # Errors
/// When the table cannot be read.
pub async fn going(cloud: &impl Cloud, cluster: &Target) -> Result<BTreeMap<String, Going>, Fault> {
    let items = cloud.query(TableName::State, &key(cluster, "").pk).await?;
    let mut found = BTreeMap::new();
    for item in items {
        match (read(&item), Key::of(&item)) {
            (Ok(going), Some(key)) => drop(found.insert(key.sk, going)),
            (Err(malformed), _) => telemetry::malformed(NAME, cloud.now(), &malformed),
            (Ok(_), None) => {}
        }
    }
    Ok(found)
}

/// Merges what was told of an instance. `false` when it says nothing that is not known, and there is nothing left to do about
/// what is; also when it is no reason to go of an instance of which nothing is known.
///
/// # Errors
/// When the table cannot be read or written, or others write the same row all the time.
pub async fn merge(cloud: &impl Cloud, cluster: &Target, instance: &str, news: &Causes) -> Result<bool, Fault> {
    let key = key(cluster, instance);
    for _ in 0..ROUNDS {
        let item = cloud.get(TableName::State, &key).await?;
        let known = item.as_ref().map(read).transpose().unwrap_or_else(|malformed| {
            // It is written anew.
            telemetry::malformed(NAME, cloud.now(), &malformed);
            None
        });
        if item.is_none() && !news.is_reason_to_go() {
            return Ok(false);
        }
        let known = known.unwrap_or_default();
        let mut causes = known.causes.clone();
        causes.merge(news.clone());
        if causes == known.causes && item.is_some() {
            return Ok(!known.is_over());
        }
        let told = item.as_ref().and_then(|item| as_number(item, TOLD));
        let condition = told.map_or(Condition::Missing(TOLD), |told| Condition::Equal(TOLD, number(told)));
        let update = Update::of(key.clone())
            .set(CAUSES, to_attribute("why an instance goes", &causes)?)
            .set(TOLD, number(told.unwrap_or_default() + 1))
            .set(TTL, number(expiry(cloud.now(), LIVING_SECONDS)))
            .only_if(condition);
        if let Updated::Made(_) = cloud.update(TableName::State, update).await? {
            return Ok(true);
        }
    }
    Err(Fault::Unsettled {
        subject: key.to_string(),
        rounds: ROUNDS,
    })
}

/// Stores what was done about instances. A row over which a later holder of the lease has written stays.
///
/// # Errors
/// When the table cannot be written.
pub async fn store(cloud: &impl Cloud, cluster: &Target, fence: i64, did: &BTreeMap<String, Did>) -> Result<(), Fault> {
    for (instance, did) in did {
        // The row of one that is over outlives every retry of its events.
        let keep = match did.over {
            Some(_) => TOMBSTONE_SECONDS,
            None => LIVING_SECONDS,
        };
        let update = Update::of(key(cluster, instance))
            .set(DID, to_attribute("what was done about an instance", did)?)
            .set(FENCE, number(fence))
            .set(TTL, number(expiry(cloud.now(), keep)))
            .only_if(Condition::Any(vec![
                Condition::Missing(FENCE),
                Condition::Less(FENCE, number(fence)),
                Condition::Equal(FENCE, number(fence)),
            ]));
        if let Updated::Refused(_) = cloud.update(TableName::State, update).await? {
            return Err(Fault::LeaseLost {
                key: cluster.key(),
                holder: "a later holder".to_owned(),
            });
        }
    }
    Ok(())
}

/// Where an instance was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// The cluster's name.
    pub cluster: String,
    /// The container instance's ARN.
    pub container_instance: String,
}

const PLACE: &str = "place";

fn place_key(instance: &str) -> Key {
    Key::new(format!("instance#{instance}"), "place")
}

/// Where an instance was found last; what cannot be read is reported, and found anew.
///
/// # Errors
/// When the table cannot be read.
pub async fn place(cloud: &impl Cloud, instance: &str) -> Result<Option<Place>, Fault> {
    let Some(item) = cloud.get(TableName::State, &place_key(instance)).await? else {
        return Ok(None);
    };
    Ok(attribute(&item, PLACE).unwrap_or_else(|malformed| {
        telemetry::malformed(NAME, cloud.now(), &malformed);
        None
    }))
}

/// How long it is remembered where an instance was found, without being found again.
const PLACE_SECONDS: i64 = 30 * 86_400;

/// Remembers where an instance was found.
///
/// # Errors
/// When the table cannot be written.
pub async fn remember(cloud: &impl Cloud, instance: &str, place: &Place, now: Timestamp) -> Result<(), Fault> {
    let update = Update::of(place_key(instance))
        .set(PLACE, to_attribute("where an instance is", place)?)
        .set(TTL, number(expiry(now, PLACE_SECONDS)));
    cloud.update(TableName::State, update).await?;
    Ok(())
}
