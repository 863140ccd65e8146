//! The rows in which something changed, and what it all came to.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use wharfinger_core::report::{Code, Reason, counted};
use wharfinger_core::scaling::backtest::Moment;

use super::Report;
use crate::output::{BOLD, DIM, GREEN, Show, YELLOW};

impl Show for Report {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = self
            .rows
            .iter()
            .map(|row| row.time.to_string().len())
            .max()
            .unwrap_or_default();
        writeln!(out, "{BOLD}{:width$}  tasks     why{BOLD:#}", "time")?;
        let (mut count, mut said, mut quiet) = (self.start, BTreeSet::new(), 0);
        for row in &self.rows {
            for change in &row.between {
                let reasons: Vec<_> = change.reasons.iter().collect();
                line(out, width, change.time, (change.from, change.to), &reasons)?;
                count = change.to;
            }
            let codes: BTreeSet<Code> = row.own().iter().map(|reason| reason.code).collect();
            if row.desired == count && codes == said && row.between.is_empty() {
                quiet += 1;
                continue;
            }
            let reasons = told(count, &said, row);
            line(out, width, row.time, (count, row.desired), &reasons)?;
            (count, said) = (row.desired, codes);
        }
        if quiet > 0 {
            writeln!(
                out,
                "{DIM}and {} in which neither the count nor a reason changed{DIM:#}",
                counted(quiet, "row")
            )?;
        }
        match Summary::of(self.start, &self.rows) {
            Some(summary) => writeln!(out, "{summary}"),
            None => writeln!(out, "there are no rows"),
        }
    }
}

/// Of a row in which the count changed every reason; of another the last, which decided, and before it the first that is
/// new.
fn told<'a>(before: u32, said: &BTreeSet<Code>, row: &'a Moment) -> Vec<&'a Reason> {
    let own = row.own();
    if before != row.desired {
        return own.iter().collect();
    }
    let Some((last, others)) = own.split_last() else {
        return Vec::new();
    };
    let new = others.iter().find(|reason| !said.contains(&reason.code));
    new.into_iter().chain([last]).collect()
}

fn line(
    out: &mut dyn Write,
    width: usize,
    time: Timestamp,
    (before, after): (u32, u32),
    told: &[&Reason],
) -> io::Result<()> {
    let (style, tasks) = match after.cmp(&before) {
        Ordering::Greater => (GREEN, format!("{before} -> {after}")),
        Ordering::Less => (YELLOW, format!("{before} -> {after}")),
        Ordering::Equal => (DIM, before.to_string()),
    };
    let mut lead = format!("{:width$}  {style}{tasks:8}{style:#}", time.to_string());
    if told.is_empty() {
        return writeln!(out, "{lead}");
    }
    for reason in told {
        writeln!(out, "{lead}  {}: {}", reason.code, reason.message)?;
        lead = " ".repeat(width + 10);
    }
    Ok(())
}

/// The count from each of its times on: of the rows, and of the changes between them.
pub(super) fn course(rows: &[Moment]) -> impl Iterator<Item = (Timestamp, u32)> {
    rows.iter().flat_map(|row| {
        let between = row.between.iter().map(|change| (change.time, change.to));
        between.chain([(row.time, row.desired)])
    })
}

/// What it all came to.
struct Summary {
    lasted: SignedDuration,
    changes: usize,
    reversals: usize,
    least: u32,
    most: u32,
    /// Until the last row, of which nobody knows how long it lasts.
    task_seconds: i64,
}

impl Summary {
    fn of(start: u32, rows: &[Moment]) -> Option<Self> {
        let (first, last) = (rows.first()?, rows.last()?);
        let course: Vec<_> = course(rows).collect();
        let counts: Vec<_> = std::iter::once(start)
            .chain(course.iter().map(|(_, count)| *count))
            .collect();
        let steps = counts.windows(2).map(|pair| pair[1].cmp(&pair[0]));
        let steps: Vec<_> = steps.filter(|step| step.is_ne()).collect();
        let spent = course.windows(2).map(|pair| {
            let lasted = pair[1].0.duration_since(pair[0].0).as_secs();
            lasted.saturating_mul(pair[0].1.into())
        });
        Some(Self {
            lasted: last.time.duration_since(first.time),
            changes: steps.len(),
            reversals: steps.windows(2).filter(|pair| pair[0] != pair[1]).count(),
            least: counts.iter().copied().min()?,
            most: counts.iter().copied().max()?,
            task_seconds: spent.fold(0, i64::saturating_add),
        })
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            changes,
            reversals,
            least,
            most,
            ..
        } = self;
        // In tenths, rounded.
        let hours = (self.task_seconds + 180) / 360;
        write!(
            f,
            "in {:#}: {}, {}, {least} to {most} tasks, {}.{} task-hours",
            self.lasted,
            counted(changes, "change"),
            counted(reversals, "reversal"),
            hours / 10,
            hours % 10
        )
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_core::scaling::backtest::Change;

    use super::*;

    fn check(start: u32, counts: &[u32], expected: Option<&str>) {
        let row = |(i, desired): (i64, &u32)| Moment {
            time: Timestamp::from_second(i * 1_800).unwrap(),
            desired: *desired,
            reasons: Vec::new(),
            between: Vec::new(),
        };
        let rows: Vec<_> = (0..).zip(counts).map(row).collect();
        let told = Summary::of(start, &rows).map(|summary| summary.to_string());
        assert_eq!(told.as_deref(), expected);
    }

    #[test]
    fn changes_reversals_and_task_hours_are_counted() {
        check(2, &[], None);
        check(
            2,
            &[2],
            Some("in 0s: 0 changes, 0 reversals, 2 to 2 tasks, 0.0 task-hours"),
        );
        check(
            2,
            &[4, 4, 6, 5],
            Some("in 1h 30m: 3 changes, 1 reversal, 2 to 6 tasks, 7.0 task-hours"),
        );
        check(
            1,
            &[1, 2, 1, 2, 2],
            Some("in 2h: 3 changes, 2 reversals, 1 to 2 tasks, 3.0 task-hours"),
        );
    }

    fn moment(second: i64, desired: u32, codes: &[Code], between: Vec<Change>) -> Moment {
        let own = codes.iter().map(|code| Reason::new(*code, "so"));
        let others: Vec<_> = between.iter().flat_map(|change| change.reasons.clone()).collect();
        Moment {
            time: Timestamp::from_second(second).unwrap(),
            desired,
            reasons: others.into_iter().chain(own).collect(),
            between,
        }
    }

    fn steps(from: i64, counts: &[u32]) -> Vec<Change> {
        let steps = (1..).zip(counts.windows(2));
        steps
            .map(|(i, pair)| Change {
                time: Timestamp::from_second(from + 60 * i).unwrap(),
                from: pair[0],
                to: pair[1],
                reasons: vec![Reason::new(Code::ScaleOut, "so")],
            })
            .collect()
    }

    #[test]
    fn what_changes_between_two_rows_counts_from_its_own_time() {
        let rows = [
            moment(0, 5, &[Code::ScaleOut], Vec::new()),
            moment(300, 20, &[Code::ScaleOut], steps(0, &[5, 8, 11, 14, 17])),
        ];
        assert_eq!(
            Summary::of(2, &rows).unwrap().to_string(),
            "in 5m: 6 changes, 0 reversals, 2 to 20 tasks, 0.9 task-hours"
        );
        let mut out = Vec::new();
        let report = Report {
            rows: rows.into(),
            start: 2,
        };
        report.text(&mut out).unwrap();
        let text = anstream::adapter::strip_bytes(&out).into_vec();
        let text = String::from_utf8(text).unwrap();
        let counts: Vec<_> = text.lines().filter(|line| line.contains(" -> ")).collect();
        assert_eq!(counts.len(), 6, "{text}");
        assert!(
            counts[3].starts_with("1970-01-01T00:03:00Z  11 -> 14  ScaleOut"),
            "{text}"
        );
    }

    #[test]
    fn a_row_that_changes_nothing_says_what_decided() {
        use Code::*;
        let quiet = |codes: &[Code], said: &[Code]| -> Vec<Code> {
            let row = moment(0, 5, codes, Vec::new());
            let said = said.iter().copied().collect();
            told(5, &said, &row).iter().map(|reason| reason.code).collect()
        };
        assert_eq!(quiet(&[ScaleIn, Stabilising], &[]), [ScaleIn, Stabilising]);
        assert_eq!(quiet(&[ScaleIn, Cooldown], &[ScaleIn, Stabilising]), [Cooldown]);
        assert_eq!(
            quiet(&[ScaleOut, AlarmNotActive, AlreadyAtMaxCapacity], &[ScaleOut]),
            [AlarmNotActive, AlreadyAtMaxCapacity]
        );
        assert_eq!(quiet(&[AlarmNotActive], &[ScaleIn, AlarmNotActive]), [AlarmNotActive]);
        assert_eq!(quiet(&[], &[ScaleIn]), []);
    }
}
