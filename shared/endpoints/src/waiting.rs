//! The tasks that run and are not healthy yet: events carry no health (containers-roadmap #1019, #1515), so these few are
//! looked at every minute. So are instances that drain ([`draining`]).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::Kind;
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::ports::DescribedTasks;
use wharfinger_cloud::sweep::Pass;
use wharfinger_cloud::table::{Item, Key, Malformed, Table, TableName, Update, Write, as_text, text};
use wharfinger_core::endpoint::{Facts, Member, healthy};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::{TaskArn, cluster_name};

use crate::{Cloud, Endpoints, Side, draining, observe};

/// The `detail` of the schedule that looks only at the tasks that wait.
pub const HEALTH_CHECK: &str = "waiting";

/// In the ledger: whether the task is in the set.
pub(crate) const WAITING: &str = "waiting";

const TASK: &str = "task";

fn key<M: Member>(task: &TaskStateChange) -> Key {
    let id = format!("{}/{}", cluster_name(&task.cluster_arn), task.task_arn.id());
    Key::new(partition::<M>(), id)
}

/// What is looked at every minute: tasks that wait, and instances that drain.
pub(crate) fn partition<M: Member>() -> String {
    format!("waiting#{}", M::DOMAIN)
}

/// Whether a task that runs is to become healthy yet: it waits to join, or is marked as unhealthy.
pub(crate) fn is_due<M: Member>(facts: &Facts<M>) -> bool {
    let stored = &facts.managed.stored;
    let asks = M::entries(&stored.config)
        .iter()
        .map(|entry| M::ask(stored, entry).when);
    asks.into_iter().any(|when| healthy(facts, when).is_err())
}

/// What puts a task into the set, or takes it out: to be written with what the ledger says of it.
pub(crate) fn keeping<M: Member>(task: &TaskStateChange, was: bool, waits: bool) -> Option<Write> {
    if waits {
        let put = Update::of(key::<M>(task)).set(TASK, text(task.task_arn.as_str()));
        return Some(Write::Update(put));
    }
    was.then(|| Write::Delete(key::<M>(task)))
}

async fn forget<M: Member>(cloud: &impl Table, cluster: &str, arn: &str) -> Result<(), Fault> {
    let id = arn.rsplit('/').next().unwrap_or_default();
    let key = Key::new(partition::<M>(), format!("{cluster}/{id}"));
    cloud.transact(TableName::State, vec![Write::Delete(key)]).await?;
    Ok(())
}

/// The cluster and the task of an item.
fn read(item: &Item) -> Result<(String, TaskArn), Malformed> {
    let key = Key::of(item);
    let malformed = |reason: &str| Malformed {
        key: key.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string),
        reason: reason.to_owned(),
    };
    let place = key.as_ref().and_then(|key| key.sk.split_once('/'));
    let (cluster, _) = place.ok_or_else(|| malformed("its key has no cluster"))?;
    let task = as_text(item, TASK).and_then(|arn| arn.parse().ok());
    let task = task.ok_or_else(|| malformed(&format!("`{TASK}` is not the ARN of a task")))?;
    Ok((cluster.to_owned(), task))
}

/// Looks at every task of the set, 100 in a call, and converges on those whose health has changed.
///
/// # Errors
/// When a part of it failed; the others went through.
pub(crate) async fn look_again<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    event_id: &str,
) -> Result<Value, Fault> {
    let items = cloud.query(TableName::State, &partition::<S::Member>()).await?;
    let mut waiting: BTreeMap<String, Vec<TaskArn>> = BTreeMap::new();
    let (mut rows, mut malformed) = (Vec::new(), Vec::new());
    for item in &items {
        if item.contains_key(draining::INSTANCE) {
            match draining::read(item) {
                Ok(row) => rows.push(row),
                Err(bad) => malformed.push(bad),
            }
            continue;
        }
        match read(item) {
            Ok((cluster, task)) => waiting.entry(cluster).or_default().push(task),
            Err(bad) => malformed.push(bad),
        }
    }
    observe::report::<S::Member>(cloud, &malformed);
    let mut pass = Pass::of(S::Member::DOMAIN);
    let cause = Cause {
        name: format!("health check {event_id}"),
        at: None,
    };
    for (cluster, tasks) in waiting {
        let described = match cloud.describe_tasks(&cluster, &tasks).await {
            Ok(described) => described,
            // A cluster that is gone has no tasks.
            Err(error) if error.kind == Kind::NotFound => DescribedTasks {
                missing: tasks.iter().map(ToString::to_string).collect(),
                ..DescribedTasks::default()
            },
            Err(error) => {
                pass.part(cloud, &cluster, Err(error.into()));
                continue;
            }
        };
        for task in described.tasks {
            let arn = task.task_arn.clone();
            let result = function.on_described(cloud, &cause, task).await;
            let result = match result {
                Ok(true) => Ok(()),
                // It may be here by mistake: of a confirmation that was only half made.
                Ok(false) => forget::<S::Member>(cloud, &cluster, arn.as_str()).await,
                Err(fault) => Err(fault),
            };
            pass.part(cloud, arn, result);
        }
        for arn in described.missing {
            let result = forget::<S::Member>(cloud, &cluster, &arn).await;
            pass.part(cloud, arn, result);
        }
    }
    let (waiting, instances) = (items.len() - rows.len(), rows.len());
    let cause = Cause {
        name: format!("look at draining instances {event_id}"),
        at: None,
    };
    let part = |name, result| pass.part(cloud, name, result);
    draining::look_again(function, cloud, &cause, rows, part).await;
    pass.result()?;
    Ok(json!({ "waiting": waiting, "draining": instances }))
}
