//! What is known of the rollouts of a target.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use wharfinger_core::config::asked::{Approved, Back};
use wharfinger_core::config::holds::Holds;
use wharfinger_core::delivery::{ImageChange, Intent, Newer, Past, Proof, Quarantined, Stage, Waiting, Watched, Wish};
use wharfinger_core::report::Code;

use super::row::Decided;
use crate::output::YELLOW;
use crate::rollouts::Rollouts;

/// How many of the rollouts that are over are printed for people.
const LAST: usize = 3;

/// What is known of its rollouts.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Delivery {
    /// The rollout whose calls are not all made.
    unfinished: Option<Rollout>,
    /// The rollout that ECS carries out.
    under_way: Option<UnderWay>,
    /// The family's new revision to which its schedules are still to move.
    following: Option<String>,
    /// What waits, for what, and until when.
    waiting: Option<Waits>,
    /// The images that are not rolled out again before someone agrees to them, the newest last.
    quarantine: Vec<Quarantined>,
    /// What runs as each rule wants it, and since when.
    proved: Vec<Proof>,
    /// The last rollouts that are over, the newest last.
    past: Vec<Past>,
    /// What each rule brought out last, or was first seen with.
    last: Vec<Rollout>,
    /// The revision that was given up, since it was not what was asked for.
    refused: Option<String>,
    /// What someone else registered since, and is not out.
    newer: Option<Newer>,
    /// The images that people agreed to, as long as a rollout may still begin on that.
    approvals: Vec<Approved>,
    /// The last `wharfinger rollback`.
    back: Option<Back>,
    /// The last decision in the history.
    pub(super) decision: Option<Decided>,
}

/// A rollout.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Rollout {
    /// The images, or their digests.
    images: Vec<String>,
    /// The task definition, once it is registered.
    revision: Option<String>,
    /// When it was begun, brought out or first seen.
    at: Timestamp,
}

/// A rollout that ECS carries out.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct UnderWay {
    /// The images of the rules; none on the way back to a revision.
    images: Vec<String>,
    /// The containers that change.
    changes: Vec<ImageChange>,
    /// The task definition before, and its own.
    from: String,
    to: String,
    /// Since when.
    since: Timestamp,
    /// How far it was at the last look.
    progress: Option<String>,
    /// Who asked for it, where it is a way back.
    by: Option<String>,
    /// That it is being ended, and why.
    ending: Option<Ending>,
}

/// Why a rollout is being ended.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Ending {
    why: String,
    since: Timestamp,
}

/// What waits.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Waits {
    images: Vec<String>,
    codes: Vec<Code>,
    why: Vec<String>,
    since: Timestamp,
    until: Option<Timestamp>,
}

impl Delivery {
    pub(super) fn of(rollouts: Rollouts, holds: &Holds, decision: Option<Decided>, now: Timestamp) -> Self {
        let approvals = rollouts.unspent(&holds.approvals);
        let memory = rollouts.memory;
        let in_force = |q: &&Quarantined| memory.quarantined(&q.digest, &holds.approvals, now) == Some(*q);
        let last = memory.done.values().map(|rollout| Rollout {
            images: vec![rollout.digest.to_string()],
            revision: Some(rollout.revision.clone()),
            at: rollout.at,
        });
        Self {
            quarantine: memory.quarantine.iter().filter(in_force).cloned().collect(),
            last: last.collect(),
            under_way: memory.watched.map(|watched| UnderWay::of(watched, decision.as_ref())),
            unfinished: memory.intent.map(Rollout::of),
            following: memory.following,
            waiting: memory.waiting.map(Waits::of),
            proved: memory.proved.into_values().collect(),
            past: memory.past,
            refused: memory.refused.map(|refused| refused.revision),
            newer: memory.newer,
            approvals,
            back: holds.back.clone(),
            decision,
        }
    }

    /// Whether the last rollout failed.
    fn has_failed(&self) -> bool {
        self.past.last().is_some_and(|past| past.stage == Stage::Failed)
    }

    /// Whether something is not as it is wanted.
    pub(super) fn is_notable(&self) -> bool {
        self.state().is_some()
    }

    /// What is not as it is wanted, in a word or some.
    pub(super) fn state(&self) -> Option<&'static str> {
        if self.refused.is_some() {
            Some("a rollout was given up")
        } else if self.under_way.as_ref().is_some_and(|of| of.ending.is_some()) {
            Some("goes back")
        } else if self.under_way.is_some() || self.unfinished.is_some() || self.following.is_some() {
            Some("rolls out")
        } else if self.waiting.is_some() {
            Some("waits")
        } else if self.has_failed() {
            Some("a rollout failed")
        } else if self.newer.is_some() {
            Some("a newer revision is not out")
        } else {
            None
        }
    }

    /// Whether it tells what a reason with this code says: what waits, or how far a rollout is.
    pub(super) fn tells(&self, code: Code) -> bool {
        let progress = self.under_way.as_ref().is_some_and(|of| of.progress.is_some());
        self.waiting.as_ref().is_some_and(|waits| waits.codes.contains(&code))
            || (progress && code == Code::RolloutInProgress)
    }

    /// Prints it for people.
    pub(super) fn text(&self, out: &mut dyn Write, whole: bool) -> io::Result<()> {
        if let Some(rollout) = &self.unfinished {
            writeln!(
                out,
                "    {YELLOW}rollout of {} is not through{YELLOW:#}",
                rollout.told()
            )?;
        }
        if let Some(under_way) = &self.under_way {
            under_way.text(out)?;
        }
        if let Some(revision) = &self.following {
            let revision = short(revision);
            writeln!(
                out,
                "    {YELLOW}what runs it on a schedule is still to move to {revision}{YELLOW:#}"
            )?;
        }
        if let Some(waits) = &self.waiting {
            waits.text(out)?;
        }
        if let Some(revision) = &self.refused {
            writeln!(
                out,
                "    {YELLOW}{revision} was given up: it differs in more than was asked for{YELLOW:#}"
            )?;
        }
        if let Some(Newer { revision, by, since }) = &self.newer {
            let (revision, by) = (short(revision), by.as_deref().unwrap_or("someone"));
            writeln!(
                out,
                "    {YELLOW}{revision} is not out{YELLOW:#}: {by} registered it, known since {since}"
            )?;
        }
        if self.has_failed() || whole {
            for Quarantined { image, at, why, .. } in &self.quarantine {
                writeln!(out, "    {YELLOW}in quarantine{YELLOW:#} since {at}: {image}: {why}")?;
            }
        }
        if whole { self.more(out) } else { Ok(()) }
    }

    /// What is told of a target that was asked for.
    fn more(&self, out: &mut dyn Write) -> io::Result<()> {
        for Approved {
            image,
            digest,
            by,
            until,
            ..
        } in &self.approvals
        {
            let image = image.as_deref().unwrap_or(digest.as_str());
            let by = by.as_deref().unwrap_or("someone");
            writeln!(out, "    {by} agreed to {image}, until {until}")?;
        }
        for Proof { wish, revision, since } in &self.proved {
            writeln!(out, "    proved since {since}: {}, {}", wish.name(), short(revision))?;
        }
        for past in self.past.iter().rev().take(LAST) {
            let stage = past.stage.detail_type().to_lowercase();
            let (from, to) = (short(&past.from), short(&past.to));
            writeln!(out, "    {stage}: {from} -> {to}, from {} to {}", past.began, past.at)?;
        }
        for rollout in &self.last {
            writeln!(out, "    brought out {}", rollout.told())?;
        }
        Ok(())
    }
}

impl Rollout {
    fn of(intent: Intent) -> Self {
        Self {
            images: intent.changes.into_iter().map(|change| change.to).collect(),
            revision: intent.registered,
            at: intent.at,
        }
    }

    fn told(&self) -> String {
        let revision = self.revision.as_deref().map_or("no revision yet", short);
        format!("{} at {}, {revision}", self.images.join(", "), self.at)
    }
}

impl UnderWay {
    fn of(watched: Watched, decision: Option<&Decided>) -> Self {
        let progress = decision
            .filter(|decided| decided.at >= watched.sent)
            .and_then(|decided| {
                let mut reasons = decided.reasons.iter();
                reasons.find(|reason| reason.code == Code::RolloutInProgress)
            });
        let ending = watched.ending.map(|ending| Ending {
            why: ending.why,
            since: ending.since,
        });
        Self {
            images: watched.wishes.values().map(Wish::name).collect(),
            changes: watched.changes,
            from: watched.from,
            to: watched.to,
            since: watched.sent,
            progress: progress.map(|reason| reason.message.clone()),
            by: watched.back.map(|back| back.by.unwrap_or_else(|| "someone".to_owned())),
            ending,
        }
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (from, to) = (short(&self.from), short(&self.to));
        let images = match self.images.as_slice() {
            [] => String::new(),
            images => format!(" with {}", images.join(", ")),
        };
        let by = self
            .by
            .as_ref()
            .map_or_else(String::new, |by| format!(", as {by} asked"));
        writeln!(
            out,
            "    {YELLOW}goes from {from} to {to}{images} since {}{by}{YELLOW:#}",
            self.since
        )?;
        if let Some(progress) = &self.progress {
            writeln!(out, "        {progress}")?;
        }
        match &self.ending {
            Some(Ending { why, since }) => writeln!(out, "        {YELLOW}is ended since {since}: {why}{YELLOW:#}"),
            None => Ok(()),
        }
    }
}

impl Waits {
    fn of(waiting: Waiting) -> Self {
        Self {
            images: waiting.wishes.values().map(Wish::name).collect(),
            codes: waiting.codes.into_iter().collect(),
            why: waiting.why,
            since: waiting.since,
            until: waiting.until,
        }
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let images = self.images.join(", ");
        let until = self
            .until
            .map_or_else(String::new, |at| format!("; looked at again at {at}"));
        writeln!(out, "    {YELLOW}{images} waits{YELLOW:#} since {}{until}", self.since)?;
        self.why.iter().try_for_each(|why| writeln!(out, "        {why}"))
    }
}

/// `family:revision` of an ARN.
fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
