//! A crash between any two calls.

use super::*;

/// What is remembered once a snapshot was asked for at `now`.
fn asked() -> (Facts, Memory) {
    let facts = facts(json!({}), vec![snapshot("snap-1", 90)]);
    let decided = decide(&facts, now());
    assert_eq!(told(&decided), "Act SnapshotDue [CreateSnapshot vol-new]");
    assert_eq!(decided.memory.volumes["data"].intent, None);
    (facts, decided.before_call())
}

/// The snapshot that it makes.
fn answer(state: SnapshotState) -> Snapshot {
    let mut made = in_state(snapshot("snap-2", 0), state);
    made.tags = lineage().tags(OWNER, "new", now());
    made.start_time = now() + SignedDuration::from_secs(1);
    made
}

fn check_later(facts: &Facts, seconds: i64, expected: &str) {
    let decided = decide(facts, now() + SignedDuration::from_secs(seconds));
    assert_eq!(told(&decided), expected, "after {seconds} s");
}

#[test]
fn what_was_asked_for_is_waited_for() {
    let (mut facts, memory) = asked();
    facts.memory = memory;
    for seconds in [0, 30, 119] {
        check_later(&facts, seconds, "Wait SnapshotPending []");
    }
    // It was not made, as it seems.
    check_later(&facts, 120, "Act IntentResumed SnapshotDue [CreateSnapshot vol-new]");
    // The clock went back.
    check_later(&facts, -600, "Act IntentResumed SnapshotDue [CreateSnapshot vol-new]");
}

#[test]
fn what_ec2_answered_counts_until_it_is_shown() {
    let (mut facts, mut memory) = asked();
    memory.made("data", &answer(SnapshotState::Pending));
    facts.memory = memory;
    check_later(&facts, 600, "Wait SnapshotPending []");
    check_later(&facts, 900, "Act IntentResumed SnapshotDue [CreateSnapshot vol-new]");
    facts.snapshots = Known::Yes(vec![snapshot("snap-1", 90), answer(SnapshotState::Pending)]);
    check_later(&facts, 5, "Ignore SnapshotFresh []");
}

#[test]
fn what_was_shown_once_may_not_be_shown_the_next_time() {
    let (mut facts, mut memory) = asked();
    memory.made("data", &answer(SnapshotState::Pending));
    facts.memory = memory;
    let from_before = facts.snapshots.clone();
    let shown = Known::Yes(vec![snapshot("snap-1", 90), answer(SnapshotState::Pending)]);
    facts.snapshots = shown.clone();
    facts.memory = decide(&facts, now() + SignedDuration::from_secs(5)).memory;
    facts.snapshots = from_before;
    check_later(&facts, 10, "Wait SnapshotPending []");
    facts.snapshots = shown;
    let later = decide(&facts, now() + SignedDuration::from_mins(2));
    assert_eq!(later.memory.volumes["data"].intent, None);
}

#[test]
fn a_snapshot_whose_answer_was_lost_is_known_by_its_tag() {
    let (mut facts, memory) = asked();
    facts.memory = memory;
    for (state, expected) in [
        (SnapshotState::Pending, "Ignore IntentResumed SnapshotFresh []"),
        (
            SnapshotState::Completed,
            "Ignore IntentResumed SnapshotSucceeded SnapshotFresh []",
        ),
        (SnapshotState::Error, "Wait IntentResumed SnapshotFailed []"),
    ] {
        facts.snapshots = Known::Yes(vec![snapshot("snap-1", 90), answer(state)]);
        check_later(&facts, 30, expected);
        check_later(&facts, 300, expected);
    }
}

#[test]
fn what_ec2_refused_is_tried_anew() {
    let (mut facts, mut memory) = asked();
    memory.refused("data");
    facts.memory = memory;
    check_later(&facts, 60, "Act SnapshotDue [CreateSnapshot vol-new]");
}
