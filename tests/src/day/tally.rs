//! What a day was worth.

use std::fmt::Write;

use super::{BAD, Day, Who, day};

/// What is counted of a day, or the mean of several.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// How many hours of a task are paid for.
    pub task_hours: f64,
    /// In how many minutes the tasks had more to do than [`BAD`].
    pub bad_minutes: f64,
    /// How much of the load was not served, in percent.
    pub unserved: f64,
    /// How often the count was changed.
    pub changes: f64,
    /// How often a change took back the direction of the one before.
    pub reversals: f64,
}

impl Tally {
    /// What is counted of a day.
    pub fn of(day: &Day) -> Self {
        let paid: u32 = day.samples.iter().map(|sample| sample.paid).sum();
        let bad = day.samples.iter().filter(|sample| sample.demand > BAD).count();
        let unserved: f64 = day.samples.iter().map(|sample| sample.unserved).sum();
        let rises: Vec<_> = day.changes.iter().map(|change| change.to > change.from).collect();
        let reversals = rises.windows(2).filter(|pair| pair.first() != pair.last()).count();
        Self {
            task_hours: f64::from(paid) / 60.0,
            bad_minutes: float(bad),
            unserved: 100.0 * unserved / day.load.iter().sum::<f64>(),
            changes: float(rises.len()),
            reversals: float(reversals),
        }
    }

    fn mean(all: &[Self]) -> Self {
        let mean = |value: fn(&Self) -> f64| all.iter().map(value).sum::<f64>() / float(all.len().max(1));
        Self {
            task_hours: mean(|t| t.task_hours),
            bad_minutes: mean(|t| t.bad_minutes),
            unserved: mean(|t| t.unserved),
            changes: mean(|t| t.changes),
            reversals: mean(|t| t.reversals),
        }
    }
}

/// One line of the table.
pub type Row = (Who, Tally);

/// The means of these days, of everyone.
///
/// # Errors
/// When a configuration is none.
pub fn rows(seeds: std::ops::RangeInclusive<u64>) -> serde_json::Result<Vec<Row>> {
    let mean = |who: Who| {
        let days: Result<Vec<_>, _> = seeds.clone().map(|seed| Ok(Tally::of(&day(seed, who)?))).collect();
        Ok((who, Tally::mean(&days?)))
    };
    Who::ALL.into_iter().map(mean).collect()
}

/// The table, in Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| who | task-hours | minutes above 80 % | not served | changes | reversals |\n|---|---:|---:|---:|---:|---:|\n",
    );
    for (who, tally) in rows {
        let Tally {
            task_hours,
            bad_minutes,
            unserved,
            changes,
            reversals,
        } = tally;
        let _ = writeln!(
            text,
            "| {} | {task_hours:.0} | {bad_minutes:.0} | {unserved:.2} % | {changes:.0} | {reversals:.0} |",
            who.name()
        );
    }
    text
}

fn float(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}
