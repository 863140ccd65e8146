//! Target groups of Elastic Load Balancing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use wharfinger_core::balancing::{TargetDescription, TargetGroup, TargetHealth, TargetType};

use super::services::LAG;
use super::{ACCOUNT, Caller, Change, REGION, World};
use crate::error::{CloudError, Kind};
use crate::ports::TargetGroups;

/// How many targets one call may name.
const AT_ONCE: usize = 100;

/// A target group that a load balancer uses.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What its targets are.
    pub target_type: TargetType,
    /// How many targets it takes; those that drain count.
    pub limit: usize,
    targets: BTreeMap<(String, u16), Registered>,
    /// What `DescribeTargetHealth` said before our last change, and when that was.
    before: Option<(Vec<TargetHealth>, Timestamp)>,
}

#[derive(Debug, Clone)]
struct Registered {
    zone: Option<String>,
    state: &'static str,
}

fn key(target: &TargetDescription) -> (String, u16) {
    (target.id.clone(), target.port)
}

impl Group {
    /// Its targets, with their states.
    pub fn targets(&self) -> impl Iterator<Item = TargetHealth> {
        self.targets.iter().map(|((id, port), registered)| TargetHealth {
            target: TargetDescription {
                id: id.clone(),
                port: *port,
                availability_zone: registered.zone.clone(),
            },
            state: registered.state.to_owned(),
        })
    }

    /// Where a target is in its life.
    #[must_use]
    pub fn state(&self, id: &str, port: u16) -> Option<&'static str> {
        self.targets.get(&(id.to_owned(), port)).map(|t| t.state)
    }

    /// Puts a target into another state, as its health checks do; `false` when there is no such target or it drains.
    pub fn judge(&mut self, id: &str, port: u16, state: &'static str) -> bool {
        let target = self.targets.get_mut(&(id.to_owned(), port));
        let Some(target) = target.filter(|t| t.state != DRAINING) else {
            return false;
        };
        target.state = state;
        true
    }

    /// Ends the draining of a target: it is gone; `false` when there is no such target or it does not drain.
    pub fn finish_draining(&mut self, id: &str, port: u16) -> bool {
        let key = (id.to_owned(), port);
        let drains = self.targets.get(&key).is_some_and(|t| t.state == DRAINING);
        drains && self.targets.remove(&key).is_some()
    }

    fn takes(&self, target: &TargetDescription) -> bool {
        match self.target_type {
            TargetType::Ip => target.id.parse::<IpAddr>().is_ok(),
            TargetType::Instance => target.id.starts_with("i-") && target.availability_zone.is_none(),
            TargetType::Unknown | TargetType::Other => false,
        }
    }

    /// "If the IP address is in a subnet of the VPC for the target group, the Availability Zone is automatically detected"
    /// (ELBv2 API reference, `TargetDescription`): answers have one where the request had none.
    fn zone(&self, target: &TargetDescription) -> Option<String> {
        let detected = || (self.target_type == TargetType::Ip).then(|| format!("{REGION}a"));
        target.availability_zone.clone().or_else(detected)
    }

    fn is_new(&self, target: &TargetDescription) -> bool {
        !self.targets.contains_key(&key(target))
    }

    fn drains(&self, target: &TargetDescription) -> bool {
        self.targets.get(&key(target)).is_some_and(|t| t.state == DRAINING)
    }
}

const INITIAL: &str = "initial";
const DRAINING: &str = "draining";

fn refused(operation: &'static str, kind: Kind, code: &str) -> CloudError {
    CloudError {
        operation,
        kind,
        code: Some(code.to_owned()),
        message: "refused".into(),
    }
}

impl World {
    /// Makes a group without targets. The answer is its ARN.
    pub fn make_group(&mut self, name: &str, target_type: TargetType, limit: usize) -> String {
        let id = self.next();
        let arn = format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{name}/{id:016x}");
        let group = Group {
            name: name.to_owned(),
            target_type,
            limit,
            targets: BTreeMap::new(),
            before: None,
        };
        self.groups.insert(arn.clone(), group);
        arn
    }

    fn group(&mut self, operation: &'static str, arn: &str) -> Result<&mut Group, CloudError> {
        let found = self.groups.get_mut(arn);
        found.ok_or_else(|| refused(operation, Kind::NotFound, "TargetGroupNotFound"))
    }

    fn register_targets(&mut self, arn: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
        const OPERATION: &str = "RegisterTargets";
        let now = self.now;
        let group = self.group(OPERATION, arn)?;
        if targets.len() > AT_ONCE {
            return Err(refused(OPERATION, Kind::Invalid, "ValidationError"));
        }
        if !targets.iter().all(|target| group.takes(target)) {
            return Err(refused(OPERATION, Kind::Invalid, "InvalidTarget"));
        }
        let mut changed: Vec<_> = targets
            .iter()
            .filter(|target| group.is_new(target) || group.drains(target))
            .cloned()
            .collect();
        changed.sort_unstable();
        changed.dedup_by_key(|target| key(target));
        let new = changed.iter().filter(|target| group.is_new(target)).count();
        if group.targets.len() + new > group.limit {
            return Err(refused(OPERATION, Kind::Full, "TooManyTargets"));
        }
        if changed.is_empty() {
            return Ok(());
        }
        group.before = Some((group.targets().collect(), now));
        for target in &changed {
            let zone = group.zone(target);
            let registered = Registered { zone, state: INITIAL };
            group.targets.insert(key(target), registered);
        }
        self.did(Change::RegisterTargets {
            group: arn.to_owned(),
            targets: changed,
        });
        Ok(())
    }

    fn deregister_targets(&mut self, arn: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
        const OPERATION: &str = "DeregisterTargets";
        let now = self.now;
        let group = self.group(OPERATION, arn)?;
        if targets.len() > AT_ONCE {
            return Err(refused(OPERATION, Kind::Invalid, "ValidationError"));
        }
        let mut changed: Vec<_> = targets
            .iter()
            .filter(|target| !group.is_new(target) && !group.drains(target))
            .cloned()
            .collect();
        changed.sort_unstable();
        changed.dedup_by_key(|target| key(target));
        if changed.is_empty() {
            return Ok(());
        }
        group.before = Some((group.targets().collect(), now));
        for target in &changed {
            if let Some(registered) = group.targets.get_mut(&key(target)) {
                registered.state = DRAINING;
            }
        }
        self.did(Change::DeregisterTargets {
            group: arn.to_owned(),
            targets: changed,
        });
        Ok(())
    }

    /// What `DescribeTargetHealth` says: for a while it may be what was before our last change.
    fn health(&self, arn: &str) -> Result<Vec<TargetHealth>, CloudError> {
        let not_found = || refused("DescribeTargetHealth", Kind::NotFound, "TargetGroupNotFound");
        let group = self.groups.get(arn).ok_or_else(not_found)?;
        let before = group
            .before
            .as_ref()
            .filter(|(_, at)| self.lagging && self.now.duration_since(*at) < LAG);
        Ok(before.map_or_else(|| group.targets().collect(), |(targets, _)| targets.clone()))
    }
}

fn named(group: &str, targets: &[TargetDescription]) -> String {
    let targets: Vec<_> = targets.iter().map(|t| format!("{}:{}", t.id, t.port)).collect();
    let name = group.split('/').nth(1).unwrap_or(group);
    format!("{} in {name}", targets.join(" "))
}

impl TargetGroups for Caller {
    async fn register_targets(&self, group: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
        if targets.is_empty() {
            return Ok(());
        }
        let register = |world: &mut World| world.register_targets(group, targets);
        let argument = || named(group, targets);
        self.write("RegisterTargets", argument, register, |()| "taken".to_owned())
            .await
    }

    async fn deregister_targets(&self, group: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
        if targets.is_empty() {
            return Ok(());
        }
        let deregister = |world: &mut World| world.deregister_targets(group, targets);
        let argument = || named(group, targets);
        self.write("DeregisterTargets", argument, deregister, |()| "taken".to_owned())
            .await
    }

    async fn target_health(&self, group: &str) -> Result<Vec<TargetHealth>, CloudError> {
        let brief = |targets: &Vec<TargetHealth>| {
            let one = |t: &TargetHealth| format!("{}:{} {}", t.target.id, t.target.port, t.state);
            targets.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let argument = || group.split('/').nth(1).unwrap_or(group).to_owned();
        self.read("DescribeTargetHealth", argument, |world| world.health(group), brief)
            .await
    }

    async fn target_groups(&self, names: &[String]) -> Result<BTreeMap<String, TargetGroup>, CloudError> {
        let describe = |world: &World| {
            let wanted = world.groups.iter().filter(|(_, group)| names.contains(&group.name));
            let group = |(arn, group): (&String, &Group)| {
                let found = TargetGroup {
                    arn: arn.clone(),
                    target_type: group.target_type,
                };
                (group.name.clone(), found)
            };
            Ok(wanted.map(group).collect())
        };
        let brief = |found: &BTreeMap<String, TargetGroup>| format!("{} group(s)", found.len());
        self.read("DescribeTargetGroups", || names.join(" "), describe, brief)
            .await
    }
}

#[cfg(test)]
mod tests;
