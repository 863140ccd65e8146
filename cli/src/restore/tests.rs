use std::cell::RefCell;
use std::rc::Rc;

use clap::Parser;
use serde_json::json;
use wharfinger_cloud::world::{Caller, Shot, World as Memories};
use wharfinger_core::config::changes::plan as planned;
use wharfinger_core::config::stored::Resolved;
use wharfinger_core::storage::{Lineage, Snapshot, SnapshotState};

use super::*;
use crate::args::{Cli, Command};

const SHOP: &str = "version: 1
services:
  prod/db: { storage: [{ volume: data, snapshot: { every: 1h } }] }
  prod/two: { storage: [{ volume: a, restore: newest }, { volume: b, restore: newest }] }
  prod/web: {}
  prod/files:
    storage: [{ volume: c, access-point: { file-system: fs-01234567, path: /, uid: 0, gid: 0, permissions: \"755\" } }]
";

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn shot(id: &str, owner: &str, at: i64, state: SnapshotState) -> Shot {
    let lineage = Lineage::of(&Target::service("prod", "db"), "data");
    let snapshot = Snapshot {
        snapshot_id: id.to_owned(),
        volume_id: "vol-1".to_owned(),
        state,
        state_message: None,
        start_time: second(at),
        volume_size: 10,
        tags: lineage.tags(owner, "t", second(at)),
    };
    Shot {
        snapshot,
        shown_from: second(0),
        shared_with: Vec::new(),
        in_use: false,
    }
}

/// A database with three completed snapshots, a later one that is pending, and one of another stack.
async fn shop() -> Caller {
    let mut world = Memories::new(second(1_000));
    world
        .define(&json!({ "family": "db", "containerDefinitions": [{ "name": "db", "image": "db:1" }] }))
        .unwrap();
    let db = Target::service("prod", "db");
    world.make_service(&db, "arn:aws:ecs:eu-west-1:111122223333:task-definition/db:1", 1, false);
    world.configure_volumes(
        &db,
        &[json!({ "name": "data", "managedEBSVolume": { "roleArn": "r", "sizeInGiB": 10 } })],
    );
    let completed = SnapshotState::Completed;
    for one in [
        shot("snap-1", "wharfinger", 100, completed),
        shot("snap-2", "wharfinger", 200, completed),
        shot("snap-3", "wharfinger", 300, SnapshotState::Pending),
        shot("snap-4", "another", 250, completed),
    ] {
        world.ebs.snapshots.insert(one.snapshot.snapshot_id.clone(), one);
    }
    let caller = Caller::direct(&Rc::new(RefCell::new(world)), "me");
    let document = crate::document::load("w.yaml", SHOP).document.unwrap();
    let plan = |stored: &_| Ok(planned(stored, &document, &Resolved::default(), false, &stamp()).unwrap());
    table::write(&caller, plan, |plan| &plan.transactions).await.unwrap();
    caller
}

fn stamp() -> Stamp {
    Stamp {
        at: second(1_000),
        by: "ann".to_owned(),
    }
}

async fn asked(caller: &Caller, line: &str) -> Option<Result<Told, Refused>> {
    let words = ["wharfinger", "restore"].into_iter().chain(line.split(' '));
    let Command::Restore(args) = Cli::try_parse_from(words).unwrap().command else {
        panic!("{line}")
    };
    args.go(caller, "wharfinger", &stamp()).await.unwrap()
}

async fn check(line: &str, snapshot: &str) {
    let caller = shop().await;
    let told = asked(&caller, line).await.unwrap().unwrap();
    assert_eq!(told.plan.snapshot, snapshot, "{line}");
    let stored = table::read(&caller).await.unwrap().targets;
    let stored = stored[&Target::service("prod", "db")].restore.clone().unwrap();
    assert_eq!(stored, told.plan.asked);
    assert_eq!(
        (stored.point.volume.as_str(), stored.by.as_deref()),
        ("data", Some("ann"))
    );
}

async fn refused(line: &str, expected: &str) {
    let caller = shop().await;
    let refused = asked(&caller, line).await.unwrap().unwrap_err().refused;
    assert_eq!(refused, expected, "{line}");
    assert!(
        table::read(&caller)
            .await
            .unwrap()
            .targets
            .values()
            .all(|stored| stored.restore.is_none())
    );
}

#[tokio::test]
async fn a_snapshot_by_its_id_or_by_the_time() {
    check("prod/db --snapshot snap-1", "snap-1").await;
    // Whoever made it: a person may name any.
    check("prod/db --snapshot snap-4 --volume data", "snap-4").await;
    check("prod/db --at 1970-01-01T00:05:00Z", "snap-2").await;
    check("prod/db --at 1970-01-01T00:03:19Z", "snap-1").await;
}

#[tokio::test]
async fn what_cannot_be_is_said_and_nothing_is_stored() {
    refused(
        "prod/db --snapshot snap-9",
        "there is no snapshot snap-9 in this account and Region",
    )
    .await;
    refused(
        "prod/db --snapshot snap-3",
        "snap-3 is not completed: no volume can be made of it",
    )
    .await;
    refused(
        "prod/db --at 1970-01-01T00:00:01Z",
        "prod/db/data has no snapshot of 1970-01-01T00:00:01Z or before; the oldest is of 1970-01-01T00:01:40Z",
    )
    .await;
    refused(
        "prod/db --snapshot snap-1 --volume logs",
        "prod/db has no `logs` in its `storage`; there is data",
    )
    .await;
    refused("prod/two --snapshot snap-1", "say which volume with --volume: a, b").await;
    refused(
        "prod/web --snapshot snap-1",
        "prod/web has no `storage`: nothing would restore it",
    )
    .await;
    refused(
        "prod/files --snapshot snap-1",
        "prod/files has no volume on EBS in its `storage`: what is on EFS has no snapshots",
    )
    .await;
    refused(
        "prod/two --at 1970-01-01T00:05:00Z --volume a",
        "prod/two/a has no completed snapshot",
    )
    .await;
    assert!(asked(&shop().await, "prod/none --snapshot snap-1").await.is_none());
}

#[test]
fn an_id_is_that_of_a_snapshot() {
    assert_eq!(
        super::snapshot_id("snap-0123456789abcdef0").unwrap(),
        "snap-0123456789abcdef0"
    );
    for wrong in ["foo", "snap-", "snap-xyz", "vol-0123456789abcdef0", ""] {
        assert!(
            super::snapshot_id(wrong).unwrap_err().contains("hexadecimal"),
            "{wrong}"
        );
    }
}
