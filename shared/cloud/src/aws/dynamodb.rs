//! The tables on DynamoDB.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue as Sdk, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use serde_dynamo::{AttributeValue, Item};

use super::{Aws, sdk};
use crate::error::{CloudError, Kind};
use crate::table::{Condition, Key, Table, TableName, Update, Updated, Write};

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
            Condition::Any(several) => {
                let several: Vec<_> = several.into_iter().filter_map(|c| self.condition(c)).collect();
                format!("({})", several.join(" OR "))
            }
        })
    }

    fn update(&mut self, update: &Update) -> String {
        let mut clauses = Vec::new();
        let set: Vec<_> = update
            .set
            .iter()
            .map(|(n, v)| format!("{} = {}", self.name(n), self.value(v.clone())))
            .collect();
        let remove: Vec<_> = update.remove.iter().map(|n| self.name(n)).collect();
        let add: Vec<_> = update
            .add
            .iter()
            .map(|(n, by)| format!("{} {}", self.name(n), self.value(AttributeValue::N(by.to_string()))))
            .collect();
        for (word, parts) in [("SET", set), ("REMOVE", remove), ("ADD", add)] {
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
    fn table(&self, name: TableName) -> &str {
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
        let call = async {
            let sent = self
                .dynamodb
                .update_item()
                .table_name(self.table(table))
                .set_key(Some(key(&update.key)))
                .update_expression(change)
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await;
            match sent {
                Ok(made) => Ok(Updated::Made(made.attributes.unwrap_or_default().into())),
                Err(error) => match error.as_service_error() {
                    Some(
                        aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                            refused,
                        ),
                    ) => Ok(Updated::Refused(
                        refused.item.clone().filter(|i| !i.is_empty()).map(Into::into),
                    )),
                    _ => Err(sdk::error("UpdateItem", &error)),
                },
            }
        };
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

    async fn transact(&self, table: TableName, writes: Vec<Write>) -> Result<bool, CloudError> {
        let mut items = Vec::with_capacity(writes.len());
        for write in writes {
            items.push(self.part(table, write)?);
        }
        let call = async {
            let sent = self
                .dynamodb
                .transact_write_items()
                .set_transact_items(Some(items))
                .send()
                .await;
            match sent {
                Ok(_) => Ok(true),
                Err(error) => {
                    let refused = error
                        .as_service_error()
                        .and_then(|e| match e {
                            aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(c) => {
                                Some(c.cancellation_reasons().iter().any(|r| r.code() == Some("ConditionalCheckFailed")))
                            }
                            _ => None,
                        })
                        .unwrap_or(false);
                    if refused {
                        Ok(false)
                    } else {
                        Err(sdk::error("TransactWriteItems", &error))
                    }
                }
            }
        };
        self.within("TransactWriteItems", call).await
    }
}

impl Aws {
    fn part(&self, table: TableName, write: Write) -> Result<TransactWriteItem, CloudError> {
        let invalid = |e: aws_sdk_dynamodb::error::BuildError| {
            CloudError::new("TransactWriteItems", Kind::Invalid, e.to_string())
        };
        Ok(match write {
            Write::Put(item, condition) => {
                let mut expression = Expression::default();
                let condition = expression.condition(condition);
                let (names, values) = expression.names();
                let put = Put::builder()
                    .table_name(self.table(table))
                    .set_item(Some(item.into()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(invalid)?;
                TransactWriteItem::builder().put(put).build()
            }
            Write::Delete(of) => {
                let delete = Delete::builder()
                    .table_name(self.table(table))
                    .set_key(Some(key(&of)))
                    .build()
                    .map_err(invalid)?;
                TransactWriteItem::builder().delete(delete).build()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{number, text};

    #[test]
    fn aliases_are_words_and_each_name_has_one() {
        let mut expression = Expression::default();
        let update = Update::of(Key::new("service#prod/web", "state"))
            .set("scaling", text("a"))
            .set("scaling-said", text("b"))
            .remove("holder");
        let clauses = expression.update(&update);
        let condition = expression.condition(Condition::Equal("scaling", number(1)));
        assert_eq!(clauses, "SET #n0 = :v0, #n1 = :v1 REMOVE #n2");
        assert_eq!(condition.as_deref(), Some("#n0 = :v2"));
        assert_eq!(expression.names["#n1"], "scaling-said");
    }
}
