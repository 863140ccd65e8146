//! `wharfinger status [TARGET]`: what is known of each target and cluster, from the two tables.

mod access_points;
mod capacity;
mod cluster;
mod delivery;
mod orphans;
mod row;
mod storage;
mod text;

use anyhow::Context;
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use wharfinger_cloud::CloudError;
use wharfinger_cloud::history::{self, Newest, Record};
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::{Malformed, Table, TableName};
use wharfinger_core::config::stored::{CLUSTERS, Managed, TARGETS};
use wharfinger_core::ids::{Target, TargetKind};

use crate::args::Global;
use crate::output::{Verdict, note, show, warning};
use crate::{cloud, holds};

use cluster::Cluster;
use row::Row;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `cluster/service`, `cluster/family` or `cluster`; without it every cluster with `capacity` or `storage` and every
    /// configured target, of more than 50 those with something to tell.
    #[arg(value_parser = crate::history::any_target)]
    target: Option<Target>,
}

/// Of more targets than this only those with something to tell are shown.
const MANY: usize = 50;

/// How many targets are asked about at once.
const AT_ONCE: usize = 16;

/// How many records of the history are read: enough to have the last of each domain in nearly every case.
const RECORDS: u32 = 25;

/// How many are read when none of these is of delivery.
const MORE_RECORDS: u32 = 500;

/// What is known.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Report {
    clusters: Vec<Cluster>,
    targets: Vec<Row>,
    /// How many targets are not shown, since there is nothing to tell of them.
    others: usize,
    /// Whether one target was asked for: then all of it is told.
    #[serde(skip)]
    whole: bool,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let report = cloud::block_on(async {
        let aws = cloud::connect(global, &[TableName::Config, TableName::State]).await?;
        read(&aws, args.target.as_ref()).await
    })?;
    let Some(report) = report else {
        return Ok(Verdict::Found);
    };
    show(global.output, &report)?;
    Ok(Verdict::Fine)
}

/// One Query each of the targets and the clusters, then a few calls for each. `None` when there is no such target, which is
/// told.
async fn read(cloud: &(impl Table + Newest + Clock), target: Option<&Target>) -> anyhow::Result<Option<Report>> {
    const UNREAD: &str = "the config table cannot be read";
    let (items, clusters) = tokio::join!(
        cloud.query(TableName::Config, TARGETS),
        cloud.query(TableName::Config, CLUSTERS)
    );
    let found = wharfinger_cloud::config::read(items.context(UNREAD)?);
    let clusters = wharfinger_cloud::config::read_clusters(clusters.context(UNREAD)?);
    for malformed in found.malformed.into_iter().chain(clusters.malformed) {
        warning(malformed);
    }
    let (mut targets, mut clusters) = (found.targets, clusters.clusters);
    let counted: Vec<_> = clusters
        .iter()
        .filter(|managed| managed.stored.config.capacity.is_some())
        .map(|managed| managed.target.cluster.clone())
        .collect();
    if let Some(target) = target {
        let names: Vec<_> = if target.kind == TargetKind::Cluster {
            clusters.iter().map(|managed| managed.target.to_string()).collect()
        } else {
            targets.iter().map(|managed| managed.target.to_string()).collect()
        };
        targets.retain(|managed| managed.target.to_string() == target.to_string());
        clusters.retain(|managed| managed.target == *target);
        if targets.is_empty() && clusters.is_empty() {
            note(holds::unknown(&names, target));
            return Ok(None);
        }
    } else {
        clusters.retain(|managed| {
            let config = &managed.stored.config;
            config.capacity.is_some() || config.orphans().is_some() || !managed.stored.paused.is_empty()
        });
    }
    let count = targets.len();
    let rows = stream::iter(targets).map(|managed| look(cloud, managed, &counted));
    let rows: Vec<_> = rows.buffered(AT_ONCE).collect().await;
    let mut rows = rows.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    if count > MANY {
        rows.retain(Row::is_notable);
    }
    let looking = stream::iter(&clusters).map(|managed| cluster::look(cloud, managed));
    let clusters: Vec<_> = looking.buffered(AT_ONCE).collect().await;
    Ok(Some(Report {
        clusters: clusters.into_iter().collect::<anyhow::Result<_>>()?,
        others: count - rows.len(),
        targets: rows,
        whole: target.is_some(),
    }))
}

/// What is known of one target.
async fn look(cloud: &(impl Table + Newest + Clock), managed: Managed, counted: &[String]) -> anyhow::Result<Row> {
    let target = &managed.target;
    let key = target.key();
    let (items, records) = tokio::join!(cloud.query(TableName::State, &key), records(cloud, &managed));
    let unread = || format!("the state of {target} cannot be read");
    let items = items.with_context(unread)?;
    let (records, malformed) = records.with_context(unread)?;
    let counted = counted.contains(&target.cluster);
    let (row, unreadable) = Row::of(&managed, counted, &items, &records, cloud.now());
    for malformed in malformed.into_iter().chain(unreadable) {
        warning(malformed);
    }
    Ok(row)
}

/// The newest records of a target. Of one with many tasks that come and go, the last of delivery may be among many.
async fn records(
    cloud: &impl Newest,
    Managed { target, stored }: &Managed,
) -> Result<(Vec<Record>, Vec<Malformed>), CloudError> {
    let read = history::newest(cloud, target, RECORDS).await?;
    let has_last = |records: &[Record]| records.iter().any(|record| record.domain == "delivery");
    let all = read.0.len() + read.1.len() < RECORDS as usize;
    if all || stored.config.delivery.is_empty() || has_last(&read.0) {
        return Ok(read);
    }
    history::newest(cloud, target, MORE_RECORDS).await
}

#[cfg(test)]
pub(crate) mod tests;
