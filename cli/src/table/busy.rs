//! The tables in memory, as one: their keys differ. It is always 1970.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use wharfinger_cloud::CloudError;
use wharfinger_cloud::history::Newest;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::{Condition, Found, Item, Key, Table, TableName, Transacted, Update, Updated, Write};

/// Items by key. Someone else writes just before our transaction, so many times.
#[derive(Default)]
pub(crate) struct Busy {
    pub(crate) items: RefCell<BTreeMap<Key, Item>>,
    pub(crate) others: Cell<usize>,
}

impl Table for Busy {
    async fn get(&self, _: TableName, key: &Key) -> Result<Option<Item>, CloudError> {
        Ok(self.items.borrow().get(key).cloned())
    }

    async fn query(&self, _: TableName, pk: &str) -> Result<Vec<Item>, CloudError> {
        let items = self.items.borrow();
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
        self.items.borrow_mut().insert(Key::of(&item).unwrap(), item);
        Ok(())
    }

    async fn transact(&self, _: TableName, writes: Vec<Write>) -> Result<Transacted, CloudError> {
        if self.others.get() > 0 {
            self.others.set(self.others.get() - 1);
            return Ok(Transacted::Refused(Found::new()));
        }
        let Some(Write::Put(meta, condition)) = writes.first() else {
            panic!("{writes:?}")
        };
        let current = self.items.borrow().get(&Key::of(meta).unwrap()).cloned();
        let version = current.and_then(|item| item.get("version").cloned());
        assert_eq!(
            *condition,
            version.map_or(Condition::Missing("version"), |n| Condition::Equal("version", n))
        );
        for write in writes {
            match write {
                Write::Put(item, _) => self.items.borrow_mut().insert(Key::of(&item).unwrap(), item),
                Write::Delete(key) => self.items.borrow_mut().remove(&key),
                other => panic!("{other:?}"),
            };
        }
        Ok(Transacted::Made)
    }
}

impl Newest for Busy {
    async fn newest(&self, table: TableName, pk: &str, limit: u32) -> Result<Vec<Item>, CloudError> {
        let items = self.query(table, pk).await?;
        Ok(items.into_iter().rev().take(limit as usize).collect())
    }
}

impl Clock for Busy {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, duration: Duration) {
        panic!("{duration:?}")
    }

    fn remaining(&self) -> Duration {
        Duration::MAX
    }
}
