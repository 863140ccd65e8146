//! Reads `template.yaml`.
//!
//! The short forms of functions (`!Ref`, `!GetAtt`, `!Sub`) are read as what follows them: `!GetAtt Queue.Arn` is
//! `Queue.Arn`. That they are there, and mean something, is what `cfn-lint` and `sam validate --lint` look at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A set of words, for comparison.
pub fn words<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> BTreeSet<String> {
    words.into_iter().map(|word| word.as_ref().to_owned()).collect()
}

/// One value, or a list of them: policies may say either.
pub fn list(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().map(|value| value.as_str().unwrap()).collect(),
        value => vec![value.as_str().unwrap()],
    }
}

/// The template.
pub struct Template(Value);

impl Template {
    /// Reads it.
    pub fn load() -> Self {
        let text = std::fs::read_to_string(root().join("template.yaml")).unwrap();
        Self(serde_saphyr::from_str(&text).unwrap())
    }

    /// A section at the top.
    pub fn section(&self, name: &str) -> &Value {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("template.yaml has no section {name}"))
    }

    /// A resource by its logical id.
    pub fn resource(&self, id: &str) -> &Value {
        self.section("Resources")
            .get(id)
            .unwrap_or_else(|| panic!("template.yaml has no resource {id}"))
    }

    /// The properties of a resource.
    pub fn properties(&self, id: &str) -> &Value {
        &self.resource(id)["Properties"]
    }

    /// The logical ids of the resources of a type.
    pub fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        let resources = self.section("Resources").as_object().unwrap();
        resources
            .iter()
            .filter(move |(_, resource)| resource["Type"] == kind)
            .map(|(id, _)| id.as_str())
    }

    /// The logical ids of the functions.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.of_type("AWS::Serverless::Function")
    }

    /// A property of a function: its own, else that of all functions. SAM would merge maps; no map here is in both.
    pub fn function_property(&self, id: &str, name: &str) -> &Value {
        let own = self.properties(id).get(name);
        let all = self.section("Globals")["Function"].get(name);
        match (own, all) {
            (Some(_), Some(Value::Object(_))) => panic!("{name} is in {id} and in Globals: merge them in the test too"),
            (Some(value), _) | (None, Some(value)) => value,
            (None, None) => panic!("{id} has no {name}"),
        }
    }
}
