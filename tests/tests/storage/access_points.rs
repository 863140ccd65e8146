//! Access points of EFS: made once, waited for, and put into the next revision.

use wharfinger_cloud::error::Kind;
use wharfinger_cloud::world::{ACCOUNT, Fate, REGION, registry};
use wharfinger_core::ids::Digest;
use wharfinger_core::storage::AccessPoint;
use wharfinger_delivery::{Attempt, Delivery};

use super::troubles::disturbed;
use super::*;

const FILE_SYSTEM: &str = "fs-0123456789abcdef0";

fn shop() -> Target {
    Target::service("prod", "web")
}

fn config(path: &str, tenant: Option<&str>) -> Value {
    let mut point = json!({
        "file-system": FILE_SYSTEM, "path": path, "uid": 1000, "gid": 1000, "permissions": "0750",
    });
    if let Some(tenant) = tenant {
        point["tenant"] = json!(tenant);
    }
    json!({
        "storage": [{ "volume": "shared", "access-point": point }],
        "delivery": [{ "repository": "shop/web", "tags": { "semver": "1.x" } }],
    })
}

/// `prod/web` with a volume on EFS, at rest on its first revision.
fn on_efs() -> Shared {
    let mut world = World::new(stage::beginning());
    let container = json!({ "name": "app", "image": format!("{}/shop/web:1.0.0", registry()) });
    let efs = json!({ "fileSystemId": FILE_SYSTEM, "rootDirectory": "/old", "new": [1.5] });
    let definition = world.define(&json!({
        "family": "web", "containerDefinitions": [container],
        "volumes": [{ "name": "shared", "efsVolumeConfiguration": efs }],
    }));
    world.make_service(&shop(), &definition.unwrap(), 1, false);
    world.make_file_system(FILE_SYSTEM);
    world.repositories.make("shop/web");
    stage::store(&mut world, &shop(), config("/shop", None));
    settle(&mut world);
    world.emitted.clear();
    world.shared()
}

/// An image is pushed, and delivery hears of it.
fn push(world: &Shared, tag: &str, n: u64) {
    let digest: Digest = format!("sha256:{n:064x}").parse().unwrap();
    world.borrow_mut().push("shop/web", tag, &digest);
    let told = std::mem::take(&mut world.borrow_mut().emitted);
    let is_push = |event: &&Value| event["detail-type"] == "ECR Image Action";
    deliver(world, told.iter().rfind(is_push).unwrap());
}

fn deliver(world: &Shared, event: &Value) {
    let attempt = Attempt {
        holder: format!("delivery-{}", world.borrow().now),
        account: ACCOUNT.into(),
        region: REGION.into(),
        owner: stage::OWNER.into(),
    };
    let caller = Caller::direct(world, "delivery");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime
        .block_on(Delivery::new(stage::OWNER.into()).on_event(&caller, &attempt, event))
        .unwrap();
}

/// The next minute, with the passes of both functions; ECS does what there is to do.
fn minute(world: &Shared) {
    stage::pass(world, SignedDuration::from_mins(1));
    let often = stage::scheduled(&json!({ "only": "active" }));
    hand(world, &often).unwrap();
    deliver(world, &often);
    settle(&mut world.borrow_mut());
}

fn access_points(world: &Shared) -> Vec<AccessPoint> {
    let world = world.borrow();
    let openings = world.efs.file_systems.values().flatten();
    openings.map(|opening| opening.point.clone()).collect()
}

/// How the service's revision has its volume.
fn mounted(world: &Shared) -> (String, Value) {
    let world = world.borrow();
    let arn = &world.services[&shop()].primary().unwrap().definition;
    let answer = world.definitions.find(arn).unwrap();
    let efs = answer["taskDefinition"]["volumes"][0]["efsVolumeConfiguration"].clone();
    (arn.rsplit('/').next().unwrap().to_owned(), efs)
}

fn remembered(world: &Shared) -> Memory {
    let item = item(world, &service_key(&shop()));
    attribute(&item, observe::MEMORY).unwrap().unwrap_or_default()
}

fn codes(world: &Shared) -> Vec<Code> {
    let caller = Caller::direct(world, "reader");
    let (records, _) = stage::now(wharfinger_cloud::history::read(&caller, &shop())).unwrap();
    records
        .into_iter()
        .flat_map(|record| record.reasons)
        .map(|reason| reason.code)
        .collect()
}

#[test]
fn it_is_made_once_wherever_an_invocation_dies() {
    let pass = stage::scheduled(&json!({}));
    let mut ended = false;
    for calls in 0..60 {
        let world = on_efs();
        ended |= disturbed(&world, &pass, calls, |_| Fate::Fine).is_some();
        for _ in 0..3 {
            stage::pass(&world, SignedDuration::from_mins(5));
            world.borrow_mut().open_access_points();
            sweep(&world, &json!({}));
        }
        let found = access_points(&world);
        assert_eq!(found.len(), 1, "it died after {calls} calls");
        assert_eq!(remembered(&world).access_points["shared"].id, found[0].id);
    }
    assert!(ended, "no invocation came to its end");
}

#[test]
fn a_lost_answer_a_copy_and_a_lag_make_no_second() {
    for fate in [
        Fate::After(Kind::TimedOut),
        Fate::After(Kind::Unavailable),
        Fate::Before(Kind::Throttled),
        Fate::Twice,
    ] {
        let world = on_efs();
        let pass = stage::scheduled(&json!({}));
        let create = |operation| {
            if operation == "CreateAccessPoint" {
                fate
            } else {
                Fate::Fine
            }
        };
        disturbed(&world, &pass, usize::MAX, create).unwrap().unwrap();
        for _ in 0..8 {
            minute(&world);
            world.borrow_mut().open_access_points();
            sweep(&world, &json!({}));
        }
        assert_eq!(access_points(&world).len(), 1, "{fate:?}");
        assert_eq!(remembered(&world).access_points.len(), 1, "{fate:?}");
    }
}

#[test]
fn a_rollout_waits_for_it_and_mounts_through_it() {
    let world = on_efs();
    push(&world, "1.1.0", 1);
    assert!(codes(&world).contains(&Code::AccessPointMissing));
    sweep(&world, &json!({}));
    let found = access_points(&world);
    assert_eq!((found.len(), found[0].state.as_str()), (1, "creating"));
    minute(&world);
    assert_eq!(mounted(&world).0, "web:1");
    world.borrow_mut().open_access_points();
    minute(&world);
    minute(&world);
    let efs = json!({
        "fileSystemId": FILE_SYSTEM, "new": [1.5], "transitEncryption": "ENABLED",
        "authorizationConfig": { "accessPointId": found[0].id },
    });
    assert_eq!(mounted(&world), ("web:2".to_owned(), efs));
    let said = codes(&world);
    assert!(
        said.contains(&Code::AccessPointStarts) && said.contains(&Code::AccessPointReady),
        "{said:?}"
    );
    assert!(said.contains(&Code::AccessPointMounted), "{said:?}");
}

#[test]
fn what_is_configured_otherwise_is_in_the_next_revision_and_the_old_one_stays() {
    let world = on_efs();
    let settled = |world: &Shared| {
        sweep(world, &json!({}));
        world.borrow_mut().open_access_points();
        minute(world);
        sweep(world, &json!({}));
    };
    settled(&world);
    let first = access_points(&world)[0].id.clone();
    // That there is one rolls nothing out.
    assert_eq!(mounted(&world).0, "web:1");
    push(&world, "1.1.0", 1);
    assert_eq!(mounted(&world).1["authorizationConfig"]["accessPointId"], first);
    settle(&mut world.borrow_mut());
    minute(&world);
    stage::store(&mut world.borrow_mut(), &shop(), config("/other", None));
    settled(&world);
    deliver(&world, &stage::scheduled(&json!({})));
    let ids: Vec<_> = access_points(&world).into_iter().map(|point| point.id).collect();
    assert_eq!((ids.len(), mounted(&world).0.as_str()), (2, "web:2"));
    let memory = remembered(&world);
    assert_eq!(memory.access_points["shared"].id, ids[1]);
    let unused: Vec<_> = memory.unused.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(unused, [first.as_str()]);
    assert!(codes(&world).contains(&Code::UnusedAccessPoint));
    push(&world, "1.2.0", 2);
    settle(&mut world.borrow_mut());
    let (revision, efs) = mounted(&world);
    assert_eq!(
        (revision.as_str(), &efs["authorizationConfig"]["accessPointId"]),
        ("web:3", &json!(ids[1]))
    );
    assert_eq!(access_points(&world).len(), 2);
}

#[test]
fn what_efs_refuses_is_said_and_tried_again() {
    let world = on_efs();
    world.borrow_mut().efs.refuses = Some("AccessPointLimitExceeded: there are 10000".to_owned());
    sweep(&world, &json!({}));
    assert!(codes(&world).contains(&Code::AccessPointRefused));
    world.borrow_mut().efs.refuses = None;
    for _ in 0..6 {
        minute(&world);
    }
    assert_eq!(access_points(&world).len(), 1);
}

#[test]
fn services_of_a_tenant_share_one() {
    let world = on_efs();
    let other = Target::service("prod", "api");
    {
        let mut world = world.borrow_mut();
        let definition =
            world.define(&json!({ "family": "api", "containerDefinitions": [{ "name": "app", "image": "a:1" }] }));
        world.make_service(&other, &definition.unwrap(), 1, false);
        stage::store(&mut world, &shop(), config("/shop", Some("acme")));
        stage::store(&mut world, &other, config("/shop", Some("acme")));
        settle(&mut world);
    }
    for _ in 0..3 {
        sweep(&world, &json!({}));
        world.borrow_mut().open_access_points();
        stage::pass(&world, SignedDuration::from_mins(5));
    }
    let found = access_points(&world);
    assert_eq!((found.len(), found[0].key()), (1, Some("tenant:acme")));
    for target in [shop(), other] {
        let item = item(&world, &service_key(&target));
        let memory: Memory = attribute(&item, observe::MEMORY).unwrap().unwrap();
        assert_eq!(memory.access_points["shared"].id, found[0].id, "{target}");
    }
}

/// A quiet pass lists each file system once, and takes no lease.
#[test]
fn a_quiet_pass_lists_once() {
    let world = on_efs();
    for _ in 0..3 {
        sweep(&world, &json!({}));
        world.borrow_mut().open_access_points();
        stage::pass(&world, SignedDuration::from_mins(5));
    }
    world.borrow_mut().talkative = true;
    sweep(&world, &json!({}));
    let told = std::mem::take(&mut world.borrow_mut().told);
    let calls: Vec<_> = told.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(
        calls.iter().filter(|call| **call == "DescribeAccessPoints").count(),
        1,
        "{calls:?}"
    );
    assert!(!calls.contains(&"Update"), "{calls:?}");
}
