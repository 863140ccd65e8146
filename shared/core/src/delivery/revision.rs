//! The next revision of a task definition: the same, with other images.
//!
//! It is made of the raw JSON of `DescribeTaskDefinition` and never goes through a type: a type loses the fields that it
//! does not know, and AWS adds some every few months. What the answer has and the request does not take is a short list; a
//! list of what the request takes would lose a field as soon as AWS adds one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What `DescribeTaskDefinition` answers and `RegisterTaskDefinition` does not take (ECS API model: the members of
/// `TaskDefinition` less those of `RegisterTaskDefinitionRequest`).
const ANSWER_ONLY: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// Why no revision can be made of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// It is not the answer of `DescribeTaskDefinition`.
    #[error("the answer of DescribeTaskDefinition has no `{0}`, or it is not {1}")]
    Answer(&'static str, &'static str),
    /// There is no such container.
    #[error("the task definition has no container {0}, counted from 0")]
    Container(usize),
}

/// A container of a task definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerImage<'a> {
    /// Its place in `containerDefinitions`.
    pub index: usize,
    /// Its name, empty when it has none.
    pub name: &'a str,
    /// Its image as it is written, empty when it has none.
    pub image: &'a str,
}

/// The images that change: by the container's place in `containerDefinitions`.
pub type Images = BTreeMap<usize, String>;

/// The containers of a described task definition.
pub fn containers(answer: &Value) -> Result<Vec<ContainerImage<'_>>, RevisionError> {
    let list = definition(answer)?
        .get("containerDefinitions")
        .and_then(Value::as_array)
        .ok_or(RevisionError::Answer("taskDefinition.containerDefinitions", "a list"))?;
    Ok(list
        .iter()
        .enumerate()
        .map(|(index, container)| ContainerImage {
            index,
            name: container.get("name").and_then(Value::as_str).unwrap_or_default(),
            image: container.get("image").and_then(Value::as_str).unwrap_or_default(),
        })
        .collect())
}

/// The ARN of a described task definition.
pub fn task_definition_arn(answer: &Value) -> Option<&str> {
    answer.get("taskDefinition")?.get("taskDefinitionArn")?.as_str()
}

/// The request of `RegisterTaskDefinition` that makes the next revision of a described one (`DescribeTaskDefinition` with
/// `include: [TAGS]`, or the tags are lost), with these images and nothing else changed.
///
/// Tags stand beside the definition in the answer and in it in the request. Those that AWS set (`aws:…`) cannot be sent
/// back, and an empty list is refused, so it is left out.
pub fn revise(answer: &Value, images: &Images) -> Result<Value, RevisionError> {
    let mut request: Map<String, Value> = definition(answer)?
        .iter()
        .filter(|(key, _)| !ANSWER_ONLY.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (index, image) in images {
        let container = request
            .get_mut("containerDefinitions")
            .and_then(|list| list.get_mut(index))
            .and_then(Value::as_object_mut)
            .ok_or(RevisionError::Container(*index))?;
        container.insert("image".into(), image.as_str().into());
    }
    let tags = own_tags(answer)?;
    if !tags.is_empty() {
        request.insert("tags".into(), Value::Array(tags));
    }
    Ok(Value::Object(request))
}

fn definition(answer: &Value) -> Result<&Map<String, Value>, RevisionError> {
    answer
        .get("taskDefinition")
        .and_then(Value::as_object)
        .ok_or(RevisionError::Answer("taskDefinition", "an object"))
}

fn own_tags(answer: &Value) -> Result<Vec<Value>, RevisionError> {
    let is_own = |tag: &&Value| {
        !tag.get("key")
            .and_then(Value::as_str)
            .is_some_and(|key| key.starts_with("aws:"))
    };
    match answer.get("tags") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(tags)) => Ok(tags.iter().filter(is_own).cloned().collect()),
        Some(_) => Err(RevisionError::Answer("tags", "a list")),
    }
}

#[cfg(test)]
mod tests;
