//! What is known of the tasks of a service that do not stay, or that run elsewhere while Spot has no room.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use wharfinger_cloud::lease::STOPS;
use wharfinger_cloud::table::{Item, Malformed};
use wharfinger_core::capacity::crash::{CrashLoop, Failure, Stops, sentence};
use wharfinger_core::capacity::fallback;
use wharfinger_core::config::{Fallback, ServiceCapacity};
use wharfinger_core::report::{Code, counted};

use super::row::{Decided, remembered};
use crate::output::YELLOW;

/// The attribute with what is remembered of the fallback, as the reference has it.
const FALLBACK: &str = "fallback";

/// How many failures are printed for people.
const LAST: usize = 3;

/// What is known of its tasks.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OfService {
    /// The revisions whose tasks stop again and again.
    crash_loops: Vec<Loop>,
    /// The last tasks that failed, the newest last.
    failures: Vec<Failed>,
    /// Where its tasks run while Spot has no room, where the configuration has a fallback.
    fallback: Option<Elsewhere>,
    /// The last decision in the history.
    pub(super) decision: Option<Decided>,
}

/// A crash loop.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Loop {
    /// `family:revision`.
    revision: String,
    /// When the first and the last of its tasks failed.
    since: Timestamp,
    last: Timestamp,
    /// How many did, as far as they are kept.
    failures: usize,
    /// Why most of them did, as the page of capacity lists it.
    class: &'static str,
    container: Option<String>,
    exit_code: Option<i64>,
    /// The same in words, with what may help.
    why: String,
}

/// A task that failed.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Failed {
    at: Timestamp,
    task: String,
    revision: String,
    class: &'static str,
    container: Option<String>,
    exit_code: Option<i64>,
    #[serde(skip)]
    what: &'static str,
}

/// Tasks that run elsewhere.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Elsewhere {
    /// The twin, or the capacity providers of the other strategy.
    to: String,
    /// Since when tasks run there because of us.
    since: Option<Timestamp>,
    /// When the service came back, and is watched.
    back: Option<Timestamp>,
    /// Since when Spot is short, and of how many tasks at least.
    short: Option<fallback::Lasting>,
    /// Since when it has more room, and of how many tasks it was short at most.
    room: Option<fallback::Lasting>,
}

impl OfService {
    pub(super) fn of(
        configured: Option<&ServiceCapacity>,
        item: &Item,
        decision: Option<Decided>,
        malformed: &mut Vec<Malformed>,
    ) -> Self {
        let stops: Stops = remembered(item, STOPS, malformed);
        Self {
            crash_loops: stops.open().map(|(revision, of)| Loop::of(revision, of)).collect(),
            failures: stops.failures().map(Failed::of).collect(),
            fallback: configured
                .map(|configured| Elsewhere::of(&configured.spot.fallback, &remembered(item, FALLBACK, malformed))),
            decision,
        }
    }

    /// What is not as it is wanted, in a word or some.
    pub(super) fn state(&self) -> Option<&'static str> {
        let elsewhere = self.fallback.as_ref();
        if !self.crash_loops.is_empty() {
            Some("tasks stop again and again")
        } else if elsewhere.is_some_and(|of| of.since.is_some()) {
            Some("runs elsewhere")
        } else if elsewhere.is_some_and(|of| of.short.is_some()) {
            Some("Spot is short")
        } else {
            None
        }
    }

    /// Whether it tells what a reason with this code says.
    pub(super) fn tells(&self, code: Code) -> bool {
        code == Code::CrashLoop && !self.crash_loops.is_empty()
    }

    /// Prints it for people.
    pub(super) fn text(&self, out: &mut dyn Write, whole: bool) -> io::Result<()> {
        for one in &self.crash_loops {
            writeln!(out, "    {YELLOW}{}{YELLOW:#}", one.why)?;
        }
        if let Some(of) = &self.fallback {
            of.text(out)?;
        }
        if !whole {
            return Ok(());
        }
        for failure in self.failures.iter().rev().take(LAST) {
            let Failed {
                at,
                task,
                revision,
                what,
                ..
            } = failure;
            writeln!(out, "    task {task} of {revision} failed at {at}: {what}")?;
        }
        Ok(())
    }
}

impl Loop {
    fn of(revision: &str, of: &CrashLoop) -> Self {
        Self {
            revision: revision.to_owned(),
            since: of.since,
            last: of.last,
            failures: of.failures,
            class: of.class.as_str(),
            container: of.container.clone(),
            exit_code: of.exit_code,
            why: sentence(revision, of),
        }
    }
}

impl Failed {
    fn of(failure: &Failure) -> Self {
        Self {
            at: failure.at,
            task: failure.task.clone(),
            revision: failure.revision.clone(),
            class: failure.class.as_str(),
            container: failure.container.clone(),
            exit_code: failure.exit_code,
            what: failure.class.what(),
        }
    }
}

impl Elsewhere {
    fn of(configured: &Fallback, memory: &fallback::Memory) -> Self {
        let to = match configured {
            Fallback::Twin(twin) => twin.clone(),
            Fallback::Strategy(strategy) => {
                let names: Vec<_> = strategy.iter().map(|item| item.capacity_provider.as_str()).collect();
                names.join(", ")
            }
        };
        let switched = memory.switched.as_ref();
        let there = switched.filter(|switched| switched.back.is_none());
        Self {
            to,
            since: memory.twin.or(there.map(|switched| switched.at)),
            back: switched.and_then(|switched| switched.back),
            short: memory.short,
            room: memory.back,
        }
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(since) = self.since {
            let to = &self.to;
            writeln!(
                out,
                "    {YELLOW}tasks run in {to}{YELLOW:#} since {since}: Spot has no room"
            )?;
        }
        if let Some(back) = self.back {
            writeln!(out, "    came back to Spot at {back}")?;
        }
        if let Some(fallback::Lasting { since, tasks }) = self.short {
            writeln!(
                out,
                "    {YELLOW}Spot is short of {}{YELLOW:#} since {since}",
                counted(tasks, "task")
            )?;
        }
        match self.room {
            Some(fallback::Lasting { since, tasks }) => {
                let tasks = counted(tasks, "task");
                writeln!(out, "    Spot has had room for all but {tasks} since {since}")
            }
            None => Ok(()),
        }
    }
}
