//! Volumes that ECS left behind: told of, and removed when a snapshot of them is completed.

use std::collections::BTreeMap;

use wharfinger_cloud::config::{CLUSTER_ATTRIBUTE, PAUSED_ATTRIBUTE};
use wharfinger_cloud::error::Kind;
use wharfinger_cloud::table::to_attribute;
use wharfinger_cloud::world::Fate;
use wharfinger_core::config::Cluster;
use wharfinger_core::config::stored::{CLUSTERS, Pauses};
use wharfinger_core::storage::orphans::Memory as Left;
use wharfinger_core::storage::{CLUSTER_NAME_TAG, MANAGED_TAG, ORPHAN_TAG, TaskVolume};
use wharfinger_storage::orphans;

use super::troubles::disturbed;
use super::*;

fn cluster() -> Target {
    Target::of_cluster("prod")
}

fn configure(world: &Shared, name: &str, orphans: &Value, paused: bool) {
    let config: Cluster = serde_json::from_value(json!({ "storage": { "orphans": orphans } })).unwrap();
    let mut item = stage::item(CLUSTERS, name);
    item.insert(
        CLUSTER_ATTRIBUTE.to_owned(),
        to_attribute("a cluster", &config).unwrap(),
    );
    if paused {
        let paused = Pauses::from([("storage".to_owned(), None)]);
        item.insert(PAUSED_ATTRIBUTE.to_owned(), to_attribute("pauses", &paused).unwrap());
    }
    world.borrow_mut().tables.put(TableName::Config, item);
}

/// A world whose cluster has this rule, and nothing else.
fn left(orphans: &Value) -> Shared {
    let world = World::new(stage::beginning()).shared();
    configure(&world, "prod", orphans, false);
    world
}

fn removing() -> Shared {
    left(&json!({ "after": "1h", "action": "remove" }))
}

/// A volume that ECS left behind.
fn leave(world: &Shared, cluster: Option<&str>) -> String {
    let mut tags = BTreeMap::from([(MANAGED_TAG.to_owned(), "true".to_owned())]);
    tags.extend(cluster.map(|name| (CLUSTER_NAME_TAG.to_owned(), name.to_owned())));
    world.borrow_mut().make_volume(20, tags)
}

/// Lets minutes pass with the passes of five minutes; what is pending ends after three.
fn wait(world: &Shared, minutes: usize) {
    play(world, minutes, false);
}

fn volumes(world: &Shared) -> Vec<String> {
    world.borrow().ebs.volumes.keys().cloned().collect()
}

fn memory_of(world: &Shared, target: &Target) -> Left {
    let item = item(world, &service_key(target));
    attribute(&item, orphans::MEMORY).unwrap().unwrap_or_default()
}

fn codes(world: &Shared) -> Vec<Code> {
    let caller = Caller::direct(world, "reader");
    let (records, malformed) = stage::now(wharfinger_cloud::history::read(&caller, &cluster())).unwrap();
    assert_eq!(malformed, []);
    let reasons = records.into_iter().flat_map(|record| record.reasons);
    reasons.map(|reason| reason.code).collect()
}

fn told(world: &Shared, detail_type: &str) -> Vec<Value> {
    let world = world.borrow();
    let told = world.around.notices.iter();
    let told = told.filter(|notice| notice.detail_type == detail_type);
    told.map(|notice| notice.detail.clone()).collect()
}

#[test]
fn what_is_left_behind_is_told_of_once_and_stays() {
    let world = left(&json!({ "after": "1h" }));
    let volume = leave(&world, Some("prod"));
    wait(&world, 60);
    assert_eq!(told(&world, "Orphan Found"), Vec::<Value>::new());
    wait(&world, 300);
    let told = told(&world, "Orphan Found");
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["volumeId"], &told[0]["cluster"]),
        (&json!(volume), &json!("prod"))
    );
    assert_eq!((volumes(&world), snapshots(&world)), (vec![volume], vec![]));
    let said = codes(&world);
    assert_eq!(
        said.iter().filter(|code| **code == Code::OrphanFound).count(),
        1,
        "{said:?}"
    );
}

#[test]
fn it_is_removed_when_its_snapshot_is_completed() {
    let world = removing();
    let volume = leave(&world, Some("arn:aws:ecs:eu-west-1:123456789012:cluster/prod"));
    wait(&world, 66);
    let [snapshot] = snapshots(&world).try_into().unwrap();
    assert_eq!((&snapshot.tags[ORPHAN_TAG], &snapshot.volume_id), (&volume, &volume));
    assert_eq!(
        (snapshot.state, volumes(&world)),
        (SnapshotState::Pending, vec![volume.clone()])
    );
    wait(&world, 10);
    assert_eq!(volumes(&world), Vec::<String>::new());
    assert_eq!(snapshots(&world).len(), 1);
    wait(&world, 60);
    let memory = memory_of(&world, &cluster());
    assert_eq!((memory.volumes.len(), memory.snapshots, memory.gib), (0, 1, 20));
    let said = codes(&world);
    for code in [
        Code::OrphanFound,
        Code::OrphanSnapshot,
        Code::OrphanRemoved,
        Code::NoOrphans,
    ] {
        assert!(said.contains(&code), "{code}: {said:?}");
    }
    // It is no lineage's, and not strange either.
    assert_eq!(
        item(&world, &Key::new(rows::STRANGE.0, rows::STRANGE.1)),
        Item::default()
    );
}

#[test]
fn what_is_of_no_known_cluster_is_told_of_once_and_stays() {
    let world = removing();
    configure(&world, "test", &json!({ "after": "1h", "action": "remove" }), false);
    let (unknown, other) = (leave(&world, None), leave(&world, Some("another")));
    wait(&world, 150);
    let told: Vec<_> = told(&world, "Orphan Found")
        .into_iter()
        .map(|told| (told["volumeId"].clone(), told["cluster"].clone()))
        .collect();
    assert_eq!(told, [(json!(unknown), json!("prod"))]);
    let mut both = vec![unknown, other];
    both.sort();
    assert_eq!((volumes(&world), snapshots(&world)), (both, vec![]));
}

#[test]
fn what_is_attached_again_begins_anew() {
    let world = removing();
    let volume = leave(&world, Some("prod"));
    let attach = |state: &str| {
        state.clone_into(&mut world.borrow_mut().ebs.volumes.get_mut(&volume).unwrap().state);
    };
    wait(&world, 67);
    assert_eq!(snapshots(&world).len(), 1);
    attach("in-use");
    wait(&world, 10);
    attach("available");
    wait(&world, 60);
    assert_eq!((volumes(&world), made(&world).len()), (vec![volume], 1));
    // What was written meanwhile is in another snapshot.
    wait(&world, 20);
    assert_eq!((volumes(&world).len(), made(&world).len()), (0, 2));
}

#[test]
fn what_a_task_names_stays() {
    let world = world(json!({}));
    configure(&world, "prod", &json!({ "after": "1h", "action": "remove" }), false);
    let volume = leave(&world, Some("prod"));
    let name = |ids: &[&String]| {
        let volumes = ids.iter().map(|id| TaskVolume {
            name: None,
            volume_id: (*id).clone(),
        });
        let volumes: Vec<_> = volumes.collect();
        world
            .borrow_mut()
            .tasks
            .values_mut()
            .for_each(|task| task.volumes.clone_from(&volumes));
    };
    name(&[&volume]);
    wait(&world, 90);
    assert_eq!((volumes(&world).contains(&volume), snapshots(&world)), (true, vec![]));
    assert!(codes(&world).contains(&Code::OrphanKept));
    name(&[]);
    wait(&world, 90);
    assert!(!volumes(&world).contains(&volume));
}

#[test]
fn what_is_paused_stays() {
    let world = removing();
    let rule = json!({ "after": "1h", "action": "remove" });
    configure(&world, "prod", &rule, true);
    let volume = leave(&world, Some("prod"));
    wait(&world, 120);
    assert_eq!((volumes(&world), snapshots(&world)), (vec![volume], vec![]));
    assert!(codes(&world).contains(&Code::Paused));
    configure(&world, "prod", &rule, false);
    wait(&world, 20);
    assert_eq!((volumes(&world).len(), snapshots(&world).len()), (0, 1));
}

#[test]
fn a_snapshot_that_fails_is_told_of_and_tried_again() {
    let world = removing();
    let volume = leave(&world, Some("prod"));
    wait(&world, 66);
    let id = snapshots(&world)[0].snapshot_id.clone();
    world.borrow_mut().end_snapshot(&id, Some("it broke"));
    wait(&world, 10);
    let told = told(&world, "Snapshot Failed");
    assert_eq!(
        (told.len(), &told[0]["snapshotId"], &told[0]["volumeId"]),
        (1, &json!(id), &json!(volume))
    );
    assert_eq!(volumes(&world), [volume]);
    wait(&world, 25);
    assert_eq!((volumes(&world).len(), made(&world).len()), (0, 2));
}

#[test]
fn no_more_than_twenty_go_in_one_pass() {
    let world = removing();
    for _ in 0..25 {
        leave(&world, Some("prod"));
    }
    let mut before = 25;
    for _ in 0..24 {
        wait(&world, 5);
        let (left, shots) = (volumes(&world).len(), snapshots(&world).len());
        assert!(
            before - left <= 20 && 25 - left <= shots,
            "{before} to {left}, {shots} snapshots"
        );
        before = left;
    }
    assert_eq!((before, snapshots(&world).len()), (0, 25));
}

/// What must hold whenever a pass dies, or an answer of EC2 is lost.
fn goes_on(world: &Shared, volume: &str, why: &str) {
    wait(world, 5);
    let is_left = volumes(world).iter().any(|id| id == volume);
    let is_done = |s: &Snapshot| s.volume_id == volume && s.state == SnapshotState::Completed;
    assert!(is_left || snapshots(world).iter().any(is_done), "{why}");
    wait(world, 40);
    assert_eq!((volumes(world).len(), made(world).len()), (0, 1), "{why}");
}

#[test]
fn a_pass_that_dies_anywhere_leaves_one_snapshot_and_no_volume() {
    let event = stage::scheduled(&json!({}));
    // When the snapshot is due, and when it is completed.
    for minutes in [60, 70] {
        let mut died = 0;
        for calls in 0.. {
            let world = removing();
            let volume = leave(&world, Some("prod"));
            wait(&world, minutes);
            let done = disturbed(&world, &event, calls, |_| Fate::Fine);
            died += usize::from(done.is_none());
            goes_on(&world, &volume, &format!("after {minutes} minutes and {calls} calls"));
            if done.is_some() {
                break;
            }
        }
        assert!(died > 8, "{died}");
    }
}

#[test]
fn an_answer_that_is_lost_makes_no_second_snapshot_of_it() {
    let event = stage::scheduled(&json!({}));
    for (minutes, lost) in [(60, "CreateSnapshot"), (70, "DeleteVolume")] {
        for fate in [Fate::After(Kind::TimedOut), Fate::Before(Kind::Throttled)] {
            let world = removing();
            let volume = leave(&world, Some("prod"));
            wait(&world, minutes);
            let meets = |operation| if operation == lost { fate } else { Fate::Fine };
            let _ = disturbed(&world, &event, usize::MAX, meets);
            goes_on(&world, &volume, &format!("{lost} {fate:?}"));
        }
    }
}

#[test]
fn what_tasks_name_is_asked_before_anything_goes() {
    let world = removing();
    let volume = leave(&world, Some("prod"));
    wait(&world, 60);
    let event = stage::scheduled(&json!({}));
    let denied = |operation| match operation {
        "DescribeTasks" => Fate::Before(Kind::Denied),
        _ => Fate::Fine,
    };
    for _ in 0..3 {
        disturbed(&world, &event, usize::MAX, denied).unwrap().unwrap();
        stage::pass(&world, SignedDuration::from_mins(5));
    }
    assert_eq!((volumes(&world), snapshots(&world)), (vec![volume], vec![]));
    assert!(codes(&world).contains(&Code::FactsMissing));
}

#[test]
fn who_asks_for_nothing_costs_nothing() {
    let world = world(every("6h"));
    leave(&world, Some("prod"));
    world.borrow_mut().talkative = true;
    wait(&world, 10);
    let told = std::mem::take(&mut world.borrow_mut().told);
    assert!(told.iter().all(|line| !line.contains("DescribeVolumes")), "{told:#?}");
}
