//! What the names of a document mean: services, Cloud Map services, target groups, what ECS does with them itself, and
//! what sets services in motion. It is looked up when the document is applied, or checked with `--online`: never while an
//! event waits.

mod containers;
mod create;
mod groups;
mod registries;
mod scalable;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use wharfinger_cloud::ports::{
    Alarms, Attachments, Names, Namespace, Queues, Repositories, Scalable, Services, TargetGroups, TaskDefinitions,
};
use wharfinger_core::config::conflicts::conflicts;
use wharfinger_core::config::{Document, Making, Path, Problem, stored};
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::service::Attached;

use crate::output::warning;

pub(crate) use create::create;

/// What was found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// What the names mean; of a service that is to be made, what it will be, without an id.
    pub names: stored::Resolved,
    /// Why the document cannot be applied, and what surprises.
    pub problems: Vec<Problem>,
    /// What is to be made.
    pub missing: Vec<Missing>,
}

/// A Cloud Map service that is to be made.
#[derive(Debug, PartialEq)]
pub(crate) struct Missing {
    /// `namespace/service`.
    pub to: String,
    /// Its namespace, where that exists.
    pub namespace: Option<Namespace>,
    /// How.
    pub making: Making,
}

/// What of AWS a document names.
pub(crate) trait World:
    Names + TargetGroups + Attachments + Scalable + Alarms + Queues + Repositories + Services + TaskDefinitions
{
}

impl<C: Names + TargetGroups + Attachments + Scalable + Alarms + Queues + Repositories + Services + TaskDefinitions>
    World for C
{
}

/// Looks everything up that a document names. With `create`, what is missing in Cloud Map is no problem, if it can be made.
pub(crate) async fn look_up(cloud: &impl World, document: &Document, create: bool) -> anyhow::Result<Found> {
    let mut found = Found::default();
    registries::look_up(cloud, document, create, &mut found).await?;
    groups::look_up(cloud, document, &mut found).await?;
    let attached = attached(cloud, document, &mut found).await;
    found.problems.extend(conflicts(document, &found.names, &attached));
    scalable::look_up(cloud, document, &mut found).await;
    found.problems.extend(sources::look_up(cloud, document).await);
    found.problems.extend(containers::look_up(cloud, document).await);
    Ok(found)
}

/// Where ECS itself registers the tasks of the services; one that is not there may be made later, and only surprises. That
/// it cannot be told stops nobody.
async fn attached(cloud: &impl Attachments, document: &Document, found: &mut Found) -> BTreeMap<Target, Attached> {
    let mut clusters: BTreeMap<String, BTreeMap<String, Path>> = BTreeMap::new();
    for entry in document.entries() {
        if entry.kind == TargetKind::Service
            && let Ok(target) = Target::parse(entry.kind, &entry.name)
        {
            let services = clusters.entry(target.cluster).or_default();
            services.insert(target.name, entry.path);
        }
    }
    let mut all = BTreeMap::new();
    for (cluster, places) in clusters {
        let names: Vec<_> = places.keys().cloned().collect();
        let services = match cloud.attached(&cluster, &names).await {
            Ok(services) => services,
            Err(error) => {
                warning(format_args!(
                    "whether the services of {cluster} are there, and whether ECS registers their tasks itself, cannot be \
                     told: {error}"
                ));
                continue;
            }
        };
        let absent = places.into_iter().filter(|(name, _)| !services.contains_key(name));
        found.problems.extend(absent.map(|(name, path)| {
            let message = format!(
                "ECS has no service `{name}` in the cluster `{cluster}` of this account and Region: until there is one, \
                 this does nothing"
            );
            Problem::warning(path, message)
        }));
        let target = |(name, attached)| (Target::service(cluster.clone(), name), attached);
        all.extend(services.into_iter().map(target));
    }
    all
}

/// Where a document names things: each name at its first place.
fn places(
    document: &Document,
    names: impl Fn(&wharfinger_core::config::Entry) -> Vec<(Path, String)>,
) -> BTreeMap<String, Path> {
    let mut places = BTreeMap::new();
    for entry in document.entries() {
        for (path, name) in names(&entry) {
            places.entry(name).or_insert(path);
        }
    }
    places
}
