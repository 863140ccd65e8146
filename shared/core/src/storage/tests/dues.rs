//! When a snapshot is made, and of what.

use super::*;

#[test]
fn a_snapshot_is_made_when_the_newest_is_as_old_as_every() {
    check(
        &facts(json!({}), Vec::new()),
        "Act SnapshotDue [CreateSnapshot vol-new]",
    );
    check(
        &facts(json!({}), vec![snapshot("snap-1", 59)]),
        "Ignore SnapshotFresh []",
    );
    check(
        &facts(json!({}), vec![snapshot("snap-1", 60), snapshot("snap-2", 70)]),
        "Act SnapshotDue [CreateSnapshot vol-new]",
    );
    // Looks come a minute apart, give or take: an hour less ten seconds is an hour.
    let mut almost = snapshot("snap-1", 60);
    almost.start_time += SignedDuration::from_secs(10);
    check(
        &facts(json!({}), vec![almost.clone()]),
        "Act SnapshotDue [CreateSnapshot vol-new]",
    );
    almost.start_time += SignedDuration::from_secs(1);
    check(&facts(json!({}), vec![almost]), "Ignore SnapshotFresh []");
}

#[test]
fn what_others_made_does_not_count() {
    let mut others = snapshot("snap-1", 5);
    others.tags.insert(OWNER_TAG.to_owned(), "another".to_owned());
    let mut bare = snapshot("snap-2", 5);
    bare.tags.clear();
    let mut siblings = snapshot("snap-3", 5);
    siblings.tags = Lineage::of(&target(), "logs").tags(OWNER, "t", ago(5));
    check(
        &facts(json!({ "last": 1 }), vec![others, bare, siblings]),
        "Act SnapshotDue StrangeSnapshot [CreateSnapshot vol-new]",
    );
}

#[test]
fn one_whose_data_is_copied_is_waited_for() {
    let pending = |minutes| in_state(snapshot("snap-1", minutes), SnapshotState::Pending);
    check(&facts(json!({}), vec![pending(30)]), "Ignore SnapshotFresh []");
    check(&facts(json!({}), vec![pending(61)]), "Wait SnapshotPending []");
    check(
        &facts(json!({}), vec![snapshot("snap-2", 70), pending(100)]),
        "Wait SnapshotPending []",
    );
    let next = |snapshots| decide(&facts(json!({}), snapshots), now()).next_look;
    let minute = Some(now() + SignedDuration::from_mins(1));
    assert_eq!(next(vec![pending(30)]), minute);
    assert_eq!(next(vec![pending(61)]), minute);
    assert_eq!(
        next(vec![snapshot("snap-1", 15)]),
        Some(now() + SignedDuration::from_mins(45))
    );
}

#[test]
fn one_that_came_to_nothing_is_told_once_and_tried_again() {
    let failed = |minutes| {
        let mut failed = in_state(snapshot("snap-2", minutes), SnapshotState::Error);
        failed.state_message = Some("the key is gone".to_owned());
        failed
    };
    let mut facts = facts(json!({}), vec![snapshot("snap-1", 90), failed(10)]);
    check(&facts, "Wait SnapshotFailed []");
    let decided = decide(&facts, now());
    assert_eq!(decided.notices[0].stage, Stage::SnapshotFailed);
    assert_eq!(
        decided.notices[0].reason,
        "prod/db/data: snap-2 of 2026-03-01T11:50:00Z failed: the key is gone"
    );
    assert_eq!(decided.next_look, Some(now() + SignedDuration::from_mins(5)));
    facts.memory = decided.memory;
    assert_eq!(decide(&facts, now()).notices, []);
    facts.snapshots = Known::Yes(vec![snapshot("snap-1", 90), failed(15)]);
    check(&facts, "Act SnapshotDue [CreateSnapshot vol-new]");
    // A later one that failed is told anew, though the newest recovery point is fresh.
    let mut later = failed(5);
    later.snapshot_id = "snap-3".to_owned();
    facts.snapshots = Known::Yes(vec![snapshot("snap-1", 30), later]);
    check(&facts, "Ignore SnapshotFailed SnapshotFresh []");
    assert_eq!(decide(&facts, now()).notices.len(), 1);
}

#[test]
fn a_short_every_is_tried_again_as_soon() {
    let mut facts = facts(json!({}), vec![in_state(snapshot("snap-2", 2), SnapshotState::Error)]);
    facts.rules = serde_json::from_value(json!([{ "volume": "data", "snapshot": { "every": "2m" } }])).unwrap();
    check(&facts, "Act SnapshotFailed SnapshotDue [CreateSnapshot vol-new]");
}

#[test]
fn a_new_recovery_point_is_said_once() {
    let mut facts = facts(json!({}), vec![snapshot("snap-1", 30)]);
    facts.memory = decide(&facts, now()).memory;
    check(&facts, "Ignore SnapshotFresh []");
    facts.snapshots = Known::Yes(vec![snapshot("snap-1", 30), snapshot("snap-2", 1)]);
    check(&facts, "Ignore SnapshotSucceeded SnapshotFresh []");
    facts.memory = decide(&facts, now()).memory;
    check(&facts, "Ignore SnapshotFresh []");
}

#[test]
fn the_service_and_its_tasks_are_asked_for_when_one_is_due() {
    let unknown = |snapshots| {
        let mut facts = facts(json!({}), snapshots);
        (facts.service, facts.tasks) = (Known::No, Known::No);
        facts
    };
    check(&unknown(vec![snapshot("snap-1", 30)]), "Ignore SnapshotFresh []");
    check(&unknown(Vec::new()), "Wait FactsMissing []");
    let decided = decide(&unknown(Vec::new()), now());
    assert_eq!(
        decided.decision.missing,
        ["DescribeServices", "ListTasks", "DescribeTasks"]
    );
    assert!(decided.asks.tasks);
    assert!(!unknown(vec![snapshot("snap-1", 30)]).asks(now()).tasks);
}

#[test]
fn a_service_that_is_gone_or_has_no_such_volume() {
    let mut facts = facts(json!({}), Vec::new());
    facts.service = Known::Yes(None);
    check(&facts, "Ignore ServiceNotFound []");
    let mut draining = service(1, 1);
    draining.status = "DRAINING".to_owned();
    facts.service = Known::Yes(Some(draining));
    check(&facts, "Ignore ServiceNotFound []");
    facts.service = Known::Yes(Some(service(0, 1)));
    for tasks in [
        vec![],
        vec![Mounted {
            runs: false,
            ..task("a", 5)
        }],
        vec![Mounted {
            volumes: Vec::new(),
            ..task("a", 5)
        }],
    ] {
        facts.tasks = Known::Yes(tasks);
        check(&facts, "Ignore NoVolume []");
        assert_eq!(decide(&facts, now()).next_look, None);
    }
}

#[test]
fn a_volume_whose_name_is_not_said_is_meant_when_it_is_alone() {
    let nameless = |id: &str| TaskVolume {
        name: None,
        volume_id: id.to_owned(),
    };
    let mut facts = facts(json!({}), Vec::new());
    let mut mounted = task("a", 5);
    mounted.volumes = vec![nameless("vol-1")];
    facts.tasks = Known::Yes(vec![mounted.clone()]);
    check(&facts, "Act SnapshotDue [CreateSnapshot vol-1]");
    mounted.volumes = vec![nameless("vol-1"), nameless("vol-2")];
    facts.tasks = Known::Yes(vec![mounted]);
    check(&facts, "Ignore NoVolume []");
}

#[test]
fn of_several_tasks_the_one_that_runs_longest() {
    let mut facts = facts(json!({}), Vec::new());
    let mut unknown = task("c", 0);
    unknown.started_at = None;
    facts.tasks = Known::Yes(vec![unknown, task("a", 5), task("b", 6)]);
    check(&facts, "Act SnapshotDue [CreateSnapshot vol-b]");
}

#[test]
fn each_task_with_a_state_of_its_own_is_refused() {
    let mut facts = facts(json!({}), Vec::new());
    facts.service = Known::Yes(Some(service(2, 1)));
    check(&facts, "Ignore PerTaskState []");
    // What is fresh is not spoiled by it.
    facts.snapshots = Known::Yes(vec![snapshot("snap-1", 5)]);
    check(&facts, "Ignore SnapshotFresh []");
}

#[test]
fn a_deployment_is_waited_for_and_not_for_ever() {
    let mut facts = facts(json!({}), vec![snapshot("snap-1", 61)]);
    facts.service = Known::Yes(Some(service(1, 2)));
    check(&facts, "Act SnapshotDue [CreateSnapshot vol-new]");
    facts.tasks = Known::Yes(vec![task("new", 1), task("old", 600)]);
    check(&facts, "Wait DeploymentInProgress []");
    let decided = decide(&facts, now());
    assert_eq!(decided.memory.volumes["data"].due, Some(now()));
    facts.memory = decided.memory;
    let later = |minutes| now() + SignedDuration::from_mins(minutes);
    assert_eq!(told(&decide(&facts, later(59))), "Wait DeploymentInProgress []");
    assert_eq!(
        told(&decide(&facts, later(60))),
        "Act SnapshotDue [CreateSnapshot vol-old]"
    );
}

#[test]
fn a_late_recovery_point_is_told_once() {
    let pending = in_state(snapshot("snap-2", 100), SnapshotState::Pending);
    let mut facts = facts(json!({}), vec![snapshot("snap-1", 200), pending]);
    facts.memory = decide(&facts, now()).memory;
    let later = |minutes| now() + SignedDuration::from_mins(minutes);
    assert_eq!(decide(&facts, later(59)).notices, []);
    let decided = decide(&facts, later(60));
    assert_eq!(decided.notices.len(), 1);
    let notice = &decided.notices[0];
    assert_eq!(
        (notice.stage, notice.snapshot.as_deref()),
        (Stage::RecoveryPointLate, Some("snap-1"))
    );
    facts.memory = decided.memory;
    assert_eq!(decide(&facts, later(61)).notices, []);
    // Nothing is late where there is no volume, nor once there is a new one.
    facts.snapshots = Known::Yes(vec![snapshot("snap-1", 200)]);
    facts.tasks = Known::Yes(Vec::new());
    let memory = decide(&facts, later(62)).memory;
    assert_eq!((memory.volumes["data"].due, memory.volumes["data"].late), (None, false));
}

#[test]
fn what_is_in_the_recycle_bin_is_no_recovery_point() {
    let facts = facts(json!({}), vec![in_state(snapshot("snap-1", 5), SnapshotState::Other)]);
    check(&facts, "Act SnapshotDue [CreateSnapshot vol-new]");
}
