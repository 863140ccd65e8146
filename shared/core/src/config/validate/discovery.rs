//! Endpoints: registries, attributes, and entries that would overwrite each other.

use super::Found;
use crate::config::stored::registry_id;
use crate::config::{ATTRIBUTE_NAMES, Discovery, Path};
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
