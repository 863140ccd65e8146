//! Cloud Map services.

use std::collections::BTreeMap;

use anyhow::Context;
use wharfinger_cloud::ports::{Names, Namespace};
use wharfinger_core::config::stored::registry_id;
use wharfinger_core::config::{Document, Making, Path, Problem, making};

use super::{Found, Missing, places};
use crate::output::warning;

/// Looks up every `discovery.to`.
pub(super) async fn look_up(
    cloud: &impl Names,
    document: &Document,
    create: bool,
    found: &mut Found,
) -> anyhow::Result<()> {
    let places = places(document, |entry| {
        let named = entry.config.discovery.iter().enumerate();
        named
            .map(|(i, discovery)| (entry.path.at("discovery").at(i).at("to"), discovery.to.clone()))
            .collect()
    });
    let (ids, names): (Vec<_>, Vec<_>) = places.iter().partition(|(to, _)| registry_id(to).is_some());
    for (id, _) in ids {
        match cloud.registry(id).await {
            Ok(registry) => {
                found.names.registries.insert(id.clone(), registry);
            }
            Err(error) => warning(format_args!(
                "of the Cloud Map service {id} neither records nor health check are known: {error}"
            )),
        }
    }
    let mut wanted: BTreeMap<&str, Vec<Wanted<'_>>> = BTreeMap::new();
    let making = making(document);
    for (to, path) in names {
        if let (Some((namespace, service)), Some(making)) = (to.split_once('/'), making.get(to)) {
            let service = Wanted {
                to,
                service,
                path,
                making,
            };
            wanted.entry(namespace).or_default().push(service);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let known = cloud
        .namespaces()
        .await
        .context("the namespaces of Cloud Map cannot be listed")?;
    for (name, services) in wanted {
        of_namespace(cloud, name, &known, services, create, found).await?;
    }
    Ok(())
}

/// A service that is named.
struct Wanted<'a> {
    to: &'a str,
    service: &'a str,
    path: &'a Path,
    making: &'a Making,
}

async fn of_namespace(
    cloud: &impl Names,
    name: &str,
    known: &[Namespace],
    services: Vec<Wanted<'_>>,
    create: bool,
    found: &mut Found,
) -> anyhow::Result<()> {
    let namespace = match &named(known, name)[..] {
        [] => None,
        [one] => Some((*one).clone()),
        // Private DNS namespaces of different VPCs may share a name.
        several => {
            let ids: Vec<_> = several.iter().map(|namespace| namespace.id.as_str()).collect();
            let message = format!(
                "several namespaces are called {name} ({}): write the id of the Cloud Map service (`srv-…`)",
                ids.join(", ")
            );
            let first = services.first().map(|service| service.path.clone());
            found.problems.extend(first.map(|path| Problem::error(path, message)));
            return Ok(());
        }
    };
    let registries = match &namespace {
        Some(namespace) => cloud
            .registries(&namespace.id)
            .await
            .with_context(|| format!("the services of {name} cannot be listed"))?,
        None => BTreeMap::new(),
    };
    for wanted in services {
        match registries.get(wanted.service) {
            Some(registry) => {
                found.names.registries.insert(wanted.to.to_owned(), registry.clone());
            }
            None if create => to_be_made(&wanted, namespace.clone(), found),
            None => {
                let what = match &namespace {
                    Some(_) => format!("service {}", wanted.to),
                    None => format!("namespace {name}"),
                };
                let message = format!("Cloud Map has no {what}: create it, or let `apply --create` do so");
                found.problems.push(Problem::error(wanted.path.clone(), message));
            }
        }
    }
    Ok(())
}

fn to_be_made(wanted: &Wanted<'_>, namespace: Option<Namespace>, found: &mut Found) {
    let Wanted { to, making, .. } = wanted;
    let dns = namespace
        .as_ref()
        .map_or(making.vpc.is_some(), |namespace| namespace.dns);
    if making.asked && !making.records.is_empty() && !dns {
        let message = match namespace {
            Some(_) => format!("the namespace of `{to}` has no DNS, so the service can have no `records`"),
            None => "a namespace has DNS in a VPC only: name it in `create.vpc`".to_owned(),
        };
        found.problems.push(Problem::error(wanted.path.clone(), message));
        return;
    }
    found
        .names
        .registries
        .insert((*to).to_owned(), making.registry("", dns));
    found.missing.push(Missing {
        to: (*to).to_owned(),
        namespace,
        making: (*making).clone(),
    });
}

pub(super) fn named<'n>(known: &'n [Namespace], name: &str) -> Vec<&'n Namespace> {
    known.iter().filter(|namespace| namespace.name == name).collect()
}
