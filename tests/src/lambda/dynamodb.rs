//! The two tables in memory, with DynamoDB's own answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::expressions::{Expressions, Item};
use super::world::{Answer, refused};

/// Every table by its name: items by partition and sort key.
#[derive(Debug, Default)]
pub struct Tables {
    items: BTreeMap<String, BTreeMap<(String, String), Item>>,
}

impl Tables {
    /// Writes an item that carries `pk` and `sk`; one that does not is a mistake of the test.
    pub fn put(&mut self, table: &str, item: Item) {
        if let Some(key) = key(&item) {
            self.items.entry(table.to_owned()).or_default().insert(key, item);
        }
    }

    /// An item.
    #[must_use]
    pub fn get(&self, table: &str, pk: &str, sk: &str) -> Option<&Item> {
        self.items.get(table)?.get(&(pk.to_owned(), sk.to_owned()))
    }

    /// The items of a partition, by sort key.
    pub fn partition<'a>(&'a self, table: &str, pk: &'a str) -> impl Iterator<Item = &'a Item> {
        self.items
            .get(table)
            .into_iter()
            .flatten()
            .filter(move |((of, _), _)| of == pk)
            .map(|(_, item)| item)
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, operation: &str, request: &Value) -> Answer {
        if operation == "TransactWriteItems" {
            return self.transact(request);
        }
        let Some(table) = request.get("TableName").and_then(Value::as_str) else {
            return invalid("TableName is missing");
        };
        match operation {
            "GetItem" => match request.get("Key").and_then(Value::as_object).and_then(key) {
                Some((pk, sk)) => (
                    200,
                    self.get(table, &pk, &sk)
                        .map_or(json!({}), |item| json!({ "Item": item })),
                ),
                None => invalid("the key does not have pk and sk"),
            },
            "Query" => self.query(table, request),
            "PutItem" => self.put_item(table, request),
            "UpdateItem" => self.update_item(table, request),
            other => refused(400, "UnknownOperationException", &format!("{other} is not known here")),
        }
    }

    fn query(&self, table: &str, request: &Value) -> Answer {
        let expressions = Expressions::of(request);
        let condition = request
            .get("KeyConditionExpression")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(alias) = condition.strip_prefix("pk = ") else {
            return invalid(&format!("the key condition `{condition}` is not known here"));
        };
        let pk = match expressions.value(alias) {
            Ok(value) => value.get("S").and_then(Value::as_str).unwrap_or_default(),
            Err(reason) => return invalid(&reason),
        };
        let items: Vec<_> = self.partition(table, pk).collect();
        match expressions.unused() {
            Some(unused) => invalid(&format!("{unused} is used in no expression")),
            None => (
                200,
                json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items }),
            ),
        }
    }

    fn put_item(&mut self, table: &str, request: &Value) -> Answer {
        let Some(item) = request
            .get("Item")
            .and_then(Value::as_object)
            .filter(|item| key(item).is_some())
        else {
            return invalid("the item has no pk and sk");
        };
        if request.get("ConditionExpression").is_some() {
            return invalid("a conditional PutItem is not known here");
        }
        self.put(table, item.clone());
        (200, json!({}))
    }

    /// Functions delete items so, and do nothing else in transactions.
    fn transact(&mut self, request: &Value) -> Answer {
        let writes = request.get("TransactItems").and_then(Value::as_array);
        for write in writes.into_iter().flatten() {
            let delete = write.get("Delete").unwrap_or(&Value::Null);
            let table = delete.get("TableName").and_then(Value::as_str);
            let of = delete.get("Key").and_then(Value::as_object).and_then(key);
            let (Some(table), Some(of)) = (table, of) else {
                return invalid("a transaction of anything but deletions is not known here");
            };
            if let Some(items) = self.items.get_mut(table) {
                items.remove(&of);
            }
        }
        (200, json!({}))
    }

    fn update_item(&mut self, table: &str, request: &Value) -> Answer {
        let Some(of) = request.get("Key").and_then(Value::as_object) else {
            return invalid("Key is missing");
        };
        let Some((pk, sk)) = key(of) else {
            return invalid("the key does not have pk and sk");
        };
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let expressions = Expressions::of(request);
        let before = self.get(table, &pk, &sk);
        let mut after = before.cloned().unwrap_or_else(|| of.clone());
        let changed = text("ConditionExpression")
            .map_or(Ok(true), |condition| {
                expressions.holds(condition, before.unwrap_or(&Item::new()))
            })
            .and_then(|held| {
                expressions.update(text("UpdateExpression").unwrap_or_default(), &mut after)?;
                Ok(held)
            });
        let held = match (changed, expressions.unused()) {
            (Err(reason), _) => return invalid(&reason),
            (_, Some(unused)) => return invalid(&format!("{unused} is used in no expression")),
            (Ok(held), None) => held,
        };
        if !held {
            let (status, mut answer) =
                refused(400, "ConditionalCheckFailedException", "The conditional request failed");
            if text("ReturnValuesOnConditionCheckFailure") == Some("ALL_OLD")
                && let Some(before) = before
            {
                answer["Item"] = Value::Object(before.clone());
            }
            return (status, answer);
        }
        let answer = match text("ReturnValues") {
            Some("ALL_NEW") => json!({ "Attributes": after }),
            _ => json!({}),
        };
        self.put(table, after);
        (200, answer)
    }
}

fn key(item: &Item) -> Option<(String, String)> {
    let text = |name: &str| item.get(name)?.get("S")?.as_str().map(str::to_owned);
    Some((text("pk")?, text("sk")?))
}

fn invalid(reason: &str) -> Answer {
    refused(400, "ValidationException", reason)
}
