//! The ports on the real AWS.

mod access_points;
mod attached;
mod autoscaling;
mod balancing;
mod batch;
mod credentials;
mod deployments;
mod dynamodb;
mod ec2;
#[cfg(feature = "ecs")]
mod ecs;
mod events;
mod followers;
mod form;
mod functions;
#[cfg(feature = "ecs")]
mod hosts;
mod http;
mod images;
#[cfg(feature = "ecs")]
mod instances;
mod launches;
mod monitoring;
#[cfg(feature = "servicediscovery")]
mod names;
mod newest;
mod parameters;
mod query;
mod queues;
pub mod raw;
#[cfg(test)]
mod replay;
mod repositories;
mod scalable;
mod sdk;
mod service_volumes;
#[cfg(feature = "servicediscovery")]
mod servicediscovery;
mod snapshots;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_types::SdkConfig;
use jiff::Timestamp;

use crate::error::{CloudError, Kind};
use crate::ports::{Attempt, Clock};

pub use credentials::{NoCredentials, look_for_credentials};
pub use http::load;

/// The names of the two tables.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The config table.
    pub config: String,
    /// The state table.
    pub state: String,
}

/// Every client that was asked for, built once. Each invocation gives it its deadline.
#[derive(Debug)]
pub struct Aws {
    tables: Tables,
    dynamodb: aws_sdk_dynamodb::Client,
    #[cfg(feature = "ecs")]
    ecs: aws_sdk_ecs::Client,
    #[cfg(feature = "servicediscovery")]
    servicediscovery: aws_sdk_servicediscovery::Client,
    raw: raw::Raw,
    /// Where queues are, by name: it is asked once.
    queue_urls: RefCell<BTreeMap<String, String>>,
    deadline: Cell<Option<Instant>>,
    attempt: RefCell<String>,
    consistent: bool,
}

/// What is kept back of an invocation's time for the answer to Lambda.
const RESERVE: Duration = Duration::from_millis(500);

/// How long one call may take with all its attempts, when the invocation does not set a nearer limit.
const CALL: Duration = Duration::from_secs(20);

impl Aws {
    /// Builds the clients from one configuration; they share one HTTP client and its connections.
    #[must_use]
    pub fn new(config: &SdkConfig, tables: Tables) -> Self {
        Self {
            tables,
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            #[cfg(feature = "ecs")]
            ecs: aws_sdk_ecs::Client::new(config),
            #[cfg(feature = "servicediscovery")]
            servicediscovery: aws_sdk_servicediscovery::Client::new(config),
            raw: raw::Raw::new(config),
            queue_urls: RefCell::default(),
            deadline: Cell::new(None),
            attempt: RefCell::default(),
            consistent: false,
        }
    }

    /// Reads the config table as it is now, not as it was a moment ago: the command writes what it compared.
    #[must_use]
    pub fn consistent(self) -> Self {
        Self {
            consistent: true,
            ..self
        }
    }

    /// Names the tables, once they are known: the command finds them through the stack.
    #[must_use]
    pub fn with_tables(self, tables: Tables) -> Self {
        Self { tables, ..self }
    }

    /// Begins an attempt, which has a name and an end: no call outlives it.
    pub fn begin(&self, attempt: &str, deadline: Instant) {
        attempt.clone_into(&mut self.attempt.borrow_mut());
        self.deadline.set(Some(deadline));
    }

    /// The signed client for what no linked SDK does.
    pub fn raw(&self) -> &raw::Raw {
        &self.raw
    }

    /// Awaits a call until the invocation's end at most.
    async fn within<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, CloudError> {
        let limit = self.remaining().saturating_sub(RESERVE).min(CALL);
        // An SDK's future is large and deep; on the heap it is neither to the futures around it.
        let Ok(answer) = tokio::time::timeout(limit, Box::pin(call)).await else {
            let message = format!("no answer within {limit:?}; the effect may have happened");
            return Err(CloudError::new(operation, Kind::TimedOut, message));
        };
        answer
    }
}

impl Attempt for Aws {
    fn attempt(&self) -> String {
        self.attempt.borrow().clone()
    }
}

impl Clock for Aws {
    fn now(&self) -> Timestamp {
        #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn remaining(&self) -> Duration {
        self.deadline
            .get()
            .map_or(CALL, |deadline| deadline.saturating_duration_since(Instant::now()))
    }
}
