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

pub use crate::engine::{Failed, Tally};

/// How a history is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Whether what is remembered is lost when an invocation dies or fails: a violation must then be found.
    pub forgets: bool,
    /// Whether what happens is written down.
    pub trace: bool,
}

/// Runs one history.
///
/// # Errors
/// When something was that must never be.
pub fn run(seed: u64, settings: Settings) -> Result<Tally, Failed> {
    let mut play = play::Play::of(seed, settings);
    match play.run() {
        Ok(()) => Ok(play.engine.tally),
        Err(violation) => Err(Failed {
            seed,
            violation,
            trace: play.engine.trace(),
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
