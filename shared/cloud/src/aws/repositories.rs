//! Whether repositories are there.

use serde_json::json;

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::Repositories;

/// The prefix of `X-Amz-Target` (botocore's service model of ECR).
const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921";

impl Repositories for Aws {
    async fn has_repository(&self, name: &str) -> Result<bool, CloudError> {
        const OPERATION: &str = "DescribeRepositories";
        // Of several names one that is missing hides the others.
        let body = json!({ "repositoryNames": [name] });
        let call = self.raw.json("api.ecr", TARGET, OPERATION, &body);
        match self.within(OPERATION, call).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;

    #[test]
    fn a_repository_is_there_or_not_or_nobody_may_tell() {
        let there = r#"{"repositories":[{"repositoryName":"shop/web"}]}"#;
        let gone = r#"{"__type":"RepositoryNotFoundException","message":"no"}"#;
        let denied = r#"{"__type":"AccessDeniedException","message":"no"}"#;
        for (answer, expected) in [
            ((200, there), Ok(true)),
            ((400, gone), Ok(false)),
            ((400, denied), Err(Kind::Denied)),
        ] {
            let (found, asked) = replay(&[answer], async |aws| aws.has_repository("shop/web").await);
            assert_eq!(found.map_err(|error| error.kind), expected);
            assert_eq!(asked[0].json(), json!({ "repositoryNames": ["shop/web"] }));
        }
    }
}
