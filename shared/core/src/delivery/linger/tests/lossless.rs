//! What it adds is all that it adds, and it can be taken out again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Any JSON of few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-z]{1,5}", inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Whether it is essential, what it needs, its port, and what else it has.
type Drawn = (Option<bool>, Vec<&'static str>, u16, BTreeMap<String, Value>);

/// Containers that depend on each other in any way, with fields that nobody knows.
fn containers() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d", "e", SIDE_CONTAINER]);
    let more = prop::collection::btree_map("[a-z]{1,5}", any_json(), 0..3);
    let one = (
        prop::option::of(any::<bool>()),
        prop::collection::vec(name(), 0..3),
        1..4_u16,
        more,
    );
    prop::collection::vec(one, 0..6).prop_map(|all| {
        let container = |(n, (essential, needs, port, more)): (usize, Drawn)| {
            let mut container = json!({
                "name": (["a", "b", "c", "d", "e", "f"][n]),
                "dependsOn": needs.iter().map(|name| json!({ "containerName": name, "condition": "START" })).collect::<Vec<_>>(),
                "portMappings": [{ "containerPort": port }],
                "unknown": more,
            });
            if let Some(essential) = essential {
                container["essential"] = essential.into();
            }
            container
        };
        all.into_iter().enumerate().map(container).collect()
    })
}

fn configs() -> impl Strategy<Value = Option<Linger>> {
    (1..400_u64, prop::collection::vec(1..5_u16, 0..3)).prop_map(|(seconds, ports)| {
        let discovery: Vec<_> = ports
            .iter()
            .map(|port| json!({ "to": "srv-1", "port": port }))
            .collect();
        asked(json!({ "drain": { "linger": format!("{seconds}s") }, "discovery": discovery }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_it_adds_is_all_that_it_adds(containers in containers(), more in any_json(), config in configs(), other in configs()) {
        let original = described(containers, json!({ "unknown": more }));
        let first = linger(&original, config.as_ref());
        let mut with = original.clone();
        first.side.apply(&mut with["taskDefinition"]);

        // Once is twice.
        let again = linger(&with, config.as_ref());
        prop_assert_eq!(&again.side, &Side::Keep);
        let mut twice = with.clone();
        first.side.apply(&mut twice["taskDefinition"]);
        prop_assert_eq!(&twice, &with);

        // Another wish takes its place, and does not stand beside it.
        let second = linger(&with, other.as_ref());
        second.side.apply(&mut twice["taskDefinition"]);
        let ours = |answer: &Value| answer["taskDefinition"]["containerDefinitions"].as_array().unwrap().iter().filter(|c| is_ours(c)).count();
        prop_assert_eq!(ours(&twice), usize::from(first.side.changes() || second.side.changes()));

        // Taken out, the original is back, unless a container has come to depend on it.
        let out = linger(&twice, None);
        out.side.apply(&mut twice["taskDefinition"]);
        if out.reasons.iter().all(|r| r.code != Code::LingerRefused) {
            prop_assert_eq!(&twice, &original);
        }

        if let Side::Put(side) = &first.side {
            prop_assert!(!side.depends_on.is_empty());
            prop_assert!(side.linger <= 110);
        } else {
            prop_assert!(first.reasons.iter().any(|r| r.code == Code::LingerRefused), "{:?}", first);
        }
    }
}
