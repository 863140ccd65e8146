//! What storage decides, as tables and properties.

mod access;
mod asked;
mod dues;
mod identities;
mod intents;
mod month;
mod properties;
mod prunes;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;
use crate::ids::Target;
use crate::known::Known;
use crate::report::Effect;
use crate::service::ServiceFacts;

const NOW: &str = "2026-03-01T12:00:00Z";
const OWNER: &str = "wharfinger";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// So many minutes before now.
fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

fn target() -> Target {
    Target::service("prod", "db")
}

fn lineage() -> Lineage {
    Lineage::of(&target(), "data")
}

/// A completed snapshot of `data`, so many minutes old.
fn snapshot(id: &str, minutes: i64) -> Snapshot {
    Snapshot {
        snapshot_id: id.to_owned(),
        volume_id: "vol-old".to_owned(),
        state: SnapshotState::Completed,
        state_message: None,
        start_time: ago(minutes),
        volume_size: 10,
        tags: lineage().tags(OWNER, "old", ago(minutes)),
    }
}

fn in_state(mut snapshot: Snapshot, state: SnapshotState) -> Snapshot {
    snapshot.state = state;
    snapshot
}

fn service(desired: u32, deployments: usize) -> ServiceFacts {
    let deployments: Vec<_> = (0..deployments)
        .map(|n| json!({ "id": n.to_string(), "status": if n == 0 { "PRIMARY" } else { "ACTIVE" } }))
        .collect();
    ServiceFacts::parse(&json!({
        "serviceArn": "a", "status": "ACTIVE", "desiredCount": desired, "deployments": deployments,
    }))
    .unwrap()
}

/// A running task with the volume `data`, so many minutes old.
fn task(id: &str, minutes: i64) -> Mounted {
    Mounted {
        task: id.to_owned(),
        started_at: Some(ago(minutes)),
        runs: true,
        volumes: vec![TaskVolume {
            name: Some("data".to_owned()),
            volume_id: format!("vol-{id}"),
        }],
        ..Mounted::default()
    }
}

/// A service with one task and volume, a snapshot each hour, and everything known; nothing is shared or held.
#[expect(clippy::needless_pass_by_value, reason = "the cases read better so")]
fn facts(keep: serde_json::Value, snapshots: Vec<Snapshot>) -> Facts {
    let rule = json!([{ "volume": "data", "snapshot": { "every": "1h", "keep": keep } }]);
    Facts {
        target: target(),
        owner: OWNER.to_owned(),
        rules: serde_json::from_value(rule).unwrap(),
        service: Known::Yes(Some(service(1, 1))),
        tasks: Known::Yes(vec![task("new", 600)]),
        shared: snapshots.iter().map(|s| (s.snapshot_id.clone(), false)).collect(),
        snapshots: Known::Yes(snapshots),
        held: Known::Yes(BTreeMap::new()),
        history: BTreeMap::new(),
        file_systems: BTreeMap::new(),
        refused: BTreeMap::new(),
        asked: None,
        volumes: Known::No,
        stateful: None,
        identities: Known::No,
        memory: Memory::default(),
    }
}

/// The outcome, the codes and the calls, in one line.
fn told(decided: &Decided) -> String {
    let decision = &decided.decision;
    let codes: Vec<_> = decision.reasons.iter().map(|reason| reason.code.as_str()).collect();
    let calls: Vec<_> = decision.actions.iter().map(called).collect();
    format!("{:?} {} [{}]", decision.outcome, codes.join(" "), calls.join(" "))
}

fn called(action: &Action) -> String {
    let id = match action {
        Action::CreateAccessPoint(create) => &create.volume,
        Action::CreateSnapshot(create) => &create.volume_id,
        Action::DeleteSnapshot { snapshot_id, .. } => snapshot_id,
        Action::UpdateService { service, .. } => service,
        Action::RunTask { lineage, .. } => return format!("{} {lineage}", action.call()),
        Action::DeleteVolume { volume_id, .. } => volume_id,
    };
    format!("{} {id}", action.call())
}

fn check(facts: &Facts, expected: &str) {
    let decided = decide(facts, now());
    assert_eq!(told(&decided), expected, "{:#?}", decided.decision.reasons);
}

/// The memory after one look.
fn remembered(facts: &Facts) -> VolumeMemory {
    decide(facts, now()).memory.volumes["data"].clone()
}

#[test]
fn what_has_no_snapshot_rule_and_what_is_not_known() {
    let mut none = facts(json!({}), Vec::new());
    none.rules = serde_json::from_value(json!([{ "volume": "data", "restore": "newest" }])).unwrap();
    check(&none, "Ignore NotConfigured []");
    let mut unknown = facts(json!({}), Vec::new());
    unknown.snapshots = Known::No;
    check(&unknown, "Wait FactsMissing []");
    let decided = decide(&unknown, now());
    assert_eq!(decided.decision.missing, ["DescribeSnapshots"]);
    assert!(decided.asks.snapshots && !decided.asks.tasks);
}

#[test]
fn what_is_not_configured_any_more_stays_and_is_said() {
    let mut left = snapshot("snap-1", 10);
    left.tags = Lineage::of(&target(), "old").tags(OWNER, "t", ago(10));
    let mut others = left.clone();
    others.tags.insert(OWNER_TAG.to_owned(), "another".to_owned());
    let mut siblings = left.clone();
    siblings.tags = Lineage::of(&Target::service("prod", "web"), "old").tags(OWNER, "t", ago(10));
    let mut facts = facts(
        json!({ "last": 1 }),
        vec![snapshot("snap-0", 5), left, others, siblings],
    );
    facts.memory.volumes.insert("old".to_owned(), VolumeMemory::default());
    check(&facts, "Ignore SnapshotFresh StrangeSnapshot []");
    let decided = decide(&facts, now());
    let said = &decided.decision.reasons[1].message;
    assert_eq!(
        said,
        "prod/db/old is not configured, and has 1 snapshot: nothing removes them"
    );
    assert_eq!(decided.memory.volumes.keys().collect::<Vec<_>>(), ["data"]);
}

#[test]
fn a_call_is_said_as_the_api_has_it() {
    let decided = decide(&facts(json!({}), Vec::new()), now());
    let tags = [
        ("Name", "prod/db/data"),
        ("wharfinger:at", NOW),
        ("wharfinger:cluster", "prod"),
        ("wharfinger:lineage", "prod/db/data"),
        ("wharfinger:owner", "wharfinger"),
        ("wharfinger:service", "db"),
        ("wharfinger:task", "new"),
        ("wharfinger:volume", "data"),
    ];
    let tags: Vec<_> = tags.iter().map(|(k, v)| json!({ "Key": k, "Value": v })).collect();
    assert_eq!(
        decided.decision.actions[0].input(),
        json!({
            "VolumeId": "vol-new", "Description": "prod/db/data by Wharfinger",
            "TagSpecifications": [{ "ResourceType": "snapshot", "Tags": tags }],
        })
    );
}

#[test]
fn how_a_lineage_stands() {
    let pending = in_state(snapshot("snap-9", 1), SnapshotState::Pending);
    let all = vec![
        snapshot("snap-1", 200),
        snapshot("snap-2", 100),
        snapshot("snap-3", 61),
        pending,
    ];
    let standing = remembered(&facts(json!({ "last": 2 }), all)).standing.unwrap();
    let newest = RecoveryPoint {
        id: "snap-3".to_owned(),
        at: ago(61),
        gib: 10,
    };
    // The oldest goes now, the next when another is completed.
    let expected = Standing {
        newest: Some(newest),
        pending: vec!["snap-9".to_owned()],
        count: 2,
        gib: 20,
        next_prune: vec!["snap-2".to_owned()],
        next_prune_count: 1,
        every: Some("1h".parse().unwrap()),
    };
    assert_eq!(standing, expected);
}

#[test]
fn the_memory_is_read_as_it_is_written() {
    let failed = in_state(snapshot("snap-2", 90), SnapshotState::Error);
    let mut facts = facts(
        json!({ "last": 1 }),
        vec![snapshot("snap-1", 100), snapshot("snap-0", 200), failed],
    );
    facts.held = Known::Yes([("snap-0".to_owned(), "a deployment".to_owned())].into());
    let memory = decide(&facts, now()).before_call();
    let json = serde_json::to_value(&memory).unwrap();
    assert_eq!(serde_json::from_value::<Memory>(json).unwrap(), memory);
    assert_eq!(serde_json::from_value::<Memory>(json!({})).unwrap(), Memory::default());
}
