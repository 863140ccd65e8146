//! DynamoDB's JSON, in which every value names its type.

use serde_json::{Map, Number, Value, json};

/// A plain value as an attribute.
#[must_use]
pub fn attribute(plain: &Value) -> Value {
    match plain {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(b) => json!({ "BOOL": b }),
        Value::Number(n) => json!({ "N": n.to_string() }),
        Value::String(s) => json!({ "S": s }),
        Value::Array(several) => json!({ "L": several.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(members) => json!({ "M": item(members) }),
    }
}

/// A plain object as an item, or as the members of a map.
#[must_use]
pub fn item(plain: &Map<String, Value>) -> Map<String, Value> {
    plain
        .iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

/// An attribute as a plain value; `None` for the types that nothing here uses (sets and binary).
#[must_use]
pub fn plain(attribute: &Value) -> Option<Value> {
    let (kind, value) = attribute.as_object()?.iter().next()?;
    Some(match (kind.as_str(), value) {
        ("NULL", _) => Value::Null,
        ("BOOL" | "S", value) => value.clone(),
        ("N", Value::String(digits)) => Value::Number(digits.parse::<Number>().ok()?),
        ("L", Value::Array(several)) => several.iter().map(plain).collect::<Option<Vec<_>>>()?.into(),
        ("M", Value::Object(members)) => Value::Object(
            members
                .iter()
                .map(|(name, value)| Some((name.clone(), plain(value)?)))
                .collect::<Option<Map<_, _>>>()?,
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let value = json!({ "a": [1, "x", null, true, { "b": -2.5 }] });
        assert_eq!(plain(&attribute(&value)), Some(value));
    }
}
