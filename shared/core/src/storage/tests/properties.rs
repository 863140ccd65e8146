//! What holds whatever there is.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn any_state() -> impl Strategy<Value = SnapshotState> {
    prop_oneof![
        6 => Just(SnapshotState::Completed),
        2 => Just(SnapshotState::Pending),
        2 => Just(SnapshotState::Error),
        1 => Just(SnapshotState::Other),
    ]
}

/// Of ours, of another stack, of another volume, and without tags.
fn any_snapshots() -> impl Strategy<Value = Vec<Snapshot>> {
    let one = (0_i64..4_000, any_state(), 0_u8..8);
    proptest::collection::vec(one, 0..20).prop_map(|all| {
        let made = |(n, (minutes, state, whose)): (usize, (i64, SnapshotState, u8))| {
            let mut made = in_state(snapshot(&format!("snap-{n:02}"), minutes), state);
            match whose {
                0 => drop(made.tags.insert(OWNER_TAG.to_owned(), "another".to_owned())),
                1 => made.tags = Lineage::of(&target(), "logs").tags(OWNER, "t", ago(minutes)),
                2 => made.tags.clear(),
                _ => {}
            }
            made
        };
        all.into_iter().enumerate().map(made).collect()
    })
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let keep = (0_u32..4, 0_u32..4, 0_u32..3);
    (any_snapshots(), keep, any::<u32>(), any::<u32>(), any::<u32>(), 0_u8..4).prop_map(
        |(snapshots, (last, hourly, daily), held, shared, unshared, known)| {
            let keep = json!({ "last": last, "hourly": hourly, "daily": daily });
            let bit = |bits: u32, n: usize| bits >> n & 1 == 1;
            let ids: Vec<_> = snapshots.iter().map(|s| s.snapshot_id.clone()).collect();
            let mut facts = facts(keep, snapshots);
            let of = |bits: u32| {
                ids.iter()
                    .enumerate()
                    .filter(move |(n, _)| bit(bits, *n))
                    .map(|(_, id)| id.clone())
            };
            facts.held = if known == 0 {
                Known::No
            } else {
                Known::Yes(of(held & shared).map(|id| (id, "x".to_owned())).collect())
            };
            facts.shared = of(unshared)
                .map(|id| (id, false))
                .chain(of(shared & !unshared).map(|id| (id, true)))
                .collect();
            if known == 1 {
                facts.tasks = Known::No;
            }
            facts
        },
    )
}

fn removed(decided: &Decided) -> BTreeSet<String> {
    let removed = decided.decision.actions.iter().filter_map(|action| match action {
        Action::DeleteSnapshot { snapshot_id, ours, .. } => {
            assert!(*ours);
            Some(snapshot_id.clone())
        }
        _ => None,
    });
    removed.collect()
}

fn created(decided: &Decided) -> Vec<&CreateSnapshot> {
    let created = decided.decision.actions.iter().filter_map(|action| match action {
        Action::CreateSnapshot(create) => Some(create),
        _ => None,
    });
    created.collect()
}

fn known(facts: &Facts) -> &[Snapshot] {
    match &facts.snapshots {
        Known::Yes(snapshots) => snapshots,
        Known::No => &[],
    }
}

proptest! {
    #[test]
    fn nothing_is_removed_that_is_held_newest_foreign_or_unknown(facts in any_facts()) {
        let decided = decide(&facts, now());
        let gone = removed(&decided);
        let ours = |s: &&Snapshot| s.is_of(OWNER) && s.lineage() == Some(lineage());
        let newest = known(&facts).iter().filter(ours).filter(|s| s.is_completed()).max_by_key(|s| (s.start_time, &s.snapshot_id));
        prop_assert!(newest.is_none_or(|newest| !gone.contains(&newest.snapshot_id)));
        prop_assert!(gone.is_empty() || facts.held != Known::No);
        for snapshot in known(&facts).iter().filter(|s| gone.contains(&s.snapshot_id)) {
            prop_assert!(ours(&snapshot));
            prop_assert!(matches!(snapshot.state, SnapshotState::Completed | SnapshotState::Error));
            let id = &snapshot.snapshot_id;
            prop_assert!(facts.shared.get(id) == Some(&false) || snapshot.state == SnapshotState::Error);
            let Known::Yes(held) = &facts.held else { panic!() };
            prop_assert!(!held.contains_key(id));
        }
    }

    #[test]
    fn once_done_nothing_is_left_to_do(facts in any_facts()) {
        let decided = decide(&facts, now());
        let gone = removed(&decided);
        let mut after = facts.clone();
        after.memory = decided.before_call();
        let mut left: Vec<_> = known(&facts).iter().filter(|s| !gone.contains(&s.snapshot_id)).cloned().collect();
        for create in created(&decided) {
            let mut made = in_state(snapshot("snap-99", 0), SnapshotState::Pending);
            made.tags.clone_from(&create.tags);
            after.memory.made("data", &made);
            left.push(made);
        }
        after.snapshots = Known::Yes(left);
        let again = decide(&after, now());
        prop_assert_eq!(&again.decision.actions, &[]);
        prop_assert_eq!(&again.notices, &[]);
        let intent = &again.memory.volumes["data"].intent;
        prop_assert!(intent.as_ref().is_none_or(|intent| intent.snapshot.is_some()), "{intent:?}");
    }

    #[test]
    fn what_is_decided_needs_no_order(facts in any_facts()) {
        let mut turned = facts.clone();
        if let (Known::Yes(snapshots), Known::Yes(tasks)) = (&mut turned.snapshots, &mut turned.tasks) {
            snapshots.reverse();
            tasks.reverse();
        }
        let (a, b) = (decide(&facts, now()), decide(&turned, now()));
        prop_assert_eq!(a.decision, b.decision);
        prop_assert_eq!(a.memory, b.memory);
    }

    /// EC2 shows what was made up to two minutes late; answers are lost, and whoever asked may die after it stored the intent
    /// or after the call. Looks come at any times.
    #[test]
    fn never_two_for_one_due_time(
        looks in proptest::collection::vec((1_i64..200, 0_u8..4, 0_i64..119), 1..60),
        every in 1_u64..30,
    ) {
        let mut facts = facts(json!({}), Vec::new());
        let every = SignedDuration::from_mins(i64::try_from(every).unwrap());
        let text = format!("{}m", every.as_mins());
        facts.rules = serde_json::from_value(json!([{ "volume": "data", "snapshot": { "every": text } }])).unwrap();
        // What was made, and from when on EC2 shows it.
        let mut made: Vec<(Timestamp, Snapshot)> = Vec::new();
        let mut clock = now();
        for (seconds, fate, lag) in looks {
            clock += SignedDuration::from_secs(seconds);
            let shown = made.iter().filter(|(from, _)| *from <= clock).map(|(_, s)| s.clone());
            facts.snapshots = Known::Yes(shown.collect());
            let decided = decide(&facts, clock);
            let Some(create) = created(&decided).pop().cloned() else {
                facts.memory = decided.memory;
                continue;
            };
            facts.memory = decided.before_call();
            if fate == 0 {
                // It died before the call.
                continue;
            }
            let mut answer = snapshot(&format!("snap-{:03}", made.len()), 0);
            (answer.start_time, answer.tags) = (clock, create.tags);
            if fate > 1 {
                facts.memory.made("data", &answer);
            }
            made.push((clock + SignedDuration::from_secs(lag), answer));
        }
        for pair in made.windows(2) {
            let apart = pair[1].1.start_time.duration_since(pair[0].1.start_time);
            prop_assert!(apart + SignedDuration::from_secs(10) >= every, "{apart:#} apart, every {every:#}");
        }
    }
}
