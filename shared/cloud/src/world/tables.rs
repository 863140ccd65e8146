//! The two DynamoDB tables, with conditional writes as DynamoDB makes them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Caller, Change, World};
use crate::error::{CloudError, Kind};
use crate::table::{
    AttributeValue, Condition, Found, Item, Key, Table, TableName, Transacted, Update, Updated, Write, as_number,
    as_texts,
};

/// How many items one transaction takes (DynamoDB API reference, `TransactWriteItems`).
const TRANSACTION: usize = 100;

/// The items of both tables, by key.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// The config table.
    pub config: BTreeMap<Key, Item>,
    /// The state table.
    pub state: BTreeMap<Key, Item>,
}

impl Tables {
    /// A table.
    #[must_use]
    pub fn of(&self, name: TableName) -> &BTreeMap<Key, Item> {
        match name {
            TableName::Config => &self.config,
            TableName::State => &self.state,
        }
    }

    /// A table, to change it.
    pub fn of_mut(&mut self, name: TableName) -> &mut BTreeMap<Key, Item> {
        match name {
            TableName::Config => &mut self.config,
            TableName::State => &mut self.state,
        }
    }

    /// Writes an item under the key that it carries; `None` when it carries none.
    pub fn put(&mut self, name: TableName, item: Item) -> Option<Key> {
        let key = Key::of(&item)?;
        self.of_mut(name).insert(key.clone(), item);
        Some(key)
    }

    /// Takes out what has expired: DynamoDB does so some time after the time in `ttl`.
    pub fn expire(&mut self, now: Timestamp) {
        self.state
            .retain(|_, item| as_number(item, "ttl").is_none_or(|ttl| ttl >= now.as_second()));
    }

    fn query(&self, name: TableName, pk: &str) -> Vec<Item> {
        let from = Key::new(pk, "");
        self.of(name)
            .range(from..)
            .take_while(|(key, _)| key.pk == pk)
            .map(|(_, item)| item.clone())
            .collect()
    }

    fn update(&mut self, name: TableName, update: &Update) -> Result<Updated, CloudError> {
        let invalid = |message: String| CloudError::new("UpdateItem", Kind::Invalid, message);
        let names = || {
            let set = update.set.iter().map(|(name, _)| *name);
            set.chain(update.remove.iter().copied())
                .chain(update.add.iter().map(|(name, _)| *name))
                .chain(update.put_in.iter().map(|(name, _)| *name))
                .chain(update.take_out.iter().map(|(name, _)| *name))
        };
        if let Some(key) = names().find(|name| matches!(*name, "pk" | "sk")) {
            return Err(invalid(format!("`{key}` is part of the key")));
        }
        if let Some(twice) = names()
            .enumerate()
            .find_map(|(i, name)| names().skip(i + 1).find(|other| *other == name))
        {
            return Err(invalid(format!("two document paths overlap: `{twice}`")));
        }
        let table = self.of_mut(name);
        let before = table.get(&update.key);
        if !holds(&update.condition, before) {
            return Ok(Updated::Refused(before.cloned()));
        }
        let mut item = before.cloned().unwrap_or_else(|| empty(&update.key));
        for (name, value) in &update.set {
            item.insert((*name).to_owned(), value.clone());
        }
        for name in &update.remove {
            item.remove(*name);
        }
        for (name, by) in &update.add {
            let number = match item.get(*name) {
                None => 0,
                Some(_) => as_number(&item, name).ok_or_else(|| invalid(format!("`{name}` is no number")))?,
            };
            item.insert((*name).to_owned(), AttributeValue::N((number + by).to_string()));
        }
        for (name, text) in &update.put_in {
            let mut set = set_of(&item, name);
            set.insert(text.clone());
            put_set(&mut item, name, set);
        }
        for (name, text) in &update.take_out {
            let mut set = set_of(&item, name);
            set.remove(text);
            put_set(&mut item, name, set);
        }
        table.insert(update.key.clone(), item.clone());
        Ok(Updated::Made(item))
    }

    fn transact(&mut self, name: TableName, writes: &[Write]) -> Result<Transacted, CloudError> {
        let invalid = |message: &str| CloudError::new("TransactWriteItems", Kind::Invalid, message);
        if writes.len() > TRANSACTION {
            return Err(invalid("more than 100 items"));
        }
        let mut keys = Vec::new();
        for write in writes {
            let key = write.key().ok_or_else(|| invalid("an item without a key"))?;
            if keys.contains(&key) {
                return Err(invalid("two operations on one item"));
            }
            keys.push(key);
        }
        let table = self.of(name);
        let refused = |(write, key): (&Write, &Key)| match write {
            Write::Put(_, condition) | Write::Check(_, condition) => !holds(condition, table.get(key)),
            Write::Update(update) => !holds(&update.condition, table.get(key)),
            Write::Delete(_) => false,
        };
        let refused = writes.iter().zip(&keys).filter(|part| refused(*part));
        let refused: Found = refused.map(|(_, key)| (key.clone(), table.get(key).cloned())).collect();
        if !refused.is_empty() {
            return Ok(Transacted::Refused(refused));
        }
        for (write, key) in writes.iter().zip(keys) {
            match write {
                Write::Put(item, _) => drop(self.of_mut(name).insert(key, item.clone())),
                Write::Update(update) => drop(self.update(name, update)?),
                Write::Delete(_) => drop(self.of_mut(name).remove(&key)),
                Write::Check(..) => {}
            }
        }
        Ok(Transacted::Made)
    }
}

fn set_of(item: &Item, name: &str) -> BTreeSet<String> {
    as_texts(item, name).iter().cloned().collect()
}

/// A set that is empty is not there (DynamoDB developer guide, "Update expressions").
fn put_set(item: &mut Item, name: &str, set: BTreeSet<String>) {
    if set.is_empty() {
        item.remove(name);
    } else {
        item.insert(name.to_owned(), AttributeValue::Ss(set.into_iter().collect()));
    }
}

fn empty(key: &Key) -> Item {
    let mut item = Item::default();
    item.insert("pk".to_owned(), AttributeValue::S(key.pk.clone()));
    item.insert("sk".to_owned(), AttributeValue::S(key.sk.clone()));
    item
}

/// Whether a condition holds on an item; a comparison with what is not there, or of another type, does not.
fn holds(condition: &Condition, item: Option<&Item>) -> bool {
    let attribute = |name: &str| item.and_then(|item| item.get(name));
    let compare = |name: &str, value| attribute(name).and_then(|found| order(found, value));
    match condition {
        Condition::Always => true,
        Condition::Missing(name) => attribute(name).is_none(),
        Condition::Less(name, value) => compare(name, value) == Some(Ordering::Less),
        Condition::Equal(name, value) => compare(name, value) == Some(Ordering::Equal),
        Condition::Any(several) => several.iter().any(|condition| holds(condition, item)),
        Condition::All(several) => several.iter().all(|condition| holds(condition, item)),
    }
}

fn order(left: &AttributeValue, right: &AttributeValue) -> Option<Ordering> {
    match (left, right) {
        (AttributeValue::S(left), AttributeValue::S(right)) => Some(left.cmp(right)),
        (AttributeValue::N(left), AttributeValue::N(right)) => match (left.parse::<i64>(), right.parse::<i64>()) {
            (Ok(left), Ok(right)) => Some(left.cmp(&right)),
            _ => left.parse::<f64>().ok()?.partial_cmp(&right.parse::<f64>().ok()?),
        },
        (left, right) => (left == right).then_some(Ordering::Equal),
    }
}

fn names(update: &Update) -> String {
    let set = update.set.iter().map(|(name, value)| match value {
        AttributeValue::N(n) => format!("{name}={n}"),
        AttributeValue::S(s) => format!("{name}={s:.40}"),
        _ => (*name).to_owned(),
    });
    let remove = update.remove.iter().map(|name| format!("-{name}"));
    let add = update.add.iter().map(|(name, by)| format!("{name}{by:+}"));
    let put_in = update.put_in.iter().map(|(name, text)| format!("{name}+{text}"));
    let take_out = update.take_out.iter().map(|(name, text)| format!("{name}-{text}"));
    let sets = put_in.chain(take_out);
    set.chain(remove).chain(add).chain(sets).collect::<Vec<_>>().join(" ")
}

fn part(write: &Write) -> String {
    let key = write.key().map_or_else(|| "?".to_owned(), |key| key.to_string());
    match write {
        Write::Put(..) => format!("put {key}"),
        Write::Update(update) => format!("update {key} {}", names(update)),
        Write::Delete(_) => format!("delete {key}"),
        Write::Check(..) => format!("check {key}"),
    }
}

impl World {
    fn wrote(&mut self, name: TableName, key: Key) {
        self.did(Change::Wrote(name, key));
    }
}

impl Table for Caller {
    async fn get(&self, table: TableName, key: &Key) -> Result<Option<Item>, CloudError> {
        let brief = |found: &Option<Item>| (if found.is_some() { "found" } else { "none" }).to_owned();
        let get = |world: &World| Ok(world.tables.of(table).get(key).cloned());
        self.read("GetItem", || key.to_string(), get, brief).await
    }

    async fn get_all(&self, table: TableName, keys: &[Key]) -> Result<Vec<Item>, CloudError> {
        let get = |world: &World| {
            Ok(keys
                .iter()
                .filter_map(|key| world.tables.of(table).get(key).cloned())
                .collect())
        };
        let argument = || keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let brief = |items: &Vec<Item>| format!("{} item(s)", items.len());
        self.read("BatchGetItem", argument, get, brief).await
    }

    async fn query(&self, table: TableName, pk: &str) -> Result<Vec<Item>, CloudError> {
        let query = |world: &World| Ok(world.tables.query(table, pk));
        self.read(
            "Query",
            || pk.to_owned(),
            query,
            |items| format!("{} item(s)", items.len()),
        )
        .await
    }

    async fn update(&self, table: TableName, update: Update) -> Result<Updated, CloudError> {
        let argument = || format!("{} {}", update.key, names(&update));
        let change = |world: &mut World| {
            let updated = world.tables.update(table, &update)?;
            if matches!(updated, Updated::Made(_)) {
                world.wrote(table, update.key.clone());
            }
            Ok(updated)
        };
        let brief = |updated: &Updated| {
            (if matches!(updated, Updated::Made(_)) {
                "made"
            } else {
                "refused"
            })
            .to_owned()
        };
        self.write("UpdateItem", argument, change, brief).await
    }

    async fn put(&self, table: TableName, item: Item) -> Result<(), CloudError> {
        let argument = || Key::of(&item).map_or_else(|| "?".to_owned(), |key| key.to_string());
        let put = |world: &mut World| match world.tables.put(table, item.clone()) {
            Some(key) => {
                world.wrote(table, key);
                Ok(())
            }
            None => Err(CloudError::new("PutItem", Kind::Invalid, "the item has no key")),
        };
        self.write("PutItem", argument, put, |()| "made".to_owned()).await
    }

    async fn transact(&self, table: TableName, writes: Vec<Write>) -> Result<Transacted, CloudError> {
        let argument = || writes.iter().map(part).collect::<Vec<_>>().join(", ");
        let transact = |world: &mut World| {
            let transacted = world.tables.transact(table, &writes)?;
            if transacted == Transacted::Made {
                let changed = writes.iter().filter(|write| !matches!(write, Write::Check(..)));
                for key in changed.filter_map(Write::key) {
                    world.wrote(table, key);
                }
            }
            Ok(transacted)
        };
        let brief = |transacted: &Transacted| match transacted {
            Transacted::Made => "made".to_owned(),
            Transacted::Refused(found) => {
                let keys: Vec<_> = found.keys().map(ToString::to_string).collect();
                format!("refused by {}", keys.join(", "))
            }
        };
        self.write("TransactWriteItems", argument, transact, brief).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{number, text};

    fn key() -> Key {
        Key::new("p", "s")
    }

    fn newer(order: i64) -> Update {
        let condition = Condition::Any(vec![
            Condition::Missing("order"),
            Condition::Less("order", number(order)),
        ]);
        Update::of(key()).set("order", number(order)).only_if(condition)
    }

    fn made(updated: &Updated) -> bool {
        matches!(updated, Updated::Made(_))
    }

    #[test]
    fn a_number_is_compared_as_a_number() {
        let mut tables = Tables::default();
        assert!(made(&tables.update(TableName::State, &newer(9)).unwrap()));
        assert!(made(&tables.update(TableName::State, &newer(10)).unwrap()));
        for order in [10, 9] {
            let Updated::Refused(Some(item)) = tables.update(TableName::State, &newer(order)).unwrap() else {
                panic!("{order} was taken")
            };
            assert_eq!(as_number(&item, "order"), Some(10));
        }
    }

    #[test]
    fn what_is_not_there_or_of_another_type_is_neither_less_nor_equal() {
        let mut tables = Tables::default();
        for condition in [Condition::Less("a", number(1)), Condition::Equal("a", number(1))] {
            let update = Update::of(key()).set("b", number(1)).only_if(condition);
            assert_eq!(
                tables.update(TableName::State, &update).unwrap(),
                Updated::Refused(None)
            );
        }
        tables
            .update(TableName::State, &Update::of(key()).set("a", text("0")))
            .unwrap();
        let less = Update::of(key())
            .set("b", number(1))
            .only_if(Condition::Less("a", number(1)));
        assert!(!made(&tables.update(TableName::State, &less).unwrap()));
    }

    #[test]
    fn set_remove_and_add_are_one_write() {
        let mut tables = Tables::default();
        let mut update = Update::of(key()).set("a", number(1)).remove("b");
        update.add.push(("n", 2));
        tables.update(TableName::State, &update).unwrap();
        let Updated::Made(item) = tables.update(TableName::State, &update).unwrap() else {
            panic!("refused")
        };
        assert_eq!(as_number(&item, "n"), Some(4));
        for (change, texts) in [
            (Update::of(key()).put_in("s", "x"), &["x"][..]),
            (Update::of(key()).put_in("s", "x"), &["x"]),
            (Update::of(key()).put_in("s", "y"), &["x", "y"]),
            (Update::of(key()).take_out("s", "x"), &["y"]),
            (Update::of(key()).take_out("s", "y"), &[]),
        ] {
            tables.update(TableName::State, &change).unwrap();
            assert_eq!(as_texts(&tables.state[&key()], "s"), texts);
        }
        assert!(!tables.state[&key()].contains_key("s"));
        update.remove.push("a");
        assert_eq!(
            tables.update(TableName::State, &update).unwrap_err().kind,
            Kind::Invalid
        );
    }

    #[test]
    fn a_transaction_is_made_whole_or_not_at_all() {
        let mut tables = Tables::default();
        let item = |sk: &str| empty(&Key::new("p", sk));
        let new = |sk| Write::Put(item(sk), Condition::Missing("pk"));
        let mut transact = |writes: &[Write]| tables.transact(TableName::Config, writes).unwrap();
        assert_eq!(transact(&[new("a"), new("b")]), Transacted::Made);
        let key = |sk| Key::new("p", sk);
        let is = |n| Condition::Equal("n", number(n));
        let count = |sk, n, to| Write::Update(Update::of(key(sk)).set("n", number(to)).only_if(is(n)));
        let all = Write::Update(Update::of(key("a")).set("n", number(1)));
        assert_eq!(transact(&[all, Write::Delete(key("z"))]), Transacted::Made);
        // Each condition that does not hold is told with the item as it is.
        let writes = [new("c"), new("b"), count("a", 1, 2), Write::Check(key("d"), is(1))];
        let found = Found::from([(key("b"), Some(item("b"))), (key("d"), None)]);
        assert_eq!(transact(&writes), Transacted::Refused(found));
        assert_eq!(
            transact(&[count("a", 1, 2), Write::Check(key("b"), Condition::Missing("n"))]),
            Transacted::Made
        );
        assert_eq!(as_number(&tables.config[&key("a")], "n"), Some(2));
        assert_eq!(tables.query(TableName::Config, "p").len(), 2);
    }

    #[test]
    fn what_has_expired_goes() {
        let mut tables = Tables::default();
        tables
            .update(TableName::State, &Update::of(key()).set("ttl", number(100)))
            .unwrap();
        tables.expire(Timestamp::from_second(100).unwrap());
        assert_eq!(tables.state.len(), 1);
        tables.expire(Timestamp::from_second(101).unwrap());
        assert!(tables.state.is_empty());
    }
}
