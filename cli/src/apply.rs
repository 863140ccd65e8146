//! `wharfinger apply FILE`

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::config::CACHED_FOR;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::changes::{Current, Stamp, plan, plan_lingering};
use wharfinger_core::config::stored::{Resolved, registry_id};

use crate::args::Global;
use crate::difference::Difference;
use crate::names::{create, look_up};
use crate::output::{GREEN, Show, Verdict, note, show, warning};
use crate::sync::{Moves, Named};
use crate::{cloud, input, sync, table};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Args {
    /// The configuration; `-` for standard input.
    #[arg(default_value = "wharfinger.yaml")]
    file: PathBuf,
    /// Remove what is stored and not in the file.
    #[arg(long)]
    prune: bool,
    /// Create the Cloud Map namespaces and services that `discovery.to` names and that do not exist.
    #[arg(long)]
    create: bool,
    /// Have each service with `drain` get its side container at once, with a deployment, and not with its next rollout;
    /// or lose it, where `drain` was taken out.
    #[arg(long)]
    linger: bool,
    /// Do not sweep the endpoints of changed targets at once: the next sweeps do, in 5 minutes at most.
    #[arg(long)]
    no_sync: bool,
    #[command(flatten)]
    named: Named,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    applied: bool,
    version: u64,
    created: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lingering: Vec<String>,
    #[serde(flatten)]
    difference: Difference,
    /// The sweeps that followed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sync: Vec<sync::Report>,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let (loaded, document) = input::applicable_document(&args.file)?;
    let report = cloud::block_on(async {
        let aws = cloud::connect(global, &[TableName::Config]).await?;
        let mut found = look_up(&aws, &document, args.create).await?;
        input::applicable_to_aws(loaded, std::mem::take(&mut found.problems))?;
        let created = create(&aws, &mut found).await?;
        let by = cloud::caller(&aws).await;
        let planned = |stored: &Current| {
            let stamp = Stamp {
                at: aws.now(),
                by: by.clone(),
            };
            let plan = if args.linger { plan_lingering } else { plan };
            Ok(plan(
                stored,
                &document,
                &with_known(&found.names, stored),
                args.prune,
                &stamp,
            )?)
        };
        let (plan, version) = table::write(&aws, planned, |plan| &plan.transactions).await?;
        let difference = Difference::of(&plan.comparison)?;
        let sync = if args.no_sync {
            Vec::new()
        } else {
            follow_up(&aws, global, &args.named, &Moves::of(&plan.comparison)).await
        };
        Ok(Report {
            applied: !plan.transactions.is_empty(),
            version,
            created,
            lingering: plan.lingering.iter().map(ToString::to_string).collect(),
            difference,
            sync,
        })
    })?;
    if args.linger && report.lingering.is_empty() {
        note("no service of the file has `drain`: --linger asks for nothing");
    }
    show(global.output, &report)?;
    Ok(Verdict::Fine)
}

/// What an id or an ARN could not be asked about this time stays as it was found before.
fn with_known(names: &Resolved, stored: &Current) -> Resolved {
    let mut all = names.clone();
    for target in stored.targets.values() {
        let registries = target.registries.iter().filter(|(to, _)| registry_id(to).is_some());
        for (to, registry) in registries {
            all.registries.entry(to.clone()).or_insert_with(|| registry.clone());
        }
        let groups = target.target_groups.iter().filter(|(name, _)| name.starts_with("arn:"));
        for (name, group) in groups {
            all.target_groups.entry(name.clone()).or_insert_with(|| group.clone());
        }
    }
    all
}

/// Has discovery and balancing look at what changed. What stands in the way is told: the next sweeps do it.
async fn follow_up(aws: &Aws, global: &Global, named: &Named, moves: &Moves) -> Vec<sync::Report> {
    if !moves.any() {
        return Vec::new();
    }
    let domains: Vec<_> = moves.domains.iter().copied().collect();
    match named.find(aws, &global.stack, &domains).await {
        Ok(functions) => sync::follow(aws, &functions, moves).await,
        Err(error) => {
            warning(format_args!(
                "endpoints are not swept at once, but at the next sweeps, in 5 minutes at most: {error:#}"
            ));
            Vec::new()
        }
    }
}

impl Show for Report {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for created in &self.created {
            writeln!(out, "{GREEN}created{GREEN:#} {created}")?;
        }
        self.difference.text(out)?;
        for target in &self.lingering {
            writeln!(
                out,
                "{GREEN}asked{GREEN:#}   {target}: the delivery function brings its side container in line with `drain` \
                 at its next sweep, in 5 minutes at most"
            )?;
        }
        if self.applied {
            writeln!(
                out,
                "{GREEN}applied{GREEN:#} as version {}; functions may act on the configuration before for up to {} s",
                self.version,
                CACHED_FOR.as_secs()
            )?;
            self.sync.iter().try_for_each(|report| report.text(out))
        } else {
            writeln!(out, "nothing was written: version {} is in force", self.version)
        }
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_cloud::table::{Item, Key, number};
    use wharfinger_core::config::changes::Plan;
    use wharfinger_core::config::stored::{Registry, StoredTarget};
    use wharfinger_core::config::{Document, Service};
    use wharfinger_core::ids::Target;

    use super::*;
    use crate::table::ATTEMPTS;
    use crate::table::busy::Busy;

    async fn apply(table: &Busy, document: &Document) -> anyhow::Result<(Plan, u64)> {
        let planned = |stored: &Current| {
            let stamp = Stamp {
                at: jiff::Timestamp::UNIX_EPOCH,
                by: "me".to_owned(),
            };
            Ok(plan(
                stored,
                document,
                &wharfinger_core::config::stored::Resolved::default(),
                false,
                &stamp,
            )?)
        };
        table::write(table, planned, |plan| &plan.transactions).await
    }

    fn shop() -> Document {
        let text = "version: 1\nservices:\n  prod/web: {}\n";
        crate::document::load("shop.yaml", text).document.unwrap()
    }

    #[test]
    fn what_cannot_be_asked_about_stays_as_it_was_found() {
        let registry = |id: &str, custom_health| Registry {
            custom_health,
            ..Registry::of(id)
        };
        let mut target = StoredTarget::new(Service::default());
        for to in ["srv-1", "srv-2", "shop.local/web"] {
            target.registries.insert(to.into(), registry("srv-old", true));
        }
        let stored = Current {
            targets: [(Target::service("prod", "web"), target)].into(),
            ..Current::default()
        };
        let mut names = Resolved::default();
        names.registries.insert("srv-1".into(), registry("srv-1", false));
        let all = with_known(&names, &stored);
        assert_eq!(all.registries["srv-1"], registry("srv-1", false));
        assert_eq!(all.registries["srv-2"], registry("srv-old", true));
        // A name may mean something else by now.
        assert!(!all.registries.contains_key("shop.local/web"));
    }

    #[tokio::test]
    async fn an_apply_that_is_overtaken_begins_anew() {
        let table = Busy::default();
        table.others.set(ATTEMPTS - 1);
        let (plan, version) = apply(&table, &shop()).await.unwrap();
        assert_eq!((plan.transactions.len(), version), (1, 1));
        assert!(
            table
                .items
                .borrow()
                .contains_key(&Key::new("targets", "service#prod/web"))
        );
        let (plan, version) = apply(&table, &shop()).await.unwrap();
        assert_eq!((plan.transactions.len(), version), (0, 1));
    }

    #[tokio::test]
    async fn an_apply_that_is_always_overtaken_gives_up() {
        let table = Busy::default();
        table.others.set(ATTEMPTS);
        let error = apply(&table, &shop()).await.unwrap_err().to_string();
        assert!(error.contains("apply again"), "{error}");
        assert!(table.items.borrow().is_empty());
    }

    #[tokio::test]
    async fn the_version_goes_on_from_the_one_that_is_stored() {
        let table = Busy::default();
        let mut meta = Item::default();
        meta.insert("pk".to_owned(), wharfinger_cloud::table::text("meta"));
        meta.insert("sk".to_owned(), wharfinger_cloud::table::text("meta"));
        meta.insert("version".to_owned(), number(41));
        table.items.borrow_mut().insert(Key::new("meta", "meta"), meta);
        assert_eq!(apply(&table, &shop()).await.unwrap().1, 42);
    }
}
