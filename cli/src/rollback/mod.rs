//! `wharfinger rollback TARGET`: a target goes back to a revision or an image that it had.

mod goal;
mod plan;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use serde::Serialize;
use wharfinger_cloud::config::CACHED_FOR;
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::changes::Stamp;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::delivery::ImageRef;
use wharfinger_core::ids::Target;

use crate::args::Global;
use crate::nudge::Nudge;
use crate::output::{BOLD, GREEN, Show, Verdict, YELLOW, note, show};
use crate::{cloud, holds, pause, table};

use goal::Goal;
use plan::{Plan, World, plan};

/// What the options do not say.
pub(crate) const HELP: &str = r#"What a way back does:
  It waits for no gate and for no deployment in progress; it does wait while delivery is paused.
  The image that is left goes into quarantine, and so does the one that would have been next:
  neither goes out again before `wharfinger approve`.
  It pins nothing: the next push that a rule wants is rolled out. `wharfinger pause` holds that back.
  A revision is used as it is. An image goes into a new revision of what the target has now.
  A family under `tasks` has no service to be sent back: name an image with --to."#;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `cluster/service` or `cluster/family`.
    #[arg(value_parser = crate::history::target)]
    target: Target,
    /// Where to: a revision (`41`, `web:41`, its ARN) or an image (`sha256:…`, or 12 of its digits or more); without it the
    /// revision that was out before.
    #[arg(long, value_name = "REVISION|DIGEST", value_parser = goal::goal)]
    to: Option<Goal>,
    #[command(flatten)]
    nudge: Nudge,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let found = cloud::block_on(async {
        let aws = cloud::connect(global, &[TableName::Config, TableName::State]).await?;
        let stamp = pause::stamp(&aws).await;
        let found = args.go(&aws, &stamp).await?;
        if let Some(Ok(_)) = &found {
            args.nudge.ask(&aws, &global.stack, &args.target).await;
        }
        Ok(found)
    })?;
    match found {
        None => Ok(Verdict::Found),
        Some(Err(refused)) => {
            show(global.output, &refused)?;
            Ok(Verdict::Found)
        }
        Some(Ok(told)) => {
            show(global.output, &told)?;
            Ok(Verdict::Fine)
        }
    }
}

/// What was stored, and what comes of it.
#[derive(Debug, PartialEq, Serialize)]
struct Told {
    target: String,
    version: u64,
    #[serde(flatten)]
    plan: Plan,
}

/// Why nothing was stored.
#[derive(Debug, PartialEq, Serialize)]
struct Refused {
    target: String,
    refused: String,
}

impl Args {
    /// Looks, and stores what is asked for. `None` when there is no such target, which is told.
    async fn go(&self, cloud: &impl World, stamp: &Stamp) -> anyhow::Result<Option<Result<Told, Refused>>> {
        let targets = table::read(cloud).await?.targets;
        let known: Vec<_> = targets.keys().map(Target::to_string).collect();
        let mut named: Vec<_> = targets
            .into_iter()
            .filter(|(target, _)| target.to_string() == self.target.to_string())
            .map(|(target, stored)| Managed { target, stored })
            .collect();
        // A service of that name goes before a family: it is what runs.
        named.sort_by_key(|managed| (managed.stored.config.delivery.is_empty(), !managed.is_service()));
        let Some(managed) = named.into_iter().next() else {
            note(holds::unknown(&known, &self.target));
            return Ok(None);
        };
        let plan = match plan(cloud, &managed, self.to.as_ref(), stamp).await? {
            Ok(plan) => plan,
            Err(refused) => {
                let target = managed.target.to_string();
                return Ok(Some(Err(Refused { target, refused })));
            }
        };
        let told = holds::change(cloud, &managed.target, stamp, |target, _, holds| {
            if *target == managed.target {
                holds.back = Some(plan.back.clone());
            }
            Ok(())
        });
        let told = told.await?;
        Ok(told.map(|told| {
            Ok(Told {
                target: managed.target.to_string(),
                version: told.version,
                plan,
            })
        }))
    }
}

impl Show for Refused {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { target, refused } = self;
        writeln!(out, "{YELLOW}{target} stays as it is:{YELLOW:#} {refused}")
    }
}

impl Show for Told {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { target, version, plan } = self;
        writeln!(
            out,
            "{BOLD}{target}{BOLD:#} goes back from {} to {}",
            plan.from, plan.to
        )?;
        let shown = |image: &str| {
            let read: Result<ImageRef, _> = image.parse();
            read.map_or_else(|_| image.to_owned(), |image| image.short())
        };
        for change in &plan.changes {
            writeln!(
                out,
                "    {}: {} -> {}",
                change.name,
                shown(&change.from),
                shown(&change.to)
            )?;
        }
        writeln!(
            out,
            "{GREEN}stored{GREEN:#} as version {version}; functions may act on the configuration before for up to {} s",
            CACHED_FOR.as_secs()
        )?;
        for left in &plan.left {
            writeln!(
                out,
                "{} goes into quarantine: it is not rolled out again before `wharfinger approve {target}` or another push",
                left.image
            )?;
        }
        match &plan.paused {
            None => Ok(()),
            Some(paused) => writeln!(out, "{YELLOW}{paused}{YELLOW:#}: it goes back after that"),
        }
    }
}
