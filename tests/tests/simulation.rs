//! The simulation finds nothing, and finds what is broken on purpose; and what it once found, small.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

#[path = "simulation/counts.rs"]
mod counts;
#[path = "simulation/hosts.rs"]
mod hosts;
#[path = "simulation/marks.rs"]
mod marks;
mod stage;

use wharfinger_tests::simulation::{self, Settings, Tally, Without};

#[test]
fn nothing_is_violated() {
    let many = simulation::run_many(1, 400, Settings::default(), |_| {});
    if let Some(failed) = many.failed {
        panic!(
            "seed {}: {:?}; `make simulate SEED={0}` replays it",
            failed.seed, failed.violation
        );
    }
    let tally = many.tally;
    assert_eq!(tally.histories, 400);
    // What is not done cannot be violated.
    assert!(tally.gentle > 30, "{tally}");
    for change in [
        "RegisterInstance",
        "DeregisterInstance",
        "UpdateService: desired count",
        "UpdateService: task definition",
    ] {
        assert!(tally.changes.get(change).is_some_and(|n| *n > 50), "{change}: {tally}");
    }
    for fault in [
        "error after the effect",
        "answer lost, call repeated by the SDK",
        "throttled",
        "invocation killed",
        "event lost",
    ] {
        assert!(tally.faults.get(fault).is_some_and(|n| *n > 50), "{fault}: {tally}");
    }
    counts_were_moved(&tally);
    images_were_rolled_out(&tally);
}

/// Each gate, each thing that people ask of rollouts, and each call of a rollout that fails.
fn images_were_rolled_out(tally: &Tally) {
    let gates =
        ["after", "approval", "bake", "mature", "scan", "waves", "windows"].map(|gate| format!("through {gate}"));
    let waits = [
        "ApprovalNeeded",
        "Baking",
        "DeploymentInProgress",
        "Maturing",
        "NotProved",
        "ScanBlocked",
        "ScanMissing",
        "ScanPending",
        "WaveHalted",
        "WaveWaits",
        "WindowClosed",
    ];
    let waits = waits.map(|code| format!("waits: {code}"));
    let others = [
        "ended, since it did not come up",
        "family sent back as someone asked",
        "image given to a family",
        "image put into quarantine",
        "image rolled out",
        "schedule moved",
        "sent back as someone asked",
        "target of a rule moved",
    ];
    for kind in gates.iter().chain(&waits).map(String::as_str).chain(others) {
        assert!(tally.rollouts.get(kind).is_some_and(|n| *n > 0), "{kind}: {tally}");
    }
    for kind in [
        "circuit breaker of a fleet went back",
        "delivery paused",
        "delivery resumed",
        "earlier revision deployed by hand",
        "gate changed",
        "held deployment let go",
        "image approved",
        "image archived or restored",
        "image that does not come up",
        "new revision deployed by hand",
        "scan failed",
        "tag moved to an image that was there",
        "tag policy changed",
        "way back asked for",
    ] {
        assert!(tally.deeds.get(kind).is_some_and(|n| *n > 5), "{kind}: {tally}");
    }
    assert!(
        tally.faults.get("outage of delivery").is_some_and(|n| *n > 5),
        "{tally}"
    );
    // What does not come up is mostly ended by ECS: so few deployments are stopped by us that none of them may fail.
    for call in simulation::fleet::CALLS
        .into_iter()
        .filter(|call| *call != "StopServiceDeployment")
    {
        let struck = tally.struck.keys().any(|(operation, _)| *operation == call);
        assert!(struck, "{call}: {tally}");
    }
}

/// Each way in which a count moves, each reason that is not known, and what people do to counts.
fn counts_were_moved(tally: &Tally) {
    for (times, kinds) in [
        (
            &tally.moves,
            &[
                "as far as a limit lets it",
                "beside a deployment",
                "by other bounds",
                "down by a queue",
                "down by a value",
                "down by an alarm",
                "finished by another",
                "from zero",
                "through a window",
                "to zero",
                "up by a queue",
                "up by a value",
                "up by an alarm",
            ][..],
        ),
        (
            &tally.unanswered,
            &[
                "DescribeAlarms",
                "DescribeScalableTargets",
                "GetMetricData",
                "GetQueueAttributes",
            ],
        ),
        (
            &tally.deeds,
            &[
                "count set by someone",
                "messages of a queue changed",
                "service given to Application Auto Scaling",
                "service slept and woke",
                "value of a metric changed",
            ],
        ),
        (
            &tally.faults,
            &[
                "metric without data",
                "pass of a minute delivered once more",
                "pass of a minute lost",
            ],
        ),
    ] {
        for kind in kinds {
            assert!(times.get(kind).is_some_and(|n| *n > 5), "{kind}: {tally}");
        }
    }
}

fn stays_mended(settings: Settings, seeds: &[u64]) {
    for seed in seeds {
        let once = simulation::run_many(*seed, 1, settings, |_| {});
        assert!(
            once.failed.is_none(),
            "seed {seed}: {:?}",
            once.failed.map(|f| f.violation)
        );
    }
}

/// A late registration that was forgotten by who waited for it; one whose next attempt was told that a copy had gone
/// through; an address that passed from a paused target to another; a stored health that was taken for today's.
#[test]
fn what_was_found_once_stays_mended() {
    let plain = Settings {
        plain: true,
        ..Settings::default()
    };
    stays_mended(plain, &[634, 668, 971, 2332]);
}

/// A late start that ended a claim which it had taken over; a task of which the set of those that wait knew nothing after a
/// confirmation that failed; a sweep that brought back what it had seen drain, and one that settled what drained; a target
/// that was put back for a task that was leaving itself.
#[test]
fn what_was_found_once_of_targets_stays_mended() {
    let alarms_only = Settings {
        alarms_only: true,
        ..Settings::default()
    };
    stays_mended(alarms_only, &[1202, 1211, 1261, 4227, 4671]);
}

/// A step that a limit had cut and that went on within the cooldown; a cooldown that began before its change, which a later
/// look had finished; bounds that were done with though the count had not moved into them, twice; a wish of the moment that
/// a short window let through.
#[test]
fn what_was_found_once_of_counts_stays_mended() {
    let no_fleets = Settings {
        no_fleets: true,
        ..Settings::default()
    };
    stays_mended(no_fleets, &[238, 422, 2127, 2465, 7097]);
}

/// A rollout that was over and of which nobody was told; a deployment that a hook held, and a newer push interrupted; schedules
/// that stayed since the answer of a registration was lost; an agreement that no sweep saw; an image that came up after the
/// last look, and was never proved; an image that was left by a way back that was held back, and then refused.
#[test]
fn what_was_found_once_of_rollouts_stays_mended() {
    stays_mended(Settings::default(), &[4012, 2006, 336, 615, 1837, 1081, 2429]);
}

fn bites(without: Without) {
    // What is of delivery is found in histories of delivery, all else in the others.
    let of_delivery = matches!(
        without,
        Without::Begun
            | Without::Quarantine
            | Without::Order
            | Without::Mature
            | Without::Windows
            | Without::Scan
            | Without::Approval
            | Without::After
            | Without::Bake
            | Without::Waves
            | Without::Told
            | Without::Followers
    );
    let settings = Settings {
        without: Some(without),
        no_fleets: !of_delivery,
        ..Settings::default()
    };
    let many = simulation::run_many(1, 1_000, settings, |_| {});
    assert!(
        many.failed.is_some(),
        "without {without:?} nothing was found: {}",
        many.tally
    );
}

#[test]
fn without_the_version_check_something_is() {
    bites(Without::Version);
}

#[test]
fn without_the_confirmation_something_is() {
    bites(Without::Confirm);
}

#[test]
fn without_the_fencing_something_is() {
    bites(Without::Fencing);
}

#[test]
fn without_the_claims_something_is() {
    bites(Without::Claims);
}

#[test]
fn without_a_look_at_what_was_begun_something_is() {
    bites(Without::Intent);
}

#[test]
fn without_the_cooldowns_something_is() {
    bites(Without::Cooldown);
}

#[test]
fn without_the_limits_something_is() {
    bites(Without::Limit);
}

#[test]
fn without_the_windows_something_is() {
    bites(Without::Window);
}

#[test]
fn without_its_intent_something_is() {
    bites(Without::Begun);
}

#[test]
fn without_the_quarantine_something_is() {
    bites(Without::Quarantine);
}

#[test]
fn without_the_order_something_is() {
    bites(Without::Order);
}

#[test]
fn without_the_age_something_is() {
    bites(Without::Mature);
}

#[test]
fn without_the_windows_of_rollouts_something_is() {
    bites(Without::Windows);
}

#[test]
fn without_the_scan_something_is() {
    bites(Without::Scan);
}

#[test]
fn without_the_approval_something_is() {
    bites(Without::Approval);
}

#[test]
fn without_the_promotion_something_is() {
    bites(Without::After);
}

#[test]
fn without_the_baking_something_is() {
    bites(Without::Bake);
}

#[test]
fn without_the_waves_something_is() {
    bites(Without::Waves);
}

#[test]
fn without_what_is_told_something_is() {
    bites(Without::Told);
}

#[test]
fn without_the_schedules_something_is() {
    bites(Without::Followers);
}

#[test]
fn a_seed_gives_the_same_history_again() {
    let settings = Settings {
        trace: true,
        ..Settings::default()
    };
    for seed in [1, 7, 2_405] {
        let (first, second) = (simulation::run(seed, settings), simulation::run(seed, settings));
        assert!(first.trace.len() > 100);
        assert_eq!(first.trace, second.trace);
    }
}
