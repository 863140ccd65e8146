//! The protocols in which AWS's services are asked: what a request and its refusal look like.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{AT_ONCE, Call, Raw, Within};
use crate::error::{CloudError, Kind};

/// The same in one attempt: for what is paced, where each attempt counts against the account's rate, and for what a repeat
/// would do once more.
const ONCE: Within = Within { once: true, ..AT_ONCE };

/// An invocation, which ends with its function: a minute by the template, five by generous people. One attempt, since a
/// repeat would begin the work anew.
const INVOCATION: Within = Within {
    attempt: Some(Duration::from_mins(5)),
    all: Duration::from_mins(5),
    once: true,
};

/// What a path segment may hold as it is (RFC 3986, unreserved characters).
fn segment(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| {
        if plain(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}

impl Raw {
    /// A call of the AWS JSON 1.1 protocol: `X-Amz-Target: {target}.{operation}`. SQS's version is 1.0, which differs in
    /// its name alone (smithy: AWS JSON protocols).
    ///
    /// # Errors
    /// When AWS refuses, cannot be reached, or answers what is no JSON.
    pub async fn json(
        &self,
        host: &str,
        target: &str,
        operation: &'static str,
        body: &Value,
    ) -> Result<Value, CloudError> {
        self.json_within(host, target, operation, body, AT_ONCE).await
    }

    /// The same in one attempt.
    ///
    /// # Errors
    /// As [`Raw::json`].
    pub async fn json_once(
        &self,
        host: &str,
        target: &str,
        operation: &'static str,
        body: &Value,
    ) -> Result<Value, CloudError> {
        self.json_within(host, target, operation, body, ONCE).await
    }

    async fn json_within(
        &self,
        host: &str,
        target: &str,
        operation: &'static str,
        body: &Value,
        within: Within,
    ) -> Result<Value, CloudError> {
        let answer = self
            .send(Call {
                host,
                operation,
                content_type: match host {
                    "sqs" => "application/x-amz-json-1.0",
                    _ => "application/x-amz-json-1.1",
                },
                target: Some(format!("{target}.{operation}")),
                body: body.to_string().into_bytes(),
                error: json_error,
                method: "POST",
                path: String::new(),
                headers: &[],
                within,
            })
            .await?
            .body;
        serde_json::from_slice(&answer).map_err(|e| CloudError::new(operation, Kind::Unreadable, e.to_string()))
    }

    /// A call of the AWS query protocol, or of EC2's variant of it: the answer is XML, whatever its root is called.
    ///
    /// # Errors
    /// When AWS refuses, cannot be reached, or answers another document.
    pub async fn query<T: DeserializeOwned>(
        &self,
        host: &str,
        version: &str,
        operation: &'static str,
        parameters: &[(String, String)],
    ) -> Result<T, CloudError> {
        self.query_within(host, version, operation, parameters, AT_ONCE).await
    }

    /// The same in one attempt.
    ///
    /// # Errors
    /// As [`Raw::query`].
    pub async fn query_once<T: DeserializeOwned>(
        &self,
        host: &str,
        version: &str,
        operation: &'static str,
        parameters: &[(String, String)],
    ) -> Result<T, CloudError> {
        self.query_within(host, version, operation, parameters, ONCE).await
    }

    async fn query_within<T: DeserializeOwned>(
        &self,
        host: &str,
        version: &str,
        operation: &'static str,
        parameters: &[(String, String)],
        within: Within,
    ) -> Result<T, CloudError> {
        let mut form = vec![
            ("Action".to_owned(), operation.to_owned()),
            ("Version".to_owned(), version.to_owned()),
        ];
        form.extend_from_slice(parameters);
        let body =
            serde_urlencoded::to_string(&form).map_err(|e| CloudError::new(operation, Kind::Invalid, e.to_string()))?;
        let answer = self
            .send(Call {
                host,
                operation,
                content_type: "application/x-www-form-urlencoded; charset=utf-8",
                target: None,
                body: body.into_bytes(),
                error: xml_error,
                method: "POST",
                path: String::new(),
                headers: &[],
                within,
            })
            .await?
            .body;
        quick_xml::de::from_reader(answer.as_slice())
            .map_err(|e| CloudError::new(operation, Kind::Unreadable, e.to_string()))
    }

    /// A call of the REST JSON protocol: the operation is in the method and the path, each part of which is given as it is
    /// meant; parameters that are asked for without a value are left out.
    ///
    /// # Errors
    /// When AWS refuses, cannot be reached, or answers what is no JSON.
    pub async fn rest(
        &self,
        host: &str,
        operation: &'static str,
        method: &'static str,
        path: &[&str],
        query: &[(&str, Option<&str>)],
        body: Option<&Value>,
    ) -> Result<Value, CloudError> {
        let mut uri = path.iter().map(|part| segment(part)).collect::<Vec<_>>().join("/");
        let query = query.iter().filter_map(|(name, value)| Some((name, (*value)?)));
        let query: Vec<_> = query
            .map(|(name, value)| format!("{name}={}", segment(value)))
            .collect();
        if !query.is_empty() {
            uri = format!("{uri}?{}", query.join("&"));
        }
        let answer = self
            .send(Call {
                host,
                operation,
                content_type: "application/json",
                target: None,
                body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
                error: json_error,
                method,
                path: uri,
                headers: &[],
                within: AT_ONCE,
            })
            .await?
            .body;
        serde_json::from_slice(&answer).map_err(|e| CloudError::new(operation, Kind::Unreadable, e.to_string()))
    }

    /// `Invoke` of Lambda (API version 2015-03-31), waiting for the answer: what the function answered, and whether that is
    /// its error.
    ///
    /// # Errors
    /// When Lambda refuses or cannot be reached.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<(Vec<u8>, bool), CloudError> {
        let answer = self
            .send(Call {
                host: "lambda",
                operation: "Invoke",
                content_type: "application/json",
                target: None,
                body: event.to_string().into_bytes(),
                error: json_error,
                method: "POST",
                path: format!("2015-03-31/functions/{}/invocations", segment(function)),
                headers: &[("x-amz-invocation-type", "RequestResponse")],
                within: INVOCATION,
            })
            .await?;
        Ok((answer.body, answer.function_error))
    }
}

/// `{"__type": "prefix#Code", "message": …}`, with either case of `message` (smithy: AWS JSON protocols, errors); EFS writes
/// `ErrorCode` (EFS API reference, common errors).
fn json_error(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(error) = serde_json::from_slice::<Value>(body) else {
        return (None, None);
    };
    let text = |field: &str| error.get(field).and_then(Value::as_str);
    let code = text("__type")
        .or_else(|| text("code"))
        .or_else(|| text("ErrorCode"))
        .map(|c| c.rsplit('#').next().unwrap_or(c).to_owned());
    (code, text("message").or_else(|| text("Message")).map(str::to_owned))
}

/// `<ErrorResponse><Error>` of the query protocol, `<Response><Errors><Error>` of EC2
/// (smithy: AWS query protocol and AWS EC2 query protocol, errors).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct XmlError {
    error: Option<XmlErrorDetail>,
    errors: Option<XmlErrors>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct XmlErrors {
    error: XmlErrorDetail,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct XmlErrorDetail {
    code: Option<String>,
    message: Option<String>,
}

pub(super) fn xml_error(body: &[u8]) -> (Option<String>, Option<String>) {
    let error = quick_xml::de::from_reader::<_, XmlError>(body)
        .ok()
        .and_then(|found| found.error.or(found.errors.map(|several| several.error)));
    error.map_or((None, None), |error| (error.code, error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_every_protocol_are_read() {
        assert_eq!(
            json_error(br#"{"__type":"com.amazonaws.ecs#ClientException","message":"no"}"#),
            (Some("ClientException".into()), Some("no".into()))
        );
        assert_eq!(
            xml_error(b"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>slow</Message></Error></ErrorResponse>"),
            (Some("Throttling".into()), Some("slow".into()))
        );
        assert_eq!(
            xml_error(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>InvalidParameterValue</Code><Message>no</Message></Error></Errors><RequestID>1</RequestID></Response>"),
            (Some("InvalidParameterValue".into()), Some("no".into()))
        );
        assert_eq!(xml_error(b"<html><body>Bad gateway</body></html>"), (None, None));
        assert_eq!(json_error(b"<html>"), (None, None));
    }
}
