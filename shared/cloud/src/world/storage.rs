//! EBS: the volumes that ECS makes for tasks and deletes with them, and snapshots of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_core::event::TaskStatus;
use wharfinger_core::ids::Target;
use wharfinger_core::storage::{CreateSnapshot, MANAGED_TAG, Snapshot, SnapshotState, TaskVolume, Volume};

use super::services::LAG;
use super::{Caller, Change, REGION, World};
use crate::error::CloudError;
use crate::ports::{Removed, ServiceVolumes, Snapped, Snapshots, Volumes};

/// How many snapshots of one volume may be pending (EBS user guide, "Create Amazon EBS snapshots").
const PENDING: usize = 5;
/// How long EC2 wants between two of one volume (EC2 API reference, `SnapshotCreationPerVolumeRateExceeded`).
const APART: SignedDuration = SignedDuration::from_secs(15);
/// The size of a volume whose configuration does not say it, in GiB.
const SIZE: u32 = 10;

/// Volumes and snapshots of the account.
#[derive(Debug, Clone, Default)]
pub struct Ebs {
    /// Volumes, by id.
    pub volumes: BTreeMap<String, Volume>,
    /// Snapshots, by id.
    pub snapshots: BTreeMap<String, Shot>,
    /// How long after it was made `DescribeSnapshots` shows the next snapshot, and `DescribeVolumes` the next volume of a task
    /// that is run by hand.
    pub shown_after: SignedDuration,
    /// How often each volume was written to, by its id; and each snapshot, from the volume's moment. What is gone stays here.
    pub written: BTreeMap<String, u64>,
    /// Whether what is pending is shown as completed: for tests of what must find that out.
    pub hasty: bool,
    /// The volumes that tasks have left and that are still attached.
    pub(super) detaching: BTreeSet<String>,
    /// From when on a volume is shown.
    pub(super) shown_from: BTreeMap<String, Timestamp>,
    /// What was deleted, and when.
    pub(super) gone: BTreeMap<String, (Volume, Timestamp)>,
}

/// A snapshot, and what `DescribeSnapshots` does not say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// What it says.
    pub snapshot: Snapshot,
    /// From when on it says it.
    pub shown_from: Timestamp,
    /// The accounts that may make volumes of it.
    pub shared_with: Vec<String>,
    /// Whether an image is made of it: then EC2 does not remove it.
    pub in_use: bool,
}

/// The snapshots that `volumeConfigurations` names.
fn named(volumes: &[Value]) -> impl Iterator<Item = String> + use<'_> {
    let id = |volume: &Value| {
        volume
            .pointer("/managedEBSVolume/snapshotId")?
            .as_str()
            .map(str::to_owned)
    };
    volumes.iter().filter_map(id)
}

/// The tags that ECS gives the volume of a configuration.
fn tags(configured: &Value) -> BTreeMap<String, String> {
    let asked = configured.pointer("/managedEBSVolume/tagSpecifications");
    let asked = asked.and_then(Value::as_array).into_iter().flatten();
    let asked = asked.filter_map(|one| one.get("tags")?.as_array()).flatten();
    let text = |of: &Value, field: &str| of.get(field)?.as_str().map(str::to_owned);
    let asked = asked.filter_map(|tag| Some((text(tag, "key")?, text(tag, "value").unwrap_or_default())));
    asked.chain([(MANAGED_TAG.to_owned(), "true".to_owned())]).collect()
}

impl World {
    /// Sets how ECS makes the volumes of a service's tasks from now on: `volumeConfigurations` of its PRIMARY deployment, and
    /// so of those that come after it.
    pub fn configure_volumes(&mut self, target: &Target, volumes: &[Value]) {
        let service = self.services.get_mut(target);
        if let Some(primary) = service.and_then(|service| service.deployments.first_mut()) {
            primary.volumes = volumes.to_vec();
        }
    }

    /// Makes a volume of ECS's that is attached to nothing. The answer is its id.
    pub fn make_volume(&mut self, size: u32, tags: BTreeMap<String, String>) -> String {
        let id = format!("vol-{:017x}", self.next());
        let volume = Volume {
            volume_id: id.clone(),
            state: "available".to_owned(),
            create_time: self.now,
            size,
            tags,
        };
        self.ebs.volumes.insert(id.clone(), volume);
        id
    }

    /// A snapshot that is pending ends: it is completed, or came to nothing with these words. EC2 says so.
    pub fn end_snapshot(&mut self, id: &str, failure: Option<&str>) {
        let Some(shot) = self.ebs.snapshots.get_mut(id) else {
            return;
        };
        let snapshot = &mut shot.snapshot;
        if snapshot.state != SnapshotState::Pending {
            return;
        }
        snapshot.state = match failure {
            None => SnapshotState::Completed,
            Some(_) => SnapshotState::Error,
        };
        snapshot.state_message = failure.map(str::to_owned);
        // As EC2 writes them, with the Region in the wrong place.
        let arn = format!("arn:aws:ec2::{REGION}:snapshot/{id}");
        let detail = json!({
            "event": "createSnapshot",
            "result": if failure.is_some() { "failed" } else { "succeeded" },
            "cause": failure.unwrap_or_default(),
            "request-id": "",
            "snapshot_id": arn,
            "source": format!("arn:aws:ec2::{REGION}:volume/{}", snapshot.volume_id),
            "startTime": snapshot.start_time.to_string(),
            "endTime": self.now.to_string(),
        });
        self.emit("aws.ec2", "EBS Snapshot Notification", Some(arn), &detail);
    }

    /// Makes the volumes of a task that is placed; `None` when one is to be made of a snapshot of which none can be.
    pub(super) fn attach(&mut self, task: &str) -> Option<Vec<TaskVolume>> {
        let task = self.tasks.get(task)?;
        let is_launched = task.launch.is_some();
        let configured = self.configured(task);
        let is_there = |id: String| self.ebs.snapshots.get(&id).is_some_and(|s| s.snapshot.is_completed());
        if !named(&configured).all(is_there) {
            return None;
        }
        let mut attached = Vec::new();
        for one in configured {
            let seed = named(std::slice::from_ref(&one)).next();
            let size = one.pointer("/managedEBSVolume/sizeInGiB").and_then(Value::as_u64);
            let size = size.and_then(|size| u32::try_from(size).ok());
            let of_seed = || Some(self.ebs.snapshots.get(seed.as_ref()?)?.snapshot.volume_size);
            let size = size.or_else(of_seed).unwrap_or(SIZE);
            let volume_id = self.make_volume(size, tags(&one));
            if let Some(written) = seed.and_then(|seed| self.ebs.written.get(&seed).copied()) {
                self.ebs.written.insert(volume_id.clone(), written);
            }
            if is_launched {
                let from = self.now.saturating_add(self.ebs.shown_after).unwrap_or(self.now);
                self.ebs.shown_from.insert(volume_id.clone(), from);
            } else if let Some(volume) = self.ebs.volumes.get_mut(&volume_id) {
                "in-use".clone_into(&mut volume.state);
            }
            attached.push(TaskVolume {
                name: one.get("name").and_then(Value::as_str).map(str::to_owned),
                volume_id,
            });
        }
        Some(attached)
    }

    /// Deletes the volumes of a task that has stopped, as ECS always does for a service's, and leaves those that are to stay.
    pub(super) fn detach(&mut self, task: &str) {
        let Some(task) = self.tasks.get(task) else { return };
        for volume in &task.volumes {
            if task.leaves(volume) {
                self.ebs.detaching.insert(volume.volume_id.clone());
            } else {
                self.ebs.volumes.remove(&volume.volume_id);
            }
        }
    }

    /// What `DescribeSnapshots` shows: for a while it may be without the newest.
    fn shown(&self, wanted: impl Fn(&Snapshot) -> bool) -> Vec<Snapshot> {
        let lag = if self.lagging { LAG } else { SignedDuration::ZERO };
        let is_shown = |shot: &&Shot| {
            let since = self.now.duration_since(shot.snapshot.start_time);
            shot.shown_from <= self.now && since >= lag
        };
        let all = self.ebs.snapshots.values().filter(is_shown).map(|shot| &shot.snapshot);
        let mut shown: Vec<_> = all.filter(|snapshot| wanted(snapshot)).cloned().collect();
        let pending = |one: &&mut Snapshot| self.ebs.hasty && one.state == SnapshotState::Pending;
        for one in shown.iter_mut().filter(pending) {
            one.state = SnapshotState::Completed;
        }
        shown
    }

    fn snap(&mut self, request: &CreateSnapshot) -> Snapped {
        let Some(volume) = self.ebs.volumes.get(&request.volume_id) else {
            return Snapped::NoVolume;
        };
        let size = volume.size;
        let of_volume = |shot: &&Shot| shot.snapshot.volume_id == request.volume_id;
        let its: Vec<_> = self
            .ebs
            .snapshots
            .values()
            .filter(of_volume)
            .map(|s| &s.snapshot)
            .collect();
        if its.iter().any(|s| self.now.duration_since(s.start_time) < APART) {
            return Snapped::Later("The maximum per volume CreateSnapshot request rate has been exceeded.".to_owned());
        }
        if its.iter().filter(|s| s.state == SnapshotState::Pending).count() >= PENDING {
            return Snapped::Later("Maximum allowed in-progress snapshots for a single volume exceeded.".to_owned());
        }
        let id = format!("snap-{:017x}", self.next());
        let snapshot = Snapshot {
            snapshot_id: id.clone(),
            volume_id: request.volume_id.clone(),
            state: SnapshotState::Pending,
            state_message: None,
            start_time: self.now,
            volume_size: size,
            tags: request.tags.clone(),
        };
        self.did(Change::CreateSnapshot(snapshot.clone()));
        if let Some(written) = self.ebs.written.get(&request.volume_id).copied() {
            self.ebs.written.insert(id.clone(), written);
        }
        let shot = Shot {
            snapshot: snapshot.clone(),
            shown_from: self.now.saturating_add(self.ebs.shown_after).unwrap_or(self.now),
            shared_with: Vec::new(),
            in_use: false,
        };
        self.ebs.snapshots.insert(id, shot);
        Snapped::Made(snapshot)
    }

    fn remove_snapshot(&mut self, id: &str) -> Removed {
        match self.ebs.snapshots.get(id) {
            None => Removed::Done,
            Some(shot) if shot.in_use => Removed::InUse(format!("The snapshot {id} is currently in use by ami-1")),
            Some(shot) => {
                let shot = shot.clone();
                let named_by = self.services.keys().find(|target| self.naming(target).contains_key(id));
                let named_by = named_by.cloned();
                self.ebs.snapshots.remove(id);
                self.did(Change::DeleteSnapshot { shot, named_by });
                Removed::Done
            }
        }
    }

    fn remove_volume(&mut self, id: &str) -> Removed {
        match self.ebs.volumes.get(id) {
            None => Removed::Done,
            Some(volume) if !volume.is_available() => Removed::InUse(format!("{id} is currently attached")),
            Some(volume) => {
                self.ebs.gone.insert(id.to_owned(), (volume.clone(), self.now));
                self.ebs.volumes.remove(id);
                self.did(Change::DeleteVolume(id.to_owned()));
                Removed::Done
            }
        }
    }

    /// The snapshots that a service's deployments name, and which of these does.
    fn naming(&self, target: &Target) -> BTreeMap<String, String> {
        let service = self.services.get(target);
        let deployments = service
            .map(|service| service.deployments.as_slice())
            .unwrap_or_default();
        let of = |d: &super::Deployment| {
            let why = format!("deployment {}", d.id);
            named(&d.volumes).map(|id| (id, why.clone())).collect::<Vec<_>>()
        };
        deployments.iter().flat_map(of).collect()
    }
}

fn several(found: &[Snapshot]) -> String {
    format!("{} snapshot(s)", found.len())
}

impl Snapshots for Caller {
    async fn snapshots_tagged(&self, tag: &str, value: &str) -> Result<Vec<Snapshot>, CloudError> {
        let has = |s: &Snapshot| s.tags.get(tag).is_some_and(|v| v == value);
        let argument = || format!("{tag}={value}");
        let describe = |world: &World| Ok(world.shown(has));
        let brief = |found: &Vec<_>| several(found);
        self.read("DescribeSnapshots", argument, describe, brief).await
    }

    async fn snapshots(&self, ids: &[String]) -> Result<Vec<Snapshot>, CloudError> {
        let is_asked = |s: &Snapshot| ids.contains(&s.snapshot_id);
        let describe = |world: &World| Ok(world.shown(is_asked));
        let brief = |found: &Vec<_>| several(found);
        self.read("DescribeSnapshots", || ids.join(" "), describe, brief).await
    }

    async fn create_snapshot(&self, request: &CreateSnapshot) -> Result<Snapped, CloudError> {
        let argument = || format!("{} {}", request.lineage, request.volume_id);
        let create = |world: &mut World| Ok(world.snap(request));
        let brief = |snapped: &Snapped| match snapped {
            Snapped::Made(snapshot) => snapshot.snapshot_id.clone(),
            other => format!("{other:?}"),
        };
        self.write("CreateSnapshot", argument, create, brief).await
    }

    async fn delete_snapshot(&self, id: &str) -> Result<Removed, CloudError> {
        let remove = |world: &mut World| Ok(world.remove_snapshot(id));
        let brief = |removed: &Removed| format!("{removed:?}");
        self.write("DeleteSnapshot", || id.to_owned(), remove, brief).await
    }

    async fn shared_with(&self, id: &str) -> Result<Vec<String>, CloudError> {
        let describe = |world: &World| {
            let shot = world.ebs.snapshots.get(id);
            Ok(shot.map(|shot| shot.shared_with.clone()).unwrap_or_default())
        };
        let brief = |accounts: &Vec<String>| accounts.join(", ");
        self.read("DescribeSnapshotAttribute", || id.to_owned(), describe, brief)
            .await
    }
}

impl Volumes for Caller {
    async fn volumes_tagged(&self, tag: &str, value: &str) -> Result<Vec<Volume>, CloudError> {
        let describe = |world: &World| Ok(world.volumes_with(tag, value));
        let brief = |found: &Vec<Volume>| {
            let one = |volume: &Volume| format!("{} {}", volume.volume_id, volume.state);
            found.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        self.read("DescribeVolumes", || format!("{tag}={value}"), describe, brief)
            .await
    }

    async fn available_volumes(&self) -> Result<Vec<Volume>, CloudError> {
        let describe = |world: &World| {
            let is_left = |volume: &&Volume| volume.is_available() && volume.tags.contains_key(MANAGED_TAG);
            Ok(world.ebs.volumes.values().filter(is_left).cloned().collect())
        };
        let brief = |found: &Vec<Volume>| format!("{} volume(s)", found.len());
        self.read("DescribeVolumes", || "available".to_owned(), describe, brief)
            .await
    }

    async fn named_volumes(&self, cluster: &str) -> Result<BTreeMap<String, String>, CloudError> {
        let describe = |world: &World| {
            let its = world.tasks.values().filter(|task| task.target.cluster == cluster);
            let its = its.filter(|task| task.status != TaskStatus::Stopped);
            let named = its.flat_map(|task| {
                let id = task.id().to_owned();
                task.volumes
                    .iter()
                    .map(move |volume| (volume.volume_id.clone(), id.clone()))
            });
            Ok(named.collect())
        };
        let brief = |named: &BTreeMap<_, _>| format!("{} named", named.len());
        self.read("DescribeTasks", || cluster.to_owned(), describe, brief).await
    }

    async fn delete_volume(&self, id: &str) -> Result<Removed, CloudError> {
        let remove = |world: &mut World| Ok(world.remove_volume(id));
        let brief = |removed: &Removed| format!("{removed:?}");
        self.write("DeleteVolume", || id.to_owned(), remove, brief).await
    }
}

impl ServiceVolumes for Caller {
    async fn volume_configurations(&self, service: &Target) -> Result<Option<Value>, CloudError> {
        let describe = |world: &World| {
            let primary = world.services.get(service).and_then(super::Service::primary);
            let volumes = primary
                .map(|primary| &primary.volumes)
                .filter(|volumes| !volumes.is_empty());
            Ok(volumes.map(|volumes| json!(volumes)))
        };
        let brief = |found: &Option<Value>| found.as_ref().map_or_else(|| "none".to_owned(), Value::to_string);
        self.read("DescribeServices", || service.to_string(), describe, brief)
            .await
    }

    async fn held_snapshots(&self, service: &Target) -> Result<BTreeMap<String, String>, CloudError> {
        let describe = |world: &World| Ok(world.naming(service));
        let brief = |held: &BTreeMap<String, String>| format!("{} held", held.len());
        self.read("DescribeServiceRevisions", || service.to_string(), describe, brief)
            .await
    }
}

#[cfg(test)]
mod tests;
