//! What ECS, EC2 and people do meanwhile.

use jiff::SignedDuration;
use serde_json::{Value, json};
use wharfinger_cloud::world::{Move, Shot, World};
use wharfinger_core::storage::{Lineage, Snapshot, SnapshotState};

use super::checks::completed;
use super::play::{Play, VOLUME, service};

/// `volumeConfigurations` of the service.
fn volumes(snapshot: Option<&str>) -> [Value; 1] {
    let mut volume = json!({ "name": VOLUME, "managedEBSVolume": { "sizeInGiB": 20 } });
    if let Some(id) = snapshot {
        volume["managedEBSVolume"]["snapshotId"] = json!(id);
    }
    [volume]
}

fn definition() -> Value {
    json!({ "family": "db", "containerDefinitions": [{ "name": "db", "image": "db:1" }] })
}

impl Play {
    /// The service with its volume, and snapshots that are none of ours: of another stack, and without any tag.
    pub(super) fn found(world: &mut World) {
        if let Ok(arn) = world.define(&definition()) {
            world.make_service(&service(), &arn, 1, false);
            world.configure_volumes(&service(), &volumes(None));
        }
        let lineage = Lineage::of(&service(), VOLUME);
        let foreign = [
            lineage.tags("another", "1", world.now),
            std::collections::BTreeMap::new(),
        ];
        for (n, tags) in foreign.into_iter().enumerate() {
            let snapshot = Snapshot {
                snapshot_id: format!("snap-foreign-{n}"),
                volume_id: "vol-foreign".to_owned(),
                state: SnapshotState::Completed,
                state_message: None,
                start_time: world.now,
                volume_size: 20,
                tags,
            };
            let shot = Shot {
                shown_from: world.now,
                shared_with: Vec::new(),
                in_use: false,
                snapshot,
            };
            world.ebs.snapshots.insert(shot.snapshot.snapshot_id.clone(), shot);
        }
    }

    pub(super) fn happens(&mut self) {
        self.ecs();
        self.ec2();
        self.leaves();
        if !self.engine.is_quiet {
            self.people();
        }
    }

    /// ECS goes on with what it has begun.
    fn ecs(&mut self) {
        if self.engine.harms(25, "task crashed") {
            let arns: Vec<_> = self.engine.world.borrow().tasks.keys().cloned().collect();
            if let Some(arn) = self.engine.dice.pick(&arns) {
                self.engine.world.borrow_mut().make(&Move::Stop(arn.clone()));
            }
        }
        for _ in 0..self.engine.dice.between(0, 8) {
            let moves = self.engine.world.borrow().moves();
            let Some(next) = self.engine.dice.pick(&moves) else {
                return;
            };
            self.engine.world.borrow_mut().make(next);
        }
    }

    /// Snapshots end; how long EC2 does not show the next is drawn.
    fn ec2(&mut self) {
        let pending = |shot: &&Shot| shot.snapshot.state == SnapshotState::Pending;
        let pending: Vec<_> = {
            let world = self.engine.world.borrow();
            let pending = world.ebs.snapshots.values().filter(pending);
            pending.map(|shot| shot.snapshot.snapshot_id.clone()).collect()
        };
        for id in pending {
            if !self.engine.dice.chance(400) {
                continue;
            }
            let failure = self.engine.harms(150, "snapshot failed").then_some("internal error");
            if failure.is_none() {
                self.engine.tally.count("snapshot completed");
            }
            self.engine.world.borrow_mut().end_snapshot(&id, failure);
        }
        if self.engine.harms(200, "snapshot shown late") {
            let seconds = i64::try_from(self.engine.dice.between(1, 110)).unwrap_or_default();
            self.engine.world.borrow_mut().ebs.shown_after = SignedDuration::from_secs(seconds);
        } else {
            self.engine.world.borrow_mut().ebs.shown_after = SignedDuration::ZERO;
        }
    }

    fn people(&mut self) {
        let completed: Vec<_> = {
            let ours = completed(&self.engine.world.borrow()).into_iter();
            ours.map(|snapshot| snapshot.snapshot_id).collect()
        };
        let any = self.engine.dice.pick(&completed).cloned();
        if let Some(id) = any {
            self.about(&id);
        }
        if self.engine.harms(8, "deployed without a snapshot") {
            self.deploy(None);
        }
        if self.engine.harms(5, "count changed") {
            let count = u32::try_from(self.engine.dice.between(0, 2)).unwrap_or(1);
            self.engine.world.borrow_mut().set_count(&service(), count);
            let now = self.engine.now();
            self.book.counted(count, now);
        } else if self.engine.dice.chance(60) {
            self.engine.world.borrow_mut().set_count(&service(), 1);
            let now = self.engine.now();
            self.book.counted(1, now);
        }
        if self.engine.harms(5, "paused") {
            self.configure(true, true);
        } else if self.engine.harms(5, "taken out of the configuration") {
            self.configure(false, false);
        } else if self.engine.dice.chance(80) {
            self.configure(true, false);
        }
    }

    /// What people do with a snapshot.
    fn about(&mut self, id: &str) {
        if self.engine.harms(15, "snapshot shared") {
            self.change(id, |shot| shot.shared_with = vec!["444455556666".to_owned()]);
        }
        if self.engine.dice.chance(15) {
            self.change(id, |shot| shot.shared_with.clear());
        }
        if self.engine.harms(10, "image made of a snapshot") {
            self.change(id, |shot| shot.in_use = true);
        }
        if self.engine.dice.chance(10) {
            self.change(id, |shot| shot.in_use = false);
        }
        if self.engine.harms(10, "deployed with a snapshot") {
            self.deploy(Some(id));
        }
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Shot)) {
        if let Some(shot) = self.engine.world.borrow_mut().ebs.snapshots.get_mut(id) {
            change(shot);
        }
    }

    /// A deployment whose tasks start from a snapshot, or from nothing.
    pub(super) fn deploy(&mut self, snapshot: Option<&str>) {
        let mut world = self.engine.world.borrow_mut();
        if let Ok(arn) = world.define(&definition()) {
            world.deploy_by_hand(&service(), &arn);
            world.configure_volumes(&service(), &volumes(snapshot));
        }
    }
}
