//! Weeks of snapshots: one seed, one history.
//!
//! The function of storage runs as it is, on the world in memory, in which every call is one step. A seeded source of chance
//! decides which invocation takes its next step and whether its call fails before or after its effect, what is lost, late or
//! told twice, who is killed, how long EC2 does not show a snapshot, which come to nothing, when tasks are replaced, which
//! volumes ECS leaves behind, what is shared, named by a deployment or paused (`play`). Each change is held against what must hold (`checks`); then the
//! world falls quiet, and what is left is counted.

mod checks;
mod happens;
mod orphans;
mod play;

use std::collections::BTreeMap;
use std::fmt;

use jiff::SignedDuration;

/// How a history is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Whether what is remembered is lost when an invocation dies or fails: a violation must then be found.
    pub forgets: bool,
    /// Whether what happens is written down.
    pub trace: bool,
}

/// What histories were made of.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many there were.
    pub histories: u64,
    /// The time that passed in them.
    pub time: SignedDuration,
    /// What was done and what happened, by name.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    /// How often something was done or happened.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.time += other.time;
        for (name, n) in &other.counts {
            *self.counts.entry(name).or_default() += n;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.time.as_hours() / 24;
        writeln!(f, "{} histories of snapshots, {days} days in all", self.histories)?;
        for (name, n) in &self.counts {
            writeln!(f, "{n:>10}  {name}")?;
        }
        Ok(())
    }
}

/// A history that went wrong.
#[derive(Debug)]
pub struct Failed {
    /// Its seed.
    pub seed: u64,
    /// What must never be.
    pub violation: String,
    /// What happened, when it was asked for.
    pub trace: Vec<String>,
}

/// Runs one history.
///
/// # Errors
/// When something was that must never be.
pub fn run(seed: u64, settings: Settings) -> Result<Tally, Failed> {
    let mut play = play::Play::of(seed, settings);
    match play.run() {
        Ok(()) => Ok(play.tally),
        Err(violation) => Err(Failed {
            seed,
            violation,
            trace: play.trace(),
        }),
    }
}

/// Runs histories one after the other, until one goes wrong.
///
/// # Errors
/// The first that went wrong.
pub fn run_many(first: u64, seeds: u64, settings: Settings) -> Result<Tally, Failed> {
    let mut tally = Tally::default();
    for seed in first..first.saturating_add(seeds) {
        tally.add(&run(seed, settings)?);
    }
    Ok(tally)
}
