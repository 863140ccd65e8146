//! `wharfinger approve TARGET`: someone agrees to the images that wait for it, or that are in quarantine.

mod candidates;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use wharfinger_cloud::config::CACHED_FOR;
use wharfinger_cloud::history::{self, Newest};
use wharfinger_cloud::table::{Table, TableName};
use wharfinger_core::config::Span;
use wharfinger_core::config::asked::Approved;
use wharfinger_core::config::changes::Stamp;
use wharfinger_core::config::holds::Holds;
use wharfinger_core::delivery::{Proof, Wish};
use wharfinger_core::ids::Target;
use wharfinger_core::report::Code;

use crate::args::Global;
use crate::nudge::Nudge;
use crate::output::{GREEN, Show, Verdict, YELLOW, note, show};
use crate::rollouts::Rollouts;
use crate::{cloud, holds, pause, table};

use candidates::{Candidate, Choice, candidates};
pub(crate) use candidates::{begins, digits};

/// How many records of the history are read: enough to have the last decision of delivery.
const RECORDS: u32 = 25;

/// What the options do not say.
pub(crate) const HELP: &str = r#"What an approval does:
  It is of one image, by its digest: the next push waits anew.
  It ends with --for, 7 days when left out: a rollout has to begin by then.
  It also lets an image out again that is in quarantine, or that someone deployed over (`Drifted`).
  An image that fails after it is in quarantine again: approve it anew.
  Other gates (`after`, `bake`, `waves`, `mature`, `windows`, `scan`) stay as they are."#;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `cluster/service` or `cluster/family`.
    #[arg(value_parser = crate::history::target)]
    target: Target,
    #[command(flatten)]
    choice: Choice,
    /// For so long a rollout may begin on it, like `24h`.
    #[arg(long = "for", value_name = "TIME", default_value = "7d")]
    span: Span,
    #[command(flatten)]
    nudge: Nudge,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let report = cloud::block_on(async {
        let aws = cloud::connect(global, &[TableName::Config, TableName::State]).await?;
        let stamp = pause::stamp(&aws).await;
        let report = args.approve(&aws, &stamp).await?;
        if report.as_ref().is_some_and(|report| !report.approved.is_empty()) {
            args.nudge.ask(&aws, &global.stack, &args.target).await;
        }
        Ok(report)
    })?;
    let Some(report) = report else {
        return Ok(Verdict::Found);
    };
    show(global.output, &report)?;
    Ok(if report.approved.is_empty() {
        Verdict::Found
    } else {
        Verdict::Fine
    })
}

/// What was agreed to, or why there was nothing to agree to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    target: String,
    approved: Vec<Approved>,
    /// The version of the configuration that has them.
    version: Option<u64>,
    /// What runs as it is wanted.
    running: Vec<String>,
    /// What is rolled out.
    rolls_out: Vec<String>,
    /// What waits, for something else.
    waiting: Vec<String>,
    /// What is in quarantine, and not wanted now.
    quarantine: Vec<String>,
    /// What was agreed to before, as long as a rollout may still begin on it.
    before: Vec<Approved>,
}

impl Args {
    /// Stores what is agreed to. `None` when there is no such target, or it takes no such images, which is told.
    async fn approve(&self, cloud: &(impl Table + Newest), stamp: &Stamp) -> anyhow::Result<Option<Report>> {
        let until = holds::end(stamp.at, self.span)?;
        let mut report = Report::of(&self.target);
        let (mut found, mut rules) = (BTreeMap::new(), Vec::new());
        for (target, stored) in table::read(cloud).await?.targets {
            if target.to_string() != self.target.to_string() {
                continue;
            }
            let rollouts = Rollouts::read(cloud, &target).await?;
            let drifted = drifted(cloud, &target).await?;
            let chosen = candidates(&stored, &rollouts, drifted, &self.choice, stamp.at);
            report.tell(&rollouts, &Holds::of(&stored, stamp.at), stamp.at);
            rules.extend(stored.config.delivery);
            found.insert(target, chosen);
        }
        if !found.is_empty()
            && let Some(why) = self.choice.takes_nothing(&self.target, &rules)
        {
            note(why);
            return Ok(None);
        }
        let approved = |candidate: &Candidate| Approved {
            digest: candidate.digest.clone(),
            image: Some(candidate.image.clone()),
            at: stamp.at,
            by: Some(stamp.by.clone()),
            until,
        };
        if found.values().all(Vec::is_empty) && !found.is_empty() {
            return Ok(Some(report));
        }
        let told = holds::change(cloud, &self.target, stamp, |target, _, holds| {
            for candidate in found.get(target).into_iter().flatten() {
                holds.approve(approved(candidate));
            }
            Ok(())
        });
        let Some(told) = told.await? else { return Ok(None) };
        report.version = Some(told.version);
        report.approved = found.values().flatten().map(approved).collect();
        Ok(Some(report))
    }
}

/// Whether the last decision was that someone else deployed over an image.
async fn drifted(cloud: &impl Newest, target: &Target) -> anyhow::Result<bool> {
    let (records, _) = history::newest(cloud, target, RECORDS).await?;
    let last = records.iter().find(|record| record.domain == "delivery");
    Ok(last.is_some_and(|last| last.reasons.iter().any(|reason| reason.code == Code::Drifted)))
}

impl Report {
    fn of(target: &Target) -> Self {
        Self {
            target: target.to_string(),
            approved: Vec::new(),
            version: None,
            running: Vec::new(),
            rolls_out: Vec::new(),
            waiting: Vec::new(),
            quarantine: Vec::new(),
            before: Vec::new(),
        }
    }

    /// How the rollouts of the target stand.
    fn tell(&mut self, rollouts: &Rollouts, holds: &Holds, now: jiff::Timestamp) {
        let memory = &rollouts.memory;
        let runs = |proof: &Proof| format!("{} since {}", proof.wish.name(), proof.since);
        self.running.extend(memory.proved.values().map(runs));
        let under_way = memory.watched.iter().flat_map(|watched| watched.wishes.values());
        self.rolls_out.extend(under_way.map(Wish::name));
        self.waiting
            .extend(memory.waiting.iter().flat_map(|waiting| waiting.why.clone()));
        let kept = memory.quarantine.iter();
        let kept = kept.filter(|q| memory.quarantined(&q.digest, &holds.approvals, now) == Some(*q));
        self.quarantine
            .extend(kept.map(|q| format!("{} since {}: {}", q.image, q.at, q.why)));
        self.before.extend(rollouts.unspent(&holds.approvals));
    }

    fn nothing(&self, out: &mut dyn Write) -> io::Result<()> {
        let target = &self.target;
        writeln!(
            out,
            "{YELLOW}{target}: nothing waits for someone to agree to it{YELLOW:#}"
        )?;
        for image in &self.running {
            writeln!(out, "    runs {image}")?;
        }
        for image in &self.rolls_out {
            writeln!(out, "    {image} is rolled out now")?;
        }
        for why in &self.waiting {
            writeln!(out, "    waits: {why}")?;
        }
        for kept in &self.quarantine {
            writeln!(
                out,
                "    in quarantine, and not wanted now: {kept}; --digest chooses it"
            )?;
        }
        for approved in &self.before {
            writeln!(out, "    {}", told(approved))?;
        }
        Ok(())
    }
}

fn told(approved: &Approved) -> String {
    let image = approved.image.as_deref().unwrap_or(approved.digest.as_str());
    let by = approved.by.as_deref().unwrap_or("someone");
    format!(
        "{by} agreed to {image}: a rollout of it may begin until {}",
        approved.until
    )
}

impl Show for Report {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(version) = self.version else {
            return self.nothing(out);
        };
        for approved in &self.approved {
            writeln!(out, "{}: {}", self.target, told(approved))?;
        }
        writeln!(
            out,
            "{GREEN}stored{GREEN:#} as version {version}; functions may act on the configuration before for up to {} s",
            CACHED_FOR.as_secs()
        )
    }
}
