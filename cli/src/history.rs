//! `wharfinger history [TARGET]`

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::history::{self, Record};
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::holds::DOMAINS;
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::report::Outcome;

use crate::args::{Global, some};
use crate::output::{BOLD, DIM, GREEN, RED, Show, Verdict, YELLOW, show, warning};
use crate::{cloud, holds, table};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `cluster/service`, `cluster/family` or `cluster`; without it every configured target.
    #[arg(value_parser = any_target)]
    target: Option<Target>,
    /// How many records to print: the newest ones.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N", value_parser = some, allow_hyphen_values = true)]
    limit: usize,
    /// Only what was decided for this.
    #[arg(long, value_parser = PossibleValuesParser::new(DOMAINS))]
    domain: Option<String>,
}

/// A service and a family of one name share their history, so either will do.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    Target::parse(TargetKind::Service, text).map_err(|error| error.to_string())
}

/// The same, or a cluster by its name.
pub(crate) fn any_target(text: &str) -> Result<Target, String> {
    let kind = if text.contains('/') {
        TargetKind::Service
    } else {
        TargetKind::Cluster
    };
    Target::parse(kind, text).map_err(|error| error.to_string())
}

/// Records, oldest first.
#[derive(Debug, Serialize)]
struct Report {
    records: Vec<Record>,
    /// Which records alone are told.
    #[serde(skip)]
    domain: Option<String>,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let found = cloud::block_on(async {
        match &args.target {
            Some(target) => of_target(global, target).await,
            None => of_every_target(global).await.map(Some),
        }
    })?;
    let Some(mut records) = found else {
        return Ok(Verdict::Found);
    };
    let domain = args.domain.clone();
    records.retain(|record| domain.as_ref().is_none_or(|domain| record.domain == *domain));
    records.sort_by_key(|record| record.at);
    let records = records.split_off(records.len().saturating_sub(args.limit));
    show(global.output, &Report { records, domain })?;
    Ok(Verdict::Fine)
}

/// The records of one target, also of one that is not configured any more. `None` when it never was, which is told.
async fn of_target(global: &Global, target: &Target) -> anyhow::Result<Option<Vec<Record>>> {
    let aws = cloud::connect(global, &[TableName::State]).await?;
    let records = read(&aws, target).await?;
    if !records.is_empty() {
        return Ok(Some(records));
    }
    let aws = cloud::connect(global, &[TableName::Config]).await?;
    let current = table::read(&aws).await?;
    Ok(holds::is_configured(&current, target).then_some(records))
}

async fn of_every_target(global: &Global) -> anyhow::Result<Vec<Record>> {
    let aws = cloud::connect(global, &[TableName::State, TableName::Config]).await?;
    let current = table::read(&aws).await?;
    let targets = current.targets.keys().cloned();
    let clusters = current.clusters.keys().map(Target::of_cluster);
    // A service and a family of one name have one history.
    let named: BTreeMap<_, _> = targets
        .chain(clusters)
        .map(|target| (target.to_string(), target))
        .collect();
    let mut records = Vec::new();
    for target in named.values() {
        records.extend(read(&aws, target).await?);
    }
    Ok(records)
}

async fn read(aws: &Aws, target: &Target) -> anyhow::Result<Vec<Record>> {
    let (records, malformed) = history::read(aws, target)
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
            let domain = self.domain.as_ref().map(|domain| format!(" for {domain}"));
            return writeln!(
                out,
                "nothing was decided yet{}; `wharfinger export` prints which targets are configured",
                domain.unwrap_or_default()
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
