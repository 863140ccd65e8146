//! What must hold at every change, and when all is quiet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{TableName, attribute};
use wharfinger_cloud::world::{Change, Shot, Task, World};
use wharfinger_core::config::Keep;
use wharfinger_core::event::TaskStatus;
use wharfinger_core::storage::retention::{Plan, Point, prune};
use wharfinger_core::storage::{Lineage, Memory, Snapshot, SnapshotState, Volume, identity_of};
use wharfinger_storage::observe;

use super::play::{MOST, VOLUME, family};
use crate::engine::{OWNER, Tally};

/// How long an invocation may act on what it has read: what the configuration's cache keeps and as long as it lives, by a clock
/// that may be wrong by ten minutes.
const BEHIND: SignedDuration = SignedDuration::from_secs(700);
/// How long one that failed stays.
const FAILED_STAYS: SignedDuration = SignedDuration::from_hours(24);

/// What is known of a history besides its world.
pub(super) struct Book {
    pub(super) keep: Keep,
    count: u32,
    /// How much of the journal was looked at.
    read: usize,
    /// Since when nothing is to be done.
    off: Option<Timestamp>,
    /// Since when there are to be fewer.
    fewer: Option<(u32, Timestamp)>,
    /// What the last volume of each identity held when it went.
    held: BTreeMap<u32, u64>,
    /// When someone removed a snapshot of each volume, and of each identity.
    taken: BTreeMap<String, Timestamp>,
}

fn plan(keep: Keep, snapshots: &[Snapshot], held: &BTreeSet<String>) -> Plan {
    let points: Vec<_> = snapshots.iter().map(Point::from).collect();
    prune(&keep, &points, held)
}

/// The identity that a lineage names, if it is one of the family's.
fn number(lineage: Option<Lineage>) -> Option<u32> {
    let lineage = lineage.filter(|of| of.target == family() && of.volume == VOLUME)?;
    lineage.identity.filter(|n| *n < MOST)
}

fn of_volume(volume: &Volume) -> Option<u32> {
    number(volume.lineage()).filter(|_| volume.is_of(OWNER))
}

fn of_task(task: &Task) -> Option<u32> {
    identity_of(task.launch.as_ref()?.started_by.as_deref()?, OWNER)
}

fn completed(world: &World, n: u32) -> Vec<Snapshot> {
    let all = world.ebs.snapshots.values().map(|shot| &shot.snapshot);
    let its = all.filter(|s| s.is_completed() && s.is_of(OWNER) && number(s.lineage()) == Some(n));
    its.cloned().collect()
}

/// The task that has, or had, a volume.
fn task_of<'a>(world: &'a World, volume: &str) -> Option<&'a Task> {
    let has = |task: &&Task| task.volumes.iter().any(|one| one.volume_id == volume);
    world.tasks.values().find(has)
}

fn stopped_at(task: &Task) -> Option<Timestamp> {
    task.launch.as_ref()?.stopped_at
}

fn written(world: &World, id: &str) -> u64 {
    world.ebs.written.get(id).copied().unwrap_or_default()
}

fn live(world: &World, n: u32) -> impl Iterator<Item = &Task> {
    let is_live = move |task: &&Task| task.status != TaskStatus::Stopped && of_task(task) == Some(n);
    world.tasks.values().filter(is_live)
}

fn volumes(world: &World, n: u32) -> impl Iterator<Item = &Volume> {
    let is_its = move |volume: &&Volume| of_volume(volume) == Some(n);
    world.ebs.volumes.values().filter(is_its)
}

impl Book {
    pub(super) fn new(keep: Keep, count: u32) -> Self {
        Self {
            keep,
            count,
            read: 0,
            off: None,
            fewer: None,
            held: BTreeMap::new(),
            taken: BTreeMap::new(),
        }
    }

    /// Whether storage may act from now on, and how many identities there are.
    pub(super) fn configured(&mut self, acts: bool, count: u32, now: Timestamp) {
        self.off = if acts { None } else { self.off.or(Some(now)) };
        if count != self.count {
            self.fewer = (count < self.count).then_some((count, now));
            self.count = count;
        }
    }

    pub(super) fn removed_by_someone(&mut self, snapshot: &Snapshot, now: Timestamp) {
        self.taken.insert(snapshot.volume_id.clone(), now);
        self.taken
            .extend(number(snapshot.lineage()).map(|n| (n.to_string(), now)));
    }

    /// Looks at what was changed, and at what there is.
    pub(super) fn look(&mut self, world: &World, tally: &mut Tally) -> Result<(), String> {
        for did in world.journal.get(self.read..).unwrap_or_default() {
            let name = match &did.change {
                Change::RunTask { arn, input } => {
                    self.started(world, arn, input)?;
                    "task started"
                }
                Change::CreateSnapshot(made) => {
                    Self::made(world, made)?;
                    "snapshot made"
                }
                Change::DeleteSnapshot { shot, .. } => {
                    self.pruned(world, shot)?;
                    "snapshot removed"
                }
                Change::DeleteVolume(id) => {
                    self.deleted(world, id)?;
                    "volume removed"
                }
                _ => continue,
            };
            tally.count(name);
            if self.off.is_some_and(|since| world.now.duration_since(since) > BEHIND) {
                return Err(format!("{name}, though storage is paused since {:?}", self.off));
            }
        }
        self.read = world.journal.len();
        Self::there(world)
    }

    /// Of an identity one task at most is not STOPPED, and one volume at most is there. Everything is somebody's.
    fn there(world: &World) -> Result<(), String> {
        if let Some(volume) = world.ebs.volumes.values().find(|volume| of_volume(volume).is_none()) {
            return Err(format!(
                "{} belongs to no identity: {:?}",
                volume.volume_id, volume.tags
            ));
        }
        for n in 0..MOST {
            let tasks: Vec<_> = live(world, n).map(Task::id).collect();
            let there: Vec<_> = volumes(world, n).map(|volume| &volume.volume_id).collect();
            if tasks.len() > 1 || there.len() > 1 {
                return Err(format!("identity {n} has tasks {tasks:?} and volumes {there:?}"));
            }
        }
        Ok(())
    }

    /// When a task of an identity starts, no other lives, no volume is left, and it begins with all that was written.
    fn started(&self, world: &World, arn: &str, input: &Value) -> Result<(), String> {
        let by = input.get("startedBy").and_then(Value::as_str).unwrap_or_default();
        let n = identity_of(by, OWNER).filter(|n| *n < MOST);
        let n = n.ok_or_else(|| format!("{arn} was started by {by:?}, which is no identity"))?;
        if self
            .fewer
            .is_some_and(|(count, since)| n >= count && world.now.duration_since(since) > BEHIND)
        {
            return Err(format!("identity {n} was started, and is not among the {}", self.count));
        }
        if let Some(other) = live(world, n).find(|task| task.arn != arn) {
            return Err(format!(
                "identity {n} was started while task {} is {:?}",
                other.id(),
                other.status
            ));
        }
        let own = world
            .tasks
            .get(arn)
            .map(|task| task.volumes.as_slice())
            .unwrap_or_default();
        let is_left = |volume: &&Volume| own.iter().all(|one| one.volume_id != volume.volume_id);
        if let Some(left) = volumes(world, n).find(is_left) {
            return Err(format!(
                "identity {n} was started while {} is {}",
                left.volume_id, left.state
            ));
        }
        let seed = input.pointer("/volumeConfigurations/0/managedEBSVolume/snapshotId");
        let begins = seed.and_then(Value::as_str).map_or(0, |seed| written(world, seed));
        let best = completed(world, n).iter().map(|s| written(world, &s.snapshot_id)).max();
        let held = self.held.get(&n).copied().unwrap_or_default();
        let wanted = if self.taken.contains_key(&n.to_string()) {
            held.min(best.unwrap_or_default())
        } else {
            held
        };
        if begins < wanted {
            return Err(format!(
                "identity {n} was started from {seed:?}, which has {begins} of the {wanted} writes that there were"
            ));
        }
        Ok(())
    }

    /// A snapshot belongs to the identity whose volume it shows, and says truly whether the task was over.
    fn made(world: &World, made: &Snapshot) -> Result<(), String> {
        let id = &made.snapshot_id;
        let of = made.is_of(OWNER).then(|| number(made.lineage())).flatten();
        let volume = world.ebs.volumes.get(&made.volume_id).and_then(of_volume);
        if of.is_none() || (volume.is_some() && of != volume) {
            return Err(format!(
                "{id} of {} belongs to {of:?}, and the volume to {volume:?}",
                made.volume_id
            ));
        }
        let task = task_of(world, &made.volume_id);
        if made.is_final() && task.is_none_or(|task| task.status != TaskStatus::Stopped) {
            return Err(format!("{id} says that the task of {} is over", made.volume_id));
        }
        Ok(())
    }

    /// A volume goes once a snapshot that was made after its task was over is completed.
    fn deleted(&mut self, world: &World, id: &str) -> Result<(), String> {
        let task = task_of(world, id).ok_or_else(|| format!("{id} was deleted, and was no task's"))?;
        let n = of_task(task).ok_or_else(|| format!("{id} was deleted, and was no identity's"))?;
        let stopped = stopped_at(task).ok_or_else(|| format!("{id} was deleted while task {} lives", task.id()))?;
        self.held.insert(n, written(world, id));
        let saves = |s: &Snapshot| {
            s.volume_id == *id && s.start_time >= stopped && written(world, &s.snapshot_id) == written(world, id)
        };
        let is_taken = self
            .taken
            .get(id)
            .is_some_and(|at| world.now.duration_since(*at) < BEHIND);
        if is_taken || completed(world, n).iter().any(saves) {
            Ok(())
        } else {
            Err(format!(
                "{id} was deleted, and no completed snapshot has what was on it"
            ))
        }
    }

    fn pruned(&self, world: &World, shot: &Shot) -> Result<(), String> {
        let snapshot = &shot.snapshot;
        let id = &snapshot.snapshot_id;
        let Some(n) = number(snapshot.lineage()).filter(|_| snapshot.is_of(OWNER)) else {
            return Err(format!("{id} was removed, and is no identity's"));
        };
        let is_taken = self
            .taken
            .get(&n.to_string())
            .is_some_and(|at| world.now.duration_since(*at) < BEHIND);
        match snapshot.state {
            SnapshotState::Completed => {
                let mut all = completed(world, n);
                all.push(snapshot.clone());
                match plan(self.keep, &all, &BTreeSet::new())
                    .kept
                    .get(id)
                    .filter(|_| !is_taken)
                {
                    Some(why) => Err(format!("{id} was removed, and is to be kept: {why:?}")),
                    None => Ok(()),
                }
            }
            SnapshotState::Error if world.now.duration_since(snapshot.start_time) + BEHIND >= FAILED_STAYS => Ok(()),
            state => Err(format!("{id} was removed while it was {state:?}")),
        }
    }

    /// What must hold when all has been quiet for long.
    pub(super) fn at_rest(&self, world: &World, every: Option<SignedDuration>) -> Result<(), String> {
        let item = world.tables.of(TableName::State).get(&service_key(&family()));
        let memory = match item.map(|item| attribute::<Memory>(item, observe::MEMORY)) {
            Some(Ok(Some(memory))) => memory,
            other => return Err(format!("nothing is remembered: {other:?}")),
        };
        // With what the next task begins stays.
        let identities = || memory.volumes.values().filter_map(|volume| volume.identity.as_ref());
        let held: BTreeSet<_> = identities()
            .filter_map(|known| Some(known.saved.as_ref()?.id.clone()))
            .collect();
        for n in 0..MOST {
            let tasks: Vec<_> = live(world, n).collect();
            let there: Vec<_> = volumes(world, n).collect();
            let runs = tasks.len() == 1 && tasks.iter().all(|task| task.is_running());
            let has = there.len() == 1 && there.iter().all(|volume| volume.state == "in-use");
            if n < self.count && !(runs && has) {
                return Err(format!(
                    "identity {n} has tasks {tasks:?} and volumes {there:?}: {memory:?}"
                ));
            }
            if n >= self.count && tasks.is_empty() && !there.is_empty() {
                return Err(format!(
                    "identity {n} is not wanted any more, and has left {there:?}: {memory:?}"
                ));
            }
            self.keeps(world, n, every.filter(|_| runs), &held)?;
        }
        let starts = identities().filter_map(|known| known.start.as_ref());
        match starts.map(|start| start.at).min() {
            Some(at) => Err(format!("a start of {at} is left")),
            None => Ok(()),
        }
    }

    fn keeps(
        &self,
        world: &World,
        n: u32,
        every: Option<SignedDuration>,
        held: &BTreeSet<String>,
    ) -> Result<(), String> {
        let all = completed(world, n);
        let newest = all.iter().map(|snapshot| snapshot.start_time).max();
        if let Some(every) = every
            && newest.is_none_or(|newest| world.now.duration_since(newest) > every * 2)
        {
            return Err(format!("identity {n}: the newest recovery point is of {newest:?}"));
        }
        // The newest may have been completed a moment ago. Of one that is not wanted any more nothing is removed.
        let before: Vec<_> = all.iter().filter(|s| Some(s.start_time) != newest).cloned().collect();
        let left = plan(self.keep, &before, held).pruned;
        if n < self.count && !left.is_empty() {
            return Err(format!(
                "identity {n}: no line of `keep` counts {left:?}, and they are there"
            ));
        }
        Ok(())
    }
}
