//! Instances whose agent is gone: reported, or replaced, a share of the cluster at a time.
//!
//! Agents disconnect several times an hour, and lose nothing by it (ECS developer guide, "Amazon ECS events"). So it takes
//! two looks and the configured time, without a change of the instance's version in between; and when more than half of a cluster is silent, it is not the hosts that are dead.

use jiff::Timestamp;

use super::cause::goes;
use super::decide::Plan;
use super::going::Silence;
use super::{AutoScalingInstance, ContainerInstance, Facts, InstanceStatus};
use crate::config::{Disconnected, DisconnectedAction};
use crate::known::Known;
use crate::report::{Code, counted};

/// Remembers whose agent is gone, and whose is back.
pub(super) fn look(facts: &Facts, plan: &mut Plan, now: Timestamp) {
    let Known::Yes(instances) = &facts.instances else {
        return;
    };
    for (id, instance) in instances.iter().filter(|(_, instance)| !instance.status.is_gone()) {
        let known = plan.did.get(id).and_then(|did| did.disconnected);
        if instance.agent_connected {
            if known.is_some() {
                plan.did(id).disconnected = None;
            }
            // It is back before its group took it that it is given up.
            let given_up = plan.did.get(id).is_some_and(|did| did.unhealthy_at.is_some());
            if given_up && matches!(replaceable(facts, id), Replaceable::Yes(_)) {
                plan.did(id).unhealthy_at = None;
            }
        } else if facts.capacity.disconnected.is_some() && (facts.whole || known.is_some()) {
            // Whoever was back between two looks is silent anew.
            let same = known.filter(|known| known.lasts(instance));
            let silence = Silence {
                since: same.map_or(now, |known| known.since),
                last: now,
                version: Some(instance.version),
            };
            let did = plan.did(id);
            did.disconnected = Some(silence);
            did.over = None;
            plan.busy = true;
        }
    }
}

/// Gives those up that were silent for too long.
pub(super) fn replace(facts: &Facts, plan: &mut Plan, now: Timestamp) {
    let (Some(config), Known::Yes(instances), true) = (&facts.capacity.disconnected, &facts.instances, facts.whole)
    else {
        return;
    };
    let registered = || instances.iter().filter(|(_, instance)| !instance.status.is_gone());
    let (all, silent) = (
        registered().count(),
        registered().filter(|(_, instance)| !instance.agent_connected).count(),
    );
    let mut dead = dead(facts, config, now);
    if silent * 2 > all {
        if dead.is_empty() {
            return;
        }
        let message = format!(
            "the agents of {silent} of {} are disconnected: no instance is to blame, and none is replaced",
            counted(all, "instance")
        );
        plan.said.all(Code::ClusterDisconnected, message);
        return;
    }
    dead.sort_by_key(|(since, id, _)| (*since, *id));
    // What was given up and is still there is being replaced.
    let begun = registered().filter(|(id, _)| {
        let going = facts.going.get(*id);
        going.is_some_and(|going| going.did.unhealthy_at.is_some())
    });
    let mut room = Room {
        left: config.at_most.of(all).saturating_sub(begun.count()),
        most: config.at_most.of(all),
        all,
    };
    for (since, id, instance) in dead {
        let silence = format!("its agent is disconnected since {since}");
        let (code, then) = match config.action {
            DisconnectedAction::Report => (Code::AgentDisconnected, String::new()),
            DisconnectedAction::Replace => give_up_if(facts, plan, &mut room, id, instance, now),
        };
        plan.said.of(code, id, silence + &then);
    }
    again(facts, plan);
}

/// How many instances may be given up.
struct Room {
    left: usize,
    most: usize,
    all: usize,
}

/// Gives one up if its group replaces it and there is room; what is said after since when it is silent.
fn give_up_if(
    facts: &Facts,
    plan: &mut Plan,
    room: &mut Room,
    id: &str,
    instance: &ContainerInstance,
    now: Timestamp,
) -> (Code, String) {
    match replaceable(facts, id) {
        Replaceable::Unknown => {
            plan.missing.push("DescribeAutoScalingInstances");
            let message = ", and what group it is in is not known".to_owned();
            (Code::AgentDisconnected, message)
        }
        Replaceable::No(why) => (Code::AgentDisconnected, format!(", and {why}")),
        Replaceable::Yes(_) if room.left == 0 => {
            plan.waits = true;
            let message = format!("; {} of {} at a time are replaced", room.most, room.all);
            (Code::ReplacementPaced, message)
        }
        Replaceable::Yes(scaling) => {
            room.left -= 1;
            give_up(facts, plan, id, instance, now);
            (Code::InstanceReplaced, format!(": {} replaces it", scaling.group))
        }
    }
}

/// Those that are silent for long enough, have been looked at twice, and do not go anyway.
fn dead<'a>(
    facts: &'a Facts,
    config: &Disconnected,
    now: Timestamp,
) -> Vec<(Timestamp, &'a str, &'a ContainerInstance)> {
    let suspects = facts.going.iter().filter_map(|(id, going)| {
        let silence = going.did.disconnected?;
        let instance = facts.instance(id).filter(|instance| !instance.agent_connected)?;
        if !silence.lasts(instance) {
            return None;
        }
        let long = now.duration_since(silence.since).unsigned_abs() >= config.after.duration() && silence.since <= now;
        let stays = goes(facts, id, going, now).is_none();
        (long && stays).then_some((silence.since, id.as_str(), instance))
    });
    suspects.collect()
}

enum Replaceable<'a> {
    Yes(&'a AutoScalingInstance),
    No(String),
    Unknown,
}

fn replaceable<'a>(facts: &'a Facts, id: &str) -> Replaceable<'a> {
    if facts.scaling == Known::No {
        return Replaceable::Unknown;
    }
    match facts.scaling_of(id) {
        None => Replaceable::No("it is in no Auto Scaling group: nothing would replace it".to_owned()),
        Some(scaling) if scaling.is_unhealthy() || !scaling.is_in_service() => Replaceable::No(format!(
            "its group deals with it: {}, {}",
            scaling.lifecycle_state, scaling.health_status
        )),
        Some(scaling) => Replaceable::Yes(scaling),
    }
}

fn give_up(facts: &Facts, plan: &mut Plan, id: &str, instance: &ContainerInstance, now: Timestamp) {
    if instance.status != InstanceStatus::Draining && !facts.drained_by_ecs(instance) {
        plan.drained.push(instance.arn.clone());
        plan.did(id).drained_at = Some(now);
    }
    plan.given_up.push(id.to_owned());
    plan.did(id).unhealthy_at = Some(now);
    plan.busy = true;
}

/// Says it again of those of which it was said, as far as the call shows no effect.
fn again(facts: &Facts, plan: &mut Plan) {
    let begun = facts.going.iter().filter(|(_, going)| going.did.unhealthy_at.is_some());
    let lost = begun.filter(|(id, _)| facts.instance(id).is_some());
    let silent = lost.filter(|(id, _)| plan.did.get(*id).is_some_and(|did| did.disconnected.is_some()));
    let silent: Vec<_> = silent.map(|(id, _)| id.clone()).collect();
    for id in silent
        .iter()
        .filter(|id| matches!(replaceable(facts, id), Replaceable::Yes(_)))
    {
        plan.given_up.push(id.clone());
        plan.said.of(
            Code::InstanceReplaced,
            id,
            "its group did not take it yet that it is given up",
        );
    }
}
