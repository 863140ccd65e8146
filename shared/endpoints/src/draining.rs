//! Instances that drain: what stands for their tasks leaves before ECS stops the tasks, and comes back when they do.
//!
//! Three things are kept. A *mark* in the ledger of each task on such an instance: every merge returns it, so that no event
//! of such a task lets it in again, and no other event costs a call more. A *row* for the instance, in the set that is
//! looked at every minute. And in ECS, which is asked before anything is done, the truth. Marks are ordered by the
//! instance's `version`, so neither the order nor the number of events matters.

mod look;

use std::collections::BTreeMap;

use wharfinger_cloud::Fault;
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::ports::{Clock, DrainingInstances};
use wharfinger_cloud::table::{
    AttributeValue, Condition, Item, Key, Malformed, Table, TableName, Update, Updated, Write, as_number, as_text,
    number, text,
};
use wharfinger_core::capacity::{ContainerInstance, InstanceStatus};
use wharfinger_core::endpoint::{Drain, Facts, Member};
use wharfinger_core::event::{Rejected, TaskStateChange};
use wharfinger_core::ids::cluster_name;
use wharfinger_core::ledger::{LIVING_SECONDS, expiry};

use crate::observe::task_key;
use crate::{Cloud, Endpoints, Side, waiting};

pub(crate) use look::around;

/// In the ledger of a task: the version of its container instance at which the next was so.
pub const HOST_VERSION: &str = "host-version";
/// In the ledger of a task: whether its container instance drains.
pub const HOST_DRAINS: &str = "host-drains";

/// In the row of an instance: its ARN.
pub(crate) const INSTANCE: &str = "instance";
const CLUSTER: &str = "cluster";
/// Whether each task on it was dealt with since it drains.
const DONE: &str = "done";
/// Whether some of what stands there stays, and may leave when something else has joined.
const KEPT: &str = "kept";

/// What the ledger says of the instance that a task runs on.
pub(crate) fn mark_of(item: &Item) -> Option<Drain> {
    Some(Drain {
        version: as_number(item, HOST_VERSION)?,
        drains: item.get(HOST_DRAINS) == Some(&AttributeValue::Bool(true)),
        seen: false,
    })
}

/// Whether the ledger still says of the instance what was relied on.
pub(crate) fn unchanged(mark: Option<i64>) -> Condition {
    match mark {
        None => Condition::Missing(HOST_VERSION),
        Some(version) => Condition::Equal(HOST_VERSION, number(version)),
    }
}

/// Marks a task, unless it is known later of its instance. One that never was on a draining instance needs no mark that it is
/// on none.
///
/// # Errors
/// When the state table cannot be written.
pub(crate) async fn mark<M: Member>(
    cloud: &(impl Table + Clock),
    task: &TaskStateChange,
    drain: Drain,
) -> Result<Option<Drain>, Fault> {
    let older = Condition::Less(HOST_VERSION, number(drain.version));
    let condition = if drain.drains {
        Condition::Any(vec![Condition::Missing(HOST_VERSION), older])
    } else {
        older
    };
    // The mark may be there before anything else of the task.
    let update = Update::of(task_key::<M>(&task.task_arn, &task.cluster_arn))
        .set(HOST_VERSION, number(drain.version))
        .set(HOST_DRAINS, AttributeValue::Bool(drain.drains))
        .set("ttl", number(expiry(cloud.now(), LIVING_SECONDS)))
        .only_if(condition);
    Ok(match cloud.update(TableName::State, update).await? {
        Updated::Made(_) => Some(drain),
        Updated::Refused(item) => item.as_ref().and_then(mark_of),
    })
}

/// Takes note of what a sweep found of a task's instance.
///
/// # Errors
/// When the state table cannot be written.
pub(crate) async fn note<M: Member>(cloud: &(impl Table + Clock), facts: &Facts<M>) -> Result<(), Fault> {
    let task = &facts.task;
    if let Some(instance) = task.container_instance_arn.as_deref().filter(|_| facts.drain.drains) {
        put::<M>(cloud, cluster_name(&task.cluster_arn), instance).await?;
    }
    mark::<M>(cloud, task, facts.drain).await.map(drop)
}

/// Those of a cluster's container instances that drain, of the ones that matter.
///
/// # Errors
/// When AWS does not answer.
pub(crate) async fn of_cluster(
    cloud: &impl DrainingInstances,
    cluster: &str,
    matters: impl Fn(&String) -> bool,
) -> Result<BTreeMap<String, Drain>, Fault> {
    let mut arns = cloud.draining(cluster).await?;
    arns.retain(matters);
    if arns.is_empty() {
        return Ok(BTreeMap::new());
    }
    let described = cloud.describe_container_instances(cluster, &arns).await?;
    let drains = described.iter().map(|one| (one.arn.clone(), seen(one)));
    Ok(drains.filter(|(_, drain)| drain.drains).collect())
}

/// What a look at an instance tells.
fn seen(instance: &ContainerInstance) -> Drain {
    Drain {
        version: instance.version,
        drains: instance.status == InstanceStatus::Draining,
        seen: true,
    }
}

/// Whether the instance of a marked task still drains. What is gone drains for good.
///
/// # Errors
/// When AWS or the state table does not answer.
pub(crate) async fn verify<C: Cloud, S: Side<C>>(
    cloud: &C,
    facts: &Facts<S::Member>,
    known: Option<i64>,
) -> Result<(Drain, Option<i64>), Fault> {
    let task = &facts.task;
    let arns: Vec<_> = task.container_instance_arn.iter().cloned().collect();
    let found = cloud
        .describe_container_instances(cluster_name(&task.cluster_arn), &arns)
        .await?;
    let still = Drain {
        seen: true,
        ..facts.drain
    };
    let found = found.first().filter(|one| !one.status.is_gone()).map(seen);
    match found.filter(|found| found.version >= still.version) {
        Some(back) if !back.drains => {
            let mark = mark::<S::Member>(cloud, task, back).await?;
            Ok((mark.unwrap_or(back), mark.map(|mark| mark.version)))
        }
        Some(drain) => Ok((drain, known)),
        None => Ok((still, known)),
    }
}

/// An instance of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its cluster.
    pub cluster: String,
    /// Its ARN.
    pub instance: String,
    done: bool,
    kept: bool,
}

fn key<M: Member>(cluster: &str, instance: &str) -> Key {
    let id = instance.rsplit('/').next().unwrap_or_default();
    Key::new(waiting::partition::<M>(), format!("instance#{cluster}/{id}"))
}

/// The instance of an item.
pub(crate) fn read(item: &Item) -> Result<Row, Malformed> {
    let owned = |name: &str| {
        as_text(item, name).map(str::to_owned).ok_or_else(|| Malformed {
            key: Key::of(item).map_or_else(|| "?".to_owned(), |key| key.to_string()),
            reason: format!("`{name}` is no text"),
        })
    };
    let is = |name: &str| item.get(name) == Some(&AttributeValue::Bool(true));
    Ok(Row {
        cluster: owned(CLUSTER)?,
        instance: owned(INSTANCE)?,
        done: is(DONE),
        kept: is(KEPT),
    })
}

/// Puts an instance into the set, if it is not there.
async fn put<M: Member>(cloud: &impl Table, cluster: &str, instance: &str) -> Result<(), Fault> {
    let update = Update::of(key::<M>(cluster, instance))
        .set(INSTANCE, text(instance))
        .set(CLUSTER, text(cluster))
        .only_if(Condition::Missing(INSTANCE));
    cloud.update(TableName::State, update).await?;
    Ok(())
}

/// Says that each task on an instance was dealt with.
async fn finish<M: Member>(cloud: &impl Table, cluster: &str, instance: &str, kept: bool) -> Result<(), Fault> {
    let update = Update::of(key::<M>(cluster, instance))
        .set(DONE, AttributeValue::Bool(true))
        .set(KEPT, AttributeValue::Bool(kept))
        .only_if(Condition::Equal(INSTANCE, text(instance)));
    cloud.update(TableName::State, update).await?;
    Ok(())
}

async fn forget<M: Member>(cloud: &impl Table, cluster: &str, instance: &str) -> Result<(), Fault> {
    let delete = Write::Delete(key::<M>(cluster, instance));
    cloud.transact(TableName::State, vec![delete]).await?;
    Ok(())
}

/// A container instance changed. ECS tells so at every start and stop of a task on it: one that was dealt with, or does not
/// drain and never did, costs one read.
///
/// # Errors
/// When the event names no cluster, or the world could not be made what it should be.
pub(crate) async fn on_event<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    cause: &Cause,
    told: &ContainerInstance,
) -> Result<(), Fault> {
    let Some(cluster) = &told.cluster else {
        let reason = "it names no cluster".to_owned();
        let kind = "ECS Container Instance State Change";
        return Err(Rejected::Malformed { kind, reason }.into());
    };
    let item = cloud
        .get(TableName::State, &key::<S::Member>(cluster, &told.arn))
        .await?;
    let row = item.as_ref().map(read).transpose().unwrap_or_else(|malformed| {
        tracing::error!(
            key = malformed.key,
            reason = malformed.reason,
            "malformed row is replaced"
        );
        None
    });
    match row {
        Some(row) if row.done && told.status == InstanceStatus::Draining => Ok(()),
        None if told.status != InstanceStatus::Draining => Ok(()),
        _ => look::look_at(function, cloud, cause, cluster, &told.arn, seen(told)).await,
    }
}

/// Looks at the instances of the set, 100 in a call, and at what stands on those of which something may have changed.
///
/// # Errors
/// When AWS or the state table does not answer; what concerns one instance is told by `part`.
pub(crate) async fn look_again<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    cause: &Cause,
    rows: Vec<Row>,
    mut part: impl FnMut(String, Result<(), Fault>),
) {
    let mut by_cluster: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        by_cluster.entry(row.cluster.clone()).or_default().push(row);
    }
    for (cluster, rows) in by_cluster {
        let arns: Vec<_> = rows.iter().map(|row| row.instance.clone()).collect();
        let described = match cloud.describe_container_instances(&cluster, &arns).await {
            Ok(described) => described,
            Err(error) => {
                part(cluster, Err(error.into()));
                continue;
            }
        };
        for row in rows {
            let now = described.iter().find(|one| one.arn == row.instance);
            let now = now.filter(|one| !one.status.is_gone()).map(seen);
            let result = match now {
                None => forget::<S::Member>(cloud, &cluster, &row.instance).await,
                Some(now) if now.drains && row.done && !row.kept => Ok(()),
                Some(now) => look::look_at(function, cloud, cause, &cluster, &row.instance, now).await,
            };
            part(row.instance, result);
        }
    }
}
