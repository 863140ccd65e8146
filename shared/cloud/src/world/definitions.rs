//! Task definitions, as raw JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharfinger_core::ids::TaskDefinitionRef;

use super::{ACCOUNT, Caller, Change, REGION, World};
use crate::error::{CloudError, Kind};
use crate::ports::TaskDefinitions;

/// The families, each with its revisions as `DescribeTaskDefinition` answers them, from the first on.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    families: BTreeMap<String, Vec<Value>>,
}

impl Definitions {
    /// The answer of `DescribeTaskDefinition` for an ARN, `family:revision`, or a family, which means its latest revision.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Value> {
        match TaskDefinitionRef::parse(name) {
            Some(TaskDefinitionRef { family, revision }) => self
                .families
                .get(family)?
                .get(usize::try_from(revision).ok()?.checked_sub(1)?),
            None => self.families.get(name)?.last(),
        }
    }

    /// How many revisions a family has.
    #[must_use]
    pub fn revisions(&self, family: &str) -> usize {
        self.families.get(family).map_or(0, Vec::len)
    }

    /// The containers of a revision: name and image.
    #[must_use]
    pub fn containers(&self, name: &str) -> Vec<(String, String)> {
        let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = self
            .find(name)
            .and_then(|answer| answer.pointer("/taskDefinition/containerDefinitions"));
        let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .map(|container| (text(container, "name"), text(container, "image")))
            .collect()
    }
}

impl World {
    /// Registers a revision: what the request says, and what ECS adds. The answer is its ARN.
    ///
    /// # Errors
    /// When the request has no family or no containers.
    pub fn define(&mut self, request: &Value) -> Result<String, CloudError> {
        let invalid = |message: &str| CloudError::new("RegisterTaskDefinition", Kind::Invalid, message);
        let family = request
            .get("family")
            .and_then(Value::as_str)
            .ok_or_else(|| invalid("no family"))?;
        if request
            .get("containerDefinitions")
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty)
        {
            return Err(invalid("no container definitions"));
        }
        let revisions = self.definitions.families.entry(family.to_owned()).or_default();
        let revision = revisions.len() + 1;
        let arn = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:{revision}");
        let mut definition = request.clone();
        let tags = definition
            .as_object_mut()
            .and_then(|d| d.remove("tags"))
            .unwrap_or_else(|| json!([]));
        definition["taskDefinitionArn"] = arn.clone().into();
        definition["revision"] = revision.into();
        definition["status"] = "ACTIVE".into();
        definition["compatibilities"] = json!(["EC2", "FARGATE"]);
        definition["registeredAt"] = self.now.as_second().into();
        definition["registeredBy"] = format!("arn:aws:sts::{ACCOUNT}:assumed-role/simulated").into();
        revisions.push(json!({ "taskDefinition": definition, "tags": tags }));
        Ok(arn)
    }
}

impl TaskDefinitions for Caller {
    async fn describe_task_definition(&self, name: &str) -> Result<Option<Value>, CloudError> {
        let describe = |world: &World| Ok(world.definitions.find(name).cloned());
        let brief = |found: &Option<Value>| {
            let arn = found
                .as_ref()
                .and_then(|a| a.pointer("/taskDefinition/taskDefinitionArn"));
            arn.and_then(Value::as_str).unwrap_or("none").to_owned()
        };
        self.read("DescribeTaskDefinition", || name.to_owned(), describe, brief)
            .await
    }

    async fn register_task_definition(&self, request: &Value) -> Result<String, CloudError> {
        let argument = || request.get("family").and_then(Value::as_str).unwrap_or("?").to_owned();
        let register = |world: &mut World| {
            let arn = world.define(request)?;
            world.did(Change::RegisterTaskDefinition(arn.clone()));
            Ok(arn)
        };
        self.write("RegisterTaskDefinition", argument, register, String::clone)
            .await
    }
}
