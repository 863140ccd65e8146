//! Keeps what stands for tasks true: endpoints in AWS Cloud Map, targets in target groups.
//!
//! A task that reaches RUNNING joins; at the first sign of stopping it leaves, before the task does. An ECS Task State
//! Change is merged into the ledger of its task by `detail.version` ([`observe`]), the decider says what stands for it, the
//! calls are made ([`apply`]), and the ledger is asked once more: if the task moved on meanwhile, the newer state is
//! converged on. Who has which address is kept beside it ([`claims`]). The [`sweep`] compares what is listed with what
//! runs, and sends every difference through the same steps. What stands for tasks on an instance that drains leaves before
//! they do ([`draining`]).
//!
//! Discovery and balancing differ in their [`Side`] only.

pub mod apply;
pub mod claims;
pub mod draining;
mod held;
pub mod look_up;
pub mod observe;
pub mod sweep;
mod waiting;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use wharfinger_cloud::Fault;
use wharfinger_cloud::config::ConfigStore;
use wharfinger_cloud::error::CloudError;
use wharfinger_cloud::pipeline::{Cause, converge};
use wharfinger_cloud::ports::{Attempt, Clock, DrainingInstances, Hosts, OperationStatus, Submitted, Tasks};
use wharfinger_cloud::sweep::Scope;
use wharfinger_cloud::table::Table;
use wharfinger_core::endpoint::{Action, Belief, Facts, Host, Member};
use wharfinger_core::event::{Detail, Event, Rejected, TaskStateChange};
use wharfinger_core::known::Known;

pub use waiting::HEALTH_CHECK;

/// What both sides need of the world.
pub trait Cloud: Table + Tasks + Hosts + DrainingInstances + Clock + Attempt {}

impl<C: Table + Tasks + Hosts + DrainingInstances + Clock + Attempt> Cloud for C {}

/// What is listed in a registry or a target group.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<M> {
    /// What it is.
    pub member: M,
    /// The ARN of the task that it stands for, if it carries our mark. A target cannot carry one: for it, who has claimed
    /// the address says so.
    pub task: Option<String>,
    /// Whether it is on its way out already.
    pub draining: bool,
    /// Whether it takes requests, as far as that is told.
    pub serves: bool,
}

/// Where discovery and balancing differ.
pub trait Side<C> {
    /// What stands for a task.
    type Member: Member;

    /// How many members a collection takes, and how many one of ours may count as: what the quota counts.
    const QUOTA: usize;

    /// Makes one call.
    async fn call(&self, cloud: &C, action: &Action<Self::Member>) -> Result<Submitted, CloudError>;

    /// Where an operation that is in the way is.
    async fn operation(&self, cloud: &C, id: &str) -> Result<OperationStatus, CloudError>;

    /// Everything that is in a collection.
    async fn list(&self, cloud: &C, owner: &str, collection: &str) -> Result<Vec<Listed<Self::Member>>, CloudError>;
}

/// A side with what it keeps between events.
#[derive(Debug)]
pub struct Endpoints<S> {
    /// Registry or target groups.
    pub side: S,
    owner: String,
    config: ConfigStore,
    /// Where container instances are: as long as they exist, they are there.
    hosts: RefCell<BTreeMap<String, Host>>,
    /// The collections that the state table is known to list, and since when.
    listed: RefCell<BTreeMap<String, Timestamp>>,
    removals: Cell<usize>,
}

impl<S> Endpoints<S> {
    /// A side whose members carry this mark.
    pub fn new(side: S, owner: &str) -> Self {
        Self {
            side,
            owner: owner.to_owned(),
            config: ConfigStore::default(),
            hosts: RefCell::default(),
            listed: RefCell::default(),
            removals: Cell::new(usize::MAX),
        }
    }

    /// Handles one event. A sweep answers what it found.
    ///
    /// # Errors
    /// When the event cannot be used, or the world could not be made what it should be: to be tried again.
    pub async fn on_event<C>(&self, cloud: &C, json: &Value) -> Result<Value, Fault>
    where
        C: Cloud,
        S: Side<C>,
    {
        let event = Event::parse(json)?;
        let kind = event.detail.kind();
        let cause = Cause {
            name: format!("{kind} {}", event.envelope.id),
            at: event.envelope.time,
        };
        match event.detail {
            Detail::Task(task) => self.on_task(cloud, &cause, &task).await.map(|()| Value::Null),
            Detail::ContainerInstance(instance) => {
                let handled = draining::on_event(self, cloud, &cause, &instance).await;
                handled.map(|()| Value::Null)
            }
            Detail::Scheduled => {
                let scope = Scope::of(json, sweep::ASKABLE)?;
                if scope.often {
                    return waiting::look_again(self, cloud, &event.envelope.id).await;
                }
                sweep::sweep(self, cloud, &event.envelope.id, &scope).await
            }
            _ => Err(Rejected::UnknownKind {
                detail_type: event.envelope.detail_type,
                source_name: event.envelope.source,
            }
            .into()),
        }
    }

    async fn on_task<C>(&self, cloud: &C, cause: &Cause, task: &TaskStateChange) -> Result<(), Fault>
    where
        C: Cloud,
        S: Side<C>,
    {
        self.removals.set(usize::MAX);
        let target = task.target()?;
        let found = self.config.target(cloud, &target).await?;
        observe::report::<S::Member>(cloud, &found.malformed);
        let Some(managed) = found.targets.into_iter().next() else {
            tracing::debug!(target = %target, "not managed");
            return Ok(());
        };
        let configured = !S::Member::entries(&managed.stored.config).is_empty();
        if !configured && !observe::may_have_joined::<S::Member>(cloud, task).await? {
            tracing::debug!(target = %target, "not configured for it");
            return Ok(());
        }
        let Some(look) = observe::merge(self, cloud, cause, managed, task).await? else {
            return Ok(());
        };
        let look = look_up::look_up(self, cloud, look).await?;
        converge(&apply::Converging::new(self, cloud), cloud, cause, look)
            .await
            .map(drop)
    }

    /// Converges on a task as ECS describes it, whatever was heard of it. Whether it waits to be healthy is answered.
    async fn on_described<C>(&self, cloud: &C, cause: &Cause, task: TaskStateChange) -> Result<bool, Fault>
    where
        C: Cloud,
        S: Side<C>,
    {
        let found = self.config.target(cloud, &task.target()?).await?;
        observe::report::<S::Member>(cloud, &found.malformed);
        let Some(managed) = found.targets.into_iter().next() else {
            // What cannot be read may still ask for it.
            return Ok(!found.malformed.is_empty());
        };
        let facts = Facts {
            looked_up: true,
            belief: Known::No,
            ..observe::facts(self, managed, task, Belief::default())
        };
        let look = observe::seen(self, cloud, facts).await?;
        let waits = look.facts.task.is_running() && waiting::is_due(&look.facts);
        converge(&apply::Converging::new(self, cloud), cloud, cause, look).await?;
        Ok(waits)
    }
}
