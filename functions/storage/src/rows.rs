//! What is kept besides the service's item: the volumes of each task as its events tell them, whose a snapshot is, and which
//! snapshots of ours nothing is configured for.

use std::collections::BTreeMap;

use wharfinger_cloud::ledger::{self, Entry, News, TTL};
use wharfinger_cloud::table::{Key, TableName, Update, as_number, as_text, attribute, number, text, to_attribute};
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::ledger::{LIVING_SECONDS, Merge, Ordered, TOMBSTONE_SECONDS, expiry};
use wharfinger_core::storage::{Mounted, TaskVolume};

use crate::{Cloud, NAME};

fn partition(target: &Target) -> String {
    format!("volumes#{target}")
}

/// Merges what an event tells of a task: the higher version wins. One that left stays as a tombstone.
///
/// # Errors
/// When the table cannot be written.
pub async fn tell(cloud: &impl Cloud, target: &Target, task: &TaskStateChange) -> Result<Merge, Fault> {
    let mounted = Mounted::from(task);
    let news = News {
        key: Key::new(partition(target), task.task_arn.id()),
        order: task.order(),
        facts: &mounted,
        beside: Vec::new(),
        put_in: Vec::new(),
        keep_seconds: if mounted.runs {
            LIVING_SECONDS
        } else {
            TOMBSTONE_SECONDS
        },
    };
    Ok(ledger::merge(cloud, news, cloud.now()).await?.merge)
}

/// The volumes of the tasks of a service that run, by the task's id, as events told them.
///
/// # Errors
/// When the table cannot be read.
pub async fn volumes(cloud: &impl Cloud, target: &Target) -> Result<BTreeMap<String, Vec<TaskVolume>>, Fault> {
    let mut found = BTreeMap::new();
    for item in cloud.query(TableName::State, &partition(target)).await? {
        match Entry::<Mounted>::read(item, Merge::Duplicate) {
            Ok(entry) if entry.facts.runs => drop(found.insert(entry.facts.task, entry.facts.volumes)),
            Ok(_) => {}
            Err(malformed) => telemetry::malformed(NAME, cloud.now(), &malformed),
        }
    }
    Ok(found)
}

const TARGET: &str = "target";

/// How long it is remembered whose a snapshot is: its notification comes when it is completed, hours later at most.
const SNAPSHOT_SECONDS: i64 = 30 * 86_400;

fn snapshot_key(id: &str) -> Key {
    Key::new(format!("snapshot#{id}"), "lineage")
}

/// Remembers whose a snapshot is.
///
/// # Errors
/// When the table cannot be written.
pub async fn remember(cloud: &impl Cloud, id: &str, target: &Target) -> Result<(), Fault> {
    let update = Update::of(snapshot_key(id))
        .set(TARGET, text(target.key()))
        .set(TTL, number(expiry(cloud.now(), SNAPSHOT_SECONDS)));
    cloud.update(TableName::State, update).await?;
    Ok(())
}

/// The service or family for which a snapshot was made, if we made it.
///
/// # Errors
/// When the table cannot be read.
pub async fn whose(cloud: &impl Cloud, id: &str) -> Result<Option<Target>, Fault> {
    let item = cloud.get(TableName::State, &snapshot_key(id)).await?;
    let target = item.as_ref().and_then(|item| as_text(item, TARGET));
    // Written before there were families: a service's name.
    Ok(target.and_then(|key| {
        Target::from_key(key)
            .or_else(|_| Target::parse(TargetKind::Service, key))
            .ok()
    }))
}

/// The item with the snapshots of ours that nothing is configured for: how many of each lineage.
pub const STRANGE: (&str, &str) = ("storage", "strange");
const LINEAGES: &str = "lineages";
const AT: &str = "at";

/// Notes which snapshots of ours nothing is configured for, for `wharfinger status`; what is noted already is not written
/// again.
///
/// # Errors
/// When the table cannot be read or written.
pub async fn tell_strange(cloud: &impl Cloud, strange: &BTreeMap<String, usize>) -> Result<(), Fault> {
    let key = Key::new(STRANGE.0, STRANGE.1);
    let item = cloud.get(TableName::State, &key).await?;
    let known = item.map(|item| (attribute(&item, LINEAGES), as_number(&item, AT)));
    let is_known = match known {
        None => strange.is_empty(),
        Some((Ok(known), _)) => known.as_ref() == Some(strange),
        Some((Err(malformed), _)) => {
            telemetry::malformed(NAME, cloud.now(), &malformed);
            false
        }
    };
    if is_known {
        return Ok(());
    }
    let update = Update::of(key)
        .set(
            LINEAGES,
            to_attribute("the snapshots that nothing is configured for", strange)?,
        )
        .set(AT, number(cloud.now().as_second()));
    cloud.update(TableName::State, update).await?;
    Ok(())
}
