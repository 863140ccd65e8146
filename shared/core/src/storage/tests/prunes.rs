//! Which snapshots are removed.

use super::*;

fn three() -> Vec<Snapshot> {
    vec![snapshot("snap-1", 300), snapshot("snap-2", 200), snapshot("snap-3", 10)]
}

#[test]
fn what_no_line_counts_goes() {
    check(&facts(json!({}), three()), "Ignore SnapshotFresh []");
    check(
        &facts(json!({ "last": 1 }), three()),
        "Act SnapshotFresh SnapshotPruned SnapshotPruned [DeleteSnapshot snap-1 DeleteSnapshot snap-2]",
    );
    let mut all = three();
    all[2].start_time = ago(61);
    check(
        &facts(json!({ "last": 2 }), all),
        "Act SnapshotDue SnapshotPruned [CreateSnapshot vol-new DeleteSnapshot snap-1]",
    );
}

#[test]
fn without_keep_nothing_goes() {
    let mut facts = facts(json!({}), three());
    facts.rules = serde_json::from_value(json!([{ "volume": "data", "snapshot": { "every": "1h" } }])).unwrap();
    let failed = in_state(snapshot("snap-0", 9_000), SnapshotState::Error);
    facts.snapshots = Known::Yes([three(), vec![failed]].concat());
    check(&facts, "Ignore SnapshotFailed SnapshotFresh []");
}

#[test]
fn what_something_refers_to_stays() {
    let mut facts = facts(json!({ "last": 1 }), three());
    facts.held = Known::Yes([("snap-1".to_owned(), "a deployment of prod/db starts from it".to_owned())].into());
    facts.shared.insert("snap-2".to_owned(), true);
    check(&facts, "Ignore SnapshotFresh SnapshotHeld SnapshotHeld []");
    let decided = decide(&facts, now());
    assert_eq!(
        decided.decision.reasons[1].message,
        "prod/db/data: snap-1 would be removed, and stays: a deployment of prod/db starts from it"
    );
    // What was found is relied on for an hour, and then looked up again.
    facts.memory = decided.memory;
    (facts.held, facts.shared) = (Known::No, BTreeMap::new());
    check(&facts, "Ignore SnapshotFresh SnapshotHeld SnapshotHeld []");
    let later = decide(&facts, now() + SignedDuration::from_mins(60));
    assert!(later.asks.held, "{}", told(&later));
}

#[test]
fn what_ec2_does_not_remove_is_left_for_a_while() {
    let mut facts = facts(json!({ "last": 2 }), three());
    check(&facts, "Act SnapshotFresh SnapshotPruned [DeleteSnapshot snap-1]");
    let mut memory = decide(&facts, now()).before_call();
    memory.in_use("data", "snap-1", "the image ami-1 uses it", now());
    facts.memory = memory;
    check(&facts, "Ignore SnapshotFresh SnapshotHeld []");
    let later = decide(&facts, now() + SignedDuration::from_mins(60));
    assert_eq!(
        told(&later),
        "Act SnapshotDue SnapshotPruned [CreateSnapshot vol-new DeleteSnapshot snap-1]"
    );
}

#[test]
fn what_is_not_known_is_asked_for_only_when_something_would_go() {
    let mut facts = facts(json!({ "last": 3 }), three());
    (facts.held, facts.shared) = (Known::No, BTreeMap::new());
    check(&facts, "Ignore SnapshotFresh []");
    assert_eq!(facts.asks(now()), Asks::default());
    facts.rules = serde_json::from_value(json!([
        { "volume": "data", "snapshot": { "every": "1h", "keep": { "last": 2 } } },
    ]))
    .unwrap();
    check(&facts, "Wait SnapshotFresh FactsMissing []");
    let decided = decide(&facts, now());
    assert_eq!(decided.decision.missing, ["DescribeServiceRevisions"]);
    assert!(decided.asks.held && decided.asks.shared.is_empty());
    facts.held = Known::Yes(BTreeMap::new());
    check(&facts, "Wait SnapshotFresh FactsMissing []");
    let decided = decide(&facts, now());
    assert_eq!(decided.decision.missing, ["DescribeSnapshotAttribute"]);
    assert_eq!(decided.asks.shared, ["snap-1"]);
    facts.shared.insert("snap-1".to_owned(), false);
    check(&facts, "Act SnapshotFresh SnapshotPruned [DeleteSnapshot snap-1]");
}

#[test]
fn one_that_came_to_nothing_goes_after_a_day() {
    let failed = |minutes| in_state(snapshot("snap-0", minutes), SnapshotState::Error);
    let day = 24 * 60;
    check(
        &facts(json!({ "last": 3 }), vec![failed(day - 1), snapshot("snap-3", 10)]),
        "Ignore SnapshotFailed SnapshotFresh []",
    );
    let mut facts = facts(json!({ "last": 3 }), vec![failed(day), snapshot("snap-3", 10)]);
    facts.shared.clear();
    check(
        &facts,
        "Act SnapshotFailed SnapshotFresh SnapshotPruned [DeleteSnapshot snap-0]",
    );
}
