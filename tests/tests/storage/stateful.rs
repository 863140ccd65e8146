//! Stateful families: what a task wrote is there when the next one starts.

use wharfinger_cloud::error::Kind;
use wharfinger_cloud::world::{Fate, Task};

use super::troubles::disturbed;
use super::*;

fn family() -> Target {
    Target::task("prod", "ledger")
}

/// `prod/ledger` with one identity, whose task runs and has written three times.
fn running() -> Shared {
    let mut world = World::new(stage::beginning());
    let container = json!({ "name": "ledger", "image": "ledger:1" });
    world
        .define(&json!({ "family": "ledger", "containerDefinitions": [container] }))
        .unwrap();
    let stateful = json!({ "volume": "data", "size": 10, "role": "arn:aws:iam::111122223333:role/ecs" });
    stage::store(&mut world, &family(), json!({ "stateful": stateful }));
    let world = world.shared();
    play(&world, 10, true);
    let task = task(&world).arn;
    for _ in 0..3 {
        world.borrow_mut().write(&task);
    }
    world
}

/// The one task that runs.
fn task(world: &Shared) -> Task {
    let world = world.borrow();
    let mut running = world.tasks.values().filter(|task| task.is_running());
    let found = running.next().cloned();
    assert!(running.next().is_none());
    found.unwrap_or_else(|| panic!("no task runs: {:?}", world.journal))
}

/// How often the volume of the task that runs was written to, with what it began with.
fn written(world: &Shared) -> u64 {
    let volume = task(world).volumes[0].volume_id.clone();
    let world = world.borrow();
    assert_eq!(world.ebs.volumes.keys().collect::<Vec<_>>(), [&volume]);
    world.ebs.written.get(&volume).copied().unwrap_or_default()
}

/// The calls that changed something, without writes to tables.
fn calls(world: &Shared) -> Vec<&'static str> {
    let world = world.borrow();
    let call = |change: &Change| match change {
        Change::RunTask { .. } => Some("RunTask"),
        Change::CreateSnapshot(_) => Some("CreateSnapshot"),
        Change::DeleteVolume(_) => Some("DeleteVolume"),
        Change::Wrote(..) => None,
        other => panic!("{other:?}"),
    };
    world.journal.iter().filter_map(|did| call(&did.change)).collect()
}

fn stop(world: &Shared) {
    let arn = task(world).arn;
    world.borrow_mut().make(&Move::Stop(arn));
}

/// The event that ends the snapshot of a task that has stopped.
fn saved(world: &Shared) -> Value {
    stop(world);
    settle(&mut world.borrow_mut());
    hear(world);
    stage::pass(world, SignedDuration::from_mins(5));
    let made = snapshots(world).last().unwrap().snapshot_id.clone();
    world.borrow_mut().end_snapshot(&made, None);
    world.borrow_mut().emitted.pop().unwrap()
}

#[test]
fn a_task_that_stops_is_followed_by_one_with_its_data() {
    let world = running();
    assert_eq!((calls(&world), written(&world)), (vec!["RunTask"], 3));
    stop(&world);
    play(&world, 10, true);
    let all = ["RunTask", "CreateSnapshot", "DeleteVolume", "RunTask"];
    assert_eq!((calls(&world), written(&world)), (all.to_vec(), 3));
    // Also when no event arrives.
    stop(&world);
    play(&world, 20, false);
    assert_eq!((calls(&world).len(), written(&world)), (7, 3));
}

#[test]
fn the_next_starts_in_the_moment_in_which_the_last_is_saved() {
    let world = running();
    let event = saved(&world);
    assert_eq!(calls(&world), ["RunTask", "CreateSnapshot"]);
    hand(&world, &event).unwrap();
    settle(&mut world.borrow_mut());
    assert_eq!((calls(&world).len(), written(&world)), (4, 3));
}

#[test]
fn an_invocation_that_dies_anywhere_loses_nothing_and_starts_one() {
    let mut died = 0;
    for let_through in 0..100 {
        let world = running();
        let event = saved(&world);
        let done = disturbed(&world, &event, let_through, |_| Fate::Fine);
        died += usize::from(done.is_none());
        play(&world, 30, true);
        let all = ["RunTask", "CreateSnapshot", "DeleteVolume", "RunTask"];
        assert_eq!(
            (calls(&world), written(&world)),
            (all.to_vec(), 3),
            "after {let_through} calls"
        );
        if done.is_some() {
            assert!(died > 12, "{died}");
            return;
        }
    }
    panic!("it never ended");
}

#[test]
fn an_answer_that_is_lost_starts_no_second_task() {
    for operation in ["RunTask", "DeleteVolume", "CreateSnapshot"] {
        for kind in [Kind::TimedOut, Kind::Unavailable, Kind::Unreadable] {
            let world = running();
            stop(&world);
            settle(&mut world.borrow_mut());
            let lost = |called| {
                if called == operation {
                    Fate::After(kind)
                } else {
                    Fate::Fine
                }
            };
            let mut failed = 0;
            for _ in 0..3 {
                let told = std::mem::take(&mut world.borrow_mut().emitted);
                for event in told.iter().chain([&stage::scheduled(&Value::Null)]) {
                    let done = disturbed(&world, event, usize::MAX, lost).unwrap();
                    failed += usize::from(done.is_err());
                }
                play(&world, 4, true);
            }
            play(&world, 20, true);
            assert_eq!((calls(&world).len(), written(&world)), (4, 3), "{operation} {kind:?}");
            assert!(failed > 0 || operation != "CreateSnapshot", "{operation} {kind:?}");
        }
    }
}

#[test]
fn a_task_that_is_refused_is_tried_again() {
    let world = running();
    world.borrow_mut().launches.refusal = Some("RESOURCE:MEMORY".to_owned());
    stop(&world);
    play(&world, 20, true);
    assert_eq!(calls(&world), ["RunTask", "CreateSnapshot", "DeleteVolume"]);
    let item = world.borrow().tables.of(TableName::State)[&service_key(&family())].clone();
    let memory: Memory = attribute(&item, observe::MEMORY).unwrap().unwrap();
    let known = memory.volumes["data.0"].identity.clone().unwrap();
    assert!(known.failures > 1 && known.refused.is_some_and(|words| words.contains("MEMORY")));
    world.borrow_mut().launches.refusal = None;
    play(&world, 20, true);
    assert_eq!((calls(&world).len(), written(&world)), (4, 3));
}

#[test]
fn tasks_that_others_run_and_families_that_are_not_configured_cost_nothing() {
    let world = running();
    world.borrow_mut().talkative = true;
    let event = |by: &str, family: &str| {
        json!({
            "id": "e", "detail-type": "ECS Task State Change", "source": "aws.ecs", "time": "2026-01-05T08:00:00Z",
            "resources": [], "detail": {
                "taskArn": "arn:aws:ecs:eu-west-1:111122223333:task/prod/0123", "version": 3,
                "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod", "group": format!("family:{family}"),
                "startedBy": by, "desiredStatus": "RUNNING", "lastStatus": "RUNNING", "attachments": [],
            },
        })
    };
    hand(&world, &event("someone", "ledger")).unwrap();
    hand(&world, &event("wharfinger", "ledger")).unwrap();
    assert_eq!(world.borrow().told, [""; 0]);
    hand(&world, &event(&format!("{}/0", stage::OWNER), "other")).unwrap();
    let told = world.borrow().told.clone();
    assert!(told.iter().all(|call| call.contains("GetItem")), "{told:?}");
}
