//! A look at an instance, and at who else stands where its tasks do.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::Kind;
use wharfinger_cloud::pipeline::{Cause, converge};
use wharfinger_cloud::ports::Tasks;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::endpoint::{Drain, Facts, Member, Others, Wanted, wanted};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::TaskArn;
use wharfinger_core::known::Known;

use super::{finish, forget, mark, put, seen};
use crate::apply::Converging;
use crate::held::{Held, content};
use crate::sweep::{cluster_of, collections};
use crate::{Cloud, Endpoints, Side, observe};

/// How many tasks, and how many listings, are worked on at once.
const AT_ONCE: usize = 25;

/// How many tasks `DescribeTasks` takes.
const DESCRIBED: usize = 100;

/// What stands around the tasks of some targets.
pub(crate) struct Around<M> {
    /// What is listed.
    pub held: Held<M>,
    /// The tasks for which it stands, as far as they were looked at.
    tasks: Vec<TaskStateChange>,
    /// The instances of the cluster that drain.
    draining: BTreeSet<String>,
    failure: Option<Fault>,
}

/// Looks at what stands where the tasks of these targets do. Of `tasks` it is known already what they are.
pub(crate) async fn around<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    targets: &[&Managed],
    tasks: Vec<TaskStateChange>,
    draining: Vec<String>,
) -> Around<S::Member> {
    let ids: BTreeSet<_> = targets
        .iter()
        .flat_map(|managed| collections::<S::Member>(managed))
        .collect();
    let contents: Vec<_> = stream::iter(ids)
        .map(|id| async move {
            let content = content(function, cloud, &id).await;
            (id, content)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut around = Around {
        held: Held::default(),
        tasks,
        draining: draining.into_iter().collect(),
        failure: None,
    };
    for (id, content) in contents {
        match content {
            Ok((listed, claims)) => {
                around.held.add(listed, claims);
                around.held.listed.insert(id);
            }
            // What is gone holds nothing; the sweep tells whose it was.
            Err(Fault::Cloud(error)) if error.kind == Kind::NotFound => {}
            Err(fault) => around.failure = Some(fault),
        }
    }
    around
}

impl<M: Member> Around<M> {
    /// Looks at the tasks for which something stands, until enough of them are known: what runs elsewhere is one of them.
    ///
    /// # Errors
    /// When ECS does not answer.
    pub async fn neighbours(&mut self, cloud: &impl Tasks, cluster: &str, targets: &[&Managed]) -> Result<(), Fault> {
        let known: BTreeSet<_> = self.tasks.iter().map(|task| task.task_arn.as_str()).collect();
        let listed = self.held.by_task.keys().filter(|task| !known.contains(task.as_str()));
        let unknown = listed.filter_map(|task| task.parse().ok());
        // Tasks of other clusters belong to other targets.
        let unknown: Vec<TaskArn> = unknown.filter(|task| cluster_of(task) == cluster).collect();
        for some in unknown.chunks(DESCRIBED) {
            let steady = |managed: &&Managed| self.others(managed, None).values().all(|o| *o == Others::Steady);
            if targets.iter().all(steady) {
                break;
            }
            let described = cloud.describe_tasks(cluster, some).await?;
            self.tasks.extend(described.tasks);
        }
        Ok(())
    }

    /// Which others of its target are where a task is to be, for each collection.
    pub fn others(&self, managed: &Managed, own: Option<&TaskArn>) -> BTreeMap<String, Others> {
        let of_target = |task: &&TaskStateChange| task.target().ok().as_ref() == Some(&managed.target);
        let tasks: Vec<_> = self.tasks.iter().filter(of_target).collect();
        let others = collections::<M>(managed).into_iter().map(|id| {
            let others = self.held.others(own, &tasks, &self.draining, &id);
            (id, others)
        });
        others.collect()
    }

    /// Whether everything that a target's entries name was listed.
    pub fn has_all(&self, managed: &Managed) -> bool {
        collections::<M>(managed).iter().all(|id| self.held.listed.contains(id))
    }

    /// Why something could not be listed.
    ///
    /// # Errors
    /// When something could not.
    pub fn complete(self) -> Result<Held<M>, Fault> {
        self.failure.map_or(Ok(self.held), Err)
    }
}

/// Marks the tasks of an instance and converges on them. What an event told may be over by now, or more than ECS answers yet:
/// the greater version is right.
pub(super) async fn look_at<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    cause: &Cause,
    cluster: &str,
    instance: &str,
    told: Drain,
) -> Result<(), Fault> {
    let arns = [instance.to_owned()];
    let (described, draining) = tokio::join!(
        cloud.describe_container_instances(cluster, &arns),
        cloud.draining(cluster)
    );
    let (described, mut draining) = (described?, draining?);
    let Some(now) = described.first().filter(|one| !one.status.is_gone()).map(seen) else {
        // Its tasks stop with it.
        return forget::<S::Member>(cloud, cluster, instance).await;
    };
    let drain = if told.version > now.version { told } else { now };
    if drain.drains {
        put::<S::Member>(cloud, cluster, instance).await?;
        draining.push(instance.to_owned());
    }
    let arns = cloud.tasks_on(cluster, instance).await?;
    let mut tasks = cloud.describe_tasks(cluster, &arns).await?.tasks;
    tasks.retain(|task| !task.is_leaving());
    let managed = join_all(tasks.iter().map(|task| managed(function, cloud, task))).await;
    let managed: Vec<_> = managed.into_iter().collect::<Result<_, _>>()?;
    let ours: Vec<_> = tasks
        .iter()
        .zip(&managed)
        .filter_map(|(t, m)| Some((t, m.as_ref()?)))
        .collect();
    let mut targets: Vec<&Managed> = ours.iter().map(|(_, managed)| *managed).collect();
    targets.sort_by(|a, b| a.target.cmp(&b.target));
    targets.dedup_by(|a, b| a.target == b.target);
    let mut around = around(function, cloud, &targets, tasks.clone(), draining).await;
    if drain.drains {
        around.neighbours(cloud, cluster, &targets).await?;
    }
    function.removals.set(usize::MAX);
    let work = stream::iter(ours).map(|(task, managed)| one(function, cloud, cause, &around, managed, task, drain));
    let done: Vec<_> = work.buffer_unordered(AT_ONCE).collect().await;
    let kept: Vec<bool> = done.into_iter().collect::<Result<_, _>>()?;
    around.complete()?;
    if drain.drains {
        finish::<S::Member>(cloud, cluster, instance, kept.contains(&true)).await
    } else {
        forget::<S::Member>(cloud, cluster, instance).await
    }
}

/// The target of a task, if it has entries.
async fn managed<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    task: &TaskStateChange,
) -> Result<Option<Managed>, Fault> {
    let Ok(target) = task.target() else { return Ok(None) };
    let found = function.config.target(cloud, &target).await?;
    observe::report::<S::Member>(cloud, &found.malformed);
    let mut targets = found.targets.into_iter();
    Ok(targets.find(|managed| !S::Member::entries(&managed.stored.config).is_empty()))
}

/// Marks a task, and converges on it when something else is listed than what is wanted now. Whether something of it stays
/// that may leave later is answered.
async fn one<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    cause: &Cause,
    around: &Around<S::Member>,
    managed: &Managed,
    task: &TaskStateChange,
    drain: Drain,
) -> Result<bool, Fault> {
    mark::<S::Member>(cloud, task, drain).await?;
    if !task.is_running() || !around.has_all(managed) {
        return Ok(false);
    }
    let facts = Facts {
        drain,
        others: around.others(managed, Some(&task.task_arn)),
        ..around.held.facts(function, managed, task.clone())
    };
    let stands = matches!(&facts.belief, Known::Yes(belief) if !belief.registered.is_empty());
    let may_stay = |one: &Wanted<_>| match one {
        Wanted::Member(_) => true,
        Wanted::Needs(..) => stands,
        Wanted::Nothing(_) => false,
    };
    let kept = drain.drains && wanted(&facts).iter().any(may_stay);
    if !around.held.as_wanted(&facts) {
        let look = observe::seen(function, cloud, facts).await?;
        converge(&Converging::new(function, cloud), cloud, cause, look).await?;
    }
    Ok(kept)
}
