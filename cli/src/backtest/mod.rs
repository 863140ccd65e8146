//! `wharfinger backtest FILE TARGET --metrics CSV`: what the scaling rules would have done, offline.

mod alarms;
mod chart;
mod metrics;
mod table;

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Serialize;
use wharfinger_core::config::{Document, Rule, Scaling};
use wharfinger_core::ids::Target;
use wharfinger_core::scaling::backtest::{Backtest, Moment};

use crate::args::{Global, tasks};
use crate::document::there_is;
use crate::facts::Answers;
use crate::input;
use crate::output::{Verdict, note, show, warning};

use metrics::Metrics;

/// What the options do not say.
pub(crate) const HELP: &str = r#"Metrics:
  time,web-cpu,web-jobs           a column for each alarm and queue that a rule names
  2026-01-31T09:00:00Z,61.5,120   ISO 8601 (UTC when it has no offset), or seconds since the epoch
  2026-01-31T09:01:00Z,,130       an empty cell is missing data
  An alarm's column holds the values of its metric, a queue's how many messages it has. Every rule
  needs its column; a column of empty cells stands for one that never has data.

Thresholds:
  --facts FILE holds what AWS says of the alarms, { "DescribeAlarms": … } as
  `aws cloudwatch describe-alarms --output json | jq '{DescribeAlarms: .}'` prints it: threshold,
  comparison, periods, missing data. Rules with `target` need none: without one each minute counts."#;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration; `-` for standard input.
    file: PathBuf,
    /// `cluster/service`.
    #[arg(value_parser = crate::history::target)]
    target: Target,
    /// The values, minute by minute or in other steps: `time,<alarm or queue>,…`; `-` for standard input.
    #[arg(long, value_name = "CSV")]
    metrics: PathBuf,
    /// The count before the first row; the `min` of then when it is left out.
    #[arg(long, value_name = "N", value_parser = tasks, allow_hyphen_values = true)]
    from: Option<u32>,
    /// What AWS says of the alarms: `{ "DescribeAlarms": … }`, as `aws … --output json` prints it.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Also draw a chart of the count, its bounds and the metrics.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What came of the rows.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    rows: Vec<Moment>,
    /// The count before the first row.
    #[serde(skip)]
    start: u32,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    if args.file == args.metrics && args.file.as_os_str() == "-" {
        bail!("the configuration and the metrics cannot both be standard input");
    }
    let document = input::valid_document(&args.file)?;
    let scaling = scaling(&document, args)?;
    let metrics = Metrics::read(&args.metrics)?;
    metrics.fit(&scaling)?;
    let facts = args.facts.as_deref().map(Answers::read).transpose()?;
    let backtest = Backtest {
        target: args.target.clone(),
        alarms: alarms::definitions(&scaling, &facts.unwrap_or_default())?,
        scaling,
        from: args.from,
    };
    tell_untried(&backtest.scaling);
    tell_coarse(&backtest, &metrics);
    let rows = backtest.run(&metrics.rows);
    if let Some(file) = &args.svg {
        let chart = chart::draw(&backtest, &metrics, &rows);
        std::fs::write(file, chart).with_context(|| format!("{} cannot be written", file.display()))?;
        note(format_args!("the chart is in {}", file.display()));
    }
    let start = metrics.rows.first().map(|row| backtest.start(row.time));
    let start = start.unwrap_or_default();
    show(global.output, &Report { rows, start })?;
    Ok(Verdict::Fine)
}

/// The rules of the target, or what it might have been.
fn scaling(document: &Document, args: &Args) -> anyhow::Result<Scaling> {
    let (file, target) = (args.file.display(), &args.target);
    let Some(service) = document.services.get(&target.to_string()) else {
        let hint = there_is(&target.to_string(), document.services.keys());
        let family = Target::task(target.cluster.clone(), target.name.clone());
        if document.find(&family).is_some() {
            bail!("{target} stands under `tasks` in {file}: only services have a count");
        }
        bail!("{file} has no service {target}{hint}");
    };
    let scaling = service.scaling.clone();
    scaling.with_context(|| format!("{target} has no `scaling` in {file}: nothing moves its count"))
}

/// Which alarms have too few values for their periods: they would stay as they are, whatever the values.
fn tell_coarse(backtest: &Backtest, metrics: &Metrics) {
    let Some(step) = metrics.step() else { return };
    let coarse = backtest.alarms.iter().filter_map(|(name, alarm)| {
        let longest = alarm.longest_step().filter(|longest| *longest < step)?;
        Some(format!("`{name}` needs one each {longest:#} or more often"))
    });
    let coarse: Vec<_> = coarse.collect();
    if !coarse.is_empty() {
        warning(format_args!(
            "there is a line each {step:#}, too few for the periods of these alarms, which do not change their state: {}",
            coarse.join(", ")
        ));
    }
}

/// What of the rules the values cannot tell.
fn tell_untried(scaling: &Scaling) {
    for rule in &scaling.rules {
        if let Rule::Queue(rule) = rule
            && rule.max_age.is_some()
        {
            warning(format_args!(
                "`max-age` of the queue `{}` is not tried: how old its oldest message was is not in the metrics",
                rule.queue
            ));
        }
    }
}
