//! `wharfinger pause TARGET [DOMAIN]` and `wharfinger resume TARGET [DOMAIN]`

use std::cell::Cell;

use clap::builder::PossibleValuesParser;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::changes::Stamp;
use wharfinger_core::config::holds::{DOMAINS, Holds};
use wharfinger_core::config::stored::EVERY_DOMAIN;
use wharfinger_core::config::{Cluster, Service, Span};
use wharfinger_core::ids::{Target, TargetKind};

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
    /// `cluster/service`, `cluster/family` or `cluster`.
    #[arg(value_parser = crate::history::any_target)]
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
        has.set(has.get() || config.wants(domain));
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

/// What a target wants.
#[derive(Clone, Copy)]
enum Wants<'a> {
    Target(&'a Service),
    Cluster(&'a Cluster),
}

impl Wants<'_> {
    /// Whether anything is configured that a pause of this domain holds back.
    fn wants(self, domain: &str) -> bool {
        match (self, domain) {
            (_, EVERY_DOMAIN) => true,
            (Self::Target(config), "discovery") => !config.discovery.is_empty(),
            (Self::Target(config), "balancing") => !config.balancing.is_empty(),
            (Self::Target(config), "scaling") => config.scaling.is_some(),
            (Self::Target(config), "delivery") => !config.delivery.is_empty(),
            (Self::Target(config), "capacity") => config.capacity.is_some(),
            (Self::Target(config), "storage") => !config.storage.is_empty(),
            (Self::Cluster(config), "capacity") => config.capacity.is_some(),
            (Self::Cluster(config), "storage") => config.orphans().is_some(),
            _ => false,
        }
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
    change: impl Fn(&Stamp, Wants<'_>, &mut Holds) -> anyhow::Result<()>,
) -> anyhow::Result<Verdict> {
    let told = cloud::block_on(async {
        let aws = cloud::connect(global, &[TableName::Config]).await?;
        let stamp = stamp(&aws).await;
        if target.kind == TargetKind::Cluster {
            return holds::change_cluster(&aws, target, &stamp, |stored, holds| {
                change(&stamp, Wants::Cluster(&stored.config), holds)
            })
            .await;
        }
        holds::change(&aws, target, &stamp, |_, stored, holds| {
            change(&stamp, Wants::Target(&stored.config), holds)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pause_holds_back_is_what_is_configured() {
        let document: wharfinger_core::config::Document = serde_json::from_value(serde_json::json!({
            "version": 1,
            "services": { "prod/db": { "storage": [{ "volume": "data", "snapshot": { "every": "6h" } }] } },
            "clusters": { "prod": { "storage": { "orphans": {} } }, "test": { "capacity": {} } },
        }))
        .unwrap();
        let wants = |cluster: &str, domain: &str| Wants::Cluster(&document.clusters[cluster]).wants(domain);
        assert!(Wants::Target(&document.services["prod/db"]).wants("storage"));
        assert!(wants("prod", "storage") && !wants("prod", "capacity"));
        assert!(wants("test", "capacity") && !wants("test", "storage"));
    }
}
