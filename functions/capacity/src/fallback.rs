//! Spot has no room for the tasks of a service: they run elsewhere meanwhile, and come back.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::Timestamp;
use wharfinger_cloud::active::{EACH_MINUTE, Row};
use wharfinger_cloud::config::Found;
use wharfinger_cloud::lease::{self, Acquired, Lease};
use wharfinger_cloud::pipeline::{self, Applied, Cause, Confirmed, Domain};
use wharfinger_cloud::ports::ServiceChange;
use wharfinger_cloud::table::{as_text, attribute, text, to_attribute};
use wharfinger_cloud::{CloudError, Fault, Kind, telemetry};
use wharfinger_core::capacity::fallback::{Action, Facts, Memory, decide};
use wharfinger_core::capacity::{AutoScalingGroup, CapacityProvider, market};
use wharfinger_core::config::stored::{Managed, Pauses};
use wharfinger_core::config::{Fallback, SpotFallback};
use wharfinger_core::delivery;
use wharfinger_core::event::{ServiceAction, ServiceNews};
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::known::Known;
use wharfinger_core::report::Decision;
use wharfinger_core::service::ServiceFacts;

use crate::observe::Providers;
use crate::{ACTIVE, Capacity, Cloud, NAME};

/// The attribute of the service's item with [`Memory`].
const MEMORY: &str = "fallback";
/// The attribute with the fingerprint of the last decision in the history.
const SAID: &str = "fallback-said";
/// The attribute with what delivery remembers: no deployment is begun into one of its own.
const DELIVERY: &str = "delivery";

/// ECS tells that tasks of a service find no place.
///
/// # Errors
/// When the table cannot be written, or AWS does not answer.
pub async fn on_action(
    function: &Capacity,
    cloud: &impl Cloud,
    holder: &str,
    cause: &Cause,
    action: &ServiceAction,
) -> Result<(), Fault> {
    let Found { targets, malformed } = function.config.target(cloud, &action.target).await?;
    for malformed in &malformed {
        telemetry::malformed(NAME, cloud.now(), malformed);
    }
    let Some(managed) = targets.into_iter().find(|managed| rule(managed).is_some()) else {
        return Ok(());
    };
    let resource = action
        .reason
        .as_deref()
        .is_some_and(|reason| reason.starts_with("RESOURCE:"));
    let heard = (action.news == ServiceNews::ServiceTaskPlacementFailure && resource)
        .then(|| action.created_at.or(cause.at).unwrap_or_else(|| cloud.now()));
    converge(function, cloud, holder, cause, &managed, heard, None).await
}

/// Where a service's tasks run while Spot is short, if the configuration says so.
#[must_use]
pub fn rule(managed: &Managed) -> Option<&SpotFallback> {
    managed.stored.config.capacity.as_ref().map(|capacity| &capacity.spot)
}

/// Converges on one service under its lease. When another invocation has it, the next minute goes on.
///
/// # Errors
/// When the table cannot be written, or AWS does not answer.
pub async fn converge(
    function: &Capacity,
    cloud: &impl Cloud,
    holder: &str,
    cause: &Cause,
    managed: &Managed,
    heard: Option<Timestamp>,
    row: Option<Row>,
) -> Result<(), Fault> {
    let Some(rule) = rule(managed) else { return Ok(()) };
    let target = &managed.target;
    let dry_run = function
        .clusters(cloud)
        .await?
        .iter()
        .filter(|cluster| cluster.target.cluster == target.cluster)
        .any(|cluster| cluster.stored.config.capacity.as_ref().is_some_and(|c| c.dry_run));
    let done = lease::hold(cloud, NAME, target, cause, holder, async |lease| {
        let mut seen = look(cloud, &function.providers, managed, rule, lease, dry_run).await?;
        if let Some(at) = heard {
            seen.memory.hear(at);
        }
        let moves = Moves {
            cloud,
            lease,
            holder,
            row,
        };
        pipeline::converge(&moves, cloud, cause, seen).await
    });
    if done.await?.is_none() {
        ACTIVE.keep(cloud, target, EACH_MINUTE, row).await?;
    }
    Ok(())
}

struct Seen<'a> {
    managed: &'a Managed,
    rule: &'a SpotFallback,
    service: Option<ServiceFacts>,
    providers: BTreeMap<String, CapacityProvider>,
    groups: BTreeMap<String, AutoScalingGroup>,
    twin: Known<Option<ServiceFacts>>,
    delivering: bool,
    dry_run: bool,
    memory: Memory,
    known: Memory,
    said: Option<String>,
}

async fn look<'a>(
    cloud: &impl Cloud,
    providers: &Providers,
    managed: &'a Managed,
    rule: &'a SpotFallback,
    lease: &Lease,
    dry_run: bool,
) -> Result<Seen<'a>, Fault> {
    let describe = async |target: &Target| -> Result<_, Fault> {
        let mut found = cloud
            .describe_services(&target.cluster, std::slice::from_ref(&target.name))
            .await?;
        Ok(found.remove(&target.name))
    };
    let twin = match &rule.fallback {
        Fallback::Twin(name) => match Target::parse(TargetKind::Service, name) {
            Ok(twin) => Known::Yes(describe(&twin).await?),
            Err(_) => Known::Yes(None),
        },
        Fallback::Strategy(_) => Known::No,
    };
    let read = |malformed| {
        telemetry::malformed(NAME, cloud.now(), &malformed);
        None
    };
    let memory: Memory = attribute(&lease.item, MEMORY).unwrap_or_else(read).unwrap_or_default();
    let delivery: Option<delivery::Memory> = attribute(&lease.item, DELIVERY).unwrap_or_else(|malformed| {
        telemetry::malformed(NAME, cloud.now(), &malformed);
        None
    });
    let service = describe(&managed.target).await?;
    let (providers, groups) = markets(cloud, providers, service.as_ref()).await;
    Ok(Seen {
        managed,
        rule,
        service,
        providers,
        groups,
        twin,
        delivering: delivery.is_some_and(|memory| memory.intent.is_some() || memory.watched.is_some()),
        dry_run,
        known: memory.clone(),
        memory,
        said: as_text(&lease.item, SAID).map(str::to_owned),
    })
}

/// What tells whether a service that lacks tasks runs on Spot. Where AWS does not answer it is not known.
async fn markets(
    cloud: &impl Cloud,
    providers: &Providers,
    service: Option<&ServiceFacts>,
) -> (BTreeMap<String, CapacityProvider>, BTreeMap<String, AutoScalingGroup>) {
    let lacking = service.filter(|service| service.running_count < service.desired_count);
    let asked = lacking.map(|service| market::asked(&service.capacity_provider_strategy));
    let providers = providers.of(cloud, asked.into_iter().flatten().collect()).await;
    let groups = providers.values().filter_map(|one| one.auto_scaling_group.as_ref());
    let groups = groups.map(async |name| {
        let found = cloud.auto_scaling_group(name).await.unwrap_or_else(|error| {
            tracing::warn!(name, %error, "whether the group is Spot is not known");
            None
        });
        Some((name.clone(), found?))
    });
    let groups: Vec<_> = groups.collect();
    let groups = join_all(groups).await.into_iter().flatten().collect();
    (providers, groups)
}

struct Moves<'a, C> {
    cloud: &'a C,
    lease: &'a Lease,
    holder: &'a str,
    row: Option<Row>,
}

impl<'a, C: Cloud> Domain for Moves<'a, C> {
    const NAME: &'static str = NAME;
    type Facts = Seen<'a>;
    type Action = Action;
    type Note = Memory;

    fn target<'f>(&self, seen: &'f Seen<'a>) -> &'f Target {
        &seen.managed.target
    }

    fn paused<'f>(&self, seen: &'f Seen<'a>) -> &'f Pauses {
        &seen.managed.stored.paused
    }

    fn subject(&self, _: &Seen<'a>) -> Option<String> {
        None
    }

    fn said<'f>(&self, seen: &'f Seen<'a>) -> Option<&'f str> {
        seen.said.as_deref()
    }

    fn holds(&self, _: &Seen<'a>) -> bool {
        true
    }

    fn decide(&self, seen: &Seen<'a>, now: Timestamp) -> (Decision<Action>, Memory) {
        let decided = decide(
            &Facts {
                target: &seen.managed.target,
                rule: seen.rule,
                service: Known::Yes(seen.service.clone()),
                providers: Known::Yes(seen.providers.clone()),
                groups: Known::Yes(seen.groups.clone()),
                twin: seen.twin.clone(),
                delivering: seen.delivering,
                memory: &seen.memory,
            },
            now,
        );
        if seen.dry_run && !decided.decision.actions.is_empty() {
            return (decided.decision.dry(), seen.memory.clone());
        }
        (decided.decision, decided.memory)
    }

    async fn apply(
        &self,
        _: &Seen<'a>,
        decision: &Decision<Action>,
        memory: &Memory,
    ) -> Result<Applied<Seen<'a>>, Fault> {
        for action in &decision.actions {
            self.remember(memory).await?;
            match action {
                Action::SetStrategy { service, strategy } => {
                    let change = ServiceChange::Strategy(strategy.clone());
                    self.cloud.update_service(service, &change).await?;
                }
                Action::SetDesiredCount { service, count } => self.count(service, *count).await?,
            }
        }
        Ok(Applied::Done)
    }

    async fn confirm(
        &self,
        seen: Seen<'a>,
        decision: &Decision<Action>,
        memory: Memory,
        said: String,
    ) -> Result<Confirmed<Seen<'a>>, Fault> {
        let paused = seen.managed.stored.paused.clone();
        let held = decision.actions.is_empty()
            && wharfinger_core::config::stored::paused(&paused, NAME, self.cloud.now()).is_some();
        // What was held back was not begun.
        let memory = if held { seen.memory.clone() } else { memory };
        let target = &seen.managed.target;
        match (memory.is_under_way(), self.row) {
            (true, row) => ACTIVE.keep(self.cloud, target, EACH_MINUTE, row).await?,
            (false, Some(row)) => ACTIVE.forget(self.cloud, target, row).await?,
            (false, None) => {}
        }
        let mut left = Vec::new();
        if memory != seen.known {
            left.push((MEMORY, to_attribute("the memory of fallback", &memory)?));
        }
        if seen.said.as_ref() != Some(&said) {
            left.push((SAID, text(said)));
        }
        self.lease.release(self.cloud, left).await?;
        Ok(Confirmed::Settled)
    }
}

impl<C: Cloud> Moves<'_, C> {
    async fn remember(&self, memory: &Memory) -> Result<(), Fault> {
        let memory = to_attribute("the memory of fallback", memory)?;
        self.lease.store(self.cloud, MEMORY, memory).await
    }

    /// The twin's count is written under the twin's own lease.
    async fn count(&self, twin: &Target, count: u32) -> Result<(), Fault> {
        let Acquired::Held(lease) = lease::acquire(self.cloud, twin, self.holder).await? else {
            let message = format!("another invocation writes on {twin}; the next minute goes on");
            return Err(CloudError::new("UpdateService", Kind::Throttled, message).into());
        };
        let change = ServiceChange::DesiredCount(count);
        let made = self.cloud.update_service(twin, &change).await;
        lease.give_up(self.cloud).await;
        Ok(made?)
    }
}
