//! Volumes that ECS leaves behind, and what must hold of them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use wharfinger_cloud::config::CLUSTER_ATTRIBUTE;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{Item, TableName, attribute, text, to_attribute};
use wharfinger_cloud::world::World;
use wharfinger_core::config::Cluster;
use wharfinger_core::config::stored::CLUSTERS;
use wharfinger_core::ids::Target;
use wharfinger_core::storage::orphans::Memory;
use wharfinger_core::storage::{CLUSTER_NAME_TAG, MANAGED_TAG, ORPHAN_TAG, OWNER_TAG, Snapshot, SnapshotState};
use wharfinger_storage::orphans;

use super::play::{Play, service};
use crate::engine::OWNER;

/// After how long a volume counts as left behind.
const AFTER: SignedDuration = SignedDuration::from_hours(1);
/// By how much clocks differ, and a look may be late.
const LATE: SignedDuration = SignedDuration::from_secs(10);

/// A volume that was left behind.
struct Left {
    /// Whether it is the cluster's, and nothing else marks it.
    goes: bool,
    /// Since when it is attached to nothing.
    since: Timestamp,
}

/// What is known of the volumes that were left behind.
#[derive(Default)]
pub(super) struct Orphans {
    left: BTreeMap<String, Left>,
}

impl Orphans {
    fn of(&self, id: &str) -> Result<&Left, String> {
        let left = self.left.get(id).filter(|left| left.goes);
        left.ok_or_else(|| format!("{id} is none of the cluster that was left behind"))
    }

    pub(super) fn made(&self, world: &World, made: &Snapshot) -> Result<(), String> {
        let (id, volume) = (&made.snapshot_id, &made.volume_id);
        let left = self.of(volume)?;
        if made.tags.get(ORPHAN_TAG) != Some(volume) || !made.is_of(OWNER) || made.lineage().is_some() {
            return Err(format!("{id} of {volume} says otherwise what it is: {:?}", made.tags));
        }
        if made.start_time.duration_since(left.since) + LATE < AFTER {
            return Err(format!(
                "{id} was made, and {volume} is left behind since {}",
                left.since
            ));
        }
        let mut others = world.ebs.snapshots.values().map(|shot| &shot.snapshot);
        let is_second = |s: &Snapshot| {
            s.volume_id == *volume
                && s.snapshot_id != *id
                && s.state != SnapshotState::Error
                && made.start_time.duration_since(s.start_time) < AFTER
        };
        match others.find(|s| is_second(s)) {
            Some(first) => Err(format!(
                "{id} of {volume} was made, though there is {}",
                first.snapshot_id
            )),
            None => Ok(()),
        }
    }

    pub(super) fn removed(&self, world: &World, id: &str) -> Result<(), String> {
        let left = self.of(id)?;
        let mut all = world.ebs.snapshots.values().map(|shot| &shot.snapshot);
        let holds_all = |s: &Snapshot| s.volume_id == id && s.is_completed() && s.start_time >= left.since;
        if all.any(holds_all) {
            Ok(())
        } else {
            Err(format!("{id} was removed before a snapshot of it was completed"))
        }
    }

    pub(super) fn at_rest(&self, world: &World) -> Result<(), String> {
        for (id, left) in &self.left {
            let is_there = world.ebs.volumes.contains_key(id);
            if left.goes == is_there {
                let what = if is_there { "is still there" } else { "is gone" };
                return Err(format!("{id}, left behind since {}, {what}", left.since));
            }
        }
        let ours = world.ebs.snapshots.values().map(|shot| &shot.snapshot);
        let is_lost = |s: &&Snapshot| s.is_of(OWNER) && s.lineage().is_none() && !self.left.contains_key(&s.volume_id);
        match ours.into_iter().find(is_lost) {
            Some(lost) => Err(format!("{} is of no lineage and of no orphan", lost.snapshot_id)),
            None => Ok(()),
        }
    }
}

impl Play {
    /// Stores what becomes of volumes that are left behind. It is played where looks come often enough: after an hour
    /// without one nobody knows what a volume was attached to.
    pub(super) fn removes_orphans(&self) {
        let config = json!({ "storage": { "orphans": { "after": "1h", "action": "remove" } } });
        let Ok(config) = serde_json::from_value::<Cluster>(config) else {
            return;
        };
        let mut item = Item::default();
        item.insert("pk".to_owned(), text(CLUSTERS));
        item.insert("sk".to_owned(), text(service().cluster));
        if let Ok(attribute) = to_attribute("a cluster", &config) {
            item.insert(CLUSTER_ATTRIBUTE.to_owned(), attribute);
        }
        self.engine.world.borrow_mut().tables.put(TableName::Config, item);
    }

    /// ECS leaves a volume behind, or somebody uses one for a while.
    pub(super) fn leaves(&mut self) {
        if self.every != AFTER {
            return;
        }
        if self.engine.harms(12, "volume left behind") {
            self.leave();
        }
        let now = self.engine.now();
        let ids: Vec<_> = self.book.orphans.left.keys().cloned().collect();
        for id in ids {
            let state = self
                .engine
                .world
                .borrow()
                .ebs
                .volumes
                .get(&id)
                .map(|volume| volume.state.clone());
            match state.as_deref() {
                Some("available") if self.engine.harms(4, "orphan attached for a while") => self.attach(&id, "in-use"),
                // One that no look finds gone could have been written to, and nobody would know.
                Some("in-use") if self.is_forgotten(&id) && (self.engine.is_quiet || self.engine.dice.chance(200)) => {
                    self.attach(&id, "available");
                    if let Some(left) = self.book.orphans.left.get_mut(&id) {
                        left.since = now;
                    }
                }
                _ => {}
            }
        }
    }

    fn is_forgotten(&self, id: &str) -> bool {
        let world = self.engine.world.borrow();
        let key = service_key(&Target::of_cluster(service().cluster));
        let item = world.tables.of(TableName::State).get(&key);
        let memory = item.and_then(|item| attribute::<Memory>(item, orphans::MEMORY).ok().flatten());
        memory.is_none_or(|memory| !memory.volumes.contains_key(id))
    }

    fn attach(&mut self, id: &str, state: &str) {
        if let Some(volume) = self.engine.world.borrow_mut().ebs.volumes.get_mut(id) {
            state.clone_into(&mut volume.state);
        }
    }

    fn leave(&mut self) {
        let mut tags = BTreeMap::from([(MANAGED_TAG.to_owned(), "true".to_owned())]);
        let kind = self.engine.dice.index(6);
        let cluster = match kind {
            0 => None,
            1 => Some("another"),
            _ => Some("prod"),
        };
        tags.extend(cluster.map(|name| (CLUSTER_NAME_TAG.to_owned(), name.to_owned())));
        if kind == 2 {
            tags.insert(OWNER_TAG.to_owned(), OWNER.to_owned());
        }
        let id = self.engine.world.borrow_mut().make_volume(20, tags);
        let left = Left {
            goes: kind > 2,
            since: self.engine.now(),
        };
        self.book.orphans.left.insert(id, left);
    }
}
