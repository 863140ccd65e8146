use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::stored::{Override, Registry};

fn document(json: Value) -> Document {
    serde_json::from_value(json).unwrap()
}

fn web(alarm: &str) -> Value {
    json!({
        "discovery": [{ "to": "shop.local/web", "port": 80 }, { "to": "srv-1" }],
        "scaling": { "min": 1, "max": 5, "rules": [{ "alarm": alarm, "add": 1 }] },
    })
}

fn resolved() -> Resolved {
    Resolved {
        registries: BTreeMap::from([("shop.local/web".into(), Registry::of("srv-web"))]),
        ..Resolved::default()
    }
}

fn stamp() -> Stamp {
    Stamp {
        at: Timestamp::UNIX_EPOCH,
        by: "arn:aws:iam::1:user/someone".into(),
    }
}

/// The config table, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq)]
struct Table {
    meta: Meta,
    targets: BTreeMap<(String, Target), StoredTarget>,
    clusters: BTreeMap<String, StoredCluster>,
}

impl Table {
    fn current(&self) -> Current {
        let listed = self
            .targets
            .iter()
            .filter(|((partition, _), _)| partition == crate::config::stored::TARGETS);
        Current {
            meta: self.meta.clone(),
            targets: listed
                .map(|((_, target), stored)| (target.clone(), stored.clone()))
                .collect(),
            malformed: BTreeSet::new(),
            clusters: self.clusters.clone(),
        }
    }

    /// Makes a transaction, or refuses it whole.
    fn transact(&mut self, transaction: &Transaction) -> bool {
        assert!(transaction.writes.len() < 100, "{} items", transaction.writes.len() + 1);
        if self.meta.version != transaction.expects {
            return false;
        }
        self.meta = transaction.meta.clone();
        for write in transaction.writes.clone() {
            match write {
                Write::PutTarget {
                    partition,
                    target,
                    stored,
                } => {
                    self.targets.insert((partition, target), *stored);
                }
                Write::DeleteTarget { partition, target } => {
                    self.targets.remove(&(partition, target)).unwrap();
                }
                Write::PutCluster(name, cluster) => {
                    self.clusters.insert(name, cluster);
                }
                Write::DeleteCluster(name) => {
                    self.clusters.remove(&name).unwrap();
                }
            }
        }
        true
    }

    fn plan(&self, document: &Document, prune: bool) -> Plan {
        plan(&self.current(), document, &resolved(), prune, &stamp()).unwrap()
    }

    fn apply(&mut self, document: &Document, prune: bool) -> Plan {
        let plan = self.plan(document, prune);
        for transaction in &plan.transactions {
            assert!(self.transact(transaction));
        }
        plan
    }

    /// Every item stands where its target's configuration says, and nowhere else.
    fn check(&self) {
        for (target, stored) in &self.current().targets {
            let under = self.targets.iter().filter(|((_, other), _)| other == target);
            let partitions: BTreeSet<_> = under
                .map(|((partition, _), copy)| {
                    assert_eq!(copy, stored);
                    partition.clone()
                })
                .collect();
            assert_eq!(partitions, stored.partitions());
        }
    }
}

fn what(plan: &Plan) -> Vec<(String, What)> {
    plan.comparison
        .targets
        .iter()
        .map(|c| (c.key.to_string(), c.what))
        .collect()
}

#[test]
fn what_is_stored_already_is_not_written_again() {
    let mut table = Table::default();
    let mut doc =
        json!({ "version": 1, "services": { "prod/web": web("a"), "prod/api": {} }, "clusters": { "prod": {} } });
    let first = table.apply(&document(doc.clone()), false);
    assert_eq!(
        what(&first),
        [("prod/api".into(), What::Add), ("prod/web".into(), What::Add)]
    );
    assert_eq!(table.meta.version, 1);
    assert!(first.comparison.differs());

    let again = table.apply(&document(doc.clone()), false);
    assert_eq!(again.transactions, []);
    assert!(!again.comparison.differs());

    doc["services"]["prod/api"] = json!({ "drain": { "linger": "5s" } });
    let changed = table.apply(&document(doc), false);
    assert_eq!(
        what(&changed),
        [("prod/api".into(), What::Change), ("prod/web".into(), What::Same)]
    );
    assert_eq!(changed.transactions[0].writes.len(), 1);
    table.check();
}

#[test]
fn a_target_leaves_the_alarms_that_it_no_longer_names() {
    let mut table = Table::default();
    table.apply(
        &document(json!({ "version": 1, "services": { "prod/web": web("old") } })),
        false,
    );
    table.apply(
        &document(json!({ "version": 1, "services": { "prod/web": web("new") } })),
        false,
    );
    let partitions: Vec<_> = table.targets.keys().map(|(partition, _)| partition.as_str()).collect();
    assert_eq!(partitions, ["alarm#new", "targets"]);
}

#[test]
fn what_is_not_in_the_document_goes_only_with_prune() {
    let mut table = Table::default();
    let doc = json!({
        "version": 1, "services": { "prod/web": web("a") }, "tasks": { "prod/web": {} }, "clusters": { "prod": {} },
    });
    table.apply(&document(doc), false);
    let empty = document(json!({ "version": 1 }));
    let kept = table.apply(&empty, false);
    assert_eq!(
        what(&kept),
        [("prod/web".into(), What::Keep), ("prod/web".into(), What::Keep)]
    );
    assert_eq!(kept.transactions, []);
    assert!(!kept.comparison.differs());

    let pruned = table.apply(&empty, true);
    assert_eq!(
        what(&pruned),
        [("prod/web".into(), What::Remove), ("prod/web".into(), What::Remove)]
    );
    assert_eq!((table.targets.len(), table.clusters.len()), (0, 0));
}

#[test]
fn what_is_paused_or_overridden_stays_so() {
    let raised = Override {
        min: Some(6),
        max: None,
        until: Timestamp::UNIX_EPOCH,
    };
    let mut table = Table::default();
    table.apply(
        &document(json!({ "version": 1, "services": { "prod/web": web("a") } })),
        false,
    );
    for stored in table.targets.values_mut() {
        stored.paused.insert("scaling".into(), None);
        stored.scale = Some(raised);
    }
    table.apply(
        &document(json!({ "version": 1, "services": { "prod/web": web("b") } })),
        false,
    );
    assert!(
        table
            .targets
            .values()
            .all(|stored| stored.paused.contains_key("scaling") && stored.scale == Some(raised))
    );
    // Also under the alarm that is named now.
    assert!(table.targets.keys().any(|(partition, _)| partition == "alarm#b"));
    table.check();
}

#[test]
fn a_name_that_means_another_registry_now_is_stored() {
    let mut table = Table::default();
    let doc = document(json!({ "version": 1, "services": { "prod/web": web("a") } }));
    table.apply(&doc, false);
    assert_eq!(
        table.current().targets.values().next().unwrap().registries,
        resolved().registries
    );
    let moved = Resolved {
        registries: BTreeMap::from([("shop.local/web".into(), Registry::of("srv-moved"))]),
        ..Resolved::default()
    };
    let plan = plan(&table.current(), &doc, &moved, false, &stamp()).unwrap();
    assert_eq!(what(&plan), [("prod/web".into(), What::Change)]);
    assert_eq!(plan.transactions.len(), 1);
}

#[test]
fn an_item_that_cannot_be_read_is_written_anew_or_pruned() {
    let bad = Target::service("prod", "web");
    let current = Current {
        malformed: BTreeSet::from([bad.clone()]),
        ..Current::default()
    };
    let doc = document(json!({ "version": 1, "services": { "prod/web": {} } }));
    let anew = plan(&current, &doc, &resolved(), false, &stamp()).unwrap();
    assert_eq!(what(&anew), [("prod/web".into(), What::Change)]);
    assert_eq!(anew.transactions[0].writes.len(), 1);

    let empty = document(json!({ "version": 1 }));
    let kept = plan(&current, &empty, &resolved(), false, &stamp()).unwrap();
    assert_eq!(
        (what(&kept), kept.transactions.len()),
        (vec![("prod/web".into(), What::Keep)], 0)
    );
    let pruned = plan(&current, &empty, &resolved(), true, &stamp()).unwrap();
    let partition = crate::config::stored::TARGETS.to_owned();
    assert_eq!(
        pruned.transactions[0].writes,
        [Write::DeleteTarget { partition, target: bad }]
    );
}

#[test]
fn two_applies_at_once_never_mix() {
    let many = |min: u32| {
        let service = json!({ "scaling": { "min": min, "max": 9, "rules": [{ "alarm": "a", "add": 1 }] } });
        let services: BTreeMap<_, _> = (0..120).map(|n| (format!("prod/s{n}"), service.clone())).collect();
        document(json!({ "version": 1, "services": services }))
    };
    let (one, two) = (many(1), many(2));
    // The second reads the table after this many transactions of the first.
    for read_after in 0..3 {
        let mut table = Table::default();
        let first = table.plan(&one, false);
        assert_eq!(first.transactions.len(), 3);
        for transaction in &first.transactions[..read_after] {
            assert!(table.transact(transaction));
            assert!(table.meta.applying);
        }
        let second = table.plan(&two, false);
        // The first goes on by one transaction: the second has to read again.
        assert!(table.transact(&first.transactions[read_after]));
        let before = table.clone();
        assert!(!table.transact(&second.transactions[0]));
        assert_eq!(table, before);
        // The second reads again and goes through; the first cannot go on.
        table.apply(&two, false);
        assert!(
            first.transactions[read_after..]
                .iter()
                .all(|transaction| !table.transact(transaction))
        );
        assert_eq!(super::document(&table.current()), two);
        assert!(!table.meta.applying);
        table.check();
    }
}

#[test]
fn an_apply_that_was_broken_off_is_ended_by_the_next() {
    let meta = Meta {
        version: 7,
        applying: true,
        ..Meta::default()
    };
    let mut table = Table {
        meta,
        ..Table::default()
    };
    table.apply(&document(json!({ "version": 1 })), false);
    assert_eq!((table.meta.version, table.meta.applying), (8, false));
}

fn service() -> impl Strategy<Value = Value> {
    let alarms = proptest::collection::btree_set(0..60_u8, 0..40);
    let repositories = proptest::collection::btree_set(0..8_u8, 0..4);
    (alarms, repositories, 0..3_u32).prop_map(|(alarms, repositories, min)| {
        let rules: Vec<_> = alarms
            .iter()
            .map(|n| json!({ "alarm": format!("a{n}"), "add": 1 }))
            .collect();
        let delivery = |n| json!({ "repository": format!("r{n}"), "tags": { "exact": "x" } });
        json!({
            "scaling": { "min": min, "max": 9, "rules": rules },
            "delivery": repositories.iter().map(delivery).collect::<Vec<_>>(),
        })
    })
}

fn documents() -> impl Strategy<Value = Document> {
    let services = proptest::collection::btree_map(0..12_u8, service(), 0..10);
    let clusters = proptest::collection::btree_set("[a-c]", 0..3);
    (services, clusters).prop_map(|(services, clusters)| {
        let name = |n: u8| format!("prod/s{n}");
        let services: BTreeMap<_, _> = services.into_iter().map(|(n, service)| (name(n), service)).collect();
        let clusters: BTreeMap<_, _> = clusters
            .into_iter()
            .map(|name| (name, json!({ "capacity": {} })))
            .collect();
        document(json!({ "version": 1, "services": services, "clusters": clusters }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn after_an_apply_with_prune_exactly_the_document_is_stored(history in proptest::collection::vec(documents(), 1..4)) {
        let mut table = Table::default();
        for document in &history {
            let plan = table.apply(document, true);
            let of_one_target = |target: &Target| plan.transactions.iter().filter(|t| t.writes.iter().any(|w| match w {
                Write::PutTarget { target: other, .. } | Write::DeleteTarget { target: other, .. } => other == target,
                _ => false,
            })).count();
            for compared in &plan.comparison.targets {
                let writes = usize::from(!matches!(compared.what, What::Same | What::Keep));
                prop_assert_eq!(of_one_target(&compared.key), writes);
            }
            prop_assert_eq!(&super::document(&table.current()), document);
            let listed = table.current().targets.len();
            prop_assert_eq!(listed, document.services.len());
            table.check();
            prop_assert!(!table.plan(document, true).comparison.differs());
        }
    }
}

#[test]
fn services_with_drain_are_asked_to_linger_on_request() {
    let mut table = Table::default();
    let doc = |drain: Value| {
        document(json!({
            "version": 1,
            "services": { "prod/web": { "drain": drain }, "prod/api": {} },
            "tasks": { "prod/nightly": {} },
        }))
    };
    let lingering = |table: &mut Table, doc: &Document| {
        let plan = plan_lingering(&table.current(), doc, &resolved(), false, &stamp()).unwrap();
        for transaction in &plan.transactions {
            assert!(table.transact(transaction));
        }
        let asked: Vec<_> = plan.lingering.iter().map(ToString::to_string).collect();
        (asked, plan.transactions.iter().map(|t| t.writes.len()).sum::<usize>())
    };
    let stored = |table: &Table| table.current().targets[&Target::service("prod", "web")].linger_asked;
    let with = doc(json!({ "linger": "5s" }));
    table.apply(&with, false);
    assert_eq!(stored(&table), None);
    // Nothing else has changed: the request alone is stored.
    assert_eq!(lingering(&mut table, &with), (vec!["prod/web".to_owned()], 1));
    assert_eq!(stored(&table), Some(stamp().at));
    // It stays, and is not written again without being asked.
    assert_eq!(table.apply(&with, false).transactions, []);
    // Taken out: the side container is to go.
    let without = doc(Value::Null);
    assert_eq!(lingering(&mut table, &without), (vec!["prod/web".to_owned()], 1));
    assert_eq!(lingering(&mut table, &without), (vec![], 0));
    assert_eq!(stored(&table), Some(stamp().at));
}

#[test]
fn what_holds_is_written_to_every_copy_and_nothing_else_changes() {
    use crate::config::holds::Holds;

    let mut table = Table::default();
    let both = json!({ "version": 1, "services": { "prod/web": web("cpu"), "prod/api": web("cpu") } });
    table.apply(&document(both), false);
    table.meta.applying = true;
    let (web, before) = (Target::service("prod", "web"), table.clone());
    let holds = |holds: Holds| BTreeMap::from([(web.clone(), holds)]);
    let mut paused = Holds::default();
    assert_eq!(rewrite(&table.current(), &holds(paused.clone()), &stamp()), []);
    paused.pause("scaling", None);
    paused.scale = Some(Override {
        min: Some(3),
        max: None,
        until: Timestamp::MAX,
    });
    let [transaction] = &rewrite(&table.current(), &holds(paused.clone()), &stamp())[..] else {
        panic!("one is enough")
    };
    assert!(transaction.meta.applying, "the apply that was broken off is not done");
    assert!(table.transact(transaction));
    let mut copies = 0;
    for ((partition, target), stored) in &table.targets {
        let old = &before.targets[&(partition.clone(), target.clone())];
        if *target == web {
            copies += 1;
            assert_eq!(Holds::of(stored, stamp().at), paused);
            let mut as_before = stored.clone();
            (as_before.paused, as_before.scale, as_before.version) = (old.paused.clone(), old.scale, old.version);
            assert_eq!(as_before, *old);
            assert_eq!(stored.version, table.meta.version);
        } else {
            assert_eq!(stored, old);
        }
    }
    assert_eq!(copies, 2);
    // Said again it changes nothing; of what is not stored nothing is written; what is read late is refused.
    assert_eq!(rewrite(&table.current(), &holds(paused), &stamp()), []);
    let other = BTreeMap::from([(Target::service("prod", "other"), Holds::default())]);
    assert_eq!(rewrite(&table.current(), &other, &stamp()), []);
    assert!(!table.transact(transaction));
}

#[test]
fn a_cluster_is_paused_and_the_next_apply_keeps_it_so() {
    use crate::config::holds::Holds;

    let with = |deadline: &str| {
        let capacity = json!({ "capacity": { "drain": { "deadline": deadline } } });
        document(json!({ "version": 1, "clusters": { "prod": capacity } }))
    };
    let mut table = Table::default();
    table.apply(&with("3m"), false);
    let prod = Target::of_cluster("prod");
    let mut paused = Holds::default();
    let holds = |holds: &Holds| BTreeMap::from([(prod.clone(), holds.clone())]);
    assert_eq!(rewrite(&table.current(), &holds(&paused), &stamp()), []);
    paused.pause("capacity", None);
    let [transaction] = &rewrite(&table.current(), &holds(&paused), &stamp())[..] else {
        panic!("one is enough")
    };
    assert!(table.transact(transaction));
    assert_eq!(rewrite(&table.current(), &holds(&paused), &stamp()), []);
    assert_eq!(table.apply(&with("3m"), false).transactions, []);
    table.apply(&with("4m"), false);
    let stored = &table.clusters["prod"];
    assert_eq!(Holds::of_cluster(stored, stamp().at), paused);
    assert_eq!(super::document(&table.current()), with("4m"));
    let other = BTreeMap::from([(Target::of_cluster("other"), paused)]);
    assert_eq!(rewrite(&table.current(), &other, &stamp()), []);
}
