//! The table of retention, as the code makes it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::expect_file;
use jiff::{SignedDuration, Timestamp};
use wharfinger_core::config::Keep;
use wharfinger_core::storage::SnapshotState;
use wharfinger_core::storage::retention::{Point, Why, prune};

use crate::pages::Page;

/// One each six hours from New Year to the evening of 31 March.
fn winter() -> Vec<Point> {
    let mut at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let end: Timestamp = "2026-03-31T18:00:00Z".parse().unwrap();
    let mut points = Vec::new();
    while at <= end {
        points.push(Point {
            id: at.strftime("%a %Y-%m-%d %H:%M").to_string(),
            at,
            state: SnapshotState::Completed,
        });
        at += SignedDuration::from_hours(6);
    }
    points
}

#[test]
fn the_table_of_retention_is_what_is_done() {
    let (page, points) = (Page::of("docs/storage.md"), winter());
    let written = "keep: { last: 3, daily: 5, weekly: 4, monthly: 12 }";
    assert!(page.text.contains(written), "the page tells of another `keep`");
    let keep: Keep = serde_json::from_str(r#"{ "last": 3, "daily": 5, "weekly": 4, "monthly": 12 }"#).unwrap();
    let plan = prune(&keep, &points, &BTreeSet::new());
    let lines = [Why::Last, Why::Daily, Why::Weekly, Why::Monthly];
    let names: Vec<_> = lines.iter().map(|line| format!("`{}`", line.as_str())).collect();
    let mut table = format!(
        "| of {} snapshots {} stay | {} |\n",
        points.len(),
        plan.kept.len(),
        names.join(" | ")
    );
    table.push_str("|---|---|---|---|---|\n");
    for point in points.iter().rev() {
        let Some(why) = plan.kept.get(&point.id) else { continue };
        let marks: Vec<_> = lines
            .iter()
            .map(|line| if why.contains(line) { "x" } else { " " })
            .collect();
        writeln!(table, "| {} | {} |", point.id, marks.join(" | ")).unwrap();
    }
    let (before, rest) = page.text.split_once("<!-- retention -->").unwrap();
    let (_, after) = rest.split_once("<!-- /retention -->").unwrap();
    expect_file!["../../../docs/storage.md"].assert_eq(&format!(
        "{before}<!-- retention -->\n{table}<!-- /retention -->{after}"
    ));
}
