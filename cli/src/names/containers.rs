//! The containers and volumes that a document names, in the task definitions that are there. What is not there yet is told elsewhere,
//! and that it cannot be told stops nobody.

use std::collections::BTreeMap;

use wharfinger_cloud::CloudError;
use wharfinger_cloud::ports::{Services, TaskDefinitions};
use wharfinger_core::config::conflicts::{without_containers, without_volumes};
use wharfinger_core::config::{Document, Entry, Problem};
use wharfinger_core::ids::{Target, TargetKind};

use crate::output::warning;

/// Looks at what each service or family runs of which a container or volume is named, or an image taken.
pub(super) async fn look_up(cloud: &(impl Services + TaskDefinitions), document: &Document) -> Vec<Problem> {
    let mut clusters: BTreeMap<String, Vec<(Target, Entry)>> = BTreeMap::new();
    for entry in document.entries().filter(names_any) {
        if let Ok(target) = Target::parse(entry.kind, &entry.name) {
            clusters
                .entry(target.cluster.clone())
                .or_default()
                .push((target, entry));
        }
    }
    let mut found = Vec::new();
    for (cluster, entries) in clusters {
        if let Err(error) = of_cluster(cloud, &cluster, &entries, &mut found).await {
            warning(format_args!(
                "whether the containers and volumes of what runs in {cluster} are there cannot be told: {error}"
            ));
        }
    }
    found
}

async fn of_cluster(
    cloud: &(impl Services + TaskDefinitions),
    cluster: &str,
    entries: &[(Target, Entry)],
    found: &mut Vec<Problem>,
) -> Result<(), CloudError> {
    let services = entries.iter().filter(|(target, _)| target.kind == TargetKind::Service);
    let services: Vec<_> = services.map(|(target, _)| target.name.clone()).collect();
    let known = if services.is_empty() {
        BTreeMap::new()
    } else {
        cloud.describe_services(cluster, &services).await?
    };
    for (target, entry) in entries {
        let name = match target.kind {
            TargetKind::Service => known.get(&target.name).map(|service| service.task_definition.as_str()),
            TargetKind::Task | TargetKind::Cluster => Some(target.name.as_str()),
        };
        let Some(name) = name else { continue };
        if let Some(answer) = cloud.describe_task_definition(name).await? {
            found.extend(without_containers(entry, &answer));
            found.extend(without_volumes(entry, &answer));
        }
    }
    Ok(())
}

fn names_any(entry: &Entry) -> bool {
    let config = &entry.config;
    let discovery = config.discovery.iter().any(|one| one.container.is_some());
    let balancing = config.balancing.iter().any(|one| one.container.is_some());
    !config.delivery.is_empty() || config.keeps_volumes() || discovery || balancing
}
