//! Parameters of Systems Manager.

use serde_json::{Value, json};

use super::Aws;
use crate::error::CloudError;
use crate::ports::Parameters;

const TARGET: &str = "AmazonSSM";

impl Parameters for Aws {
    async fn put_parameter(&self, name: &str, value: &str) -> Result<(), CloudError> {
        const OPERATION: &str = "PutParameter";
        let body = json!({ "Name": name, "Value": value, "Type": "String", "DataType": "text", "Overwrite": true });
        let call = self.raw.json("ssm", TARGET, OPERATION, &body);
        self.within(OPERATION, call).await.map(drop)
    }

    async fn parameter(&self, name: &str) -> Result<Option<String>, CloudError> {
        const OPERATION: &str = "GetParameter";
        let body = json!({ "Name": name });
        let call = self.raw.json("ssm", TARGET, OPERATION, &body);
        match self.within(OPERATION, call).await {
            Ok(answer) => Ok(answer
                .pointer("/Parameter/Value")
                .and_then(Value::as_str)
                .map(str::to_owned)),
            Err(error) if error.code.as_deref() == Some("ParameterNotFound") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;

    const NAME: &str = "/wharfinger/prod/web/web";

    #[test]
    fn a_parameter_is_written_over() {
        let (made, asked) = replay(&[(200, r#"{"Version":2}"#)], async |aws| {
            aws.put_parameter(NAME, "shop/web@sha256:1").await
        });
        assert_eq!(made, Ok(()));
        assert_eq!(asked[0].target.as_deref(), Some("AmazonSSM.PutParameter"));
        assert_eq!(
            asked[0].json(),
            json!({ "Name": NAME, "Value": "shop/web@sha256:1", "Type": "String", "DataType": "text", "Overwrite": true })
        );
    }

    #[test]
    fn a_parameter_that_is_not_there_is_none() {
        let found = r#"{"Parameter":{"Name":"n","Value":"v"}}"#;
        let none = r#"{"__type":"ParameterNotFound"}"#;
        for (status, answer, expected) in [(200, found, Some("v".to_owned())), (400, none, None)] {
            let (made, _) = replay(&[(status, answer)], async |aws| aws.parameter(NAME).await);
            assert_eq!(made, Ok(expected));
        }
    }
}
