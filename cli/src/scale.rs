//! `wharfinger scale TARGET --min N|--max N --for TIME`: other bounds for a while.

use std::cell::Cell;

use anyhow::{Context, bail};
use clap::ArgGroup;
use jiff::Timestamp;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::table::{Table, TableName};
use wharfinger_core::config::changes::Stamp;
use wharfinger_core::config::stored::{Override, StoredTarget};
use wharfinger_core::config::{Scaling, Span};
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::scaling::bounds;

use crate::args::{Global, span, tasks};
use crate::holds::Told;
use crate::nudge::look;
use crate::output::{Verdict, note, show, warning};
use crate::{cloud, holds, pause};

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("bounds").args(["min", "max", "clear"]).required(true).multiple(true))]
pub(crate) struct Args {
    /// `cluster/service`.
    #[arg(value_parser = crate::history::target)]
    target: Target,
    /// The least number of tasks.
    #[arg(long, value_name = "N", value_parser = tasks, allow_hyphen_values = true)]
    min: Option<u32>,
    /// The greatest number of tasks.
    #[arg(long, value_name = "N", value_parser = tasks, allow_hyphen_values = true)]
    max: Option<u32>,
    /// For so long, like `30m` or `2h`.
    #[arg(
        long = "for",
        value_name = "TIME",
        required_unless_present = "clear",
        value_parser = span,
        allow_hyphen_values = true
    )]
    span: Option<Span>,
    /// End it now.
    #[arg(long, conflicts_with_all = ["min", "max", "span"])]
    clear: bool,
    /// Do not have scaling look at the service at once: its next look does, in 5 minutes at most.
    #[arg(long)]
    no_sync: bool,
    /// The scaling function, instead of the stack's.
    #[arg(
        long,
        env = "WHARFINGER_SCALING_FUNCTION",
        hide_env_values = true,
        value_name = "NAME"
    )]
    scaling_function: Option<String>,
}

/// The stack's output that names the function.
const OUTPUT: &str = "ScalingFunctionName";

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let told = cloud::block_on(async {
        let aws = cloud::connect(global, &[TableName::Config]).await?;
        let stamp = pause::stamp(&aws).await;
        let told = args.change(&aws, &stamp).await?;
        if !args.no_sync && told.as_ref().is_some_and(|told| told.changed) {
            ask(&aws, &global.stack, args).await;
        }
        Ok(told)
    })?;
    let Some(told) = told else {
        return Ok(Verdict::Found);
    };
    show(global.output, &told)?;
    Ok(Verdict::Fine)
}

impl Args {
    /// Stores the override. A family of the same name has no count, and stays as it is.
    async fn change(&self, table: &impl Table, stamp: &Stamp) -> anyhow::Result<Option<Told>> {
        let service = Cell::new(false);
        let told = holds::change(table, &self.target, stamp, |target, stored, holds| {
            if target.kind == TargetKind::Service {
                service.set(true);
                holds.scale = self.wanted(target, stored, stamp.at)?;
            }
            Ok(())
        });
        let told = told.await?;
        if told.is_some() && !service.get() {
            bail!("{} stands under `tasks`: only services have a count", self.target);
        }
        Ok(told)
    }

    /// The override that is asked for.
    fn wanted(&self, target: &Target, stored: &StoredTarget, now: Timestamp) -> anyhow::Result<Option<Override>> {
        let Some(span) = self.span else { return Ok(None) };
        let scaling = stored.config.scaling.as_ref();
        let scaling = scaling.with_context(|| format!("{target} has no `scaling`: nothing would move its count"))?;
        let wanted = Override {
            min: self.min,
            max: self.max,
            until: holds::end(now, span)?,
        };
        agree(scaling, wanted, now)?;
        Ok(Some(wanted))
    }
}

/// Whether the bounds go together with those that are in force.
fn agree(scaling: &Scaling, wanted: Override, now: Timestamp) -> anyhow::Result<()> {
    let force = bounds(scaling, None, now);
    let (in_force, why) = (force.bounds, force.why.message);
    match (wanted.min, wanted.max) {
        (Some(min), Some(max)) if min > max => bail!("--min {min} is greater than --max {max}"),
        (Some(min), None) if min > in_force.max => bail!(
            "--min {min} is greater than the max that is in force, {} ({why}): give --max too",
            in_force.max
        ),
        (None, Some(max)) if max < in_force.min => bail!(
            "--max {max} is less than the min that is in force, {} ({why}): give --min too",
            in_force.min
        ),
        _ => Ok(()),
    }
}

/// Has the scaling function look at once. What stands in the way is told: its next look does it.
async fn ask(aws: &Aws, stack: &str, args: &Args) {
    let result = match args.function(aws, stack).await {
        Ok(function) => look(aws, &function, &args.target).await,
        Err(error) => Err(format!("{error:#}")),
    };
    match result {
        Ok(()) => note("the scaling function has looked at its services"),
        Err(why) => warning(format_args!(
            "scaling does not look at {} at once, but at its next looks, in 5 minutes at most: {why}",
            args.target
        )),
    }
}

impl Args {
    async fn function(&self, aws: &Aws, stack: &str) -> anyhow::Result<String> {
        if let Some(given) = self.scaling_function.as_ref().filter(|name| !name.is_empty()) {
            return Ok(given.clone());
        }
        let outputs = aws.stack_outputs(stack).await.with_context(|| {
            format!(
                "the scaling function of the stack `{stack}` cannot be found: name another with --stack, or the function \
                 with WHARFINGER_SCALING_FUNCTION"
            )
        })?;
        let name = outputs.get(OUTPUT).cloned();
        name.with_context(|| format!("the stack `{stack}` has no output `{OUTPUT}`: deploy it anew"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::holds::tests::{held, shop, stamp, text};

    fn args(line: &str) -> Result<Args, String> {
        let words = ["wharfinger", "scale"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Scale(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    async fn scaled(table: &crate::table::busy::Busy, line: &str) -> Result<Told, String> {
        let args = args(line)?;
        let told = args.change(table, &stamp(0)).await;
        told.map(Option::unwrap).map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn an_override_is_stored_under_every_copy_replaced_and_cleared() {
        let table = shop().await;
        let told = scaled(&table, "prod/web --min 4 --for 1h").await.unwrap();
        assert!(
            text(&told).starts_with("prod/web: min is 4 until 1970-01-01T01:00:00Z\nstored as version 2; "),
            "{told:?}"
        );
        let until = Timestamp::from_second(3_600).unwrap();
        let (min, max) = (Some(4), None);
        assert_eq!(held(&table, "cpu").await.scale, Some(Override { min, max, until }));
        assert!(!scaled(&table, "prod/web --min 4 --for 60m").await.unwrap().changed);
        let told = scaled(&table, "prod/web --min 12 --max 30 --for 1h").await.unwrap();
        assert!(
            text(&told).starts_with("prod/web: min is 12 and max is 30 until "),
            "{told:?}"
        );
        let json = serde_json::to_value(&told).unwrap();
        assert_eq!(
            json,
            json!({
                "target": "prod/web", "changed": true, "version": 3, "paused": {},
                "override": { "min": 12, "max": 30, "until": "1970-01-01T01:00:00Z" },
            })
        );
        assert!(scaled(&table, "prod/web --clear").await.unwrap().changed);
        assert_eq!(held(&table, "cpu").await.scale, None);
        assert!(!scaled(&table, "prod/web --clear").await.unwrap().changed);
    }

    #[tokio::test]
    async fn bounds_that_contradict_are_refused_and_nothing_is_written() {
        let table = shop().await;
        let before = table.items.borrow().clone();
        for (line, told) in [
            ("--min 5 --max 3 --for 1h", "--min 5 is greater than --max 3"),
            (
                "--min 11 --for 1h",
                "greater than the max that is in force, 10 (as configured): give --max too",
            ),
            (
                "--max 1 --for 1h",
                "less than the min that is in force, 2 (as configured): give --min too",
            ),
            ("--min 3 --for 0s", "is over at once"),
            ("--min 3", "--for <TIME>"),
            ("--for 1h", "<--min <N>|--max <N>|--clear>"),
            (
                "--min -1 --for 1h",
                "must not be negative: write a whole number, 0 or more",
            ),
            ("--max two --for 1h", "write a whole number, 0 or more"),
            ("--min 3 --for -10m", "must not be negative: write 10m"),
            ("--min 3 --for -x", "`-x` is not a duration"),
            ("--min 3 --for 2", "is not a duration"),
            ("--clear --min 3", "cannot be used with"),
        ] {
            let error = scaled(&table, &format!("prod/web {line}")).await.unwrap_err();
            assert!(error.contains(told), "{line}: {error}");
        }
        let error = scaled(&table, "prod/plain --max 3 --for 1h").await.unwrap_err();
        assert!(error.contains("prod/plain has no `scaling`"), "{error}");
        let error = scaled(&table, "prod/nightly --max 3 --for 1h").await.unwrap_err();
        assert!(error.contains("only services have a count"), "{error}");
        assert_eq!(*table.items.borrow(), before);
    }
}
