//! Calls that no linked SDK makes: ECR images, CloudFormation outputs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use wharfinger_core::event::time_from_json;

use super::{Aws, form};
use crate::error::{CloudError, Kind};
use crate::ports::{Images, TaggedImage};

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

impl Images for Aws {
    async fn tagged_images(&self, repository: &str) -> Result<Option<Vec<TaggedImage>>, CloudError> {
        const OPERATION: &str = "DescribeImages";
        let call = async {
            let (mut images, mut token) = (Vec::new(), Value::Null);
            loop {
                let mut body = json!({
                    "repositoryName": repository,
                    "maxResults": 1_000,
                    "filter": { "tagStatus": "TAGGED" },
                });
                if !token.is_null() {
                    body["nextToken"] = token;
                }
                let target = "AmazonEC2ContainerRegistry_V20150921";
                let page = match self.raw.json("api.ecr", target, OPERATION, &body).await {
                    Ok(page) => page,
                    Err(e) if e.kind == Kind::NotFound => return Ok(None),
                    Err(e) => return Err(e),
                };
                let details = page
                    .get("imageDetails")
                    .and_then(Value::as_array)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                images.extend(details.iter().flat_map(tagged));
                token = page.get("nextToken").cloned().unwrap_or(Value::Null);
                if token.is_null() {
                    return Ok(Some(images));
                }
            }
        };
        self.within(OPERATION, call).await
    }
}

fn tagged(image: &Value) -> Vec<TaggedImage> {
    let digest = image
        .get("imageDigest")
        .and_then(Value::as_str)
        .and_then(|d| d.parse().ok());
    let pushed_at: Option<Timestamp> = image.get("imagePushedAt").and_then(time_from_json);
    let (Some(digest), Some(pushed_at)) = (digest, pushed_at) else {
        return Vec::new();
    };
    let tags = image
        .get("imageTags")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    tags.iter()
        .filter_map(Value::as_str)
        .map(|tag| TaggedImage {
            tag: tag.to_owned(),
            digest: Clone::clone(&digest),
            pushed_at,
        })
        .collect()
}
