//! The values of a backtest: `time,<alarm or queue>,…`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use csv::{ReaderBuilder, StringRecord, Trim};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use wharfinger_core::config::{Rule, Scaling};
use wharfinger_core::event::{parse_time, time_from_json};
use wharfinger_core::scaling::backtest::Row;

use crate::document::nearest;
use crate::input;
use crate::output::warning;

/// The column of the times.
const TIME: &str = "time";

/// What a file of values says.
#[derive(Debug, PartialEq)]
pub(super) struct Metrics {
    /// What the file is called in messages.
    name: String,
    /// The names of the columns besides the time, in their order.
    pub(super) columns: Vec<String>,
    /// A row per line.
    pub(super) rows: Vec<Row>,
}

impl Metrics {
    /// Reads a file.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let name = if file.as_os_str() == "-" {
            "<stdin>".to_owned()
        } else {
            file.display().to_string()
        };
        Self::parse(name, &input::text(file)?)
    }

    /// Reads the text of a file of this name.
    fn parse(name: String, text: &str) -> anyhow::Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| broken(&name, text, &error))?;
        let columns = columns(header).with_context(|| format!("{name}:1"))?;
        let mut rows: Vec<Row> = Vec::new();
        let mut newest: Option<(Timestamp, usize)> = None;
        for record in reader.records() {
            let record = record.map_err(|error| broken(&name, text, &error))?;
            let at = |column: usize, what: &str| {
                format!(
                    "{name}:{}: column {} (`{what}`)",
                    line(text, record.position()),
                    column + 1
                )
            };
            let time = time(&record[0]).with_context(|| at(0, TIME))?;
            let here = line(text, record.position());
            match newest {
                Some((before, _)) if time < before => {
                    bail!(
                        "{}: `{time}` is before the line above: sort the lines by time",
                        at(0, TIME)
                    )
                }
                Some((before, there)) if time == before => bail!(
                    "{}: `{time}` is the time of line {there} too: one line per time, so put what both say into one",
                    at(0, TIME)
                ),
                _ => newest = Some((time, here)),
            }
            let mut values = BTreeMap::new();
            for ((i, cell), column) in record.iter().enumerate().skip(1).zip(&columns) {
                values.insert(column.clone(), value(cell).with_context(|| at(i, column))?);
            }
            rows.push(Row { time, values });
        }
        Ok(Self { name, columns, rows })
    }

    /// The usual time between two lines: the median.
    pub(super) fn step(&self) -> Option<SignedDuration> {
        let steps = self.rows.windows(2);
        let mut steps: Vec<_> = steps.map(|pair| pair[1].time.duration_since(pair[0].time)).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied()
    }

    /// Whether every rule has its column; what no rule names is told.
    pub(super) fn fit(&self, scaling: &Scaling) -> anyhow::Result<()> {
        let named = |rule: &Rule| match rule {
            Rule::Alarm(rule) => ("alarm", rule.alarm.clone()),
            Rule::Queue(rule) => ("queue", rule.queue.clone()),
        };
        let wanted: BTreeSet<_> = scaling.rules.iter().map(named).collect();
        let unused = self
            .columns
            .iter()
            .filter(|c| !wanted.iter().any(|(_, name)| name == *c));
        let unused: Vec<_> = unused.map(String::as_str).collect();
        for column in &unused {
            warning(format_args!(
                "{}: no rule names `{column}`: this column changes nothing",
                self.name
            ));
        }
        let lacks = |(kind, name): &(&str, String)| {
            let near = nearest(name, &unused).map_or_else(String::new, |near| format!(" (there is `{near}`)"));
            format!("the {kind} `{name}`{near}")
        };
        let missing = wanted.iter().filter(|(_, name)| !self.columns.contains(name));
        let missing: Vec<_> = missing.map(lacks).collect();
        if !missing.is_empty() {
            bail!(
                "{} has no column for {}: what its rule would do cannot be told; give it one, of empty cells where there \
                 is no data",
                self.name,
                missing.join(", ")
            );
        }
        self.countable(scaling)
    }

    /// Whether each queue has a number of messages.
    fn countable(&self, scaling: &Scaling) -> anyhow::Result<()> {
        for rule in &scaling.rules {
            let Rule::Queue(rule) = rule else { continue };
            let negative = |row: &&Row| row.values[&rule.queue].is_some_and(|messages| messages < 0.0);
            if let Some(row) = self.rows.iter().find(negative) {
                bail!(
                    "{}: at {}: the queue `{}` has fewer than no messages",
                    self.name,
                    row.time,
                    rule.queue
                );
            }
        }
        Ok(())
    }
}

/// The names of the columns besides the time.
fn columns(header: &StringRecord) -> anyhow::Result<Vec<String>> {
    if !header.get(0).is_some_and(|first| first.eq_ignore_ascii_case(TIME)) {
        let found = header.iter().collect::<Vec<_>>().join(",");
        bail!("column 1: the first line must be `time,<alarm or queue>,…`, and is `{found}`");
    }
    let mut columns: Vec<String> = Vec::new();
    for (i, column) in header.iter().enumerate().skip(1) {
        if column.is_empty() {
            bail!("column {}: it has no name", i + 1);
        }
        if columns.iter().any(|known| known == column) {
            bail!("column {}: `{column}` is there twice", i + 1);
        }
        columns.push(column.to_owned());
    }
    if columns.is_empty() {
        bail!("column 1: there is no column besides `time`: add one for each alarm and queue that a rule names");
    }
    Ok(columns)
}

/// The number of a record's line. The reader counts empty lines before a record as part of it.
fn line(text: &str, position: Option<&csv::Position>) -> usize {
    let begin = position
        .and_then(|at| usize::try_from(at.byte()).ok())
        .unwrap_or_default();
    let (before, rest) = text.split_at_checked(begin).unwrap_or(("", text));
    let empty = &rest[..rest.len() - rest.trim_start_matches(['\r', '\n']).len()];
    before.matches('\n').chain(empty.matches('\n')).count() + 1
}

/// What makes the text no CSV.
fn broken(name: &str, text: &str, error: &csv::Error) -> anyhow::Error {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = line(text, pos.as_ref());
            let column = expected_len.min(len) + 1;
            anyhow!("{name}:{line}: column {column}: the line has {len} cells, the first line {expected_len}")
        }
        _ => anyhow!("{name}: {error}"),
    }
}

/// A time: RFC 3339, ISO 8601 without an offset, which is UTC, or seconds since the epoch.
fn time(cell: &str) -> anyhow::Result<Timestamp> {
    let seconds = || time_from_json(&serde_json::Value::Number(cell.parse().ok()?));
    let civil = || cell.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    let found = parse_time(cell).or_else(seconds);
    found
        .or_else(|| civil().map(|zoned| zoned.timestamp()))
        .with_context(|| {
            format!("`{cell}` is no time: write it like 2026-01-31T09:30:00Z, or as seconds since the epoch")
        })
}

/// A value; an empty cell is missing data.
fn value(cell: &str) -> anyhow::Result<Option<f64>> {
    if cell.is_empty() {
        return Ok(None);
    }
    let number = cell.parse().ok().filter(|number: &f64| number.is_finite());
    let number =
        number.with_context(|| format!("`{cell}` is no number; leave the cell empty where there is no data"))?;
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Metrics {
        /// What another test has in place of a file.
        pub(in super::super) fn of(columns: Vec<String>, rows: Vec<Row>) -> Self {
            let name = "m.csv".to_owned();
            Self { name, columns, rows }
        }
    }

    fn read(text: &str) -> Result<Metrics, String> {
        Metrics::parse("m.csv".to_owned(), text).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn times_are_read_in_every_way_that_people_write_them() {
        let at = "2026-01-31T09:30:00Z".parse::<Timestamp>().unwrap();
        for cell in [
            "2026-01-31T09:30:00Z",
            "2026-01-31T10:30:00+01:00",
            "2026-01-31T10:30:00.000+0100",
            "2026-01-31T09:30:00",
            "2026-01-31 09:30",
            "1769851800",
            "1769851800.0",
        ] {
            assert_eq!(time(cell).unwrap(), at, "{cell}");
        }
        for cell in ["", "noon", "1769851800000000", "2026-13-01T00:00:00Z"] {
            assert!(time(cell).is_err(), "{cell}");
        }
    }

    #[test]
    fn cells_are_values_or_missing() {
        let metrics = read("\u{feff}Time, cpu ,\"the, queue\"\r\n0,1.5,\r\n\r\n60, ,2e2\r\n").unwrap();
        assert_eq!(metrics.columns, ["cpu", "the, queue"]);
        let values: Vec<Vec<_>> = metrics
            .rows
            .iter()
            .map(|row| row.values.values().copied().collect())
            .collect();
        assert_eq!(values, [[Some(1.5), None], [None, Some(200.0)]]);
        assert_eq!(read("time,cpu\n").unwrap().rows, []);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_column() {
        for (text, told) in [
            (
                "",
                "m.csv:1: column 1: the first line must be `time,<alarm or queue>,…`, and is ``",
            ),
            ("cpu,time\n", "m.csv:1: column 1: the first line must be"),
            ("time\n", "m.csv:1: column 1: there is no column besides `time`"),
            ("time,a,\n", "m.csv:1: column 3: it has no name"),
            ("time,a,a\n", "m.csv:1: column 3: `a` is there twice"),
            (
                "time,a\n0,1\n60\n",
                "m.csv:3: column 2: the line has 1 cells, the first line 2",
            ),
            (
                "time,a\n0,1,2\n",
                "m.csv:2: column 3: the line has 3 cells, the first line 2",
            ),
            (
                "time,a\n0,1\n\nnoon,1\n",
                "m.csv:4: column 1 (`time`): `noon` is no time",
            ),
            ("time,a,b\n0,1,x\n", "m.csv:2: column 3 (`b`): `x` is no number"),
            ("time,a\n0,NaN\n", "m.csv:2: column 2 (`a`): `NaN` is no number"),
            (
                "time,a\n60,1\n0,1\n",
                "m.csv:3: column 1 (`time`): `1970-01-01T00:00:00Z` is before the line above",
            ),
            (
                "time,a\n60,1\n\n1970-01-01T00:01Z,3\n",
                "m.csv:4: column 1 (`time`): `1970-01-01T00:01:00Z` is the time of line 2 too: one line per time",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(told), "{text:?}: {error}");
        }
    }
}
