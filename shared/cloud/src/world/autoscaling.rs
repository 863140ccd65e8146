//! Auto Scaling groups: they hold a desired number of machines, replace those that are unhealthy, and wait with those that
//! they end for as long as a lifecycle hook says.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use wharfinger_core::capacity::{AutoScalingGroup, AutoScalingInstance, Waiting};

use super::fleet::Order;
use super::{Caller, World};
use crate::error::{CloudError, Kind};
use crate::ports::{AutoScaling, Upheld};

/// An Auto Scaling group.
#[derive(Debug, Clone)]
pub struct Group {
    /// The cluster with which its machines register.
    pub cluster: String,
    /// The fewest machines.
    pub min: u32,
    /// The most machines.
    pub max: u32,
    /// How many it is to have.
    pub desired: u32,
    /// The hook that ends wait for.
    pub hook: Option<Hook>,
    /// The capacity provider to which its machines belong.
    pub provider: Option<String>,
    /// Whether machines of it are Spot, by its mixed instances policy.
    pub spot: Option<bool>,
    /// Its machines, by their EC2 id.
    pub members: BTreeMap<String, Member>,
}

/// A lifecycle hook for machines that end.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// How long it waits for a heartbeat.
    pub timeout: SignedDuration,
}

/// A machine of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Whether it is given up.
    pub unhealthy: bool,
    /// The lifecycle action with which it waits for its end.
    pub waits: Option<Waits>,
}

/// A lifecycle action that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// Its token.
    pub token: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when, without another heartbeat.
    pub until: Timestamp,
    /// Until when at most: 100 times the time-out, or two days (EC2 Auto Scaling API reference, `LifecycleHook`).
    pub at_most: Timestamp,
    /// Whether its root volume is replaced: then it serves its group again.
    pub returns: bool,
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl World {
    /// Makes a group and its machines.
    pub fn make_scaling_group(&mut self, name: &str, cluster: &str, desired: u32, max: u32, hook: Option<Hook>) {
        let group = Group {
            cluster: cluster.to_owned(),
            min: 0,
            max,
            desired,
            hook,
            provider: None,
            spot: None,
            members: BTreeMap::new(),
        };
        self.fleet.groups.insert(name.to_owned(), group);
        self.settle_scaling_groups();
    }

    /// What groups do by themselves as time passes: what waited for too long ends, what is unhealthy is ended, and new
    /// machines are started.
    pub fn settle_scaling_groups(&mut self) {
        let names: Vec<_> = self.fleet.groups.keys().cloned().collect();
        let now = self.now;
        for name in names {
            let Some(group) = self.fleet.groups.get(&name) else {
                continue;
            };
            let late = |member: &Member| {
                member
                    .waits
                    .as_ref()
                    .is_some_and(|w| w.until <= now || w.at_most <= now)
            };
            let over: Vec<_> = group
                .members
                .iter()
                .filter(|(_, m)| late(m))
                .map(|(id, m)| (id.clone(), m.waits.as_ref().is_some_and(|waits| waits.returns)))
                .collect();
            let unhealthy = group.members.iter().filter(|(_, m)| m.unhealthy && m.waits.is_none());
            let unhealthy: Vec<_> = unhealthy.map(|(id, _)| id.clone()).collect();
            for (id, returns) in over {
                self.go_on(&name, &id, returns);
            }
            for id in unhealthy {
                self.terminate(&id);
            }
            self.grow(&name);
        }
    }

    fn grow(&mut self, name: &str) {
        while let Some(group) = self.fleet.groups.get(name) {
            let serves = |member: &&Member| member.waits.as_ref().is_none_or(|waits| waits.returns);
            let serving = group.members.values().filter(serves).count();
            if serving >= usize::try_from(group.desired).unwrap_or_default() {
                return;
            }
            let (cluster, provider) = (group.cluster.clone(), group.provider.clone());
            let arn = self.make_machine(&cluster);
            let Some(machine) = self.fleet.machines.get_mut(&arn) else {
                return;
            };
            machine.provider = provider;
            let id = machine.id.clone();
            if let Some(group) = self.fleet.groups.get_mut(name) {
                group.members.insert(id, Member::default());
            }
        }
    }

    /// A group ends a machine: with a hook it waits, and says so; without one the machine is gone.
    pub fn terminate(&mut self, id: &str) {
        self.end(id, false);
    }

    /// An instance refresh replaces the root volume of a machine: its group waits as if it ended, and then it starts anew.
    /// Whoever plays it connects its agent again.
    pub fn replace_root_volume(&mut self, id: &str) {
        self.end(id, true);
    }

    fn end(&mut self, id: &str, returns: bool) {
        let (now, serial) = (self.now, self.next());
        let of = |(_, group): &(&String, &mut Group)| group.members.contains_key(id);
        let Some((name, group)) = self.fleet.groups.iter_mut().find(of) else {
            return self.end_machine(id);
        };
        let name = name.clone();
        let (Some(hook), Some(member)) = (group.hook.clone(), group.members.get_mut(id)) else {
            return self.go_on(&name, id, returns);
        };
        if member.waits.is_some() {
            return;
        }
        let token = format!("token-{serial}");
        member.waits = Some(Waits {
            token: token.clone(),
            since: now,
            until: later(now, hook.timeout),
            at_most: later(now, (hook.timeout * 100).min(SignedDuration::from_hours(48))),
            returns,
        });
        let mut detail = json!({
            "LifecycleActionToken": token,
            "AutoScalingGroupName": name,
            "LifecycleHookName": hook.name,
            "EC2InstanceId": id,
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "Origin": "AutoScalingGroup",
            "Destination": "EC2",
        });
        if returns {
            detail["Destination"] = "AutoScalingGroup".into();
            detail["Action"] = "ReplaceRootVolume".into();
        }
        self.emit(
            "aws.autoscaling",
            "EC2 Instance-terminate Lifecycle Action",
            None,
            &detail,
        );
    }

    /// What a group waited for is over: the machine is gone, or starts anew.
    fn go_on(&mut self, group: &str, id: &str, returns: bool) {
        if !returns {
            return self.leave(group, id);
        }
        let member = self
            .fleet
            .groups
            .get_mut(group)
            .and_then(|group| group.members.get_mut(id));
        if let Some(member) = member {
            member.waits = None;
        }
        self.reboot(id);
    }

    /// A machine leaves its group, and is gone.
    fn leave(&mut self, group: &str, id: &str) {
        if let Some(group) = self.fleet.groups.get_mut(group) {
            group.members.remove(id);
        }
        self.end_machine(id);
    }

    /// A machine ends without its group: the group finds out, and starts another.
    pub fn lose_machine(&mut self, id: &str) {
        for group in self.fleet.groups.values_mut() {
            group.members.remove(id);
        }
        self.end_machine(id);
    }

    fn waiting(&mut self, action: &Waiting) -> Result<(&mut Waits, SignedDuration), String> {
        let over = || format!("No active Lifecycle Action found with instance ID {}", action.instance);
        let group = self.fleet.groups.get_mut(&action.group).ok_or_else(over)?;
        let timeout = group
            .hook
            .as_ref()
            .filter(|hook| hook.name == action.hook)
            .map(|hook| hook.timeout);
        let waits = group
            .members
            .get_mut(&action.instance)
            .and_then(|member| member.waits.as_mut());
        let waits = waits.filter(|waits| action.token.as_ref().is_none_or(|token| *token == waits.token));
        waits.zip(timeout).ok_or_else(over)
    }
}

impl AutoScaling for Caller {
    async fn auto_scaling_instances(&self, ids: &[String]) -> Result<Vec<AutoScalingInstance>, CloudError> {
        let describe = |world: &World| {
            let of = |(name, group): (&String, &Group)| {
                let members = group.members.iter().filter(|(id, _)| ids.contains(id));
                let one = |(id, member): (&String, &Member)| AutoScalingInstance {
                    instance_id: id.clone(),
                    group: name.clone(),
                    lifecycle_state: if member.waits.is_some() {
                        "Terminating:Wait"
                    } else {
                        "InService"
                    }
                    .to_owned(),
                    health_status: if member.unhealthy { "UNHEALTHY" } else { "HEALTHY" }.to_owned(),
                };
                members.map(one).collect::<Vec<_>>()
            };
            Ok(world.fleet.groups.iter().flat_map(of).collect())
        };
        let argument = || format!("{} instance(s)", ids.len());
        let brief = |found: &Vec<_>| format!("{} in groups", found.len());
        self.read("DescribeAutoScalingInstances", argument, describe, brief)
            .await
    }

    async fn auto_scaling_group(&self, name: &str) -> Result<Option<AutoScalingGroup>, CloudError> {
        let describe = |world: &World| {
            Ok(world.fleet.groups.get(name).map(|group| AutoScalingGroup {
                name: name.to_owned(),
                min_size: group.min,
                max_size: group.max,
                desired_capacity: group.desired,
                spot: group.spot,
            }))
        };
        let brief = |found: &Option<AutoScalingGroup>| format!("{found:?}");
        self.read("DescribeAutoScalingGroups", || name.to_owned(), describe, brief)
            .await
    }

    async fn heartbeat(&self, action: &Waiting) -> Result<Upheld, CloudError> {
        let beat = |world: &mut World| {
            let now = world.now;
            match world.waiting(action) {
                Err(words) => Ok(Upheld::Over(words)),
                Ok((waits, timeout)) => {
                    waits.until = later(now, timeout);
                    world.ordered(Order::Heartbeat(action.instance.clone()));
                    Ok(Upheld::Done)
                }
            }
        };
        let brief = |upheld: &Upheld| format!("{upheld:?}");
        self.write(
            "RecordLifecycleActionHeartbeat",
            || action.instance.clone(),
            beat,
            brief,
        )
        .await
    }

    async fn complete(&self, action: &Waiting) -> Result<Upheld, CloudError> {
        let complete = |world: &mut World| {
            let returns = match world.waiting(action) {
                Err(words) => return Ok(Upheld::Over(words)),
                Ok((waits, _)) => waits.returns,
            };
            let arn = world.machine(&action.instance).map(|(arn, _)| arn.clone());
            let left = arn.map_or(0, |arn| world.on(&arn).len());
            world.ordered(Order::Complete(action.instance.clone(), left));
            world.go_on(&action.group, &action.instance, returns);
            Ok(Upheld::Done)
        };
        let brief = |upheld: &Upheld| format!("{upheld:?}");
        self.write("CompleteLifecycleAction", || action.instance.clone(), complete, brief)
            .await
    }

    async fn set_unhealthy(&self, instance: &str) -> Result<Upheld, CloudError> {
        let set = |world: &mut World| {
            let mut groups = world.fleet.groups.values_mut();
            match groups.find_map(|group| group.members.get_mut(instance)) {
                None => Ok(Upheld::Over(format!(
                    "Instance Id not found - No managed instance found for instance ID {instance}"
                ))),
                Some(member) => {
                    let changes = !member.unhealthy;
                    member.unhealthy = true;
                    if changes {
                        world.ordered(Order::Unhealthy(instance.to_owned()));
                    }
                    Ok(Upheld::Done)
                }
            }
        };
        let brief = |upheld: &Upheld| format!("{upheld:?}");
        self.write("SetInstanceHealth", || instance.to_owned(), set, brief)
            .await
    }

    async fn set_desired_capacity(&self, group: &str, capacity: u32) -> Result<(), CloudError> {
        const OPERATION: &str = "SetDesiredCapacity";
        let set = |world: &mut World| {
            let known = world.fleet.groups.get_mut(group);
            let known = known.ok_or_else(|| CloudError::new(OPERATION, Kind::Invalid, "no such group"))?;
            if capacity > known.max || capacity < known.min {
                return Err(CloudError::new(OPERATION, Kind::Invalid, "out of bounds"));
            }
            if known.desired != capacity {
                known.desired = capacity;
                world.ordered(Order::Capacity(group.to_owned(), capacity));
            }
            Ok(())
        };
        self.write(
            OPERATION,
            || format!("{group} {capacity}"),
            set,
            |()| "taken".to_owned(),
        )
        .await
    }
}
