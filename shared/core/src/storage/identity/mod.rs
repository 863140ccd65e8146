//! An identity of a stateful family: one task and one volume at a time, and the volume outlives the task until a snapshot
//! has what was on it.
//!
//! | what is found | code | outcome |
//! |---|---|---|
//! | its tasks or its volumes are not known | `FactsMissing` | wait |
//! | two tasks of it live | `IdentityStuck` | wait |
//! | a task of it runs | `IdentityRuns`, or what `due` says of a snapshot | ignore, act |
//! | a task of it starts or stops, or its call is not answered | `IdentityWaits` | wait |
//! | ECS shows no more the task that was started last | `IdentityWaits`, until that is certain | wait |
//! | a volume of it is left, and attached | `IdentityWaits` | wait |
//! | the same, detached, with no snapshot made since | `SnapshotDue` | act |
//! | the same, and that snapshot is pending or failed | `SnapshotPending`, `SnapshotFailed` | wait, act |
//! | the same, and that snapshot is completed | `VolumeSaved`: the volume is removed | act |
//! | EC2 shows no volume of the task that is over | `IdentityWaits`, then `VolumeGone` | wait |
//! | it is not among the count any more | `NotConfigured` | ignore |
//! | it had a volume, and there is no completed snapshot | `IdentityStuck` | wait |
//! | the last ones did not live, or ECS refused them | `IdentityWaits` | wait |
//! | otherwise | `IdentityStarts` | act |
//!
//! A snapshot of a detached volume shows all that was written, whatever the clocks say: ECS never attaches a volume again. So
//! it carries a mark ([`FINAL_TAG`](super::FINAL_TAG)), and only such a one lets the volume go.

mod input;
mod memory;

use jiff::SignedDuration;

pub use self::input::{identity_of, started_by};
pub use self::memory::{Absent, IdentityMemory, Start};

use super::due::{Look, Turn};
use super::{
    Action, Intent, LINEAGE_TAG, Mounted, OWNER_TAG, RecoveryPoint, Snapshot, SnapshotState, Volume, VolumeMemory,
};
use crate::config::Stateful;
use crate::known::Known;
use crate::report::{Code, Outcome, Reason};

/// A task that lived for as long is no failure.
const STEADY: SignedDuration = SignedDuration::from_mins(5);
/// How long ECS may not show a task that it started (ECS API reference, `RunTask`: "eventual consistency", up to 5 minutes).
const TASK_SHOWN: SignedDuration = SignedDuration::from_mins(5);
/// How long EC2 may not show a volume that was made (EC2 API reference, "Eventual consistency").
const VOLUME_SHOWN: SignedDuration = SignedDuration::from_mins(2);
/// The same of a volume that a task is known to have had.
const VOLUME_LOST: SignedDuration = SignedDuration::from_mins(5);
/// How long after a snapshot that came to nothing the next is tried.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// One identity, and how it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) stateful: &'a Stateful,
    pub(super) number: u32,
}

/// What ECS and EC2 show of it.
struct Shown<'a> {
    tasks: Vec<&'a Mounted>,
    volumes: Vec<&'a Volume>,
}

impl<'a> Identity<'a> {
    /// Decides what is next, and keeps the memory.
    pub(super) fn turn(self, look: &Look<'a>, memory: &mut VolumeMemory) -> Turn {
        let Some(shown) = self.shown(look, memory) else {
            return self.unknown(look);
        };
        let known = memory.identity.get_or_insert_default();
        let live: Vec<_> = shown.tasks.iter().copied().filter(|task| !task.is_over).collect();
        match live.as_slice() {
            [] => {}
            [task] => {
                known.meet(task, &shown, look);
                return self.live(look, task, &shown, memory);
            }
            [one, another, ..] => {
                let message = format!(
                    "{}: tasks {} and {} both live, and it is to have one: nothing is done until one is stopped",
                    look.lineage, one.task, another.task
                );
                return Turn::new(Outcome::Wait, Code::IdentityStuck, message).again(look.soon());
            }
        }
        if known.task.is_none() && known.start.is_none() {
            // Nothing is remembered, and yet it has run.
            let over = shown
                .tasks
                .iter()
                .find_map(|task| task.arn.clone().zip(task.started_at.or(Some(look.now))));
            if let Some((arn, at)) = over {
                known.adopt(arn, at);
            }
        }
        if let Some(wait) = known.follow_task(look, &shown) {
            return wait;
        }
        let mut early = Vec::new();
        if let Some(wait) = known.follow_start(look, &shown, &mut early) {
            return wait.after(early);
        }
        let turn = self.over(look, &shown, memory);
        turn.after(early)
    }

    fn shown(self, look: &Look<'a>, memory: &VolumeMemory) -> Option<Shown<'a>> {
        let (Known::Yes(tasks), Known::Yes(volumes)) = (&look.facts.tasks, &look.facts.identities) else {
            return None;
        };
        let by = started_by(&look.facts.owner, self.number);
        let last = memory.identity.as_ref().and_then(|known| known.task.as_ref());
        let is_its =
            |task: &&Mounted| task.started_by.as_ref() == Some(&by) || last.is_some_and(|last| last.id() == task.task);
        let is_left = |volume: &&Volume| {
            let of = volume.lineage().map(|of| (of.target, of.identity));
            // Whatever name it had: what is on it goes over to the one of now.
            let is_its = of == Some((look.lineage.target.clone(), look.lineage.identity));
            is_its && volume.is_of(&look.facts.owner) && !volume.is_leaving()
        };
        let mut volumes: Vec<_> = volumes.iter().filter(is_left).collect();
        volumes.sort_by_key(|volume| (volume.create_time, &volume.volume_id));
        Some(Shown {
            tasks: tasks.iter().filter(is_its).collect(),
            volumes,
        })
    }

    fn unknown(self, look: &Look<'_>) -> Turn {
        let message = format!("{}: which tasks and volumes it has is not known", look.lineage);
        let mut turn = Turn::new(Outcome::Wait, Code::FactsMissing, message).again(look.soon());
        if look.facts.tasks == Known::No {
            turn.missing.extend(["ListTasks", "DescribeTasks"]);
        }
        if look.facts.identities == Known::No {
            turn.missing.push("DescribeVolumes");
        }
        turn
    }

    /// A task of it lives.
    fn live(self, look: &Look<'a>, task: &Mounted, shown: &Shown<'_>, memory: &VolumeMemory) -> Turn {
        if !task.runs {
            let message = format!("{}: task {} starts or stops", look.lineage, task.task);
            return Turn::new(Outcome::Wait, Code::IdentityWaits, message).again(look.soon());
        }
        if look.every.is_none() {
            let message = format!("{}: task {} runs", look.lineage, task.task);
            return Turn::new(Outcome::Ignore, Code::IdentityRuns, message);
        }
        let volume = task.volume(&self.stateful.volume).or_else(|| {
            let attached = shown.volumes.iter().rev().find(|volume| volume.state == "in-use");
            attached.map(|volume| volume.volume_id.as_str())
        });
        look.turn(memory, |since| match volume {
            Some(volume) => look.due(task, volume, since),
            None => {
                let message = format!(
                    "{}: EC2 and ECS show no volume of task {}: {since}",
                    look.lineage, task.task
                );
                Turn::new(Outcome::Ignore, Code::NoVolume, message).again(look.soon())
            }
        })
    }

    /// No task of it lives, and that is certain.
    fn over(self, look: &Look<'a>, shown: &Shown<'_>, memory: &mut VolumeMemory) -> Turn {
        let known = memory.identity.get_or_insert_default();
        // That of a call that is not answered is not looked at: its task may live.
        let asked = known.start.as_ref().map(|start| start.at);
        let left = shown
            .volumes
            .iter()
            .find(|volume| asked.is_none() || volume.asked_at() != asked);
        if let Some(volume) = left {
            return self.save(look, volume, memory);
        }
        if let Some(start) = &known.start {
            // Nothing is left in its way: it is asked once more, which starts nothing twice.
            let message = format!(
                "{}: the task asked for at {} is asked for once more",
                look.lineage, start.at
            );
            let mut turn = Turn::new(Outcome::Act, Code::IdentityStarts, message).again(look.soon());
            turn.calls.push(Action::RunTask {
                lineage: look.lineage.clone(),
                input: start.input.clone(),
            });
            return turn;
        }
        let mut early = Vec::new();
        if let Some(wait) = known.without_volume(look, &mut early) {
            return wait;
        }
        self.start(look, known).after(early)
    }

    /// A volume of a task that is over: it goes once a snapshot has what is on it.
    fn save(self, look: &Look<'a>, volume: &Volume, memory: &mut VolumeMemory) -> Turn {
        let id = &volume.volume_id;
        let known = memory.identity.get_or_insert_default();
        (known.found, known.begun, known.bare) = (true, true, None);
        known.volume.get_or_insert_with(|| id.clone());
        if !volume.is_available() {
            let message = format!("{}: {id} is {}: it is waited for", look.lineage, volume.state);
            let code = if volume.state == "error" {
                Code::IdentityStuck
            } else {
                Code::IdentityWaits
            };
            return Turn::new(Outcome::Wait, code, message).again(look.soon());
        }
        let finals = || look.snapshots.iter().filter(|s| s.volume_id == *id && s.is_final());
        if let Some(done) = finals().find(|snapshot| snapshot.is_completed()) {
            known.saved = Some(RecoveryPoint::from(*done));
            let message = format!(
                "{}: {id} is in {} of {}: the volume goes",
                look.lineage, done.snapshot_id, done.start_time
            );
            let mut turn = Turn::new(Outcome::Act, Code::VolumeSaved, message).again(look.soon());
            turn.calls.push(Action::DeleteVolume {
                lineage: look.lineage.clone(),
                volume_id: id.clone(),
                ours: volume.is_of(&look.facts.owner),
            });
            return turn;
        }
        let wait = |code, message: String| Turn::new(Outcome::Wait, code, message).again(look.soon());
        if let Some(intent) = &memory.intent
            && look.answer(intent).is_none()
        {
            let message = format!(
                "{}: a snapshot of {} was asked for at {}: EC2 may not show it yet",
                look.lineage, intent.volume_id, intent.at
            );
            return wait(Code::SnapshotPending, message);
        }
        if let Some(pending) = finals().find(|s| s.state == SnapshotState::Pending) {
            let message = format!(
                "{}: the data of {id} is still copied to {}",
                look.lineage, pending.snapshot_id
            );
            return wait(Code::SnapshotPending, message);
        }
        let failed = finals().find(|s| s.state == SnapshotState::Error);
        if let Some(failed) = failed.filter(|failed| look.age(failed.start_time) < RETRY_AFTER) {
            let message = format!(
                "{}: {} of {id} failed: the next is tried after {RETRY_AFTER:#}",
                look.lineage, failed.snapshot_id
            );
            return wait(Code::SnapshotFailed, message);
        }
        let task = known.task.as_ref().map_or("unknown", |task| task.id());
        let message = format!(
            "{}: the task of {id} is over, and no snapshot was made of it since",
            look.lineage
        );
        let mut turn = Turn::new(Outcome::Act, Code::SnapshotDue, message).again(look.soon());
        turn.intent = Some(Intent {
            volume_id: id.clone(),
            task: task.to_owned(),
            at: look.now,
            snapshot: None,
            is_final: true,
        });
        turn
    }

    /// Nothing is left of the last one.
    fn start(self, look: &Look<'a>, known: &mut IdentityMemory) -> Turn {
        if self.number >= self.stateful.count {
            let message = format!("{}: it is not among the {} any more", look.lineage, self.stateful.count);
            return Turn::new(Outcome::Ignore, Code::NotConfigured, message);
        }
        let is_copied = |s: &&&Snapshot| s.state == SnapshotState::Pending && s.is_final();
        if let Some(pending) = look.snapshots.iter().find(is_copied) {
            let message = format!("{}: the data of {} is still copied", look.lineage, pending.snapshot_id);
            return Turn::new(Outcome::Wait, Code::SnapshotPending, message).again(look.soon());
        }
        let point = self.point(look, known);
        if point.is_none() && (known.begun || !look.snapshots.is_empty()) {
            let message = format!(
                "{}: it had a volume, and there is no completed snapshot of it: it does not begin with an empty one. Give the \
                 snapshot that it is to begin with the tags {LINEAGE_TAG}={} and {OWNER_TAG}={}",
                look.lineage, look.lineage, look.facts.owner
            );
            return Turn::new(Outcome::Wait, Code::IdentityStuck, message).again(look.soon());
        }
        if let Some(then) = known.not_before.filter(|then| look.now < *then) {
            let why = match &known.refused {
                Some(words) => format!("ECS refused it: {words}"),
                None => format!("{} in a row did not live for {STEADY:#}", known.failures),
            };
            let message = format!("{}: {why}; the next is started at {then}", look.lineage);
            return Turn::new(Outcome::Wait, Code::IdentityWaits, message).again(then);
        }
        let begins = point.as_ref().map_or_else(
            || "an empty volume".to_owned(),
            |point| format!("{} of {}", point.id, point.at),
        );
        let message = format!("{}: a task is started, whose volume begins with {begins}", look.lineage);
        let mut turn = Turn::new(Outcome::Act, Code::IdentityStarts, message).again(look.soon());
        let input = input::input(self.stateful, look.lineage, &look.facts.owner, look.now, point.as_ref());
        turn.calls.push(Action::RunTask {
            lineage: look.lineage.clone(),
            input: input.clone(),
        });
        turn.start = Some(Start {
            at: look.now,
            snapshot: point,
            input,
            used: false,
        });
        turn
    }

    /// What the volume begins with: the snapshot of the last one, and should someone have removed that, the newest.
    fn point(self, look: &Look<'a>, known: &IdentityMemory) -> Option<RecoveryPoint> {
        let saved = known.saved.as_ref();
        let is_saved = |s: &&&Snapshot| saved.is_some_and(|saved| saved.id == s.snapshot_id) && s.is_completed();
        let saved = look.snapshots.iter().find(is_saved).copied();
        saved.or_else(|| look.newest_completed()).map(RecoveryPoint::from)
    }
}

impl IdentityMemory {
    /// A task of it lives.
    fn meet(&mut self, task: &Mounted, shown: &Shown<'_>, look: &Look<'_>) {
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
    fn follow_task(&mut self, look: &Look<'_>, shown: &Shown<'_>) -> Option<Turn> {
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
    fn follow_start(&mut self, look: &Look<'_>, shown: &Shown<'_>, early: &mut Vec<Reason>) -> Option<Turn> {
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
        early.push(resumed("is over, and ECS knows it no more".to_owned()));
        (self.start, self.unseen, self.bare) = (None, None, None);
        (self.task, self.started, self.ended) = (None, None, Some(look.now));
        None
    }

    /// EC2 shows no volume of it.
    fn without_volume(&mut self, look: &Look<'_>, early: &mut Vec<Reason>) -> Option<Turn> {
        if self.ended.is_none() || (self.found && self.volume.is_none()) {
            return None;
        }
        let least = if self.volume.is_some() {
            VOLUME_LOST
        } else {
            VOLUME_SHOWN
        };
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
}

impl Look<'_> {
    /// Whether a snapshot was made of that volume.
    fn is_of(&self, snapshot: &str, volume: Option<&str>) -> bool {
        let is_its = |s: &&&Snapshot| s.snapshot_id == snapshot && Some(s.volume_id.as_str()) == volume;
        self.snapshots.iter().any(|s| is_its(&s))
    }
}

impl From<&Snapshot> for RecoveryPoint {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            id: snapshot.snapshot_id.clone(),
            at: snapshot.start_time,
            gib: snapshot.volume_size,
        }
    }
}
