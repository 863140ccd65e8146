//! Tasks find no place: the Auto Scaling group grows that the configuration names.
//!
//! That a service's tasks find no place is kept as a row in the partition of its cluster, until `DescribeServices` no longer
//! says so. The group's new size is stored before the call, under the cluster's lease.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::Fault;
use wharfinger_cloud::active::EACH_MINUTE;
use wharfinger_cloud::lease::Lease;
use wharfinger_cloud::pipeline::{self, Applied, Cause, Confirmed, Domain};
use wharfinger_cloud::table::{
    Condition, Key, TableName, Update, as_number, as_text, attribute, number, text, to_attribute,
};
use wharfinger_cloud::telemetry;
use wharfinger_core::capacity::AutoScalingGroup;
use wharfinger_core::capacity::placement::{Action, Facts, Memory, Unplaced, decide};
use wharfinger_core::config::Placement;
use wharfinger_core::config::stored::{ManagedCluster, Pauses};
use wharfinger_core::event::ServiceAction;
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::ledger::expiry;
use wharfinger_core::report::Decision;
use wharfinger_core::service::ServiceFacts;

use crate::observe::Providers;
use crate::{ACTIVE, Capacity, Cloud, Look, NAME};

/// The attribute of the cluster's item with [`Memory`].
const MEMORY: &str = "capacity-placement";
/// The attribute with the fingerprint of the last decision in the history.
const SAID: &str = "capacity-placement-said";

const REASON: &str = "reason";
const AT: &str = "at";
const TTL: &str = "ttl";

/// For how long after an event it is believed when `DescribeServices` does not say the same yet.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_mins(2);

/// How long a row is kept that nobody looks at.
const KEPT_SECONDS: i64 = 86_400;

fn key(cluster: &Target, service: &str) -> Key {
    Key::new(format!("unplaced#{cluster}"), service)
}

/// A service of the cluster finds no place for a task.
///
/// # Errors
/// When the table cannot be written, or AWS does not answer.
pub async fn on_action(
    function: &Capacity,
    cloud: &impl Cloud,
    holder: &str,
    cause: &Cause,
    managed: &ManagedCluster,
    action: &ServiceAction,
) -> Result<(), Fault> {
    if rule(managed).is_none() {
        return Ok(());
    }
    let name = &action.target.name;
    let reason = if let Some(reason) = &action.reason {
        reason.clone()
    } else {
        // Which of the two keeps its tasks from starting is in the service's own events.
        let found = cloud
            .describe_services(&managed.target.cluster, std::slice::from_ref(name))
            .await?;
        let said = found.into_values().next().and_then(|service| service.unplaceable);
        let Some(said) = said else { return Ok(()) };
        said.message
    };
    let at = action.created_at.or(cause.at).unwrap_or_else(|| cloud.now());
    note(cloud, &managed.target, name, &reason, at).await?;
    function
        .converge(cloud, holder, cause, managed, Look::Going, None)
        .await
}

/// Takes an event down, unless a later one was.
async fn note(cloud: &impl Cloud, cluster: &Target, service: &str, reason: &str, at: Timestamp) -> Result<(), Fault> {
    let order = number(at.as_millisecond());
    let update = Update::of(key(cluster, service))
        .set(REASON, text(reason))
        .set(AT, order.clone())
        .set(TTL, number(expiry(cloud.now(), KEPT_SECONDS)))
        .only_if(Condition::Any(vec![Condition::Missing(AT), Condition::Less(AT, order)]));
    cloud.update(TableName::State, update).await?;
    Ok(())
}

fn rule(managed: &ManagedCluster) -> Option<&Placement> {
    managed.stored.config.capacity.as_ref()?.placement.as_ref()
}

/// Looks at the services of a cluster that found no place, under the cluster's lease.
///
/// # Errors
/// When the table cannot be written, or AWS does not answer.
pub async fn converge_on(
    cloud: &impl Cloud,
    providers: &Providers,
    lease: &Lease,
    cause: &Cause,
    managed: &ManagedCluster,
) -> Result<(), Fault> {
    let Some(rule) = rule(managed) else { return Ok(()) };
    let memory: Memory = attribute(&lease.item, MEMORY)
        .unwrap_or_else(|malformed| {
            telemetry::malformed(NAME, cloud.now(), &malformed);
            None
        })
        .unwrap_or_default();
    let noted = noted(cloud, &managed.target).await?;
    if noted.is_empty() && memory.intent.is_none() {
        return Ok(());
    }
    let unplaced = unplaced(cloud, providers, &managed.target, noted).await?;
    let group = cloud.auto_scaling_group(&rule.auto_scaling_group).await?;
    if !unplaced.is_empty() || memory.intent.is_some() {
        ACTIVE.keep(cloud, &managed.target, EACH_MINUTE, None).await?;
    }
    let seen = Seen {
        managed,
        rule,
        unplaced,
        group,
        memory,
        said: as_text(&lease.item, SAID).map(str::to_owned),
    };
    pipeline::converge(&Raises { cloud, lease }, cloud, cause, seen).await?;
    Ok(())
}

/// What was noted of services: why, and when.
async fn noted(cloud: &impl Cloud, cluster: &Target) -> Result<BTreeMap<String, (String, Timestamp)>, Fault> {
    let items = cloud.query(TableName::State, &key(cluster, "").pk).await?;
    let read = items.iter().filter_map(|item| {
        let at = Timestamp::from_millisecond(as_number(item, AT)?).ok()?;
        Some((Key::of(item)?.sk, (as_text(item, REASON)?.to_owned(), at)))
    });
    Ok(read.collect())
}

/// Those of which it is still so; the others are forgotten.
async fn unplaced(
    cloud: &impl Cloud,
    providers: &Providers,
    cluster: &Target,
    noted: BTreeMap<String, (String, Timestamp)>,
) -> Result<Vec<Unplaced>, Fault> {
    let names: Vec<_> = noted.keys().cloned().collect();
    let services = cloud.describe_services(&cluster.cluster, &names).await?;
    let now = cloud.now();
    let mut unplaced = Vec::new();
    for (name, (reason, at)) in noted {
        // A task on its way up has its place.
        let placed = |service: &ServiceFacts| service.running_count.saturating_add(service.pending_count);
        let lacks = |service: &&ServiceFacts| service.is_active() && placed(service) < service.desired_count;
        let fresh = now.duration_since(at) < BELIEVED_FOR;
        let service = services
            .get(&name)
            .filter(lacks)
            .filter(|s| fresh || s.unplaceable.is_some());
        let Some(service) = service else {
            let done = Update::of(key(cluster, &name))
                .remove(REASON)
                .set(TTL, number(expiry(now, 0)));
            cloud.update(TableName::State, done).await?;
            continue;
        };
        let own = service.capacity_provider_strategy.iter();
        let known = providers
            .of(cloud, own.map(|item| item.capacity_provider.clone()).collect())
            .await;
        unplaced.push(Unplaced {
            service: format!("{}/{name}", cluster.cluster),
            reason,
            managed_scaling: known.values().any(|provider| provider.managed_scaling),
        });
    }
    Ok(unplaced)
}

struct Seen<'a> {
    managed: &'a ManagedCluster,
    rule: &'a Placement,
    unplaced: Vec<Unplaced>,
    group: Option<AutoScalingGroup>,
    memory: Memory,
    said: Option<String>,
}

struct Raises<'a, C> {
    cloud: &'a C,
    lease: &'a Lease,
}

impl<'a, C: Cloud> Domain for Raises<'a, C> {
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

    fn subject(&self, seen: &Seen<'a>) -> Option<String> {
        Some(seen.rule.auto_scaling_group.clone())
    }

    fn said<'f>(&self, seen: &'f Seen<'a>) -> Option<&'f str> {
        seen.said.as_deref()
    }

    fn holds(&self, _: &Seen<'a>) -> bool {
        true
    }

    fn decide(&self, seen: &Seen<'a>, now: Timestamp) -> (Decision<Action>, Memory) {
        let facts = Facts {
            rule: seen.rule,
            unplaced: &seen.unplaced,
            group: Known::Yes(seen.group.clone()),
            memory: &seen.memory,
        };
        let decided = decide(&facts, now);
        if seen.managed.stored.config.capacity.as_ref().is_some_and(|c| c.dry_run) {
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
        for Action::SetDesiredCapacity { group, desired } in &decision.actions {
            self.remember(memory).await?;
            self.cloud.set_desired_capacity(group, *desired).await?;
        }
        Ok(Applied::Done)
    }

    async fn confirm(
        &self,
        seen: Seen<'a>,
        decision: &Decision<Action>,
        mut memory: Memory,
        said: String,
    ) -> Result<Confirmed<Seen<'a>>, Fault> {
        if decision.actions.is_empty() {
            // A raise that was held back was not begun.
            if memory.intent.is_some() {
                memory.intent.clone_from(&seen.memory.intent);
            }
        } else {
            memory.made();
        }
        if memory != seen.memory || !decision.actions.is_empty() {
            self.remember(&memory).await?;
        }
        if seen.said.as_ref() != Some(&said) {
            self.lease.store(self.cloud, SAID, text(said)).await?;
        }
        Ok(Confirmed::Settled)
    }
}

impl<C: Cloud> Raises<'_, C> {
    async fn remember(&self, memory: &Memory) -> Result<(), Fault> {
        let memory = to_attribute("the memory of placement", memory)?;
        self.lease.store(self.cloud, MEMORY, memory).await
    }
}
