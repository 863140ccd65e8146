//! What became of the task that was started last, of a call that was not answered, and of the volume.

use jiff::SignedDuration;

use super::{Absent, IdentityMemory, STEADY, Shown};
use crate::known::Known;
use crate::report::{Code, Outcome, Reason};
use crate::storage::due::{Look, Turn};
use crate::storage::{Mounted, RecoveryPoint, Snapshot};

/// How long ECS may not show a task that it started (ECS API reference, `RunTask`: "eventual consistency", up to 5 minutes).
pub(super) const TASK_SHOWN: SignedDuration = SignedDuration::from_mins(5);
/// How long EC2 may not show a volume that was made (EC2 API reference, "Eventual consistency").
const VOLUME_SHOWN: SignedDuration = SignedDuration::from_mins(2);
/// The same of what was there: a volume that a task had, a snapshot that was completed.
const LOST: SignedDuration = SignedDuration::from_mins(5);

impl IdentityMemory {
    /// A task of it lives.
    pub(super) fn meet(&mut self, task: &Mounted, shown: &Shown<'_>, look: &Look<'_>) {
        let is_known = self.task.as_ref().is_some_and(|known| known.id() == task.task);
        if let Some(arn) = task.arn.clone().filter(|_| !is_known) {
            self.adopt(arn, task.started_at.unwrap_or(look.now));
        }
        (self.start, self.unseen, self.ended, self.bare) = (None, None, None, None);
        self.found = false;
        let newest = shown.volumes.last().map(|volume| volume.volume_id.clone());
        if let Some(volume) = newest.or_else(|| task.volumes.first().map(|volume| volume.volume_id.clone())) {
            (self.volume, self.begun) = (Some(volume), true);
        }
        if task.runs && task.started_at.is_some_and(|at| look.age(at) >= STEADY) {
            (self.failures, self.refused) = (0, None);
        }
    }

    /// Whether the task that was started last is over: ECS says so, or has not shown it for so long that it must be.
    pub(super) fn follow_task(&mut self, look: &Look<'_>, shown: &Shown<'_>) -> Option<Turn> {
        let task = self.task.clone()?;
        if self.ended.is_some() {
            return None;
        }
        let over = shown.tasks.iter().find(|one| one.task == task.id());
        let is_young = self.started.is_some_and(|at| look.age(at).abs() < TASK_SHOWN);
        if over.is_none() && (!Absent::look(&mut self.unseen, look.now, VOLUME_SHOWN) || is_young) {
            let message = format!(
                "{}: ECS does not show task {}; it is looked for again",
                look.lineage,
                task.id()
            );
            return Some(Turn::new(Outcome::Wait, Code::IdentityWaits, message).again(look.soon()));
        }
        self.ended = Some(look.now);
        let lived = over.and_then(|one| one.started_at).map(|at| look.age(at));
        if over.is_some() && lived.is_none_or(|lived| lived < STEADY) {
            self.fail(look.now);
        }
        if let Some(volume) = over.and_then(|one| one.volumes.first()) {
            (self.volume, self.begun) = (Some(volume.volume_id.clone()), true);
        }
        None
    }

    /// What became of a call that was not answered, as far as a task or a volume tells it.
    pub(super) fn follow_start(&mut self, look: &Look<'_>, shown: &Shown<'_>, early: &mut Vec<Reason>) -> Option<Turn> {
        let start = self.start.as_ref()?;
        let (at, used) = (start.at, start.used);
        let last = self.task.as_ref().map(|task| task.id().to_owned());
        let resumed = |what: String| {
            let message = format!("{}: the task asked for at {at} {what}", look.lineage);
            Reason::new(Code::IntentResumed, message)
        };
        // None lives, so this one is over.
        let over = shown.tasks.iter().find(|task| Some(&task.task) != last.as_ref());
        if let Some((task, arn)) = over.and_then(|task| Some((task, task.arn.clone()?))) {
            early.push(resumed(format!("was {}", task.task)));
            self.adopt(arn, at);
            return self.follow_task(look, shown);
        }
        let made = shown.volumes.iter().any(|volume| volume.asked_at() == Some(at));
        if !made && !used {
            return None;
        }
        if !Absent::look(&mut self.unseen, look.now, TASK_SHOWN) {
            let message = format!("{}: ECS does not show the task asked for at {at} yet", look.lineage);
            return Some(Turn::new(Outcome::Wait, Code::IdentityWaits, message).again(look.soon()));
        }
        early.push(resumed("is over, or was never started: ECS shows none".to_owned()));
        (self.start, self.unseen, self.bare) = (None, None, None);
        (self.task, self.started, self.ended) = (None, None, Some(look.now));
        None
    }

    /// EC2 shows no volume of it.
    pub(super) fn without_volume(&mut self, look: &Look<'_>, early: &mut Vec<Reason>) -> Option<Turn> {
        if self.ended.is_none() || (self.found && self.volume.is_none()) {
            return None;
        }
        let least = if self.volume.is_some() { LOST } else { VOLUME_SHOWN };
        if !Absent::look(&mut self.bare, look.now, least) {
            let message = format!(
                "{}: EC2 shows no volume of the task that is over; it is looked for",
                look.lineage
            );
            return Some(Turn::new(Outcome::Wait, Code::IdentityWaits, message).again(look.soon()));
        }
        let gone = self.volume.take();
        self.found = true;
        let is_saved = self
            .saved
            .as_ref()
            .is_some_and(|saved| look.is_of(&saved.id, gone.as_deref()));
        if let Some(volume) = gone.filter(|_| !is_saved) {
            let message = format!(
                "{}: {volume} is not there, and no snapshot was made of it once its task was over: what was written since \
                 the newest one is lost",
                look.lineage
            );
            early.push(Reason::new(Code::VolumeGone, message));
        }
        None
    }

    /// What the volume of the next begins with: the snapshot of the last volume, or a newer one that was made while a task
    /// ran. When the first is not shown that answer may be from before; after a while someone has removed it.
    pub(super) fn point(&mut self, look: &Look<'_>) -> Known<Option<RecoveryPoint>> {
        let completed = || {
            look.snapshots
                .iter()
                .copied()
                .filter(|snapshot| snapshot.is_completed())
        };
        let Some(saved) = &self.saved else {
            return Known::Yes(look.newest_completed().map(RecoveryPoint::from));
        };
        let is_newer = |snapshot: &&Snapshot| snapshot.start_time > saved.at && !snapshot.is_final();
        let is_saved = |snapshot: &&Snapshot| snapshot.snapshot_id == saved.id;
        if let Some(point) = completed().find(is_newer).or_else(|| completed().find(is_saved)) {
            self.unlisted = None;
            return Known::Yes(Some(RecoveryPoint::from(point)));
        }
        if !Absent::look(&mut self.unlisted, look.now, LOST) {
            return Known::No;
        }
        (self.saved, self.saved_of, self.unlisted) = (None, None, None);
        Known::Yes(look.newest_completed().map(RecoveryPoint::from))
    }
}

impl Look<'_> {
    /// Whether a snapshot was made of that volume.
    fn is_of(&self, snapshot: &str, volume: Option<&str>) -> bool {
        let is_its = |s: &&&Snapshot| s.snapshot_id == snapshot && Some(s.volume_id.as_str()) == volume;
        self.snapshots.iter().any(|s| is_its(&s))
    }
}
