//! What holds for a target besides its configuration: changed by `pause`, `resume` and `scale`, and told by them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;
use wharfinger_cloud::config::CACHED_FOR;
use wharfinger_cloud::table::Table;
use wharfinger_core::config::Span;
use wharfinger_core::config::changes::{Current, Stamp, Transaction, rewrite};
use wharfinger_core::config::holds::Holds;
use wharfinger_core::config::stored::{EVERY_DOMAIN, Override, StoredCluster, StoredTarget};
use wharfinger_core::ids::{Target, TargetKind};

use crate::document::there_is;
use crate::output::{GREEN, Show, note};
use crate::table;

/// What holds now, and what was written for it.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Told {
    target: String,
    /// Whether anything was written.
    pub(crate) changed: bool,
    pub(crate) version: u64,
    #[serde(flatten)]
    pub(crate) holds: Holds,
}

/// What is to be written.
struct Plan {
    holds: BTreeMap<Target, Holds>,
    transactions: Vec<Transaction>,
}

/// Changes what holds for a target, and for a family of the same name too. `None` when there is no such target, which is
/// told with the nearest.
pub(crate) async fn change(
    table: &impl Table,
    target: &Target,
    stamp: &Stamp,
    change: impl Fn(&Target, &StoredTarget, &mut Holds) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Told>> {
    written(table, target, stamp, |current| {
        let mut holds = BTreeMap::new();
        for (known, stored) in named(current, target)? {
            let mut changed = Holds::of(stored, stamp.at);
            change(known, stored, &mut changed)?;
            holds.insert(known.clone(), changed);
        }
        if holds.is_empty() {
            let names: Vec<_> = current.targets.keys().map(Target::to_string).collect();
            note(unknown(&names, target));
        }
        Ok(holds)
    })
    .await
}

/// Changes what holds for a cluster. `None` when there is no such cluster, which is told with the nearest.
pub(crate) async fn change_cluster(
    table: &impl Table,
    target: &Target,
    stamp: &Stamp,
    change: impl Fn(&StoredCluster, &mut Holds) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Told>> {
    written(table, target, stamp, |current| {
        let Some(stored) = current.clusters.get(&target.cluster) else {
            let names: Vec<_> = current.clusters.keys().cloned().collect();
            note(unknown(&names, target));
            return Ok(BTreeMap::new());
        };
        let mut changed = Holds::of_cluster(stored, stamp.at);
        change(stored, &mut changed)?;
        Ok(BTreeMap::from([(target.clone(), changed)]))
    })
    .await
}

/// Writes what is to hold from now on.
async fn written(
    table: &impl Table,
    target: &Target,
    stamp: &Stamp,
    holds: impl Fn(&Current) -> anyhow::Result<BTreeMap<Target, Holds>>,
) -> anyhow::Result<Option<Told>> {
    let planned = |current: &Current| {
        let holds = holds(current)?;
        let transactions = rewrite(current, &holds, stamp);
        Ok(Plan { holds, transactions })
    };
    let (plan, version) = table::write(table, planned, |plan| &plan.transactions).await?;
    let holds = plan.holds.into_values().reduce(|mut all, other| {
        all.paused.extend(other.paused);
        all.scale = all.scale.or(other.scale);
        all.approvals.extend(other.approvals);
        all.back = all.back.or(other.back);
        all.restore = all.restore.or(other.restore);
        all
    });
    Ok(holds.map(|holds| Told {
        target: target.to_string(),
        changed: !plan.transactions.is_empty(),
        version,
        holds,
    }))
}

/// What is stored under a name: a service, a family, or both.
fn named<'c>(
    current: &'c Current,
    target: &Target,
) -> anyhow::Result<impl Iterator<Item = (&'c Target, &'c StoredTarget)>> {
    let is_it = {
        let target = target.clone();
        move |known: &Target| (&known.cluster, &known.name) == (&target.cluster, &target.name)
    };
    if current.malformed.iter().any(&is_it) {
        bail!("what is stored of {target} cannot be read: apply its configuration anew");
    }
    Ok(current.targets.iter().filter(move |(known, _)| is_it(known)))
}

/// Whether anything is stored under the name of a target: a cluster, or a service or a family. That there is nothing is
/// told.
pub(crate) fn is_configured(current: &Current, target: &Target) -> bool {
    let clusters = target.kind == TargetKind::Cluster;
    let names: Vec<_> = if clusters {
        current.clusters.keys().cloned().collect()
    } else {
        let all = current.targets.keys().chain(&current.malformed);
        all.map(ToString::to_string).collect()
    };
    let known = names.contains(&target.to_string());
    if !known {
        note(unknown(&names, target));
    }
    known
}

/// There is no such target among these.
pub(crate) fn unknown(names: &[String], target: &Target) -> String {
    let hint = there_is(&target.to_string(), names);
    format!("{target} is not configured{hint}: `wharfinger export` prints what is")
}

/// The end of a span that begins now, without parts of a second.
pub(crate) fn end(now: Timestamp, span: Span) -> anyhow::Result<Timestamp> {
    if span == Span::default() {
        bail!("--for {span} is over at once: give a longer time, like 30m or 2h");
    }
    let now = Timestamp::from_second(now.as_second())?;
    now.checked_add(span.duration())
        .with_context(|| format!("--for {span} is too long"))
}

/// One pause, in words.
pub(crate) fn pause(domain: &str, until: Option<Timestamp>) -> String {
    let who = if domain == EVERY_DOMAIN { "everything" } else { domain };
    match until {
        Some(until) => format!("{who} is paused until {until}"),
        None => format!("{who} is paused until it is resumed"),
    }
}

/// An override, in words.
pub(crate) fn overridden(over: &Override) -> String {
    let Override { min, max, until } = over;
    let bound = |word: &str, bound: &Option<u32>| bound.map(|n| format!("{word} is {n}"));
    let bounds: Vec<_> = bound("min", min).into_iter().chain(bound("max", max)).collect();
    format!("{} until {until}", bounds.join(" and "))
}

impl Show for Told {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            target,
            changed,
            version,
            holds,
        } = self;
        for (domain, until) in &holds.paused {
            writeln!(out, "{target}: {}", pause(domain, *until))?;
        }
        if let Some(over) = &holds.scale {
            writeln!(out, "{target}: {}", overridden(over))?;
        }
        if holds.is_idle() {
            writeln!(out, "{target}: nothing is paused, and no bound is overridden")?;
        }
        if *changed {
            writeln!(
                out,
                "{GREEN}stored{GREEN:#} as version {version}; functions may act on the configuration before for up to {} s",
                CACHED_FOR.as_secs()
            )
        } else {
            writeln!(out, "nothing was written: version {version} is in force")
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::SignedDuration;
    use wharfinger_core::config::Document;
    use wharfinger_core::config::changes::plan;
    use wharfinger_core::config::stored::{Resolved, TARGETS, alarm_partition, repository_partition};

    use super::*;
    use crate::table::busy::Busy;

    pub(crate) fn stamp(second: i64) -> Stamp {
        Stamp {
            at: Timestamp::from_second(second).unwrap(),
            by: "me".to_owned(),
        }
    }

    pub(crate) fn text(told: &Told) -> String {
        let mut out = Vec::new();
        told.text(&mut out).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    /// A shop that was applied, with a service and a family of one name.
    pub(crate) async fn shop() -> Busy {
        let table = Busy::default();
        apply(&table, "cpu").await;
        table
    }

    pub(crate) async fn apply(table: &Busy, alarm: &str) {
        let text = format!(
            "version: 1\nservices:\n  prod/web:\n    scaling: {{ min: 2, max: 10, rules: [{{ alarm: {alarm}, add: 1 }}] }}\n    \
             delivery: [{{ repository: shop/web, tags: {{ exact: v1 }} }}]\n  prod/plain: {{}}\ntasks:\n  prod/web: {{}}\n  prod/nightly: {{}}\n"
        );
        let document: Document = crate::document::load("shop.yaml", &text).document.unwrap();
        let planned = |stored: &Current| Ok(plan(stored, &document, &Resolved::default(), false, &stamp(0)).unwrap());
        table::write(table, planned, |plan| &plan.transactions).await.unwrap();
    }

    /// What holds for the service, in every copy of it.
    pub(crate) async fn held(table: &Busy, alarm: &str) -> Holds {
        let mut found = Vec::new();
        for partition in [
            TARGETS.to_owned(),
            alarm_partition(alarm),
            repository_partition("shop/web"),
        ] {
            let items = table
                .query(wharfinger_cloud::table::TableName::Config, &partition)
                .await
                .unwrap();
            let read = wharfinger_cloud::config::read(items);
            let web = read
                .targets
                .into_iter()
                .find(|m| m.target == Target::service("prod", "web"));
            found.push(Holds::of(&web.unwrap().stored, Timestamp::UNIX_EPOCH));
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
        found.remove(0)
    }

    #[tokio::test]
    async fn what_holds_is_written_once_and_kept_by_the_next_apply() {
        let (table, web) = (shop().await, Target::service("prod", "web"));
        let pausing = |_: &Target, _: &StoredTarget, holds: &mut Holds| {
            holds.pause("scaling", None);
            Ok(())
        };
        table.others.set(1);
        let told = change(&table, &web, &stamp(0), pausing).await.unwrap().unwrap();
        assert_eq!((told.changed, told.version), (true, 2));
        assert_eq!(
            text(&told),
            "prod/web: scaling is paused until it is resumed\nstored as version 2; functions may act on the configuration \
             before for up to 30 s\n"
        );
        assert_eq!(held(&table, "cpu").await, told.holds);
        let again = change(&table, &web, &stamp(0), pausing).await.unwrap().unwrap();
        assert_eq!((again.changed, again.version, &again.holds), (false, 2, &told.holds));
        assert!(text(&again).ends_with("nothing was written: version 2 is in force\n"));
        // Copies under an alarm that is named later have it too.
        apply(&table, "load").await;
        assert_eq!(held(&table, "load").await, told.holds);
    }

    #[tokio::test]
    async fn who_is_not_configured_is_told_with_the_nearest() {
        let table = shop().await;
        let before = table.items.borrow().clone();
        let wbe = Target::service("prod", "wbe");
        let found = change(&table, &wbe, &stamp(0), |_, _, _| panic!("of whom?")).await;
        assert_eq!(found.unwrap(), None);
        assert_eq!(*table.items.borrow(), before);
        let told = unknown(&["prod/web".to_owned(), "prod/plain".to_owned()], &wbe);
        assert!(
            told.starts_with("prod/wbe is not configured (there is prod/web)"),
            "{told}"
        );
    }

    #[test]
    fn an_end_is_a_whole_second_later_than_now() {
        let now = Timestamp::from_millisecond(1_500).unwrap();
        assert_eq!(end(now, Span::minutes(1)).unwrap().as_second(), 61);
        assert!(end(now, Span::seconds(0)).is_err());
        let late = Timestamp::MAX - SignedDuration::from_secs(5);
        assert!(end(late, Span::minutes(1)).is_err());
    }
}
