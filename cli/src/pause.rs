//! `wharfinger pause TARGET [DOMAIN]` and `wharfinger resume TARGET [DOMAIN]`

use std::cell::Cell;

use clap::builder::PossibleValuesParser;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::changes::Stamp;
use wharfinger_core::config::holds::{DOMAINS, Holds};
use wharfinger_core::config::stored::EVERY_DOMAIN;
use wharfinger_core::config::{Service, Span};
use wharfinger_core::ids::Target;

use crate::args::{Global, span};
use crate::output::{Verdict, note, show};
use crate::{cloud, holds};

#[derive(Debug, clap::Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    of: Of,
    /// For so long, like `30m` or `2h`; without it until it is resumed.
    #[arg(long = "for", value_name = "TIME", value_parser = span, allow_hyphen_values = true)]
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
    let Of { target, domain } = &args.of;
    let has = Cell::new(false);
    let verdict = run(global, target, |stamp, config, holds| {
        has.set(has.get() || wants(config, domain));
        let until = args.span.map(|span| holds::end(stamp.at, span)).transpose()?;
        holds.pause(domain, until);
        Ok(())
    })?;
    if verdict == Verdict::Fine && !has.get() {
        note(format_args!(
            "{target} has no `{domain}`: there is nothing that this holds back, unless its configuration gets some"
        ));
    }
    Ok(verdict)
}

/// Whether anything is configured that a pause of this domain holds back.
fn wants(config: &Service, domain: &str) -> bool {
    match domain {
        "discovery" => !config.discovery.is_empty(),
        "balancing" => !config.balancing.is_empty(),
        "scaling" => config.scaling.is_some(),
        "delivery" => !config.delivery.is_empty(),
        _ => true,
    }
}

pub(crate) fn resume(global: &Global, args: &Resume) -> anyhow::Result<Verdict> {
    run(global, &args.of.target, |_, _, holds| {
        holds.resume(&args.of.domain);
        Ok(())
    })
}

fn run(
    global: &Global,
    target: &Target,
    change: impl Fn(&Stamp, &Service, &mut Holds) -> anyhow::Result<()>,
) -> anyhow::Result<Verdict> {
    let told = cloud::block_on(async {
        let aws = cloud::connect(global, &[TableName::Config]).await?;
        let stamp = stamp(&aws).await;
        holds::change(&aws, target, &stamp, |_, stored, holds| {
            change(&stamp, &stored.config, holds)
        })
        .await
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
