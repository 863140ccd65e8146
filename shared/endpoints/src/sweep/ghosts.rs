//! What stands for tasks that do not run: it goes with proof only.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::Kind;
use wharfinger_cloud::ledger::Entry;
use wharfinger_cloud::ports::DescribedTasks;
use wharfinger_cloud::table::{Item, Key, TableName, Update, as_number, as_texts, number};
use wharfinger_core::config::Service;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::endpoint::{Belief, Facts, Member, Owner, Verdict, judge};
use wharfinger_core::event::{TaskStateChange, TaskStatus};
use wharfinger_core::ids::TaskArn;
use wharfinger_core::known::Known;
use wharfinger_core::ledger::Merge;

use super::{AT_ONCE, Sweep};
use crate::observe::{ATTEMPTS, LEFT};
use crate::{Cloud, Side, claims, observe};

/// When a pass first found that ECS does not know the task.
const MISSING_SINCE: &str = "missing-since";

impl<C: Cloud, S: Side<C>> Sweep<'_, S, C, S::Member> {
    /// Everything of ours whose task is not known to run.
    pub(super) async fn ghosts(&self) {
        let tasks = self.held.by_task.keys().chain(self.held.claimed.keys());
        let suspects = tasks.filter(|task| !self.alive.borrow().contains_key(*task));
        let mut by_cluster: BTreeMap<String, Vec<TaskArn>> = BTreeMap::new();
        for task in suspects.filter_map(|task| task.parse::<TaskArn>().ok()) {
            by_cluster.entry(cluster_of(&task)).or_default().push(task);
        }
        for (cluster, mut tasks) in by_cluster {
            tasks.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            tasks.dedup();
            match self.cloud.describe_tasks(&cluster, &tasks).await {
                Ok(described) => self.suspects(tasks, &described).await,
                // A cluster that is gone has no tasks.
                Err(error) if error.kind == Kind::NotFound => {
                    let missing = tasks.iter().map(ToString::to_string).collect();
                    let described = DescribedTasks {
                        missing,
                        ..DescribedTasks::default()
                    };
                    self.suspects(tasks, &described).await;
                }
                Err(error) => self.part(&cluster, Err(error.into())),
            }
        }
    }

    async fn suspects(&self, tasks: Vec<TaskArn>, described: &DescribedTasks) {
        let work = stream::iter(tasks).map(|task| async move {
            let known = described.tasks.iter().find(|t| t.task_arn == task).cloned();
            let missing = described.missing.iter().any(|m| m == task.as_str());
            let result = self.suspect(&task, known, missing).await;
            (task, result)
        });
        let mut done = work.buffer_unordered(AT_ONCE);
        while let Some((task, result)) = done.next().await {
            self.part(task, result);
        }
    }

    async fn suspect(&self, task: &TaskArn, known: Option<TaskStateChange>, missing: bool) -> Result<(), Fault> {
        let held = self.held.possible(task.as_str());
        let Some(first) = held.first() else { return Ok(()) };
        let key = observe::task_key::<S::Member>(task, &cluster_of(task));
        if self.held.of(task.as_str()).is_empty()
            && let Some(nobody_joins) = self.has_left(&key).await?
        {
            if nobody_joins && !self.scope.dry_run {
                claims::end(self.cloud, task, &held, false).await?;
            }
            return Ok(());
        }
        let (owner, facts) = match known {
            Some(seen) if seen.is_leaving() => (Owner::Stopped, seen),
            Some(seen) => return self.alive_elsewhere(seen).await,
            // Neither described nor reported missing: no proof of anything.
            None if !missing => return Ok(()),
            None => {
                let item = self.cloud.get(TableName::State, &key).await?.unwrap_or_default();
                let owner = self.missing(&key, &item).await?;
                (owner, gone(task, item, self.held.groups.get(task.as_str()).cloned()))
            }
        };
        match judge(&first.name(), owner) {
            Verdict::Remove(reason) => {
                let target = facts.target()?;
                if !self.scope.covers(&target) {
                    return Ok(());
                }
                tracing::warn!(task = %task, code = %reason.code, reason = reason.message, "ghost");
                self.found.borrow_mut().ghosts += self.held.of(task.as_str()).len();
                let managed = self.configured(&target).cloned();
                let managed = managed.unwrap_or_else(|| Managed::unresolved(target, Service::default()));
                self.settle(self.removal(managed, facts, held)).await
            }
            Verdict::Keep(reason) | Verdict::LookAgain(reason) => {
                tracing::info!(task = %task, code = %reason.code, reason = reason.message, "not removed");
                Ok(())
            }
        }
    }

    /// Whether everything of a task was removed, and only its claims stay; and if so, whether nobody is about to register any
    /// more.
    async fn has_left(&self, key: &Key) -> Result<Option<bool>, Fault> {
        let item = self.cloud.get(TableName::State, key).await?;
        let left = item.filter(|item| item.contains_key(LEFT));
        Ok(left.map(|item| as_texts(&item, ATTEMPTS).is_empty()))
    }

    /// A task that runs, of a target that is not configured for this side: what stands for it goes, because the
    /// configuration says so. Where that cannot be read, nothing goes.
    async fn alive_elsewhere(&self, task: TaskStateChange) -> Result<(), Fault> {
        let target = task.target()?;
        let configured = self.configured(&target);
        let still_listed_later = configured.is_some_and(|m| !S::Member::entries(&m.stored.config).is_empty());
        if still_listed_later || self.unknown.has(&target) || !self.scope.covers(&target) || !task.is_running() {
            return Ok(());
        }
        self.found.borrow_mut().unconfigured += 1;
        let managed = configured.cloned();
        let managed = managed.unwrap_or_else(|| Managed::unresolved(target, Service::default()));
        let held = self.held.possible(task.task_arn.as_str());
        self.settle(self.removal(managed, task, held)).await
    }

    fn removal(&self, managed: Managed, task: TaskStateChange, held: Vec<S::Member>) -> Facts<S::Member> {
        let belief = Belief {
            registered: held,
            uncertain: Vec::new(),
        };
        Facts {
            looked_up: true,
            belief: Known::Yes(belief.clone()),
            draining: self.held.draining.clone(),
            ..observe::facts(self.function, managed, task, belief)
        }
    }

    /// What the ledger has of a task that ECS does not know: its tombstone, or when it was first found missing.
    async fn missing(&self, key: &Key, item: &Item) -> Result<Owner, Fault> {
        if let Ok(entry) = Entry::<TaskStateChange>::read(item.clone(), Merge::Duplicate)
            && entry.facts.is_leaving()
        {
            return Ok(Owner::Stopped);
        }
        let since = as_number(item, MISSING_SINCE).and_then(|ms| Timestamp::from_millisecond(ms).ok());
        if since.is_none() && !self.scope.dry_run {
            let mark = Update::of(key.clone()).set(MISSING_SINCE, number(self.cloud.now().as_millisecond()));
            self.cloud.update(TableName::State, mark).await?;
        }
        Ok(Owner::Missing { since })
    }
}

/// The cluster of a task.
pub(crate) fn cluster_of(task: &TaskArn) -> String {
    // Old ARNs name no cluster: theirs is the default one.
    let mut parts = task.as_str().rsplit('/');
    parts.next();
    parts
        .next()
        .filter(|c| !c.contains(':'))
        .unwrap_or("default")
        .to_owned()
}

/// A task that ECS has forgotten, as a tombstone that nothing can be later than.
fn gone(task: &TaskArn, item: Item, group: Option<String>) -> TaskStateChange {
    let known = Entry::<TaskStateChange>::read(item, Merge::Duplicate).ok();
    let known = known.map_or_else(|| forgotten(task, group), |entry| entry.facts);
    TaskStateChange {
        version: i64::MAX,
        desired_status: TaskStatus::Stopped,
        last_status: TaskStatus::Deleted,
        ..known
    }
}

/// A task of which nothing is known but what was registered for it.
fn forgotten(task: &TaskArn, group: Option<String>) -> TaskStateChange {
    TaskStateChange {
        task_arn: task.clone(),
        cluster_arn: cluster_of(task),
        task_definition_arn: "forgotten:0".to_owned(),
        version: 0,
        group,
        started_by: None,
        desired_status: TaskStatus::Stopped,
        last_status: TaskStatus::Deleted,
        health_status: None,
        private_ipv4: None,
        ipv6: None,
        network_interface_id: None,
        container_instance_arn: None,
        availability_zone: None,
        started_at: None,
        stopped_at: None,
        stop_code: None,
        stopped_reason: None,
        volumes: Vec::new(),
        containers: Vec::new(),
        tags: None,
    }
}
