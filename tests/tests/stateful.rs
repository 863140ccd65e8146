//! Days of a stateful family find nothing, and find what is broken on purpose.

#![allow(clippy::panic, reason = "a test may stop at the first thing that is wrong")]

use wharfinger_tests::stateful::{Breaks, Settings, run, run_many};

#[test]
fn nothing_is_violated() {
    let tally = run_many(1, 12, Settings::default());
    let tally = tally.unwrap_or_else(|failed| {
        let settings = Settings {
            trace: true,
            ..Settings::default()
        };
        let trace = run(failed.seed, settings).err().map(|again| again.trace);
        let trace = trace.unwrap_or_default();
        let end = &trace[trace.len().saturating_sub(150)..];
        panic!("seed {}: {}\n{}", failed.seed, failed.violation, end.join("\n"))
    });
    // What is not done cannot be violated.
    for name in [
        "answer lost after the effect",
        "answer that lags",
        "clock that is wrong by minutes",
        "count changed",
        "event lost",
        "host lost",
        "invocation killed",
        "no room",
        "outage",
        "paused",
        "shown late",
        "snapshot completed",
        "snapshot failed",
        "snapshot made",
        "snapshot removed",
        "snapshot removed by someone",
        "snapshots take long",
        "task ended by itself",
        "task failed to start",
        "task started",
        "task stopped by someone",
        "volume removed",
    ] {
        assert!(tally.of(name) > 10, "{name}: {tally}");
    }
}

#[test]
fn what_is_broken_on_purpose_is_found() {
    for (breaks, words) in [
        (Breaks::Pending, "no completed snapshot has what was on it"),
        (Breaks::Volumes, "was started while vol-"),
    ] {
        let settings = Settings {
            breaks: Some(breaks),
            trace: false,
        };
        let failed = run_many(1, 20, settings).err();
        let failed = failed.unwrap_or_else(|| panic!("{breaks:?} was not found"));
        assert!(failed.violation.contains(words), "{breaks:?}: {}", failed.violation);
    }
}
