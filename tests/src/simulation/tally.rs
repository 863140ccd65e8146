//! What the histories were made of, added up.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::hosts::Numbers;

/// What says why a count is to move.
const REASONS: [&str; 4] = [
    "DescribeAlarms",
    "DescribeScalableTargets",
    "GetMetricData",
    "GetQueueAttributes",
];

/// Numbers of one history, or of many.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Histories.
    pub histories: u64,
    /// Histories in which events alone had to keep the world true.
    pub gentle: u64,
    /// Events that AWS sent.
    pub events: u64,
    /// Invocations that were started.
    pub invocations: u64,
    /// Calls to AWS.
    pub calls: u64,
    /// Endpoints that were looked at by the checks, counts and revisions that the functions changed.
    pub changes: BTreeMap<&'static str, u64>,
    /// Counts that were moved, by what and how.
    pub moves: BTreeMap<&'static str, u64>,
    /// What people did, and what the world did by itself, as far as it is not told by `events`.
    pub deeds: BTreeMap<&'static str, u64>,
    /// What was done to them, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Calls that failed of those that say why a count is to move: among the faults already.
    pub unanswered: BTreeMap<&'static str, u64>,
    /// What became of rollouts, and for what they waited.
    pub rollouts: BTreeMap<&'static str, u64>,
    /// What was done to the calls of rollouts: among the faults already.
    pub struck: BTreeMap<(&'static str, &'static str), u64>,
    /// What histories of instances were made of.
    pub hosts: Numbers,
    /// The slowest way back to what is asked for, after the world fell quiet.
    pub slowest: Slowest,
}

/// The slowest convergence.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slowest {
    /// Its time in the world.
    pub time: Duration,
    /// Which seed needed that time.
    pub time_seed: u64,
    /// Its calls.
    pub calls: u64,
    /// Which seed needed these calls.
    pub calls_seed: u64,
}

impl Tally {
    /// Counts a fault.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// Counts a call whose answer scaling reckons with, and that failed.
    pub fn unanswered(&mut self, operation: &'static str) {
        if REASONS.contains(&operation) {
            *self.unanswered.entry(operation).or_default() += 1;
        }
    }

    /// Counts a change that a function made.
    pub fn change(&mut self, kind: &'static str) {
        self.changes(kind, 1);
    }

    /// Counts changes of one kind that a function made in one call.
    pub fn changes(&mut self, kind: &'static str, n: usize) {
        *self.changes.entry(kind).or_default() += n as u64;
    }

    /// Counts a count that was moved.
    pub fn moved(&mut self, how: &'static str) {
        *self.moves.entry(how).or_default() += 1;
    }

    /// Counts what became of a rollout, or that one waits.
    pub fn rollout(&mut self, what: &'static str) {
        *self.rollouts.entry(what).or_default() += 1;
    }

    /// Counts what was done to a call of a rollout.
    pub fn struck(&mut self, operation: &'static str, how: &'static str) {
        *self.struck.entry((operation, how)).or_default() += 1;
    }

    /// Counts what people and the world did.
    pub fn deed(&mut self, kind: &'static str) {
        *self.deeds.entry(kind).or_default() += 1;
    }

    /// Adds another's numbers.
    pub fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.gentle += other.gentle;
        self.events += other.events;
        self.invocations += other.invocations;
        self.calls += other.calls;
        self.hosts.add(&other.hosts);
        for (kind, n) in &other.changes {
            *self.changes.entry(kind).or_default() += n;
        }
        for (kind, n) in &other.moves {
            *self.moves.entry(kind).or_default() += n;
        }
        for (kind, n) in &other.unanswered {
            *self.unanswered.entry(kind).or_default() += n;
        }
        for (kind, n) in &other.rollouts {
            *self.rollouts.entry(kind).or_default() += n;
        }
        for (kind, n) in &other.struck {
            *self.struck.entry(*kind).or_default() += n;
        }
        for (kind, n) in &other.deeds {
            *self.deeds.entry(kind).or_default() += n;
        }
        for (kind, n) in &other.faults {
            *self.faults.entry(kind).or_default() += n;
        }
        let (mine, others) = (&mut self.slowest, other.slowest);
        if others.time > mine.time {
            (mine.time, mine.time_seed) = (others.time, others.time_seed);
        }
        if others.calls > mine.calls {
            (mine.calls, mine.calls_seed) = (others.calls, others.calls_seed);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "histories        {:>12}   of them by events alone: {}",
            self.histories, self.gentle
        )?;
        writeln!(f, "events           {:>12}", self.events)?;
        writeln!(f, "invocations      {:>12}", self.invocations)?;
        writeln!(f, "calls            {:>12}", self.calls)?;
        writeln!(f, "changes made     {:>12}", self.changes.values().sum::<u64>())?;
        for (kind, n) in &self.changes {
            writeln!(f, "                 {n:>12}   {kind}")?;
        }
        writeln!(f, "counts moved")?;
        for (kind, n) in &self.moves {
            writeln!(f, "                 {n:>12}   {kind}")?;
        }
        writeln!(f, "rollouts")?;
        for (kind, n) in &self.rollouts {
            writeln!(f, "                 {n:>12}   {kind}")?;
        }
        writeln!(f, "deeds of others  {:>12}", self.deeds.values().sum::<u64>())?;
        for (kind, n) in &self.deeds {
            writeln!(f, "                 {n:>12}   {kind}")?;
        }
        writeln!(f, "faults injected  {:>12}", self.faults.values().sum::<u64>())?;
        for (kind, n) in &self.faults {
            writeln!(f, "                 {n:>12}   {kind}")?;
        }
        writeln!(f, "of these, calls of rollouts")?;
        for ((operation, how), n) in &self.struck {
            writeln!(f, "                 {n:>12}   {operation}: {how}")?;
        }
        writeln!(f, "of these, calls that say why a count is to move")?;
        for (kind, n) in &self.unanswered {
            writeln!(f, "                 {n:>12}   {kind}")?;
        }
        if self.hosts.histories > 0 {
            write!(f, "{}", self.hosts)?;
        }
        let Slowest {
            time,
            time_seed,
            calls,
            calls_seed,
        } = self.slowest;
        write!(
            f,
            "slowest way back {:>10} s   (seed {time_seed}) after the world fell quiet; {calls} calls (seed {calls_seed})",
            time.as_secs()
        )
    }
}
