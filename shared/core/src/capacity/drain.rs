//! An instance goes: it is drained, its tasks leave, and its group is told when to go on.

use jiff::{SignedDuration, Timestamp};

use super::action::{Action, Waiting};
use super::cause::{Cause, is_ours};
use super::decide::Plan;
use super::{ContainerInstance, Facts, Going, InstanceStatus};
use crate::config::Standalone;
use crate::known::Known;
use crate::report::{Code, counted};

/// A hook that waits gets a heartbeat at every look, and these are a minute apart: a little less, for clocks. The shortest
/// heartbeat time-out is 30 seconds (EC2 Auto Scaling API reference, `PutLifecycleHook`); shorter ones than a minute end by
/// themselves.
const HEARTBEAT: SignedDuration = SignedDuration::from_secs(45);

/// Why a task is stopped, as it says it afterwards.
const STOPPED: &str = "Wharfinger: its container instance goes, and no service moves the task";

/// An instance that is in the cluster goes.
pub(super) fn drain(
    facts: &Facts,
    plan: &mut Plan,
    id: &str,
    going: &Going,
    cause: Cause<'_>,
    instance: &ContainerInstance,
    now: Timestamp,
) {
    if facts.drained_by_ecs(instance) {
        let provider = instance.capacity_provider_name.as_deref().unwrap_or_default();
        let message = format!("{}, and ECS drains it: {provider} has managed draining", cause.why());
        plan.said.of(Code::ManagedDraining, id, message);
        return;
    }
    if instance.status == InstanceStatus::Draining {
        plan.waits = true;
    } else {
        plan.said.of(Code::InstanceDrains, id, cause.why());
        plan.drained.push(instance.arn.clone());
        plan.did(id).drained_at = Some(now);
    }
    if matches!(cause, Cause::Spot(_) | Cause::State(_) | Cause::Maintenance(_)) && !instance.agent_connected {
        plan.did(id).seen_disconnected = Some(now);
    }
    let left = Left::of(facts, instance);
    standalone(facts, plan, id, instance, left);
    blocked(facts, plan, id, instance);
    let hooks: Vec<_> = waiting(facts, id, going, plan).collect();
    for (waiting, since) in &hooks {
        of_hook(facts, plan, waiting, *since, Some((instance.status, left)), now);
    }
    if !hooks.is_empty() || instance.status != InstanceStatus::Draining {
        plan.busy = true;
        return;
    }
    let (code, rest) = match left {
        // No group waits for those that are stopping.
        Left::None | Left::Uncounted => (Code::InstanceEmpty, "no task is left on it".to_owned()),
        left => (Code::TasksLeft, left.to_string()),
    };
    plan.said.of(code, id, format!("{}; {rest}", cause.why()));
    // What its group, Spot or EC2 does next with an empty one shows in a look of every 5 minutes.
    plan.busy |= code == Code::TasksLeft;
}

/// An instance that is not in the cluster, or not any more: nothing is drained, and its group need not wait.
pub(super) fn unregistered(facts: &Facts, plan: &mut Plan, id: &str, going: &Going, now: Timestamp) {
    if going.did.container_instance.is_none() {
        let message = format!("it is no instance of {}: nothing is done for it", facts.target);
        plan.said.of(Code::NotManaged, id, message);
        return;
    }
    let hooks: Vec<_> = waiting(facts, id, going, plan).collect();
    for (waiting, since) in &hooks {
        of_hook(facts, plan, waiting, *since, None, now);
    }
    if hooks.is_empty() {
        plan.said
            .of(Code::InstanceNotRegistered, id, format!("it has left {}", facts.target));
        timed_out(facts, plan, id, going);
        plan.did(id).over = Some(going.causes.clone());
    }
}

/// Its group waited with it, and it is gone before anyone here let the group go on.
fn timed_out(facts: &Facts, plan: &mut Plan, id: &str, going: &Going) {
    let since = going.did.found_waiting.filter(|_| facts.scaling != Known::No);
    let Some(since) = since else { return };
    if going.did.completed.values().any(|at| *at >= since) || super::cause::is_waiting(facts, id) {
        return;
    }
    let message = format!(
        "its group was seen to wait with it since {since}, which no event told: its hook timed out, or someone else \
         completed it, whatever ran"
    );
    plan.said.of(Code::HookTimedOut, id, message);
}

/// The lifecycle actions of an instance that wait for us, and since when.
fn waiting<'a>(
    facts: &'a Facts,
    id: &'a str,
    going: &'a Going,
    plan: &Plan,
) -> impl Iterator<Item = (Waiting, Timestamp)> + use<'a> {
    let of_events = going.open().filter(|hook| is_ours(facts, hook)).map(|hook| {
        let waiting = Waiting {
            group: hook.group.clone(),
            hook: hook.hook.clone(),
            token: Some(hook.token.clone()),
            instance: id.to_owned(),
        };
        (waiting, hook.since)
    });
    // An event was lost: by the names of the configuration the hooks can be completed without a token.
    let since = plan.did.get(id).and_then(|did| did.found_waiting);
    let group = facts.scaling_of(id).filter(|_| super::cause::is_waiting(facts, id));
    let found = since.zip(group).filter(|_| going.open().next().is_none());
    let named = found.into_iter().flat_map(move |(since, scaling)| {
        let names = facts.capacity.drain.hooks.iter().flatten();
        let waiting = names.map(move |hook| Waiting {
            group: scaling.group.clone(),
            hook: hook.clone(),
            token: None,
            instance: id.to_owned(),
        });
        let open = waiting.filter(|waiting| !going.did.completed.contains_key(&waiting.key()));
        open.map(move |waiting| (waiting, since))
    });
    of_events.chain(named)
}

impl Waiting {
    /// Under which key it is remembered as completed.
    #[must_use]
    pub fn key(&self) -> String {
        let Self { group, hook, token, .. } = self;
        token.clone().unwrap_or_else(|| format!("{group}/{hook}"))
    }
}

/// What is left on an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// No task.
    None,
    /// So many.
    Tasks(u32),
    /// None that is wanted; nothing says whether some are stopping.
    Uncounted,
    /// Nothing says it.
    Unknown,
}

impl Left {
    fn of(facts: &Facts, instance: &ContainerInstance) -> Self {
        let listed = facts
            .tasks
            .get(&instance.arn)
            .map(|tasks| u32::try_from(tasks.len()).unwrap_or(u32::MAX));
        let leaving = match &facts.leaving {
            Known::Yes(leaving) => Some(leaving.get(&instance.arn).copied().unwrap_or_default()),
            // It is asked once it is to be empty.
            Known::No if instance.status != InstanceStatus::Draining => Some(0),
            Known::No => None,
        };
        match (instance.tasks().or(listed), leaving) {
            (None, _) => Self::Unknown,
            (Some(0), None) => Self::Uncounted,
            (Some(wanted), leaving) => match wanted.saturating_add(leaving.unwrap_or_default()) {
                0 => Self::None,
                tasks => Self::Tasks(tasks),
            },
        }
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("no task is left"),
            Self::Tasks(1) => f.write_str("1 task is left"),
            Self::Tasks(tasks) => write!(f, "{tasks} tasks are left"),
            Self::Uncounted => f.write_str("whether tasks are still stopping is not known"),
            Self::Unknown => f.write_str("how many tasks are left is not known"),
        }
    }
}

/// A hook is completed when its instance is empty or out of the cluster, and at the deadline; until then it gets heartbeats.
fn of_hook(
    facts: &Facts,
    plan: &mut Plan,
    waiting: &Waiting,
    since: Timestamp,
    stands: Option<(InstanceStatus, Left)>,
    now: Timestamp,
) {
    let (id, deadline) = (waiting.instance.as_str(), facts.capacity.drain.deadline);
    let at = since.checked_add(deadline.duration()).unwrap_or(Timestamp::MAX);
    let (code, why) = match stands {
        None => (
            Code::InstanceNotRegistered,
            format!("it is not in {} any more", facts.target),
        ),
        // Counted before it took no more tasks, none is no proof.
        Some((InstanceStatus::Draining, Left::None)) => (Code::InstanceEmpty, "no task is left on it".to_owned()),
        Some((_, left)) if at <= now => (
            Code::DeadlineReached,
            format!("{deadline} have passed since {since}, and {left}"),
        ),
        Some((_, left)) => {
            heartbeat(facts, plan, waiting, since, now);
            plan.said.of(
                Code::TasksLeft,
                id,
                format!("{left}; {} goes on at {at} at the latest", waiting.group),
            );
            plan.waits = true;
            match left {
                Left::Unknown => plan.missing.push("DescribeContainerInstances"),
                Left::Uncounted => plan.missing.extend(["ListTasks", "DescribeTasks"]),
                Left::None | Left::Tasks(_) => {}
            }
            return;
        }
    };
    plan.busy = true;
    plan.said
        .of(code, id, format!("{why}: {} goes on ({})", waiting.group, waiting.hook));
    plan.completed.push(Action::CompleteLifecycleAction(waiting.clone()));
    plan.did(id).completed.insert(waiting.key(), now);
}

fn heartbeat(facts: &Facts, plan: &mut Plan, waiting: &Waiting, since: Timestamp, now: Timestamp) {
    let id = waiting.instance.as_str();
    let last = facts
        .going
        .get(id)
        .and_then(|going| going.did.heartbeat_at)
        .unwrap_or(since);
    if now.duration_since(last.max(since)) >= HEARTBEAT {
        plan.heartbeats
            .push(Action::RecordLifecycleActionHeartbeat(waiting.clone()));
        plan.did(id).heartbeat_at = Some(now);
    }
}

/// Tasks that no service started stay on a draining instance (ECS developer guide, "Draining Amazon ECS container
/// instances"): they are stopped where the configuration says so.
fn standalone(facts: &Facts, plan: &mut Plan, id: &str, instance: &ContainerInstance, left: Left) {
    if matches!(left, Left::None | Left::Uncounted) {
        return;
    }
    let stop = facts.capacity.drain.standalone == Standalone::Stop;
    let Some(tasks) = facts.tasks.get(&instance.arn) else {
        if stop {
            plan.missing.extend(["ListTasks", "DescribeTasks"]);
        }
        return;
    };
    let standalone: Vec<_> = tasks.iter().filter(|task| task.service.is_none()).collect();
    if standalone.is_empty() {
        return;
    }
    let standing = counted(standalone.len(), "standalone task");
    if !stop {
        let message = format!("{standing} left alone, at most until the instance ends");
        plan.said.of(Code::StandaloneLeft, id, message);
        return;
    }
    plan.said.of(Code::StandaloneStopped, id, standing);
    plan.stopped.extend(standalone.into_iter().map(|task| Action::StopTask {
        cluster: facts.target.cluster.clone(),
        task: task.arn.clone(),
        reason: STOPPED.to_owned(),
    }));
}

/// Services whose tasks can never leave: that is reported, not fought.
fn blocked(facts: &Facts, plan: &mut Plan, id: &str, instance: &ContainerInstance) {
    let tasks = facts.tasks.get(&instance.arn).into_iter().flatten();
    let mut services: Vec<_> = tasks.filter_map(|task| task.service.as_ref()).collect();
    services.sort_unstable();
    services.dedup();
    for service in services {
        if facts
            .services
            .get(service)
            .is_some_and(|percents| percents.forbids_draining())
        {
            let message = format!(
                "the tasks of {service} cannot leave: its minimumHealthyPercent and maximumPercent are both 100"
            );
            plan.said.of(Code::DrainBlocked, id, message);
        }
    }
}
