//! As much of EventBridge's patterns as the template uses.
//! Source: EventBridge user guide, "Comparison operators for use in event patterns".

use serde_json::Value;

/// Whether the pattern lets the event through. A field is compared with a list, of which one must fit; fields that the
/// pattern does not name do not count.
pub fn matches(pattern: &Value, event: &Value) -> bool {
    pattern
        .as_object()
        .unwrap()
        .iter()
        .all(|(key, wanted)| match (key.as_str(), wanted) {
            ("$or", Value::Array(alternatives)) => alternatives.iter().any(|alternative| matches(alternative, event)),
            // One of several is enough.
            (key, Value::Object(_)) => event.get(key).is_some_and(|inner| match inner {
                Value::Array(several) => several.iter().any(|one| one.is_object() && matches(wanted, one)),
                one => one.is_object() && matches(wanted, one),
            }),
            (key, Value::Array(values)) => values.iter().any(|value| fits(value, event.get(key))),
            (key, wanted) => panic!("a pattern compares {key} with a list, not with {wanted}"),
        })
}

fn fits(wanted: &Value, found: Option<&Value>) -> bool {
    match wanted {
        Value::Object(operator) => match operator.iter().next() {
            Some((name, Value::Bool(exists))) if name == "exists" => found.is_some() == *exists,
            Some((name, Value::String(suffix))) if name == "suffix" => {
                found.and_then(Value::as_str).is_some_and(|text| text.ends_with(suffix))
            }
            Some((name, Value::String(prefix))) if name == "prefix" => found
                .and_then(Value::as_str)
                .is_some_and(|text| text.starts_with(prefix)),
            other => panic!("this matcher does not know {other:?}"),
        },
        value => match found {
            Some(Value::Array(elements)) => elements.contains(value),
            found => found == Some(value),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use serde_json::json;

    #[test]
    fn fields_are_all_needed_and_values_are_alternatives() {
        let pattern = json!({ "source": ["aws.ecs"], "detail": { "state": ["A", "B"], "tag": [{ "exists": true }] } });
        let event = |state: &str| json!({ "source": "aws.ecs", "detail": { "state": state, "tag": "x", "more": 1 } });
        assert!(matches(&pattern, &event("A")));
        assert!(matches(&pattern, &event("B")));
        assert!(!matches(&pattern, &event("C")));
        assert!(
            !matches(&pattern, &json!({ "source": "aws.ecs", "detail": { "state": "A" } })),
            "the tag is missing"
        );
        assert!(
            !matches(&pattern, &json!({ "source": "aws.ecs" })),
            "the detail is missing"
        );
    }

    #[test]
    fn a_suffix_ends_a_text() {
        let pattern = json!({ "status": [{ "suffix": "COMPLETE" }] });
        assert!(matches(&pattern, &json!({ "status": "COMPLETE" })));
        assert!(matches(&pattern, &json!({ "status": "SCAN_COMPLETE" })));
        assert!(!matches(&pattern, &json!({ "status": "COMPLETED" })));
        assert!(!matches(&pattern, &json!({ "status": 7 })));
        assert!(!matches(&pattern, &json!({})));
    }

    #[test]
    fn a_prefix_begins_a_text() {
        let pattern = json!({ "kind": [{ "prefix": "Rollout " }] });
        assert!(matches(&pattern, &json!({ "kind": "Rollout Failed" })));
        assert!(!matches(&pattern, &json!({ "kind": "Rollout" })));
        assert!(!matches(&pattern, &json!({})));
    }

    #[test]
    fn or_takes_either_side() {
        let pattern = json!({ "$or": [{ "last": ["RUNNING"] }, { "desired": ["STOPPED"] }] });
        assert!(matches(&pattern, &json!({ "last": "RUNNING", "desired": "RUNNING" })));
        assert!(matches(&pattern, &json!({ "last": "PENDING", "desired": "STOPPED" })));
        assert!(!matches(&pattern, &json!({ "last": "PENDING", "desired": "RUNNING" })));
    }
}
