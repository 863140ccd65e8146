//! The simulation: one seed, one history.
//!
//! The functions run as they are, on a world in memory ([`wharfinger_cloud::world`]) in which every call to AWS is one step
//! and a seeded source of chance decides what happens next: which invocation takes its next step, whether its call fails
//! before or after its effect, whether an event is late, doubled or lost, whether an invocation is killed, what ECS, people
//! and alarms do meanwhile. Then the world falls quiet, what is on its way arrives, the sweeps run, and the [`checks`] look
//! whether everything is as configuration and living tasks ask for. Some histories are of delivery alone ([`fleet`]).
//!
//! A violation names its seed; the same seed gives the same history again, with a trace.

pub mod bus;
pub mod checks;
pub mod client;
pub mod counts;
pub mod dice;
mod disturb;
pub mod fleet;
pub mod groups;
mod harm;
pub mod heard;
pub mod history;
pub mod hosts;
mod invocation;
mod load;
mod places;
mod post;
mod quiet;
pub mod scenario;
mod settings;
pub mod tally;
mod temper;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use checks::Violation;
pub use client::Without;
pub use hosts::Size;
pub use invocation::poll;
pub use settings::Settings;
pub use tally::Tally;

use history::History;

/// What became of a history.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What must not be and was.
    pub violation: Option<Violation>,
    /// What it was made of.
    pub tally: Tally,
    /// What happened, when it was asked for.
    pub trace: Vec<String>,
}

/// Runs one history.
#[must_use]
pub fn run(seed: u64, settings: Settings) -> Outcome {
    heard::listening(settings.trace, || {
        let mut history = History::of(seed, settings);
        let violation = history.run(seed).err();
        Outcome {
            seed,
            violation,
            tally: history.tally,
            trace: history.lines,
        }
    })
}

/// Runs many histories, on as many threads as there are processors, and stops at the first violation. The answer has the
/// violation of the lowest seed that was run.
#[must_use]
pub fn run_many(first: u64, seeds: u64, settings: Settings, progress: impl Fn(u64) + Sync) -> Many {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, done, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut mine = Many::default();
        while !stop.load(Ordering::Relaxed) {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= seeds {
                break;
            }
            let outcome = run(first + n, settings);
            mine.tally.add(&outcome.tally);
            if outcome.violation.is_some() {
                stop.store(true, Ordering::Relaxed);
                mine.failed = mine.failed.or(Some(outcome));
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
        mine
    };
    let mut all = Many::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(many) => all.add(many),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all
}

/// What became of many histories.
#[derive(Debug, Default)]
pub struct Many {
    /// Their numbers.
    pub tally: Tally,
    /// The violation of the lowest seed.
    pub failed: Option<Outcome>,
}

impl Many {
    fn add(&mut self, other: Self) {
        self.tally.add(&other.tally);
        let seed = |failed: &Option<Outcome>| failed.as_ref().map_or(u64::MAX, |f| f.seed);
        if seed(&other.failed) < seed(&self.failed) {
            self.failed = other.failed;
        }
    }
}
