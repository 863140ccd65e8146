//! The tasks that are meant to run: those that are not listed as they should be are converged on.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::Kind;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::endpoint::{Drain, Facts, Member};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::Target;

use super::{AT_ONCE, Sweep, collections};
use crate::{Cloud, Side, draining, look_up};

/// How many targets' tasks are listed at once: ECS takes 20 such reads a second, and others read, too
/// (ECS developer guide, "Request throttling").
const TARGETS_AT_ONCE: usize = 4;

/// The instances of a cluster that drain, by ARN; `None` when that could not be told.
type Draining = Option<BTreeMap<String, Drain>>;

impl<C: Cloud, S: Side<C>> Sweep<'_, S, C, S::Member> {
    /// Every task of a configured target, as ECS knows it: those that are to be converged on.
    pub(super) async fn live_tasks(&self) -> Vec<Facts<S::Member>> {
        let configured = self.targets.iter().filter(|managed| {
            self.scope.covers(&managed.target) && !S::Member::entries(&managed.stored.config).is_empty()
        });
        let found: Vec<_> = stream::iter(configured)
            .map(|managed| async move { (managed, self.tasks_of(managed).await) })
            .buffer_unordered(TARGETS_AT_ONCE)
            .collect()
            .await;
        let mut all = Vec::new();
        for (managed, result) in found {
            let result = result.map(|tasks| all.push((managed, tasks)));
            self.part(&managed.target, result);
        }
        let draining = self.draining(&all).await;
        let differing = all
            .iter()
            .flat_map(|(managed, tasks)| self.differing(managed, tasks, &draining));
        differing.collect()
    }

    async fn tasks_of(&self, managed: &Managed) -> Result<Vec<TaskStateChange>, Fault> {
        let cluster = &managed.target.cluster;
        let arns = match self.cloud.list_tasks(&managed.target).await {
            Ok(arns) => arns,
            // A service that is not made yet has no tasks; what is registered for it goes by proof only.
            Err(error) if error.kind == Kind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let tasks = self.cloud.describe_tasks(cluster, &arns).await?.tasks;
        // A family's tasks may belong to services, which are targets of their own.
        let own = |task: &TaskStateChange| task.target().ok().as_ref() == Some(&managed.target);
        let tasks: Vec<_> = tasks.into_iter().filter(own).collect();
        self.found.borrow_mut().tasks += tasks.len();
        let alive = tasks.iter().filter(|task| !task.is_leaving());
        let alive = alive.map(|task| (task.task_arn.to_string(), managed.target.clone()));
        self.alive.borrow_mut().extend(alive);
        self.hosts_of(cluster, &tasks).await?;
        Ok(tasks)
    }

    /// Which of the instances that tasks run on drain: one listing for each cluster that has any, and one look at those.
    async fn draining(&self, all: &[(&Managed, Vec<TaskStateChange>)]) -> BTreeMap<String, Draining> {
        let mut hosts: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
        for (managed, tasks) in all {
            let arns = tasks.iter().filter_map(|task| task.container_instance_arn.as_ref());
            hosts.entry(&managed.target.cluster).or_default().extend(arns);
        }
        let mut found = BTreeMap::new();
        for (cluster, hosts) in hosts.into_iter().filter(|(_, hosts)| !hosts.is_empty()) {
            let draining = draining::of_cluster(self.cloud, cluster, |arn| hosts.contains(arn)).await;
            let known = draining.as_ref().ok().cloned();
            self.part(format!("the instances of {cluster}"), draining.map(drop));
            found.insert(cluster.to_owned(), known);
        }
        found
    }

    /// The tasks of a target that are not listed as they should be.
    fn differing(
        &self,
        managed: &Managed,
        tasks: &[TaskStateChange],
        draining: &BTreeMap<String, Draining>,
    ) -> Vec<Facts<S::Member>> {
        let collections = collections::<S::Member>(managed);
        if !collections.iter().all(|id| self.held.listed.contains(id)) {
            // What could not be listed may be there: what is missing is not known.
            return Vec::new();
        }
        let draining = draining.get(&managed.target.cluster);
        let all: Vec<_> = tasks.iter().collect();
        let mut differing = Vec::new();
        for task in tasks.iter().filter(|task| task.is_running()) {
            let mut facts = self.held.facts(self.function, managed, task.clone());
            match (&task.container_instance_arn, draining) {
                // Whether its instance drains could not be told.
                (Some(_), Some(None)) => continue,
                (Some(host), Some(Some(draining))) if draining.contains_key(host) => {
                    facts.drain = draining[host];
                    let arns = draining.keys().cloned().collect();
                    let others = collections.iter().map(|id| {
                        let others = self.held.others(Some(&task.task_arn), &all, &arns, id);
                        (id.clone(), others)
                    });
                    facts.others = others.collect();
                }
                _ => {}
            }
            if !self.held.as_wanted(&facts) {
                differing.push(facts);
            }
        }
        differing
    }

    /// Where the tasks run that have no network interface of their own, 100 in a call, once for each instance.
    async fn hosts_of(&self, cluster: &str, tasks: &[TaskStateChange]) -> Result<(), Fault> {
        let without = tasks.iter().filter(|task| task.network_interface_id.is_none());
        let arns: BTreeSet<_> = without.filter_map(|task| task.container_instance_arn.clone()).collect();
        let arns: Vec<_> = arns.into_iter().collect();
        look_up::hosts(self.function, self.cloud, cluster, &arns).await?;
        Ok(())
    }

    /// Converges on tasks, several at once.
    pub(super) async fn repair(&self, tasks: Vec<Facts<S::Member>>) {
        self.found.borrow_mut().missing += tasks.len();
        let work = stream::iter(tasks).map(|facts| async move {
            let task = facts.task.task_arn.clone();
            (task, self.settle(facts).await)
        });
        let mut done = work.buffer_unordered(AT_ONCE);
        while let Some((task, result)) = done.next().await {
            self.part(task, result);
        }
    }

    /// Whether a target is configured for this side.
    pub(super) fn configured(&self, target: &Target) -> Option<&Managed> {
        self.targets.iter().find(|managed| managed.target == *target)
    }
}
