//! Endpoints: registries, attributes, and entries that would overwrite each other.

use std::collections::BTreeMap;

use super::Found;
use crate::config::create::namespace;
use crate::config::stored::{Registry, registry_id};
use crate::config::{ATTRIBUTE_NAMES, Create, Discovery, Document, Path};
use crate::discovery::mismatch;
use crate::ids::Arn;

/// The most custom attributes of an instance (Cloud Map API reference, `RegisterInstance`).
const MAX_ATTRIBUTES: usize = 30;
/// Those that every endpoint gets from Wharfinger, besides `AWS_…`, which do not count.
const OWN_ATTRIBUTES: [&str; 7] = [
    "AVAILABILITY_ZONE",
    "REGION",
    "ECS_CLUSTER_NAME",
    "ECS_SERVICE_NAME",
    "ECS_TASK_DEFINITION_FAMILY",
    "WHARFINGER_TASK",
    "WHARFINGER_OWNER",
];
/// The longest key and value of an attribute (the same).
const MAX_KEY: usize = 255;
const MAX_VALUE: usize = 1_024;
/// The longest TTL of a record, in seconds (Cloud Map API reference, `DnsRecord`).
const MAX_TTL: u64 = 2_147_483_647;

pub(super) fn check(target: &Path, entries: &[Discovery], found: &mut Found) {
    for (i, entry) in entries.iter().enumerate() {
        let path = target.at("discovery").at(i);
        if let Err(message) = registry(&entry.to) {
            found.error(path.at("to"), message);
        }
        found.container_port(&path, entry.container.as_deref(), entry.port);
        if entries[..i]
            .iter()
            .any(|other| other.to == entry.to && other.port == entry.port)
        {
            let id = entry
                .port
                .map_or_else(|| "<task id>".to_owned(), |port| format!("<task id>-{port}"));
            let message = format!(
                "another entry registers the same instance `{id}` in `{}`: give each its own `port`, or another registry",
                entry.to
            );
            found.error(path.clone(), message);
        }
        attributes(&path.at("attributes"), entry, found);
        if let Some(create) = &entry.create {
            of_create(&path.at("create"), entry, create, found);
        }
    }
}

/// What is to be made of a name that is missing: only what Cloud Map would take.
fn of_create(path: &Path, entry: &Discovery, create: &Create, found: &mut Found) {
    if registry_id(&entry.to).is_some() {
        found.error(
            path.clone(),
            format!("`{}` exists already: there is nothing to create", entry.to),
        );
    }
    if let Some(vpc) = create.vpc.as_ref().filter(|vpc| !vpc.starts_with("vpc-")) {
        found.error(path.at("vpc"), format!("`{vpc}` is no VPC: write its id, `vpc-…`"));
    }
    let records = Registry {
        records: create.records.clone().unwrap_or_default(),
        ..Registry::default()
    };
    if let Some(message) = mismatch(entry, &records) {
        found.error(path.at("records"), message);
    }
    if create.ttl.is_some_and(|ttl| ttl.duration().as_secs() > MAX_TTL) {
        found.error(path.at("ttl"), format!("Cloud Map takes {MAX_TTL} seconds at most"));
    }
}

/// Two entries that would make one service or namespace differently. Entries that say nothing agree with all.
pub(super) fn creations(document: &Document, found: &mut Found) {
    let (mut services, mut vpcs) = (BTreeMap::new(), BTreeMap::new());
    for target in document.entries() {
        for (i, entry) in target.config.discovery.into_iter().enumerate() {
            let Some(create) = entry.create else { continue };
            let path = target.path.at("discovery").at(i).at("create");
            let namespace = namespace(&entry.to).to_owned();
            if let Some(vpc) = create.vpc.clone()
                && *vpcs.entry(namespace.clone()).or_insert_with(|| vpc.clone()) != vpc
            {
                let message = format!("another entry creates the namespace {namespace} in another VPC");
                found.error(path.at("vpc"), message);
            }
            let service = Create { vpc: None, ..create };
            if *services.entry(entry.to.clone()).or_insert_with(|| service.clone()) != service {
                found.error(
                    path,
                    format!(
                        "another entry creates `{}` differently: write the same in both",
                        entry.to
                    ),
                );
            }
        }
    }
}

fn registry(to: &str) -> Result<(), String> {
    let good = if to.starts_with("arn:") {
        Arn::parse(to).is_some_and(|a| a.service == "servicediscovery" && a.resource.starts_with("service/srv-"))
    } else if registry_id(to).is_some() {
        to.len() > "srv-".len() && to.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    } else {
        // The characters of a namespace's and a service's name (Cloud Map API reference, `CreateService`).
        let name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
        matches!(to.split('/').collect::<Vec<_>>()[..], [namespace, service] if name(namespace) && name(service))
    };
    if good {
        return Ok(());
    }
    Err(format!(
        "`{to}` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it"
    ))
}

fn attributes(path: &Path, entry: &Discovery, found: &mut Found) {
    let most = MAX_ATTRIBUTES - OWN_ATTRIBUTES.len();
    if entry.attributes.len() > most {
        let message = format!(
            "{} attributes; Cloud Map takes {MAX_ATTRIBUTES}, of which Wharfinger sets {}: {most} are left",
            entry.attributes.len(),
            OWN_ATTRIBUTES.len()
        );
        found.error(path.clone(), message);
    }
    for (key, value) in &entry.attributes {
        let path = path.at(key);
        if let Err(message) = attribute_key(key) {
            found.error(path.clone(), message);
        }
        if value.is_empty() {
            found.error(path.clone(), "the value is empty: leave the attribute out");
        }
        if value.len() > MAX_VALUE {
            found.error(
                path.clone(),
                format!("the value has {} characters; Cloud Map takes {MAX_VALUE}", value.len()),
            );
        }
        if let Err(message) = templates(value) {
            found.error(path, message);
        }
    }
}

fn attribute_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!(
            "`{key}` cannot be an attribute's name: write 1 to {MAX_KEY} of the visible ASCII characters, no blanks"
        ));
    }
    if OWN_ATTRIBUTES.contains(&key) || ["AWS_", "WHARFINGER_"].iter().any(|prefix| key.starts_with(prefix)) {
        return Err(format!(
            "`{key}` is set by Wharfinger or reserved by AWS: choose another name"
        ));
    }
    Ok(())
}

fn templates(value: &str) -> Result<(), String> {
    let known = || {
        ATTRIBUTE_NAMES
            .iter()
            .chain(&["tag:KEY"])
            .map(|name| format!("`${{{name}}}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut rest = value;
    while let Some((_, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else {
            return Err(format!("`${{` without `}}`; these are filled in: {}", known()));
        };
        let of_tag = name.strip_prefix("tag:").is_some_and(|key| !key.is_empty());
        if !of_tag && !ATTRIBUTE_NAMES.contains(&name) {
            return Err(format!("`${{{name}}}` is not known; these are filled in: {}", known()));
        }
        rest = tail;
    }
    Ok(())
}
