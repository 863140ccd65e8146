//! The two tables in memory, with DynamoDB's own answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::expressions::{Expressions, Item};
use super::world::{Answer, refused};

/// Every table by its name: items by partition and sort key.
#[derive(Debug, Default)]
pub struct Tables {
    items: BTreeMap<String, BTreeMap<(String, String), Item>>,
    /// The `ClientRequestToken`s of the transactions that were made.
    made: BTreeSet<String>,
}

/// A table and the key of an item in it.
type Place = (String, (String, String));

/// What a part of a transaction does to its item, once all conditions hold.
enum Change {
    Put(Item),
    Delete,
    None,
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
        match operation {
            "TransactWriteItems" => return self.transact(request),
            "BatchGetItem" => return self.batch_get_item(request),
            _ => {}
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

    fn batch_get_item(&self, request: &Value) -> Answer {
        let tables = request.get("RequestItems").and_then(Value::as_object);
        let found = |(table, wanted): (&String, &Value)| {
            let keys = wanted.get("Keys").and_then(Value::as_array)?;
            let keys = keys.iter().filter_map(|of| key(of.as_object()?));
            let items: Vec<_> = keys.filter_map(|(pk, sk)| self.get(table, &pk, &sk)).collect();
            Some((table.clone(), json!(items)))
        };
        let found: Option<serde_json::Map<_, _>> = tables.and_then(|tables| tables.iter().map(found).collect());
        found.map_or_else(
            || invalid("RequestItems is missing or malformed"),
            |found| (200, json!({ "Responses": found })),
        )
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

    /// Makes all of a transaction, once, or cancels it with a reason for each part.
    fn transact(&mut self, request: &Value) -> Answer {
        let token = request.get("ClientRequestToken").and_then(Value::as_str);
        let Some(token) = token.map(str::to_owned) else {
            return invalid("a transaction without a ClientRequestToken is made twice when its answer is lost");
        };
        if self.made.contains(&token) {
            return (200, json!({}));
        }
        let (mut changes, mut reasons) = (BTreeMap::new(), Vec::new());
        for part in request
            .get("TransactItems")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let (of, held, change) = match self.part(part) {
                Ok(part) => part,
                Err(reason) => return invalid(&reason),
            };
            reasons.push(if held {
                json!({ "Code": "None" })
            } else {
                let item = self.get(&of.0, &of.1.0, &of.1.1);
                json!({ "Code": "ConditionalCheckFailed", "Item": item })
            });
            if changes.insert(of, change).is_some() {
                return invalid("Transaction request cannot include multiple operations on one item");
            }
        }
        if reasons.iter().any(|reason| reason["Code"] != "None") {
            let message = "Transaction cancelled, please refer cancellation reasons for specific reasons";
            let (status, mut answer) = refused(400, "TransactionCanceledException", message);
            answer["CancellationReasons"] = Value::Array(reasons);
            return (status, answer);
        }
        for ((table, of), change) in changes {
            let items = self.items.entry(table).or_default();
            match change {
                Change::Put(item) => drop(items.insert(of, item)),
                Change::Delete => drop(items.remove(&of)),
                Change::None => {}
            }
        }
        self.made.insert(token);
        (200, json!({}))
    }

    /// Of a part of a transaction: its table and key, whether its condition holds, and what it does.
    fn part(&self, part: &Value) -> Result<(Place, bool, Change), String> {
        let parts = part.as_object().filter(|part| part.len() == 1);
        let (name, part) = parts.and_then(|part| part.iter().next()).ok_or("not one operation")?;
        let table = part.get("TableName").and_then(Value::as_str);
        let of = part.get("Key").and_then(Value::as_object).and_then(key);
        let of = (
            table.ok_or("TableName is missing")?.to_owned(),
            of.ok_or("Key is missing")?,
        );
        let (held, after) = self.written(&of.0, part)?;
        let change = match name.as_str() {
            "Update" => Change::Put(after),
            "Delete" => Change::Delete,
            "ConditionCheck" if part.get("ConditionExpression").is_some() => Change::None,
            other => return Err(format!("{other} is not known here")),
        };
        if part.get("ReturnValuesOnConditionCheckFailure").is_none() && name != "Delete" {
            return Err("without ALL_OLD nobody is told what the item is".to_owned());
        }
        Ok((of, held, change))
    }

    /// Whether a request's condition holds on its item, and what the item is once it was updated.
    fn written(&self, table: &str, request: &Value) -> Result<(bool, Item), String> {
        let of = request.get("Key").and_then(Value::as_object).ok_or("Key is missing")?;
        let (pk, sk) = key(of).ok_or("the key does not have pk and sk")?;
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let expressions = Expressions::of(request);
        let before = self.get(table, &pk, &sk);
        let mut after = before.cloned().unwrap_or_else(|| of.clone());
        let held = text("ConditionExpression").map_or(Ok(true), |condition| {
            expressions.holds(condition, before.unwrap_or(&Item::new()))
        })?;
        expressions.update(text("UpdateExpression").unwrap_or_default(), &mut after)?;
        match expressions.unused() {
            Some(unused) => Err(format!("{unused} is used in no expression")),
            None => Ok((held, after)),
        }
    }

    fn update_item(&mut self, table: &str, request: &Value) -> Answer {
        let (held, after) = match self.written(table, request) {
            Ok(written) => written,
            Err(reason) => return invalid(&reason),
        };
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        if !held {
            let (status, mut answer) =
                refused(400, "ConditionalCheckFailedException", "The conditional request failed");
            if text("ReturnValuesOnConditionCheckFailure") == Some("ALL_OLD")
                && let Some(before) = key(&after).and_then(|(pk, sk)| self.get(table, &pk, &sk))
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
