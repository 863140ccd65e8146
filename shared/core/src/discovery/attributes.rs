//! What an endpoint says of its task.

use std::collections::BTreeMap;

use super::Facts;
use crate::config::Discovery;
use crate::delivery::ImageRef;
use crate::endpoint::Lack;
use crate::event::{Container, TaskStateChange};
use crate::ids::{Arn, Target, TargetKind, TaskDefinitionRef};
use crate::report::{Code, Reason};

/// Who owns an endpoint: the attribute that says so. Only what carries it is ever removed.
pub const OWNER_ATTRIBUTE: &str = "WHARFINGER_OWNER";
/// Which task an endpoint stands for: the attribute with its ARN.
pub const TASK_ATTRIBUTE: &str = "WHARFINGER_TASK";

/// The longest value of an attribute, and the most characters that all keys and values have together
/// (Cloud Map API reference, `RegisterInstance`).
const MAX_VALUE: usize = 1_024;
const MAX_TOTAL: usize = 5_000;

/// All but the address and port.
pub(super) fn attributes(
    facts: &Facts,
    entry: &Discovery,
    container: Option<&Container>,
) -> Result<BTreeMap<String, String>, Lack> {
    let mut attributes = BTreeMap::new();
    for (name, template) in &entry.attributes {
        let value = fill(template, facts, container)?;
        if !value.is_empty() {
            attributes.insert(name.clone(), value);
        }
    }
    attributes.extend(own(&facts.managed.target, &facts.task));
    attributes.insert(TASK_ATTRIBUTE.into(), facts.task.task_arn.to_string());
    attributes.insert(OWNER_ATTRIBUTE.into(), facts.owner.clone());
    Ok(attributes)
}

/// Whether Cloud Map takes so much.
pub(super) fn fit(attributes: &BTreeMap<String, String>) -> Result<(), Lack> {
    let too_long = |message| Lack::Nothing(Reason::new(Code::AttributeTooLong, message));
    if let Some((name, value)) = attributes.iter().find(|(_, value)| value.len() > MAX_VALUE) {
        return Err(too_long(format!(
            "attribute `{name}` has {} characters; Cloud Map takes {MAX_VALUE}",
            value.len()
        )));
    }
    let total: usize = attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    if total > MAX_TOTAL {
        return Err(too_long(format!(
            "the attributes have {total} characters together; Cloud Map takes {MAX_TOTAL}"
        )));
    }
    Ok(())
}

/// The keys that ECS itself sets (ECS developer guide, "Service discovery"), so that consumers of either read the same.
fn own(target: &Target, task: &TaskStateChange) -> impl Iterator<Item = (String, String)> {
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

/// Fills in `${…}`; what the task does not have becomes empty.
fn fill(template: &str, facts: &Facts, container: Option<&Container>) -> Result<String, Lack> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            break;
        };
        out.push_str(&value(name, facts, container)?.unwrap_or_default());
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn value(name: &str, facts: &Facts, container: Option<&Container>) -> Result<Option<String>, Lack> {
    let task = &facts.task;
    let definition = TaskDefinitionRef::parse(&task.task_definition_arn);
    let image = || {
        let image = container.and_then(|c| c.image.as_deref());
        image.and_then(|i| i.parse::<ImageRef>().ok())
    };
    Ok(match name {
        "task.id" => Some(task.task_arn.id().to_owned()),
        "task.family" => definition.map(|d| d.family.to_owned()),
        "task.revision" => definition.map(|d| d.revision.to_string()),
        "task.az" => task.availability_zone.clone(),
        "image.tag" => image().and_then(|i| i.tag),
        "image.digest" => container
            .and_then(|c| c.image_digest.clone())
            .or_else(|| image().and_then(|i| i.digest.map(|d| d.to_string()))),
        _ => match (name.strip_prefix("tag:"), &task.tags) {
            (Some(tag), Some(tags)) => tags.get(tag).cloned(),
            // Events carry no tags (containers-roadmap #80, #2317).
            (Some(_), None) if !facts.looked_up => {
                let reason = Reason::new(Code::FactsMissing, "the task's tags are not in the event");
                return Err(Lack::Needs("DescribeTasks", reason));
            }
            _ => None,
        },
    })
}
