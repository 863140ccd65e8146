//! What the names of a document mean: Cloud Map services, target groups, and what ECS does with them itself. It is looked up
//! when the document is applied, or checked with `--online`: never while an event waits.

mod create;
mod groups;
mod registries;
mod scalable;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use wharfinger_cloud::ports::{Attachments, Names, Namespace, Scalable, TargetGroups};
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
    /// Why the document cannot be applied.
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

/// Looks everything up that a document names. With `create`, what is missing in Cloud Map is no problem, if it can be made.
pub(crate) async fn look_up(
    cloud: &(impl Names + TargetGroups + Attachments + Scalable),
    document: &Document,
    create: bool,
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    registries::look_up(cloud, document, create, &mut found).await?;
    groups::look_up(cloud, document, &mut found).await?;
    let attached = attached(cloud, document).await;
    found.problems.extend(conflicts(document, &found.names, &attached));
    scalable::look_up(cloud, document, &mut found).await;
    Ok(found)
}

/// Where ECS itself registers the tasks of the services that join something. That it cannot be told stops nobody.
async fn attached(cloud: &impl Attachments, document: &Document) -> BTreeMap<Target, Attached> {
    let mut clusters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in document.entries() {
        let joins = !entry.config.discovery.is_empty() || !entry.config.balancing.is_empty();
        if entry.kind == TargetKind::Service
            && joins
            && let Ok(target) = Target::parse(entry.kind, &entry.name)
        {
            clusters.entry(target.cluster).or_default().push(target.name);
        }
    }
    let mut found = BTreeMap::new();
    for (cluster, names) in clusters {
        match cloud.attached(&cluster, &names).await {
            Ok(services) => {
                let target = |(name, attached)| (Target::service(cluster.clone(), name), attached);
                found.extend(services.into_iter().map(target));
            }
            Err(error) => warning(format_args!(
                "whether ECS registers the tasks of {cluster} itself cannot be told: {error}"
            )),
        }
    }
    found
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
