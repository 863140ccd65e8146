//! What is known when a cluster's instances are decided on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::Fault;
use wharfinger_cloud::table::{Item, as_text};
use wharfinger_core::capacity::{CapacityProvider, ContainerInstance, Facts, Going, Percents, TaskOn};
use wharfinger_core::config::Standalone;
use wharfinger_core::config::stored::ManagedCluster;
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::{Target, TargetKind, TaskArn};
use wharfinger_core::known::Known;

use crate::{Cloud, Look, rows};

/// The attribute of the cluster's item with the fingerprint of the last decision in the history.
pub const SAID: &str = "capacity-said";

/// How long is believed what a capacity provider does by itself: people change that seldom.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_mins(5);

/// The tasks of how many instances are looked at only to tell what holds them up; what is to be stopped is looked at on all.
const TOLD_OF: usize = 10;

/// How many instances are asked for their tasks at once.
const AT_ONCE: usize = 10;

/// What is known of a cluster, under its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The cluster and its configuration.
    pub managed: ManagedCluster,
    /// What the decider looks at.
    pub facts: Facts,
    /// What was said last.
    pub said: Option<String>,
    /// How much was looked at.
    pub look: Look,
}

/// Gathers what is known, in one moment.
///
/// # Errors
/// When the table does not answer, or AWS where it must.
pub async fn look(
    cloud: &impl Cloud,
    providers: &Providers,
    managed: &ManagedCluster,
    item: &Item,
    look: Look,
) -> Result<Seen, Fault> {
    let capacity = managed.stored.config.capacity.clone().unwrap_or_default();
    let mut facts = Facts::new(managed.target.clone(), capacity);
    facts.going = rows::going(cloud, &managed.target).await?;
    // A silent agent is judged by what the others do.
    let silent = facts.going.values().any(|going| going.did.disconnected.is_some());
    facts.whole = look != Look::Going || silent;
    let instances = instances(cloud, &facts).await?;
    for (id, going) in facts.going.iter_mut().filter(|(id, _)| !instances.contains_key(*id)) {
        if going.did.container_instance.is_none() && !going.is_over() {
            // It was in the cluster when it was seen last: it has left before it was looked at.
            let place = rows::place(cloud, id).await?;
            let place = place.filter(|place| place.cluster == managed.target.cluster);
            going.did.container_instance = place.map(|place| place.container_instance);
        }
    }
    let asked = match look {
        Look::Going | Look::Agents => facts.asks_groups(),
        // What waits for us, and no event told, shows in its group only.
        Look::Whole => instances
            .keys()
            .cloned()
            .chain(facts.asks_groups())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
    };
    facts.instances = Known::Yes(instances);
    let names = provider_names(&facts);
    let (groups, known) = tokio::join!(groups(cloud, &asked), providers.of(cloud, names));
    let groups = groups?;
    for instance in groups.values().filter(|one| one.lifecycle_state == "Terminating:Wait") {
        facts.going.entry(instance.instance_id.clone()).or_default();
    }
    facts.scaling = Known::Yes(groups);
    facts.providers = known;
    facts.leaving = Known::Yes(leaving(cloud, &facts).await?);
    tasks(cloud, &mut facts).await?;
    Ok(Seen {
        managed: managed.clone(),
        facts,
        said: as_text(item, SAID).map(str::to_owned),
        look,
    })
}

/// The container instances of those that go, or all of the cluster, by their EC2 id.
async fn instances(cloud: &impl Cloud, facts: &Facts) -> Result<BTreeMap<String, ContainerInstance>, Fault> {
    let cluster = &facts.target.cluster;
    let by_id = |found: Vec<ContainerInstance>| {
        let found = found.into_iter().filter(|one| !one.status.is_gone());
        found.filter_map(|one| Some((one.ec2_instance_id.clone()?, one)))
    };
    if facts.whole {
        return Ok(by_id(cloud.container_instances(cluster, None).await?).collect());
    }
    let open: Vec<_> = facts.going.iter().filter(|(_, going)| !going.is_over()).collect();
    let arns: Vec<_> = open
        .iter()
        .filter_map(|(_, going)| going.did.container_instance.clone())
        .collect();
    let mut found = BTreeMap::new();
    if !arns.is_empty() {
        found.extend(by_id(cloud.describe_container_instances(cluster, &arns).await?));
    }
    // One that is not there any more may have been registered anew.
    let others = open.into_iter().map(|(id, _)| id).filter(|id| !found.contains_key(*id));
    let others: Vec<_> = others.cloned().collect();
    if !others.is_empty() {
        found.extend(by_id(cloud.container_instances(cluster, Some(&others)).await?));
    }
    Ok(found)
}

async fn groups(
    cloud: &impl Cloud,
    ids: &[String],
) -> Result<BTreeMap<String, wharfinger_core::capacity::AutoScalingInstance>, Fault> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = cloud.auto_scaling_instances(ids).await?;
    Ok(found.into_iter().map(|one| (one.instance_id.clone(), one)).collect())
}

/// The capacity providers of the instances that go.
fn provider_names(facts: &Facts) -> BTreeSet<String> {
    let going = facts.going.keys().filter_map(|id| facts.instance(id));
    let all = facts.whole.then_some(&facts.instances);
    let all = all.into_iter().filter_map(|instances| match instances {
        Known::Yes(instances) => Some(instances.values()),
        Known::No => None,
    });
    going
        .chain(all.flatten())
        .filter_map(|one| one.capacity_provider_name.clone())
        .collect()
}

/// The tasks on the instances that go, and how far their services may go down and up.
async fn tasks(cloud: &impl Cloud, facts: &mut Facts) -> Result<(), Fault> {
    let mut arns = facts.asks_tasks(cloud.now());
    if facts.capacity.drain.standalone == Standalone::Leave {
        arns.truncate(TOLD_OF);
    }
    let cluster = facts.target.cluster.clone();
    let listing = arns.into_iter().map(async |arn| {
        let listed = cloud.tasks_on(&cluster, &arn).await?;
        Ok::<_, Fault>((arn, listed))
    });
    let listed: Vec<(String, Vec<TaskArn>)> = stream::iter(listing).buffered(AT_ONCE).try_collect().await?;
    let all: Vec<_> = listed.iter().flat_map(|(_, tasks)| tasks.clone()).collect();
    if all.is_empty() {
        facts.tasks.extend(listed.into_iter().map(|(arn, _)| (arn, Vec::new())));
        return Ok(());
    }
    let described = cloud.describe_tasks(&cluster, &all).await?.tasks;
    let on = |tasks: &[TaskArn]| {
        let here = described.iter().filter(|task| tasks.contains(&task.task_arn));
        here.filter(|task: &&TaskStateChange| !task.is_leaving())
            .map(TaskOn::of)
            .collect()
    };
    facts.tasks = listed.iter().map(|(arn, tasks)| (arn.clone(), on(tasks))).collect();
    services(cloud, facts).await
}

/// How many tasks are still stopping on the instances on which ECS counts none.
async fn leaving(cloud: &impl Cloud, facts: &Facts) -> Result<BTreeMap<String, u32>, Fault> {
    let cluster = &facts.target.cluster;
    let counting = facts.asks_leaving(cloud.now()).into_iter().map(async |arn| {
        let listed = cloud.tasks_leaving(cluster, &arn).await?;
        let tasks = if listed.is_empty() {
            Vec::new()
        } else {
            cloud.describe_tasks(cluster, &listed).await?.tasks
        };
        let stopping = tasks.iter().filter(|task| !task.last_status.has_stopped()).count();
        Ok::<_, Fault>((arn, u32::try_from(stopping).unwrap_or(u32::MAX)))
    });
    let counting: Vec<_> = counting.collect();
    stream::iter(counting).buffered(AT_ONCE).try_collect().await
}

async fn services(cloud: &impl Cloud, facts: &mut Facts) -> Result<(), Fault> {
    let owners = facts.tasks.values().flatten().filter_map(|task| task.service.clone());
    let owners: BTreeSet<Target> = owners.filter(|owner| owner.kind == TargetKind::Service).collect();
    let names: Vec<_> = owners.iter().map(|owner| owner.name.clone()).collect();
    let found = cloud.describe_services(&facts.target.cluster, &names).await?;
    let percents = owners.into_iter().filter_map(|owner| {
        let service = found.get(&owner.name)?;
        let percents = Percents {
            minimum: service.minimum_healthy_percent?,
            maximum: service.maximum_percent?,
        };
        Some((owner, percents))
    });
    facts.services = percents.collect::<BTreeMap<Target, Percents>>();
    Ok(())
}

/// Whether two looks at the rows tell the same of why instances go.
#[must_use]
pub fn told_the_same(before: &BTreeMap<String, Going>, now: &BTreeMap<String, Going>) -> bool {
    now.iter()
        .all(|(id, going)| before.get(id).is_some_and(|known| known.causes == going.causes))
}

/// What capacity providers do by themselves, as ECS answered not long ago.
#[derive(Debug, Default)]
pub struct Providers(RefCell<BTreeMap<String, (Timestamp, Option<CapacityProvider>)>>);

impl Providers {
    /// Those of these names. ECS is asked for those of which nothing was heard lately; where it does not answer, nothing is
    /// known of them.
    pub async fn of(&self, cloud: &impl Cloud, names: BTreeSet<String>) -> BTreeMap<String, CapacityProvider> {
        let now = cloud.now();
        let is_old = |name: &&String| {
            let heard = self.0.borrow().get(*name).map(|(at, _)| *at);
            heard.is_none_or(|at| now.duration_since(at) >= BELIEVED_FOR)
        };
        let asked: Vec<_> = names.iter().filter(is_old).cloned().collect();
        if !asked.is_empty() {
            match cloud.capacity_providers(&asked).await {
                Ok(found) => {
                    let mut found: BTreeMap<_, _> = found.into_iter().map(|one| (one.name.clone(), one)).collect();
                    let mut heard = self.0.borrow_mut();
                    heard.retain(|_, (at, _)| now.duration_since(*at) < BELIEVED_FOR);
                    heard.extend(asked.into_iter().map(|name| {
                        let provider = found.remove(&name);
                        (name, (now, provider))
                    }));
                }
                Err(error) => tracing::warn!(%error, "what capacity providers do by themselves is not known"),
            }
        }
        let heard = self.0.borrow();
        let known = names.into_iter().filter_map(|name| {
            let (_, provider) = heard.get(&name)?;
            Some((name, provider.clone()?))
        });
        known.collect()
    }
}
