//! Makes and prunes snapshots of the volumes of tasks, keeps the tasks of stateful families running, and makes access points
//! for volumes on EFS.
//!
//! ECS makes a new volume for each task and deletes it with the task, so what is kept is kept by lineage: the snapshots of
//! one volume's name of one service. That a task runs and has volumes is merged into its row ([`rows`]), and its service is
//! converged on under its lease: what is known is gathered as far as the decision needs it ([`observe`]), the decider says
//! which snapshots are made and which go, the intent is stored, and the calls are made ([`apply`]). A snapshot takes minutes
//! to hours; nothing waits for it. Its EBS Snapshot Notification has its service looked at again, and so does the
//! [`sweep`]: every minute of those in the [`ACTIVE`] set that are due, every five minutes of all, from one listing.
//!
//! A stateful family is converged on in the same way. Its tasks are those that this function started, by what they say of who
//! started them; their events are hints, and what there is ECS and EC2 are asked.
//!
//! Volumes that ECS left behind are no service's: the pass of five minutes converges on their clusters ([`orphans`]).
//!
//! Of access points ([`access`]) no event tells: the sweep of five minutes finds which are missing, and that of a minute
//! which are there.

pub mod access;
pub mod apply;
pub mod observe;
pub mod orphans;
pub mod rows;
pub mod sweep;

use serde_json::Value;
use wharfinger_cloud::active::{Active, EACH_MINUTE, Row};
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::config::ConfigStore;
use wharfinger_cloud::pipeline::{Cause, converge};
use wharfinger_cloud::ports::{
    AccessPoints, Bus, Clock, Launches, ServiceVolumes, Services, Snapshots, Tasks, Volumes,
};
use wharfinger_cloud::start::{Function, Invocation};
use wharfinger_cloud::sweep::Scope;
use wharfinger_cloud::table::Table;
use wharfinger_cloud::{Fault, lease, telemetry};
use wharfinger_core::config::stored::Managed;
use wharfinger_core::event::{Detail, Event, Rejected, SnapshotEvent, TaskStateChange};
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::ledger::Merge;
use wharfinger_core::storage::identity_of;

/// What this function needs of the world.
pub trait Cloud:
    Table + Services + Tasks + Snapshots + Volumes + Launches + ServiceVolumes + AccessPoints + Bus + Clock
{
}

impl<C> Cloud for C where
    C: Table + Services + Tasks + Snapshots + Volumes + Launches + ServiceVolumes + AccessPoints + Bus + Clock
{
}

/// The domain's name.
pub const NAME: &str = "storage";

/// The services that are looked at when something is due.
pub const ACTIVE: Active = Active(NAME);

/// The function, with what it keeps between events.
#[derive(Debug)]
pub struct Storage {
    config: ConfigStore,
    owner: String,
}

impl Storage {
    /// A function whose snapshots carry this owner mark.
    #[must_use]
    pub fn new(owner: &str) -> Self {
        Self {
            config: ConfigStore::default(),
            owner: owner.to_owned(),
        }
    }

    /// Handles one event. `holder` names this attempt, as no other is named.
    ///
    /// # Errors
    /// When the event cannot be used, or a service could not be converged on: to be tried again.
    pub async fn on_event(&self, cloud: &impl Cloud, holder: &str, json: &Value) -> Result<(), Fault> {
        let event = Event::parse(json)?;
        let cause = Cause {
            name: format!("{} {}", event.detail.kind(), event.envelope.id),
            at: event.envelope.time,
        };
        match &event.detail {
            Detail::Task(task) => self.on_task(cloud, holder, &cause, task).await,
            Detail::Snapshot(snapshot) => self.on_snapshot(cloud, holder, &cause, snapshot).await,
            Detail::Scheduled => {
                let scope = Scope::of(json, sweep::ASKABLE)?;
                sweep::sweep(self, cloud, holder, &event.envelope.id, &scope).await
            }
            Detail::Aside(aside) => {
                tracing::debug!(kind = aside.kind, code = %aside.reason.code, "{}", aside.reason.message);
                Ok(())
            }
            _ => Err(Rejected::UnknownKind {
                detail_type: event.envelope.detail_type,
                source_name: event.envelope.source,
            }
            .into()),
        }
    }

    /// A task with volumes runs, or leaves; or one of a stateful family does.
    async fn on_task(
        &self,
        cloud: &impl Cloud,
        holder: &str,
        cause: &Cause,
        task: &TaskStateChange,
    ) -> Result<(), Fault> {
        let Ok(target) = task.target() else { return Ok(()) };
        let is_service = target.kind == TargetKind::Service;
        let concerns = if is_service {
            !task.volumes.is_empty()
        } else {
            self.has_started(task)
        };
        if !concerns {
            return Ok(());
        }
        let Some(managed) = self.managed(cloud, &target).await? else {
            tracing::debug!(%target, "not managed");
            return Ok(());
        };
        if !is_service {
            return self.converge(cloud, holder, cause, managed, None).await;
        }
        let merge = rows::tell(cloud, &target, task).await?;
        // What leaves makes nothing due; what is older than what is known says nothing.
        if merge == Merge::Stale || !task.is_running() {
            return Ok(());
        }
        self.converge(cloud, holder, cause, managed, None).await
    }

    /// Whether it is one of a stateful family: all others are run by someone else.
    fn has_started(&self, task: &TaskStateChange) -> bool {
        let by = task.started_by.as_deref();
        by.is_some_and(|by| identity_of(by, &self.owner).is_some())
    }

    /// A snapshot is completed, or came to nothing.
    async fn on_snapshot(
        &self,
        cloud: &impl Cloud,
        holder: &str,
        cause: &Cause,
        snapshot: &SnapshotEvent,
    ) -> Result<(), Fault> {
        let Some(target) = rows::whose(cloud, &snapshot.snapshot_id).await? else {
            tracing::debug!(snapshot = snapshot.snapshot_id, "not ours");
            return Ok(());
        };
        match self.managed(cloud, &target).await? {
            Some(managed) => self.converge(cloud, holder, cause, managed, None).await,
            None => Ok(()),
        }
    }

    /// A service or a family, if its volumes are kept.
    async fn managed(&self, cloud: &impl Cloud, target: &Target) -> Result<Option<Managed>, Fault> {
        let found = self.config.target(cloud, target).await?;
        for malformed in &found.malformed {
            telemetry::malformed(NAME, cloud.now(), malformed);
        }
        Ok(found.targets.into_iter().find(keeps))
    }

    /// Converges on one service under its lease; `row` is what the active set is known to have of it. When another invocation
    /// has the lease, the next minute goes on.
    async fn converge(
        &self,
        cloud: &impl Cloud,
        holder: &str,
        cause: &Cause,
        managed: Managed,
        row: Option<Row>,
    ) -> Result<(), Fault> {
        let target = managed.target.clone();
        let done = lease::hold(cloud, NAME, &target, cause, holder, async |lease| {
            let look = observe::look(cloud, &self.owner, managed, &lease.item).await?;
            converge(&apply::Lineages::new(cloud, lease, row), cloud, cause, look).await
        });
        if done.await?.is_none() {
            ACTIVE.keep(cloud, &target, EACH_MINUTE, row).await?;
        }
        Ok(())
    }
}

/// Whether volumes of a target are kept.
fn keeps(managed: &Managed) -> bool {
    managed.stored.config.keeps_volumes()
}

impl Function for Storage {
    const NAME: &'static str = NAME;
    const HOSTS: &'static [&'static str] = &["dynamodb", "ec2", "ecs"];

    async fn handle(&self, aws: &Aws, invocation: Invocation) -> Result<Value, Fault> {
        Box::pin(self.on_event(aws, &invocation.holder, &invocation.event))
            .await
            .map(|()| Value::Null)
    }
}
