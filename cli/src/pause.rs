//! `wharfinger pause TARGET [DOMAIN]` and `wharfinger resume TARGET [DOMAIN]`

use clap::builder::PossibleValuesParser;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::Span;
use wharfinger_core::config::changes::Stamp;
use wharfinger_core::config::holds::{DOMAINS, Holds};
use wharfinger_core::config::stored::EVERY_DOMAIN;
use wharfinger_core::ids::Target;

use crate::args::Global;
use crate::output::{Verdict, show};
use crate::{cloud, holds};

#[derive(Debug, clap::Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    of: Of,
    /// For so long, like `30m` or `2h`; without it until it is resumed.
    #[arg(long = "for", value_name = "TIME")]
    span: Option<Span>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, clap::Args)]
struct Of {
    /// `cluster/service` or `cluster/family`.
    #[arg(value_parser = crate::history::target)]
    target: Target,
    /// What of it.
    #[arg(value_parser = domains(), default_value = EVERY_DOMAIN)]
    domain: String,
}

fn domains() -> PossibleValuesParser {
    PossibleValuesParser::new(std::iter::once(EVERY_DOMAIN).chain(DOMAINS))
}

pub(crate) fn pause(global: &Global, args: &Pause) -> anyhow::Result<Verdict> {
    run(global, &args.of.target, |stamp, holds| {
        let until = args.span.map(|span| holds::end(stamp.at, span)).transpose()?;
        holds.pause(&args.of.domain, until);
        Ok(())
    })
}

pub(crate) fn resume(global: &Global, args: &Resume) -> anyhow::Result<Verdict> {
    run(global, &args.of.target, |_, holds| {
        holds.resume(&args.of.domain);
        Ok(())
    })
}

fn run(
    global: &Global,
    target: &Target,
    change: impl Fn(&Stamp, &mut Holds) -> anyhow::Result<()>,
) -> anyhow::Result<Verdict> {
    let told = cloud::block_on(async {
        let aws = cloud::connect(global, &[TableName::Config]).await?;
        let stamp = stamp(&aws).await;
        holds::change(&aws, target, &stamp, |_, _, holds| change(&stamp, holds)).await
    })?;
    let Some(told) = told else {
        return Ok(Verdict::Found);
    };
    show(global.output, &told)?;
    Ok(Verdict::Fine)
}

/// Now, and who this is.
pub(crate) async fn stamp(aws: &Aws) -> Stamp {
    Stamp {
        at: aws.now(),
        by: cloud::caller(aws).await,
    }
}
