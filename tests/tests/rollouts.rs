//! Rollouts whose invocation dies between two calls.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

mod stage;

use std::pin::pin;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::attribute;
use wharfinger_cloud::world::{
    ACCOUNT, Caller, Fate, Gates, Move, REGION, Rollout, Shared, Shot, What, World, registry,
};
use wharfinger_core::delivery::{Follower, Memory};
use wharfinger_core::event::TaskStatus;
use wharfinger_core::ids::{Digest, Target};
use wharfinger_core::storage::{Lineage, Snapshot, SnapshotState};
use wharfinger_delivery::wishes::MEMORY;
use wharfinger_delivery::{Attempt, Delivery};
use wharfinger_tests::lambda::OWNER;

fn target() -> Target {
    Target::service("prod", "web")
}

fn digest(n: u64) -> Digest {
    format!("sha256:{n:064x}").parse().unwrap()
}

/// `prod/web` at rest on its first revision, and the event of a push.
fn pushed() -> (Shared, Value) {
    let mut world = World::new(stage::beginning());
    let container = json!({ "name": "app", "image": format!("{}/shop/web:1.0.0", registry()) });
    let definition = world.define(&json!({ "family": "web", "containerDefinitions": [container] }));
    world.make_service(&target(), &definition.unwrap(), 1, false);
    let rule = json!({ "repository": "shop/web", "tags": { "semver": "1.x" } });
    stage::store(&mut world, &target(), json!({ "delivery": [rule] }));
    world.repositories.make("shop/web");
    settle(&mut world);
    world.push("shop/web", "1.1.0", &digest(1));
    let event = world.emitted.pop().unwrap();
    (world.shared(), event)
}

/// ECS does what there is to do, but ends no deployment for good.
fn settle(world: &mut World) {
    for _ in 0..100 {
        let moves = world.moves();
        let next = moves.iter().find(|one| match one {
            Move::Advance(arn) => world.tasks[arn].status != TaskStatus::Running || !world.tasks[arn].wanted,
            Move::Start(_) | Move::Complete(_) => true,
            Move::Stop(arn) => world.tasks[arn].is_running(),
            Move::Heal(_) | Move::Forget(_) | Move::Fail(_) | Move::Detach(_) => false,
        });
        let Some(next) = next.cloned() else { return };
        world.make(&next);
    }
    panic!("{:?}", world.moves());
}

fn attempt(holder: &str) -> Attempt {
    Attempt {
        holder: holder.into(),
        account: ACCOUNT.into(),
        region: REGION.into(),
        owner: OWNER.into(),
    }
}

/// Where an invocation dies.
#[derive(Debug, Clone, Copy)]
enum Dies {
    /// The call is about to be made.
    Before(&'static str),
    /// It was made, and nothing after it.
    After(&'static str),
}

/// Handles an event in an invocation of its own, which dies at the first call of that name.
fn dies(world: &Shared, event: &Value, at: Dies) {
    let gates = Gates::default();
    let deadline = world.borrow().now + SignedDuration::from_mins(1);
    let caller = Caller::gated(world, "delivery", gates.clone(), deadline, SignedDuration::ZERO);
    let (function, attempt) = (Delivery::default(), attempt("dies"));
    let mut work = pin!(function.on_event(&caller, &attempt, event));
    for _ in 0..200 {
        assert!(stage::poll(work.as_mut()).is_pending(), "it ended before {at:?}");
        for stop in gates.stops() {
            let is = |name| matches!(stop.what, What::Call { operation, .. } if operation == name);
            if matches!(at, Dies::Before(last) if is(last)) {
                return;
            }
            gates.open(stop.id, Fate::Fine);
            if matches!(at, Dies::After(last) if is(last)) {
                assert!(stage::poll(work.as_mut()).is_pending(), "it ended with {at:?}");
                return;
            }
        }
    }
    panic!("it never came to {at:?}");
}

/// The pass of a minute, and what it does: the calls by their name.
fn sweep(world: &Shared) -> Vec<String> {
    let event = stage::scheduled(&json!({}));
    world.borrow_mut().told.clear();
    world.borrow_mut().talkative = true;
    let caller = Caller::direct(world, "delivery");
    stage::now(Delivery::default().on_event(&caller, &attempt("sweeps"), &event)).unwrap();
    let told = world.borrow().told.clone();
    let call = |line: &String| Some(line.split_once(": ")?.1.split(' ').next()?.to_owned());
    told.iter().filter_map(call).collect()
}

/// An invocation that hears an event and ends well.
fn hear(world: &Shared, event: &Value) {
    let caller = Caller::direct(world, "delivery");
    stage::now(Delivery::default().on_event(&caller, &attempt("hears"), event)).unwrap();
}

fn memory(world: &Shared) -> Memory {
    let world = world.borrow();
    let item = &world.tables.state[&service_key(&target())];
    attribute(item, MEMORY).unwrap().unwrap()
}

fn revision(world: &Shared) -> String {
    let world = world.borrow();
    let primary = world.services[&target()].primary().unwrap();
    primary.definition.rsplit('/').next().unwrap().to_owned()
}

fn has(calls: &[String], call: &str) -> bool {
    calls.iter().any(|one| one == call)
}

#[test]
fn an_image_that_ecs_went_back_from_and_forgot_is_not_sent_out_a_second_time() {
    let (world, event) = pushed();
    dies(&world, &event, Dies::After("UpdateService"));
    assert_eq!(revision(&world), "web:2");
    // The circuit breaker goes back, and soon `DescribeServices` shows nothing of the deployment any more.
    world.borrow_mut().make(&Move::Fail(target()));
    settle(&mut world.borrow_mut());
    let shown = world.borrow().services[&target()].deployments.clone();
    assert_eq!(
        (shown.len(), shown[0].rollout, revision(&world).as_str()),
        (1, Rollout::Completed, "web:1")
    );

    stage::pass(&world, SignedDuration::from_mins(10));
    let calls = sweep(&world);
    assert!(
        has(&calls, "ListServiceDeployments") && !has(&calls, "UpdateService"),
        "{calls:?}"
    );
    for _ in 0..3 {
        stage::pass(&world, SignedDuration::from_mins(5));
        let calls = sweep(&world);
        assert!(
            !has(&calls, "UpdateService") && !has(&calls, "RegisterTaskDefinition"),
            "{calls:?}"
        );
    }
    assert_eq!(revision(&world), "web:1");
    let told: Vec<_> = world
        .borrow()
        .around
        .notices
        .iter()
        .map(|n| n.detail_type.clone())
        .collect();
    assert_eq!(told, ["Rollout Started", "Rollout Failed"]);
    // The next image is.
    world.borrow_mut().push("shop/web", "1.2.0", &digest(2));
    assert!(has(&sweep(&world), "UpdateService"));
}

#[test]
fn a_rollout_that_died_before_its_revision_was_known_is_begun_anew() {
    for (at, runs) in [
        (Dies::Before("RegisterTaskDefinition"), "web:2"),
        // One revision stays unused.
        (Dies::After("RegisterTaskDefinition"), "web:3"),
    ] {
        let (world, event) = pushed();
        dies(&world, &event, at);
        stage::pass(&world, SignedDuration::from_mins(2));
        assert!(has(&sweep(&world), "UpdateService"), "{at:?}");
        assert_eq!(revision(&world), runs, "{at:?}");
    }
}

#[test]
fn a_service_that_may_have_been_sent_is_sent_once_it_is_known_that_it_was_not() {
    let (world, event) = pushed();
    dies(&world, &event, Dies::Before("UpdateService"));
    // Its lease is over, but ECS may not show the call yet.
    stage::pass(&world, SignedDuration::from_secs(100));
    let calls = sweep(&world);
    assert!(
        !has(&calls, "UpdateService") && !has(&calls, "RegisterTaskDefinition"),
        "{calls:?}"
    );
    stage::pass(&world, SignedDuration::from_secs(60));
    let calls = sweep(&world);
    assert!(
        has(&calls, "ListServiceDeployments") && has(&calls, "UpdateService"),
        "{calls:?}"
    );
    assert_eq!(
        (revision(&world).as_str(), world.borrow().definitions.revisions("web")),
        ("web:2", 2)
    );
    settle(&mut world.borrow_mut());
    stage::pass(&world, SignedDuration::from_mins(1));
    sweep(&world);
    let told: Vec<_> = world
        .borrow()
        .around
        .notices
        .iter()
        .map(|n| n.detail_type.clone())
        .collect();
    assert_eq!(told, ["Rollout Waiting", "Rollout Started", "Rollout Succeeded"]);
}

#[test]
fn an_older_revision_that_someone_deploys_is_noticed_by_its_event_and_by_the_sweep() {
    for hears in [true, false] {
        let (world, event) = pushed();
        let before = world.borrow().services[&target()].primary().unwrap().definition.clone();
        hear(&world, &event);
        settle(&mut world.borrow_mut());
        stage::pass(&world, SignedDuration::from_mins(1));
        sweep(&world);
        let quiet = sweep(&world);
        assert!(
            has(&quiet, "DescribeServices") && !has(&quiet, "DescribeTaskDefinition"),
            "{quiet:?}"
        );

        world.borrow_mut().emitted.clear();
        world.borrow_mut().deploy_by_hand(&target(), &before);
        if hears {
            let moved = world.borrow_mut().emitted.pop().unwrap();
            hear(&world, &moved);
        } else {
            sweep(&world);
        }
        let memory = memory(&world);
        assert!(
            memory.proved.is_empty() && memory.quarantine[0].digest == digest(1),
            "{memory:?}"
        );
        settle(&mut world.borrow_mut());
        sweep(&world);
        assert_eq!(revision(&world), "web:1");
    }
}

#[test]
fn what_someone_registered_since_is_asked_for_once_there_is_room_and_told_before_ours_is_the_newest() {
    for theirs in [false, true] {
        let (world, event) = pushed();
        if theirs {
            let container = json!({ "name": "app", "image": format!("{}/shop/web:1.0.0", registry()) });
            let definition = json!({ "family": "web", "cpu": "512", "containerDefinitions": [container] });
            world.borrow_mut().define(&definition).unwrap();
        }
        world.borrow_mut().talkative = true;
        hear(&world, &event);
        let told = std::mem::take(&mut world.borrow_mut().told);
        let asked = told
            .iter()
            .filter(|line| line.contains("DescribeTaskDefinition web ->"));
        assert_eq!(asked.count(), 1, "{theirs}: {told:#?}");
        let newer = memory(&world).newer.map(|newer| newer.revision);
        assert_eq!(newer.is_some_and(|arn| arn.ends_with("/web:2")), theirs);
        assert_eq!(revision(&world), if theirs { "web:3" } else { "web:2" });
    }
}

/// The digest that the service runs.
fn image(world: &Shared) -> String {
    let world = world.borrow();
    let primary = world.services[&target()].primary().unwrap();
    let (_, image) = world.definitions.containers(&primary.definition).remove(0);
    image.rsplit('@').next().unwrap().to_owned()
}

/// Hears what ECS has told, one after the other, until nothing is told any more.
fn hear_all(world: &Shared) {
    loop {
        let told = std::mem::take(&mut world.borrow_mut().emitted);
        let ours = |event: &&Value| event["detail-type"] == "ECS Deployment State Change";
        if told.iter().filter(ours).map(|event| hear(world, event)).count() == 0 {
            return;
        }
    }
}

#[test]
fn the_first_push_of_a_rule_that_comes_late_loses_to_what_the_repository_holds() {
    let (world, late) = pushed();
    world.borrow_mut().push("shop/web", "1.2.0", &digest(2));
    hear(&world, &late);
    assert_eq!(image(&world), digest(2).to_string());
}

#[test]
fn the_image_that_waits_for_the_end_of_a_rollout_goes_out_after_the_way_back() {
    let (world, event) = pushed();
    hear(&world, &event);
    world.borrow_mut().push("shop/web", "1.2.0", &digest(2));
    let next = world.borrow_mut().emitted.pop().unwrap();
    world.borrow_mut().emitted.clear();
    hear(&world, &next);
    assert_eq!(image(&world), digest(1).to_string());

    stage::pass(&world, SignedDuration::from_mins(40));
    hear(&world, &next);
    assert_eq!(revision(&world), "web:1", "it did not come up in time");
    hear_all(&world);
    settle(&mut world.borrow_mut());
    hear_all(&world);
    assert_eq!(image(&world), digest(2).to_string());
}

/// The family `prod/report` with a schedule that names its first revision, and the event of a push.
fn pushed_to_a_family() -> (Shared, Value) {
    let mut world = World::new(stage::beginning());
    let family = Target::task("prod", "report");
    let first = register(&mut world, "1.0.0");
    let schedule = json!({
        "Name": "nightly",
        "GroupName": "default",
        "Target": {
            "Arn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/prod"),
            "EcsParameters": { "TaskDefinitionArn": first },
        },
    });
    world.around.followers.insert(nightly(), schedule);
    let rule = json!({ "repository": "shop/web", "tags": { "semver": "1.x" } });
    stage::store(&mut world, &family, json!({ "delivery": [rule] }));
    world.repositories.make("shop/web");
    world.push("shop/web", "1.1.0", &digest(1));
    let event = world.emitted.pop().unwrap();
    (world.shared(), event)
}

fn nightly() -> Follower {
    Follower::Schedule {
        group: "default".into(),
        name: "nightly".into(),
    }
}

/// Someone registers a revision of the family.
fn register(world: &mut World, tag: &str) -> String {
    let container = json!({ "name": "app", "image": format!("{}/shop/web:{tag}", registry()) });
    let definition = json!({ "family": "report", "containerDefinitions": [container] });
    world.define(&definition).unwrap()
}

#[test]
fn an_image_of_a_family_does_not_go_out_again_over_what_someone_registered_after_it() {
    for between in [0, 1] {
        let (world, event) = pushed_to_a_family();
        dies(&world, &event, Dies::Before("RegisterTaskDefinition"));
        // Someone may be quicker than the call, too.
        for _ in 0..between {
            register(&mut world.borrow_mut(), "1.0.1");
        }
        let request = {
            let world = world.borrow();
            let mut request = world.definitions.find("report:1").unwrap()["taskDefinition"].clone();
            request["containerDefinitions"][0]["image"] = format!("{}/shop/web@{}", registry(), digest(1)).into();
            request
        };
        let ours = world.borrow_mut().define(&request).unwrap();
        register(&mut world.borrow_mut(), "1.0.2");

        stage::pass(&world, SignedDuration::from_mins(2));
        for _ in 0..3 {
            let calls = sweep(&world);
            assert!(!has(&calls, "RegisterTaskDefinition"), "{between}: {calls:?}");
            stage::pass(&world, SignedDuration::from_mins(5));
        }
        let runs = world.borrow().around.followers[&nightly()]["Target"]["EcsParameters"]["TaskDefinitionArn"].clone();
        assert_eq!(runs, ours, "{between}: what runs the family on a schedule follows");
        world.borrow_mut().push("shop/web", "1.2.0", &digest(2));
        assert!(has(&sweep(&world), "RegisterTaskDefinition"), "{between}");
    }
}

/// A snapshot of the volume `data` of `prod/web`.
fn snapshot(world: &mut World, id: &str, owner: &str, state: SnapshotState, minutes_ago: i64) {
    let at = world.now - SignedDuration::from_mins(minutes_ago);
    let snapshot = Snapshot {
        snapshot_id: id.to_owned(),
        volume_id: "vol-1".to_owned(),
        state,
        state_message: None,
        start_time: at,
        volume_size: 10,
        tags: Lineage::of(&target(), "data").tags(owner, "t", at),
    };
    let shot = Shot {
        snapshot,
        shown_from: at,
        shared_with: Vec::new(),
        in_use: false,
    };
    world.ebs.snapshots.insert(id.to_owned(), shot);
}

/// `prod/web` with a volume that is restored, and a push.
fn pushed_with_a_volume() -> (Shared, Value) {
    let (world, event) = pushed();
    {
        let mut world = world.borrow_mut();
        let rule = json!({ "repository": "shop/web", "tags": { "semver": "1.x" } });
        let storage = json!({ "volume": "data", "restore": "newest" });
        stage::store(
            &mut world,
            &target(),
            json!({ "delivery": [rule], "storage": [storage] }),
        );
        let managed = json!({ "roleArn": "r", "sizeInGiB": 20, "new": ["kept"] });
        world.configure_volumes(&target(), &[json!({ "name": "data", "managedEBSVolume": managed })]);
        snapshot(&mut world, "snap-old", OWNER, SnapshotState::Completed, 90);
        snapshot(&mut world, "snap-new", OWNER, SnapshotState::Completed, 30);
        snapshot(&mut world, "snap-pending", OWNER, SnapshotState::Pending, 5);
        snapshot(&mut world, "snap-of-others", "another", SnapshotState::Completed, 1);
    }
    (world, event)
}

/// What the primary deployment of the service says of its volumes, and how many deployments it was sent to.
fn volumes(world: &Shared) -> (Vec<Value>, usize) {
    let world = world.borrow();
    let service = &world.services[&target()];
    (service.primary().unwrap().volumes.clone(), service.sent_to.len())
}

#[test]
fn a_rollout_begins_with_the_newest_snapshot_in_the_one_deployment_that_it_makes() {
    for at in [
        None,
        Some(Dies::After("RegisterTaskDefinition")),
        Some(Dies::After("UpdateService")),
    ] {
        let (world, event) = pushed_with_a_volume();
        let before = volumes(&world).1;
        match at {
            None => hear(&world, &event),
            Some(at) => {
                dies(&world, &event, at);
                stage::pass(&world, SignedDuration::from_mins(3));
                sweep(&world);
            }
        }
        settle(&mut world.borrow_mut());
        stage::pass(&world, SignedDuration::from_mins(5));
        sweep(&world);
        let (volumes, sent) = volumes(&world);
        let managed = json!({ "roleArn": "r", "sizeInGiB": 20, "new": ["kept"], "snapshotId": "snap-new" });
        assert_eq!(
            volumes,
            [json!({ "name": "data", "managedEBSVolume": managed })],
            "{at:?}"
        );
        assert_eq!(sent, before + 1, "{at:?}");
        let memory = memory(&world);
        let points: Vec<_> = memory
            .restore_points()
            .map(|point| point.snapshot_id.as_str())
            .collect();
        assert!(points.contains(&"snap-new"), "{at:?}: {memory:?}");
    }
}

#[test]
fn what_waits_is_looked_at_though_the_push_that_is_known_was_dealt_with() {
    let (world, event) = pushed();
    let rule = json!({ "repository": "shop/web", "tags": { "semver": "1.x" }, "approval": "required" });
    stage::store(&mut world.borrow_mut(), &target(), json!({ "delivery": [rule] }));
    hear(&world, &event);
    assert!(memory(&world).waiting.is_some());
    // As when the push is in quarantine, and what waits is an older image that another service has proved.
    for item in world.borrow_mut().tables.state.values_mut() {
        if let Some(revision) = item.get("revision").cloned() {
            item.insert("settled".into(), revision);
        }
    }
    stage::pass(&world, SignedDuration::from_mins(5));
    let calls = sweep(&world);
    assert!(has(&calls, "DescribeTaskDefinition"), "{calls:?}");
}
