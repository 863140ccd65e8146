//! The tables on DynamoDB.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use aws_sdk_dynamodb::types::{
    AttributeValue as Sdk, CancellationReason, ConditionCheck, Delete, KeysAndAttributes, Put, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update as SdkUpdate,
};
use serde_dynamo::{AttributeValue, Item};

use super::{Aws, sdk};
use crate::error::{CloudError, Kind};
use crate::table::{Condition, Found, Key, Table, TableName, Transacted, Update, Updated, Write};

/// How many items one `BatchGetItem` reads (DynamoDB API reference).
const KEYS: usize = 100;

type Names = HashMap<String, String>;
type Values = HashMap<String, Sdk>;

/// Names and values of an expression: every name is an alias, since words like `order` are reserved. Aliases are numbered,
/// since one takes letters, digits and `_` only (DynamoDB developer guide, "Expression attribute names"); a name may have `-`.
#[derive(Default)]
struct Expression {
    names: Names,
    values: Values,
}

impl Expression {
    fn name(&mut self, name: &str) -> String {
        let known = self.names.iter().find(|(_, n)| *n == name);
        if let Some((alias, _)) = known {
            return alias.clone();
        }
        let alias = format!("#n{}", self.names.len());
        self.names.insert(alias.clone(), name.to_owned());
        alias
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let alias = format!(":v{}", self.values.len());
        self.values.insert(alias.clone(), value.into());
        alias
    }

    fn condition(&mut self, condition: Condition) -> Option<String> {
        Some(match condition {
            Condition::Always => return None,
            Condition::Missing(name) => format!("attribute_not_exists({})", self.name(name)),
            Condition::Less(name, value) => format!("{} < {}", self.name(name), self.value(value)),
            Condition::Equal(name, value) => format!("{} = {}", self.name(name), self.value(value)),
            Condition::Any(several) => self.conditions(several, " OR "),
            Condition::All(several) => self.conditions(several, " AND "),
        })
    }

    fn conditions(&mut self, several: Vec<Condition>, word: &str) -> String {
        let several: Vec<_> = several.into_iter().filter_map(|c| self.condition(c)).collect();
        format!("({})", several.join(word))
    }

    fn update(&mut self, update: &Update) -> String {
        let mut clauses = Vec::new();
        let set: Vec<_> = update
            .set
            .iter()
            .map(|(n, v)| format!("{} = {}", self.name(n), self.value(v.clone())))
            .collect();
        let remove: Vec<_> = update.remove.iter().map(|n| self.name(n)).collect();
        let add = update.add.iter().map(|(n, by)| (n, AttributeValue::N(by.to_string())));
        let set_of = |(n, text): &(&'static str, String)| (*n, AttributeValue::Ss(vec![text.clone()]));
        let add: Vec<_> = add
            .map(|(n, by)| (*n, by))
            .chain(update.put_in.iter().map(set_of))
            .map(|(n, value)| format!("{} {}", self.name(n), self.value(value)))
            .collect();
        let delete: Vec<_> = update
            .take_out
            .iter()
            .map(set_of)
            .map(|(n, value)| format!("{} {}", self.name(n), self.value(value)))
            .collect();
        for (word, parts) in [("SET", set), ("REMOVE", remove), ("ADD", add), ("DELETE", delete)] {
            if !parts.is_empty() {
                clauses.push(format!("{word} {}", parts.join(", ")));
            }
        }
        clauses.join(" ")
    }

    fn names(self) -> (Option<Names>, Option<Values>) {
        (
            (!self.names.is_empty()).then_some(self.names),
            (!self.values.is_empty()).then_some(self.values),
        )
    }
}

fn key(key: &Key) -> HashMap<String, Sdk> {
    HashMap::from([
        ("pk".into(), Sdk::S(key.pk.clone())),
        ("sk".into(), Sdk::S(key.sk.clone())),
    ])
}

impl Aws {
    pub(super) fn table(&self, name: TableName) -> &str {
        match name {
            TableName::Config => &self.tables.config,
            TableName::State => &self.tables.state,
        }
    }
}

impl Table for Aws {
    async fn get(&self, table: TableName, of: &Key) -> Result<Option<Item>, CloudError> {
        let call = async {
            self.dynamodb
                .get_item()
                .table_name(self.table(table))
                .set_key(Some(key(of)))
                .consistent_read(true)
                .send()
                .await
                .map_err(|e| sdk::error("GetItem", &e))
        };
        Ok(self.within("GetItem", call).await?.item.map(Into::into))
    }

    async fn get_all(&self, table: TableName, keys: &[Key]) -> Result<Vec<Item>, CloudError> {
        const OPERATION: &str = "BatchGetItem";
        let unreadable =
            |e: aws_sdk_dynamodb::error::BuildError| CloudError::new(OPERATION, Kind::Invalid, e.to_string());
        let name = self.table(table);
        let call = async {
            let (mut items, mut left): (Vec<Item>, Vec<_>) = (Vec::new(), keys.iter().map(key).collect());
            let mut pause = Duration::from_millis(20);
            while !left.is_empty() {
                let rest = left.split_off(left.len().min(KEYS));
                let wanted = KeysAndAttributes::builder()
                    .set_keys(Some(left))
                    .consistent_read(true)
                    .build()
                    .map_err(unreadable)?;
                let request = self.dynamodb.batch_get_item().request_items(name, wanted);
                let answer = request.send().await.map_err(|e| sdk::error(OPERATION, &e))?;
                let found = answer.responses.and_then(|mut tables| tables.remove(name));
                items.extend(found.unwrap_or_default().into_iter().map(Item::from));
                left = rest;
                // What was too much for one answer, or for the table just now (DynamoDB API reference, `BatchGetItem`).
                let again = answer.unprocessed_keys.and_then(|mut tables| tables.remove(name));
                if let Some(again) = again.filter(|again| !again.keys.is_empty()) {
                    left.extend(again.keys);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
            Ok(items)
        };
        self.within(OPERATION, call).await
    }

    async fn query(&self, table: TableName, pk: &str) -> Result<Vec<Item>, CloudError> {
        let call = async {
            let (mut items, mut from) = (Vec::new(), None);
            loop {
                let page = self
                    .dynamodb
                    .query()
                    .table_name(self.table(table))
                    .key_condition_expression("pk = :pk")
                    .expression_attribute_values(":pk", Sdk::S(pk.to_owned()))
                    .consistent_read(self.consistent || table == TableName::State)
                    .set_exclusive_start_key(from)
                    .send()
                    .await
                    .map_err(|e| sdk::error("Query", &e))?;
                items.extend(page.items.unwrap_or_default().into_iter().map(Item::from));
                from = page.last_evaluated_key.filter(|k| !k.is_empty());
                if from.is_none() {
                    return Ok(items);
                }
            }
        };
        self.within("Query", call).await
    }

    async fn update(&self, table: TableName, update: Update) -> Result<Updated, CloudError> {
        let mut expression = Expression::default();
        let change = expression.update(&update);
        let condition = expression.condition(update.condition.clone());
        let (names, values) = expression.names();
        let request = self
            .dynamodb
            .update_item()
            .table_name(self.table(table))
            .set_key(Some(key(&update.key)))
            .update_expression(change)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let call = yielding(async || match request.clone().send().await {
            Ok(made) => Ok(Updated::Made(made.attributes.unwrap_or_default().into())),
            Err(error) => match error.as_service_error() {
                Some(aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                    refused,
                )) => Ok(Updated::Refused(
                    refused.item.clone().filter(|i| !i.is_empty()).map(Into::into),
                )),
                _ => Err(sdk::error("UpdateItem", &error)),
            },
        });
        self.within("UpdateItem", call).await
    }

    async fn put(&self, table: TableName, item: Item) -> Result<(), CloudError> {
        let call = async {
            self.dynamodb
                .put_item()
                .table_name(self.table(table))
                .set_item(Some(item.into()))
                .send()
                .await
                .map_err(|e| sdk::error("PutItem", &e))
        };
        self.within("PutItem", call).await.map(drop)
    }

    async fn transact(&self, table: TableName, writes: Vec<Write>) -> Result<Transacted, CloudError> {
        let mut items = Vec::with_capacity(writes.len());
        let keys: Vec<_> = writes.iter().map(Write::key).collect();
        for write in writes {
            items.push(self.part(table, write)?);
        }
        // The SDK sends one `ClientRequestToken` with each of its attempts: what was done, and the answer lost, is not done
        // again, and its answer is the same (DynamoDB API reference, `TransactWriteItems`).
        let request = self.dynamodb.transact_write_items().set_transact_items(Some(items));
        let call = yielding(async || match request.clone().send().await {
            Ok(_) => Ok(Transacted::Made),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancellation(cancelled, &keys)
                }
                _ => Err(sdk::error(TRANSACT, &error)),
            },
        });
        self.within(TRANSACT, call).await
    }
}

const TRANSACT: &str = "TransactWriteItems";

/// How long to wait, in milliseconds, before each further attempt when others are at the same items. The SDK does not try those again; a
/// transaction of a few items takes some milliseconds.
const PAUSES: [u64; 5] = [10, 20, 40, 80, 160];

/// The codes of what is to be tried again after a short pause: a write in the way of a transaction, and a transaction that
/// was cancelled as a whole (DynamoDB API reference, `TransactWriteItems` and `UpdateItem`, "Errors").
const YIELDS: [&str; 4] = [
    "TransactionConflictException",
    "TransactionConflict",
    "ProvisionedThroughputExceeded",
    "ThrottlingError",
];

/// Makes a call, and again as long as others are at the same items.
async fn yielding<T>(call: impl AsyncFn() -> Result<T, CloudError>) -> Result<T, CloudError> {
    for pause in PAUSES {
        match call().await {
            Err(error) if error.code.as_deref().is_some_and(|code| YIELDS.contains(&code)) => {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            answer => return answer,
        }
    }
    call().await
}

/// What a cancelled transaction means: the reasons are in the order of its parts.
fn cancellation(cancelled: &TransactionCanceledException, keys: &[Option<Key>]) -> Result<Transacted, CloudError> {
    let reasons = cancelled.cancellation_reasons();
    let is_condition = |reason: &CancellationReason| reason.code() == Some("ConditionalCheckFailed");
    let other = reasons
        .iter()
        .find(|reason| !is_condition(reason) && reason.code().is_some_and(|code| code != "None"));
    if other.is_none() && reasons.iter().any(is_condition) {
        let refused = keys.iter().zip(reasons).filter(|(_, reason)| is_condition(reason));
        let item = |reason: &CancellationReason| reason.item.clone().filter(|item| !item.is_empty()).map(Into::into);
        let found = refused.filter_map(|(key, reason)| Some((key.clone()?, item(reason))));
        return Ok(Transacted::Refused(found.collect::<Found>()));
    }
    let code = other.and_then(CancellationReason::code).map(str::to_owned);
    let message = other.and_then(CancellationReason::message).or(cancelled.message());
    Err(CloudError {
        operation: TRANSACT,
        kind: CloudError::classify(code.as_deref(), Some(400)),
        message: message.unwrap_or_default().to_owned(),
        code,
    })
}

impl Aws {
    fn part(&self, table: TableName, write: Write) -> Result<TransactWriteItem, CloudError> {
        let (table, mut expression) = (self.table(table), Expression::default());
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let part = TransactWriteItem::builder();
        let part = match write {
            Write::Put(item, condition) => {
                let condition = expression.condition(condition);
                let (names, values) = expression.names();
                let put = Put::builder()
                    .table_name(table)
                    .set_item(Some(item.into()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old);
                put.build().map(|put| part.put(put))
            }
            Write::Update(update) => {
                let change = expression.update(&update);
                let condition = expression.condition(update.condition);
                let (names, values) = expression.names();
                let update = SdkUpdate::builder()
                    .table_name(table)
                    .set_key(Some(key(&update.key)))
                    .update_expression(change)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old);
                update.build().map(|update| part.update(update))
            }
            Write::Delete(of) => {
                let delete = Delete::builder().table_name(table).set_key(Some(key(&of)));
                delete.build().map(|delete| part.delete(delete))
            }
            Write::Check(of, condition) => {
                let condition = expression.condition(condition);
                let (names, values) = expression.names();
                let check = ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key(&of)))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old);
                check.build().map(|check| part.condition_check(check))
            }
        };
        part.map(aws_sdk_dynamodb::types::builders::TransactWriteItemBuilder::build)
            .map_err(|e| CloudError::new(TRANSACT, Kind::Invalid, e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;
    use crate::table::{number, text};

    fn key(sk: &str) -> Key {
        Key::new("p", sk)
    }

    /// A transaction that is answered so: what became of it, and how often it was sent.
    fn transact(answers: &[(u16, &str)]) -> (Result<Transacted, CloudError>, usize) {
        let is = |n| Condition::Equal("n", number(n));
        let writes = vec![
            Write::Update(Update::of(key("a")).set("n", number(2)).only_if(is(1))),
            Write::Check(key("b"), is(1)),
            Write::Delete(key("c")),
        ];
        let (answer, asked) = replay(answers, async |aws| aws.transact(TableName::State, writes).await);
        let parts = asked[0].json()["TransactItems"].clone();
        assert_eq!(parts[0]["Update"]["ConditionExpression"], "#n0 = :v1");
        assert_eq!(
            parts[1]["ConditionCheck"]["ReturnValuesOnConditionCheckFailure"],
            "ALL_OLD"
        );
        assert_eq!(parts[2]["Delete"]["Key"]["sk"]["S"], "c");
        (answer, asked.len())
    }

    fn cancelled(reasons: &[&str]) -> String {
        let reasons = reasons.join(",");
        format!(r#"{{"__type":"x#TransactionCanceledException","Message":"m","CancellationReasons":[{reasons}]}}"#)
    }

    const NONE: &str = r#"{"Code":"None"}"#;
    const CONFLICT: &str = r#"{"Code":"TransactionConflict"}"#;

    #[test]
    fn a_transaction_that_is_refused_tells_the_items_whose_conditions_did_not_hold() {
        let there = r#"{"Code":"ConditionalCheckFailed","Item":{"n":{"N":"7"}}}"#;
        let not_there = r#"{"Code":"ConditionalCheckFailed"}"#;
        let (answer, sent) = transact(&[(400, &cancelled(&[there, not_there, NONE]))]);
        let item = Item::from(std::collections::HashMap::from([("n".to_owned(), number(7))]));
        let found = Found::from([(key("a"), Some(item)), (key("b"), None)]);
        assert_eq!((answer, sent), (Ok(Transacted::Refused(found)), 1));
    }

    #[test]
    fn what_is_in_the_way_of_a_transaction_is_waited_for() {
        let failed = r#"{"Code":"ConditionalCheckFailed"}"#;
        // What others are about to change says nothing of the rest.
        let conflict = cancelled(&[failed, CONFLICT, NONE]);
        let (answer, sent) = transact(&[(400, &conflict), (400, &conflict), (200, "{}")]);
        assert_eq!((answer, sent), (Ok(Transacted::Made), 3));
        let all: Vec<_> = [conflict.as_str(); 6].map(|body| (400, body)).into();
        let (answer, sent) = transact(&all);
        let error = answer.unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_deref(), sent),
            (Kind::Throttled, Some("TransactionConflict"), 6)
        );
        let denied = cancelled(&[NONE, r#"{"Code":"ValidationError","Message":"why"}"#, NONE]);
        let (answer, sent) = transact(&[(400, &denied)]);
        let error = answer.unwrap_err();
        assert_eq!((error.kind, error.message.as_str(), sent), (Kind::Invalid, "why", 1));
    }

    #[test]
    fn a_write_that_is_in_the_way_of_a_transaction_waits_for_it() {
        let conflict = (400, r#"{"__type":"x#TransactionConflictException","message":"m"}"#);
        let update = Update::of(key("a")).set("n", number(1));
        let (answer, asked) = replay(&[conflict, (200, "{}")], async |aws| {
            aws.update(TableName::State, update).await
        });
        assert_eq!((answer, asked.len()), (Ok(Updated::Made(Item::default())), 2));
    }

    #[test]
    fn aliases_are_words_and_each_name_has_one() {
        let mut expression = Expression::default();
        let update = Update::of(Key::new("service#prod/web", "state"))
            .set("scaling", text("a"))
            .set("scaling-said", text("b"))
            .remove("holder")
            .take_out("attempts", "a");
        let clauses = expression.update(&update);
        let condition = expression.condition(Condition::Equal("scaling", number(1)));
        assert_eq!(clauses, "SET #n0 = :v0, #n1 = :v1 REMOVE #n2 DELETE #n3 :v2");
        assert_eq!(condition.as_deref(), Some("#n0 = :v3"));
        assert_eq!(expression.names["#n1"], "scaling-said");
    }
}
