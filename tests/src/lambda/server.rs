//! The HTTP side: any number of connections at once, on a thread of its own.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::world::Answer;
use super::{ACCOUNT, Authority, Call, Fault, Invocation, Outcome, REGION, Shared, State};

const INVOCATION: &str = "/2018-06-01/runtime/invocation/";

/// A listener and its thread; both end with it.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(shared: Arc<Shared>, authority: Option<&Authority>) -> io::Result<Self> {
        let tls = authority.map(Authority::acceptor).transpose()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    // Nobody sends: the sender is dropped.
                    _ = stopped => {}
                    () = accept(listener, &shared, tls) => {}
                }
            });
        });
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(listener: std::net::TcpListener, shared: &Arc<Shared>, tls: Option<TlsAcceptor>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        // A small answer goes out at once, as AWS's does.
        drop(stream.set_nodelay(true));
        let number = shared.change(|state| {
            state.connections += 1;
            state.connections - 1
        });
        let (shared, tls) = (Arc::clone(shared), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, shared, number).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, shared, number).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>, connection: usize) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(request, &shared, connection).await }
    });
    // An error is a client that went away, or a connection that was cut on purpose.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

/// The connection is cut.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

type Answered = Result<Response<Full<Bytes>>, Cut>;

async fn answer(request: Request<Incoming>, shared: &Arc<Shared>, connection: usize) -> Answered {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let path = head.uri.path();
    match (&head.method, path.strip_prefix(INVOCATION)) {
        (&Method::GET, Some("next")) => next(shared).await,
        (&Method::POST, Some(rest)) => posted(shared, rest, &body),
        (&Method::POST, None) if path == "/" => {
            let target = head.headers.get("x-amz-target").and_then(|t| t.to_str().ok());
            aws(shared, target, &body, began, connection).await
        }
        // What opens a connection ahead of the first call.
        _ => respond(404, "text/plain", Bytes::new()),
    }
}

async fn next(shared: &Arc<Shared>) -> Answered {
    shared.change(|state| state.asked.push(Instant::now()));
    loop {
        let queued = shared.queued.notified();
        let Some(invocation) = shared.state().queue.pop_front() else {
            queued.await;
            continue;
        };
        return hand_over(&invocation);
    }
}

fn hand_over(invocation: &Invocation) -> Answered {
    #[allow(
        clippy::disallowed_methods,
        reason = "Lambda says the deadline by the clock of the world"
    )]
    let now = std::time::SystemTime::now();
    let deadline = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default() + invocation.within;
    Response::builder()
        .header("lambda-runtime-aws-request-id", &invocation.id)
        .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
        .header(
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:wharfinger"),
        )
        .header("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000")
        .header("content-type", "application/json")
        .body(Full::new(invocation.event.to_string().into()))
        .map_err(|_| Cut)
}

fn posted(shared: &Arc<Shared>, rest: &str, body: &[u8]) -> Answered {
    let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let text = |field: &str| json.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let outcome = match rest.split_once('/') {
        Some((id, "response")) => Some((id, Outcome::Done(json))),
        Some((id, "error")) => Some((
            id,
            Outcome::Failed {
                kind: text("errorType"),
                message: text("errorMessage"),
            },
        )),
        _ => None,
    };
    let Some((id, outcome)) = outcome else {
        return respond(404, "text/plain", Bytes::new());
    };
    shared.change(|state| state.outcomes.insert(id.to_owned(), outcome));
    respond(202, "application/json", Bytes::from_static(b"{\"status\":\"OK\"}"))
}

async fn aws(shared: &Arc<Shared>, target: Option<&str>, body: &[u8], began: Instant, connection: usize) -> Answered {
    let (service, operation, input) = decode(target, body);
    let call = Call {
        operation: operation.clone(),
        input,
        began,
        ended: None,
        status: 0,
        connection,
    };
    let (number, latency, fault) = shared.change(|state| {
        state.calls.push(call.clone());
        (state.calls.len() - 1, state.latency, state.fault(&operation))
    });
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (kind, status, body) = match fault {
        Some(Fault::Cut) => return Err(Cut),
        Some(Fault::Refuse(status, code)) => refusal(service, status, code, "scripted"),
        fault => {
            let answer = effect(shared, service, &operation, &call.input);
            match fault {
                Some(Fault::CutAfter) => return Err(Cut),
                Some(Fault::Silence) => std::future::pending().await,
                Some(Fault::Garbage) => ("text/html", 200, Bytes::from_static(b"<html>")),
                _ => answer,
            }
        }
    };
    shared.change(|state| {
        if let Some(call) = state.calls.get_mut(number) {
            (call.ended, call.status) = (Some(Instant::now()), status);
        }
    });
    respond(status, kind, body)
}

/// The prefix of `X-Amz-Target`, the operation and the request; a form is of the query protocol.
fn decode<'t>(target: Option<&'t str>, body: &[u8]) -> (&'t str, String, Value) {
    if let Some((service, operation)) = target.and_then(|t| t.split_once('.')) {
        return (
            service,
            operation.to_owned(),
            serde_json::from_slice(body).unwrap_or_default(),
        );
    }
    let form: Vec<(String, String)> = serde_urlencoded::from_bytes(body).unwrap_or_default();
    let fields: Map<_, _> = form
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    let action = fields.get("Action").and_then(Value::as_str).unwrap_or_default();
    ("query", action.to_owned(), Value::Object(fields))
}

impl State {
    /// What is to go wrong with the next call of an operation.
    fn fault(&mut self, operation: &str) -> Option<Fault> {
        let (_, left, fault) = self
            .faults
            .iter_mut()
            .find(|(of, left, _)| of == operation && *left > 0)?;
        *left -= 1;
        Some(fault.clone())
    }
}

fn effect(shared: &Arc<Shared>, service: &str, operation: &str, input: &Value) -> (&'static str, u16, Bytes) {
    let mut state = shared.state();
    if service == "query" {
        return match state.world.answer_form(operation, input) {
            Ok(answer) => ("text/xml", 200, answer.into()),
            Err((code, words)) => refusal(service, 400, code, words),
        };
    }
    let (status, body): Answer = state.world.answer(service, operation, input);
    ("application/x-amz-json-1.1", status, body.to_string().into())
}

fn refusal(service: &str, status: u16, code: &str, words: &str) -> (&'static str, u16, Bytes) {
    if service == "query" {
        let body =
            format!("<ErrorResponse><Error><Code>{code}</Code><Message>{words}</Message></Error></ErrorResponse>");
        return ("text/xml", status, body.into());
    }
    let body = json!({ "__type": format!("com.amazonaws#{code}"), "message": words });
    ("application/x-amz-json-1.1", status, body.to_string().into())
}

fn respond(status: u16, kind: &'static str, body: Bytes) -> Answered {
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(Full::new(body))
        .map_err(|_| Cut)
}
