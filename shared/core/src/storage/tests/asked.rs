//! What comes of `wharfinger restore`.

use serde_json::Value;

use super::*;
use crate::config::asked::RestoreAsked;

fn configured(snapshot: &str, size: u32) -> Value {
    json!([{ "name": "data", "managedEBSVolume": { "roleArn": "r", "sizeInGiB": size, "snapshotId": snapshot } }])
}

/// A service with a fresh snapshot, and a restore of `snap-0` that was asked for so many minutes ago.
fn restored(minutes: i64) -> Facts {
    let asked = RestoreAsked {
        point: RestorePoint::of("data", &snapshot("snap-0", 100)),
        at: ago(minutes),
        by: Some("ann".to_owned()),
    };
    Facts {
        asked: Some(asked),
        volumes: Known::Yes(Some(configured("snap-1", 10))),
        ..facts(json!({}), vec![snapshot("snap-0", 100), snapshot("snap-1", 5)])
    }
}

/// The primary deployment began so many minutes ago.
fn deployed(facts: Facts, minutes: i64, snapshot: &str) -> Facts {
    let deployment = json!({ "id": "1", "status": "PRIMARY", "createdAt": ago(minutes).to_string() });
    let service = json!({ "serviceArn": "a", "status": "ACTIVE", "desiredCount": 1, "deployments": [deployment] });
    Facts {
        service: Known::Yes(ServiceFacts::parse(&service)),
        volumes: Known::Yes(Some(configured(snapshot, 10))),
        ..facts
    }
}

#[test]
fn a_restore_is_one_call_with_all_that_the_service_has() {
    let decided = decide(&restored(1), now());
    assert_eq!(told(&decided), "Act SnapshotFresh RestoreStarts [UpdateService db]");
    assert_eq!(
        decided.decision.actions[0].input(),
        json!({
            "cluster": "prod", "service": "db", "forceNewDeployment": true,
            "volumeConfigurations": configured("snap-0", 10),
        })
    );
    // The intent is stored before the call, and only if it is made.
    assert_eq!(decided.memory.restoring, None);
    let restoring = decided.before_call().restoring.unwrap();
    assert_eq!((restoring.asked, restoring.sent), (ago(1), now()));
}

#[test]
fn it_is_done_once() {
    let mut facts = restored(10);
    let asked = facts.asked.clone().unwrap();
    facts.memory.restored(&asked, ago(9));
    check(&facts, "Ignore SnapshotFresh []");
    let memory = decide(&facts, now()).memory;
    assert_eq!(memory.restores.len(), 1);
    // Another is another.
    facts.asked.as_mut().unwrap().at = ago(1);
    check(&facts, "Act SnapshotFresh RestoreStarts [UpdateService db]");
}

#[test]
fn a_call_whose_answer_was_lost_is_found_by_the_deployment() {
    let sent = |minutes: i64| {
        let mut facts = restored(30);
        facts.memory.restoring = Some(Restoring {
            asked: ago(30),
            sent: ago(minutes),
        });
        facts
    };
    check(
        &deployed(sent(1), 60, "snap-1"),
        "Wait SnapshotFresh DeploymentInProgress []",
    );
    check(
        &deployed(sent(3), 60, "snap-1"),
        "Act SnapshotFresh RestoreStarts [UpdateService db]",
    );
    // Someone else's deployment is not it.
    check(
        &deployed(sent(3), 2, "snap-1"),
        "Act SnapshotFresh RestoreStarts [UpdateService db]",
    );
    let found = deployed(sent(3), 2, "snap-0");
    check(&found, "Ignore SnapshotFresh RestoreStarts []");
    let memory = decide(&found, now()).memory;
    assert_eq!((memory.answered, memory.restoring), (Some(ago(30)), None));
    assert_eq!(memory.restores[0].point.snapshot_id, "snap-0");
}

#[test]
fn what_cannot_be_is_refused_once() {
    for volumes in [None, Some(configured("snap-1", 9))] {
        let mut facts = restored(1);
        facts.volumes = Known::Yes(volumes);
        check(&facts, "Ignore SnapshotFresh RestoreRefused []");
        facts.memory = decide(&facts, now()).memory;
        check(&facts, "Ignore SnapshotFresh []");
    }
    let gone = Facts {
        service: Known::Yes(None),
        ..restored(1)
    };
    check(&gone, "Ignore SnapshotFresh ServiceNotFound []");
}

#[test]
fn nothing_is_sent_before_it_is_known() {
    let unknown = Facts {
        volumes: Known::No,
        ..restored(1)
    };
    check(&unknown, "Wait SnapshotFresh FactsMissing []");
    let asks = unknown.asks(now());
    assert!(asks.volumes && !asks.tasks);
}
