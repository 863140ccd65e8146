//! Moves tasks out of the way of what happens to a cluster's instances, and meets a lack of instances.
//!
//! What is told of an instance (its Auto Scaling group waits with it, Spot takes it back, its host is retired) is merged
//! into its row ([`rows`]); then its cluster is converged on under the cluster's lease: what is known of all that go is
//! gathered ([`observe`]), the decider says what is done, the intent is stored, the calls are made ([`apply`]), and the rows
//! are read once more. Since whoever has the lease looks at every row, all instances that go are drained before any hook is
//! completed. A hook waits for minutes and no event tells that its instance is empty: the [`sweep`] goes on every minute
//! with what is in the [`ACTIVE`] set, and every five minutes finds what no event told.
//!
//! Tasks that find no place make the group grow that the configuration names ([`placement`]), or run elsewhere while Spot
//! is short ([`fallback`]). Tasks that stop again and again are told of ([`stops`]).

pub mod apply;
pub mod fallback;
pub mod observe;
pub mod placement;
pub mod rows;
pub mod stops;
pub mod sweep;
pub mod whose;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wharfinger_cloud::active::{Active, EACH_MINUTE, Row};
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::config::ConfigStore;
use wharfinger_cloud::pipeline::{Cause, converge};
use wharfinger_cloud::ports::{AutoScaling, Bus, CapacityProviders, Clock, ContainerInstances, Services, Tasks};
use wharfinger_cloud::start::{Function, Invocation};
use wharfinger_cloud::sweep::Scope;
use wharfinger_cloud::table::Table;
use wharfinger_cloud::{Fault, lease, telemetry};
use wharfinger_core::capacity::{Causes, ContainerInstance, InstanceStatus};
use wharfinger_core::config::stored::ManagedCluster;
use wharfinger_core::event::{Detail, Event, Rejected, ServiceAction, ServiceNews};

use crate::observe::Providers;

/// What this function needs of the world.
pub trait Cloud: Table + Services + Tasks + ContainerInstances + AutoScaling + CapacityProviders + Bus + Clock {}

impl<C: Table + Services + Tasks + ContainerInstances + AutoScaling + CapacityProviders + Bus + Clock> Cloud for C {}

/// The domain's name.
pub const NAME: &str = "capacity";

/// The clusters and services that are looked at every minute.
pub const ACTIVE: Active = Active(NAME);

/// The function, with what it keeps between events.
#[derive(Debug, Default)]
pub struct Capacity {
    config: ConfigStore,
    providers: Providers,
}

/// How much of a cluster is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The instances that go or are suspected.
    Going,
    /// All of them, but their groups only as far as they go: agents that are gone are seen.
    Agents,
    /// All of them, and what their groups say: only then is seen what no event told.
    Whole,
}

impl Capacity {
    /// Handles one event. `holder` names this attempt, as no other is named.
    ///
    /// # Errors
    /// When the event cannot be used, or what it concerns could not be converged on: to be tried again.
    pub async fn on_event(&self, cloud: &impl Cloud, holder: &str, json: &Value) -> Result<(), Fault> {
        let event = Event::parse(json)?;
        let cause = Cause {
            name: format!("{} {}", event.detail.kind(), event.envelope.id),
            at: event.envelope.time,
        };
        match &event.detail {
            Detail::Lifecycle(action) => {
                // That an instance starts is news only of one that went: it comes back.
                let mut news = Causes::of_event(&event, cloud.now());
                news.entry(action.instance.clone()).or_default();
                self.on_instances(cloud, holder, &cause, news).await
            }
            Detail::Instance(_) | Detail::Health(_) => {
                let news = Causes::of_event(&event, cloud.now());
                self.on_instances(cloud, holder, &cause, news).await
            }
            Detail::ContainerInstance(instance) => self.on_container_instance(cloud, holder, &cause, instance).await,
            Detail::ServiceAction(action) => self.on_service_action(cloud, holder, &cause, action).await,
            Detail::Task(task) => stops::on_task(self, cloud, &cause, task).await,
            Detail::Scheduled => {
                let scope = Scope::of(json, sweep::ASKABLE)?;
                sweep::sweep(self, cloud, holder, &event.envelope.id, &scope).await
            }
            Detail::Aside(aside) => {
                tracing::info!(cause = cause.name, reason = aside.reason.message, "set aside");
                Ok(())
            }
            _ => Err(Rejected::UnknownKind {
                detail_type: event.envelope.detail_type,
                source_name: event.envelope.source,
            }
            .into()),
        }
    }

    /// Merges what was told of instances into their rows, and converges on their clusters.
    async fn on_instances(
        &self,
        cloud: &impl Cloud,
        holder: &str,
        cause: &Cause,
        news: BTreeMap<String, Causes>,
    ) -> Result<(), Fault> {
        let clusters = self.clusters(cloud).await?;
        let mut stirred = BTreeSet::new();
        for (instance, causes) in news {
            let Some(cluster) = whose::cluster(cloud, &clusters, &instance, causes.is_reason_to_go()).await? else {
                tracing::debug!(instance, "not managed");
                continue;
            };
            if rows::merge(cloud, &cluster.target, &instance, &causes).await? {
                stirred.insert(cluster.target.cluster.clone());
            }
        }
        for managed in clusters
            .iter()
            .filter(|managed| stirred.contains(&managed.target.cluster))
        {
            self.converge(cloud, holder, cause, managed, Look::Going, None).await?;
        }
        Ok(())
    }

    /// A container instance came, went, or lost its agent.
    async fn on_container_instance(
        &self,
        cloud: &impl Cloud,
        holder: &str,
        cause: &Cause,
        instance: &ContainerInstance,
    ) -> Result<(), Fault> {
        let clusters = self.clusters(cloud).await?;
        let managed = clusters
            .iter()
            .find(|managed| instance.cluster.as_deref() == Some(managed.target.cluster.as_str()));
        let (Some(managed), Some(id)) = (managed, &instance.ec2_instance_id) else {
            tracing::debug!(arn = instance.arn, "not managed");
            return Ok(());
        };
        if !instance.status.is_gone() {
            whose::learn(cloud, &managed.target, instance).await?;
        }
        let silent = !instance.agent_connected && managed.stored.config.capacity.as_ref().is_some_and(watches_agents);
        if silent && instance.status == InstanceStatus::Active {
            // Short disconnects are normal: it is looked at with the next minute, not at once.
            ACTIVE.keep(cloud, &managed.target, EACH_MINUTE, None).await?;
        }
        if rows::merge(cloud, &managed.target, id, &Causes::default()).await? {
            self.converge(cloud, holder, cause, managed, Look::Going, None).await?;
        }
        Ok(())
    }

    /// Tasks of a service find no place, or all of them run again.
    async fn on_service_action(
        &self,
        cloud: &impl Cloud,
        holder: &str,
        cause: &Cause,
        action: &ServiceAction,
    ) -> Result<(), Fault> {
        if !matches!(
            action.news,
            ServiceNews::ServiceTaskPlacementFailure | ServiceNews::ServiceTaskStartImpaired
        ) {
            tracing::debug!(target = %action.target, name = action.name, "asks for nothing");
            return Ok(());
        }
        fallback::on_action(self, cloud, holder, cause, action).await?;
        let clusters = self.clusters(cloud).await?;
        match clusters
            .iter()
            .find(|managed| managed.target.cluster == action.target.cluster)
        {
            Some(managed) => placement::on_action(self, cloud, holder, cause, managed, action).await,
            None => Ok(()),
        }
    }

    /// The clusters with `capacity`.
    async fn clusters(&self, cloud: &impl Cloud) -> Result<Vec<ManagedCluster>, Fault> {
        let found = self.config.clusters(cloud).await?;
        for malformed in &found.malformed {
            telemetry::malformed(NAME, cloud.now(), malformed);
        }
        let mut clusters = found.clusters;
        clusters.retain(|managed| managed.stored.config.capacity.is_some());
        Ok(clusters)
    }

    /// Converges on one cluster under its lease; `row` is what the active set is known to have of it. When another invocation
    /// has the lease, the next minute goes on.
    async fn converge(
        &self,
        cloud: &impl Cloud,
        holder: &str,
        cause: &Cause,
        managed: &ManagedCluster,
        look: Look,
        row: Option<Row>,
    ) -> Result<(), Fault> {
        let target = &managed.target;
        let done = lease::hold(cloud, NAME, target, cause, holder, async |lease| {
            let domain = apply::Instances {
                cloud,
                lease,
                row,
                providers: &self.providers,
                cause,
                over: std::cell::RefCell::default(),
            };
            let facts = observe::look(cloud, &self.providers, managed, &lease.item, look).await?;
            let instances = Box::pin(converge(&domain, cloud, cause, facts)).await;
            let placed = placement::converge_on(cloud, &self.providers, lease, cause, managed).await;
            instances?;
            placed?;
            lease.release(cloud, Vec::new()).await
        });
        if done.await?.is_none() {
            ACTIVE.keep(cloud, target, EACH_MINUTE, row).await?;
        }
        Ok(())
    }
}

/// Whether anything is done about agents that are gone.
pub(crate) fn watches_agents(capacity: &wharfinger_core::config::Capacity) -> bool {
    capacity.disconnected.is_some()
}

impl Function for Capacity {
    const NAME: &'static str = NAME;
    const HOSTS: &'static [&'static str] = &["dynamodb", "ecs", "autoscaling"];

    async fn handle(&self, aws: &Aws, invocation: Invocation) -> Result<Value, Fault> {
        Box::pin(self.on_event(aws, &invocation.holder, &invocation.event))
            .await
            .map(|()| Value::Null)
    }
}
