//! The rows in which something changed, and what it all came to.

use std::collections::BTreeSet;
use std::io::{self, Write};

use jiff::SignedDuration;
use wharfinger_core::report::Code;
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
            let codes: BTreeSet<Code> = row.reasons.iter().map(|reason| reason.code).collect();
            if row.desired == count && codes == said {
                quiet += 1;
                continue;
            }
            line(out, width, count, &said, row)?;
            (count, said) = (row.desired, codes);
        }
        if quiet > 0 {
            writeln!(
                out,
                "{DIM}and {quiet} row(s) in which neither the count nor a reason changed{DIM:#}"
            )?;
        }
        match Summary::of(self.start, &self.rows) {
            Some(summary) => writeln!(out, "{summary}"),
            None => writeln!(out, "there are no rows"),
        }
    }
}

/// One row: of one in which the count changed every reason, of another the first that is new, or the last, which decided.
fn line(out: &mut dyn Write, width: usize, before: u32, said: &BTreeSet<Code>, row: &Moment) -> io::Result<()> {
    let changed = before != row.desired;
    let (style, tasks) = match row.desired.cmp(&before) {
        std::cmp::Ordering::Greater => (GREEN, format!("{before} -> {}", row.desired)),
        std::cmp::Ordering::Less => (YELLOW, format!("{before} -> {}", row.desired)),
        std::cmp::Ordering::Equal => (DIM, before.to_string()),
    };
    let new = row.reasons.iter().find(|reason| !said.contains(&reason.code));
    let told = match new.or(row.reasons.last()) {
        Some(reason) if !changed => std::slice::from_ref(reason),
        _ => &row.reasons,
    };
    let mut lead = format!("{:width$}  {style}{tasks:8}{style:#}", row.time.to_string());
    if told.is_empty() {
        return writeln!(out, "{lead}");
    }
    for reason in told {
        writeln!(out, "{lead}  {}: {}", reason.code, reason.message)?;
        lead = " ".repeat(width + 10);
    }
    Ok(())
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
        let counts: Vec<_> = std::iter::once(start)
            .chain(rows.iter().map(|row| row.desired))
            .collect();
        let steps = counts.windows(2).map(|pair| pair[1].cmp(&pair[0]));
        let steps: Vec<_> = steps.filter(|step| step.is_ne()).collect();
        let spent = rows.windows(2).map(|pair| {
            let lasted = pair[1].time.duration_since(pair[0].time).as_secs();
            lasted.saturating_mul(pair[0].desired.into())
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
            "in {:#}: {changes} change(s), {reversals} reversal(s), {least} to {most} tasks, {}.{} task-hours",
            self.lasted,
            hours / 10,
            hours % 10
        )
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn check(start: u32, counts: &[u32], expected: Option<&str>) {
        let row = |(i, desired): (i64, &u32)| Moment {
            time: Timestamp::from_second(i * 1_800).unwrap(),
            desired: *desired,
            reasons: Vec::new(),
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
            Some("in 0s: 0 change(s), 0 reversal(s), 2 to 2 tasks, 0.0 task-hours"),
        );
        check(
            2,
            &[4, 4, 6, 5],
            Some("in 1h 30m: 3 change(s), 1 reversal(s), 2 to 6 tasks, 7.0 task-hours"),
        );
        check(
            1,
            &[1, 2, 1, 2, 2],
            Some("in 2h: 3 change(s), 2 reversal(s), 1 to 2 tasks, 3.0 task-hours"),
        );
    }
}
