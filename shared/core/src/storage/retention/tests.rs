use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::{Plan, Point, Why, prune};
use crate::config::Keep;
use crate::storage::SnapshotState;

fn keep(json: serde_json::Value) -> Keep {
    serde_json::from_value(json).unwrap()
}

fn point(id: impl Into<String>, at: &str) -> Point {
    Point {
        id: id.into(),
        at: at.parse().unwrap(),
        state: SnapshotState::Completed,
    }
}

/// Completed snapshots of these moments; each is its own id.
fn points(times: &[&str]) -> Vec<Point> {
    times.iter().map(|at| point(*at, at)).collect()
}

fn lines(plan: &Plan) -> String {
    let mut told = String::new();
    for (id, why) in plan.kept.iter().rev() {
        let why: Vec<_> = why.iter().map(|why| why.as_str()).collect();
        writeln!(told, "{id} {}", why.join(", ")).unwrap();
    }
    write!(told, "{} pruned", plan.pruned.len()).unwrap();
    told
}

#[expect(clippy::needless_pass_by_value, reason = "the cases read better so")]
fn check(rule: serde_json::Value, times: &[&str], held: &[&str], expected: Expect) {
    let held = held.iter().map(|id| (*id).to_owned()).collect();
    expected.assert_eq(&lines(&prune(&keep(rule), &points(times), &held)));
}

/// One each six hours from the first of January to the end of March.
fn winter() -> Vec<String> {
    let mut at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let end: Timestamp = "2026-03-31T18:00:00Z".parse().unwrap();
    let mut times = Vec::new();
    while at <= end {
        times.push(at.to_string());
        at += SignedDuration::from_hours(6);
    }
    times
}

#[test]
fn each_line_keeps_the_newest_of_its_periods() {
    let winter = winter();
    let winter: Vec<_> = winter.iter().map(String::as_str).collect();
    check(
        json!({ "last": 3, "hourly": 2, "daily": 4, "weekly": 3, "monthly": 12 }),
        &winter,
        &[],
        expect![[r#"
            2026-03-31T18:00:00Z newest, last, hourly, daily, weekly, monthly
            2026-03-31T12:00:00Z last, hourly
            2026-03-31T06:00:00Z last
            2026-03-30T18:00:00Z daily
            2026-03-29T18:00:00Z daily, weekly
            2026-03-28T18:00:00Z daily
            2026-03-22T18:00:00Z weekly
            2026-02-28T18:00:00Z monthly
            2026-01-31T18:00:00Z monthly
            351 pruned"#]],
    );
}

#[test]
fn a_period_without_one_costs_nothing() {
    check(
        json!({ "daily": 2 }),
        &["2026-03-01T00:00:00Z", "2026-03-01T23:59:59Z", "2026-03-20T00:00:00Z"],
        &[],
        expect![[r#"
            2026-03-20T00:00:00Z newest, daily
            2026-03-01T23:59:59Z daily
            1 pruned"#]],
    );
}

#[test]
fn a_week_may_be_of_two_years() {
    // 2026-01-01 is a Thursday: its week began on Monday, 2025-12-29. 2024-12-30 is of the first week of 2025.
    check(
        json!({ "weekly": 3 }),
        &[
            "2025-12-28T12:00:00Z",
            "2025-12-30T12:00:00Z",
            "2026-01-02T12:00:00Z",
            "2024-12-30T12:00:00Z",
            "2025-01-02T12:00:00Z",
        ],
        &[],
        expect![[r#"
            2026-01-02T12:00:00Z newest, weekly
            2025-12-28T12:00:00Z weekly
            2025-01-02T12:00:00Z weekly
            2 pruned"#]],
    );
}

#[test]
fn what_is_held_and_the_newest_stay() {
    check(
        json!({ "monthly": 1 }),
        &["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"],
        &["2026-01-01T00:00:00Z", "another"],
        expect![[r#"
            2026-01-03T00:00:00Z newest, monthly
            2026-01-01T00:00:00Z held
            1 pruned"#]],
    );
}

#[test]
fn without_a_line_all_are_kept() {
    check(
        json!({}),
        &["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"],
        &[],
        expect![[r#"
            2026-01-02T00:00:00Z newest, unlimited
            2026-01-01T00:00:00Z unlimited
            0 pruned"#]],
    );
}

#[test]
fn only_what_is_completed_takes_part() {
    let mut all = points(&["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]);
    for state in [SnapshotState::Pending, SnapshotState::Error, SnapshotState::Other] {
        all[2].state = state;
        let plan = prune(&keep(json!({ "last": 1 })), &all, &BTreeSet::new());
        let expected = "2026-01-02T00:00:00Z newest, last\n1 pruned";
        assert_eq!(lines(&plan), expected, "{state:?}");
    }
}

#[test]
fn of_one_moment_the_greater_id_is_newer() {
    let all = [
        point("b", "2026-01-01T00:00:00Z"),
        point("c", "2026-01-01T00:00:00Z"),
        point("a", "2026-01-01T00:00:00Z"),
    ];
    let plan = prune(&keep(json!({ "last": 2, "daily": 1 })), &all, &BTreeSet::new());
    let kept = BTreeMap::from([
        ("b".to_owned(), vec![Why::Last]),
        ("c".to_owned(), vec![Why::Newest, Why::Last, Why::Daily]),
    ]);
    assert_eq!((plan.kept, plan.pruned), (kept, BTreeSet::from(["a".to_owned()])));
}

fn any_keep() -> impl Strategy<Value = Keep> {
    let line = || 0_u32..6;
    (line(), line(), line(), line(), line()).prop_map(|(last, hourly, daily, weekly, monthly)| Keep {
        last,
        hourly,
        daily,
        weekly,
        monthly,
    })
}

fn any_points() -> impl Strategy<Value = Vec<Point>> {
    // Three hours, three days and a year: so that hours, days, weeks and months have several.
    let second = prop_oneof![0_i64..10_800, 0_i64..259_200, 0_i64..31_536_000];
    let state = prop_oneof![
        6 => Just(SnapshotState::Completed),
        1 => Just(SnapshotState::Pending),
        1 => Just(SnapshotState::Error),
        1 => Just(SnapshotState::Other),
    ];
    let points = proptest::collection::vec((second, state), 0..40);
    points.prop_map(|points| {
        let point = |(n, (second, state))| Point {
            id: format!("snap-{n:02}"),
            at: Timestamp::from_second(1_767_225_600 + second).unwrap(),
            state,
        };
        points.into_iter().enumerate().map(point).collect()
    })
}

fn some_of(points: &[Point], bits: u64) -> BTreeSet<String> {
    let chosen = points.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
    chosen.map(|(_, point)| point.id.clone()).collect()
}

fn completed(points: &[Point]) -> impl Iterator<Item = &Point> {
    points.iter().filter(|point| point.state == SnapshotState::Completed)
}

proptest! {
    #[test]
    fn each_completed_one_is_kept_or_pruned(rule in any_keep(), all in any_points(), bits: u64) {
        let plan = prune(&rule, &all, &some_of(&all, bits));
        for point in &all {
            let told = (plan.kept.contains_key(&point.id), plan.pruned.contains(&point.id));
            let done = point.state == SnapshotState::Completed;
            prop_assert!(if done { told.0 != told.1 } else { told == (false, false) }, "{:?}", point);
        }
    }

    #[test]
    fn the_newest_and_what_is_held_stay(rule in any_keep(), all in any_points(), bits: u64) {
        let held = some_of(&all, bits);
        let plan = prune(&rule, &all, &held);
        prop_assert!(plan.pruned.is_disjoint(&held));
        if let Some(newest) = completed(&all).max_by_key(|point| (point.at, &point.id)) {
            prop_assert!(plan.kept[&newest.id].contains(&Why::Newest));
        }
    }

    #[test]
    fn what_is_left_is_kept_by_the_next(rule in any_keep(), all in any_points(), bits: u64) {
        let held = some_of(&all, bits);
        let first = prune(&rule, &all, &held);
        let left: Vec<_> = all.iter().filter(|point| !first.pruned.contains(&point.id)).cloned().collect();
        let second = prune(&rule, &left, &held);
        prop_assert_eq!(&second.kept, &first.kept);
        prop_assert!(second.pruned.is_empty());
    }

    #[test]
    fn a_crash_within_a_pruning_changes_nothing(rule in any_keep(), all in any_points(), bits: u64, gone: u64) {
        let held = some_of(&all, bits);
        let first = prune(&rule, &all, &held);
        let gone = some_of(&all, gone);
        let is_left = |point: &&Point| !(first.pruned.contains(&point.id) && gone.contains(&point.id));
        let left: Vec<_> = all.iter().filter(is_left).cloned().collect();
        prop_assert_eq!(prune(&rule, &left, &held).kept, first.kept);
    }

    #[test]
    fn the_order_does_not_matter(
        rule in any_keep(),
        (all, shuffled) in any_points().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        bits: u64,
    ) {
        let held = some_of(&all, bits);
        prop_assert_eq!(prune(&rule, &all, &held), prune(&rule, &shuffled, &held));
    }

    #[test]
    fn no_more_are_kept_than_the_lines_say(rule in any_keep(), all in any_points(), bits: u64) {
        prop_assume!(!rule.is_unlimited());
        let held = some_of(&all, bits);
        let lines = rule.last + rule.hourly + rule.daily + rule.weekly + rule.monthly;
        let most = usize::try_from(lines).unwrap() + held.len() + 1;
        prop_assert!(prune(&rule, &all, &held).kept.len() <= most);
    }

    #[test]
    fn one_more_that_is_held_prunes_no_more(rule in any_keep(), all in any_points(), bits: u64, more: u64) {
        let (held, more) = (some_of(&all, bits), some_of(&all, bits | more));
        prop_assert!(prune(&rule, &all, &more).pruned.is_subset(&prune(&rule, &all, &held).pruned));
    }

    #[test]
    fn a_newer_one_never_brings_back_what_went(rule in any_keep(), all in any_points()) {
        // What was pruned of yesterday's would be pruned of today's: nothing is removed too soon.
        let (Some(newest), held) = (completed(&all).max_by_key(|point| (point.at, &point.id)), BTreeSet::new()) else {
            return Ok(());
        };
        let before: Vec<_> = all.iter().filter(|point| point.id != newest.id).cloned().collect();
        let (then, now) = (prune(&rule, &before, &held), prune(&rule, &all, &held));
        prop_assert!(then.pruned.is_subset(&now.pruned));
    }
}
