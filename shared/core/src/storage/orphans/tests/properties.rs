//! What holds whatever there is.

use proptest::prelude::*;

use super::*;

fn any_volume(n: usize) -> impl Strategy<Value = Volume> {
    let cluster = prop_oneof![
        4 => Just(Some("prod")),
        1 => Just(Some("test")),
        1 => Just(None),
    ];
    (cluster, 0_u8..6, 0_u8..6).prop_map(move |(cluster, attached, ours)| {
        let mut volume = volume(&format!("vol-{n}"), cluster);
        if attached == 0 {
            volume.state = "in-use".to_owned();
        }
        if ours == 0 {
            volume.tags.insert(OWNER_TAG.to_owned(), OWNER.to_owned());
        }
        volume
    })
}

fn any_state() -> impl Strategy<Value = SnapshotState> {
    prop_oneof![
        4 => Just(SnapshotState::Completed),
        1 => Just(SnapshotState::Pending),
        1 => Just(SnapshotState::Error),
        1 => Just(SnapshotState::Other),
    ]
}

/// A snapshot of one of the volumes: ours, of another stack, of no stack, or one that names another volume.
fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    (0_usize..6, any_state(), 0_i64..400, 0_u8..8).prop_map(|(n, state, age, whose)| {
        let mut snapshot = snapshot(&format!("vol-{n}"), state, age);
        match whose {
            0 => drop(snapshot.tags.insert(OWNER_TAG.to_owned(), "another".to_owned())),
            1 => snapshot.tags.clear(),
            2 => snapshot.volume_id = "vol-9".to_owned(),
            _ => {}
        }
        snapshot
    })
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let volumes: Vec<_> = (0..6).map(any_volume).collect();
    let snapshots = proptest::collection::vec(any_snapshot(), 0..8);
    let ages = proptest::collection::vec(0_i64..400, 6);
    (volumes, snapshots, ages, 0_usize..9, any::<bool>(), 0_i64..90).prop_map(
        |(volumes, snapshots, ages, named, removes, looked)| {
            let action = if removes {
                OrphanAction::Remove
            } else {
                OrphanAction::Report
            };
            let mut facts = facts(action, volumes, 0);
            facts.snapshots = snapshots;
            for (seen, age) in facts.memory.volumes.values_mut().zip(ages) {
                seen.since = now() - minutes(age);
            }
            facts.memory.looked = facts.memory.looked.map(|_| now() - minutes(looked));
            facts.named = match named {
                8 => Known::No,
                n => Known::Yes(BTreeMap::from([(format!("vol-{n}"), "t".to_owned())])),
            };
            facts
        },
    )
}

/// Why a removal is wrong, if it is.
fn wrong(facts: &Facts, volume_id: &str, snapshot_id: &str) -> Option<&'static str> {
    let volume = facts.volumes.iter().find(|v| v.volume_id == volume_id)?;
    let since = facts.memory.volumes[volume_id].since;
    let of_it = |s: &&Snapshot| s.snapshot_id == snapshot_id && s.volume_id == volume_id && s.is_of(OWNER);
    let is_done = |s: &Snapshot| s.is_completed() && s.start_time > since && s.tags[ORPHAN_TAG] == volume_id;
    let mut its = facts.snapshots.iter().filter(of_it);
    if !its.any(is_done) {
        Some("no snapshot of it is completed")
    } else if !volume.is_available() {
        Some("it is in use")
    } else if volume.cluster() != Some("prod") {
        Some("it is not the cluster's")
    } else if volume.tags.contains_key(OWNER_TAG) {
        Some("it is ours")
    } else if now().duration_since(since) < minutes(120) {
        Some("it is too soon")
    } else {
        match &facts.named {
            Known::Yes(named) if !named.contains_key(volume_id) => None,
            _ => Some("a task may name it"),
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_removed_before_its_snapshot_is_completed_or_that_is_not_left_behind(facts in any_facts()) {
        let decided = decide(&facts, now());
        prop_assert!(facts.rule.action == OrphanAction::Remove || decided.decision.actions.is_empty());
        for action in &decided.decision.actions {
            match action {
                Action::DeleteVolume { volume_id, snapshot_id } => {
                    prop_assert_eq!(wrong(&facts, volume_id, snapshot_id), None);
                }
                Action::CreateSnapshot(request) => {
                    let asked = &decided.intents[&request.volume_id];
                    prop_assert_eq!(&request.tags[AT_TAG], &asked.at.to_string());
                    prop_assert!(request.volume_id != "vol-9" && request.tags[OWNER_TAG] == OWNER);
                }
            }
        }
    }

    #[test]
    fn after_the_calls_nothing_is_called_again(facts in any_facts()) {
        let decided = decide(&facts, now());
        let mut memory = decided.before_call();
        for action in &decided.decision.actions {
            if let Action::DeleteVolume { volume_id, .. } = action {
                memory.removed(volume_id, now());
            }
        }
        let again = decide(&Facts { memory, ..facts }, now());
        prop_assert_eq!(again.decision.actions, Vec::new());
        prop_assert_eq!(again.notices, Vec::new());
    }

    #[test]
    fn a_look_without_calls_is_stable(facts in any_facts()) {
        let decided = decide(&facts, now());
        let again = decide(&Facts { memory: decided.memory.clone(), ..facts }, now());
        prop_assert_eq!(again.memory, decided.memory);
    }

    #[test]
    fn the_order_in_which_ec2_lists_does_not_matter(facts in any_facts()) {
        let mut turned = facts.clone();
        turned.volumes.reverse();
        turned.snapshots.reverse();
        prop_assert_eq!(decide(&facts, now()), decide(&turned, now()));
    }
}
