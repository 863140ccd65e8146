//! How a function starts, and how each invocation is framed: the same for all.

use std::time::{Duration, Instant};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use wharfinger_core::ids::Arn;

use crate::aws::{self, Aws, Tables};
use crate::env::Env;
use crate::error::Fault;
use crate::ports::Clock;
use crate::telemetry;

impl From<Fault> for Diagnostic {
    fn from(fault: Fault) -> Self {
        let error_type = match &fault {
            Fault::Cloud(_) => "Cloud",
            Fault::Rejected(_) => "Rejected",
            Fault::Unsettled { .. } => "Unsettled",
            Fault::LeaseLost { .. } => "LeaseLost",
            Fault::Unstorable { .. } => "Unstorable",
            Fault::Gone { .. } => "Gone",
            Fault::Partly { .. } => "Partly",
        };
        Self {
            error_type: error_type.into(),
            error_message: fault.to_string(),
        }
    }
}

/// What one invocation brings.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The event's JSON.
    pub event: Value,
    /// A name for this attempt that no other has: who holds a lease.
    pub holder: String,
    /// The function's own account.
    pub account: String,
    /// The function's own Region.
    pub region: String,
}

/// A function: what it does with an event.
pub trait Function {
    /// `discovery`, `scaling`, …
    const NAME: &'static str;

    /// The hosts to which connections are opened before the first event, by the first label of their names.
    const HOSTS: &'static [&'static str];

    /// Handles one event; what it answers is for who calls the function by itself: EventBridge reads no answer.
    async fn handle(&self, aws: &Aws, invocation: Invocation) -> Result<Value, Fault>;
}

/// Starts a function: logging, environment, clients, connections; then one event after another.
///
/// # Errors
/// When the environment is not complete, or the Lambda runtime ends.
pub async fn run<F: Function>(build: impl FnOnce(&Env) -> F) -> Result<(), Error> {
    let env = Env::load();
    let level = env.as_ref().map_or(tracing::Level::INFO, |e| e.log_level);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_target(false)
        .with_max_level(level)
        .without_time()
        .with_ansi(false)
        .init();
    telemetry::print_metrics();
    let env = env.inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let config = aws::load().await;
    let aws = Aws::new(
        &config,
        Tables {
            config: env.config_table.clone(),
            state: env.state_table.clone(),
        },
    );
    aws.raw().open_connections(F::HOSTS).await;
    let function = build(&env);
    let (aws, function) = (&aws, &function);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (event, context) = event.into_parts();
        let now = aws.now();
        let left = context
            .deadline
            .saturating_sub(u64::try_from(now.as_millisecond()).unwrap_or_default());
        // A deadline that is no time, as of a test tool, leaves what a call may take at most.
        let left = if left == 0 {
            Duration::from_secs(20)
        } else {
            Duration::from_millis(left)
        };
        // Lambda repeats the request id when it tries an event again; the time tells the attempts apart.
        let holder = format!("{}/{}", context.request_id, now.as_nanosecond());
        aws.begin(&holder, Instant::now() + left);
        let arn = Arn::parse(&context.invoked_function_arn);
        let own = |part: fn(&Arn<'_>) -> String| arn.as_ref().map(part).unwrap_or_default();
        let (account, region) = (own(|a| a.account.to_owned()), own(|a| a.region.to_owned()));
        Box::pin(function.handle(
            aws,
            Invocation {
                event,
                holder,
                account,
                region,
            },
        ))
        .await
        .inspect_err(|fault| {
            telemetry::error(F::NAME, aws.now(), &fault.to_string());
        })
    }))
    .await
}
