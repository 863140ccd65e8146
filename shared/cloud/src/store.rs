//! The config table, as the command reads and writes it: whole.

use wharfinger_core::config::changes::{Current, Transaction, Write as Planned};
use wharfinger_core::config::stored::{CLUSTERS, META, Meta, TARGETS};
use wharfinger_core::ids::Target;

use crate::config::{CLUSTER_ATTRIBUTE, PAUSED_ATTRIBUTE, TARGET_ATTRIBUTE};
use crate::error::{CloudError, Fault};
use crate::table::{
    Condition, Item, Key, Malformed, Table, TableName, Transacted, Write, as_number, attribute, number, text,
    to_attribute,
};

/// The attribute that holds [`Meta`].
const META_ATTRIBUTE: &str = "meta";
/// The attribute beside it, on which conditions are put.
const VERSION: &str = "version";

/// What the table holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// What can be read.
    pub current: Current,
    /// What cannot.
    pub malformed: Vec<Malformed>,
}

/// Reads everything. The reads must be consistent: what is written is the difference to them.
///
/// The version comes first: if another apply goes on while the rest is read, the writes that follow are refused.
///
/// # Errors
/// When the table cannot be read.
pub async fn read(table: &impl Table) -> Result<Stored, CloudError> {
    let mut stored = Stored::default();
    if let Some(item) = table.get(TableName::Config, &Key::new(META, META)).await? {
        match meta(&item) {
            Ok(meta) => stored.current.meta = meta,
            Err(malformed) => {
                // Enough to write it anew.
                let version = as_number(&item, VERSION).and_then(|version| u64::try_from(version).ok());
                stored.current.meta.version = version.unwrap_or_default();
                stored.malformed.push(malformed);
            }
        }
    }
    let found = crate::config::read(table.query(TableName::Config, TARGETS).await?);
    stored.current.targets = found
        .targets
        .into_iter()
        .map(|managed| (managed.target, managed.stored))
        .collect();
    let clusters = crate::config::read_clusters(table.query(TableName::Config, CLUSTERS).await?);
    let read = clusters.clusters.into_iter();
    stored.current.clusters = read.map(|managed| (managed.target.cluster, managed.stored)).collect();
    stored.malformed.extend(clusters.malformed);
    let key = |malformed: &Malformed| {
        malformed
            .key
            .rsplit(" / ")
            .next()
            .and_then(|sk| Target::from_key(sk).ok())
    };
    stored.current.malformed = found.malformed.iter().filter_map(key).collect();
    stored.malformed.extend(found.malformed);
    Ok(stored)
}

/// The configuration as a whole; `None` when nothing was applied yet, or it cannot be read.
///
/// # Errors
/// When the table cannot be read.
pub async fn whole(table: &impl Table) -> Result<Option<Meta>, CloudError> {
    let item = table.get(TableName::Config, &Key::new(META, META)).await?;
    Ok(item.and_then(|item| meta(&item).ok()))
}

fn meta(item: &Item) -> Result<Meta, Malformed> {
    let meta: Option<Meta> = attribute(item, META_ATTRIBUTE)?;
    meta.ok_or_else(|| malformed(item, &format!("it has no attribute `{META_ATTRIBUTE}`")))
}

fn malformed(item: &Item, reason: &str) -> Malformed {
    let key = Key::of(item).map_or_else(|| "?".to_owned(), |key| key.to_string());
    Malformed {
        key,
        reason: reason.to_owned(),
    }
}

/// What became of the transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All were made.
    All,
    /// Another apply came between: so many were made before. Reading and planning again puts it right.
    Overtaken(usize),
}

/// Makes transactions, one after the other.
///
/// # Errors
/// When the table cannot be written.
pub async fn write(table: &impl Table, transactions: &[Transaction]) -> Result<Written, Fault> {
    for (made, transaction) in transactions.iter().enumerate() {
        let mut writes = vec![meta_write(transaction)?];
        for planned in &transaction.writes {
            writes.push(planned_write(planned)?);
        }
        if let Transacted::Refused(_) = table.transact(TableName::Config, writes).await? {
            return Ok(Written::Overtaken(made));
        }
    }
    Ok(Written::All)
}

fn item(pk: &str, sk: &str) -> Item {
    let mut item = Item::default();
    item.insert("pk".to_owned(), text(pk));
    item.insert("sk".to_owned(), text(sk));
    item
}

fn version(version: u64) -> Result<i64, Fault> {
    let wrong = |_| Fault::Unstorable {
        what: "the version".to_owned(),
        reason: format!("{version} is too great"),
    };
    i64::try_from(version).map_err(wrong)
}

fn meta_write(transaction: &Transaction) -> Result<Write, Fault> {
    let mut item = item(META, META);
    item.insert(VERSION.to_owned(), number(version(transaction.meta.version)?));
    item.insert(
        META_ATTRIBUTE.to_owned(),
        to_attribute("the version", &transaction.meta)?,
    );
    let condition = match transaction.expects {
        0 => Condition::Missing(VERSION),
        expects => Condition::Equal(VERSION, number(version(expects)?)),
    };
    Ok(Write::Put(item, condition))
}

fn planned_write(planned: &Planned) -> Result<Write, Fault> {
    Ok(match planned {
        Planned::PutTarget {
            partition,
            target,
            stored,
        } => {
            let mut item = item(partition, &target.key());
            item.insert(TARGET_ATTRIBUTE.to_owned(), to_attribute(&target.to_string(), stored)?);
            Write::Put(item, Condition::Always)
        }
        Planned::DeleteTarget { partition, target } => Write::Delete(Key::new(partition, target.key())),
        Planned::PutCluster(name, stored) => {
            let mut item = item(CLUSTERS, name);
            item.insert(CLUSTER_ATTRIBUTE.to_owned(), to_attribute(name, &stored.config)?);
            if !stored.paused.is_empty() {
                item.insert(PAUSED_ATTRIBUTE.to_owned(), to_attribute(name, &stored.paused)?);
            }
            Write::Put(item, Condition::Always)
        }
        Planned::DeleteCluster(name) => Write::Delete(Key::new(CLUSTERS, name)),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use serde_json::json;
    use wharfinger_core::config::Document;
    use wharfinger_core::config::changes::{Stamp, document, plan};

    use wharfinger_core::config::stored::{Registry, Resolved};

    use super::*;
    use crate::table::{Found, Update, Updated};

    /// As much of DynamoDB as is asked for here.
    #[derive(Default)]
    struct Fake(RefCell<BTreeMap<Key, Item>>);

    impl Table for Fake {
        async fn get(&self, _: TableName, key: &Key) -> Result<Option<Item>, CloudError> {
            Ok(self.0.borrow().get(key).cloned())
        }

        async fn query(&self, _: TableName, pk: &str) -> Result<Vec<Item>, CloudError> {
            let items = self.0.borrow();
            Ok(items
                .iter()
                .filter(|(key, _)| key.pk == pk)
                .map(|(_, item)| item.clone())
                .collect())
        }

        async fn update(&self, _: TableName, update: Update) -> Result<Updated, CloudError> {
            panic!("{update:?}")
        }

        async fn put(&self, _: TableName, item: Item) -> Result<(), CloudError> {
            self.0.borrow_mut().insert(Key::of(&item).unwrap(), item);
            Ok(())
        }

        async fn transact(&self, _: TableName, writes: Vec<Write>) -> Result<Transacted, CloudError> {
            let mut items = self.0.borrow_mut();
            let holds = |write: &Write| match write {
                Write::Put(item, Condition::Missing(name)) => items
                    .get(&Key::of(item).unwrap())
                    .is_none_or(|item| !item.contains_key(*name)),
                Write::Put(item, Condition::Equal(name, value)) => items
                    .get(&Key::of(item).unwrap())
                    .is_some_and(|item| item.get(*name) == Some(value)),
                _ => true,
            };
            if !writes.iter().all(holds) {
                return Ok(Transacted::Refused(Found::new()));
            }
            for write in writes {
                match write {
                    Write::Put(item, _) => items.insert(Key::of(&item).unwrap(), item),
                    Write::Delete(key) => items.remove(&key),
                    other => panic!("{other:?}"),
                };
            }
            Ok(Transacted::Made)
        }
    }

    fn shop() -> Document {
        serde_json::from_value(json!({
            "version": 1,
            "services": { "prod/web": {
                "discovery": [{ "to": "shop.local/web", "port": 80, "attributes": { "lane": "blue" } }],
                "scaling": {
                    "min": 1, "max": 5, "cooldown": { "out": "30s", "in": "2m" },
                    "rules": [
                        { "alarm": "cpu", "target": 62.5 },
                        { "alarm": "slow", "steps": [{ "from": 0, "to": 0.1, "add": -1 }, { "from": 0.1, "percent": 12.5 }] },
                    ],
                },
                "delivery": [{ "repository": "shop/web", "tags": { "semver": "^1" } }],
            } },
            "tasks": { "prod/nightly": { "discovery": [{ "to": "srv-1" }] } },
            "clusters": { "prod": { "capacity": { "drain": { "deadline": "3m" } } } },
        }))
        .unwrap()
    }

    async fn apply(fake: &Fake, document: &Document) -> Written {
        let stored = read(fake).await.unwrap();
        let registries = Resolved {
            registries: BTreeMap::from([("shop.local/web".to_owned(), Registry::of("srv-web"))]),
            ..Resolved::default()
        };
        let stamp = Stamp {
            at: Timestamp::UNIX_EPOCH,
            by: "me".to_owned(),
        };
        let plan = plan(&stored.current, document, &registries, true, &stamp).unwrap();
        write(fake, &plan.transactions).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_applied_is_read_back() {
        let fake = Fake::default();
        assert_eq!(apply(&fake, &shop()).await, Written::All);
        let stored = read(&fake).await.unwrap();
        assert_eq!(stored.malformed, []);
        assert_eq!(document(&stored.current), shop());
        assert_eq!(
            (stored.current.meta.version, stored.current.meta.by.as_deref()),
            (1, Some("me"))
        );
        let by_alarm = crate::config::read(fake.query(TableName::Config, "alarm#slow").await.unwrap());
        assert_eq!(
            by_alarm.targets[0].stored,
            stored.current.targets[&by_alarm.targets[0].target]
        );
        // Nothing changed: nothing is written.
        let items = fake.0.borrow().clone();
        assert_eq!(apply(&fake, &shop()).await, Written::All);
        assert_eq!(*fake.0.borrow(), items);
    }

    #[tokio::test]
    async fn of_two_applies_at_once_one_is_refused() {
        let fake = Fake::default();
        let stamp = Stamp {
            at: Timestamp::UNIX_EPOCH,
            by: "me".to_owned(),
        };
        let plan = |current: &Current, document: &Document| {
            plan(current, document, &Resolved::default(), true, &stamp).unwrap()
        };
        let empty = Document {
            version: 1,
            ..Document::default()
        };
        // On a table that was never written, and on one that was.
        for document in [shop(), empty] {
            let current = read(&fake).await.unwrap().current;
            let (one, two) = (plan(&current, &document), plan(&current, &document));
            assert_eq!(write(&fake, &one.transactions).await.unwrap(), Written::All);
            assert_eq!(write(&fake, &two.transactions).await.unwrap(), Written::Overtaken(0));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_reported_with_its_key_and_hides_nothing() {
        let fake = Fake::default();
        apply(&fake, &shop()).await;
        let bad = [
            (TARGETS, "service#prod/web", TARGET_ATTRIBUTE),
            (TARGETS, "nonsense", TARGET_ATTRIBUTE),
            (CLUSTERS, "prod", CLUSTER_ATTRIBUTE),
            (META, META, META_ATTRIBUTE),
        ];
        for (pk, sk, name) in bad {
            let mut item = item(pk, sk);
            item.insert(name.to_owned(), text("?"));
            if pk == META {
                item.insert(VERSION.to_owned(), number(1));
            }
            fake.put(TableName::Config, item).await.unwrap();
        }
        let stored = read(&fake).await.unwrap();
        let keys: Vec<_> = stored
            .malformed
            .iter()
            .map(|malformed| malformed.key.as_str())
            .collect();
        assert_eq!(
            keys,
            [
                "meta / meta",
                "clusters / prod",
                "targets / nonsense",
                "targets / service#prod/web"
            ]
        );
        assert_eq!(stored.current.targets.len(), 1);
        assert_eq!(stored.current.malformed.len(), 1);
        // An apply mends what it names.
        assert_eq!(apply(&fake, &shop()).await, Written::All);
        let stored = read(&fake).await.unwrap();
        assert_eq!(document(&stored.current), shop());
        assert_eq!(stored.current.meta.version, 2);
    }
}
