//! `wharfinger restore TARGET`: a service begins anew with a snapshot of one of its volumes.

mod plan;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use wharfinger_cloud::config::CACHED_FOR;
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::changes::Stamp;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::event::parse_time;
use wharfinger_core::ids::Target;

use crate::args::Global;
use crate::output::{BOLD, GREEN, Show, Verdict, YELLOW, note, show};
use crate::{cloud, holds, nudge, pause, table};

use plan::{Plan, World, plan};

/// What the options do not say.
pub(crate) const HELP: &str = r#"What it does:
  The service gets one new deployment, in which the volume begins with the snapshot; everything
  else of its volume configurations stays as it was. Its tasks are replaced as its deployment
  configuration says, and what the present ones have written since the snapshot is not in the new
  volume: make a snapshot first if it is needed. The next rollout begins with what `restore` says."#;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["snapshot", "at"])))]
pub(crate) struct Args {
    /// `cluster/service`.
    #[arg(value_parser = crate::history::target)]
    target: Target,
    /// The snapshot, `snap-…`.
    #[arg(long, value_name = "ID", value_parser = snapshot_id)]
    snapshot: Option<String>,
    /// The newest completed snapshot of that time or before, like `2026-01-31T09:30:00Z`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// The volume, by its name in the task definition; without it the only one in the service's `storage`.
    #[arg(long, value_name = "NAME")]
    volume: Option<String>,
    /// Do not have storage look at the service at once: its next look does.
    #[arg(long)]
    no_sync: bool,
    /// The storage function, instead of the stack's.
    #[arg(
        long,
        env = "WHARFINGER_STORAGE_FUNCTION",
        hide_env_values = true,
        value_name = "NAME"
    )]
    storage_function: Option<String>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    parse_time(text).ok_or_else(|| "write it like 2026-01-31T09:30:00Z".to_owned())
}

fn snapshot_id(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("snap-").filter(|digits| !digits.is_empty());
    match digits {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(text.to_owned()),
        _ => Err("a snapshot's id is `snap-` and hexadecimal digits, like snap-0123456789abcdef0".to_owned()),
    }
}

/// Which snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// This one, whoever made it.
    Id(String),
    /// The newest of ours of that time or before.
    At(Timestamp),
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let found = cloud::block_on(async {
        let aws = cloud::connect(global, &[TableName::Config]).await?;
        let stamp = pause::stamp(&aws).await;
        let found = args.go(&aws, &global.stack, &stamp).await?;
        if !args.no_sync
            && let Some(Ok(_)) = &found
        {
            let function = args.storage_function.as_deref();
            nudge::STORAGE.ask(&aws, &global.stack, &args.target, function).await;
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
    fn which(&self) -> Option<Which> {
        let id = self.snapshot.clone().map(Which::Id);
        id.or_else(|| self.at.map(Which::At))
    }

    /// Looks, and stores what is asked for. `None` when there is no such service, which is told.
    async fn go(
        &self,
        cloud: &impl World,
        owner: &str,
        stamp: &Stamp,
    ) -> anyhow::Result<Option<Result<Told, Refused>>> {
        let targets = table::read(cloud).await?.targets;
        let known: Vec<_> = targets.keys().map(Target::to_string).collect();
        let named = targets
            .into_iter()
            .map(|(target, stored)| Managed { target, stored })
            .find(|managed| managed.is_service() && managed.target.to_string() == self.target.to_string());
        let Some(managed) = named else {
            note(holds::unknown(&known, &self.target));
            return Ok(None);
        };
        // One of the two is there: clap sees to it.
        let Some(which) = self.which() else { return Ok(None) };
        let plan = match plan(cloud, owner, &managed, &which, self.volume.as_deref(), stamp).await? {
            Ok(plan) => plan,
            Err(refused) => {
                let target = managed.target.to_string();
                return Ok(Some(Err(Refused { target, refused })));
            }
        };
        let told = holds::change(cloud, &managed.target, stamp, |target, _, holds| {
            if *target == managed.target {
                holds.restore = Some(plan.asked.clone());
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
        let Plan {
            volume, snapshot, at, ..
        } = plan;
        writeln!(
            out,
            "{BOLD}{target}{BOLD:#} begins anew: volume {volume} with {snapshot}, of {at}"
        )?;
        writeln!(
            out,
            "{YELLOW}what was written since is not in it{YELLOW:#}, and what the present tasks write goes with them"
        )?;
        writeln!(
            out,
            "{GREEN}stored{GREEN:#} as version {version}; functions may act on the configuration before for up to {} s",
            CACHED_FOR.as_secs()
        )?;
        match &plan.paused {
            None => Ok(()),
            Some(paused) => writeln!(out, "{YELLOW}{paused}{YELLOW:#}: it begins after that"),
        }
    }
}
