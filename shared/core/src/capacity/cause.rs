//! Whether an instance goes now, and why.

use jiff::{SignedDuration, Timestamp};

use super::{AutoScalingInstance, ContainerInstance, Facts, Going, Hook, Scheduled, Seen, SpotNotice};
use crate::config::{MaintenanceAction, Rebalance};
use crate::event::{InstanceState, SpotAction};
use crate::report::Code;

/// What `DescribeAutoScalingInstances` or ECS says may be older than the event, or than a call: until then it proves nothing.
pub(super) const SETTLES: SignedDuration = SignedDuration::from_mins(2);

/// Spot takes an instance back two minutes after its notice, and one that was stopped comes back minutes later: an agent that
/// is connected again by then is no short disconnect (EC2 user guide, "Spot Instance interruption notices").
const SPOT_RETURNS: SignedDuration = SignedDuration::from_mins(10);

/// The hook with which ECS drains the instances of a capacity provider itself (ECS developer guide, "Safely stop Amazon ECS
/// workloads running on EC2 instances").
pub const MANAGED_HOOK: &str = "ecs-managed-draining-termination-hook";

/// Why an instance goes now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cause<'a> {
    /// Its group waits with it, or did.
    Hook(&'a Hook),
    /// Its group waits with it, which no event told.
    FoundWaiting,
    /// Spot takes it back.
    Spot(SpotNotice),
    /// Spot may take it back.
    Rebalance,
    /// A scheduled change is near, or goes on.
    Maintenance(&'a Scheduled),
    /// It stops, or is gone.
    State(InstanceState),
    /// We gave it up.
    GivenUp,
}

impl Cause<'_> {
    /// In words, after the instance's id.
    pub(super) fn why(self) -> String {
        match self {
            Self::Hook(hook) => format!("{} waits with it ({})", hook.group, hook.hook),
            Self::FoundWaiting => "its group waits with it, which no event told".to_owned(),
            Self::Spot(spot) => match spot.action {
                SpotAction::Terminate => "Spot terminates it",
                SpotAction::Stop => "Spot stops it",
                SpotAction::Hibernate => "Spot hibernates it",
                SpotAction::Unknown => "Spot takes it back",
            }
            .to_owned(),
            Self::Rebalance => "Spot may take it back".to_owned(),
            Self::Maintenance(scheduled) => match scheduled.starts {
                Some(starts) => format!("{} from {starts} on", scheduled.code),
                None => scheduled.code.clone(),
            },
            Self::State(state) => format!("it is {}", state.as_str()),
            Self::GivenUp => "its agent is gone".to_owned(),
        }
    }
}

/// Why an instance goes now; `None` when it does not.
pub(super) fn goes<'a>(facts: &Facts, id: &str, going: &'a Going, now: Timestamp) -> Option<Cause<'a>> {
    let instance = facts.instance(id);
    let hooks = going.causes.hooks.values().filter(|hook| is_ours(facts, hook));
    let mut hooks = hooks.filter(|hook| !came_back(facts, id, going, hook, now));
    let found = going.did.found_waiting.filter(|_| is_waiting(facts, id));
    let spot = going
        .causes
        .spot
        .filter(|spot| !spot_came_back(instance, going, *spot, now));
    let rebalance = going
        .causes
        .rebalance
        .filter(|_| facts.capacity.spot.rebalance == Rebalance::Drain);
    let state = going.causes.state.filter(|seen| seen.state.is_going());
    let state = state.filter(|seen| !state_is_past(instance, going, *seen, now));
    hooks
        .next()
        .map(Cause::Hook)
        .or_else(|| found.map(|_| Cause::FoundWaiting))
        .or_else(|| spot.map(Cause::Spot))
        .or_else(|| state.map(|seen| Cause::State(seen.state)))
        .or_else(|| going.did.unhealthy_at.map(|_| Cause::GivenUp))
        .or_else(|| maintained(facts, instance, going, now).map(Cause::Maintenance))
        .or_else(|| rebalance.map(|_| Cause::Rebalance))
}

/// Whether a hook is ours to complete: neither one that the configuration leaves out, nor ECS's own.
pub(super) fn is_ours(facts: &Facts, hook: &Hook) -> bool {
    !hook.hook.starts_with(MANAGED_HOOK) && facts.capacity.drain.takes(&hook.hook)
}

/// Whether its group waits with an instance, as far as the group was asked.
pub(super) fn is_waiting(facts: &Facts, id: &str) -> bool {
    facts
        .scaling_of(id)
        .is_some_and(|scaling| scaling.lifecycle_state == "Terminating:Wait")
}

/// Whether no event told of what a group waits for that waits: there was none, or those that there were are over since so long
/// that the group does not wait for them any more.
pub(super) fn waits_untold(going: &Going, now: Timestamp) -> bool {
    let last = going.did.completed.values().max();
    going.open().next().is_none() && last.is_none_or(|last| now.duration_since(*last) >= SETTLES)
}

/// Whether an instance serves its group again after a lifecycle action: its root volume was replaced, or it was in the warm
/// pool.
fn came_back(facts: &Facts, id: &str, going: &Going, hook: &Hook, now: Timestamp) -> bool {
    let over = going.did.completed.get(&hook.token).copied().unwrap_or(hook.since);
    let scaling = facts.scaling_of(id);
    scaling.is_some_and(AutoScalingInstance::is_in_service) && now.duration_since(over) >= SETTLES
}

/// Whether an instance that Spot stopped runs again.
fn spot_came_back(instance: Option<&ContainerInstance>, going: &Going, spot: SpotNotice, now: Timestamp) -> bool {
    if spot.action == SpotAction::Terminate {
        return false;
    }
    let runs = going
        .causes
        .state
        .is_some_and(|seen| seen.state == InstanceState::Running && seen.at > spot.at);
    is_connected(instance) && (runs || was_away(going, spot.at, now))
}

/// Whether an instance that was stopped runs again, which no event told.
fn state_is_past(instance: Option<&ContainerInstance>, going: &Going, seen: Seen, now: Timestamp) -> bool {
    let stopped = matches!(seen.state, InstanceState::Stopping | InstanceState::Stopped);
    stopped && is_connected(instance) && was_away(going, seen.at, now)
}

/// Whether its agent was gone since a time, and that is long enough ago for no short disconnect.
fn was_away(going: &Going, since: Timestamp, now: Timestamp) -> bool {
    let was_away = going.did.seen_disconnected.is_some_and(|seen| seen >= since);
    was_away && now.duration_since(since) >= SPOT_RETURNS
}

fn is_connected(instance: Option<&ContainerInstance>) -> bool {
    instance.is_some_and(|instance| instance.agent_connected)
}

/// The scheduled change that is near or goes on.
fn maintained<'a>(
    facts: &Facts,
    instance: Option<&ContainerInstance>,
    going: &'a Going,
    now: Timestamp,
) -> Option<&'a Scheduled> {
    if facts.capacity.maintenance.action == MaintenanceAction::Ignore {
        return None;
    }
    let mut scheduled = going.causes.maintenance.values();
    scheduled.find(|change| {
        let near = change.starts.is_none_or(|starts| {
            let before = starts.checked_sub(facts.capacity.maintenance.before.duration());
            before.is_ok_and(|before| before <= now)
        });
        near && !change.closed && !is_through(instance, going, change, now)
    })
}

/// Whether the instance was away for the change, and is back.
fn is_through(instance: Option<&ContainerInstance>, going: &Going, change: &Scheduled, now: Timestamp) -> bool {
    let Some(starts) = change.starts else { return false };
    let was_away = going.did.seen_disconnected.is_some_and(|seen| seen >= starts);
    was_away && is_connected(instance) && change.ends.is_none_or(|ends| ends <= now)
}

/// Why something that is known of an instance makes it not go now; `None` when nothing is known, or it goes.
pub(super) fn stays(facts: &Facts, going: &Going, now: Timestamp) -> Option<(Code, String)> {
    if let Some(hook) = going.open().find(|hook| !is_ours(facts, hook)) {
        let message = if hook.hook.starts_with(MANAGED_HOOK) {
            format!("the hook {} is ECS's own", hook.hook)
        } else {
            format!("the hook {} is not among those that are ours", hook.hook)
        };
        return Some((Code::HookNotOurs, message));
    }
    if let Some(change) = going.causes.maintenance.values().find(|change| !change.closed) {
        let ignored = facts.capacity.maintenance.action == MaintenanceAction::Ignore;
        let starts = change.starts.filter(|starts| now < *starts);
        return Some(match (ignored, starts) {
            (true, _) => (Code::MaintenanceIgnored, format!("{} is ignored", change.code)),
            (false, Some(starts)) => {
                let before = facts.capacity.maintenance.before;
                let message = format!("{} begins at {starts}: it is drained {before} before", change.code);
                (Code::MaintenanceLater, message)
            }
            (false, None) => (Code::NothingGoes, format!("{} is through", change.code)),
        });
    }
    if going.causes.rebalance.is_some() && facts.capacity.spot.rebalance == Rebalance::Ignore {
        let message = "Spot may take it back: most are not taken, so this is ignored".to_owned();
        return Some((Code::RebalanceIgnored, message));
    }
    let seen = going.causes.state?;
    Some((Code::NothingGoes, format!("it is {}", seen.state.as_str())))
}
