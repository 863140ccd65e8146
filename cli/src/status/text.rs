//! The table for people, with a few lines below each target of which there is something to tell.

use std::io::{self, Write};

use wharfinger_core::report::{Code, Reason, counted};
use wharfinger_core::scaling::Change;

use super::Report;
use super::capacity::OfService;
use super::cluster::Cluster;
use super::delivery::Delivery;
use super::row::{Decided, Row, Scaling};
use super::storage::Volumes;
use crate::holds::{overridden, pause};
use crate::output::{BOLD, DIM, GREEN, Show, YELLOW};

impl Show for Report {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        clusters(out, &self.clusters, self.whole)?;
        if !self.clusters.is_empty() && !self.targets.is_empty() {
            writeln!(out)?;
        }
        let width = self
            .targets
            .iter()
            .map(|row| row.target.len())
            .max()
            .unwrap_or_default()
            .max(6);
        if !self.targets.is_empty() {
            writeln!(
                out,
                "{BOLD}{:width$}  {:10}  {:10}  state{BOLD:#}",
                "target", "bounds", "last"
            )?;
        }
        for row in &self.targets {
            let scaling = row.scaling.as_ref();
            let bounds = scaling.map(|of| format!("{} to {}", of.bounds.min, of.bounds.max));
            let last = scaling
                .and_then(|of| of.last_change)
                .map(|Change { from, to, .. }| format!("{from} -> {to}"));
            let (style, state) = state(row);
            writeln!(
                out,
                "{:width$}  {:10}  {:10}  {style}{state}{style:#}",
                row.target,
                bounds.as_deref().unwrap_or("-"),
                last.as_deref().unwrap_or("-")
            )?;
            if self.whole || row.is_notable() {
                details(out, row, self.whole)?;
            }
        }
        match (self.targets.len() + self.clusters.len(), self.others) {
            (0, 0) => writeln!(out, "nothing is configured"),
            (_, 0) => Ok(()),
            (_, others) => writeln!(
                out,
                "{DIM}and {} of which there is nothing to tell{DIM:#}",
                counted(others, "target")
            ),
        }
    }
}

fn clusters(out: &mut dyn Write, clusters: &[Cluster], whole: bool) -> io::Result<()> {
    let width = clusters.iter().map(|cluster| cluster.target.len()).max();
    let Some(width) = width.map(|width| width.max(7)) else {
        return Ok(());
    };
    writeln!(out, "{BOLD}{:width$}  {:10}  state{BOLD:#}", "cluster", "going")?;
    for cluster in clusters {
        let (style, state) = cluster.state();
        let (name, going) = (&cluster.target, cluster.going());
        writeln!(out, "{name:width$}  {going:<10}  {style}{state}{style:#}")?;
        cluster.text(out, whole)?;
    }
    Ok(())
}

/// The most notable of a target, in a word.
fn state(row: &Row) -> (anstyle::Style, &'static str) {
    let rolls = row.delivery.as_ref().and_then(Delivery::state);
    let fails = row.capacity.as_ref().and_then(OfService::state);
    let keeps = row.storage.as_ref().and_then(Volumes::state);
    let stuck = row.decisions().find_map(|(_, decided)| decided.stuck());
    if !row.holds.paused.is_empty() {
        (YELLOW, "paused")
    } else if let Some(state) = fails {
        (YELLOW, state)
    } else if let Some(state) = rolls.or(keeps) {
        (YELLOW, state)
    } else if row.scaling.as_ref().is_some_and(|of| of.unfinished.is_some()) {
        (YELLOW, "scales")
    } else if let Some(code) = stuck {
        let state = match code {
            Code::RolledBack => "in quarantine",
            Code::Drifted => "deployed over",
            _ => "cannot go on",
        };
        (YELLOW, state)
    } else if row.decisions().any(|(_, decided)| decided.is_open()) {
        (YELLOW, "waits")
    } else if row.holds.scale.is_some() {
        (YELLOW, "overridden")
    } else {
        (GREEN, "fine")
    }
}

fn details(out: &mut dyn Write, row: &Row, whole: bool) -> io::Result<()> {
    for (domain, until) in &row.holds.paused {
        writeln!(out, "    {}", pause(domain, *until))?;
    }
    if let Some(over) = &row.holds.scale {
        writeln!(out, "    {}", overridden(over))?;
    }
    if let Some(of) = &row.scaling {
        scaling(out, of)?;
    }
    if let Some(of) = &row.delivery {
        of.text(out, whole)?;
    }
    if let Some(of) = &row.capacity {
        of.text(out, whole)?;
    }
    if let Some(of) = &row.storage {
        of.text(out)?;
    }
    let told = |decided: &Decided| whole || decided.is_open() || decided.stuck().is_some();
    for (domain, decided) in row.decisions().filter(|(_, decided)| told(decided)) {
        decision(out, domain, decided, whole, |reason| row.tells(domain, reason))?;
    }
    Ok(())
}

fn scaling(out: &mut dyn Write, of: &Scaling) -> io::Result<()> {
    let next = of
        .next_bounds
        .map_or_else(String::new, |at| format!("; they may change at {at}"));
    writeln!(
        out,
        "    bounds {} to {}: {}{next}",
        of.bounds.min, of.bounds.max, of.bounds_why
    )?;
    if let Some(Change { from, to, at, foreign }) = of.last_change {
        let who = if foreign { ", by someone else" } else { "" };
        writeln!(out, "    count changed from {from} to {to} at {at}{who}")?;
    }
    if let Some(Change { from, to, at, .. }) = of.unfinished {
        writeln!(
            out,
            "    {YELLOW}change from {from} to {to} not finished since {at}{YELLOW:#}"
        )?;
    }
    if let Some(until) = of.no_more_before {
        writeln!(out, "    cooldown: no task is added before {until}")?;
    }
    if let Some(until) = of.no_fewer_before {
        writeln!(out, "    cooldown: no task is removed before {until}")?;
    }
    Ok(())
}

/// Prints a decision: all of it, or what does not go on before someone does something, and for what it waits. Without the
/// reasons that were told before; not at all when all of them were.
pub(super) fn decision(
    out: &mut dyn Write,
    domain: &str,
    decided: &Decided,
    whole: bool,
    told: impl Fn(&Reason) -> bool,
) -> io::Result<()> {
    let last = decided.reasons.last().filter(|_| decided.is_open());
    let shown = |reason: &&Reason| whole || reason.code.needs_someone() || last == Some(*reason);
    let reasons: Vec<_> = decided.reasons.iter().filter(shown).collect();
    if !reasons.is_empty() && reasons.iter().all(|reason| told(reason)) {
        return Ok(());
    }
    let outcome = serde_json::to_value(decided.outcome)?;
    let outcome = outcome.as_str().unwrap_or_default();
    writeln!(out, "    {domain}: {outcome} {DIM}at {}{DIM:#}", decided.at)?;
    for reason in reasons.into_iter().filter(|reason| !told(reason)) {
        writeln!(out, "        {}: {}", reason.code, reason.message)?;
    }
    Ok(())
}
