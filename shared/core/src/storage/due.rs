//! Whether a snapshot is due, and of which volume.
//!
//! | what is found | code | outcome |
//! |---|---|---|
//! | one was asked for, and EC2 may not show it yet | `SnapshotPending` | wait |
//! | the newest is younger than `every` | `SnapshotFresh` | ignore |
//! | it is due, and the data of one is still copied | `SnapshotPending` | wait |
//! | it is due, and the last came to nothing a moment ago | `SnapshotFailed` | wait |
//! | it is due, and the service or its tasks are not known | `FactsMissing` | wait |
//! | there is no such service | `ServiceNotFound` | ignore |
//! | the service is to have several tasks | `PerTaskState` | ignore |
//! | no task runs with such a volume | `NoVolume` | ignore |
//! | several do, while a deployment is in progress | `DeploymentInProgress` | wait, for `every` at most |
//! | otherwise | `SnapshotDue` | act |

use jiff::{SignedDuration, Timestamp};

use super::identity::{Identity, Start};
use super::memory::Failed;
use super::notice::{Notice, Stage};
use super::{Action, Facts, Intent, Lineage, Mounted, Snapshot, SnapshotState, VolumeMemory};
use crate::config::Span;
use crate::known::Known;
use crate::report::{Code, Outcome, Reason, counted};
use crate::service::ServiceFacts;

/// How long EC2 may not show a snapshot that was asked for (EC2 API reference, "Eventual consistency": "you might need to wait
/// a few seconds or a few minutes"). After that it was not made.
pub(super) const SHOWN_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// The same of one that EC2 answered with: if it is not shown after that, someone removed it.
pub(super) const GONE_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// How long after one that came to nothing the next is tried, at most.
pub(super) const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// How much sooner than `every` the next may be made: looks come once a minute, give or take seconds, and `every: 1m` is not
/// to become two.
const SLACK: SignedDuration = SignedDuration::from_secs(10);
/// How soon one looks again at what waits.
const SOON: SignedDuration = SignedDuration::from_mins(1);

/// One lineage with a `snapshot`, and what is known of it.
pub(super) struct Look<'a> {
    pub(super) facts: &'a Facts,
    pub(super) lineage: &'a Lineage,
    /// How often one is made; none are of a stateful task that is configured without it.
    pub(super) every: Option<Span>,
    /// Of a stateful family: which of its tasks.
    pub(super) identity: Option<Identity<'a>>,
    /// Our snapshots of it, the newest first.
    pub(super) snapshots: &'a [&'a Snapshot],
    pub(super) now: Timestamp,
}

/// What comes of it.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) outcome: Outcome,
    pub(super) reasons: Vec<Reason>,
    /// The snapshot to be made.
    pub(super) intent: Option<Intent>,
    /// The task to be started.
    pub(super) start: Option<Start>,
    /// The calls besides the snapshot's.
    pub(super) calls: Vec<Action>,
    pub(super) missing: Vec<&'static str>,
    /// When to look again, if no event tells anything.
    pub(super) again: Option<Timestamp>,
    pub(super) notices: Vec<Notice>,
}

impl Turn {
    pub(super) fn new(outcome: Outcome, code: Code, message: String) -> Self {
        Self {
            outcome,
            reasons: vec![Reason::new(code, message)],
            intent: None,
            start: None,
            calls: Vec::new(),
            missing: Vec::new(),
            again: None,
            notices: Vec::new(),
        }
    }

    pub(super) fn again(mut self, at: Timestamp) -> Self {
        self.again = Some(at);
        self
    }

    /// The same, with what is said before it.
    pub(super) fn after(mut self, early: Vec<Reason>) -> Self {
        self.reasons.splice(0..0, early);
        self
    }

    /// Whether a snapshot is due that there is a volume for, or may be.
    fn is_owed(&self) -> bool {
        let code = self.reasons.first().map(|reason| reason.code);
        !matches!(
            code,
            Some(
                Code::SnapshotFresh
                    | Code::ServiceNotFound
                    | Code::NoVolume
                    | Code::FactsMissing
                    | Code::IdentityRuns
                    | Code::IdentityStarts
                    | Code::IdentityWaits
                    | Code::IdentityStuck
                    | Code::IntentResumed
                    | Code::VolumeSaved
                    | Code::VolumeGone
                    | Code::NotConfigured
            )
        )
    }
}

impl<'a> Look<'a> {
    /// Decides, and keeps the memory.
    pub(super) fn take(&self, memory: &mut VolumeMemory) -> Turn {
        let mut early = self.resume(memory);
        early.extend(self.tell_completed(memory));
        let failed = self.tell_failed(memory);
        let mut turn = match self.identity {
            Some(identity) => identity.turn(self, memory),
            None => self.turn(memory, |since| self.of_volume(memory, since)),
        };
        self.reckon(memory, &mut turn);
        if let Some(notice) = failed {
            if turn.reasons.iter().all(|reason| reason.code != Code::SnapshotFailed) {
                early.push(Reason::new(Code::SnapshotFailed, notice.reason.clone()));
            }
            turn.notices.insert(0, notice);
        }
        turn.after(early)
    }

    /// What became of the snapshot that was asked for. It is remembered for as long as EC2 may not show it, though it did:
    /// the next answer may be one from before.
    fn resume(&self, memory: &mut VolumeMemory) -> Vec<Reason> {
        let Some(intent) = &mut memory.intent else {
            return Vec::new();
        };
        let age = self.age(intent.at).abs();
        let (message, is_over) = if let Some(made) = self.answer(intent) {
            let was_lost = intent.snapshot.replace(made.snapshot_id.clone()).is_none();
            let message = format!(
                "{}, asked for at {}, was made of {}",
                made.snapshot_id, intent.at, intent.volume_id
            );
            (was_lost.then_some(message), age >= SHOWN_AFTER)
        } else if age < intent.shown_after() {
            (None, false)
        } else if let Some(id) = &intent.snapshot {
            let message = format!("{id}, made at {}, is not there any more", intent.at);
            (Some(message), true)
        } else {
            let message = format!("the snapshot that was to be made at {} was not", intent.at);
            (Some(message), true)
        };
        if is_over {
            memory.intent = None;
        }
        let reason = message.map(|message| Reason::new(Code::IntentResumed, format!("{}: {message}", self.lineage)));
        reason.into_iter().collect()
    }

    /// The snapshot that an intent made, if EC2 shows it.
    pub(super) fn answer(&self, intent: &Intent) -> Option<&Snapshot> {
        let is_answer = |snapshot: &&&Snapshot| {
            snapshot.asked_at() == Some(intent.at) || intent.snapshot.as_ref() == Some(&snapshot.snapshot_id)
        };
        self.snapshots.iter().find(is_answer).copied()
    }

    /// A recovery point that the last look did not find.
    fn tell_completed(&self, memory: &VolumeMemory) -> Option<Reason> {
        let before = memory.standing.as_ref()?;
        let newest = self.newest_completed()?;
        if before
            .newest
            .as_ref()
            .is_some_and(|known| known.id == newest.snapshot_id)
        {
            return None;
        }
        let message = format!(
            "{}: {} of {} is completed: it is the newest recovery point",
            self.lineage, newest.snapshot_id, newest.start_time
        );
        Some(Reason::new(Code::SnapshotSucceeded, message))
    }

    /// One that came to nothing, and was not told.
    fn tell_failed(&self, memory: &mut VolumeMemory) -> Option<Notice> {
        let failed = self.newest_failed()?;
        let told = memory.failed.as_ref();
        if told.is_some_and(|told| (told.at, &told.snapshot) >= (failed.start_time, &failed.snapshot_id)) {
            return None;
        }
        let why = failed
            .state_message
            .clone()
            .unwrap_or_else(|| "EC2 says no more".to_owned());
        let notice = Notice {
            stage: Stage::SnapshotFailed,
            lineage: self.lineage.clone(),
            snapshot: Some(failed.snapshot_id.clone()),
            snapshot_at: Some(failed.start_time),
            reason: format!(
                "{}: {} of {} failed: {why}",
                self.lineage, failed.snapshot_id, failed.start_time
            ),
            at: self.now,
        };
        memory.failed = Some(Failed {
            snapshot: failed.snapshot_id.clone(),
            at: failed.start_time,
            message: why,
        });
        Some(notice)
    }

    /// Since when one is due, and whether that is to be told.
    fn reckon(&self, memory: &mut VolumeMemory, turn: &mut Turn) {
        if !turn.is_owed() {
            // What is not known does not make it fresh.
            if turn.missing.is_empty() {
                (memory.due, memory.late) = (None, false);
            }
            return;
        }
        let due = *memory.due.get_or_insert(self.now);
        if memory.late || turn.intent.is_some() || self.age(due) < self.period() {
            return;
        }
        memory.late = true;
        let newest = self.newest_completed();
        let had = newest.map_or_else(
            || "there is no recovery point".to_owned(),
            |newest| {
                format!(
                    "the newest recovery point is {} of {}",
                    newest.snapshot_id, newest.start_time
                )
            },
        );
        let because = turn
            .reasons
            .first()
            .map(|reason| reason.message.clone())
            .unwrap_or_default();
        turn.notices.push(Notice {
            stage: Stage::RecoveryPointLate,
            lineage: self.lineage.clone(),
            snapshot: newest.map(|newest| newest.snapshot_id.clone()),
            snapshot_at: newest.map(|newest| newest.start_time),
            reason: format!("{}: {had}, and one is due since {due}: {because}", self.lineage),
            at: self.now,
        });
    }

    /// Whether one is due; of which volume the caller says, who is told since when.
    pub(super) fn turn(&self, memory: &VolumeMemory, of_volume: impl FnOnce(&str) -> Turn) -> Turn {
        if let Some(intent) = memory.intent.as_ref().filter(|intent| self.answer(intent).is_none()) {
            let message = format!(
                "{}: a snapshot of {} was asked for at {}: EC2 may not show it yet",
                self.lineage, intent.volume_id, intent.at
            );
            return Turn::new(Outcome::Wait, Code::SnapshotPending, message).again(self.soon());
        }
        let newest = self
            .snapshots
            .iter()
            // One of the recycle bin is no recovery point, and becomes none by itself.
            .find(|snapshot| matches!(snapshot.state, SnapshotState::Completed | SnapshotState::Pending));
        if let Some(newest) = newest
            && self.age(newest.start_time) + SLACK < self.period()
        {
            return self.fresh(newest);
        }
        if let Some(pending) = self.pending().next() {
            let message = format!(
                "{}: the data of {} of {} is still copied: the next is made after it",
                self.lineage, pending.snapshot_id, pending.start_time
            );
            return Turn::new(Outcome::Wait, Code::SnapshotPending, message).again(self.soon());
        }
        if let Some(failed) = self.newest_failed() {
            let wait = self.period().min(RETRY_AFTER);
            if newest.is_none_or(|newest| newest.start_time < failed.start_time) && self.age(failed.start_time) < wait {
                let message = format!(
                    "{}: {} failed: the next is tried after {wait:#}",
                    self.lineage, failed.snapshot_id
                );
                let retry = after(failed.start_time, wait);
                return Turn::new(Outcome::Wait, Code::SnapshotFailed, message).again(retry);
            }
        }
        of_volume(&newest.map_or_else(
            || "there is none yet".to_owned(),
            |newest| format!("the newest is {} of {}", newest.snapshot_id, newest.start_time),
        ))
    }

    fn fresh(&self, newest: &Snapshot) -> Turn {
        let due = after(newest.start_time, self.period());
        let state = if newest.is_completed() { "is" } else { "will be" };
        let message = format!(
            "{}: {} of {} {state} the newest recovery point; the next is due at {due}",
            self.lineage, newest.snapshot_id, newest.start_time
        );
        let again = if self.pending().next().is_some() {
            self.soon()
        } else {
            due
        };
        Turn::new(Outcome::Ignore, Code::SnapshotFresh, message).again(again.min(due))
    }

    /// A snapshot is due: of which volume?
    fn of_volume(&self, memory: &VolumeMemory, since: &str) -> Turn {
        let (Known::Yes(service), Known::Yes(tasks)) = (&self.facts.service, &self.facts.tasks) else {
            return self.unknown(since);
        };
        let target = &self.facts.target;
        let Some(service) = service.as_ref().filter(|service| service.is_active()) else {
            let message = format!("{}: service {target} does not exist, or is not ACTIVE", self.lineage);
            return Turn::new(Outcome::Ignore, Code::ServiceNotFound, message);
        };
        if service.desired_count > 1 {
            let message = format!(
                "{}: service {target} is to have {}, each with a volume of its own: no snapshot is made, since a new task \
                 would start from that of a random sibling. Give each its own service",
                self.lineage,
                counted(service.desired_count, "task")
            );
            return Turn::new(Outcome::Ignore, Code::PerTaskState, message);
        }
        let mut mounted: Vec<_> = tasks
            .iter()
            .filter(|task| task.runs)
            .filter_map(|task| Some((task, task.volume(&self.lineage.volume)?)))
            .collect();
        // The one that runs longest: a new one may still fail.
        mounted.sort_by_key(|(task, _)| (task.started_at.unwrap_or(Timestamp::MAX), task.task.as_str()));
        let Some((task, volume)) = mounted.first() else {
            let message = format!(
                "{}: no task of {target} runs with an EBS volume of the name {}: {since}",
                self.lineage, self.lineage.volume
            );
            return Turn::new(Outcome::Ignore, Code::NoVolume, message);
        };
        if mounted.len() > 1 && is_deploying(service) && !self.is_overdue(memory) {
            let message = format!(
                "{}: a snapshot is due ({since}), and a deployment is in progress with {}: it waits for {} at most",
                self.lineage,
                counted(mounted.len(), "volume"),
                self.every.unwrap_or_default()
            );
            return Turn::new(Outcome::Wait, Code::DeploymentInProgress, message).again(self.soon());
        }
        self.due(task, volume, since)
    }

    pub(super) fn due(&self, task: &Mounted, volume: &str, since: &str) -> Turn {
        let message = format!(
            "{}: a snapshot of {volume} of task {} is due: {since}, and `every` is {}",
            self.lineage,
            task.task,
            self.every.unwrap_or_default()
        );
        let mut turn = Turn::new(Outcome::Act, Code::SnapshotDue, message).again(self.soon());
        turn.intent = Some(Intent {
            volume_id: volume.to_owned(),
            task: task.task.clone(),
            at: self.now,
            snapshot: None,
            is_final: false,
        });
        turn
    }

    fn unknown(&self, since: &str) -> Turn {
        let message = format!(
            "{}: a snapshot is due ({since}); which volume there is is not known",
            self.lineage
        );
        let mut turn = Turn::new(Outcome::Wait, Code::FactsMissing, message).again(self.soon());
        if self.facts.service == Known::No {
            turn.missing.push("DescribeServices");
        }
        if self.facts.tasks == Known::No {
            turn.missing.extend(["ListTasks", "DescribeTasks"]);
        }
        turn
    }

    pub(super) fn newest_completed(&self) -> Option<&'a Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.is_completed()).copied()
    }

    fn newest_failed(&self) -> Option<&Snapshot> {
        let failed = self
            .snapshots
            .iter()
            .find(|snapshot| snapshot.state == SnapshotState::Error);
        failed.copied()
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = &Snapshot> {
        let pending = self
            .snapshots
            .iter()
            .filter(|snapshot| snapshot.state == SnapshotState::Pending);
        pending.copied()
    }

    /// Whether it has been due for as long as `every`.
    fn is_overdue(&self, memory: &VolumeMemory) -> bool {
        memory.due.is_some_and(|due| self.age(due) >= self.period())
    }

    pub(super) fn age(&self, at: Timestamp) -> SignedDuration {
        self.now.duration_since(at)
    }

    /// The length of `every`; longer than anything without it.
    pub(super) fn period(&self) -> SignedDuration {
        self.every.map_or(SignedDuration::MAX, length)
    }

    pub(super) fn soon(&self) -> Timestamp {
        after(self.now, SOON)
    }
}

impl Intent {
    fn shown_after(&self) -> SignedDuration {
        if self.snapshot.is_some() {
            GONE_AFTER
        } else {
            SHOWN_AFTER
        }
    }
}

/// Whether tasks of two deployments may run.
fn is_deploying(service: &ServiceFacts) -> bool {
    service.deployments.len() > 1 || service.in_progress().is_some()
}

pub(super) fn length(span: Span) -> SignedDuration {
    SignedDuration::try_from(span.duration()).unwrap_or(SignedDuration::MAX)
}

pub(super) fn after(time: Timestamp, length: SignedDuration) -> Timestamp {
    time.saturating_add(length).unwrap_or(Timestamp::MAX)
}
