//! What is known of the volumes of a service.

use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use wharfinger_core::config::{Service, Span};
use wharfinger_core::report::{Code, counted, in_words};
use wharfinger_core::storage::{Failed, IdentityMemory, Memory, RecoveryPoint, Unused, VolumeMemory};

use super::access_points::{OnEfs, unused};
use super::row::Decided;
use crate::output::{DIM, YELLOW};

/// What a GiB of snapshots costs in a month, in cents of a USD: the standard tier in most Regions (Amazon EBS pricing).
pub(super) const CENTS: u64 = 5;

/// What is known of its volumes.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Volumes {
    /// Those that are configured with `snapshot`.
    lineages: Vec<Kept>,
    /// Those that are configured with `access-point`.
    access_points: OnEfs,
    /// The access points that were, and are left.
    unused: Vec<Unused>,
    /// The last decision in the history.
    pub(super) decision: Option<Decided>,
}

/// One lineage.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kept {
    /// The volume's name in the task definition; of an identity with its number, `data.0`.
    volume: String,
    /// How often a snapshot is made.
    every: Option<Span>,
    /// What would be restored.
    newest: Option<RecoveryPoint>,
    /// How old that is.
    age_seconds: Option<i64>,
    /// Whether a snapshot is due for as long as `every`, and there is a volume for it.
    late: bool,
    /// Since when one is asked for that EC2 does not show yet.
    asked: Option<Timestamp>,
    /// Those whose data is still copied.
    pending: Vec<String>,
    /// How many are completed.
    count: u32,
    /// The sizes of their volumes, summed: more than the snapshots take.
    gib: u64,
    /// What that many GiB cost in a month, in USD: more than the snapshots do.
    cost_at_most_usd: f64,
    /// Which go when the next is completed, the first of them.
    next_prune: Vec<String>,
    /// How many do.
    next_prune_count: u32,
    /// The last one that came to nothing, if none was completed since.
    failed: Option<Failed>,
    /// Of a stateful task: the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityMemory>,
}

impl Volumes {
    pub(super) fn of(configured: &Service, memory: &Memory, decision: Option<Decided>, now: Timestamp) -> Self {
        let of_service = configured.storage.iter().filter_map(|storage| {
            let every = storage.snapshot.as_ref()?.every;
            Some((storage.volume.clone(), Some(every)))
        });
        let stateful = configured.stateful.iter();
        let of_family = stateful.flat_map(|stateful| {
            let name = |n| format!("{}.{n}", stateful.volume);
            (0..stateful.count).map(move |n| (name(n), stateful.snapshot.every))
        });
        let mut lineages: Vec<_> = of_service.chain(of_family).collect();
        // Those of the past that something is left of.
        let is_left = |key: &&String| configured.stateful.is_some() && lineages.iter().all(|(known, _)| known != *key);
        let left: Vec<_> = memory.volumes.keys().filter(is_left).cloned().collect();
        lineages.extend(left.into_iter().map(|key| (key, None)));
        let kept = lineages.into_iter().map(|(volume, every)| {
            let known = memory.volumes.get(&volume).cloned().unwrap_or_default();
            Kept::of(volume, every, known, now)
        });
        Self {
            lineages: kept.collect(),
            access_points: OnEfs::of(&configured.storage, memory),
            unused: memory.unused.clone(),
            decision,
        }
    }

    /// What is not as it is wanted, in a word or some.
    pub(super) fn state(&self) -> Option<&'static str> {
        let any = |wrong: fn(&Kept) -> bool| self.lineages.iter().any(wrong);
        if any(|of| of.late) {
            Some("recovery point late")
        } else if any(|of| of.failed.is_some()) {
            Some("snapshot failed")
        } else if self.access_points.lacks() {
            Some("no access point")
        } else {
            None
        }
    }

    /// Whether it tells what a reason with this code says.
    pub(super) fn tells(&self, code: Code) -> bool {
        matches!(
            code,
            Code::SnapshotFresh | Code::SnapshotSucceeded | Code::AccessPointReady | Code::UnusedAccessPoint
        ) || (code == Code::SnapshotFailed && self.lineages.iter().any(|of| of.failed.is_some()))
    }

    /// Prints it for people.
    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.lineages.iter().try_for_each(|of| of.text(out))?;
        self.access_points.text(out)?;
        unused(out, &self.unused)
    }
}

impl Kept {
    fn of(volume: String, every: Option<Span>, known: VolumeMemory, now: Timestamp) -> Self {
        let standing = known.standing.unwrap_or_default();
        let due = known.due.zip(every);
        let is_due_for_long = due.is_some_and(|(due, every)| now.duration_since(due) >= length(every));
        let newest_at = standing.newest.as_ref().map(|newest| newest.at);
        Self {
            volume,
            every,
            age_seconds: newest_at.map(|at| now.duration_since(at).as_secs()),
            late: known.late || is_due_for_long,
            asked: known.intent.map(|intent| intent.at),
            pending: standing.pending,
            count: standing.count,
            gib: standing.gib,
            cost_at_most_usd: usd(standing.gib, CENTS),
            next_prune: standing.next_prune,
            next_prune_count: standing.next_prune_count,
            failed: known
                .failed
                .filter(|failed| newest_at.is_none_or(|newest| newest < failed.at)),
            newest: standing.newest,
            identity: known.identity,
        }
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let volume = &self.volume;
        let every = self
            .every
            .map(|every| format!(", one each {every}"))
            .unwrap_or_default();
        let style = if self.late { YELLOW } else { anstyle::Style::new() };
        match (&self.newest, self.age_seconds) {
            (Some(RecoveryPoint { id, at, .. }), Some(age)) => {
                let age = in_words(SignedDuration::from_secs(age));
                writeln!(
                    out,
                    "    {volume}: {style}newest {id} of {at}, {age} old{style:#}{every}"
                )?;
            }
            _ => writeln!(out, "    {volume}: {style}no recovery point yet{style:#}{every}")?,
        }
        if let Some(identity) = &self.identity {
            writeln!(out, "        {}", stands(identity))?;
        }
        if let Some(Failed { snapshot, at, message }) = &self.failed {
            writeln!(out, "        {YELLOW}{snapshot} of {at} failed: {message}{YELLOW:#}")?;
        }
        if let Some(at) = self.asked {
            writeln!(out, "        one is asked for since {at}")?;
        }
        if !self.pending.is_empty() {
            writeln!(out, "        {} still copied", self.pending.join(", "))?;
        }
        if self.count > 0 {
            let (count, gib) = (counted(self.count, "snapshot"), self.gib);
            writeln!(
                out,
                "        {count}, at most {gib} GiB and {:.2} USD a month {DIM}(volume sizes at 0.05 USD per GiB-month; a \
                 snapshot takes what changed since the one before){DIM:#}",
                self.cost_at_most_usd
            )?;
        }
        if self.next_prune_count == 0 {
            return Ok(());
        }
        let more = usize::try_from(self.next_prune_count).unwrap_or_default() - self.next_prune.len();
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        writeln!(
            out,
            "        the next prune removes {}{more}",
            self.next_prune.join(", ")
        )
    }
}

/// How the task of an identity stands, in a line.
fn stands(identity: &IdentityMemory) -> String {
    let volume = identity.volume.as_deref().unwrap_or("no volume");
    match (&identity.start, &identity.task, identity.ended) {
        (Some(start), _, _) => format!("a task is asked for since {}", start.at),
        (None, Some(task), None) => format!("task {} with {volume}", task.id()),
        (None, task, ended) => {
            let last = match (task, ended) {
                (Some(task), Some(at)) => {
                    format!("no task: {} was found to be over at {at}, {volume} is left", task.id())
                }
                _ => "no task".to_owned(),
            };
            let refused = identity
                .refused
                .iter()
                .map(|words| format!("; the next was refused: {words}"));
            let then = identity
                .not_before
                .iter()
                .map(|at| format!("; none is started before {at}"));
            refused.chain(then).fold(last, |text, more| text + &more)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate; beyond 2^53 cents nobody pays")]
pub(super) fn usd(gib: u64, cents: u64) -> f64 {
    gib.saturating_mul(cents) as f64 / 100.0
}

fn length(span: Span) -> SignedDuration {
    SignedDuration::try_from(span.duration()).unwrap_or(SignedDuration::MAX)
}
