//! What is known when storage is decided on: asked for as far as the decision needs it, and no further.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use wharfinger_cloud::error::{CloudError, Kind};
use wharfinger_cloud::table::{Item, as_text, attribute};
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::config::stored::Managed;
use wharfinger_core::delivery;
use wharfinger_core::ids::{Target, TargetKind, TaskArn};
use wharfinger_core::known::Known;
use wharfinger_core::storage::{Asks, FAMILY_TAG, Facts, Memory, Mounted, SERVICE_TAG, Snapshot, Volume};

use crate::access::{self, FileSystems};
use crate::{Cloud, NAME, rows};

/// The attribute of the service's item with [`Memory`].
pub const MEMORY: &str = "storage";
/// The attribute with the fingerprint of the last decision in the history.
pub const SAID: &str = "storage-said";
/// The attribute of the same item with what delivery remembers.
const DELIVERY: &str = "delivery";

/// How many snapshots are removed under one lease, and so asked about: EC2 takes 50 changes of a kind at once, and 5 a
/// second after that (EC2 developer guide, "Request throttling": mutating actions).
pub const REMOVED_AT_ONCE: usize = 50;

/// How many are asked about at the same time.
const AT_ONCE: usize = 10;

/// What is known of a service, under its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The target and its configuration.
    pub managed: Managed,
    /// What the decider looks at.
    pub facts: Facts,
    /// What was said last.
    pub said: Option<String>,
    /// The lineages, by their keys, of whose volume EC2 makes no snapshot now, and its words.
    pub refused: BTreeMap<String, String>,
}

/// Gathers what is known of a service.
///
/// # Errors
/// When EC2 or ECS does not answer.
pub async fn look(cloud: &impl Cloud, owner: &str, managed: Managed, item: &Item) -> Result<Look, Fault> {
    let mut facts = facts(cloud, owner, &managed, Listed::default(), item);
    complete(cloud, &mut facts).await?;
    Ok(Look {
        managed,
        facts,
        said: as_text(item, SAID).map(str::to_owned),
        refused: BTreeMap::new(),
    })
}

/// What is listed for many services at once.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// The snapshots of the service's lineages.
    pub snapshots: Known<Vec<Snapshot>>,
    /// The access points of file systems, as far as they are known.
    pub file_systems: FileSystems,
}

/// The facts as the decider takes them, with no more than what is listed known.
pub fn facts(cloud: &impl Cloud, owner: &str, managed: &Managed, listed: Listed, item: &Item) -> Facts {
    let Listed {
        snapshots,
        file_systems,
    } = listed;
    Facts {
        target: managed.target.clone(),
        owner: owner.to_owned(),
        rules: managed.stored.config.storage.clone(),
        service: Known::No,
        tasks: Known::No,
        snapshots,
        held: Known::No,
        shared: BTreeMap::new(),
        history: history(cloud, item),
        file_systems,
        refused: BTreeMap::new(),
        asked: managed.stored.restore.clone(),
        volumes: Known::No,
        stateful: managed.stored.config.stateful.clone(),
        identities: Known::No,
        memory: memory(cloud, item),
    }
}

/// What is remembered; what cannot be read is reported and counts as nothing.
fn memory(cloud: &impl Cloud, item: &Item) -> Memory {
    attribute(item, MEMORY)
        .unwrap_or_else(|malformed| {
            telemetry::malformed(NAME, cloud.now(), &malformed);
            None
        })
        .unwrap_or_default()
}

/// The snapshots with which volumes of rollouts and restores began.
fn history(cloud: &impl Cloud, item: &Item) -> BTreeMap<String, String> {
    let rollouts: delivery::Memory = attribute(item, DELIVERY)
        .unwrap_or_else(|malformed| {
            telemetry::malformed(NAME, cloud.now(), &malformed);
            None
        })
        .unwrap_or_default();
    let rollouts = rollouts.restore_points().map(|point| (&point.snapshot_id, "a rollout"));
    let memory = memory(cloud, item);
    let restores = memory.restores.iter().map(|one| (&one.point.snapshot_id, "a restore"));
    rollouts
        .chain(restores)
        .map(|(id, what)| (id.clone(), format!("{what} that is remembered began with it")))
        .collect()
}

/// Asks for what the decision needs, until it needs nothing more, or nothing more can be learned.
async fn complete(cloud: &impl Cloud, facts: &mut Facts) -> Result<(), Fault> {
    loop {
        let asks = facts.asks(cloud.now());
        if asks == Asks::default() {
            return Ok(());
        }
        let before = facts.clone();
        learn(cloud, facts, asks).await?;
        if *facts == before {
            return Ok(());
        }
    }
}

async fn learn(cloud: &impl Cloud, facts: &mut Facts, asks: Asks) -> Result<(), Fault> {
    let target = facts.target.clone();
    if asks.snapshots {
        // All volumes of the target at once, and those of its namesakes in other clusters.
        let mut found = cloud.snapshots_tagged(name_tag(&target), &target.name).await?;
        found.retain(|snapshot| snapshot.lineage().is_some_and(|of| of.target == target));
        facts.snapshots = Known::Yes(found);
    }
    facts.file_systems.extend(access::list(cloud, &asks.file_systems).await);
    if asks.volumes {
        let names = [target.name.clone()];
        let (services, volumes) = tokio::join!(
            cloud.describe_services(&target.cluster, &names),
            cloud.volume_configurations(&target)
        );
        facts.service = Known::Yes(services?.remove(&target.name));
        facts.volumes = Known::Yes(volumes?);
    }
    if asks.identities {
        facts.identities = Known::Yes(left(cloud, &target).await?);
    }
    if asks.tasks && target.kind == TargetKind::Task {
        facts.tasks = started(cloud, facts).await?;
    } else if asks.tasks {
        let names = [target.name.clone()];
        let (services, tasks) = tokio::join!(
            cloud.describe_services(&target.cluster, &names),
            mounted(cloud, &target)
        );
        facts.service = Known::Yes(services?.remove(&target.name));
        facts.tasks = Known::Yes(tasks?);
    }
    if asks.held {
        match cloud.held_snapshots(&target).await {
            Ok(held) => facts.held = Known::Yes(held),
            Err(error) => report(cloud, &target, &error),
        }
    }
    let room = REMOVED_AT_ONCE.saturating_sub(facts.shared.len());
    let shared = asks.shared.into_iter().take(room).map(async |id| {
        let accounts = cloud.shared_with(&id).await;
        (id, accounts)
    });
    let shared: Vec<_> = stream::iter(shared).buffered(AT_ONCE).collect().await;
    for (id, accounts) in shared {
        match accounts {
            Ok(accounts) => drop(facts.shared.insert(id, !accounts.is_empty())),
            Err(error) => report(cloud, &target, &error),
        }
    }
    Ok(())
}

/// The tag that has the target's name.
fn name_tag(target: &Target) -> &'static str {
    match target.kind {
        TargetKind::Task => FAMILY_TAG,
        TargetKind::Service | TargetKind::Cluster => SERVICE_TAG,
    }
}

/// The volumes of a family's identities.
async fn left(cloud: &impl Cloud, family: &Target) -> Result<Vec<Volume>, Fault> {
    let mut found = cloud.volumes_tagged(name_tag(family), &family.name).await?;
    found.retain(|volume| volume.lineage().is_some_and(|of| of.target == *family));
    Ok(found)
}

/// The tasks of a family: those that are to run, and those that were started last, whatever became of them. Not known when one
/// is listed and not described: it may live.
async fn started(cloud: &impl Cloud, facts: &Facts) -> Result<Known<Vec<Mounted>>, Fault> {
    let family = &facts.target;
    let listed = match cloud.list_tasks(family).await {
        Ok(listed) => listed,
        Err(error) if error.kind == Kind::NotFound => return Ok(Known::Yes(Vec::new())),
        Err(error) => return Err(error.into()),
    };
    let remembered = facts.memory.tasks().cloned();
    let tasks: BTreeSet<_> = listed.iter().cloned().chain(remembered).collect();
    let tasks: Vec<_> = tasks.into_iter().collect();
    let described = cloud.describe_tasks(&family.cluster, &tasks).await?;
    let is_described = |arn: &TaskArn| described.tasks.iter().any(|task| task.task_arn == *arn);
    if !listed.iter().all(is_described) {
        return Ok(Known::No);
    }
    Ok(Known::Yes(described.tasks.iter().map(Mounted::from).collect()))
}

/// What is not known stops a removal and nothing else.
fn report(cloud: &impl Cloud, target: &Target, error: &CloudError) {
    telemetry::error(NAME, cloud.now(), &format!("{target}: {error}"));
}

/// The tasks of a service and their volumes: as `DescribeTasks` shows them, and where it shows none, as events told them.
async fn mounted(cloud: &impl Cloud, target: &Target) -> Result<Vec<Mounted>, Fault> {
    let tasks = match cloud.list_tasks(target).await {
        Ok(tasks) => tasks,
        Err(error) if error.kind == Kind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let described = cloud.describe_tasks(&target.cluster, &tasks).await?;
    let mut mounted: Vec<_> = described.tasks.iter().map(Mounted::from).collect();
    let lacks = |task: &Mounted| task.runs && task.volumes.is_empty();
    if mounted.iter().any(lacks) {
        let mut told = rows::volumes(cloud, target).await?;
        for task in mounted.iter_mut().filter(|task| lacks(task)) {
            task.volumes = told.remove(&task.task).unwrap_or_default();
        }
    }
    Ok(mounted)
}
