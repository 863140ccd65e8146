//! Stabilisation windows and rate limits, with the vectors of Kubernetes' documentation.

use serde_json::json;

use super::*;
use crate::config::{Limit, Stabilise};
use crate::scaling::history::{limited, tidy, wished};

fn stabilise(out: &str, inward: &str) -> Stabilise {
    serde_json::from_value(json!({ "out": out, "in": inward })).unwrap()
}

/// What comes of a series of wishes, each acted upon at once: the counts.
fn stabilised(windows: &Stabilise, start: u32, wishes: &[(i64, u32)]) -> Vec<u32> {
    let (mut memory, mut base) = (Memory::default(), start);
    wishes
        .iter()
        .map(|(seconds, wish)| {
            base = wished(&mut memory, windows, base, *wish, at(*seconds)).of(base, *wish);
            base
        })
        .collect()
}

#[test]
fn a_wish_is_followed_when_it_has_lasted() {
    let check = |out, inward, start, wishes: &[(i64, u32)], expected: &[u32]| {
        assert_eq!(
            stabilised(&stabilise(out, inward), start, wishes),
            expected,
            "{wishes:?}"
        );
    };
    // Without windows at once.
    check("0s", "0s", 4, &[(0, 9), (60, 2)], &[9, 2]);
    // More tasks: the smallest wish of the window; fewer: the greatest.
    check("2m", "0s", 4, &[(0, 9), (60, 9), (119, 9), (120, 9)], &[4, 4, 4, 9]);
    check("2m", "0s", 4, &[(0, 9), (60, 6), (120, 9), (180, 9)], &[4, 4, 6, 9]);
    check(
        "0s",
        "5m",
        9,
        &[(0, 2), (60, 3), (120, 2), (240, 2), (300, 2), (360, 2)],
        &[9, 9, 9, 9, 3, 2],
    );
    // A wish that was taken back begins anew.
    check(
        "2m",
        "0s",
        4,
        &[(0, 9), (60, 4), (120, 9), (170, 9), (180, 9)],
        &[4, 4, 4, 4, 9],
    );
    // More tasks in between do not wait for the window of fewer.
    check(
        "0s",
        "5m",
        4,
        &[(0, 2), (60, 6), (120, 2), (240, 2), (359, 2), (360, 2)],
        &[4, 6, 6, 6, 6, 2],
    );
    // After a while without a look nobody wished for anything: the count that there is counts from then on.
    check("2m", "10m", 4, &[(0, 9), (600, 9), (660, 9), (720, 9)], &[4, 4, 4, 9]);
    // A window that is shorter than the time between two looks.
    check("30s", "0s", 4, &[(0, 9), (60, 9)], &[4, 9]);
    // What was wished for at the last look lasted until this one, also where that was before the window.
    check("1m", "10m", 4, &[(0, 2), (75, 9), (140, 9)], &[4, 4, 9]);
    check("10m", "1m", 4, &[(0, 9), (75, 2), (140, 2)], &[4, 4, 2]);
}

#[test]
fn the_wishes_are_remembered_in_few_entries() {
    for window in ["5m", "1h", "14d"] {
        let windows = stabilise(window, window);
        let mut memory = Memory::default();
        for second in 0..20_000 {
            wished(&mut memory, &windows, 4, 5 + second % 7, at(i64::from(second) * 7));
            assert!(memory.wishes.len() <= 32, "{window}: {}", memory.wishes.len());
        }
    }
}

fn limit(json: serde_json::Value) -> Limit {
    serde_json::from_value(json).unwrap()
}

fn moved(when: i64, added: u32, removed: u32) -> Moved {
    Moved {
        at: at(when),
        added,
        removed,
    }
}

#[track_caller]
fn check(limits: &Value, moves: &[Moved], (base, to): (u32, u32), expected: u32) {
    let found = limited(moves, &limit(limits.clone()), base, to, at(0));
    assert_eq!(found, expected, "{limits} {moves:?} {base} to {to}");
}

#[test]
fn so_many_tasks_go_per_period() {
    // Of 80 tasks 10 % are 8, of 72 they are 7.2 and so 8 (Kubernetes documentation, "Limit scale-down rate").
    let percent = json!({ "in": { "percent": 10, "per": "1m" } });
    check(&percent, &[], (80, 10), 72);
    check(&percent, &[moved(-60, 0, 8)], (72, 10), 64);
    check(&percent, &[moved(-59, 0, 8)], (72, 10), 72);
    let tasks = json!({ "in": { "tasks": 4, "per": "1m" } });
    check(&tasks, &[], (80, 10), 76);
    check(&tasks, &[], (80, 78), 78);
    check(&tasks, &[], (8, 99), 99);
    // With both the smaller change.
    let both = json!({ "in": { "tasks": 4, "percent": 10, "per": "1m" } });
    check(&both, &[], (80, 10), 76);
    check(&both, &[], (20, 10), 18);
}

#[test]
fn so_many_tasks_come_per_period() {
    let both = json!({ "out": { "tasks": 4, "percent": 100, "per": "1m" } });
    check(&both, &[], (10, 99), 14);
    check(&both, &[], (2, 99), 4);
    let percent = json!({ "out": { "percent": 10, "per": "1m" } });
    check(&percent, &[], (15, 99), 17); // 16.5
    check(&percent, &[], (10, 99), 11); // 11.000000000000002 in binary
    check(&percent, &[], (0, 99), 1);
    let tasks = json!({ "out": { "tasks": 5, "per": "1m" } });
    check(&tasks, &[moved(-30, 3, 0)], (13, 99), 15);
    check(&tasks, &[moved(-30, 5, 0)], (15, 99), 15);
    check(&tasks, &[moved(-30, 9, 0)], (15, 99), 15);
    check(&tasks, &[], (8, 2), 2);
    // What went within the period may come back besides.
    check(&tasks, &[moved(-30, 0, 2)], (8, 99), 15);
    check(&json!({ "out": { "tasks": 0, "per": "1m" } }), &[], (8, 99), 8);
    check(&json!({}), &[], (8, 99), 99);
}

#[test]
fn the_changes_are_remembered_in_few_entries() {
    let limit = limit(json!({ "out": { "tasks": 5, "per": "1h" } }));
    let mut memory = Memory::default();
    for second in 0..5_000 {
        let now = at(second * 5);
        tidy(&mut memory, &limit, now);
        assert!(memory.moves.len() <= 60, "{}", memory.moves.len());
        memory.moves.push(Moved {
            at: now,
            added: 1,
            removed: 0,
        });
    }
    let added: u32 = memory.moves.iter().map(|moved| moved.added).sum();
    assert!(
        (720..=745).contains(&added),
        "an hour of them, and no more than a thirtieth: {added}"
    );
    tidy(&mut memory, &Limit::default(), at(25_000));
    assert!(memory.moves.is_empty(), "nobody counts them any more");
}

#[test]
fn a_step_that_the_windows_or_limits_cut_says_so() {
    use Code::*;
    let rules = json!([{ "alarm": "a", "add": 6 }]);
    let scaling = json!({ "min": 2, "max": 20, "rules": rules, "stabilise": { "out": "2m" } });
    let first = configured(scaling).knows("a", alarm(0)).at(0);
    let held = first.expect(None, Outcome::Wait, &[ScaleOut, Stabilising]);
    assert_eq!(
        held.decision.reasons[1].message,
        "service prod/web stays at 4: alarm `a` wants 10, `stabilise` lets 4 stand"
    );
    let mut look = first.with(|facts| facts.memory = held.memory).at(60);
    let held = look.expect(None, Outcome::Wait, &[ScaleOut, Stabilising]);
    look = look.with(|facts| facts.memory = held.memory).at(120);
    look.expect(Some(10), Outcome::Act, &[ScaleOut, ScaleOut]);

    let scaling = json!({ "min": 2, "max": 20, "rules": rules, "limit": { "out": { "tasks": 4, "per": "10m" } }, "cooldown": { "out": "0s" } });
    let first = configured(scaling).knows("a", alarm(0)).at(0);
    let cut = first.expect(Some(8), Outcome::Act, &[ScaleOut, ScaleOut]);
    assert_eq!(
        cut.decision.reasons[1].message,
        "service prod/web goes from 4 to 8 tasks: alarm `a` wants 10, `limit` lets 8 stand"
    );
    let next = first
        .tasks(8)
        .with(|facts| facts.memory = settle(cut.before_call()))
        .at(60);
    next.expect(None, Outcome::Wait, &[ScaleOut, RateLimited]);
    next.at(600).expect(Some(12), Outcome::Act, &[ScaleOut, ScaleOut]);
}

#[test]
fn missing_data_does_not_begin_a_window_anew() {
    let rules = json!([{ "alarm": "a", "add": -1 }]);
    let scaling = json!({ "min": 2, "max": 20, "rules": rules, "stabilise": { "in": "5m" } });
    let mut look = configured(scaling);
    for (seconds, value, to) in [
        (0, AlarmValue::Alarm, None),
        (60, AlarmValue::Alarm, None),
        (120, AlarmValue::InsufficientData, None),
        (180, AlarmValue::Alarm, None),
        (299, AlarmValue::Alarm, None),
        (300, AlarmValue::Alarm, Some(3)),
    ] {
        look = look.knows("a", state(value, seconds)).at(seconds);
        let decided = look.decide();
        assert_eq!(set_by(&decided), to, "at {seconds}: {:?}", decided.decision.reasons);
        look.facts.memory = decided.memory;
    }
}
