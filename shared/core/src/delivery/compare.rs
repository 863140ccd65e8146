//! Whether a revision became what was asked for.
//!
//! A request that goes through is no proof: a field may be left out or changed on the way. So the new revision is described
//! and compared with the old one before any service is sent to it.

use std::fmt;

use serde_json::{Map, Value};

use super::linger::Side;
use super::mounts::Mounts;
use super::revision::{Images, RevisionError, revise};

/// What became of a part of a task definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another value.
    Changed,
}

/// A part of a task definition that is not what it should be. Without the values: an environment variable may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Difference {
    /// Where: `containerDefinitions[0].cpu`.
    pub path: String,
    /// What became of it.
    pub change: Change,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            Change::Added => "is new",
            Change::Removed => "is gone",
            Change::Changed => "has another value",
        };
        write!(f, "`{}` {change}", self.path)
    }
}

/// In what the new revision is not the old one with these images, this side container and these access points; empty when
/// nothing else differs.
/// Both are answers of `DescribeTaskDefinition` with tags.
///
/// What only the answer has (ARN, status, …) is not compared. `null`, `[]` and `{}` are the same as nothing, and the order
/// does not matter in a list of objects: ECS gives neither a meaning (`environment`, `secrets`, tags, …).
pub fn differences(
    base: &Value,
    new: &Value,
    images: &Images,
    side: &Side,
    mounts: &Mounts,
) -> Result<Vec<Difference>, RevisionError> {
    let mut expected = revise(base, images)?;
    side.apply(&mut expected);
    mounts.apply(&mut expected);
    let mut actual = revise(new, &Images::new())?;
    mounts.level(&mut expected, &mut actual);
    let mut found = Vec::new();
    compare("", Some(&expected), Some(&actual), &mut found);
    Ok(found)
}

/// Whether two parts are the same, as [`differences`] compares them.
pub(super) fn is_same(expected: &Value, actual: &Value) -> bool {
    let mut found = Vec::new();
    compare("", Some(expected), Some(actual), &mut found);
    found.is_empty()
}

fn compare(path: &str, expected: Option<&Value>, actual: Option<&Value>, found: &mut Vec<Difference>) {
    let mut tell = |change| {
        let path = path.to_owned();
        found.push(Difference { path, change });
    };
    match (expected.filter(|v| !is_nothing(v)), actual.filter(|v| !is_nothing(v))) {
        (None, None) => {}
        (None, Some(_)) => tell(Change::Added),
        (Some(_), None) => tell(Change::Removed),
        (Some(Value::Object(expected)), Some(Value::Object(actual))) => objects(path, expected, actual, found),
        (Some(Value::Array(expected)), Some(Value::Array(actual))) => arrays(path, expected, actual, found),
        (Some(expected), Some(actual)) if expected == actual => {}
        (Some(_), Some(_)) => tell(Change::Changed),
    }
}

fn objects(path: &str, expected: &Map<String, Value>, actual: &Map<String, Value>, found: &mut Vec<Difference>) {
    let added = actual.keys().filter(|key| !expected.contains_key(*key));
    for key in expected.keys().chain(added) {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        compare(&path, expected.get(key), actual.get(key), found);
    }
}

fn arrays(path: &str, expected: &[Value], actual: &[Value], found: &mut Vec<Difference>) {
    if is_permutation(expected, actual) {
        return;
    }
    for index in 0..expected.len().max(actual.len()) {
        compare(
            &format!("{path}[{index}]"),
            expected.get(index),
            actual.get(index),
            found,
        );
    }
}

fn is_permutation(expected: &[Value], actual: &[Value]) -> bool {
    if expected.len() != actual.len() || !expected.iter().all(Value::is_object) {
        return false;
    }
    let mut left: Vec<_> = actual.iter().collect();
    expected.iter().all(|e| match left.iter().position(|a| e == *a) {
        Some(at) => {
            left.swap_remove(at);
            true
        }
        None => false,
    })
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What ECS answers once the request has been registered.
    fn described(mut request: Value, revision: u64) -> Value {
        let tags = request.as_object_mut().unwrap().remove("tags").unwrap_or(Value::Null);
        request["revision"] = json!(revision);
        request["taskDefinitionArn"] = json!(format!(
            "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:{revision}"
        ));
        json!({ "tags": tags, "taskDefinition": request })
    }

    /// A number as it was written, which is not how a float would be.
    fn as_written(number: &str) -> Value {
        serde_json::from_str(number).unwrap()
    }

    fn base() -> Value {
        described(
            json!({
                "family": "web",
                "cpu": "256",
                "brandNew": { "deep": [1, { "er": as_written("1.50") }] },
                "containerDefinitions": [
                    {
                        "name": "web",
                        "image": "shop/web:1",
                        "environment": [{ "name": "A", "value": "1" }, { "name": "SECRET", "value": "hunter2" }],
                        "command": ["serve", "--fast"],
                    },
                    { "name": "log", "image": "log:1" },
                ],
                "tags": [{ "key": "team", "value": "shop" }, { "key": "aws:cloudformation:stack", "value": "web" }],
            }),
            7,
        )
    }

    fn images() -> Images {
        [(0, "shop/web@sha256:1".to_owned())].into()
    }

    #[test]
    fn what_was_asked_for_does_not_differ() {
        let mut new = described(revise(&base(), &images()).unwrap(), 8);
        assert_eq!(
            differences(&base(), &new, &images(), &Side::Keep, &Mounts::default()),
            Ok(vec![])
        );

        // Neither nothing in its several forms nor the order of a list of objects is a difference.
        let container = &mut new["taskDefinition"]["containerDefinitions"][0];
        container["mountPoints"] = json!([]);
        container["healthCheck"] = Value::Null;
        container["dockerLabels"] = json!({});
        container["environment"].as_array_mut().unwrap().reverse();
        new["taskDefinition"]["status"] = json!("ACTIVE");
        new["taskDefinition"]["registeredBy"] = json!("someone else");
        new["tags"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "key": "aws:other", "value": "x" }));
        assert_eq!(
            differences(&base(), &new, &images(), &Side::Keep, &Mounts::default()),
            Ok(vec![])
        );
    }

    #[test]
    fn whatever_else_differs_is_named_and_its_value_is_not() {
        let cases: [(&str, Value, &str); 9] = [
            ("/taskDefinition/cpu", json!("512"), "`cpu` has another value"),
            ("/taskDefinition/cpu", json!(256), "`cpu` has another value"),
            (
                "/taskDefinition/brandNew/deep/1/er",
                Value::Null,
                "`brandNew.deep[1].er` is gone",
            ),
            (
                "/taskDefinition/brandNew/deep/1/er",
                json!(1.5),
                "`brandNew.deep[1].er` has another value",
            ),
            (
                "/taskDefinition/containerDefinitions/1/image",
                json!("log:2"),
                "`containerDefinitions[1].image` has another value",
            ),
            (
                "/taskDefinition/containerDefinitions/0/image",
                json!("shop/web:1"),
                "`containerDefinitions[0].image` has another value",
            ),
            (
                "/taskDefinition/containerDefinitions/0/environment/1/value",
                json!("hunter3"),
                "`containerDefinitions[0].environment[1].value` has another value",
            ),
            (
                "/taskDefinition/containerDefinitions/0/command",
                json!(["--fast", "serve"]),
                "`containerDefinitions[0].command[0]` has another value, `containerDefinitions[0].command[1]` has another value",
            ),
            ("/tags/0/value", json!("other"), "`tags[0].value` has another value"),
        ];
        let good = described(revise(&base(), &images()).unwrap(), 8);
        for (pointer, value, expected) in cases {
            let mut new = good.clone();
            *new.pointer_mut(pointer).unwrap() = value;
            let found = differences(&base(), &new, &images(), &Side::Keep, &Mounts::default()).unwrap();
            let told: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(told.join(", "), expected);
        }
    }

    #[test]
    fn a_field_that_came_or_went_is_told() {
        let mut new = described(revise(&base(), &images()).unwrap(), 8);
        new["taskDefinition"]["containerDefinitions"][1]["privileged"] = json!(false);
        new["taskDefinition"].as_object_mut().unwrap().remove("brandNew");
        new["tags"] = json!([]);
        let told: Vec<_> = differences(&base(), &new, &images(), &Side::Keep, &Mounts::default())
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "`brandNew` is gone",
                "`containerDefinitions[1].privileged` is new",
                "`tags` is gone"
            ]
        );
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let new = described(revise(&base(), &images()).unwrap(), 8);
        assert!(differences(&base(), &json!({}), &images(), &Side::Keep, &Mounts::default()).is_err());
        assert!(
            differences(
                &json!({ "taskDefinition": [] }),
                &new,
                &images(),
                &Side::Keep,
                &Mounts::default()
            )
            .is_err()
        );
    }
}
