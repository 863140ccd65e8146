//! Stateful tasks: one task and one volume for each identity.

use serde_json::{Value, json};

use super::*;
use crate::ids::TaskArn;

const TASK: &str = "arn:aws:ecs:eu-west-1:111122223333:task/prod/";

fn family() -> Target {
    Target::task("prod", "ledger")
}

fn identity(n: u32) -> Lineage {
    Lineage::of_identity(&family(), n, "data")
}

fn arn(id: &str) -> TaskArn {
    format!("{TASK}{id}").parse().unwrap()
}

/// One identity with nothing yet; `more` is laid over its configuration.
fn facts(more: &Value) -> Facts {
    let mut stateful = json!({ "volume": "data", "size": 10, "role": "arn:aws:iam::111122223333:role/ecs" });
    stateful
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Facts {
        target: family(),
        rules: Vec::new(),
        service: Known::No,
        tasks: Known::Yes(Vec::new()),
        held: Known::No,
        stateful: Some(serde_json::from_value(stateful).unwrap()),
        identities: Known::Yes(Vec::new()),
        ..super::facts(json!({}), Vec::new())
    }
}

/// A task of identity 0 that runs for so many minutes.
fn living(id: &str, minutes: i64) -> Mounted {
    Mounted {
        arn: Some(arn(id)),
        started_by: Some("wharfinger/0".to_owned()),
        ..task(id, minutes)
    }
}

fn over(id: &str, minutes: i64) -> Mounted {
    Mounted {
        runs: false,
        is_over: true,
        ..living(id, minutes)
    }
}

fn volume(id: &str, state: &str, minutes: i64) -> Volume {
    Volume {
        volume_id: format!("vol-{id}"),
        state: state.to_owned(),
        create_time: ago(minutes),
        size: 10,
        tags: identity(0).volume_tags(OWNER, ago(minutes)),
    }
}

/// A snapshot of identity 0's volume.
fn shot(id: &str, of: &str, minutes: i64, is_final: bool) -> Snapshot {
    let mut shot = snapshot(id, minutes);
    shot.volume_id = format!("vol-{of}");
    shot.tags = identity(0).tags(OWNER, of, ago(minutes));
    if is_final {
        shot.tags.insert(FINAL_TAG.to_owned(), "true".to_owned());
    }
    shot
}

fn known(identity: IdentityMemory) -> Memory {
    let volume = VolumeMemory {
        identity: Some(identity),
        ..VolumeMemory::default()
    };
    Memory {
        volumes: BTreeMap::from([("data.0".to_owned(), volume)]),
        ..Memory::default()
    }
}

/// Started so many minutes ago, with a volume.
fn started(id: &str, minutes: i64) -> Memory {
    known(IdentityMemory {
        task: Some(arn(id)),
        started: Some(ago(minutes)),
        volume: Some(format!("vol-{id}")),
        begun: true,
        ..IdentityMemory::default()
    })
}

/// Looks once a minute, so often, as though the world stood still.
fn check_looks(facts: &mut Facts, looks: i64, expected: &str) {
    let mut said = Vec::new();
    for minute in 0..looks {
        let decided = decide(facts, now() + SignedDuration::from_mins(minute));
        said.push(told(&decided));
        facts.memory = decided.memory;
    }
    assert_eq!(said.last().map(String::as_str), Some(expected), "{said:#?}");
}

#[test]
fn the_first_begins_with_an_empty_volume() {
    let facts = facts(&json!({}));
    let decided = decide(&facts, now());
    assert_eq!(told(&decided), "Act IdentityStarts [RunTask prod/ledger.0/data]");
    let stored = decided.before_call();
    assert!(stored.volumes["data.0"].identity.as_ref().unwrap().start.is_some());
    let input = decided.decision.actions[0].input();
    assert_eq!(
        input,
        json!({
            "cluster": "prod", "taskDefinition": "ledger", "count": 1, "startedBy": "wharfinger/0",
            "clientToken": input["clientToken"], "enableECSManagedTags": true, "propagateTags": "TASK_DEFINITION",
            "volumeConfigurations": [{ "name": "data", "managedEBSVolume": {
                "roleArn": "arn:aws:iam::111122223333:role/ecs", "sizeInGiB": 10,
                "terminationPolicy": { "deleteOnTermination": false },
                "tagSpecifications": [{ "resourceType": "volume", "tags": [
                    { "key": "Name", "value": "prod/ledger.0/data" },
                    { "key": "wharfinger:at", "value": NOW },
                    { "key": "wharfinger:cluster", "value": "prod" },
                    { "key": "wharfinger:family", "value": "ledger" },
                    { "key": "wharfinger:identity", "value": "0" },
                    { "key": "wharfinger:lineage", "value": "prod/ledger.0/data" },
                    { "key": "wharfinger:owner", "value": "wharfinger" },
                    { "key": "wharfinger:volume", "value": "data" },
                ] }],
            } }],
        })
    );
    assert!(input["clientToken"].as_str().unwrap().len() <= 64);
}

#[test]
fn everything_that_is_asked_for_is_in_the_request() {
    let mut facts = facts(&json!({
        "volume-type": "gp3", "iops": 4000, "throughput": 250, "kms-key": "alias/a", "filesystem": "ext4", "size": 5,
        "capacity-providers": [{ "capacity-provider": "FARGATE", "weight": 1 }],
        "network": { "subnets": ["subnet-1"], "security-groups": ["sg-1"], "public-ip": true },
    }));
    facts.snapshots = Known::Yes(vec![shot("snap-1", "old", 60, true)]);
    let decided = decide(&facts, now());
    let input = decided.decision.actions[0].input();
    let volume = &input["volumeConfigurations"][0]["managedEBSVolume"];
    let expected = json!({
        "snapshotId": "snap-1", "sizeInGiB": 10, "volumeType": "gp3", "iops": 4000, "throughput": 250,
        "encrypted": true, "kmsKeyId": "alias/a", "filesystemType": "ext4",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&volume[key], value, "{key}");
    }
    assert_eq!(
        input["capacityProviderStrategy"],
        json!([{ "capacityProvider": "FARGATE", "weight": 1, "base": 0 }])
    );
    let network = json!({ "awsvpcConfiguration": {
        "subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED",
    } });
    assert_eq!(input["networkConfiguration"], network);
}

#[test]
fn what_is_not_known_starts_nothing() {
    let mut unknown = facts(&json!({}));
    (unknown.tasks, unknown.identities) = (Known::No, Known::No);
    check(&unknown, "Wait FactsMissing []");
    let asks = decide(&unknown, now()).asks;
    assert!(asks.tasks && asks.identities);
    unknown.tasks = Known::Yes(Vec::new());
    check(&unknown, "Wait FactsMissing []");
    unknown.snapshots = Known::No;
    check(&unknown, "Wait FactsMissing []");
}

#[test]
fn a_task_that_lives_is_left_alone() {
    let mut facts = facts(&json!({}));
    facts.tasks = Known::Yes(vec![living("a", 600)]);
    facts.identities = Known::Yes(vec![volume("a", "in-use", 600)]);
    check(&facts, "Ignore IdentityRuns []");
    facts.memory = decide(&facts, now()).memory;
    let known = facts.memory.volumes["data.0"].identity.clone().unwrap();
    assert_eq!(
        (known.task, known.volume, known.begun),
        (Some(arn("a")), Some("vol-a".to_owned()), true)
    );
    facts.tasks = Known::Yes(vec![Mounted {
        runs: false,
        ..living("a", 600)
    }]);
    check(&facts, "Wait IdentityWaits []");
    facts.tasks = Known::Yes(vec![living("a", 600), living("b", 60)]);
    check(&facts, "Wait IdentityStuck []");
}

#[test]
fn a_task_that_is_over_counts_though_nothing_is_remembered() {
    let mut facts = facts(&json!({}));
    facts.tasks = Known::Yes(vec![over("a", 600)]);
    check_looks(&mut facts, 5, "Wait IdentityWaits []");
    facts.identities = Known::Yes(vec![volume("a", "available", 600)]);
    check(&facts, "Act SnapshotDue [CreateSnapshot vol-a]");
}

#[test]
fn one_is_made_of_its_volume_as_often_as_every_says() {
    let mut facts = facts(&json!({ "snapshot": { "every": "1h" } }));
    facts.tasks = Known::Yes(vec![living("a", 600)]);
    facts.identities = Known::Yes(vec![volume("a", "in-use", 600)]);
    check(&facts, "Act SnapshotDue [CreateSnapshot vol-a]");
    let Action::CreateSnapshot(request) = &decide(&facts, now()).decision.actions[0] else {
        panic!()
    };
    assert!(!request.tags.contains_key(FINAL_TAG));
    facts.snapshots = Known::Yes(vec![shot("snap-1", "a", 10, false)]);
    check(&facts, "Ignore SnapshotFresh []");
}

#[test]
fn a_volume_goes_once_a_snapshot_has_what_is_on_it() {
    let mut facts = facts(&json!({ "snapshot": { "every": "1h" } }));
    facts.memory = started("a", 600);
    facts.tasks = Known::Yes(vec![over("a", 600)]);
    facts.identities = Known::Yes(vec![volume("a", "in-use", 600)]);
    // The one from when it ran does not have what was written since.
    facts.snapshots = Known::Yes(vec![shot("snap-live", "a", 1, false)]);
    check(&facts, "Wait IdentityWaits []");
    facts.identities = Known::Yes(vec![volume("a", "available", 600)]);
    check(&facts, "Act SnapshotDue [CreateSnapshot vol-a]");
    let Action::CreateSnapshot(request) = &decide(&facts, now()).decision.actions[0] else {
        panic!()
    };
    assert_eq!(request.tags.get(FINAL_TAG).map(String::as_str), Some("true"));

    let done = |state| in_state(shot("snap-1", "a", 0, true), state);
    let mut with = |state| {
        facts.snapshots = Known::Yes(vec![shot("snap-live", "a", 1, false), done(state)]);
        told(&decide(&facts, now()))
    };
    assert_eq!(with(SnapshotState::Pending), "Wait SnapshotPending []");
    assert_eq!(with(SnapshotState::Error), "Wait SnapshotFailed []");
    assert_eq!(with(SnapshotState::Other), "Act SnapshotDue [CreateSnapshot vol-a]");
    assert_eq!(with(SnapshotState::Completed), "Act VolumeSaved [DeleteVolume vol-a]");

    let decided = decide(&facts, now());
    let mut memory = decided.before_call();
    memory.volume_removed("data.0", "vol-a");
    (facts.memory, facts.identities) = (memory, Known::Yes(Vec::new()));
    let decided = decide(&facts, now());
    assert_eq!(told(&decided), "Act IdentityStarts [RunTask prod/ledger.0/data]");
    let input = decided.decision.actions[0].input();
    assert_eq!(
        input["volumeConfigurations"][0]["managedEBSVolume"]["snapshotId"],
        "snap-1"
    );
}

#[test]
fn a_mark_that_someone_copied_proves_nothing() {
    let mut facts = facts(&json!({}));
    facts.memory = started("a", 600);
    let mut stopped = over("a", 600);
    stopped.stopped_at = Some(ago(10));
    facts.tasks = Known::Yes(vec![stopped]);
    facts.identities = Known::Yes(vec![volume("a", "available", 600)]);
    let due = "Act SnapshotDue [CreateSnapshot vol-a]";
    // Before the task was over, and before the volume was made.
    for minutes in [11, 700] {
        facts.snapshots = Known::Yes(vec![shot("snap-1", "a", minutes, true)]);
        check(&facts, due);
    }
    let mut other = shot("snap-1", "a", 5, true);
    other.tags.insert(FINAL_TAG.to_owned(), "false".to_owned());
    facts.snapshots = Known::Yes(vec![other]);
    check(&facts, due);
    facts.snapshots = Known::Yes(vec![shot("snap-1", "a", 9, true)]);
    check(&facts, "Act VolumeSaved [DeleteVolume vol-a]");
}

#[test]
fn of_several_volumes_that_are_left_the_newest_counts() {
    let mut facts = facts(&json!({}));
    facts.memory = started("a", 600);
    facts.tasks = Known::Yes(vec![over("a", 600)]);
    facts.identities = Known::Yes(vec![volume("a", "available", 600)]);
    let saved = shot("snap-a", "a", 9, true);
    facts.snapshots = Known::Yes(vec![saved.clone()]);
    facts.memory = decide(&facts, now()).before_call();
    facts.memory.volume_removed("data.0", "vol-a");
    // One from before it turns up.
    facts.identities = Known::Yes(vec![volume("z", "available", 900)]);
    facts.snapshots = Known::Yes(vec![saved.clone(), shot("snap-z", "z", 1, true)]);
    let decided = decide(&facts, now());
    assert_eq!(told(&decided), "Act SnapshotSucceeded VolumeSaved [DeleteVolume vol-z]");
    facts.memory = decided.before_call();
    facts.memory.volume_removed("data.0", "vol-z");
    facts.identities = Known::Yes(Vec::new());
    let decided = decide(&facts, now());
    let input = decided.decision.actions[0].input();
    let begins = &input["volumeConfigurations"][0]["managedEBSVolume"]["snapshotId"];
    assert_eq!(begins, "snap-a");
}

#[test]
fn another_name_of_the_volume_begins_with_what_was_saved_under_the_first() {
    let mut facts = facts(&json!({}));
    facts.snapshots = Known::Yes(vec![shot("snap-1", "a", 9, true)]);
    facts.stateful.as_mut().unwrap().volume = "store".to_owned();
    let decided = decide(&facts, now());
    assert_eq!(told(&decided), "Act IdentityStarts [RunTask prod/ledger.0/store]");
    let input = decided.decision.actions[0].input();
    let begins = &input["volumeConfigurations"][0]["managedEBSVolume"]["snapshotId"];
    assert_eq!(begins, "snap-1");
}

#[test]
fn an_answer_from_before_does_not_bring_old_data_back() {
    let mut facts = facts(&json!({}));
    let saved = RecoveryPoint::from(&shot("snap-2", "a", 5, true));
    facts.memory = known(IdentityMemory {
        saved: Some(saved),
        begun: true,
        ..IdentityMemory::default()
    });
    let older = shot("snap-1", "z", 600, true);
    facts.snapshots = Known::Yes(vec![older.clone()]);
    let mut lagging = facts.clone();
    check_looks(&mut lagging, 5, "Wait IdentityWaits []");
    facts.snapshots = Known::Yes(vec![older.clone(), shot("snap-2", "a", 5, true)]);
    let begins = |facts: &Facts| {
        let input = decide(facts, now()).decision.actions[0].input();
        input["volumeConfigurations"][0]["managedEBSVolume"]["snapshotId"].clone()
    };
    assert_eq!(begins(&facts), "snap-2");
    // What was made of the next volume while its task ran is newer.
    facts.snapshots = Known::Yes(vec![older, shot("snap-2", "a", 5, true), shot("snap-3", "b", 1, false)]);
    assert_eq!(begins(&facts), "snap-3");
    // Someone removed it: the newest of what is left.
    check_looks(&mut lagging, 2, "Act IdentityStarts [RunTask prod/ledger.0/data]");
}

#[test]
fn a_removal_whose_answer_was_lost_is_found() {
    let mut facts = facts(&json!({}));
    facts.memory = started("a", 600);
    facts.tasks = Known::Yes(vec![over("a", 600)]);
    facts.identities = Known::Yes(vec![volume("a", "available", 600)]);
    facts.snapshots = Known::Yes(vec![shot("snap-1", "a", 0, true)]);
    facts.memory = decide(&facts, now()).before_call();
    facts.identities = Known::Yes(vec![volume("a", "deleting", 600)]);
    check_looks(&mut facts, 5, "Wait IdentityWaits []");
    check_looks(&mut facts, 6, "Act IdentityStarts [RunTask prod/ledger.0/data]");
}

#[test]
fn a_volume_that_someone_removed_is_told_and_the_newest_snapshot_is_taken() {
    let mut facts = facts(&json!({}));
    facts.memory = started("a", 600);
    facts.tasks = Known::Yes(vec![over("a", 600)]);
    facts.snapshots = Known::Yes(vec![shot("snap-live", "a", 60, false)]);
    check_looks(&mut facts, 5, "Wait IdentityWaits []");
    check_looks(
        &mut facts,
        2,
        "Act VolumeGone IdentityStarts [RunTask prod/ledger.0/data]",
    );
    facts.memory = started("a", 600);
    facts.snapshots = Known::Yes(Vec::new());
    check_looks(&mut facts, 6, "Wait VolumeGone IdentityStuck []");
    check_looks(&mut facts, 1, "Wait IdentityStuck []");
}

#[test]
fn a_task_that_ecs_shows_no_more_is_looked_for_again() {
    let mut facts = facts(&json!({}));
    facts.memory = started("a", 600);
    facts.identities = Known::Yes(vec![volume("a", "available", 600)]);
    check_looks(&mut facts, 2, "Wait IdentityWaits []");
    check_looks(&mut facts, 3, "Act SnapshotDue [CreateSnapshot vol-a]");
    // Not so soon after it was started.
    facts.memory = started("a", 0);
    check_looks(&mut facts, 5, "Wait IdentityWaits []");
    // A clock that is wrong does not make it certain.
    facts.memory = started("a", 600);
    check_looks(&mut facts, 1, "Wait IdentityWaits []");
    for minute in [0, 0, 10, 0] {
        let decided = decide(&facts, now() + SignedDuration::from_mins(minute));
        assert_eq!(told(&decided), "Wait IdentityWaits []", "{minute}");
        facts.memory = decided.memory;
    }
}

#[test]
fn a_call_whose_answer_was_lost_is_made_again_as_it_was() {
    let mut facts = facts(&json!({}));
    let first = decide(&facts, now());
    facts.memory = first.before_call();
    let later = now() + SignedDuration::from_mins(3);
    let again = decide(&facts, later);
    assert_eq!(again.decision.actions, first.decision.actions);
    // Its volume shows that it came through: it is not made again, for its token may be forgotten.
    let mut made = volume("a", "available", 0);
    made.tags = identity(0).volume_tags(OWNER, now());
    facts.identities = Known::Yes(vec![made]);
    let mut seen = facts.clone();
    check_looks(&mut seen, 5, "Wait IdentityWaits []");
    check_looks(&mut seen, 2, "Act IntentResumed SnapshotDue [CreateSnapshot vol-a]");
    // The same when ECS says so.
    let mut used = facts.clone();
    used.identities = Known::Yes(Vec::new());
    used.memory.start_used("data.0");
    check_looks(&mut used, 5, "Wait IdentityWaits []");
    // Its task is found.
    facts.tasks = Known::Yes(vec![living("a", 1)]);
    check(&facts, "Ignore IdentityRuns []");
    let known = decide(&facts, now()).memory.volumes["data.0"].identity.clone().unwrap();
    assert_eq!((known.start, known.task), (None, Some(arn("a"))));
}

#[test]
fn a_call_whose_answer_was_lost_is_not_made_again_when_it_is_not_wanted_any_more() {
    let mut facts = facts(&json!({ "count": 2 }));
    facts.memory = decide(&facts, now()).before_call();
    facts.stateful.as_mut().unwrap().count = 1;
    facts.memory.volumes.remove("data.0");
    facts.tasks = Known::Yes(vec![living("a", 10)]);
    check_looks(&mut facts, 5, "Wait IdentityRuns IdentityWaits []");
    check_looks(&mut facts, 2, "Ignore IdentityRuns NotConfigured []");
}

#[test]
fn what_is_refused_the_second_time_may_have_come_through_the_first() {
    let mut facts = facts(&json!({}));
    facts.memory = decide(&facts, now()).before_call();
    facts.memory = decide(&facts, now()).before_call();
    facts.memory.start_refused("data.0", "AccessDenied", now());
    check_looks(&mut facts, 5, "Wait IdentityWaits []");
    check_looks(&mut facts, 2, "Wait IntentResumed IdentityWaits []");
    let known = facts.memory.volumes["data.0"].identity.clone().unwrap();
    assert_eq!(known.start, None);
    check_looks(&mut facts, 3, "Act IdentityStarts [RunTask prod/ledger.0/data]");
}

#[test]
fn what_ecs_refuses_and_what_does_not_live_waits_longer_each_time() {
    let mut facts = facts(&json!({}));
    facts.memory = decide(&facts, now()).before_call();
    facts.memory.start_refused("data.0", "RESOURCE:MEMORY", now());
    check(&facts, "Wait IdentityWaits []");
    assert!(
        decide(&facts, now()).decision.reasons[0]
            .message
            .contains("RESOURCE:MEMORY")
    );
    let waits = |memory: &Memory| {
        let known = memory.volumes["data.0"].identity.as_ref().unwrap();
        known.not_before.unwrap().duration_since(now()).as_secs()
    };
    assert_eq!(waits(&facts.memory), 30);
    for seconds in [60, 120, 240, 480, 900, 900] {
        let mut identity = facts.memory.volumes["data.0"].identity.clone().unwrap();
        (identity.task, identity.started, identity.ended) = (Some(arn("a")), Some(ago(1)), None);
        facts.memory = known(identity);
        facts.tasks = Known::Yes(vec![over("a", 1)]);
        facts.memory = decide(&facts, now()).memory;
        assert_eq!(waits(&facts.memory), seconds);
    }
}

#[test]
fn what_is_not_among_the_count_is_saved_and_not_started() {
    let mut facts = facts(&json!({}));
    let mut left = volume("b", "available", 600);
    left.tags = identity(1).volume_tags(OWNER, ago(600));
    facts.identities = Known::Yes(vec![left]);
    facts.tasks = Known::Yes(vec![living("a", 600)]);
    check(&facts, "Act IdentityRuns SnapshotDue [CreateSnapshot vol-b]");
    let mut done = shot("snap-1", "b", 0, true);
    done.tags = identity(1).tags(OWNER, "b", now());
    done.tags.insert(FINAL_TAG.to_owned(), "true".to_owned());
    facts.snapshots = Known::Yes(vec![done]);
    let decided = decide(&facts, now());
    assert_eq!(
        told(&decided),
        "Act IdentityRuns VolumeSaved StrangeSnapshot [DeleteVolume vol-b]"
    );
}

#[test]
fn volumes_of_others_are_not_touched() {
    let mut facts = facts(&json!({}));
    let mut others = volume("b", "available", 600);
    others.tags.insert(OWNER_TAG.to_owned(), "another".to_owned());
    let mut siblings = volume("c", "available", 600);
    siblings.tags = Lineage::of_identity(&Target::task("prod", "other"), 0, "data").volume_tags(OWNER, ago(600));
    facts.identities = Known::Yes(vec![others, siblings]);
    check(&facts, "Act IdentityStarts [RunTask prod/ledger.0/data]");
}

#[test]
fn another_name_of_the_volume_takes_what_was_on_it() {
    let mut facts = facts(&json!({}));
    facts.memory = started("a", 600);
    facts.tasks = Known::Yes(vec![over("a", 600)]);
    facts.identities = Known::Yes(vec![volume("a", "available", 600)]);
    facts.stateful.as_mut().unwrap().volume = "store".to_owned();
    let decided = decide(&facts, now());
    assert_eq!(told(&decided), "Act SnapshotDue [CreateSnapshot vol-a]");
    assert_eq!(decided.memory.volumes.keys().collect::<Vec<_>>(), ["store.0"]);
    let Action::CreateSnapshot(request) = &decided.decision.actions[0] else {
        panic!()
    };
    assert_eq!(request.lineage.to_string(), "prod/ledger.0/store");
}
