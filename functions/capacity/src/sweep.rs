//! The passes: every minute over the clusters and services of which something is to be expected, every five minutes over
//! all clusters with `capacity`, whole, and over all services with a fallback.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use wharfinger_cloud::Fault;
use wharfinger_cloud::active::Row;
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::sweep::{Askable, Pass, Scope};
use wharfinger_core::config::stored::{Managed, ManagedCluster};
use wharfinger_core::ids::{Target, TargetKind};

use crate::{ACTIVE, Capacity, Cloud, Look, NAME, fallback, stops, watches_agents};

/// How many clusters or services are converged on at once.
const AT_ONCE: usize = 8;

/// What this function can be asked for: the pass of every minute is over the active set.
pub const ASKABLE: Askable = Askable {
    only: "active",
    dry_run: false,
};

/// One pass.
///
/// # Errors
/// When parts of it failed; the others went through.
pub async fn sweep(
    function: &Capacity,
    cloud: &impl Cloud,
    holder: &str,
    event_id: &str,
    scope: &Scope,
) -> Result<(), Fault> {
    let cause = Cause {
        name: format!("sweep {event_id}"),
        at: None,
    };
    let round = Round {
        function,
        cloud,
        holder,
        cause: &cause,
        scope,
    };
    let mut rows = ACTIVE.rows(cloud).await?;
    rows.retain(|target, _| covers(scope, target));
    let clusters = if scope.often && rows.is_empty() {
        Vec::new()
    } else {
        function.clusters(cloud).await?
    };
    let mut pass = Pass::of(NAME);
    let swept = round.clusters(&mut pass, &clusters, &rows).await;
    let services = round.services(&mut pass, &clusters, &rows).await?;
    let found = [("SweptClusters", swept), ("SweptServices", services)];
    pass.finish(cloud, &found).await
}

/// Whether a target is looked at: whoever asks for a cluster asks for its services too.
fn covers(scope: &Scope, target: &Target) -> bool {
    scope.covers(target) || scope.covers(&Target::of_cluster(&target.cluster))
}

struct Round<'a, C> {
    function: &'a Capacity,
    cloud: &'a C,
    holder: &'a str,
    cause: &'a Cause,
    scope: &'a Scope,
}

impl<C: Cloud> Round<'_, C> {
    async fn clusters(&self, pass: &mut Pass, clusters: &[ManagedCluster], rows: &BTreeMap<Target, Row>) -> usize {
        let covered = clusters.iter().filter(|managed| self.scope.covers(&managed.target));
        let due = covered.filter(|managed| !self.scope.often || rows.contains_key(&managed.target));
        let converging = due.map(async |managed| {
            let row = rows.get(&managed.target).copied();
            let watched = managed.stored.config.capacity.as_ref().is_some_and(watches_agents);
            let look = match self.scope.often {
                false => Look::Whole,
                // That an agent is gone is what the cluster may be in the active set for.
                true if watched => Look::Agents,
                true => Look::Going,
            };
            let done = self
                .function
                .converge(self.cloud, self.holder, self.cause, managed, look, row);
            (managed.target.to_string(), done.await)
        });
        let converging: Vec<_> = converging.collect();
        let done: Vec<_> = stream::iter(converging).buffer_unordered(AT_ONCE).collect().await;
        let swept = done.len();
        for (name, result) in done {
            pass.part(self.cloud, name, result);
        }
        // Nothing is done any more about a cluster that is not configured.
        let configured: BTreeSet<_> = clusters.iter().map(|managed| &managed.target).collect();
        let gone = rows
            .iter()
            .filter(|(target, _)| target.kind == TargetKind::Cluster && !configured.contains(target));
        for (target, row) in gone {
            let forgotten = ACTIVE.forget(self.cloud, target, *row).await;
            if let Err(error) = forgotten {
                pass.part(self.cloud, target, Err(error.into()));
            }
        }
        swept
    }

    /// Services with a fallback, and those whose tasks stop again and again.
    async fn services(
        &self,
        pass: &mut Pass,
        clusters: &[ManagedCluster],
        rows: &BTreeMap<Target, Row>,
    ) -> Result<usize, Fault> {
        let active: Vec<_> = rows
            .keys()
            .filter(|target| target.kind == TargetKind::Service)
            .cloned()
            .collect();
        let found = if self.scope.often {
            self.function.config.several(self.cloud, active.iter()).await?
        } else {
            self.function.config.all(self.cloud).await?
        };
        pass.report(self.cloud, &found.malformed);
        let managed: BTreeMap<_, _> = found.targets.into_iter().map(|one| (one.target.clone(), one)).collect();
        let with_fallback = managed.values().filter(|one| fallback::rule(one).is_some());
        let with_fallback = with_fallback
            .map(|one| one.target.clone())
            .filter(|target| covers(self.scope, target));
        let targets: BTreeSet<Target> = active.into_iter().chain(with_fallback).collect();
        let swept = targets.len();
        let converging = targets.into_iter().map(async |target| {
            let done = self.service(&target, managed.get(&target), clusters, rows.get(&target).copied());
            (target.to_string(), done.await)
        });
        let converging: Vec<_> = converging.collect();
        let done: Vec<_> = stream::iter(converging).buffer_unordered(AT_ONCE).collect().await;
        for (name, result) in done {
            pass.part(self.cloud, name, result);
        }
        Ok(swept)
    }

    async fn service(
        &self,
        target: &Target,
        managed: Option<&Managed>,
        clusters: &[ManagedCluster],
        row: Option<Row>,
    ) -> Result<(), Fault> {
        let cluster = clusters.iter().find(|managed| managed.target.cluster == target.cluster);
        let rule = cluster.and_then(|managed| managed.stored.config.capacity.as_ref());
        let looping = match (row, rule) {
            (Some(_), Some(capacity)) => {
                let name = std::slice::from_ref(&target.name);
                let found = self.cloud.describe_services(&target.cluster, name).await?;
                let service = found.get(&target.name);
                stops::look(self.cloud, self.cause, target, &capacity.crash_loops, service).await?
            }
            _ => false,
        };
        match managed.filter(|managed| fallback::rule(managed).is_some()) {
            // It takes the service out of the set only when neither has anything to expect.
            Some(managed) => {
                let row = row.filter(|_| !looping);
                let (function, cloud) = (self.function, self.cloud);
                fallback::converge(function, cloud, self.holder, self.cause, managed, None, row).await
            }
            None => match row.filter(|_| !looping) {
                Some(row) => Ok(ACTIVE.forget(self.cloud, target, row).await?),
                None => Ok(()),
            },
        }
    }
}
