//! When a group grows, and by how much.

#![allow(clippy::too_many_lines, reason = "a table is as long as its cases")]

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_772_366_400 + seconds).unwrap()
}

fn rule(add: u32, max: u32) -> Placement {
    serde_json::from_value(json!({ "auto-scaling-group": "web", "add": add, "max": max, "cooldown": "5m" })).unwrap()
}

fn group(desired: u32, max: u32) -> AutoScalingGroup {
    AutoScalingGroup {
        name: "web".into(),
        min_size: 0,
        max_size: max,
        desired_capacity: desired,
        spot: None,
    }
}

fn unplaced(reason: &str) -> Unplaced {
    Unplaced {
        service: "prod/web".into(),
        reason: reason.into(),
        managed_scaling: false,
    }
}

fn raised(from: u32, to: u32, seconds: i64) -> Raise {
    Raise {
        group: "web".into(),
        from,
        to,
        at: at(seconds),
    }
}

fn look(
    rule: &Placement,
    unplaced: &[Unplaced],
    group: Known<Option<AutoScalingGroup>>,
    memory: &Memory,
    now: i64,
) -> Decided {
    let facts = Facts {
        rule,
        unplaced,
        group,
        memory,
    };
    decide(&facts, at(now))
}

fn asked(decided: &Decided) -> Option<u32> {
    let asked = decided.decision.actions.first();
    asked.map(|Action::SetDesiredCapacity { desired, .. }| *desired)
}

#[test]
fn what_an_instance_would_help() {
    for (reason, expected) in [
        ("RESOURCE:CPU", true),
        ("RESOURCE:MEMORY", true),
        ("RESOURCE:ENI", true),
        ("RESOURCE:PORTS", true),
        ("RESOURCE:FARGATE", false),
        ("AGENT", false),
        ("ATTRIBUTE", false),
        ("", false),
        (
            "(service web) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance 1 has insufficient CPU units available.",
            true,
        ),
        (
            "(service web) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.",
            true,
        ),
        (
            "(service web) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance 1 is already using a port required by your task.",
            true,
        ),
        (
            "(service web) was unable to place a task. Reason: Capacity is unavailable at this time.",
            false,
        ),
        (
            "(service web) is unable to consistently start tasks successfully.",
            false,
        ),
    ] {
        assert_eq!(unplaced(reason).lacks_instances(), expected, "{reason}");
    }
}

#[test]
fn a_group_grows_when_tasks_find_no_place() {
    let managed = Unplaced {
        managed_scaling: true,
        ..unplaced("RESOURCE:CPU")
    };
    let cpu = || vec![unplaced("RESOURCE:CPU")];
    let known = |desired, max| Known::Yes(Some(group(desired, max)));
    let none = Memory::default();
    let last = |seconds| Memory {
        last: Some(raised(3, 4, seconds)),
        ..Memory::default()
    };
    for (rule, unplaced, group, memory, outcome, code, to) in [
        (
            rule(1, 20),
            cpu(),
            known(3, 10),
            none.clone(),
            Outcome::Act,
            Code::CapacityRaised,
            Some(4),
        ),
        (
            rule(4, 20),
            cpu(),
            known(3, 10),
            none.clone(),
            Outcome::Act,
            Code::CapacityRaised,
            Some(7),
        ),
        (
            rule(4, 5),
            cpu(),
            known(3, 10),
            none.clone(),
            Outcome::Act,
            Code::CapacityRaised,
            Some(5),
        ),
        (
            rule(4, 20),
            cpu(),
            known(9, 10),
            none.clone(),
            Outcome::Act,
            Code::CapacityRaised,
            Some(10),
        ),
        (
            rule(1, 3),
            cpu(),
            known(3, 10),
            none.clone(),
            Outcome::Ignore,
            Code::AlreadyAtMaxCapacity,
            None,
        ),
        (
            rule(1, 20),
            cpu(),
            known(10, 10),
            none.clone(),
            Outcome::Ignore,
            Code::AlreadyAtMaxCapacity,
            None,
        ),
        (
            rule(1, 2),
            cpu(),
            known(3, 10),
            none.clone(),
            Outcome::Ignore,
            Code::AlreadyAtMaxCapacity,
            None,
        ),
        (
            rule(1, 20),
            vec![],
            known(3, 10),
            none.clone(),
            Outcome::Ignore,
            Code::NothingUnplaced,
            None,
        ),
        (
            rule(1, 20),
            vec![],
            Known::No,
            none.clone(),
            Outcome::Ignore,
            Code::NothingUnplaced,
            None,
        ),
        (
            rule(1, 20),
            vec![unplaced("AGENT")],
            known(3, 10),
            none.clone(),
            Outcome::Ignore,
            Code::NothingUnplaced,
            None,
        ),
        (
            rule(1, 20),
            vec![managed.clone()],
            Known::No,
            none.clone(),
            Outcome::Ignore,
            Code::ManagedScaling,
            None,
        ),
        (
            rule(1, 20),
            [vec![managed], cpu()].concat(),
            known(3, 10),
            none.clone(),
            Outcome::Act,
            Code::CapacityRaised,
            Some(4),
        ),
        (
            rule(1, 20),
            cpu(),
            Known::Yes(None),
            none.clone(),
            Outcome::Ignore,
            Code::GroupNotFound,
            None,
        ),
        (
            rule(1, 20),
            cpu(),
            Known::No,
            none,
            Outcome::Wait,
            Code::FactsMissing,
            None,
        ),
        (
            rule(1, 20),
            cpu(),
            known(4, 10),
            last(-299),
            Outcome::Wait,
            Code::Cooldown,
            None,
        ),
        (
            rule(1, 20),
            cpu(),
            known(4, 10),
            last(-300),
            Outcome::Act,
            Code::CapacityRaised,
            Some(5),
        ),
    ] {
        let decided = look(&rule, &unplaced, group, &memory, 0);
        let found = (
            decided.decision.outcome,
            decided.decision.reasons[0].code,
            asked(&decided),
        );
        assert_eq!(found, (outcome, code, to), "{unplaced:?} {memory:?}");
        assert_eq!(decided.memory.intent.map(|intent| intent.to), to);
    }
}

#[test]
fn what_was_begun_is_gone_on_with() {
    let begun = |seconds| Memory {
        intent: Some(raised(3, 4, seconds)),
        ..Memory::default()
    };
    let other = Memory {
        intent: Some(Raise {
            group: "other".into(),
            ..raised(3, 4, -10)
        }),
        ..Memory::default()
    };
    for (name, desired, max, memory, code, to) in [
        ("the call was not made", 3, 10, begun(-10), Code::IntentResumed, Some(4)),
        (
            "nor within the cooldown",
            3,
            10,
            begun(-999),
            Code::IntentResumed,
            Some(4),
        ),
        ("it was made", 4, 10, begun(-10), Code::Cooldown, None),
        (
            "it was made long ago",
            4,
            10,
            begun(-999),
            Code::CapacityRaised,
            Some(5),
        ),
        ("someone else went higher", 6, 10, begun(-10), Code::Cooldown, None),
        ("someone else went lower", 2, 10, begun(-10), Code::Cooldown, None),
        ("the group may have less now", 3, 3, begun(-10), Code::Cooldown, None),
        ("it was of another group", 3, 10, other, Code::CapacityRaised, Some(4)),
    ] {
        let decided = look(
            &rule(1, 20),
            &[unplaced("RESOURCE:CPU")],
            Known::Yes(Some(group(desired, max))),
            &memory,
            0,
        );
        assert_eq!(
            (decided.decision.reasons[0].code, asked(&decided)),
            (code, to),
            "{name}"
        );
    }
    // With a place for every task it is not gone on with, but remembered until it is known what became of it.
    let decided = look(&rule(1, 20), &[], Known::Yes(Some(group(3, 10))), &begun(-10), 0);
    assert_eq!((asked(&decided), decided.memory), (None, begun(-10)));
    let decided = look(&rule(1, 20), &[], Known::No, &begun(-10), 0);
    assert_eq!(decided.decision.missing, ["DescribeAutoScalingGroups"]);
}

#[test]
fn the_call_is_as_the_api_has_it() {
    let decided = look(
        &rule(1, 20),
        &[unplaced("RESOURCE:CPU")],
        Known::Yes(Some(group(3, 10))),
        &Memory::default(),
        0,
    );
    let action = &decided.decision.actions[0];
    assert_eq!(action.call(), "SetDesiredCapacity");
    assert_eq!(
        action.input(),
        json!({ "AutoScalingGroupName": "web", "DesiredCapacity": 4, "HonorCooldown": false })
    );
    let mut memory = decided.memory;
    memory.made();
    assert_eq!(
        serde_json::to_value(&memory).unwrap(),
        json!({
            "last": { "group": "web", "from": 3, "to": 4, "at": "2026-03-01T12:00:00Z" },
        })
    );
}

/// What happens between two looks.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The look is made to its end.
    Whole,
    /// It dies after the intent was stored.
    BeforeCall,
    /// It dies after the call was made.
    AfterCall,
    /// Someone sets the group to a number.
    Someone(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Whole),
        2 => Just(Step::BeforeCall),
        2 => Just(Step::AfterCall),
        1 => (0..12_u32).prop_map(Step::Someone),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever dies when: never above the bounds, never twice in a cooldown, never lower.
    #[test]
    fn it_stays_within_bounds_and_cooldown(
        add in 1..5_u32, max in 0..12_u32, size in 0..12_u32, begin in 0..12_u32,
        steps in proptest::collection::vec((step(), 0..400_i64), 1..30),
    ) {
        let rule = rule(add, max);
        let (mut desired, mut memory, mut now) = (begin, Memory::default(), 0);
        let mut last_call = None;
        for (step, wait) in steps {
            now += wait;
            if let Step::Someone(count) = step {
                desired = count;
                continue;
            }
            let decided = look(&rule, &[unplaced("RESOURCE:CPU")], Known::Yes(Some(group(desired, size))), &memory, now);
            memory = decided.memory.clone();
            let Some(to) = asked(&decided) else { continue };
            prop_assert!(to <= max.min(size) && to > desired && to <= desired + add);
            if matches!(step, Step::BeforeCall) {
                continue;
            }
            // One that was begun may have been made: the same number is asked for again.
            let resumed = decided.decision.reasons[0].code == Code::IntentResumed;
            prop_assert!(resumed || last_call.is_none_or(|last| now - last >= 300), "{now} {last_call:?}");
            last_call = Some(now);
            desired = to;
            if matches!(step, Step::Whole) {
                memory.made();
            }
        }
    }

    /// A crash between the intent and the call, and any number of looks afterwards, lead to one raise.
    #[test]
    fn a_crash_leads_to_one_raise(begin in 0..10_u32, looks in 1..6_usize, called in any::<bool>()) {
        let rule = rule(1, 20);
        let unplaced = [unplaced("RESOURCE:CPU")];
        let first = look(&rule, &unplaced, Known::Yes(Some(group(begin, 20))), &Memory::default(), 0);
        let (mut desired, mut memory) = (if called { begin + 1 } else { begin }, first.memory);
        for n in 0..looks {
            let seconds = 10 + i64::try_from(n).unwrap();
            let decided = look(&rule, &unplaced, Known::Yes(Some(group(desired, 20))), &memory, seconds);
            memory = decided.memory.clone();
            if let Some(to) = asked(&decided) {
                desired = to;
                memory.made();
            }
        }
        prop_assert_eq!(desired, begin + 1);
    }
}
