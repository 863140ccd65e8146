//! The end of a partition.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_dynamo::Item;

use super::{Aws, sdk};
use crate::error::CloudError;
use crate::history::Newest;
use crate::table::TableName;

impl Newest for Aws {
    async fn newest(&self, table: TableName, pk: &str, limit: u32) -> Result<Vec<Item>, CloudError> {
        let call = async {
            let page = self
                .dynamodb
                .query()
                .table_name(self.table(table))
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .consistent_read(true)
                .scan_index_forward(false)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(|e| sdk::error("Query", &e))?;
            Ok(page.items.unwrap_or_default().into_iter().map(Item::from).collect())
        };
        self.within("Query", call).await
    }
}
