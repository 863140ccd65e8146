//! Configurations as YAML.

use anyhow::Context;
use serde::Serialize;

/// YAML that `apply` takes.
pub(crate) fn text(value: &impl Serialize) -> anyhow::Result<String> {
    serde_saphyr::to_string(value).context("this cannot be written as YAML")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use wharfinger_core::config::Document;
    use wharfinger_core::config::changes::{Current, Stamp, Write, document, plan};
    use wharfinger_core::config::stored::TARGETS;

    use super::text;
    use crate::document::load;

    /// Text that YAML takes for something else when it is not quoted, and any other.
    fn tricky() -> impl Strategy<Value = String> {
        let known = [
            "yes",
            "No",
            "null",
            "~",
            "1.10",
            "0x1f",
            "1_000",
            "1e3",
            ".inf",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "&a",
            "*a",
            "!a",
            "{a}",
            "[a]",
            "'a'",
            "\"a\"",
            "%a",
            "@a",
            "`a`",
            "a\nb",
            " a",
            "a ",
            "é",
            "2026-01-01",
            "12:30",
            "true",
            "=",
            "<<",
        ];
        prop_oneof![
            proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
            "[ -~]{1,12}"
        ]
    }

    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-1000_i32..1000).prop_map(Value::from),
            (-1e9_f64..1e9).prop_map(Value::from),
            Just(json!(0.1)),
            Just(json!(1e-9)),
        ]
    }

    fn span() -> impl Strategy<Value = String> {
        (0_u32..500, proptest::sample::select(vec!["s", "m", "h", "d"])).prop_map(|(n, unit)| format!("{n}{unit}"))
    }

    fn discovery() -> impl Strategy<Value = Value> {
        let attributes = proptest::collection::btree_map("[a-z:~#-]{1,6}", tricky(), 0..3);
        let when = proptest::sample::select(vec!["running", "healthy"]);
        (tricky(), tricky(), any::<u16>(), when, attributes).prop_map(|(to, container, port, when, attributes)| {
            json!({ "to": to, "container": container, "port": port, "when": when, "attributes": attributes })
        })
    }

    fn rule() -> impl Strategy<Value = Value> {
        let step = (number(), number(), any::<i32>())
            .prop_map(|(from, to, add)| json!({ "from": from, "to": to, "add": add }));
        prop_oneof![
            (tricky(), number()).prop_map(|(alarm, target)| json!({ "alarm": alarm, "target": target })),
            (tricky(), proptest::collection::vec(step, 1..3))
                .prop_map(|(alarm, steps)| json!({ "alarm": alarm, "steps": steps })),
            (tricky(), any::<u32>(), span())
                .prop_map(|(q, n, idle)| json!({ "queue": q, "per-task": n, "idle-for": idle })),
        ]
    }

    fn delivery() -> impl Strategy<Value = Value> {
        let base = proptest::option::of(prop_oneof![Just("service"), Just("latest")]);
        (tricky(), tricky(), span(), base).prop_map(|(repository, tag, timeout, base)| {
            json!({ "repository": repository, "tags": { "exact": tag }, "rollback": { "timeout": timeout }, "base": base })
        })
    }

    fn service() -> impl Strategy<Value = Value> {
        let scaling = (
            any::<u32>(),
            any::<u32>(),
            proptest::collection::vec(rule(), 0..3),
            span(),
        );
        let scaling = scaling.prop_map(|(min, max, rules, out)| {
            json!({ "min": min, "max": max, "rules": rules, "cooldown": { "out": out }, "during-deployment": "hold" })
        });
        let (discovery, delivery) = (
            proptest::collection::vec(discovery(), 0..3),
            proptest::collection::vec(delivery(), 0..3),
        );
        (discovery, proptest::option::of(scaling), delivery, span()).prop_map(|(discovery, scaling, delivery, linger)| {
            json!({ "discovery": discovery, "scaling": scaling, "delivery": delivery, "drain": { "linger": linger } })
        })
    }

    fn documents() -> impl Strategy<Value = Document> {
        let services = proptest::collection::btree_map("[a-z]{1,3}/[a-z0-9-]{1,4}", service(), 0..3);
        let tasks = proptest::collection::btree_map("[a-z]{1,3}/[a-z0-9-]{1,4}", discovery(), 0..3);
        let clusters = proptest::collection::btree_map("[a-z0-9]{1,3}", span(), 0..2);
        (services, tasks, clusters).prop_map(|(services, tasks, clusters)| {
            let tasks: BTreeMap<_, _> = tasks
                .into_iter()
                .map(|(name, entry)| (name, json!({ "discovery": [entry] })))
                .collect();
            let cluster = |deadline| json!({ "capacity": { "drain": { "deadline": deadline } } });
            let clusters: BTreeMap<_, _> = clusters
                .into_iter()
                .map(|(name, deadline)| (name, cluster(deadline)))
                .collect();
            serde_json::from_value(json!({ "version": 1, "services": services, "tasks": tasks, "clusters": clusters }))
                .unwrap()
        })
    }

    /// What is stored once a plan on an empty table is carried out.
    fn stored(wanted: &Document) -> Current {
        let stamp = Stamp {
            at: jiff::Timestamp::UNIX_EPOCH,
            by: "me".to_owned(),
        };
        let plan = plan(
            &Current::default(),
            wanted,
            &wharfinger_core::config::stored::Resolved::default(),
            false,
            &stamp,
        )
        .unwrap();
        let mut current = Current::default();
        for write in plan.transactions.into_iter().flat_map(|transaction| transaction.writes) {
            match write {
                Write::PutTarget {
                    partition,
                    target,
                    stored,
                } if partition == TARGETS => {
                    current.targets.insert(target, *stored);
                }
                Write::PutCluster(name, cluster) => {
                    current.clusters.insert(name, cluster);
                }
                _ => {}
            }
        }
        current
    }

    proptest! {
        #[test]
        fn what_is_exported_is_what_was_applied(wanted in documents()) {
            let exported = text(&document(&stored(&wanted))).unwrap();
            let read = load("export.yaml", &exported).document;
            prop_assert_eq!(read, Some(wanted), "{}", exported);
        }
    }
}
