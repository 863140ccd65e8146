//! The tasks that run and are not healthy yet: events carry no health (containers-roadmap #1019, #1515), so these few are
//! looked at every minute.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharfinger_cloud::Fault;
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::sweep::Pass;
use wharfinger_cloud::table::{Key, Table, TableName, Update, Write, as_text, text};
use wharfinger_core::endpoint::Member;
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::{TaskArn, cluster_name};

use crate::{Cloud, Endpoints, Side};

/// The `detail` of the schedule that looks only at the tasks that wait.
pub const HEALTH_CHECK: &str = "waiting";

/// In the ledger: whether the task is in the set.
pub(crate) const WAITING: &str = "waiting";

const TASK: &str = "task";

fn key<M: Member>(task: &TaskStateChange) -> Key {
    let id = format!("{}/{}", cluster_name(&task.cluster_arn), task.task_arn.id());
    Key::new(partition::<M>(), id)
}

fn partition<M: Member>() -> String {
    format!("waiting#{}", M::DOMAIN)
}

/// Puts a task into the set, or takes it out.
pub(crate) async fn keep<M: Member>(
    cloud: &impl Table,
    task: &TaskStateChange,
    was: bool,
    waits: bool,
) -> Result<(), Fault> {
    if waits && !was {
        let update = Update::of(key::<M>(task)).set(TASK, text(task.task_arn.as_str()));
        cloud.update(TableName::State, update).await?;
    } else if was && !waits {
        cloud
            .transact(TableName::State, vec![Write::Delete(key::<M>(task))])
            .await?;
    }
    Ok(())
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
    for item in &items {
        let place = Key::of(item).and_then(|key| Some(key.sk.split_once('/')?.0.to_owned()));
        let task = as_text(item, TASK).and_then(|arn| arn.parse().ok());
        if let (Some(cluster), Some(task)) = (place, task) {
            waiting.entry(cluster).or_default().push(task);
        }
    }
    let mut pass = Pass::of(S::Member::DOMAIN);
    let cause = Cause {
        name: format!("health check {event_id}"),
        at: None,
    };
    for (cluster, tasks) in waiting {
        let described = match cloud.describe_tasks(&cluster, &tasks).await {
            Ok(described) => described,
            Err(error) => {
                pass.part(cloud, &cluster, Err(error.into()));
                continue;
            }
        };
        for task in described.tasks {
            let arn = task.task_arn.clone();
            let result = function.on_described(cloud, &cause, task).await;
            pass.part(cloud, arn, result);
        }
        for arn in described.missing {
            let gone = Key::new(
                partition::<S::Member>(),
                format!("{cluster}/{}", arn.rsplit('/').next().unwrap_or_default()),
            );
            let result = cloud.transact(TableName::State, vec![Write::Delete(gone)]).await;
            pass.part(cloud, arn, result.map(drop).map_err(Fault::from));
        }
    }
    let looked = items.len();
    pass.result()?;
    Ok(json!({ "waiting": looked }))
}
