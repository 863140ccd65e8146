//! The tasks that are meant to run: those that are not listed as they should be are converged on.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::Kind;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::endpoint::{Belief, Facts, Member, Wanted, wanted};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;

use super::{AT_ONCE, Sweep, collections};
use crate::{Cloud, Side, look_up, observe};

/// How many targets' tasks are listed at once: ECS takes 20 such reads a second, and others read, too
/// (ECS developer guide, "Request throttling").
const TARGETS_AT_ONCE: usize = 4;

impl<C: Cloud, S: Side<C>> Sweep<'_, S, C, S::Member> {
    /// Every task of a configured target, as ECS knows it: those that are to be converged on.
    pub(super) async fn live_tasks(&self) -> Vec<Facts<S::Member>> {
        let configured = self.targets.iter().filter(|managed| {
            self.scope.covers(&managed.target) && !S::Member::entries(&managed.stored.config).is_empty()
        });
        let found: Vec<_> = stream::iter(configured)
            .map(|managed| async move { (&managed.target, self.tasks_of(managed).await) })
            .buffer_unordered(TARGETS_AT_ONCE)
            .collect()
            .await;
        let mut differing = Vec::new();
        for (target, result) in found {
            let result = result.map(|facts| differing.extend(facts));
            self.part(target, result);
        }
        differing
    }

    async fn tasks_of(&self, managed: &Managed) -> Result<Vec<Facts<S::Member>>, Fault> {
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
        let all_listed = collections::<S::Member>(managed)
            .iter()
            .all(|id| self.held.listed.contains(id));
        if !all_listed {
            // What could not be listed may be there: what is missing is not known.
            return Ok(Vec::new());
        }
        let running = tasks.into_iter().filter(TaskStateChange::is_running);
        let facts = running.map(|task| self.facts(managed, task));
        Ok(facts.filter(|facts| !self.as_wanted(facts)).collect())
    }

    /// Where the tasks run that have no network interface of their own, 100 in a call, once for each instance.
    async fn hosts_of(&self, cluster: &str, tasks: &[TaskStateChange]) -> Result<(), Fault> {
        let without = tasks.iter().filter(|task| task.network_interface_id.is_none());
        let arns: BTreeSet<_> = without.filter_map(|task| task.container_instance_arn.clone()).collect();
        let arns: Vec<_> = arns.into_iter().collect();
        look_up::hosts(self.function, self.cloud, cluster, &arns).await?;
        Ok(())
    }

    pub(super) fn facts(&self, managed: &Managed, task: TaskStateChange) -> Facts<S::Member> {
        let belief = Belief {
            registered: self.held.of(task.task_arn.as_str()),
            uncertain: Vec::new(),
        };
        let mut facts = Facts {
            looked_up: true,
            ..observe::facts(self.function, managed.clone(), task, belief)
        };
        let members = observe::members(&facts);
        let own = |gone: &&S::Member| members.iter().any(|member| member.is_same(gone));
        facts.draining = self.held.draining.iter().filter(own).cloned().collect();
        facts
    }

    /// Whether just what is wanted is listed. What an entry wants that a look-up would tell is taken to be what is listed
    /// besides: a network interface keeps its public address.
    fn as_wanted(&self, facts: &Facts<S::Member>) -> bool {
        let held = match &facts.belief {
            Known::Yes(belief) => belief.registered.as_slice(),
            Known::No => &[],
        };
        let (mut told, mut untold) = (0, 0);
        for answer in wanted(facts) {
            match answer {
                Wanted::Member(member) if held.contains(&member) => told += 1,
                // It was ours, or a person's wish, that it drains: it joins again once it has gone.
                Wanted::Member(member) if self.held.draining.iter().any(|gone| gone.is_same(&member)) => {}
                Wanted::Member(_) => return false,
                Wanted::Needs(..) => untold += 1,
                Wanted::Nothing(_) => {}
            }
        }
        held.len() == told + untold
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
