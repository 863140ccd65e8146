//! Rolls pushed images out.
//!
//! An ECR Image Action, and what has the same effect, is heard by each target that takes images of the repository: a push
//! that wins its rule's policy becomes the rule's wish ([`wishes`]), whatever the order in which pushes arrive; the first of
//! a rule must win against what the repository holds as well ([`listings`]). Then the target is converged on under its lease: what it runs is looked up ([`observe`]), the decider says whether and how to roll
//! out, and the revision is registered from raw JSON, compared, and given to the service, with the intent stored before each
//! call ([`apply`]).
//! What waits for a running deployment is resumed by its ECS Deployment State Change, what waits for the scan of an image by
//! its ECR Image Scan or Inspector2 Scan, and both by the [`sweep`], which also finds pushes that no event told, and rolls
//! out the side container of `drain` when `apply --linger` asked for it. That someone else deployed a service ([`moved`]) is
//! found by the event of that deployment, and by the sweep.

pub mod apply;
pub mod listings;
pub mod moved;
pub mod neighbours;
pub mod observe;
pub mod registry;
pub mod sweep;
pub mod tell;
pub mod volumes;
pub mod wishes;

use futures_util::{StreamExt, stream};
use serde_json::Value;
use wharfinger_cloud::active::Active;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::config::{ConfigStore, Found};
use wharfinger_cloud::lease;
use wharfinger_cloud::pipeline::{Cause, Told, converge};
use wharfinger_cloud::ports::{
    Bus, Clock, Deployments, Followers, Images, Parameters, ServiceVolumes, Services, Snapshots, TaskDefinitions,
};
use wharfinger_cloud::start::{Function, Invocation};
use wharfinger_cloud::sweep::Scope;
use wharfinger_cloud::table::Table;
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::config::stored::Managed;
use wharfinger_core::delivery::Heard;
use wharfinger_core::event::{DeploymentStateChange, Detail, Envelope, Event, ImageAction, ImageScanned, Rejected};
use wharfinger_core::ids::Target;
use wharfinger_core::report::{Code, Decision, Outcome, Reason};

use crate::listings::Listings;
use crate::moved::Proven;
use crate::wishes::{Push, Stored};

/// What this function needs of the world.
pub trait Cloud:
    Table
    + Services
    + ServiceVolumes
    + Snapshots
    + Deployments
    + TaskDefinitions
    + Images
    + Followers
    + Bus
    + Parameters
    + Clock
{
}

impl<C> Cloud for C where
    C: Table
        + Services
        + ServiceVolumes
        + Snapshots
        + Deployments
        + TaskDefinitions
        + Images
        + Followers
        + Bus
        + Parameters
        + Clock
{
}

/// The domain's name.
pub const NAME: &str = "delivery";

/// The targets that are looked at every minute: those with a rollout that goes on by itself.
pub const ACTIVE: Active = Active(NAME);

/// How many targets are converged on at once: hundreds may take images of one repository, and ECS lets task definitions be
/// described 20 times a second.
const AT_ONCE: usize = 4;

/// Who asks, and from where.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// A name for this attempt that no other has: who holds a lease.
    pub holder: String,
    /// Our account: a repository without a host is in its registry.
    pub account: String,
    /// Our Region.
    pub region: String,
    /// Our owner mark: what carries it is ours.
    pub owner: String,
}

/// The function, with what it keeps between events.
#[derive(Debug, Default)]
pub struct Delivery {
    config: ConfigStore,
    owner: String,
}

impl Delivery {
    /// The function; `owner` is what our snapshots are marked with.
    #[must_use]
    pub fn new(owner: String) -> Self {
        Self {
            config: ConfigStore::default(),
            owner,
        }
    }

    /// Handles one event.
    ///
    /// # Errors
    /// When the event cannot be used, or a target could not be converged on: to be tried again.
    pub async fn on_event(&self, cloud: &impl Cloud, attempt: &Attempt, json: &Value) -> Result<(), Fault> {
        let event = Event::parse(json)?;
        let cause = Cause {
            name: format!("{} {}", event.detail.kind(), event.envelope.id),
            at: event.envelope.time,
        };
        match event.detail {
            Detail::Image(image) => self.on_image(cloud, attempt, &cause, &event.envelope, &image).await,
            Detail::Scan(scan) => self.on_scan(cloud, attempt, &cause, &scan).await,
            Detail::Deployment(deployment) => self.on_deployment(cloud, attempt, &cause, &deployment).await,
            Detail::Scheduled => {
                let scope = Scope::of(json, sweep::ASKABLE)?;
                sweep::sweep(self, cloud, attempt, &event.envelope.id, &scope).await
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

    async fn on_image(
        &self,
        cloud: &impl Cloud,
        attempt: &Attempt,
        cause: &Cause,
        envelope: &Envelope,
        image: &ImageAction,
    ) -> Result<(), Fault> {
        let found = self.config.by_repository(cloud, &image.repository).await?;
        report(cloud, &found);
        let push = Push {
            envelope,
            image,
            listings: Listings::default(),
        };
        let push = |managed| self.on_push(cloud, attempt, cause, &push, managed);
        let all: Vec<_> = stream::iter(found.targets)
            .map(push)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        all.into_iter().collect()
    }

    async fn on_push(
        &self,
        cloud: &impl Cloud,
        attempt: &Attempt,
        cause: &Cause,
        push: &Push<'_>,
        managed: Managed,
    ) -> Result<(), Fault> {
        match wishes::hear(cloud, attempt, &managed, push).await? {
            (Heard::Nothing(decision), _) => {
                telemetry::undecided(NAME, &managed.target, None, cause, decision, cloud.now());
                Ok(())
            }
            (Heard::Wanted { fresh, reasons }, stored) if fresh.is_empty() && stored.is_settled() => {
                let decision = Decision::<()> {
                    outcome: Outcome::Stale,
                    actions: vec![],
                    reasons,
                    missing: vec![],
                };
                telemetry::undecided(NAME, &managed.target, None, cause, decision, cloud.now());
                Ok(())
            }
            (Heard::Wanted { .. }, _) => self.converge(cloud, attempt, cause, managed).await.map(drop),
        }
    }

    async fn on_deployment(
        &self,
        cloud: &impl Cloud,
        attempt: &Attempt,
        cause: &Cause,
        deployment: &DeploymentStateChange,
    ) -> Result<(), Fault> {
        let found = self.config.target(cloud, &deployment.target).await?;
        report(cloud, &found);
        let Some(managed) = found.targets.into_iter().find(sweep::concerns) else {
            tracing::debug!(target = %deployment.target, "not managed");
            return Ok(());
        };
        let stored = Stored::read(cloud, &managed.target).await?;
        let mut looks = !stored.is_quiet(attempt, &managed, cloud.now());
        if !looks && let Some(proven) = Proven::of(managed.clone(), &stored.memory) {
            let cluster = &managed.target.cluster;
            looks = !moved::moved(cloud, cluster, vec![proven]).await?.is_empty();
        }
        if looks {
            return self.converge(cloud, attempt, cause, managed).await.map(drop);
        }
        let moved = format!("deployment {} moved", deployment.deployment_id);
        nothing_waits(cloud, cause, &managed, &moved);
        Ok(())
    }

    /// The scan of an image ended: what waits for it goes on. Of an index it is the scan of one of its images, so the wish
    /// does not name what was scanned.
    async fn on_scan(
        &self,
        cloud: &impl Cloud,
        attempt: &Attempt,
        cause: &Cause,
        scan: &ImageScanned,
    ) -> Result<(), Fault> {
        if !scan.complete {
            tracing::debug!(image = scan.name(), "not scanned yet");
            return Ok(());
        }
        let found = self.config.by_repository(cloud, &scan.repository).await?;
        report(cloud, &found);
        let mut failed = None;
        for managed in found.targets.into_iter().filter(waits_for_scans) {
            let stored = Stored::read(cloud, &managed.target).await;
            let told = match stored {
                Ok(stored) if stored.is_quiet(attempt, &managed, cloud.now()) => {
                    let moved = format!("the scan of {} ended", scan.name());
                    nothing_waits(cloud, cause, &managed, &moved);
                    continue;
                }
                Ok(_) => self.converge(cloud, attempt, cause, managed).await,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = told {
                failed = Some(fault);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Converges on one target under its lease. What became of it; `None` when another invocation has the lease.
    async fn converge(
        &self,
        cloud: &impl Cloud,
        attempt: &Attempt,
        cause: &Cause,
        managed: Managed,
    ) -> Result<Option<Told>, Fault> {
        let target: Target = managed.target.clone();
        let held = lease::hold(cloud, NAME, &target, cause, &attempt.holder, async |lease| {
            let look = observe::look(self, cloud, attempt, managed).await?;
            let rollouts = apply::Rollouts {
                function: self,
                cloud,
                attempt,
                lease,
            };
            converge(&rollouts, cloud, cause, look).await
        });
        held.await
    }
}

/// Something moved on which a rollout may wait, and none does.
fn nothing_waits(clock: &impl Clock, cause: &Cause, managed: &Managed, moved: &str) {
    let message = format!("{moved}; no image waits for it");
    let decision = Decision::<()>::without_calls(Outcome::Ignore, Reason::new(Code::NothingWaiting, message));
    telemetry::undecided(NAME, &managed.target, None, cause, decision, clock.now());
}

/// Whether a rule of the target waits for scans.
fn waits_for_scans(managed: &Managed) -> bool {
    managed.stored.config.delivery.iter().any(|rule| rule.scan.is_some())
}

/// Reports items that cannot be read; they are skipped.
fn report(clock: &impl Clock, found: &Found) {
    for malformed in &found.malformed {
        telemetry::malformed(NAME, clock.now(), malformed);
    }
}

impl Function for Delivery {
    const NAME: &'static str = NAME;
    const HOSTS: &'static [&'static str] = &["dynamodb", "ecs"];

    async fn handle(&self, aws: &Aws, invocation: Invocation) -> Result<Value, Fault> {
        let Invocation {
            event,
            holder,
            account,
            region,
        } = invocation;
        let attempt = Attempt {
            holder,
            account,
            region,
            owner: self.owner.clone(),
        };
        Box::pin(self.on_event(aws, &attempt, &event))
            .await
            .map(|()| Value::Null)
    }
}
