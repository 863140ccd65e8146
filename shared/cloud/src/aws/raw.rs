//! Signed calls without a service's SDK: where a typed SDK would lose fields (task definitions), or would cost minutes of
//! build and megabytes of function for one operation.
//!
//! Retries, time-outs and connections are the SDKs' own; only the signing of a request and the reading of its answer are
//! written here, and beside it the protocols.

mod protocols;

use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use futures_util::future::join_all;
use serde_json::Value;

use self::protocols::xml_error;
use super::sdk::chain;
use crate::error::{CloudError, Kind};

/// What a signed call needs of the configuration.
#[derive(Debug)]
pub struct Raw {
    http: Option<SharedHttpClient>,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    endpoint: Option<String>,
    user_agent: String,
    retries: RetryConfig,
    timeouts: TimeoutConfig,
}

/// AWS's refusal of a raw call.
#[derive(Debug)]
struct Refused {
    status: u16,
    metadata: ErrorMetadata,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.metadata)
    }
}

impl std::error::Error for Refused {}

impl ProvideErrorMetadata for Refused {
    fn meta(&self) -> &ErrorMetadata {
        &self.metadata
    }
}

/// Reads the code and the words of a refusal.
type ReadError = fn(&[u8]) -> (Option<String>, Option<String>);

/// A body to send and how to read what comes back.
struct Call<'a> {
    /// The host's first label, and the name that the signature carries, where they differ.
    host: &'a str,
    operation: &'static str,
    content_type: &'static str,
    target: Option<String>,
    body: Vec<u8>,
    error: ReadError,
    method: &'static str,
    /// The path, where the operation is in it, with its query.
    path: String,
    headers: &'a [(&'static str, &'static str)],
    within: Within,
}

/// How long one attempt and all of them may take.
#[derive(Debug, Clone, Copy)]
struct Within {
    attempt: Option<Duration>,
    all: Duration,
    /// Whether there is one attempt only.
    once: bool,
}

/// A call that is answered at once; an attempt is given the time that the configuration says.
const AT_ONCE: Within = Within {
    attempt: None,
    all: Duration::from_secs(20),
    once: false,
};

impl Raw {
    /// Takes Region, credentials, endpoint and HTTP client from the configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        let app = config.app_name().map(|name| format!(" app/{name}")).unwrap_or_default();
        Self {
            http: config.http_client(),
            credentials: config.credentials_provider(),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: config.endpoint_url().map(str::to_owned),
            user_agent: format!("wharfinger/{}{app}", env!("CARGO_PKG_VERSION")),
            retries: config.retry_config().cloned().unwrap_or_else(RetryConfig::standard),
            timeouts: config.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled),
        }
    }

    /// What is at an address that AWS has signed itself, as JSON. Nothing of ours goes there: it may be any host.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, or answers what is no JSON.
    pub async fn signed_address(&self, operation: &'static str, url: &str) -> Result<Value, CloudError> {
        let invalid = |reason: String| CloudError::new(operation, Kind::Invalid, reason);
        let http = self.http.clone();
        let http = http.ok_or_else(|| invalid("the configuration has no HTTP client".into()))?;
        let request = HttpRequest::get(url).map_err(|e| invalid(e.to_string()))?;
        let mut timeouts = self.timeouts.clone().into_builder();
        timeouts.set_operation_timeout(Some(AT_ONCE.all));
        let built = Operation::builder()
            .service_name("raw")
            .operation_name(operation)
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .http_client(http)
            .endpoint_url(url)
            .no_auth()
            .standard_retry(&self.retries)
            .timeout_config(timeouts.build())
            .sleep_impl(TokioSleep::new())
            .serializer(|request: HttpRequest| Ok(request))
            .deserializer(|response| read(response, xml_error))
            .build();
        let answer = built.invoke(request).await.map_err(|e| failed(operation, e))?;
        serde_json::from_slice(&answer.body).map_err(|e| CloudError::new(operation, Kind::Unreadable, e.to_string()))
    }

    /// Opens a connection to each host, so that the first event does not wait for TLS. Init runs at full CPU, and a
    /// failure here is only a slower first call.
    pub async fn open_connections(&self, hosts: &[&str]) {
        let mut urls: Vec<_> = hosts.iter().map(|host| self.url(host)).collect();
        urls.dedup();
        let timeouts = self
            .timeouts
            .clone()
            .into_builder()
            .operation_timeout(Duration::from_secs(1))
            .build();
        let open = urls.iter().map(|url| {
            let timeouts = timeouts.clone();
            async move {
                let Some(http) = self.http.clone() else { return };
                let operation = Operation::builder()
                    .service_name("raw")
                    .operation_name("open")
                    .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
                    .http_client(http)
                    .endpoint_url(url)
                    .no_auth()
                    .no_retry()
                    // The same settings as the SDKs': connections are kept by settings.
                    .timeout_config(timeouts)
                    .sleep_impl(TokioSleep::new())
                    .serializer(|request: HttpRequest| Ok(request))
                    .deserializer(|_| Ok::<_, OrchestratorError<Refused>>(()))
                    .build();
                let request = match HttpRequest::get(url) {
                    Ok(request) => request,
                    Err(error) => return tracing::debug!(url, %error, "no connection opened"),
                };
                if let Err(error) = operation.invoke(request).await {
                    tracing::debug!(url, error = chain(&error), "no connection opened");
                }
            }
        });
        join_all(open).await;
    }

    async fn send(&self, call: Call<'_>) -> Result<Answer, CloudError> {
        let (operation, within) = (call.operation, call.within);
        let (url, read_error) = (self.url(call.host), call.error);
        let request = self
            .sign(&url, call)
            .await
            .map_err(|reason| CloudError::new(operation, Kind::Invalid, reason))?;
        let http = self
            .http
            .clone()
            .ok_or_else(|| CloudError::new(operation, Kind::Invalid, "the configuration has no HTTP client"))?;
        let mut timeouts = self.timeouts.clone().into_builder();
        timeouts.set_operation_timeout(Some(within.all));
        if within.attempt.is_some() {
            timeouts.set_operation_attempt_timeout(within.attempt);
        }
        let built = Operation::builder()
            .service_name("raw")
            .operation_name(operation)
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .http_client(http)
            .endpoint_url(&url)
            .no_auth()
            .standard_retry(&if within.once {
                RetryConfig::disabled()
            } else {
                self.retries.clone()
            })
            .retry_classifier(AwsErrorCodeClassifier::<Refused>::new())
            .timeout_config(timeouts.build())
            .sleep_impl(TokioSleep::new())
            // One signature is good for five minutes, longer than all attempts take.
            .serializer(|request: HttpRequest| Ok(request))
            .deserializer(move |response| read(response, read_error))
            .build();
        built.invoke(request).await.map_err(|error| failed(operation, error))
    }

    fn url(&self, host: &str) -> String {
        let suffix = if self.region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        self.endpoint
            .clone()
            .unwrap_or_else(|| format!("https://{host}.{}.{suffix}", self.region))
    }

    async fn sign(&self, url: &str, call: Call<'_>) -> Result<HttpRequest, String> {
        let provider = self
            .credentials
            .as_ref()
            .ok_or("the configuration has no credentials")?;
        let credentials = provider.provide_credentials().await.map_err(|e| chain(&e))?;
        let uri = if url.ends_with('/') {
            url.to_owned()
        } else {
            format!("{url}/")
        } + &call.path;
        let mut request = http::Request::builder()
            .method(call.method)
            .uri(&uri)
            .header("content-type", call.content_type)
            .header("user-agent", &self.user_agent);
        if let Some(target) = call.target {
            request = request.header("x-amz-target", target);
        }
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(call.body).map_err(|e| e.to_string())?;
        let identity = credentials.into();
        #[allow(
            clippy::disallowed_methods,
            reason = "a signature is good for the time of its making only"
        )]
        let now = std::time::SystemTime::now();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(call.host.strip_prefix("api.").unwrap_or(call.host))
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| e.to_string())?
            .into();
        let headers: Vec<_> = request
            .headers()
            .iter()
            .filter_map(|(k, v)| Some((k.as_str(), v.to_str().ok()?)))
            .collect();
        let signable = SignableRequest::new(
            call.method,
            &uri,
            headers.into_iter(),
            SignableBody::Bytes(request.body()),
        )
        .map_err(|e| e.to_string())?;
        let (instructions, _) = sign(signable, &parameters).map_err(|e| e.to_string())?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        HttpRequest::try_from(request.map(SdkBody::from)).map_err(|e| e.to_string())
    }
}

/// What a failure means.
fn failed(operation: &'static str, error: SdkError<Refused, HttpResponse>) -> CloudError {
    match error {
        SdkError::ServiceError(refused) => {
            let Refused { status, metadata } = refused.into_err();
            CloudError {
                operation,
                kind: CloudError::classify(metadata.code(), Some(status)),
                code: metadata.code().map(str::to_owned),
                message: metadata.message().unwrap_or("no further words").to_owned(),
            }
        }
        error @ SdkError::TimeoutError(_) => CloudError::new(operation, Kind::TimedOut, chain(&error)),
        error => CloudError::new(operation, Kind::Unavailable, chain(&error)),
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    body: Vec<u8>,
    /// Whether it is the error of a function that was invoked (Lambda API reference, `Invoke`).
    function_error: bool,
}

fn read(response: &HttpResponse, error: ReadError) -> Result<Answer, OrchestratorError<Refused>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return Ok(Answer {
            body: body.to_vec(),
            function_error: response.headers().get("x-amz-function-error").is_some(),
        });
    }
    let (code, message) = error(body);
    // The AWS REST JSON protocol says the code in a header (smithy: AWS REST JSON 1.1, errors).
    let header = response.headers().get("x-amzn-errortype");
    let code = code.or_else(|| Some(header?.split(':').next()?.to_owned()));
    let mut metadata = ErrorMetadata::builder();
    metadata = metadata.message(message.unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(500).collect()));
    if let Some(code) = code {
        metadata = metadata.code(code);
    }
    Err(OrchestratorError::operation(Refused {
        status: response.status().as_u16(),
        metadata: metadata.build(),
    }))
}
