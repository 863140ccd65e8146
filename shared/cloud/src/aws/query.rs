//! Calls that no linked SDK makes: CloudFormation outputs.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Aws, form};
use crate::error::CloudError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeStacksResponse {
    describe_stacks_result: DescribeStacksResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeStacksResult {
    #[serde(default)]
    stacks: StackMembers,
}

#[derive(Debug, Default, Deserialize)]
struct StackMembers {
    #[serde(default)]
    member: Vec<Stack>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stack {
    #[serde(default)]
    outputs: OutputMembers,
}

#[derive(Debug, Default, Deserialize)]
struct OutputMembers {
    #[serde(default)]
    member: Vec<Output>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    output_key: String,
    output_value: String,
}

impl Aws {
    /// The outputs of a CloudFormation stack, by key: where the command finds the tables.
    ///
    /// # Errors
    /// When the stack does not exist, or CloudFormation does not answer.
    pub async fn stack_outputs(&self, stack: &str) -> Result<BTreeMap<String, String>, CloudError> {
        const OPERATION: &str = "DescribeStacks";
        let parameters = [form::pair("StackName", stack)];
        let call = self
            .raw
            .query::<DescribeStacksResponse>("cloudformation", "2010-05-15", OPERATION, &parameters);
        let answer = self.within(OPERATION, call).await?;
        let outputs = answer
            .describe_stacks_result
            .stacks
            .member
            .into_iter()
            .flat_map(|s| s.outputs.member);
        Ok(outputs.map(|o| (o.output_key, o.output_value)).collect())
    }
}
