//! Tasks that are run by hand, and what they leave behind.

use futures_util::FutureExt;
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::TaskArn;
use wharfinger_core::storage::{CreateSnapshot, Lineage, MANAGED_TAG};

use super::super::{Move, Shared};
use super::*;
use crate::ports::{DescribedTasks, Launches as _, Removed, Snapped, Snapshots, Tasks, Volumes};

fn db() -> Target {
    Target::task("prod", "db")
}

fn input(token: &str, snapshot: Option<&str>) -> Value {
    let mut volume = json!({
        "tagSpecifications": [{ "resourceType": "volume", "tags": [{ "key": "whose", "value": "db" }] }],
        "terminationPolicy": { "deleteOnTermination": false },
    });
    match snapshot {
        Some(id) => volume["snapshotId"] = id.into(),
        None => volume["sizeInGiB"] = 20.into(),
    }
    json!({
        "cluster": "prod", "taskDefinition": "db", "clientToken": token, "startedBy": "us/0",
        "volumeConfigurations": [{ "name": "data", "managedEBSVolume": volume }],
    })
}

fn stage() -> (Shared, Caller) {
    let mut world = World::new(Timestamp::UNIX_EPOCH);
    world
        .define(&json!({ "family": "db", "containerDefinitions": [{ "name": "db" }] }))
        .unwrap();
    let world = world.shared();
    let caller = Caller::direct(&world, "test");
    (world, caller)
}

fn run(caller: &Caller, input: &Value) -> Ran {
    caller.run_task(input).now_or_never().unwrap().unwrap()
}

fn started(ran: &Ran) -> String {
    match ran {
        Ran::Started(arn) => arn.clone(),
        other => panic!("nothing was started: {other:?}"),
    }
}

fn goes_on(world: &Shared) {
    for _ in 0..100 {
        let Some(next) = world.borrow().moves().pop() else {
            return;
        };
        world.borrow_mut().make(&next);
    }
}

fn later(world: &Shared, by: SignedDuration) {
    let mut world = world.borrow_mut();
    world.now = world.now.saturating_add(by).unwrap();
}

fn volumes(caller: &Caller) -> Vec<(String, String)> {
    let found = caller.volumes_tagged("whose", "db").now_or_never().unwrap().unwrap();
    found.into_iter().map(|v| (v.volume_id, v.state)).collect()
}

fn listed(caller: &Caller) -> Vec<TaskArn> {
    caller.list_tasks(&db()).now_or_never().unwrap().unwrap()
}

fn described(caller: &Caller, arn: &str) -> DescribedTasks {
    let arn = [arn.parse().unwrap()];
    caller.describe_tasks("prod", &arn).now_or_never().unwrap().unwrap()
}

#[test]
fn the_same_request_is_one_task() {
    let (world, caller) = stage();
    let first = run(&caller, &input("a", None));
    assert_eq!(run(&caller, &input("a", None)), first);
    assert_eq!(run(&caller, &input("a", Some("snap-1"))), Ran::Conflict);
    assert_ne!(run(&caller, &input("b", None)), first);
    // It is known for an hour after the task has stopped.
    goes_on(&world);
    let arn = started(&first);
    later(&world, SignedDuration::from_hours(20));
    world.borrow_mut().make(&Move::Stop(arn));
    goes_on(&world);
    later(&world, SignedDuration::from_mins(59));
    assert_eq!(run(&caller, &input("a", None)), first);
    later(&world, SignedDuration::from_mins(1));
    assert_ne!(run(&caller, &input("a", None)), first);
    let tasks = |world: &Shared| world.borrow().tasks.len();
    assert_eq!(tasks(&world), 3);
    // And for a day at most.
    let last = run(&caller, &input("a", None));
    later(&world, SignedDuration::from_hours(24));
    assert_ne!(run(&caller, &input("a", None)), last);
    let did = world.borrow().journal.len();
    assert_eq!((did, tasks(&world)), (4, 4));
}

#[test]
fn what_is_refused_starts_nothing() {
    let (world, caller) = stage();
    world.borrow_mut().launches.refusal = Some("RESOURCE:MEMORY".to_owned());
    let refused = Ran::Refused("RESOURCE:MEMORY".to_owned());
    assert_eq!(run(&caller, &input("a", None)), refused);
    world.borrow_mut().launches.refusal = None;
    // The answer of the first is given again.
    assert_eq!(run(&caller, &input("a", None)), refused);
    assert!(matches!(run(&caller, &input("b", None)), Ran::Started(_)));
    let mut unknown = input("c", None);
    unknown["taskDefinition"] = "none".into();
    assert!(matches!(run(&caller, &unknown), Ran::Refused(words) if words.contains("not found")));
}

#[test]
fn a_volume_stays_when_its_task_has_stopped() {
    let (world, caller) = stage();
    let arn = started(&run(&caller, &input("a", None)));
    assert_eq!(volumes(&caller), []);
    let advance = || world.borrow_mut().make(&Move::Advance(arn.clone()));
    let state = || volumes(&caller).first().map(|(_, state)| state.clone());
    // It is nobody's before it is attached.
    advance();
    assert_eq!(state().as_deref(), Some("available"));
    goes_on(&world);
    assert_eq!(state().as_deref(), Some("in-use"));
    let (id, _) = volumes(&caller)[0].clone();
    let task = &described(&caller, &arn).tasks[0];
    assert_eq!(
        (task.volumes[0].volume_id.as_str(), task.is_running()),
        (id.as_str(), true)
    );
    let volume = world.borrow().ebs.volumes[&id].clone();
    assert!(volume.tags.contains_key(MANAGED_TAG) && volume.size == 20);

    world.borrow_mut().make(&Move::Stop(arn.clone()));
    for _ in 0..4 {
        advance();
    }
    let event = world.borrow().emitted.last().unwrap()["detail"].clone();
    assert_eq!(
        (&event["lastStatus"], &event["startedBy"]),
        (&json!("STOPPED"), &json!("us/0"))
    );
    assert_eq!(TaskStateChange::parse(&event).unwrap().target(), Ok(db()));
    let delete = || caller.delete_volume(&id).now_or_never().unwrap().unwrap();
    assert_eq!(state().as_deref(), Some("in-use"));
    assert!(matches!(delete(), Removed::InUse(_)));
    goes_on(&world);
    assert_eq!(state().as_deref(), Some("available"));
    assert_eq!((delete(), state()), (Removed::Done, None));
}

#[test]
fn a_volume_that_is_not_to_stay_goes_with_its_task() {
    let (world, caller) = stage();
    let mut goes = input("a", None);
    goes["volumeConfigurations"][0]["managedEBSVolume"]["terminationPolicy"] = Value::Null;
    let arn = started(&run(&caller, &goes));
    goes_on(&world);
    assert_eq!(volumes(&caller).len(), 1);
    world.borrow_mut().lose(&arn);
    assert_eq!(volumes(&caller), []);
}

#[test]
fn what_is_written_passes_from_a_volume_to_a_snapshot_and_on() {
    let (world, caller) = stage();
    let arn = started(&run(&caller, &input("a", None)));
    let written = |id: &str| world.borrow().ebs.written.get(id).copied().unwrap_or_default();
    world.borrow_mut().write(&arn);
    goes_on(&world);
    for _ in 0..3 {
        world.borrow_mut().write(&arn);
    }
    let (first, _) = volumes(&caller)[0].clone();
    world.borrow_mut().lose(&arn);
    world.borrow_mut().write(&arn);
    assert_eq!(written(&first), 3);
    let lineage = Lineage::of(&db(), "data");
    let request = CreateSnapshot {
        tags: lineage.tags("w", "1", Timestamp::UNIX_EPOCH),
        lineage,
        volume_id: first,
        at: Timestamp::UNIX_EPOCH,
    };
    let Some(Ok(Snapped::Made(made))) = caller.create_snapshot(&request).now_or_never() else {
        panic!("no snapshot was made")
    };
    world.borrow_mut().end_snapshot(&made.snapshot_id, None);
    let next = started(&run(&caller, &input("b", Some(&made.snapshot_id))));
    goes_on(&world);
    world.borrow_mut().write(&next);
    let second = world.borrow().tasks[&next].volumes[0].volume_id.clone();
    let size = world.borrow().ebs.volumes[&second].size;
    assert_eq!((written(&made.snapshot_id), written(&second), size), (3, 4, 20));
    // From a snapshot that is not there nothing starts, and no volume is made.
    let never = started(&run(&caller, &input("c", Some("snap-none"))));
    goes_on(&world);
    let task = &described(&caller, &never).tasks[0];
    assert!(task.last_status == TaskStatus::Stopped && task.volumes.is_empty() && task.stopped_at.is_some());
}

#[test]
fn what_was_changed_a_moment_ago_may_not_be_shown() {
    let (world, caller) = stage();
    let lags = |lags| world.borrow_mut().lagging = lags;
    let arn = started(&run(&caller, &input("a", None)));
    lags(true);
    assert_eq!((listed(&caller).len(), described(&caller, &arn).missing.len()), (0, 1));
    later(&world, LAG);
    assert_eq!((listed(&caller).len(), described(&caller, &arn).tasks.len()), (1, 1));
    goes_on(&world);
    assert_eq!(volumes(&caller), []);
    later(&world, LAG);
    assert_eq!(volumes(&caller).len(), 1);
    world.borrow_mut().lose(&arn);
    assert_eq!(described(&caller, &arn).tasks[0].last_status, TaskStatus::Running);
    assert_eq!(listed(&caller).len(), 1);
    lags(false);
    assert_eq!(described(&caller, &arn).tasks[0].last_status, TaskStatus::Stopped);
    assert_eq!(listed(&caller), []);
    goes_on(&world);
    let (id, _) = volumes(&caller)[0].clone();
    assert_eq!(caller.delete_volume(&id).now_or_never(), Some(Ok(Removed::Done)));
    lags(true);
    assert_eq!(volumes(&caller).len(), 1);
    lags(false);
    assert_eq!(volumes(&caller), []);
    // An hour later ECS has forgotten it.
    later(&world, KNOWN);
    assert_eq!(described(&caller, &arn).missing, std::slice::from_ref(&arn));
    // A volume may be shown late.
    world.borrow_mut().ebs.shown_after = SignedDuration::from_secs(60);
    run(&caller, &input("b", None));
    goes_on(&world);
    assert_eq!(volumes(&caller), []);
    later(&world, SignedDuration::from_secs(60));
    assert_eq!(volumes(&caller).len(), 1);
}
