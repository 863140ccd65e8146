//! What holds of queues, windows and limits whatever comes and goes.

use proptest::prelude::*;
use serde_json::json;

use super::properties::{cases, desired, result};
use super::*;

/// What a queue has in the course of time: how long after the look before, how many messages, how old the oldest is.
fn queued() -> impl Strategy<Value = (i64, u64, u64, Option<i64>)> {
    (
        1..90_i64,
        prop_oneof![2 => Just(0), 3 => 0..200_u64],
        0..5_u64,
        proptest::option::weighted(0.8, 0..900_i64),
    )
}

proptest! {
    #![proptest_config(cases(300))]

    /// However the messages come and go: no more than the limits allow per period, whatever was in between; never to
    /// zero while anything is there; and the memory stays small.
    #[test]
    fn limits_hold_and_the_memory_stays_small(
        tasks in 0..6_u32,
        percent in proptest::option::of(1..120_u32),
        window in prop_oneof![Just("0s"), Just("60s"), Just("5m")],
        max_age in proptest::bool::ANY,
        history in proptest::collection::vec(queued(), 1..80),
    ) {
        let mut change = json!({ "tasks": tasks, "per": "5m" });
        if let Some(percent) = percent {
            change["percent"] = percent.into();
        }
        let mut rule = json!({ "queue": "jobs", "per-task": 10 });
        if max_age {
            rule["max-age"] = "5m".into();
        }
        let mut look = configured(json!({
            "min": 0, "max": 40, "rules": [rule], "cooldown": { "out": "0s", "in": "0s" },
            "stabilise": { "out": window, "in": window }, "limit": { "out": change, "in": change },
        }));
        let (mut clock, mut counts) = (0, vec![(0_i64, desired(&look))]);
        for (pause, visible, in_flight, oldest) in history {
            clock += pause;
            let queue = QueueFacts { visible, in_flight, oldest: oldest.map(SignedDuration::from_secs), at: at(clock) };
            look = look.at(clock).with(|facts| {
                facts.queues.insert("jobs".into(), Some(queue));
            });
            let decided = look.decide();
            look.facts.memory = settle(decided.before_call());
            prop_assert!(look.facts.memory.wishes.len() <= 32 && look.facts.memory.moves.len() <= 61);
            let Some(to) = set_by(&decided) else { continue };
            prop_assert!(to > 0 || queue.total() == 0, "to zero with {queue:?}");
            look = look.tasks(to);
            // The count at the beginning of the period, and the changes of it.
            let start = counts.iter().rev().find(|(when, _)| *when <= clock - 300).map_or(counts[0].1, |(_, count)| *count);
            let before = decided.intent.map_or(to, |intent| intent.from);
            let within = if to > before { to <= start.saturating_add(tasks.max(1)) } else { to >= start.saturating_sub(tasks) };
            prop_assert!(within, "{start}, {before} to {to}");
            counts.push((clock, to));
        }
    }

    /// A queue with more messages, or an older one, never means fewer tasks.
    #[test]
    fn more_messages_never_mean_fewer_tasks(
        rule in prop_oneof![
            Just(json!({ "per-task": 10 })), Just(json!({ "max-age": "5m" })),
            Just(json!({ "per-task": 10, "max-age": "5m", "activate-above": 20 })),
        ],
        count in 0..20_u32,
        (visible, more) in (0..200_u64, 0..200_u64),
        (age, older) in (0..900_i64, 0..900_i64),
    ) {
        let mut rule = rule;
        rule["queue"] = "jobs".into();
        let look = configured(json!({ "min": 0, "max": 100, "rules": [rule], "cooldown": { "in": "0s" } })).tasks(count);
        let with = |visible, age| {
            let queue = QueueFacts { visible, in_flight: 0, oldest: Some(SignedDuration::from_secs(age)), at: look.now };
            result(&look.clone().with(|facts| {
                facts.queues.insert("jobs".into(), Some(queue));
            }))
        };
        prop_assert!(with(visible, age) <= with(visible + more, age + older));
    }
}
