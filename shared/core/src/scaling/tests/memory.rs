//! What is remembered of a service from one look to the next.

use serde_json::json;

use super::*;

#[test]
fn a_plan_that_is_held_back_leaves_no_trace() {
    let look = look(json!([{ "alarm": "a", "add": 2 }])).knows("a", alarm(0));
    let first = look.decide().memory;
    assert_eq!(first, seen(Memory::default()));
    let again = look.with(|facts| facts.memory = first.clone());
    assert_eq!(again.decide().memory, first);
}

#[test]
fn the_memory_is_stored_small_and_read_tolerantly() {
    let mut memory = used(changed(4, 6, 0), "a", 0, 1);
    memory.intent = Some(Intent {
        from: 6,
        to: 8,
        at: at(60),
        repeated: None,
        base: 4,
        wanted: 0,
        limited: false,
        bounds: None,
        used: memory.used.clone(),
    });
    let stored = serde_json::to_value(&memory).unwrap();
    assert_eq!(serde_json::from_value::<Memory>(stored).unwrap(), memory);
    assert_eq!(serde_json::to_value(Memory::default()).unwrap(), json!({}));
    let sparse = json!({ "last": { "from": 1, "to": 2, "at": "2026-03-01T12:00:00Z" }, "of-a-later-version": true });
    let read: Memory = serde_json::from_value(sparse).unwrap();
    assert_eq!(
        read,
        Memory {
            last: Some(Change {
                from: 1,
                to: 2,
                at: at(0),
                foreign: false
            }),
            ..Memory::default()
        }
    );
}

#[test]
fn what_no_rule_names_any_more_is_forgotten() {
    let look = look(json!([{ "alarm": "a", "add": 2 }])).knows("a", alarm(0));
    let decided = look
        .with(|facts| facts.memory = used(Memory::default(), "old", 0, 1))
        .decide();
    let kept: Vec<_> = settle(decided.before_call()).used.into_keys().collect();
    assert_eq!(kept, ["a"]);
}
