//! What must hold at every change, and when all is quiet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{TableName, attribute};
use wharfinger_cloud::world::{Change, Shot, World};
use wharfinger_core::config::Keep;
use wharfinger_core::storage::retention::{Plan, Point, prune};
use wharfinger_core::storage::{Lineage, Memory, ORPHAN_TAG, Snapshot, SnapshotState};
use wharfinger_storage::observe;

use super::orphans::Orphans;
use super::play::{VOLUME, service};
use crate::engine::{OWNER, Tally};

/// How long an invocation may act on what it has read: what the configuration's cache keeps, and as long as it lives.
const BEHIND: SignedDuration = SignedDuration::from_secs(100);
/// How much sooner than `every` a snapshot may be made: what the decider allows, and what clocks differ.
const SOONER: SignedDuration = SignedDuration::from_secs(16);
/// How soon after one that failed another is tried.
const RETRY: SignedDuration = SignedDuration::from_mins(15);
/// How long one that failed stays.
const FAILED_STAYS: SignedDuration = SignedDuration::from_hours(24);

/// What is known of a history besides its world.
pub(super) struct Book {
    pub(super) keep: Keep,
    every: SignedDuration,
    /// How much of the journal was looked at.
    read: usize,
    /// The last that was made.
    last: Option<Snapshot>,
    /// Whether snapshots may be made and removed, and since when not.
    off: Option<Timestamp>,
    /// Since when the service is to have several tasks.
    several: Option<Timestamp>,
    /// Since when something refers to a snapshot.
    named: BTreeMap<String, Timestamp>,
    shared: BTreeMap<String, Timestamp>,
    pub(super) orphans: Orphans,
}

fn since(from: &mut BTreeMap<String, Timestamp>, now: &BTreeSet<String>, at: Timestamp) {
    from.retain(|id, _| now.contains(id));
    for id in now {
        from.entry(id.clone()).or_insert(at);
    }
}

/// The snapshots that deployments name.
pub(super) fn named(world: &World) -> BTreeSet<String> {
    let deployments = world.services.values().flat_map(|service| &service.deployments);
    let volumes = deployments.flat_map(|deployment| &deployment.volumes);
    let ids = volumes.filter_map(|volume| volume.pointer("/managedEBSVolume/snapshotId")?.as_str());
    ids.map(str::to_owned).collect()
}

/// Our completed snapshots of the lineage.
pub(super) fn completed(world: &World) -> Vec<Snapshot> {
    let all = world.ebs.snapshots.values().map(|shot| &shot.snapshot);
    all.filter(|s| s.is_completed() && s.is_of(OWNER) && s.lineage().is_some())
        .cloned()
        .collect()
}

fn plan(keep: Keep, snapshots: &[Snapshot], held: &BTreeSet<String>) -> Plan {
    let points: Vec<_> = snapshots.iter().map(Point::from).collect();
    prune(&keep, &points, held)
}

impl Book {
    pub(super) fn new(every: SignedDuration, keep: Keep) -> Self {
        Self {
            keep,
            every,
            read: 0,
            last: None,
            off: None,
            several: None,
            named: BTreeMap::new(),
            shared: BTreeMap::new(),
            orphans: Orphans::default(),
        }
    }

    /// Whether storage may act from now on.
    pub(super) fn configured(&mut self, acts: bool, now: Timestamp) {
        self.off = if acts { None } else { self.off.or(Some(now)) };
    }

    /// How many tasks the service is to have from now on.
    pub(super) fn counted(&mut self, count: u32, now: Timestamp) {
        self.several = if count > 1 { self.several.or(Some(now)) } else { None };
    }

    /// Looks at what was changed.
    pub(super) fn look(&mut self, world: &World, tally: &mut Tally) -> Result<(), String> {
        for did in world.journal.get(self.read..).unwrap_or_default() {
            match &did.change {
                Change::CreateSnapshot(made) if made.tags.contains_key(ORPHAN_TAG) => {
                    tally.count("snapshot of an orphan made");
                    self.orphans.made(world, made)?;
                }
                Change::DeleteVolume(id) => {
                    tally.count("orphan removed");
                    self.orphans.removed(world, id)?;
                }
                Change::CreateSnapshot(made) => {
                    tally.count("snapshot made");
                    self.made(world, made)?;
                }
                Change::DeleteSnapshot { shot, .. } => {
                    tally.count("snapshot removed");
                    self.removed(world, shot)?;
                }
                _ => {}
            }
        }
        self.read = world.journal.len();
        since(&mut self.named, &named(world), world.now);
        let shared = world
            .ebs
            .snapshots
            .iter()
            .filter(|(_, shot)| !shot.shared_with.is_empty());
        let shared = shared.map(|(id, _)| id.clone()).collect();
        since(&mut self.shared, &shared, world.now);
        Ok(())
    }

    fn is_long(world: &World, since: Option<Timestamp>) -> bool {
        since.is_some_and(|since| world.now.duration_since(since) > BEHIND)
    }

    fn made(&mut self, world: &World, made: &Snapshot) -> Result<(), String> {
        let id = &made.snapshot_id;
        if !made.is_of(OWNER) || made.lineage() != Some(Lineage::of(&service(), VOLUME)) {
            return Err(format!("{id} belongs to no lineage: {:?}", made.tags));
        }
        let its = |task: &&wharfinger_cloud::world::Task| task.volumes.iter().any(|v| v.volume_id == made.volume_id);
        let task = world.tasks.values().find(its);
        if task.is_none_or(|task| made.task() != Some(task.id())) {
            return Err(format!("{id} names task {:?}, whose volume it is not", made.task()));
        }
        if Self::is_long(world, self.off) || Self::is_long(world, self.several) {
            return Err(format!(
                "{id} was made though storage is off since {:?}, or several tasks are wanted",
                self.off
            ));
        }
        let last = self.last.replace(made.clone());
        let Some(last) = last else { return Ok(()) };
        let state = world
            .ebs
            .snapshots
            .get(&last.snapshot_id)
            .map(|shot| shot.snapshot.state);
        let apart = made.start_time.duration_since(last.start_time);
        let wanted = match state {
            Some(SnapshotState::Error) | None => self.every.min(RETRY),
            Some(_) => self.every,
        };
        if apart + SOONER < wanted {
            return Err(format!(
                "{id} was made {apart:#} after {} ({state:?})",
                last.snapshot_id
            ));
        }
        Ok(())
    }

    fn removed(&self, world: &World, shot: &Shot) -> Result<(), String> {
        let snapshot = &shot.snapshot;
        let id = &snapshot.snapshot_id;
        if snapshot.tags.contains_key(ORPHAN_TAG) {
            return Err(format!(
                "{id} was removed, and is all that is left of {}",
                snapshot.volume_id
            ));
        }
        if !snapshot.is_of(OWNER) {
            return Err(format!("{id} was removed, and is not ours"));
        }
        if Self::is_long(world, self.off) {
            return Err(format!("{id} was removed though storage is off since {:?}", self.off));
        }
        if Self::is_long(world, self.named.get(id).copied()) || Self::is_long(world, self.shared.get(id).copied()) {
            return Err(format!("{id} was removed, and something refers to it"));
        }
        match snapshot.state {
            SnapshotState::Completed => {
                let mut all = completed(world);
                all.push(snapshot.clone());
                let plan = plan(self.keep, &all, &BTreeSet::new());
                match plan.kept.get(id) {
                    Some(why) => Err(format!("{id} was removed, and is to be kept: {why:?}")),
                    None => Ok(()),
                }
            }
            SnapshotState::Error if world.now.duration_since(snapshot.start_time) + BEHIND >= FAILED_STAYS => Ok(()),
            state => Err(format!("{id} was removed while it was {state:?}")),
        }
    }

    /// What must hold when all has been quiet for long.
    pub(super) fn at_rest(&self, world: &World) -> Result<(), String> {
        self.orphans.at_rest(world)?;
        for n in 0..2 {
            if !world.ebs.snapshots.contains_key(&format!("snap-foreign-{n}")) {
                return Err(format!("snap-foreign-{n} is gone"));
            }
        }
        let all = completed(world);
        let newest = all.iter().map(|snapshot| snapshot.start_time).max();
        let age = newest.map(|newest| world.now.duration_since(newest));
        if age.is_none_or(|age| age > self.every * 2) {
            return Err(format!("the newest recovery point is {age:?} old"));
        }
        let ids = |found: &mut dyn Iterator<Item = (&String, &Shot)>| found.map(|(id, _)| id.clone()).collect();
        let mut held: BTreeSet<String> = ids(&mut world
            .ebs
            .snapshots
            .iter()
            .filter(|(_, shot)| shot.in_use || !shot.shared_with.is_empty()));
        held.extend(named(world));
        // The newest may have been completed a moment ago.
        let before: Vec<_> = all.iter().filter(|s| Some(s.start_time) != newest).cloned().collect();
        let left = plan(self.keep, &before, &held).pruned;
        if !left.is_empty() {
            return Err(format!("no line of `keep` counts {left:?}, and they are there"));
        }
        let old = |shot: &&Shot| {
            let s = &shot.snapshot;
            s.state == SnapshotState::Error
                && s.lineage().is_some()
                && world.now.duration_since(s.start_time) > FAILED_STAYS + self.every
        };
        if !self.keep.is_unlimited() && world.ebs.snapshots.values().any(|shot| old(&shot)) {
            return Err("one that failed more than a day ago is there".to_owned());
        }
        let item = world.tables.of(TableName::State).get(&service_key(&service()));
        let memory = item.map(|item| attribute::<Memory>(item, observe::MEMORY));
        let memory = match memory {
            Some(Ok(Some(memory))) => memory,
            other => return Err(format!("nothing is remembered: {other:?}")),
        };
        let intent = memory.volumes.get(VOLUME).and_then(|volume| volume.intent.as_ref());
        let is_old = intent.is_some_and(|intent| world.now.duration_since(intent.at) > self.every / 2);
        if is_old {
            Err(format!("an intent is left: {intent:?}"))
        } else {
            Ok(())
        }
    }
}
