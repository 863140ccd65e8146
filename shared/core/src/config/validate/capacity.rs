//! Deadlines, bounds and names of `capacity`.

use std::time::Duration;

use super::{Found, twins};
use crate::capacity::{MANAGED_HOOK, crash};
use crate::config::{
    Capacity, CrashLoops, Disconnected, Document, Entry, Fallback, InstanceDrain, Path, Placement, ServiceCapacity,
    SpotFallback, StrategyItem,
};

/// How long a lifecycle hook waits at most, however many heartbeats it gets (EC2 Auto Scaling user guide, "Amazon EC2 Auto
/// Scaling lifecycle hooks": 48 hours, or 100 times the heartbeat timeout).
const HOOK: Duration = Duration::from_hours(48);

/// How many heartbeat time-outs it waits at most (the same).
const HEARTBEATS: u32 = 100;

/// The heartbeat time-out that the documentation asks for at least.
const HEARTBEAT: Duration = Duration::from_mins(10);

/// The functions look at what goes on once a minute.
const LOOK: Duration = Duration::from_mins(1);

/// So long do two looks take.
const LOOKS: Duration = Duration::from_mins(2);

/// The longest name of an Auto Scaling group or a lifecycle hook (EC2 Auto Scaling API reference).
const LONGEST_NAME: usize = 255;

/// How many capacity providers a strategy takes (ECS API reference, `CreateService`).
const MOST_PROVIDERS: usize = 20;

/// The greatest weight of a provider (ECS API reference, `CapacityProviderStrategyItem`).
const WEIGHT: u32 = 1_000;

/// The greatest base of a provider (the same).
const BASE: u32 = 100_000;

pub(super) fn check_clusters(document: &Document, found: &mut Found) {
    let clusters = document.clusters.iter();
    for (name, capacity) in clusters.filter_map(|(name, cluster)| Some((name, cluster.capacity.as_ref()?))) {
        of_cluster(&Path::root().at("clusters").at(name).at("capacity"), capacity, found);
    }
}

fn of_cluster(path: &Path, capacity: &Capacity, found: &mut Found) {
    of_drain(&path.at("drain"), &capacity.drain, found);
    if let Some(disconnected) = &capacity.disconnected {
        of_disconnected(&path.at("disconnected"), disconnected, found);
    }
    if let Some(placement) = &capacity.placement {
        of_placement(&path.at("placement"), placement, found);
    }
    of_crash_loops(&path.at("crash-loops"), &capacity.crash_loops, found);
}

fn of_crash_loops(path: &Path, rule: &CrashLoops, found: &mut Found) {
    let after = usize::try_from(rule.after.get()).unwrap_or(usize::MAX);
    if after > crash::KEPT {
        let message = format!(
            "must be at most {0}: the last {0} failures of a service are kept",
            crash::KEPT
        );
        found.error(path.at("after"), message);
    }
    if rule.within.duration().is_zero() {
        found.error(path.at("within"), "must be longer than `0s`");
    }
}

fn of_drain(path: &Path, drain: &InstanceDrain, found: &mut Found) {
    let deadline = drain.deadline.duration();
    if deadline.is_zero() {
        found.error(
            path.at("deadline"),
            "must be longer than `0s`: at once the hook would be completed with every task still there",
        );
    } else if deadline > HOOK {
        found.error(
            path.at("deadline"),
            "must be at most `48h`: Auto Scaling keeps no hook for longer",
        );
    } else if deadline > HEARTBEAT * HEARTBEATS {
        let needed = deadline.as_secs().div_ceil(60 * u64::from(HEARTBEATS));
        let message = format!(
            "takes a lifecycle hook with a heartbeat time-out of {needed} minutes or more: Auto Scaling keeps a hook for \
             {HEARTBEATS} times that"
        );
        found.warning(path.at("deadline"), message);
    } else if deadline < LOOK {
        found.warning(
            path.at("deadline"),
            "a hook that waits is looked at once a minute: it may be completed up to a minute later",
        );
    }
    let Some(hooks) = &drain.hooks else { return };
    if hooks.is_empty() {
        found.error(
            path.at("hooks"),
            "names no lifecycle hook: leave it out for each terminating hook, or name those that are ours",
        );
    }
    for (i, hook) in hooks.iter().enumerate() {
        let path = path.at("hooks").at(i);
        if hook.starts_with(MANAGED_HOOK) {
            found.warning(
                path.clone(),
                "is ECS's own hook, which ECS completes itself: leave it out",
            );
        }
        found.name(path, "the lifecycle hook's name", hook, LONGEST_NAME);
    }
}

fn of_disconnected(path: &Path, disconnected: &Disconnected, found: &mut Found) {
    if disconnected.after.duration() < LOOK {
        found.error(
            path.at("after"),
            "must be at least `1m`: agents reconnect all the time, and lose nothing by it",
        );
    } else if disconnected.after.duration() < LOOKS {
        found.warning(
            path.at("after"),
            "an agent must be seen disconnected twice, a minute apart: it may take `2m`, and many are back by then",
        );
    }
}

fn of_placement(path: &Path, placement: &Placement, found: &mut Found) {
    let group = &placement.auto_scaling_group;
    found.name(
        path.at("auto-scaling-group"),
        "the Auto Scaling group's name",
        group,
        LONGEST_NAME,
    );
    if placement.max == 0 {
        found.error(
            path.at("max"),
            "is 0: the group would never grow; leave `placement` out for that",
        );
    }
    if placement.max > 0 && placement.add.get() > placement.max {
        found.warning(path.at("add"), "is more than `max`, where the group stops growing");
    }
    if placement.cooldown.duration() < LOOK {
        found.warning(
            path.at("cooldown"),
            "is shorter than an instance needs to start: one lack of room may add several instances",
        );
    }
}

pub(super) fn check_service(document: &Document, entry: &Entry, capacity: &ServiceCapacity, found: &mut Found) {
    let path = entry.path.at("capacity").at("spot");
    match &capacity.spot.fallback {
        Fallback::Twin(twin) => twins::check(&path.at("fallback").at("twin"), document, entry, twin, found),
        Fallback::Strategy(strategy) => of_strategy(&path.at("fallback").at("strategy"), strategy, found),
    }
    of_times(&path, &capacity.spot, found);
}

fn of_times(path: &Path, spot: &SpotFallback, found: &mut Found) {
    let every = "is looked at once a minute";
    if spot.after.duration() < LOOK {
        let message = format!("{every}: any shorter lack of room would move tasks, too");
        found.warning(path.at("after"), message);
    }
    if spot.return_after.duration() < LOOK {
        let message = format!("{every}: tasks would go to and fro with each change of Spot");
        found.warning(path.at("return-after"), message);
    }
}

fn of_strategy(path: &Path, strategy: &[StrategyItem], found: &mut Found) {
    if strategy.is_empty() {
        found.error(path.clone(), "names no capacity provider");
    }
    if strategy.len() > MOST_PROVIDERS {
        found.error(
            path.clone(),
            format!("has {} providers; ECS takes {MOST_PROVIDERS}", strategy.len()),
        );
    }
    if strategy
        .iter()
        .filter(|item| item.base.is_some_and(|base| base > 0))
        .count()
        > 1
    {
        found.error(path.clone(), "has several bases; ECS takes one in a strategy");
    }
    if !strategy.is_empty() && strategy.iter().all(|item| item.weight.unwrap_or_default() == 0) {
        found.error(
            path.clone(),
            "gives no provider a weight: ECS would place no task beyond a base",
        );
    }
    for (i, item) in strategy.iter().enumerate() {
        let path = path.at(i);
        found.name(
            path.at("capacity-provider"),
            "the capacity provider's name",
            &item.capacity_provider,
            LONGEST_NAME,
        );
        if strategy[..i]
            .iter()
            .any(|other| other.capacity_provider == item.capacity_provider)
        {
            let message = format!("`{}` stands here twice", item.capacity_provider);
            found.error(path.at("capacity-provider"), message);
        }
        if item.capacity_provider == "FARGATE_SPOT" {
            found.warning(
                path.at("capacity-provider"),
                "is Spot too: it may lack room at the same time",
            );
        }
        for (key, number, most) in [("weight", item.weight, WEIGHT), ("base", item.base, BASE)] {
            if number.is_some_and(|number| number > most) {
                found.error(path.at(key), format!("must be at most {most}"));
            }
        }
    }
}
