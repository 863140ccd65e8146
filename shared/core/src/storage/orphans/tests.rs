//! What becomes of volumes that ECS left behind, as tables and properties.

mod properties;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::config::{OrphanAction, Orphans, Span};
use crate::ids::Target;
use crate::known::Known;
use crate::report::{Code, Effect};
use crate::storage::{
    AT_TAG, CLUSTER_NAME_TAG, CLUSTER_TAG, MANAGED_TAG, ORPHAN_TAG, OWNER_TAG, Snapshot, SnapshotState, Stage, Volume,
};

const NOW: &str = "2026-03-01T12:00:00Z";
const OWNER: &str = "wharfinger";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn volume(id: &str, cluster: Option<&str>) -> Volume {
    let managed = (MANAGED_TAG.to_owned(), "true".to_owned());
    let cluster = cluster.map(|name| (CLUSTER_NAME_TAG.to_owned(), name.to_owned()));
    Volume {
        volume_id: id.to_owned(),
        state: "available".to_owned(),
        create_time: now() - minutes(9_000),
        size: 10,
        tags: cluster.into_iter().chain([managed]).collect(),
    }
}

/// A snapshot of a volume as ours, begun so many minutes before now.
fn snapshot(of: &str, state: SnapshotState, age: i64) -> Snapshot {
    let at = now() - minutes(age);
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Snapshot {
        snapshot_id: format!("snap-{of}"),
        volume_id: of.to_owned(),
        state,
        state_message: None,
        start_time: at,
        volume_size: 10,
        tags: BTreeMap::from([
            tag(OWNER_TAG, OWNER),
            tag(CLUSTER_TAG, "prod"),
            tag(ORPHAN_TAG, of),
            tag(AT_TAG, &at.to_string()),
        ]),
    }
}

/// `prod` with `after: 2h`, and a look that has found its volumes so many minutes ago for the first time.
fn facts(action: OrphanAction, volumes: Vec<Volume>, age: i64) -> Facts {
    let facts = Facts {
        cluster: Target::of_cluster("prod"),
        owner: OWNER.to_owned(),
        rule: Orphans {
            after: Span::minutes(120),
            action,
        },
        adopts: true,
        volumes,
        snapshots: Vec::new(),
        named: Known::Yes(BTreeMap::new()),
        memory: Memory::default(),
    };
    let mut memory = decide(&facts, now() - minutes(age)).memory;
    memory.looked = memory.looked.map(|_| now());
    Facts { memory, ..facts }
}

fn removes() -> Facts {
    facts(OrphanAction::Remove, vec![volume("vol-1", Some("prod"))], 180)
}

/// What is said, in a line: the outcome, the codes, the calls, and what is told on the bus.
fn line(decided: &Decided) -> String {
    let decision = &decided.decision;
    let codes: Vec<_> = decision.reasons.iter().map(|reason| reason.code.as_str()).collect();
    let call = |action: &Action| match action {
        Action::CreateSnapshot(request) => format!("{} {}", action.call(), request.volume_id),
        Action::DeleteVolume { volume_id, .. } => format!("{} {volume_id}", action.call()),
    };
    let calls: Vec<_> = decision.actions.iter().map(call).collect();
    let told: Vec<_> = decided
        .notices
        .iter()
        .map(|notice| format!("{}: {}", notice.stage.detail_type(), notice.volume_id))
        .collect();
    format!("{:?} {} {calls:?} {told:?}", decision.outcome, codes.join(" ")).replace('"', "")
}

#[track_caller]
fn check(facts: &Facts, expected: &str) {
    assert_eq!(line(&decide(facts, now())), expected);
}

#[test]
fn a_volume_is_told_of_once_when_it_is_left_behind_for_long() {
    let found = |age| facts(OrphanAction::Report, vec![volume("vol-1", Some("prod"))], age);
    check(&found(0), "Ignore NoOrphans [] []");
    check(&found(119), "Ignore NoOrphans [] []");
    check(&found(120), "Ignore OrphanFound [] [Orphan Found: vol-1]");
    let mut facts = found(120);
    let first = decide(&facts, now());
    assert!(first.news);
    facts.memory = first.memory;
    let again = decide(&facts, now());
    assert_eq!((line(&again).as_str(), again.news), ("Ignore OrphanFound [] []", false));
    facts.volumes.clear();
    let gone = decide(&facts, now());
    assert_eq!((line(&gone).as_str(), gone.news), ("Ignore NoOrphans [] []", true));
    assert_eq!(gone.memory, Memory::default());
}

#[test]
fn whose_a_volume_is() {
    let check = |volume: Volume, expected: &str| {
        check(&facts(OrphanAction::Remove, vec![volume], 180), expected);
    };
    let created = "Act OrphanFound OrphanSnapshot [CreateSnapshot vol-1] [Orphan Found: vol-1]";
    check(volume("vol-1", Some("prod")), created);
    check(
        volume("vol-1", Some("arn:aws:ecs:eu-west-1:123456789012:cluster/prod")),
        created,
    );
    check(volume("vol-1", Some("test")), "Ignore NoOrphans [] []");
    // Nobody's: it is told of, and stays.
    check(volume("vol-1", None), "Ignore OrphanFound [] [Orphan Found: vol-1]");
    let mut ours = volume("vol-1", Some("prod"));
    ours.tags.insert(OWNER_TAG.to_owned(), OWNER.to_owned());
    check(ours, "Ignore NoOrphans [] []");
    let mut attached = volume("vol-1", Some("prod"));
    attached.state = "in-use".to_owned();
    check(attached, "Ignore NoOrphans [] []");
    let mut facts = facts(OrphanAction::Report, vec![volume("vol-1", None)], 180);
    facts.adopts = false;
    assert_eq!(line(&decide(&facts, now())), "Ignore NoOrphans [] []");
}

#[test]
fn a_snapshot_comes_before_the_removal() {
    let check = |state, age, expected: &str| {
        let mut facts = removes();
        facts.snapshots = vec![snapshot("vol-1", state, age)];
        facts.memory.volumes.values_mut().for_each(|seen| seen.told = true);
        check(&facts, expected);
    };
    check(SnapshotState::Pending, 30, "Wait OrphanFound OrphanSnapshot [] []");
    check(
        SnapshotState::Completed,
        30,
        "Act OrphanFound OrphanRemoved [DeleteVolume vol-1] []",
    );
    let failed = "Wait OrphanFound SnapshotFailed OrphanSnapshot [] [Snapshot Failed: vol-1]";
    check(SnapshotState::Error, 14, failed);
    let again = "Act OrphanFound SnapshotFailed OrphanSnapshot [CreateSnapshot vol-1] [Snapshot Failed: vol-1]";
    check(SnapshotState::Error, 15, again);
    let created = "Act OrphanFound OrphanSnapshot [CreateSnapshot vol-1] []";
    // One of the recycle bin, and one of before the volume was found as it is, are not what is on it.
    check(SnapshotState::Other, 30, created);
    check(SnapshotState::Completed, 180, created);
}

#[test]
fn only_our_snapshot_of_that_volume_counts() {
    let check = |change: fn(&mut Snapshot)| {
        let mut facts = removes();
        let mut other = snapshot("vol-1", SnapshotState::Completed, 30);
        change(&mut other);
        facts.snapshots = vec![other];
        let decided = decide(&facts, now());
        assert_eq!(decided.decision.actions[0].call(), "CreateSnapshot");
    };
    check(|snapshot| "vol-2".clone_into(&mut snapshot.volume_id));
    check(|snapshot| drop(snapshot.tags.remove(OWNER_TAG)));
    check(|snapshot| drop(snapshot.tags.insert(OWNER_TAG.to_owned(), "another".to_owned())));
    check(|snapshot| drop(snapshot.tags.remove(ORPHAN_TAG)));
    check(|snapshot| drop(snapshot.tags.insert(ORPHAN_TAG.to_owned(), "vol-2".to_owned())));
}

#[test]
fn what_tasks_name_stays_and_its_time_begins_anew() {
    for snapshots in [Vec::new(), vec![snapshot("vol-1", SnapshotState::Completed, 30)]] {
        let mut facts = Facts { snapshots, ..removes() };
        facts.named = Known::No;
        check(&facts, "Wait OrphanFound FactsMissing [] [Orphan Found: vol-1]");
        assert!(facts.asks(now()));
        facts.named = Known::Yes(BTreeMap::from([("vol-1".to_owned(), "t-1".to_owned())]));
        check(&facts, "Ignore OrphanFound OrphanKept [] [Orphan Found: vol-1]");
        facts.memory = decide(&facts, now()).memory;
        assert_eq!(facts.memory.volumes["vol-1"].since, now());
        facts.named = Known::Yes(BTreeMap::new());
        check(&facts, "Ignore NoOrphans OrphanKept [] []");
    }
    let mut facts = removes();
    facts.rule.action = OrphanAction::Report;
    assert!(!facts.asks(now()), "nothing is asked where nothing is removed");
}

#[test]
fn what_is_in_use_stays_and_needs_another_snapshot() {
    let mut facts = removes();
    facts.snapshots = vec![snapshot("vol-1", SnapshotState::Completed, 30)];
    facts.memory = decide(&facts, now()).before_call();
    facts.memory.in_use("vol-1", "it is attached", now());
    check(&facts, "Ignore NoOrphans OrphanKept [] []");
    facts.memory.looked = Some(now() + minutes(125));
    let later = decide(&facts, now() + minutes(125));
    let created = "Act OrphanFound OrphanSnapshot [CreateSnapshot vol-1] []";
    assert_eq!(line(&later), created);
}

#[test]
fn one_that_was_gone_or_not_looked_at_begins_anew() {
    let mut facts = removes();
    let listed = std::mem::take(&mut facts.volumes);
    facts.memory = decide(&facts, now()).memory;
    facts.volumes = listed;
    check(&facts, "Ignore NoOrphans [] []");
    let mut facts = removes();
    facts.memory.looked = Some(now() - minutes(60));
    check(
        &facts,
        "Act OrphanFound OrphanSnapshot [CreateSnapshot vol-1] [Orphan Found: vol-1]",
    );
    facts.memory.looked = Some(now() - minutes(61));
    check(&facts, "Ignore NoOrphans [] []");
}

#[test]
fn a_lost_answer_makes_no_second_snapshot() {
    let mut facts = removes();
    facts.memory = decide(&facts, now()).before_call();
    let at = |minutes_later: i64, facts: &Facts| {
        let mut facts = facts.clone();
        facts.memory.looked = Some(now());
        line(&decide(&facts, now() + minutes(minutes_later)))
    };
    assert_eq!(at(1, &facts), "Wait OrphanFound OrphanSnapshot [] []");
    let resumed = "Act OrphanFound IntentResumed OrphanSnapshot [CreateSnapshot vol-1] []";
    assert_eq!(at(2, &facts), resumed);
    // EC2 answered, and shows it late.
    let mut answered = facts.clone();
    let made = snapshot("vol-1", SnapshotState::Pending, 0);
    answered.memory.made("vol-1", &made);
    assert_eq!(at(14, &answered), "Wait OrphanFound OrphanSnapshot [] []");
    assert_eq!(at(15, &answered), resumed);
    // The answer was lost, and the tag tells.
    facts.snapshots = vec![made];
    assert_eq!(at(1, &facts), "Wait OrphanFound IntentResumed OrphanSnapshot [] []");
    // It was refused.
    let mut refused = removes();
    refused.memory = decide(&refused, now()).before_call();
    refused.memory.refused("vol-1");
    assert_eq!(
        at(1, &refused),
        "Act OrphanFound OrphanSnapshot [CreateSnapshot vol-1] []"
    );
}

#[test]
fn what_was_removed_is_not_removed_again_at_once() {
    let mut facts = removes();
    facts.snapshots = vec![snapshot("vol-1", SnapshotState::Completed, 30)];
    facts.memory = decide(&facts, now()).before_call();
    facts.memory.removed("vol-1", now());
    let at = |later: i64| line(&decide(&facts, now() + minutes(later)));
    assert_eq!(at(14), "Ignore OrphanFound [] []");
    assert_eq!(at(15), "Act OrphanFound OrphanRemoved [DeleteVolume vol-1] []");
}

#[test]
fn many_volumes_make_one_sentence_and_no_more_are_remembered_than_fit() {
    let volumes = (0..250).map(|n| volume(&format!("vol-{n:03}"), Some("prod")));
    let facts = facts(OrphanAction::Remove, volumes.collect(), 180);
    assert_eq!((facts.memory.volumes.len(), facts.memory.more), (Memory::MOST, 50));
    let decided = decide(&facts, now());
    assert_eq!((decided.orphans, decided.decision.actions.len()), (Memory::MOST, 20));
    let said = &decided.decision.reasons[0];
    assert_eq!(said.code, Code::OrphanFound);
    assert!(said.message.ends_with("and 190 more"), "{}", said.message);
}

#[test]
fn its_snapshots_are_counted() {
    let mut facts = removes();
    let mut other = snapshot("vol-3", SnapshotState::Completed, 9);
    other.tags.insert(CLUSTER_TAG.to_owned(), "test".to_owned());
    facts.snapshots = vec![
        snapshot("vol-1", SnapshotState::Completed, 9_000),
        snapshot("vol-2", SnapshotState::Pending, 9_000),
        other,
    ];
    let memory = decide(&facts, now()).memory;
    assert_eq!((memory.snapshots, memory.gib), (1, 10));
}

#[test]
fn a_notice_says_which_volume_and_what_becomes_of_it() {
    let mut facts = removes();
    let service = "aws:ecs:serviceName".to_owned();
    facts.volumes[0].tags.insert(service, "db".to_owned());
    let decided = decide(&facts, now());
    let [notice] = decided.notices.as_slice() else {
        panic!("{:?}", decided.notices)
    };
    assert_eq!(notice.stage, Stage::OrphanFound);
    let detail = notice.detail();
    for (key, value) in [
        ("target", "prod"),
        ("service", "db"),
        ("volumeId", "vol-1"),
        ("since", "2026-03-01T09:00:00Z"),
        (
            "reason",
            "prod/vol-1 of 10 GiB is attached to nothing since 2026-03-01T09:00:00Z: a snapshot of it is made, then it is \
             removed",
        ),
    ] {
        assert_eq!(detail[key], value, "{key}");
    }
}
