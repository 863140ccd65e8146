//! `wharfinger explain EVENT.json|-`

mod answer;
mod capacity;
mod decide;
mod delivery;
mod draining;
mod endpoints;
mod service;
mod storage;

use std::path::PathBuf;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::stored::{Managed, ManagedCluster, StoredCluster};
use wharfinger_core::event::{Detail, Event, parse_time};
use wharfinger_core::ids::Target;

use crate::args::Global;
use crate::cloud;
use crate::facts::Answers;
use crate::input;
use crate::output::{Verdict, show, warning};

use answer::Answer;
use decide::Context;

/// What the options do not say.
pub(crate) const HELP: &str = r#"Facts:
  --facts FILE holds what AWS answers: { "DescribeServices": { "services": [ … ] }, … }.
  BatchGetImage, DescribeAccessPoints, DescribeAlarms, DescribeAutoScalingGroups,
  DescribeAutoScalingInstances,
  DescribeCapacityProviders, DescribeContainerInstances, DescribeImages,
  DescribeImageScanFindings, DescribeInstanceInformation, DescribeInstances,
  DescribeNetworkInterfaces, DescribeServiceRevisions, DescribeServices,
  DescribeSnapshotAttribute, DescribeSnapshots, DescribeTargetGroups, DescribeTaskDefinition,
  DescribeTasks, DescribeVolumes, ListContainerInstances, ListNamespaces, ListServices and
  ListTasks are read.
  The answer names those that are missing.

Stale events:
  Offline nothing is known of what came before, so no event is stale by itself. To try one that
  comes too late, let --facts say what is known: DescribeTasks with a higher `version` of the
  event's task, or DescribeAlarms with a later and other state of its alarm."#;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The event, as EventBridge delivers it; `-` for standard input.
    event: PathBuf,
    /// Take the configuration from this file, offline: no credentials, no network.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What AWS would answer: one JSON object keyed by operation (`DescribeServices`, …), each value, or list of values,
    /// as `aws … --output json` prints it.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// The time; without it the event's own, or the clock's when it says none.
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<Timestamp>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    parse_time(text).ok_or_else(|| "write it like 2026-01-31T09:30:00Z".to_owned())
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let text = input::text(&args.event)?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", args.event.display()))?;
    let answers = args
        .facts
        .as_deref()
        .map(Answers::read)
        .transpose()?
        .unwrap_or_default();
    let config = match &args.config {
        Some(file) => Config::from_file(file)?,
        None => Config::from_table(global)?,
    };
    let answer = match Event::parse(&json) {
        Ok(event) => {
            let now = args.now.or(event.envelope.time).unwrap_or_else(|| moment(&event));
            let context = Context {
                answers: &answers,
                targets: &config.targets,
                offline: args.config.is_some(),
                owner: &global.stack,
                now,
                drains: None,
            };
            answer::explain(&context, &config, &event)?
        }
        Err(rejected) => Answer::rejected(&json, &rejected),
    };
    show(global.output, &answer)?;
    Ok(if answer.is_rejected() {
        Verdict::Found
    } else {
        Verdict::Fine
    })
}

/// The time of an event whose envelope says none: the alarm's, or that of the command, as a function would have its own.
fn moment(event: &Event) -> Timestamp {
    match &event.detail {
        Detail::Alarm(alarm) => alarm.state.timestamp,
        _ => crate::input::now(),
    }
}

/// The configured targets and clusters, and where they are from.
pub(super) struct Config {
    name: String,
    targets: Vec<Managed>,
    clusters: Vec<ManagedCluster>,
}

impl Config {
    fn from_file(file: &std::path::Path) -> anyhow::Result<Self> {
        let document = input::valid_document(file)?;
        let managed = |entry: wharfinger_core::config::Entry| {
            Ok(Managed::unresolved(
                Target::parse(entry.kind, &entry.name)?,
                entry.config,
            ))
        };
        let targets = document.entries().map(managed).collect::<anyhow::Result<_>>()?;
        let clusters = document.clusters.into_iter().map(|(name, config)| ManagedCluster {
            target: Target::of_cluster(name),
            stored: StoredCluster::new(config),
        });
        Ok(Self {
            name: file.display().to_string(),
            targets,
            clusters: clusters.collect(),
        })
    }

    fn from_table(global: &Global) -> anyhow::Result<Self> {
        const UNREAD: &str = "the config table cannot be read; with --config FILE it is not needed";
        let (found, clusters) = cloud::block_on(async {
            let aws = cloud::connect(global, &[TableName::Config]).await?;
            let store = wharfinger_cloud::config::ConfigStore::default();
            let (all, clusters) = tokio::join!(store.all(&aws), store.clusters(&aws));
            anyhow::Ok((all.context(UNREAD)?, clusters.context(UNREAD)?))
        })?;
        for malformed in found.malformed.into_iter().chain(clusters.malformed) {
            warning(malformed);
        }
        Ok(Self {
            name: "the config table".to_owned(),
            targets: found.targets,
            clusters: clusters.clusters,
        })
    }
}
