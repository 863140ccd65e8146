//! What is known of the volumes of a cluster that ECS left behind.

use std::io::{self, Write};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use wharfinger_cloud::history::{self, Newest};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::{Table, TableName};
use wharfinger_core::config::{OrphanAction, Orphans as Rule, Span};
use wharfinger_core::ids::Target;
use wharfinger_core::report::{Code, Reason, counted};
use wharfinger_core::storage::orphans::{Memory, Seen};

use super::RECORDS;
use super::row::{Decided, remembered};
use super::storage::usd;
use super::text::decision;
use crate::output::{DIM, YELLOW, warning};

/// The attribute with what is remembered, as the reference has it.
const MEMORY: &str = "orphans";

/// What a GiB of a volume costs in a month, in cents of a USD: gp3 in most Regions (Amazon EBS pricing).
const CENTS: u64 = 8;

/// How many volumes are printed for people who asked for no cluster.
const NAMED: usize = 5;

/// What is known of volumes that ECS left behind.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Orphans {
    /// After how long a volume counts.
    after: Span,
    action: OrphanAction,
    /// Those that count, the oldest first.
    volumes: Vec<Orphan>,
    /// How many are attached to nothing for less than that.
    younger: usize,
    /// How many there are besides, which are not looked at yet.
    more: u32,
    /// How many completed snapshots there are of such volumes. Nothing removes them.
    snapshots: u32,
    /// The sizes of their volumes, summed.
    snapshots_gib: u64,
    /// What these cost in a month at most, in USD.
    snapshots_cost_at_most_usd: f64,
    /// The last decision in the history.
    decision: Option<Decided>,
}

/// A volume that ECS left behind.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Orphan {
    volume: String,
    gib: u32,
    /// What it costs in a month, in USD.
    cost_usd: f64,
    /// Since when it is attached to nothing, as far as is known.
    since: Timestamp,
    /// The service that it was made for, where its tags say so.
    service: Option<String>,
    /// Whether no tag says of which cluster it is.
    unclaimed: bool,
    /// The snapshot of it that is copied, or is completed.
    snapshot: Option<String>,
    /// What becomes of it.
    then: String,
}

/// Reads what is known of a cluster: two calls.
pub(super) async fn look(
    cloud: &(impl Table + Newest + Clock),
    cluster: &Target,
    rule: Rule,
) -> anyhow::Result<Orphans> {
    let key = service_key(cluster);
    let (item, records) = tokio::join!(
        cloud.get(TableName::State, &key),
        history::newest(cloud, cluster, RECORDS)
    );
    let unread = || format!("the state of {cluster} cannot be read");
    let item = item.with_context(unread)?.unwrap_or_default();
    let (records, mut malformed) = records.with_context(unread)?;
    let memory: Memory = remembered(&item, MEMORY, &mut malformed);
    for malformed in malformed {
        warning(malformed);
    }
    let decision = records.iter().find(|record| record.domain == "storage");
    Ok(Orphans::of(rule, memory, decision.map(Decided::of), cloud.now()))
}

impl Orphans {
    fn of(rule: Rule, memory: Memory, decision: Option<Decided>, now: Timestamp) -> Self {
        let all = memory.volumes.len();
        let left = memory.volumes.into_iter();
        let left = left.filter(|(_, seen)| seen.is_orphan(&rule, now));
        let mut volumes: Vec<_> = left.map(|(id, seen)| Orphan::of(id, seen, &rule)).collect();
        volumes.sort_by(|a, b| (a.since, &a.volume).cmp(&(b.since, &b.volume)));
        Self {
            after: rule.after,
            action: rule.action,
            younger: all - volumes.len(),
            volumes,
            more: memory.more,
            snapshots: memory.snapshots,
            snapshots_gib: memory.gib,
            snapshots_cost_at_most_usd: usd(memory.gib, super::storage::CENTS),
            decision,
        }
    }

    /// What is not as it is wanted, in a word or some.
    pub(super) fn state(&self) -> Option<&'static str> {
        (!self.volumes.is_empty()).then_some("volumes left behind")
    }

    /// Prints it for people.
    pub(super) fn text(&self, out: &mut dyn Write, whole: bool) -> io::Result<()> {
        let most = if whole { self.volumes.len() } else { NAMED };
        for volume in self.volumes.iter().take(most) {
            volume.text(out)?;
        }
        let unsaid = self.volumes.len().saturating_sub(most) + usize::try_from(self.more).unwrap_or_default();
        if unsaid > 0 {
            writeln!(out, "    and {} more", counted(unsaid, "volume"))?;
        }
        if self.younger > 0 && whole {
            let (younger, after) = (counted(self.younger, "volume"), self.after);
            writeln!(out, "    {younger} attached to nothing for less than {after}")?;
        }
        if self.snapshots > 0 {
            writeln!(
                out,
                "    {} of volumes that were left behind, at most {} GiB and {:.2} USD a month {DIM}(nothing removes \
                 them){DIM:#}",
                counted(self.snapshots, "snapshot"),
                self.snapshots_gib,
                self.snapshots_cost_at_most_usd
            )?;
        }
        let is_told = |reason: &Reason| matches!(reason.code, Code::OrphanFound | Code::NoOrphans);
        match &self.decision {
            Some(decided) if whole || decided.is_open() => decision(out, "storage", decided, whole, is_told),
            _ => Ok(()),
        }
    }
}

impl Orphan {
    fn of(id: String, seen: Seen, rule: &Rule) -> Self {
        Self {
            volume: id,
            gib: seen.gib,
            cost_usd: usd(u64::from(seen.gib), CENTS),
            since: seen.since,
            unclaimed: seen.unclaimed,
            then: seen.fate(rule),
            service: seen.service,
            snapshot: seen.snapshot,
        }
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let service = self.service.as_ref();
        let service = service.map_or_else(String::new, |name| format!(" of service {name}"));
        writeln!(
            out,
            "    {YELLOW}{}{YELLOW:#}{service}: {} GiB, {:.2} USD a month {DIM}(at 0.08 USD per GiB-month){DIM:#}, \
             attached to nothing since {}: {}",
            self.volume, self.gib, self.cost_usd, self.since, self.then
        )
    }
}
