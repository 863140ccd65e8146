//! Which endpoints a task is to have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Address, Discovery, When};
use crate::delivery::{ImageRef, SIDE_CONTAINER};
use crate::event::{Container, TaskStateChange};
use crate::ids::{Arn, Target, TargetKind, TaskDefinitionRef};
use crate::report::{Code, Reason};

use super::Facts;

/// Who owns an endpoint: the attribute that says so. Only what carries it is ever removed.
pub const OWNER_ATTRIBUTE: &str = "WHARFINGER_OWNER";
/// Which task an endpoint stands for: the attribute with its ARN.
pub const TASK_ATTRIBUTE: &str = "WHARFINGER_TASK";

/// The longest value of an attribute (Cloud Map API reference, `RegisterInstance`).
const MAX_VALUE: usize = 1_024;
/// The longest instance id (the same).
const MAX_INSTANCE_ID: usize = 64;

/// An instance of a Cloud Map service: the request of `RegisterInstance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    /// The Cloud Map service.
    pub service_id: String,
    /// `<task id>-<port>`, or the task id.
    pub instance_id: String,
    /// Address, port, and what else is said of it.
    pub attributes: BTreeMap<String, String>,
}

impl Endpoint {
    /// Whether both are the same instance of the same service, whatever their attributes.
    #[must_use]
    pub fn is_same_instance(&self, other: &Self) -> bool {
        self.service_id == other.service_id && self.instance_id == other.instance_id
    }
}

/// What one entry of the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This endpoint.
    Endpoint(Endpoint),
    /// None yet: a fact is missing that this AWS operation would tell.
    Needs(&'static str, Reason),
    /// None, whatever is looked up.
    Nothing(Reason),
}

/// Which endpoints the configuration asks for while the task runs, one answer per entry.
#[must_use]
pub fn wanted(facts: &Facts) -> Vec<Wanted> {
    facts
        .managed
        .stored
        .config
        .discovery
        .iter()
        .map(|entry| want(facts, entry).unwrap_or_else(|w| w))
        .collect()
}

/// The registry and instance of an entry: all that a removal needs.
pub(super) fn place(facts: &Facts, entry: &Discovery) -> Result<Endpoint, Reason> {
    let service_id = facts.managed.stored.registry(&entry.to).ok_or_else(|| {
        Reason::new(
            Code::RegistryUnresolved,
            format!(
                "the Cloud Map service of `{}` is not known: apply the configuration, which looks it up",
                entry.to
            ),
        )
    })?;
    let id = facts.task.task_arn.id();
    let instance_id = entry.port.map_or_else(|| id.to_owned(), |port| format!("{id}-{port}"));
    if instance_id.len() > MAX_INSTANCE_ID {
        let message = format!("the instance id `{instance_id}` is longer than {MAX_INSTANCE_ID} characters");
        return Err(Reason::new(Code::AttributeTooLong, message));
    }
    Ok(Endpoint {
        service_id: service_id.into(),
        instance_id,
        attributes: BTreeMap::new(),
    })
}

fn want(facts: &Facts, entry: &Discovery) -> Result<Wanted, Wanted> {
    let mut endpoint = place(facts, entry).map_err(Wanted::Nothing)?;
    let container = container(&facts.task, entry).map_err(Wanted::Nothing)?;
    healthy(facts, entry)?;
    let (key, address) = address(facts, entry.address)?;
    let attributes = &mut endpoint.attributes;
    for (name, template) in &entry.attributes {
        let value = fill(template, &facts.task, container);
        if !value.is_empty() {
            attributes.insert(name.clone(), value);
        }
    }
    attributes.extend(own_attributes(&facts.managed.target, &facts.task));
    attributes.insert(key.into(), address);
    if let Some(port) = entry.port {
        attributes.insert("AWS_INSTANCE_PORT".into(), port.to_string());
    }
    attributes.insert(TASK_ATTRIBUTE.into(), facts.task.task_arn.to_string());
    attributes.insert(OWNER_ATTRIBUTE.into(), facts.owner.clone());
    match attributes.iter().find(|(_, value)| value.len() > MAX_VALUE) {
        Some((name, value)) => {
            let message = format!(
                "attribute `{name}` has {} characters; Cloud Map takes {MAX_VALUE}",
                value.len()
            );
            Err(Wanted::Nothing(Reason::new(Code::AttributeTooLong, message)))
        }
        None => Ok(Wanted::Endpoint(endpoint)),
    }
}

fn container<'a>(task: &'a TaskStateChange, entry: &Discovery) -> Result<Option<&'a Container>, Reason> {
    match &entry.container {
        None => {
            // An event does not carry our mark: the name alone tells the side container.
            let mut own = task.containers.iter().filter(|c| c.name != SIDE_CONTAINER);
            Ok(own.next().filter(|_| own.next().is_none()))
        }
        Some(name) => task
            .containers
            .iter()
            .find(|c| c.name == *name)
            .map(Some)
            .ok_or_else(|| {
                let names: Vec<_> = task.containers.iter().take(10).map(|c| c.name.as_str()).collect();
                Reason::new(
                    Code::NoContainer,
                    format!("the task has no container `{name}`; it has: {}", names.join(", ")),
                )
            }),
    }
}

fn healthy(facts: &Facts, entry: &Discovery) -> Result<(), Wanted> {
    if entry.when == When::Running {
        return Ok(());
    }
    match facts.task.health_status.as_deref() {
        Some("HEALTHY") => Ok(()),
        None if !facts.looked_up => Err(Wanted::Needs(
            "DescribeTasks",
            Reason::new(Code::FactsMissing, "the task's health is not in the event"),
        )),
        other => Err(Wanted::Nothing(Reason::new(
            Code::NotHealthy,
            format!(
                "the task's health is {}: it joins when it is HEALTHY",
                other.unwrap_or("UNKNOWN")
            ),
        ))),
    }
}

fn address(facts: &Facts, wanted: Address) -> Result<(&'static str, String), Wanted> {
    let task = &facts.task;
    let (key, found, kind) = match wanted {
        Address::Private => ("AWS_INSTANCE_IPV4", task.private_ipv4.as_ref(), "private IPv4"),
        Address::Ipv6 => ("AWS_INSTANCE_IPV6", task.ipv6.as_ref(), "IPv6"),
        Address::Public => {
            let message = "the public address is not in the event, and this version does not look it up";
            return Err(Wanted::Needs(
                "DescribeNetworkInterfaces",
                Reason::new(Code::FactsMissing, message),
            ));
        }
    };
    match found {
        Some(address) => Ok((key, address.clone())),
        None if !facts.looked_up => {
            let message = format!("the task's {kind} address is not in the event");
            Err(Wanted::Needs("DescribeTasks", Reason::new(Code::FactsMissing, message)))
        }
        None => Err(Wanted::Nothing(Reason::new(
            Code::NoAddress,
            format!("the task has no {kind} address of its own"),
        ))),
    }
}

/// The keys that ECS itself sets (ECS developer guide, "Service discovery"), so that consumers of either read the same.
fn own_attributes(target: &Target, task: &TaskStateChange) -> impl Iterator<Item = (String, String)> {
    let region = Arn::parse(task.task_arn.as_str()).map(|arn| arn.region.to_owned());
    let family = TaskDefinitionRef::parse(&task.task_definition_arn).map(|d| d.family.to_owned());
    let service = (target.kind == TargetKind::Service).then(|| target.name.clone());
    [
        ("AVAILABILITY_ZONE", task.availability_zone.clone()),
        ("REGION", region),
        ("ECS_CLUSTER_NAME", Some(target.cluster.clone())),
        ("ECS_SERVICE_NAME", service),
        ("ECS_TASK_DEFINITION_FAMILY", family),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
}

/// Fills in `${…}`; what is not known becomes empty.
fn fill(template: &str, task: &TaskStateChange, container: Option<&Container>) -> String {
    let image = container
        .and_then(|c| c.image.as_deref())
        .and_then(|i| i.parse::<ImageRef>().ok());
    let definition = TaskDefinitionRef::parse(&task.task_definition_arn);
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            break;
        };
        let value = match name {
            "task.id" => Some(task.task_arn.id().to_owned()),
            "task.family" => definition.map(|d| d.family.to_owned()),
            "task.revision" => definition.map(|d| d.revision.to_string()),
            "task.az" => task.availability_zone.clone(),
            "image.tag" => image.as_ref().and_then(|i| i.tag.clone()),
            "image.digest" => container
                .and_then(|c| c.image_digest.clone())
                .or_else(|| image.as_ref().and_then(|i| i.digest.as_ref().map(ToString::to_string))),
            _ => None,
        };
        out.push_str(&value.unwrap_or_default());
        rest = tail;
    }
    out.push_str(rest);
    out
}
