//! Days of a stateful family: one seed, one history.
//!
//! The function of storage runs as it is, as in [`crate::lineages`]. Its tasks write, end by themselves, are stopped, lose their
//! host or fail to start; ECS refuses them; snapshots stay pending for long, fail, or are told of by nobody; people pause the
//! family, change its count and remove snapshots (`happens`). How often each volume was written to is counted, and a snapshot
//! and what is made of it have the count of their moment: so what was lost is seen. Each change is held against what must hold
//! (`checks`); then the world falls quiet, and what is left is counted.

mod checks;
mod happens;
mod play;

pub use crate::engine::{Failed, Tally};

/// How a history is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// What is broken on purpose: a violation must then be found.
    pub breaks: Option<Breaks>,
    /// Whether what happens is written down.
    pub trace: bool,
}

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaks {
    /// A snapshot that is pending is taken for one that is completed.
    Pending,
    /// Volumes are not looked at.
    Volumes,
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
