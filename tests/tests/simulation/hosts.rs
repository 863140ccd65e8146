//! A cluster whose instances go and come: nothing is violated, and what is broken on purpose is found.

use wharfinger_tests::simulation::{self, Many, Settings, Size, Without};

/// Histories of a cluster of one size; the first that is violated ends the test.
fn play(size: Size, seeds: u64) -> Many {
    let many = simulation::run_many(1, seeds, settings(size, None), |_| {});
    if let Some(failed) = &many.failed {
        panic!("{size:?}, seed {}: {:?}", failed.seed, failed.violation);
    }
    many
}

fn settings(size: Size, without: Option<Without>) -> Settings {
    Settings {
        hosts: Some(size),
        without,
        ..Settings::default()
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "the numbers are the result")]
fn a_hundred_instances_and_a_thousand_tasks() {
    let tally = play(Size::FULL, 2).tally;
    println!("{tally}");
    let numbers = &tally.hosts;
    assert_eq!((numbers.instances, numbers.tasks), (200, 2_000));
    // What is not done cannot be violated.
    assert!(numbers.drained > 60 && numbers.moved > 500, "{tally}");
    assert!(
        numbers.empty > 15 && numbers.returned > 3 && numbers.given_up > 5,
        "{tally}"
    );
    assert!(numbers.left > 150 && numbers.outlived > 20, "{tally}");
    assert_eq!(numbers.at_gone, 0, "{tally}");
    assert!(tally.deeds.get("Spot interruption warning") == Some(&60), "{tally}");
}

#[test]
fn small_clusters() {
    let tally = play(Size::SMALL, 40).tally;
    let numbers = &tally.hosts;
    assert!(
        numbers.deadline > 10 && numbers.timed_out > 0 && numbers.standalone > 0,
        "{tally}"
    );
    assert_eq!(numbers.at_gone, 0, "{tally}");
    for fault in [
        "event lost",
        "event delivered once more",
        "invocation killed",
        "throttled",
    ] {
        assert!(tally.faults.get(fault).is_some_and(|n| *n > 5), "{fault}: {tally}");
    }
    for deed in [
        "agent connected again",
        "capacity paused",
        "instance drained by somebody",
        "reboot over",
        "root volume replaced",
        "instance started by Spot",
    ] {
        assert!(tally.deeds.get(deed).is_some_and(|n| *n > 2), "{deed}: {tally}");
    }
}

/// Without a part of the design a violation is found, and in what it breaks.
fn bites(without: Without, what: &str) {
    let many = simulation::run_many(1, 60, settings(Size::SMALL, Some(without)), |_| {});
    let violation = many.failed.and_then(|failed| failed.violation).map(|found| found.what);
    assert!(
        violation.as_ref().is_some_and(|found| found.contains(what)),
        "{without:?}: {violation:?}"
    );
}

#[test]
fn the_checks_bite_when_instances_are_drained_one_by_one() {
    bites(Without::Together, "of which it knew that it goes, is ACTIVE");
}

#[test]
fn the_checks_bite_without_heartbeats() {
    bites(Without::Heartbeats, "has had no heartbeat");
}

#[test]
fn the_checks_bite_when_hooks_are_completed_early() {
    bites(Without::Deadline, "is let go with");
}

#[test]
fn the_checks_bite_when_agents_may_not_be_silent() {
    bites(Without::Silence, "nothing asks for it to go");
}

#[test]
fn the_checks_bite_when_too_many_are_replaced_at_a_time() {
    bites(Without::AtMost, "are replaced at a time");
}

#[test]
fn the_checks_bite_when_nothing_returns() {
    bites(Without::Returns, "is DRAINING still");
}

#[test]
fn the_checks_bite_in_a_dry_run() {
    bites(Without::DryRun, "in a dry run or a pause");
}

#[test]
fn the_checks_bite_in_a_pause() {
    bites(Without::Paused, "in a dry run or a pause");
}

#[test]
fn the_checks_bite_without_the_lease_of_the_cluster() {
    bites(Without::Fencing, "and the lease is held by");
}
