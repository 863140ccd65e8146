//! An HTTP client for tests: it answers what it was given, in order, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::region::Region;

use super::{Aws, Tables};

/// The status that stands for the answer of a function that failed: a success with a header.
const FUNCTION_ERROR: u16 = 299;

/// A request, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The host's first label.
    pub host: String,
    /// GET, POST or PUT.
    pub method: String,
    /// The path.
    pub path: String,
    /// `X-Amz-Target`.
    pub target: Option<String>,
    /// What was sent.
    pub body: String,
}

impl Asked {
    /// The parameters of a form, decoded, as `name=value`.
    pub fn form(&self) -> Vec<String> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(&self.body).unwrap();
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// The JSON that was sent.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Debug, Clone)]
struct Replay {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl HttpConnector for Replay {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().split("//").nth(1).unwrap_or_default();
        let host = uri.split('.').next();
        self.asked.lock().unwrap().push(Asked {
            host: host.unwrap_or_default().to_owned(),
            method: request.method().to_owned(),
            path: uri.find('/').map(|at| uri[at..].to_owned()).unwrap_or_default(),
            target: request.headers().get("x-amz-target").map(str::to_owned),
            body: String::from_utf8(request.body().bytes().unwrap_or_default().to_vec()).unwrap(),
        });
        let answer = self.answers.lock().unwrap().pop_front();
        HttpConnectorFuture::ready(match answer {
            Some((status, body)) => {
                let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
                if status == FUNCTION_ERROR {
                    response.headers_mut().insert("x-amz-function-error", "Unhandled");
                }
                Ok(response)
            }
            None => Err(ConnectorError::user("no answer was prepared".into())),
        })
    }
}

impl HttpClient for Replay {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Makes calls that are given the answers, each a status and a body, and returns what came of them and what was asked.
pub(super) fn replay<T>(answers: &[(u16, &str)], calls: impl AsyncFnOnce(&Aws) -> T) -> (T, Vec<Asked>) {
    replay_with(RetryConfig::disabled(), answers, calls)
}

/// The same with these retries.
pub(super) fn replay_with<T>(
    retries: RetryConfig,
    answers: &[(u16, &str)],
    calls: impl AsyncFnOnce(&Aws) -> T,
) -> (T, Vec<Asked>) {
    let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned()));
    let client = Replay {
        answers: Arc::new(Mutex::new(answers.collect())),
        asked: Arc::default(),
    };
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "id", "secret", None, None, "test",
        )))
        .http_client(SharedHttpClient::new(client.clone()))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(retries)
        .build();
    let tables = Tables {
        config: "config".into(),
        state: "state".into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let made = runtime.block_on(calls(&Aws::new(&config, tables)));
    let asked = client.asked.lock().unwrap().clone();
    (made, asked)
}
