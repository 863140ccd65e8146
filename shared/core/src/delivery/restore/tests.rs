use serde_json::json;

use super::super::fixtures::{ago, facts, now};
use super::super::{TaskDefinition, decide};
use super::*;
use crate::ids::Target;

/// A service whose volume `data` begins with its newest snapshot.
fn db() -> Facts {
    let storage = serde_json::from_value(json!([{ "volume": "data", "restore": "newest" }])).unwrap();
    Facts { storage, ..facts() }
}

fn snapshot(id: &str, hours: i64, size: u32) -> Snapshot {
    let lineage = Lineage::of(&Target::service("prod", "web"), "data");
    let at = ago(hours * 3_600);
    let tags: Vec<_> = lineage
        .tags("wharfinger", "t", at)
        .into_iter()
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    Snapshot::parse(&json!({
        "SnapshotId": id, "State": "completed", "StartTime": at.to_string(), "VolumeSize": size, "Tags": tags,
    }))
    .unwrap()
}

fn configured(size: u32) -> Value {
    json!([{ "name": "data", "managedEBSVolume": { "roleArn": "r", "sizeInGiB": size, "snapshotId": "snap-0" } }])
}

impl Facts {
    fn with_volumes(mut self, configurations: Option<Value>, snapshots: Vec<Snapshot>) -> Self {
        self.volumes = Volumes {
            configurations: Known::Yes(configurations),
            snapshots: Known::Yes(snapshots),
        };
        self
    }
}

/// The volumes that the service is sent with, and the codes.
fn check(facts: &Facts, volumes: Option<&Value>, codes: &[Code]) -> Decided {
    let decided = decide(facts, now());
    let sent = decided.decision.actions.iter().find_map(|action| match action {
        Action::UpdateService { volumes, .. } => Some(volumes.as_ref()),
        _ => None,
    });
    assert_eq!(sent.flatten(), volumes);
    let said: Vec<_> = decided.decision.reasons.iter().map(|r| r.code).collect();
    assert_eq!(said, codes, "{:?}", decided.decision.reasons);
    decided
}

#[test]
fn the_newest_snapshot_goes_with_the_rollout() {
    let facts = db().with_volumes(
        Some(configured(20)),
        vec![snapshot("snap-1", 5, 20), snapshot("snap-2", 3, 20)],
    );
    let mut expected = configured(20);
    expected[0]["managedEBSVolume"]["snapshotId"] = json!("snap-2");
    let decided = check(&facts, Some(&expected), &[Code::RolloutStarts, Code::RestoreNewest]);
    let [register, update] = &decided.decision.actions[..] else {
        panic!("{:?}", decided.decision.actions)
    };
    assert!(matches!(register, Action::RegisterTaskDefinition { .. }));
    let input = crate::report::Effect::input(update);
    assert_eq!(input["volumeConfigurations"], expected);
    let keys: Vec<_> = input.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["cluster", "service", "taskDefinition", "volumeConfigurations"]);
    let point = RestorePoint::of("data", &snapshot("snap-2", 3, 20));
    let memory = decided.before_call();
    assert_eq!(memory.restore_points().collect::<Vec<_>>(), [&point]);
    let said = &decided.decision.reasons[1].message;
    assert!(said.contains("snap-2") && said.contains("3h ago"), "{said}");
}

/// What was settled is watched, and remembered when it is over.
#[test]
fn the_recovery_point_stays_in_the_history() {
    let facts = db().with_volumes(Some(configured(20)), vec![snapshot("snap-2", 3, 20)]);
    let mut memory = decide(&facts, now()).before_call();
    memory.registered("arn:aws:ecs:eu-west-1:123456789012:task-definition/shop-web:8");
    memory.settle(&facts.target, now());
    let watched = memory.watched.clone().unwrap();
    assert_eq!(watched.restored.len(), 1);
    watched.end(&mut memory, &facts.target, super::super::Stage::Succeeded, "", now());
    assert_eq!(memory.past.last().unwrap().restored, watched.restored);
}

#[test]
fn nothing_is_sent_before_it_is_known() {
    let decided = check(&db(), None, &[Code::FactsMissing, Code::RolloutStarts]);
    assert!(decided.asks_volumes() && decided.decision.actions.is_empty() && decided.intent.is_none());
    assert_eq!(decided.decision.missing, [SERVICES, SNAPSHOTS]);
    let plain = decide(&facts(), now());
    assert!(!plain.asks_volumes() && plain.decision.actions.len() == 2);
}

#[test]
fn without_a_snapshot_or_a_volume_the_service_says_what_it_begins_with() {
    let none = db().with_volumes(Some(configured(20)), Vec::new());
    drop(check(&none, None, &[Code::RolloutStarts, Code::NothingToRestore]));
    let bare = db().with_volumes(None, vec![snapshot("snap-1", 1, 20)]);
    drop(check(&bare, None, &[Code::RolloutStarts, Code::RestoreRefused]));
}

#[test]
fn a_rollout_waits_for_a_volume_that_is_too_small() {
    let small = db().with_volumes(Some(configured(10)), vec![snapshot("snap-1", 1, 20)]);
    let decided = check(&small, None, &[Code::RestoreRefused, Code::RolloutStarts]);
    assert_eq!(decided.decision.outcome, Outcome::Wait);
    assert!(decided.decision.actions.is_empty());
}

#[test]
fn a_revision_that_is_registered_is_sent_with_what_is_newest_now() {
    let facts = db().with_volumes(Some(configured(20)), vec![snapshot("snap-1", 1, 20)]);
    let mut memory = decide(&facts, now()).before_call();
    let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop-web:8";
    memory.registered(arn);
    let later = Facts {
        memory,
        ..facts.with_volumes(
            Some(configured(20)),
            vec![snapshot("snap-1", 1, 20), snapshot("snap-2", 0, 20)],
        )
    };
    let decided = decide(&later, now());
    let [
        Action::UpdateService {
            task_definition,
            volumes,
            ..
        },
    ] = &decided.decision.actions[..]
    else {
        panic!("{:?}", decided.decision)
    };
    assert_eq!(*task_definition, TaskDefinition::Arn(arn.into()));
    assert_eq!(volumes.as_ref().unwrap()[0]["managedEBSVolume"]["snapshotId"], "snap-2");
}
