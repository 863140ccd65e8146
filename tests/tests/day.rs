//! A day of one service: what the rules of scaling are worth, and that they keep what they promise on it.
//! `UPDATE_EXPECT=1` writes the table and the picture of docs/scaling.md anew.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is wrong")]

use std::fs;
use std::path::Path;

use expect_test::expect_file;
use wharfinger_tests::day::{CHARTED, Change, DEPLOYMENT, Day, MAX, MIN, MINUTES, Tally, Who, chart, day, rows, table};

/// The days whose means the page has.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;

/// The day of the picture.
const PICTURED: u64 = 1;

/// Cooldowns of both configurations, in seconds.
const OUT: i64 = 60;
const IN: i64 = 300;

fn days(who: Who) -> impl Iterator<Item = (u64, Day)> {
    SEEDS.map(move |seed| (seed, day(seed, who).unwrap()))
}

#[test]
fn the_page_has_the_table_of_these_days() {
    let table = table(&rows(SEEDS).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scaling.md");
    let page = fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- day -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- /day -->").unwrap();
    let expected = format!("{before}<!-- day -->\n{table}<!-- /day -->{after}");
    expect_file!["../../docs/scaling.md"].assert_eq(&expected);
}

#[test]
fn the_page_has_the_picture_of_a_day() {
    let days = CHARTED.map(|who| day(PICTURED, who).unwrap());
    expect_file!["../../docs/scaling-day.svg"].assert_eq(&chart::svg(&days));
}

#[test]
fn the_same_seed_is_the_same_day() {
    for who in Who::ALL {
        assert_eq!(day(3, who).unwrap(), day(3, who).unwrap(), "{who:?}");
        assert_eq!(day(3, who).unwrap().load, day(3, Who::Nobody).unwrap().load, "{who:?}");
    }
    assert_ne!(day(3, Who::Nobody).unwrap().load, day(4, Who::Nobody).unwrap().load);
}

#[test]
fn the_count_stays_within_its_bounds() {
    for who in Who::ALL {
        for (seed, day) in days(who) {
            assert_eq!(day.desired.len(), MINUTES as usize);
            let within = |count: &u32| (MIN..=MAX).contains(count);
            assert!(day.desired.iter().all(within), "{who:?}, seed {seed}");
            assert!(
                day.changes.iter().all(|change| change.from != change.to),
                "{who:?}, seed {seed}"
            );
        }
    }
}

#[test]
fn the_rules_keep_their_cooldowns() {
    for who in [Who::Target, Who::Steps] {
        for (seed, day) in days(who) {
            let mut seen: Vec<&Change> = Vec::new();
            for change in &day.changes {
                let out = change.to > change.from;
                let counts = |before: &&&Change| !out || before.to > before.from;
                if let Some(before) = seen.iter().rev().find(counts) {
                    let since = change.at.duration_since(before.at).as_secs();
                    let cooldown = if out { OUT } else { IN };
                    assert!(since >= cooldown, "{who:?}, seed {seed}: {change:?} after {before:?}");
                }
                seen.push(change);
            }
            assert!(seen.len() > 10, "{who:?}, seed {seed}: nothing is tested");
        }
    }
}

#[test]
fn a_deployment_takes_no_task_away() {
    for who in [Who::Target, Who::Steps] {
        for (seed, day) in days(who) {
            // The last look at it may be a minute before its end.
            let begins = i64::from(DEPLOYMENT.start) * 60;
            let ends = i64::from(DEPLOYMENT.end - 1) * 60 + IN;
            let fewer = day.changes.iter().find(|change| {
                let at = change.at.as_second();
                change.to < change.from && (begins..ends).contains(&at)
            });
            assert_eq!(fewer, None, "{who:?}, seed {seed}");
        }
    }
}

#[test]
fn the_rules_are_not_worse_than_one_written_by_hand() {
    for (seed, by_hand) in days(Who::EachMinute) {
        let by_hand = Tally::of(&by_hand);
        for who in [Who::Target, Who::Steps] {
            let ours = Tally::of(&day(seed, who).unwrap());
            assert!(
                ours.bad_minutes <= by_hand.bad_minutes && ours.unserved <= by_hand.unserved,
                "{who:?}, seed {seed}: {ours:?}, by hand {by_hand:?}"
            );
        }
    }
}
