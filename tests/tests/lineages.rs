//! Weeks of snapshots find nothing, and find what is broken on purpose.

#![allow(clippy::panic, reason = "a test may stop at the first thing that is wrong")]

use wharfinger_tests::lineages::{Settings, run, run_many};

#[test]
fn nothing_is_violated() {
    let tally = run_many(1, 60, Settings::default());
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
        "snapshot made",
        "snapshot completed",
        "snapshot failed",
        "snapshot removed",
        "snapshot shown late",
        "snapshot shared",
        "image made of a snapshot",
        "deployed with a snapshot",
        "answer lost after the effect",
        "event lost",
        "invocation killed",
        "task crashed",
        "paused",
        "count changed",
        "taken out of the configuration",
        "volume left behind",
        "orphan attached for a while",
        "snapshot of an orphan made",
        "orphan removed",
    ] {
        assert!(tally.of(name) > 10, "{name}: {tally}");
    }
}

#[test]
fn what_forgets_its_intent_is_found() {
    let settings = Settings {
        forgets: true,
        ..Settings::default()
    };
    let failed = run_many(1, 400, settings).err();
    let failed = failed.unwrap_or_else(|| panic!("it was not found"));
    assert!(failed.violation.contains("was made"), "{}", failed.violation);
}
