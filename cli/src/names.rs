//! The Cloud Map services that a document names, looked up when it is applied: never while an event waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, bail};
use wharfinger_cloud::ports::{Clock, Names, Namespace, OperationStatus, Registry};

use crate::output::note;

/// How often, and how far apart, the creation of a namespace is asked for: two minutes in all. It takes seconds for an
/// HTTP namespace.
const LOOKS: u32 = 60;
const BETWEEN: Duration = Duration::from_secs(2);

/// What was found, and what was made.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Resolved {
    /// Ids by `namespace/service`.
    pub registries: BTreeMap<String, String>,
    /// Namespaces and services that were created.
    pub created: Vec<String>,
}

/// Looks names up, and with `create` makes what is missing. Everything that is missing is told at once.
pub(crate) async fn resolve(
    cloud: &(impl Names + Registry + Clock),
    names: &BTreeSet<String>,
    create: bool,
) -> anyhow::Result<Resolved> {
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (namespace, service) in names.iter().filter_map(|name| name.split_once('/')) {
        wanted.entry(namespace).or_default().push(service);
    }
    let mut resolved = Resolved::default();
    if wanted.is_empty() {
        return Ok(resolved);
    }
    let mut missing = Vec::new();
    let known = cloud
        .namespaces()
        .await
        .context("the namespaces of Cloud Map cannot be listed")?;
    for (name, services) in wanted {
        let namespace = match named(&known, name)? {
            Some(namespace) => namespace.clone(),
            None if create => create_namespace(cloud, name, &mut resolved).await?,
            None => {
                missing.push(format!("namespace {name}"));
                continue;
            }
        };
        let known = cloud
            .registries(&namespace.id)
            .await
            .with_context(|| format!("the services of {name} cannot be listed"))?;
        for service in services {
            let to = format!("{name}/{service}");
            let id = match known.get(service) {
                Some(id) => id.clone(),
                None if create => {
                    let made = cloud.create_registry(&namespace, service).await;
                    let id = made.with_context(|| format!("the Cloud Map service {to} cannot be created"))?;
                    resolved.created.push(format!("service {to}"));
                    id
                }
                None => {
                    missing.push(format!("service {to}"));
                    continue;
                }
            };
            resolved.registries.insert(to, id);
        }
    }
    if !missing.is_empty() {
        bail!(
            "Cloud Map has no {}: create them, or let --create do so; nothing was applied",
            missing.join(", no ")
        );
    }
    Ok(resolved)
}

fn named<'a>(known: &'a [Namespace], name: &str) -> anyhow::Result<Option<&'a Namespace>> {
    let mut found = known.iter().filter(|namespace| namespace.name == name);
    match (found.next(), found.next()) {
        // Private DNS namespaces of different VPCs may share a name.
        (Some(one), Some(other)) => bail!(
            "several namespaces are called {name} ({}, {}): write the id of the Cloud Map service (`srv-…`) in `discovery.to`",
            one.id,
            other.id
        ),
        (one, _) => Ok(one),
    }
}

async fn create_namespace(
    cloud: &(impl Names + Registry + Clock),
    name: &str,
    resolved: &mut Resolved,
) -> anyhow::Result<Namespace> {
    let failed = || format!("the namespace {name} cannot be created");
    let operation = cloud.create_namespace(name).await.with_context(failed)?;
    note(format_args!("creating the namespace {name}"));
    for _ in 0..LOOKS {
        let status = match &operation {
            Some(id) => cloud.operation(id).await.with_context(failed)?,
            None => OperationStatus::Done,
        };
        match status {
            OperationStatus::Failed(reason) => bail!("{}: {reason}", failed()),
            OperationStatus::Running => {}
            OperationStatus::Done => {
                let known = cloud.namespaces().await.with_context(failed)?;
                if let Some(namespace) = named(&known, name)? {
                    resolved.created.push(format!("namespace {name}"));
                    return Ok(namespace.clone());
                }
            }
        }
        cloud.sleep(BETWEEN).await;
    }
    bail!(
        "{}: it was not there after {} s; apply again",
        failed(),
        BETWEEN.as_secs() * u64::from(LOOKS)
    )
}
