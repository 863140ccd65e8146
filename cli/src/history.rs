//! `wharfinger history [TARGET]`

use std::collections::BTreeSet;
use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::history::{self, Record};
use wharfinger_cloud::table::TableName;
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::report::Outcome;

use crate::args::Global;
use crate::output::{BOLD, DIM, GREEN, RED, Show, Verdict, YELLOW, show, warning};
use crate::{cloud, table};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `cluster/service` or `cluster/family`; without it every configured target.
    #[arg(value_parser = target)]
    target: Option<Target>,
    /// How many records to print: the newest ones.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    limit: usize,
}

/// A service and a family of one name share their history, so either will do.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    Target::parse(TargetKind::Service, text).map_err(|error| error.to_string())
}

/// Records, oldest first.
#[derive(Debug, Serialize)]
struct Report {
    records: Vec<Record>,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let mut records = cloud::block_on(async {
        let needed: &[_] = match &args.target {
            Some(_) => &[TableName::State],
            None => &[TableName::State, TableName::Config],
        };
        let aws = cloud::connect(global, needed).await?;
        let targets = match &args.target {
            Some(target) => BTreeSet::from([target.to_string()]),
            None => table::read(&aws).await?.targets.keys().map(Target::to_string).collect(),
        };
        let mut records = Vec::new();
        for target in targets {
            records.extend(read(&aws, &target).await?);
        }
        Ok(records)
    })?;
    records.sort_by_key(|record| record.at);
    let records = records.split_off(records.len().saturating_sub(args.limit));
    show(global.output, &Report { records })?;
    Ok(Verdict::Fine)
}

async fn read(aws: &Aws, target: &str) -> anyhow::Result<Vec<Record>> {
    let target = Target::parse(TargetKind::Service, target)?;
    let (records, malformed) = history::read(aws, &target)
        .await
        .with_context(|| format!("the history of {target} cannot be read"))?;
    for malformed in malformed {
        warning(malformed);
    }
    Ok(records)
}

impl Show for Report {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.records.is_empty() {
            return writeln!(
                out,
                "nothing was decided yet; `wharfinger export` prints which targets are configured"
            );
        }
        for record in &self.records {
            let style = match record.outcome {
                Outcome::Act => GREEN,
                Outcome::Wait => YELLOW,
                Outcome::Ignore | Outcome::Stale => DIM,
                Outcome::Rejected => RED,
            };
            let outcome = serde_json::to_value(record.outcome)?;
            let outcome = outcome.as_str().unwrap_or_default();
            let subject = record
                .subject
                .as_deref()
                .map(|subject| format!(" {subject}"))
                .unwrap_or_default();
            writeln!(
                out,
                "{DIM}{}{DIM:#} {BOLD}{}{BOLD:#} {} {style}{outcome}{style:#}{subject}",
                record.at, record.target, record.domain
            )?;
            writeln!(out, "    {DIM}on {}{DIM:#}", record.cause)?;
            for call in &record.actions {
                writeln!(out, "    {GREEN}{}{GREEN:#} {}", call.call, call.input)?;
            }
            for reason in &record.reasons {
                writeln!(out, "    {}: {}", reason.code, reason.message)?;
            }
        }
        Ok(())
    }
}
