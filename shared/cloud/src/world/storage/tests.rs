//! Volumes come and go with tasks, snapshots stay.

use futures_util::FutureExt;
use jiff::Timestamp;
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::storage::{LINEAGE_TAG, Lineage, OWNER_TAG};

use super::super::{Move, Shared};
use super::*;
use crate::ports::Tasks;

fn db() -> Target {
    Target::service("prod", "db")
}

/// A service with a volume `data` whose one task runs.
fn world(snapshot: Option<&str>) -> World {
    let mut world = World::new(Timestamp::UNIX_EPOCH);
    let revision = world
        .define(&json!({ "family": "db", "containerDefinitions": [{ "name": "db" }] }))
        .unwrap();
    world.make_service(&db(), &revision, 1, false);
    let volume = json!({ "name": "data", "managedEBSVolume": { "sizeInGiB": 20, "snapshotId": snapshot } });
    world.configure_volumes(&db(), &[volume]);
    goes_on(&mut world);
    world
}

/// Until nothing moves, or ten tasks have come to nothing.
fn goes_on(world: &mut World) {
    for _ in 0..100 {
        let Some(next) = world.moves().pop() else { return };
        world.make(&next);
    }
}

fn request(volume_id: &str) -> CreateSnapshot {
    let lineage = Lineage::of(&db(), "data");
    let at = Timestamp::UNIX_EPOCH;
    CreateSnapshot {
        tags: lineage.tags("w", "1", at),
        lineage,
        volume_id: volume_id.to_owned(),
        at,
    }
}

fn caller(world: World) -> (Shared, Caller) {
    let world = world.shared();
    let caller = Caller::direct(&world, "test");
    (world, caller)
}

fn told(world: &World) -> Vec<TaskStateChange> {
    let of_task = world
        .emitted
        .iter()
        .filter(|e| e["detail-type"] == "ECS Task State Change");
    of_task.map(|e| TaskStateChange::parse(&e["detail"]).unwrap()).collect()
}

#[test]
fn a_task_has_a_volume_of_its_own_until_it_has_stopped() {
    let mut world = world(None);
    let (arn, task) = world.tasks.iter().next().unwrap();
    let (arn, volumes) = (arn.clone(), task.volumes.clone());
    assert_eq!(volumes[0].name.as_deref(), Some("data"));
    assert_eq!(told(&world).last().unwrap().volumes, volumes);
    assert!(told(&world)[0].volumes.is_empty());
    let volume = &world.ebs.volumes[&volumes[0].volume_id];
    assert_eq!((volume.state.as_str(), volume.size), ("in-use", 20));

    world.make(&Move::Stop(arn.clone()));
    goes_on(&mut world);
    assert!(!world.ebs.volumes.contains_key(&volumes[0].volume_id));
    assert_eq!(world.ebs.volumes.len(), 1);
    let (_, caller) = caller(world);
    let described = caller.describe_tasks("prod", &[arn.parse().unwrap()]).now_or_never();
    assert_eq!(described.unwrap().unwrap().tasks[0].volumes, volumes);
}

#[test]
fn a_volume_is_made_of_a_completed_snapshot_only() {
    let mut world = world(Some("snap-1"));
    assert!(world.tasks.values().all(|task| !task.is_running()));
    assert!(world.ebs.volumes.is_empty());
    let made = Shot {
        snapshot: Snapshot {
            snapshot_id: "snap-1".into(),
            volume_id: "vol-0".into(),
            state: SnapshotState::Completed,
            state_message: None,
            start_time: Timestamp::UNIX_EPOCH,
            volume_size: 20,
            tags: BTreeMap::new(),
        },
        shown_from: Timestamp::UNIX_EPOCH,
        shared_with: Vec::new(),
        in_use: false,
    };
    world.ebs.snapshots.insert("snap-1".into(), made);
    goes_on(&mut world);
    assert!(world.tasks.values().any(super::super::Task::is_running));
    let (world, caller) = caller(world);
    let held = caller.held_snapshots(&db()).now_or_never().unwrap().unwrap();
    assert!(held["snap-1"].starts_with("deployment ecs-svc/"), "{held:?}");
    let configured = caller.volume_configurations(&db()).now_or_never().unwrap().unwrap();
    assert_eq!(configured.unwrap()[0]["name"], "data");
    assert_eq!(caller.delete_snapshot("snap-1").now_or_never(), Some(Ok(Removed::Done)));
    let did = world.borrow().journal.last().unwrap().change.clone();
    assert!(matches!(did, Change::DeleteSnapshot { named_by: Some(by), .. } if by == db()));
}

#[test]
fn a_snapshot_is_pending_until_it_ends() {
    let (world, caller) = caller(world(None));
    let volume = world.borrow().ebs.volumes.keys().next().unwrap().clone();
    let snap = || {
        caller
            .create_snapshot(&request(&volume))
            .now_or_never()
            .unwrap()
            .unwrap()
    };
    let Snapped::Made(made) = snap() else {
        panic!("no snapshot was made")
    };
    assert_eq!((made.state, made.volume_size), (SnapshotState::Pending, 20));
    assert!(matches!(snap(), Snapped::Later(_)));
    let listed = || {
        caller
            .snapshots_tagged(LINEAGE_TAG, "prod/db/data")
            .now_or_never()
            .unwrap()
            .unwrap()
    };
    assert_eq!(listed(), std::slice::from_ref(&made));
    world.borrow_mut().lagging = true;
    assert_eq!(listed(), []);
    world.borrow_mut().lagging = false;

    world.borrow_mut().end_snapshot(&made.snapshot_id, None);
    let event = world.borrow().emitted.last().unwrap().clone();
    assert_eq!(event["detail"]["result"], "succeeded");
    let arn = format!("arn:aws:ec2::{REGION}:snapshot/{}", made.snapshot_id);
    assert_eq!(event["detail"]["snapshot_id"], arn);
    // What has ended stays as it is.
    world.borrow_mut().end_snapshot(&made.snapshot_id, Some("no"));
    assert!(listed()[0].is_completed() && listed()[0].tags[OWNER_TAG] == "w");

    world.borrow_mut().now = Timestamp::from_second(3_600).unwrap();
    let Snapped::Made(second) = snap() else {
        panic!("no snapshot was made")
    };
    world
        .borrow_mut()
        .end_snapshot(&second.snapshot_id, Some("internal error"));
    let found = caller.snapshots(&[second.snapshot_id]).now_or_never().unwrap().unwrap();
    assert_eq!(
        (found[0].state, found[0].state_message.as_deref()),
        (SnapshotState::Error, Some("internal error"))
    );
}

#[test]
fn what_is_in_use_stays() {
    let mut world = world(None);
    let attached = world.ebs.volumes.keys().next().unwrap().clone();
    let left = world.make_volume(8, BTreeMap::from([(MANAGED_TAG.to_owned(), "true".to_owned())]));
    world.make_volume(8, BTreeMap::new());
    let (world, caller) = caller(world);
    let available = caller.available_volumes().now_or_never().unwrap().unwrap();
    assert_eq!(available.iter().map(|v| &v.volume_id).collect::<Vec<_>>(), [&left]);
    let delete = |id: &str| caller.delete_volume(id).now_or_never().unwrap().unwrap();
    assert!(matches!(delete(&attached), Removed::InUse(_)));
    assert_eq!([delete(&left), delete(&left)], [Removed::Done, Removed::Done]);

    let Some(Ok(Snapped::Made(made))) = caller.create_snapshot(&request(&attached)).now_or_never() else {
        panic!("no snapshot was made")
    };
    let id = made.snapshot_id;
    let snapshot =
        |world: &Shared, change: fn(&mut Shot)| change(world.borrow_mut().ebs.snapshots.get_mut(&id).unwrap());
    snapshot(&world, |shot| shot.in_use = true);
    let remove = || caller.delete_snapshot(&id).now_or_never().unwrap().unwrap();
    assert!(matches!(remove(), Removed::InUse(_)));
    snapshot(&world, |shot| {
        shot.in_use = false;
        shot.shared_with = vec!["444455556666".into()];
    });
    let shared = caller.shared_with(&id).now_or_never().unwrap().unwrap();
    assert_eq!(shared, ["444455556666"]);
    assert_eq!([remove(), remove()], [Removed::Done, Removed::Done]);
    let missing = caller.create_snapshot(&request("vol-gone")).now_or_never();
    assert_eq!(missing, Some(Ok(Snapped::NoVolume)));
}
