//! What would be done about endpoints and targets of tasks on an instance that drains.

use wharfinger_core::capacity::{ContainerInstance, InstanceStatus};
use wharfinger_core::config::stored::Managed;
use wharfinger_core::endpoint::Others;
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Reason};

use super::answer::Decided;
use super::decide::{Call, Context, stale};
use super::endpoints::both;

impl Context<'_> {
    /// An instance drains: what that means for each target with tasks on it, or `None` when it means nothing here.
    pub(super) fn draining(&self, instance: &ContainerInstance) -> anyhow::Result<Option<Decided>> {
        let cluster = instance.cluster.as_deref();
        let has_entries = |managed: &&Managed| {
            let config = &managed.stored.config;
            !config.discovery.is_empty() || !config.balancing.is_empty()
        };
        let here = self
            .targets
            .iter()
            .filter(|managed| Some(managed.target.cluster.as_str()) == cluster);
        let targets: Vec<_> = here.filter(has_entries).collect();
        let Some(first) = targets.first().filter(|_| instance.status == InstanceStatus::Draining) else {
            return Ok(None);
        };
        let whole = |decision| Ok(Some(vec![(Target::of_cluster(first.target.cluster.clone()), decision)]));
        if self.answers.drains_no_more(instance) {
            let message = format!("{} drains no more, as ECS knows by now", instance.arn);
            return whole(stale(message));
        }
        let Known::Yes(tasks) = self.answers.tasks()? else {
            let reason = Reason::new(
                Code::FactsMissing,
                format!("which tasks run on {} is not known", instance.arn),
            );
            let mut decision = Decision::needs("DescribeTasks", reason);
            if !self.answers.lists_tasks() {
                decision.missing.insert(0, "ListTasks");
            }
            return whole(decision);
        };
        let mut decided = Vec::new();
        for managed in targets {
            let of_target = |task: &&TaskStateChange| task.target().ok().as_ref() == Some(&managed.target);
            let on_it = |task: &&TaskStateChange| task.container_instance_arn.as_ref() == Some(&instance.arn);
            let mut resolved = managed.clone();
            self.resolve(&mut resolved);
            let mut decision: Option<Decision<Call>> = None;
            for task in tasks
                .iter()
                .filter(of_target)
                .filter(on_it)
                .filter(|task| !task.is_leaving())
            {
                let next = self.on_draining(instance, &resolved, task)?;
                decision = Some(match decision {
                    Some(before) => both(before, next),
                    None => next,
                });
            }
            decided.extend(decision.map(|decision| (managed.target.clone(), decision)));
        }
        Ok((!decided.is_empty()).then_some(decided))
    }

    fn on_draining(
        &self,
        instance: &ContainerInstance,
        managed: &Managed,
        task: &TaskStateChange,
    ) -> anyhow::Result<Decision<Call>> {
        let context = Context {
            drains: Some(&instance.arn),
            ..*self
        };
        context.sides(managed, task, true)
    }

    /// Where a task's instance drains: who else of its target there is, as far as the answers tell. What runs elsewhere is
    /// taken to have joined.
    pub(super) fn others(&self, managed: &Managed, task: &TaskStateChange) -> anyhow::Result<Option<Known<Others>>> {
        let draining = self.answers.draining();
        let drains = |task: &TaskStateChange| {
            let host = task.container_instance_arn.as_deref();
            host.is_some_and(|host| draining.contains(host) || self.drains == Some(host))
        };
        if !drains(task) {
            return Ok(None);
        }
        let tasks = match self.answers.tasks()? {
            Known::Yes(tasks) => tasks,
            Known::No => Vec::new(),
        };
        let elsewhere = tasks.iter().any(|other| {
            other.task_arn != task.task_arn
                && other.is_running()
                && !drains(other)
                && other.target().ok().as_ref() == Some(&managed.target)
        });
        Ok(Some(if elsewhere {
            Known::Yes(Others::Steady)
        } else {
            Known::No
        }))
    }
}
