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

mod follow;
mod input;
mod memory;
mod save;

use jiff::SignedDuration;

pub use self::input::{identity_of, started_by};
pub use self::memory::{Absent, IdentityMemory, Start};
use self::save::save;

use super::due::{Look, Turn};
use super::{Action, LINEAGE_TAG, Mounted, OWNER_TAG, RecoveryPoint, Snapshot, SnapshotState, Volume, VolumeMemory};
use crate::config::Stateful;
use crate::known::Known;
use crate::report::{Code, Outcome};

/// A task that lived for as long is no failure.
const STEADY: SignedDuration = SignedDuration::from_mins(5);

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
            return unknown(look);
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
        look.turn(memory, |since| {
            if let Some(volume) = volume {
                return look.due(task, volume, since);
            }
            let message = format!(
                "{}: EC2 and ECS show no volume of task {}: {since}",
                look.lineage, task.task
            );
            Turn::new(Outcome::Ignore, Code::NoVolume, message).again(look.soon())
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
            return save(look, volume, memory);
        }
        if let Some(turn) = self.ask_again(look, known) {
            return turn;
        }
        let mut early = Vec::new();
        if let Some(wait) = known.without_volume(look, &mut early) {
            return wait;
        }
        self.start(look, known).after(early)
    }

    /// A call that is not answered, and that nothing is in the way of. It is asked once more, which starts nothing twice; of
    /// one that is not wanted any more it is waited until it is certain that it came to nothing.
    fn ask_again(self, look: &Look<'a>, known: &mut IdentityMemory) -> Option<Turn> {
        let start = known.start.as_mut()?;
        if self.number >= self.stateful.count {
            if Absent::look(&mut known.unseen, look.now, follow::TASK_SHOWN) {
                (known.start, known.unseen) = (None, None);
                return None;
            }
            let message = format!(
                "{}: the task asked for at {} is not wanted any more; it is looked for",
                look.lineage, start.at
            );
            return Some(Turn::new(Outcome::Wait, Code::IdentityWaits, message).again(look.soon()));
        }
        let message = format!(
            "{}: the task asked for at {} is asked for once more",
            look.lineage, start.at
        );
        let mut turn = Turn::new(Outcome::Act, Code::IdentityStarts, message).again(look.soon());
        turn.calls.push(Action::RunTask {
            lineage: look.lineage.clone(),
            input: start.input.clone(),
        });
        start.again = true;
        Some(turn)
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
        let Known::Yes(point) = known.point(look) else {
            let message = format!(
                "{}: EC2 does not show the snapshot with which the next is to begin; it is looked for again",
                look.lineage
            );
            return Turn::new(Outcome::Wait, Code::IdentityWaits, message).again(look.soon());
        };
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
            again: false,
            used: false,
        });
        turn
    }
}

fn unknown(look: &Look<'_>) -> Turn {
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

impl From<&Snapshot> for RecoveryPoint {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            id: snapshot.snapshot_id.clone(),
            at: snapshot.start_time,
            gib: snapshot.volume_size,
        }
    }
}
