//! What ECS, EC2, the tasks and people do meanwhile.

use jiff::SignedDuration;
use wharfinger_cloud::world::Move;
use wharfinger_core::event::TaskStatus;
use wharfinger_core::storage::{Snapshot, SnapshotState};

use super::play::{MOST, Play};

impl Play {
    pub(super) fn happens(&mut self) {
        self.ecs();
        self.ec2();
        if !self.engine.is_quiet {
            self.people();
            self.disasters();
        }
    }

    /// What was broken for a while is mended.
    pub(super) fn falls_quiet(&mut self) {
        self.is_slow = false;
        let mut world = self.engine.world.borrow_mut();
        world.launches.refusal = None;
        world.ebs.shown_after = SignedDuration::ZERO;
    }

    /// The tasks that are not over.
    fn tasks(&self) -> Vec<String> {
        let world = self.engine.world.borrow();
        let live = world.tasks.values().filter(|task| task.status != TaskStatus::Stopped);
        live.map(|task| task.arn.clone()).collect()
    }

    /// ECS goes on with what it has begun, and tasks write.
    fn ecs(&mut self) {
        let tasks = self.tasks();
        for arn in &tasks {
            if self.engine.dice.chance(600) {
                self.engine.world.borrow_mut().write(arn);
            }
        }
        if let Some(arn) = self.engine.dice.pick(&tasks).cloned() {
            if self.engine.harms(25, "task ended by itself") {
                self.engine.world.borrow_mut().make(&Move::Stop(arn.clone()));
            }
            if self.engine.harms(10, "host lost") {
                self.engine.world.borrow_mut().lose(&arn);
            }
        }
        for _ in 0..self.engine.dice.between(0, 8) {
            let moves = self.engine.world.borrow().moves();
            let Some(next) = self.engine.dice.pick(&moves).cloned() else {
                break;
            };
            self.fails_to_start(&next);
            self.engine.world.borrow_mut().make(&next);
            let writes = self.engine.dice.pick(&tasks).cloned();
            if let Some(arn) = writes {
                self.engine.world.borrow_mut().write(&arn);
            }
        }
        let refuses = self.engine.world.borrow().launches.refusal.is_some();
        if refuses && self.engine.dice.chance(250) {
            self.engine.world.borrow_mut().launches.refusal = None;
        } else if !refuses && self.engine.harms(20, "no room") {
            self.engine.world.borrow_mut().launches.refusal = Some("RESOURCE:MEMORY".to_owned());
        }
    }

    /// A task that is about to go on ends instead, with its volume or before it has one.
    fn fails_to_start(&mut self, next: &Move) {
        let Move::Advance(arn) = next else { return };
        let starts = |status| {
            matches!(
                status,
                TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating
            )
        };
        let is_starting = self
            .engine
            .world
            .borrow()
            .tasks
            .get(arn)
            .is_some_and(|task| task.wanted && starts(task.status));
        if is_starting && self.engine.harms(60, "task failed to start") {
            self.engine.world.borrow_mut().make(&Move::Stop(arn.clone()));
        }
    }

    /// Snapshots end; how long EC2 does not show what is next is drawn.
    fn ec2(&mut self) {
        if self.is_slow {
            self.is_slow = !self.engine.dice.chance(30);
        } else {
            self.is_slow = self.engine.harms(10, "snapshots take long");
        }
        let pending: Vec<_> = {
            let world = self.engine.world.borrow();
            let all = world.ebs.snapshots.values().map(|shot| &shot.snapshot);
            let pending = all.filter(|snapshot| snapshot.state == SnapshotState::Pending);
            pending.map(|snapshot| snapshot.snapshot_id.clone()).collect()
        };
        for id in pending {
            if !self.engine.dice.chance(if self.is_slow { 5 } else { 400 }) {
                continue;
            }
            let failure = self.engine.harms(150, "snapshot failed").then_some("internal error");
            if failure.is_none() {
                self.engine.tally.count("snapshot completed");
            }
            self.engine.world.borrow_mut().end_snapshot(&id, failure);
        }
        let seconds = if self.engine.harms(150, "shown late") {
            i64::try_from(self.engine.dice.between(1, 110)).unwrap_or_default()
        } else {
            0
        };
        self.engine.world.borrow_mut().ebs.shown_after = SignedDuration::from_secs(seconds);
    }

    fn people(&mut self) {
        if self.engine.harms(5, "paused") {
            self.configure(true);
        } else if self.engine.harms(8, "count changed") {
            self.count = u32::try_from(self.engine.dice.between(1, MOST.into())).unwrap_or(1);
            self.configure(false);
        } else if self.engine.dice.chance(80) {
            self.configure(false);
        }
        let tasks = self.tasks();
        let any = self.engine.dice.pick(&tasks).cloned();
        if let Some(arn) = any
            && self.engine.harms(8, "task stopped by someone")
        {
            self.engine.world.borrow_mut().make(&Move::Stop(arn));
        }
        let spare = self.spare();
        let any = self.engine.dice.pick(&spare).cloned();
        if let Some(id) = any
            && self.engine.harms(8, "snapshot removed by someone")
        {
            let removed = self.engine.world.borrow_mut().ebs.snapshots.remove(&id);
            let now = self.engine.now();
            if let Some(shot) = removed {
                self.book.removed_by_someone(&shot.snapshot, now);
            }
        }
    }

    /// Completed snapshots without which their identity has another. Where some are pruned not the newest: what is pruned for
    /// its sake may go in the same moment.
    fn spare(&self) -> Vec<String> {
        let world = self.engine.world.borrow();
        let completed = || {
            let all = world.ebs.snapshots.values().map(|shot| &shot.snapshot);
            all.filter(|snapshot| snapshot.is_completed())
        };
        let prunes = !self.book.keep.is_unlimited();
        let is_spare = |one: &&Snapshot| {
            let mut others = completed().filter(|s| s.lineage() == one.lineage() && s.snapshot_id != one.snapshot_id);
            others.any(|other| !prunes || other.start_time > one.start_time)
        };
        let spare = completed().filter(is_spare);
        spare.map(|snapshot| snapshot.snapshot_id.clone()).collect()
    }

    /// Lambda is not there for a while, or the clock is set.
    fn disasters(&mut self) {
        if self.engine.harms(4, "outage") {
            self.engine.fail();
            for _ in 0..self.engine.dice.between(1, 12) {
                self.engine.skip(SignedDuration::from_mins(10));
                self.ecs();
                self.ec2();
            }
            // What was told meanwhile is lost.
            self.engine.world.borrow_mut().emitted.clear();
        }
    }
}
