//! What other targets have proved: those that `after` names, and those that take part in the waves of a rule.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{Item, Key, TableName, attribute};
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::config::stored::{Managed, repository_path};
use wharfinger_core::delivery::{Facts, Memory, Neighbour, Peer, rule_key};
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;

use crate::wishes::MEMORY;
use crate::{Cloud, Delivery, NAME};

/// Looks at them, if there are any.
///
/// # Errors
/// When a table cannot be read.
pub async fn look(function: &Delivery, cloud: &impl Cloud, managed: &Managed, facts: &mut Facts) -> Result<(), Fault> {
    let mut peers = BTreeMap::new();
    for rule in managed
        .stored
        .config
        .delivery
        .iter()
        .filter(|rule| rule.waves.is_some())
    {
        let path = repository_path(&rule.repository);
        let found = function.config.by_repository(cloud, path).await?;
        let in_waves = |other: &Managed| {
            let rules = &other.stored.config.delivery;
            rules
                .iter()
                .any(|r| r.waves.is_some() && repository_path(&r.repository) == path)
        };
        let targets: BTreeSet<Target> = found.targets.into_iter().filter(in_waves).map(|m| m.target).collect();
        peers.insert(rule_key(rule), targets);
    }
    let sources: BTreeMap<&str, Target> = facts
        .rules
        .iter()
        .filter_map(|rule| rule.after.as_deref())
        .filter_map(|name| Some((name, source(name)?)))
        .collect();
    let asked: BTreeSet<&Target> = sources.values().chain(peers.values().flatten()).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let memories = memories(cloud, asked.iter().copied()).await?;
    let neighbour = |target: &Target| {
        let memory = memories.get(&target.key());
        memory.map_or_else(|| Memory::default().neighbour(), Memory::neighbour)
    };
    let sources: BTreeMap<String, Neighbour> = sources
        .iter()
        .map(|(name, target)| ((*name).to_owned(), neighbour(target)))
        .collect();
    let peer = |target: Target| Peer {
        neighbour: Known::Yes(neighbour(&target)),
        target,
    };
    facts.peers = peers
        .into_iter()
        .map(|(key, targets)| (key, targets.into_iter().map(peer).collect()))
        .collect();
    facts.sources = sources;
    Ok(())
}

/// The service that `after` names.
fn source(name: &str) -> Option<Target> {
    let (cluster, service) = name.split_once('/')?;
    Some(Target::service(cluster, service))
}

/// What targets remember, by their keys: one `BatchGetItem` for each hundred. What cannot be read is reported and counts as
/// nothing.
///
/// # Errors
/// When the table cannot be read.
pub async fn memories<'t>(
    cloud: &impl Cloud,
    targets: impl IntoIterator<Item = &'t Target>,
) -> Result<BTreeMap<String, Memory>, Fault> {
    let keys: Vec<_> = targets.into_iter().map(service_key).collect();
    let items = cloud.get_all(TableName::State, &keys).await?;
    let memory = |item: Item| {
        let memory = attribute(&item, MEMORY).unwrap_or_else(|malformed| {
            telemetry::malformed(NAME, cloud.now(), &malformed);
            None
        });
        Some((Key::of(&item)?.pk, memory?))
    };
    Ok(items.into_iter().filter_map(memory).collect())
}

/// The targets that wait for what this one proves: their rules name it in `after`. Those of a later wave are looked at every
/// minute as it is, and there may be hundreds of them.
///
/// # Errors
/// When the configuration cannot be read.
pub async fn dependants(function: &Delivery, cloud: &impl Cloud, managed: &Managed) -> Result<BTreeSet<Target>, Fault> {
    let name = managed.target.to_string();
    let mut dependants = BTreeSet::new();
    for rule in &managed.stored.config.delivery {
        let path = repository_path(&rule.repository);
        let found = function.config.by_repository(cloud, path).await?;
        for other in found.targets {
            let mut rules = other.stored.config.delivery.iter();
            if rules.any(|rule| rule.after.as_deref() == Some(name.as_str())) {
                dependants.insert(other.target);
            }
        }
    }
    Ok(dependants)
}
