//! Keeps the endpoints of tasks in AWS Cloud Map true.
//!
//! A task that reaches RUNNING is registered; at the first sign of stopping its endpoints leave, before the task does.
//! An ECS Task State Change is merged into the ledger of its task by `detail.version` ([`observe`]), the decider says what
//! its endpoints are to be, the calls are made ([`apply`]), and the ledger is asked once more: if the task moved on
//! meanwhile, the newer state is converged on. The [`sweep`] compares what the registries hold with what runs, and sends
//! every difference through the same steps.

pub mod apply;
pub mod observe;
pub mod sweep;

use std::cell::Cell;

use serde_json::Value;
use wharfinger_cloud::Fault;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::config::ConfigStore;
use wharfinger_cloud::pipeline::{Cause, converge};
use wharfinger_cloud::ports::{Clock, Registry, Tasks};
use wharfinger_cloud::start::{Function, Invocation};
use wharfinger_cloud::table::Table;
use wharfinger_core::event::{Detail, Event, Rejected, TaskStateChange};

/// What this function needs of the world.
pub trait Cloud: Table + Registry + Tasks + Clock {}

impl<C: Table + Registry + Tasks + Clock> Cloud for C {}

/// The domain's name.
pub const NAME: &str = "discovery";

/// The function, with what it keeps between events.
#[derive(Debug)]
pub struct Discovery {
    owner: String,
    config: ConfigStore,
    removals: Cell<usize>,
}

impl Discovery {
    /// A function whose endpoints carry this mark.
    #[must_use]
    pub fn new(owner: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            config: ConfigStore::default(),
            removals: Cell::new(usize::MAX),
        }
    }

    /// Handles one event.
    ///
    /// # Errors
    /// When the event cannot be used, or the world could not be made what it should be: to be tried again.
    pub async fn on_event(&self, cloud: &impl Cloud, json: &Value) -> Result<(), Fault> {
        let event = Event::parse(json)?;
        let kind = event.detail.kind();
        match event.detail {
            Detail::Task(task) => {
                let cause = Cause {
                    name: format!("{kind} {}", event.envelope.id),
                    at: event.envelope.time,
                };
                self.on_task(cloud, &cause, &task).await
            }
            Detail::Scheduled => sweep::sweep(self, cloud, &event.envelope.id).await,
            _ => Err(Rejected::UnknownKind {
                detail_type: event.envelope.detail_type,
                source_name: event.envelope.source,
            }
            .into()),
        }
    }

    async fn on_task(&self, cloud: &impl Cloud, cause: &Cause, task: &TaskStateChange) -> Result<(), Fault> {
        self.removals.set(usize::MAX);
        let target = task.target()?;
        let found = self.config.target(cloud, &target).await?;
        observe::report(cloud, &found.malformed);
        let Some(managed) = found.targets.into_iter().next() else {
            tracing::debug!(target = %target, "not managed");
            return Ok(());
        };
        if managed.stored.config.discovery.is_empty() && !observe::may_have_joined(cloud, task).await? {
            tracing::debug!(target = %target, "not configured for discovery");
            return Ok(());
        }
        let Some(look) = observe::merge(self, cloud, cause, managed, task).await? else {
            return Ok(());
        };
        let look = observe::look_up(self, cloud, look).await?;
        converge(&apply::Endpoints { function: self, cloud }, cloud, cause, look)
            .await
            .map(drop)
    }
}

impl Function for Discovery {
    const NAME: &'static str = NAME;
    const HOSTS: &'static [&'static str] = &["dynamodb", "servicediscovery"];

    async fn handle(&self, aws: &Aws, invocation: Invocation) -> Result<(), Fault> {
        Box::pin(self.on_event(aws, &invocation.event)).await
    }
}
