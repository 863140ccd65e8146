//! The function of storage on the world in memory: snapshots of the volumes of a service's tasks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

#[path = "storage/access_points.rs"]
mod access_points;
#[path = "storage/orphans.rs"]
mod orphans;
#[path = "storage/prune.rs"]
mod prune;
mod stage;
#[path = "storage/stateful.rs"]
mod stateful;
#[path = "storage/troubles.rs"]
mod troubles;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wharfinger_cloud::Fault;
use wharfinger_cloud::history::Record;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{Item, Key, TableName, attribute};
use wharfinger_cloud::world::{Caller, Change, Move, Shared, World};
use wharfinger_core::ids::Target;
use wharfinger_core::report::Code;
use wharfinger_core::storage::{LINEAGE_TAG, Memory, Snapshot, SnapshotState};
use wharfinger_storage::{Storage, observe, rows};

fn target() -> Target {
    Target::service("prod", "db")
}

fn every(every: &str) -> Value {
    json!({ "storage": [{ "volume": "data", "snapshot": { "every": every } }] })
}

/// `prod/db` with a volume `data`, its one task running, and what was told of that.
fn world(config: Value) -> Shared {
    let mut world = World::new(stage::beginning());
    let container = json!({ "name": "db", "image": "db:1" });
    let definition = world.define(&json!({ "family": "db", "containerDefinitions": [container] }));
    world.make_service(&target(), &definition.unwrap(), 1, false);
    let volume = json!({ "name": "data", "managedEBSVolume": { "sizeInGiB": 20 } });
    world.configure_volumes(&target(), &[volume]);
    stage::store(&mut world, &target(), config);
    settle(&mut world);
    world.shared()
}

/// ECS does what there is to do.
fn settle(world: &mut World) {
    for _ in 0..200 {
        let Some(next) = world.moves().into_iter().next() else {
            return;
        };
        world.make(&next);
    }
    panic!("{:?}", world.moves());
}

/// Hands one event to a function with nothing in its caches.
fn hand(world: &Shared, event: &Value) -> Result<(), Fault> {
    let serial = world.borrow().journal.len();
    let caller = Caller::direct(world, "storage");
    let holder = format!("attempt-{serial}-{}/0", world.borrow().now);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Storage::new(stage::OWNER).on_event(&caller, &holder, event))
}

/// Hands over what was told meanwhile, as the rules let it through.
fn hear(world: &Shared) {
    let told = std::mem::take(&mut world.borrow_mut().emitted);
    let ours = |event: &&Value| {
        ["ECS Task State Change", "EBS Snapshot Notification"].contains(&event["detail-type"].as_str().unwrap())
    };
    for event in told.iter().filter(ours) {
        hand(world, event).unwrap_or_else(|fault| panic!("{fault}: {event}"));
    }
}

fn sweep(world: &Shared, detail: &Value) {
    hand(world, &stage::scheduled(detail)).unwrap();
}

/// Lets minutes pass with their sweeps. What is told is heard, and what is pending ends after three minutes.
fn play(world: &Shared, minutes: usize, is_heard: bool) {
    for minute in 0..minutes {
        if is_heard {
            hear(world);
        } else {
            world.borrow_mut().emitted.clear();
        }
        let often = json!({ "only": "active" });
        sweep(world, if minute % 5 == 4 { &Value::Null } else { &often });
        stage::pass(world, SignedDuration::from_mins(1));
        let mut world = world.borrow_mut();
        let is_done = |s: &&Snapshot| world.now.duration_since(s.start_time) >= SignedDuration::from_mins(3);
        let done = world.ebs.snapshots.values().map(|shot| &shot.snapshot).filter(is_done);
        let done: Vec<_> = done.map(|s| s.snapshot_id.clone()).collect();
        for id in done {
            world.end_snapshot(&id, None);
        }
        settle(&mut world);
    }
}

/// The snapshots that there are, the oldest first.
fn snapshots(world: &Shared) -> Vec<Snapshot> {
    let world = world.borrow();
    let mut found: Vec<_> = world.ebs.snapshots.values().map(|shot| shot.snapshot.clone()).collect();
    found.sort_by_key(|snapshot| snapshot.start_time);
    found
}

/// The snapshots that were made, also those that are gone.
fn made(world: &Shared) -> Vec<Snapshot> {
    let world = world.borrow();
    let made = world.journal.iter().filter_map(|did| match &did.change {
        Change::CreateSnapshot(snapshot) => Some(snapshot.clone()),
        _ => None,
    });
    made.collect()
}

fn item(world: &Shared, key: &Key) -> Item {
    let world = world.borrow();
    world.tables.of(TableName::State).get(key).cloned().unwrap_or_default()
}

fn memory(world: &Shared) -> Memory {
    let item = item(world, &service_key(&target()));
    attribute(&item, observe::MEMORY).unwrap().unwrap_or_default()
}

/// The codes of each decision in the history.
fn said(world: &Shared) -> Vec<Vec<Code>> {
    let caller = Caller::direct(world, "reader");
    let (records, malformed) = stage::now(wharfinger_cloud::history::read(&caller, &target())).unwrap();
    assert_eq!(malformed, []);
    let codes = |record: Record| record.reasons.iter().map(|reason| reason.code).collect();
    records.into_iter().map(codes).collect()
}

fn has_said(world: &Shared, code: Code) -> bool {
    said(world).iter().flatten().any(|said| *said == code)
}

#[test]
fn the_first_snapshot_is_made_when_the_task_runs() {
    let world = world(every("6h"));
    hear(&world);
    let found = snapshots(&world);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].tags[LINEAGE_TAG], "prod/db/data");
    assert_eq!(found[0].volume_size, 20);
    let task = world.borrow().tasks.values().next().unwrap().id().to_owned();
    assert_eq!(found[0].task(), Some(task.as_str()));
    assert!(found[0].is_of(stage::OWNER));
    assert!(has_said(&world, Code::SnapshotDue));
    let caller = Caller::direct(&world, "reader");
    let whose = stage::now(rows::whose(&caller, &found[0].snapshot_id)).unwrap();
    assert_eq!(whose, Some(target()));
    // A copy of the same event makes nothing more.
    let again = json!({});
    sweep(&world, &again);
    assert_eq!(snapshots(&world).len(), 1);
}

#[test]
fn a_snapshot_is_due_again_after_every() {
    for is_heard in [true, false] {
        let world = world(every("1h"));
        play(&world, 6 * 60, is_heard);
        let found = made(&world);
        assert!((6..=7).contains(&found.len()), "{}", found.len());
        for pair in found.windows(2) {
            let apart = pair[1].start_time.duration_since(pair[0].start_time);
            let minutes = apart.as_mins();
            assert!((59..=62).contains(&minutes), "{minutes} minutes");
        }
        let standing = memory(&world).volumes["data"].standing.clone().unwrap();
        assert_eq!(standing.newest.unwrap().id, found.last().unwrap().snapshot_id);
    }
}

#[test]
fn that_it_is_completed_is_said_when_ec2_tells_it() {
    let world = world(every("6h"));
    hear(&world);
    let id = snapshots(&world)[0].snapshot_id.clone();
    stage::pass(&world, SignedDuration::from_mins(9));
    assert!(!has_said(&world, Code::SnapshotSucceeded));
    world.borrow_mut().end_snapshot(&id, None);
    hear(&world);
    assert!(has_said(&world, Code::SnapshotSucceeded), "{:?}", said(&world));
    let standing = memory(&world).volumes["data"].standing.clone().unwrap();
    assert_eq!((standing.newest.unwrap().id, standing.count, standing.gib), (id, 1, 20));
}

#[test]
fn of_what_others_made_nothing_is_looked_up() {
    let world = world(every("6h"));
    play(&world, 5, true);
    let event = json!({
        "id": "1", "detail-type": "EBS Snapshot Notification", "source": "aws.ec2",
        "resources": ["arn:aws:ec2::eu-west-1:snapshot/snap-1"],
        "detail": { "event": "createSnapshot", "result": "succeeded" },
    });
    world.borrow_mut().talkative = true;
    hand(&world, &event).unwrap();
    let told = std::mem::take(&mut world.borrow_mut().told);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn a_quiet_pass_lists_once_and_takes_no_lease() {
    let world = world(every("6h"));
    play(&world, 15, true);
    world.borrow_mut().talkative = true;
    sweep(&world, &json!({}));
    let told = std::mem::take(&mut world.borrow_mut().told);
    let calls: Vec<_> = told.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(calls.iter().filter(|call| **call == "DescribeSnapshots").count(), 1);
    let writes = calls.iter().filter(|call| **call == "UpdateItem").count();
    // That the pass was good.
    assert_eq!(writes, 1, "{told:#?}");
    sweep(&world, &json!({ "only": "active" }));
    let told = std::mem::take(&mut world.borrow_mut().told);
    assert!(told.iter().all(|line| !line.contains("DescribeSnapshots")), "{told:#?}");
}

#[test]
fn what_is_paused_makes_nothing() {
    let world = world(every("6h"));
    let key = Key::new("targets", target().key());
    let paused = |until: Value| {
        let mut world = world.borrow_mut();
        let mut stored =
            wharfinger_core::config::stored::StoredTarget::new(serde_json::from_value(every("6h")).unwrap());
        stored.paused = serde_json::from_value(until).unwrap();
        let mut item = stage::item(&key.pk, &key.sk);
        let target = wharfinger_cloud::table::to_attribute("a target", &stored).unwrap();
        item.insert(wharfinger_cloud::config::TARGET_ATTRIBUTE.to_owned(), target);
        world.tables.put(TableName::Config, item);
    };
    paused(json!({ "storage": null }));
    play(&world, 20, true);
    assert_eq!(snapshots(&world), []);
    assert!(has_said(&world, Code::Paused));
    paused(json!({}));
    play(&world, 6, true);
    assert_eq!(snapshots(&world).len(), 1);
}

#[test]
fn a_volume_that_is_gone_is_no_error() {
    let world = world(every("6h"));
    let volumes = std::mem::take(&mut world.borrow_mut().ebs.volumes);
    assert_eq!(volumes.len(), 1);
    hear(&world);
    assert_eq!(snapshots(&world), []);
    assert_eq!(said(&world).last().unwrap(), &[Code::NoVolume]);
    // The task is replaced, and the next one has a volume.
    let arn = world.borrow().tasks.keys().next().unwrap().clone();
    world.borrow_mut().make(&Move::Stop(arn));
    settle(&mut world.borrow_mut());
    hear(&world);
    assert_eq!(snapshots(&world).len(), 1);
}

#[test]
fn volumes_are_those_that_events_told_where_ecs_shows_none() {
    let world = world(every("6h"));
    let volume = world.borrow().ebs.volumes.keys().next().unwrap().clone();
    for task in world.borrow_mut().tasks.values_mut() {
        task.volumes.clear();
    }
    sweep(&world, &json!({}));
    assert_eq!(snapshots(&world), []);
    hear(&world);
    assert_eq!(snapshots(&world)[0].volume_id, volume);
}

#[test]
fn snapshots_of_what_is_not_configured_stay_and_are_noted() {
    let world = world(every("1h"));
    play(&world, 5, true);
    stage::store(&mut world.borrow_mut(), &target(), json!({}));
    play(&world, 5, true);
    assert_eq!(snapshots(&world).len(), 1);
    let strange = item(&world, &Key::new(rows::STRANGE.0, rows::STRANGE.1));
    let lineages: Option<std::collections::BTreeMap<String, u32>> = attribute(&strange, "lineages").unwrap();
    assert_eq!(lineages.unwrap(), [("prod/db/data".to_owned(), 1)].into());
    assert_eq!(snapshots(&world)[0].state, SnapshotState::Completed);
}
