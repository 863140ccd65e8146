//! The passes: every minute over the services of which something is due, every five minutes over all.
//!
//! The snapshots of all services are listed together. What nothing comes of is settled without the lease; only a service of
//! which something does is converged on, and there its snapshots are listed anew: another invocation may have made one since.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use wharfinger_cloud::Fault;
use wharfinger_cloud::active::Row;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::sweep::{Askable, Pass, Scope};
use wharfinger_cloud::table::{Item, Key, TableName, as_text};
use wharfinger_core::config::stored::{Managed, paused};
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::storage::{Asks, Lineage, ORPHAN_TAG, OWNER_TAG, Snapshot, decide};

use crate::observe::Listed;
use crate::{ACTIVE, Cloud, NAME, Storage, access, keeps, observe, orphans, rows};

/// How many services are converged on at once.
const AT_ONCE: usize = 8;

/// What this function can be asked for: the pass of every minute is over the services of the active set.
pub const ASKABLE: Askable = Askable {
    only: "active",
    dry_run: false,
};

/// One pass.
///
/// # Errors
/// When parts of it failed; the others went through.
pub async fn sweep(
    function: &Storage,
    cloud: &impl Cloud,
    holder: &str,
    event_id: &str,
    scope: &Scope,
) -> Result<(), Fault> {
    let cause = Cause {
        name: format!("sweep {event_id}"),
        at: None,
    };
    let mut rows = ACTIVE.rows(cloud).await?;
    rows.retain(|target, row| scope.covers(target) && (!scope.often || row.is_due(cloud.now())));
    let mut pass = Pass::of(NAME);
    let found = if scope.often {
        function.config.several(cloud, rows.keys()).await?
    } else if scope.target.is_some() {
        // Whoever asks for one service has changed what is stored of it just now.
        function.config.all_anew(cloud).await?
    } else {
        function.config.all(cloud).await?
    };
    pass.report(cloud, &found.malformed);
    let services: Vec<_> = found.targets.into_iter().filter(keeps).collect();
    let is_complete = found.malformed.is_empty();
    if is_complete {
        let configured: BTreeSet<_> = services.iter().map(|managed| &managed.target).collect();
        for (target, row) in rows.iter().filter(|(target, _)| !configured.contains(target)) {
            ACTIVE.forget(cloud, target, *row).await?;
        }
    }
    let round = Round {
        function,
        cloud,
        rows: &rows,
    };
    let mut counts = Vec::new();
    let busy = if scope.often {
        round.due(services)
    } else {
        let listed = cloud.snapshots_tagged(OWNER_TAG, &function.owner).await?;
        let (orphans, listed) = listed
            .into_iter()
            .partition(|snapshot| snapshot.tags.contains_key(ORPHAN_TAG));
        counts.extend(orphans::pass(function, cloud, holder, &cause, scope, orphans, &mut pass).await?);
        let (busy, counted) = round.look(services, listed, scope, is_complete).await?;
        counts.extend(counted);
        busy
    };
    counts.push(("BusyServices", busy.len()));
    let converging = busy.into_iter().map(async |managed| {
        let (name, row) = (managed.target.to_string(), rows.get(&managed.target).copied());
        let done = function.converge(cloud, holder, &cause, managed, row).await;
        (name, done)
    });
    let done: Vec<_> = stream::iter(converging).buffer_unordered(AT_ONCE).collect().await;
    for (name, result) in done {
        pass.part(cloud, name, result);
    }
    pass.finish(cloud, &counts).await
}

struct Round<'a, C> {
    function: &'a Storage,
    cloud: &'a C,
    rows: &'a BTreeMap<Target, Row>,
}

impl<C: Cloud> Round<'_, C> {
    /// Those that are not paused: of a pause the pass over all tells.
    fn due(&self, services: Vec<Managed>) -> Vec<Managed> {
        let now = self.cloud.now();
        let is_free = |managed: &Managed| paused(&managed.stored.paused, NAME, now).is_none();
        services.into_iter().filter(is_free).collect()
    }

    /// Settles what nothing comes of; answers the services of which something does, and what was counted.
    async fn look(
        &self,
        services: Vec<Managed>,
        listed: Vec<Snapshot>,
        scope: &Scope,
        is_complete: bool,
    ) -> Result<(Vec<Managed>, Vec<(&'static str, usize)>), Fault> {
        let strange = strange(&listed, &services);
        let file_systems = access::list(self.cloud, &access::named(&services)).await;
        let unused = access::unused(&file_systems, &services, &self.function.owner);
        if is_complete {
            for (lineage, count) in &strange {
                tracing::warn!(
                    lineage,
                    count,
                    "snapshots that nothing is configured for: nothing removes them"
                );
            }
            rows::tell_strange(self.cloud, &strange).await?;
            access::tell_unused(&unused);
        }
        let mut listed = by_target(listed);
        let mut covered = services;
        covered.retain(|managed| scope.covers(&managed.target));
        let counts = vec![
            ("SweptServices", covered.len()),
            ("StrangeSnapshots", strange.values().sum()),
            ("UnusedAccessPoints", unused.len()),
        ];
        let mut items = self.items(&covered).await?;
        let mut busy = Vec::new();
        for managed in covered {
            let item = items.remove(&service_key(&managed.target)).unwrap_or_default();
            let snapshots = listed.remove(&managed.target).unwrap_or_default();
            let listed = Listed {
                snapshots: Known::Yes(snapshots),
                file_systems: access::of(&managed, &file_systems),
            };
            if !self.settle(&managed, listed, &item).await? {
                busy.push(managed);
            }
        }
        Ok((busy, counts))
    }

    /// What is remembered of services.
    async fn items(&self, services: &[Managed]) -> Result<BTreeMap<Key, Item>, Fault> {
        let keys: Vec<_> = services.iter().map(|managed| service_key(&managed.target)).collect();
        let items = self.cloud.get_all(TableName::State, &keys).await?;
        Ok(items
            .into_iter()
            .filter_map(|item| Some((Key::of(&item)?, item)))
            .collect())
    }

    /// `true` when nothing comes of this look, and nothing new is to be said or remembered.
    async fn settle(&self, managed: &Managed, listed: Listed, item: &Item) -> Result<bool, Fault> {
        let (cloud, now) = (self.cloud, self.cloud.now());
        let facts = observe::facts(cloud, &self.function.owner, managed, listed, item);
        let decided = decide(&facts, now);
        let is_known = decided.memory == facts.memory
            && decided.notices.is_empty()
            && as_text(item, observe::SAID) == Some(decided.decision.fingerprint().as_str());
        if !is_known || decided.asks != Asks::default() || !decided.decision.actions.is_empty() {
            return Ok(false);
        }
        match (decided.next_look, self.rows.get(&managed.target).copied()) {
            (Some(next), row) => ACTIVE.keep(cloud, &managed.target, next, row).await?,
            (None, Some(row)) => ACTIVE.forget(cloud, &managed.target, row).await?,
            (None, None) => {}
        }
        Ok(true)
    }
}

/// Snapshots by the service whose volumes they are of.
fn by_target(listed: Vec<Snapshot>) -> BTreeMap<Target, Vec<Snapshot>> {
    let mut found: BTreeMap<Target, Vec<Snapshot>> = BTreeMap::new();
    for snapshot in listed {
        if let Some(Lineage { target, .. }) = snapshot.lineage() {
            found.entry(target).or_default().push(snapshot);
        }
    }
    found
}

/// What tells lineages apart: of an identity not the name of its volume, which may have been another.
fn name(lineage: &Lineage) -> String {
    match lineage.identity {
        Some(identity) => format!("{}.{identity}", lineage.target),
        None => lineage.to_string(),
    }
}

/// How many snapshots of ours there are of each lineage that is not configured.
fn strange(listed: &[Snapshot], services: &[Managed]) -> BTreeMap<String, usize> {
    let of = |managed: &Managed| {
        let (target, config) = (&managed.target, &managed.stored.config);
        let rules = config
            .storage
            .iter()
            .filter(|rule| rule.is_ebs())
            .map(|rule| Lineage::of(target, rule.volume.clone()));
        let identities = config
            .stateful
            .iter()
            .flat_map(|stateful| (0..stateful.count).map(|n| Lineage::of_identity(target, n, stateful.volume.clone())));
        rules
            .chain(identities)
            .map(|lineage| name(&lineage))
            .collect::<Vec<_>>()
    };
    let configured: BTreeSet<_> = services.iter().flat_map(of).collect();
    let mut strange = BTreeMap::new();
    for snapshot in listed {
        let lineage = snapshot.lineage();
        if lineage
            .as_ref()
            .is_none_or(|lineage| !configured.contains(&name(lineage)))
        {
            let name = lineage.map_or_else(|| "?".to_owned(), |lineage| lineage.to_string());
            *strange.entry(name).or_default() += 1;
        }
    }
    strange
}
