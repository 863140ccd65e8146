//! What must hold: at every change that a function makes, and once the world is quiet.
//!
//! The checks reckon for themselves what is to be there, from the scenario and from what the world knows: they ask
//! neither the deciders nor the configuration's types.

mod asked;
mod balancing;
mod counts;
mod delivery;
mod discovery;
mod endpoints;
mod looks;
mod scaling;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::ports::ServiceChange;
use wharfinger_cloud::table::{Item, TableName, as_number, as_text};
use wharfinger_cloud::world::{Change, Did, World};
use wharfinger_core::ids::{Target, TargetKind};

use super::fleet::FAMILY;
use super::groups::SOMEONE;
use super::scenario::{CLUSTER, Plan, Scenario};
use super::tally::Tally;

pub use balancing::{Leeway, compare as compare_targets};
pub use delivery::{Scanned, pinned};
pub use discovery::compare as compare_endpoints;

/// The attribute of a service's item that holds the fencing number.
pub const FENCE: &str = "fence";

/// How far two clocks may differ.
const SKEW: SignedDuration = SignedDuration::from_secs(1);

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What.
    pub what: String,
}

impl Violation {
    /// A violation.
    #[must_use]
    pub fn new(what: String) -> Self {
        Self { what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What the checks remember of a history.
#[derive(Debug, Default)]
pub struct Watch {
    /// The failures of invocations.
    pub failures: Vec<String>,
    /// How many faults met each function.
    faults: BTreeMap<String, u64>,
    /// When each alarm went to ALARM, or left it.
    alarms: asked::Timeline<bool>,
    /// How many messages each queue had, in flight too.
    queues: asked::Timeline<u64>,
    /// The values of each alarm's metric.
    values: asked::Timeline<f64>,
    /// What all tasks of a service together have to do, by the alarm of its `target`.
    pub load: BTreeMap<String, f64>,
    /// When someone else set a service's count, and to what.
    someone: Vec<(Target, Timestamp, u32)>,
    looks: looks::Looks,
    counts: Vec<scaling::Count>,
    ships: delivery::Ships,
    seen: endpoints::Seen,
}

impl Watch {
    /// A fault met an invocation.
    pub fn fault(&mut self, name: &str, operation: &str, at: Timestamp) {
        if operation == "DescribeScalableTargets" {
            self.looks.unanswered.push(at);
        }
        let domain = name.split(' ').next().unwrap_or_default();
        *self.faults.entry(domain.to_owned()).or_default() += 1;
    }

    /// An alarm went to ALARM, or to another state.
    pub fn alarm(&mut self, name: &str, alarm: bool, at: Timestamp) {
        self.alarms.entry(name.to_owned()).or_default().push((at, alarm));
    }

    /// A queue has so many messages from now on.
    pub fn queue(&mut self, name: &str, total: u64, at: Timestamp) {
        self.queues.entry(name.to_owned()).or_default().push((at, total));
    }

    /// A metric has a value.
    pub fn value(&mut self, alarm: &str, value: f64, at: Timestamp) {
        self.values.entry(alarm.to_owned()).or_default().push((at, value));
    }

    /// Someone sets a service's count.
    pub fn someone(&mut self, world: &World, target: &Target, count: u32, at: Timestamp) {
        if world.services.get(target).is_some_and(|s| s.desired != count) {
            self.someone.push((target.clone(), at, count));
        }
    }

    /// Looks at a change that a function just made.
    ///
    /// # Errors
    /// When it must not be.
    pub fn look(&mut self, world: &World, scenario: &Scenario, did: &Did, tally: &mut Tally) -> Result<(), Violation> {
        if &*did.caller != SOMEONE {
            endpoints::not_paused(world, scenario, self, did)?;
        }
        match &did.change {
            Change::Wrote(TableName::State, key) if key.sk == "state" => {
                if let Some(item) = world.tables.state.get(key) {
                    self.look_at_memory(world, &key.pk, item, tally);
                }
                Ok(())
            }
            Change::Wrote(..) => Ok(()),
            Change::RegisterTargets { group, targets } => {
                tally.changes("RegisterTargets: targets", targets.len());
                self.joined(world, scenario, did, (group, targets))
            }
            Change::DeregisterTargets { group, targets } => {
                tally.changes("DeregisterTargets: targets", targets.len());
                self.left(world, scenario, did, (group, targets))
            }
            Change::Register {
                service_id,
                instance_id,
            } => {
                tally.change("RegisterInstance");
                discovery::not_foreign(scenario, did, service_id, instance_id)
            }
            Change::Deregister {
                service_id,
                instance_id,
            } => {
                tally.change("DeregisterInstance");
                discovery::not_foreign(scenario, did, service_id, instance_id)?;
                discovery::not_wanted(world, scenario, self, did, (service_id, instance_id))
            }
            Change::MoveFollower(to) => {
                tally.change(to.operation());
                self.look_at_move(world, to, did, tally)
            }
            _ => self.look_at_service(world, scenario, did, tally),
        }
    }

    /// Looks at a change of a service, or of what it is to run.
    fn look_at_service(
        &mut self,
        world: &World,
        scenario: &Scenario,
        did: &Did,
        tally: &mut Tally,
    ) -> Result<(), Violation> {
        match &did.change {
            Change::UpdateService {
                target,
                change: ServiceChange::DesiredCount(to),
                count,
                ..
            } => {
                tally.change("UpdateService: desired count");
                let item = held(world, target, did)?;
                self.look_at_count((world, scenario), (target, item), (*count, *to), did, tally)
            }
            Change::UpdateService {
                target,
                change: ServiceChange::TaskDefinition(to),
                definition,
                ..
            } => {
                tally.change("UpdateService: task definition");
                let item = held(world, target, did)?;
                self.look_at_update((world, scenario), item, (target, definition, to), did, tally)
            }
            Change::StopServiceDeployment { target, ended } => {
                tally.change("StopServiceDeployment");
                held(world, target, did)?;
                tally.rollout("ended, since it did not come up");
                self.look_at_end(world, scenario, (target, ended), did)
            }
            Change::RegisterTaskDefinition(arn) => {
                tally.change("RegisterTaskDefinition");
                let family = arn
                    .rsplit('/')
                    .next()
                    .and_then(|n| n.split(':').next())
                    .unwrap_or_default();
                let target = of_family(family);
                let item = held(world, &target, did)?;
                match target.kind {
                    TargetKind::Service => Self::look_at_revision(item, arn, did),
                    TargetKind::Task => self.look_at_family((world, scenario), item, (&target, arn), did, tally),
                    TargetKind::Cluster => Err(Violation::new(format!("{did:?} is about a cluster"))),
                }
            }
            _ => Ok(()),
        }
    }

    /// What must hold of counts and revisions once the world is quiet and nothing moves any more.
    ///
    /// # Errors
    /// When it does not.
    pub fn at_rest(&self, world: &World, scenario: &Scenario) -> Result<(), Violation> {
        for plan in &scenario.targets {
            if let Some(scaling) = plan
                .scaling
                .as_ref()
                .filter(|_| !scenario.others.contains_key(&plan.target))
            {
                self.count_at_rest(world, &plan.target, scaling)?;
            }
            self.revision_at_rest(world, scenario, plan)?;
        }
        Ok(())
    }
}

/// For how long a function may not know yet that a target is paused or changed: its cache, and the invocation's own time.
const LEARNS: SignedDuration = SignedDuration::from_secs(30 + 60);

/// The service's item, which whoever writes on the service must hold the lease of.
fn held<'a>(world: &'a World, target: &Target, did: &Did) -> Result<&'a Item, Violation> {
    let item = world.tables.state.get(&service_key(target));
    let holder = item.and_then(|i| as_text(i, "holder"));
    let (Some(item), true) = (item, holder == Some(&*did.caller)) else {
        let holder = holder.unwrap_or("nobody");
        return Err(Violation::new(format!(
            "{} writes on {target} while {holder} has the lease: {:?}",
            did.caller, did.change
        )));
    };
    let until = as_number(item, "until").and_then(|ms| Timestamp::from_millisecond(ms).ok());
    if until.is_none_or(|until| until.duration_since(world.now) < -SKEW) {
        return Err(Violation::new(format!(
            "{} writes on {target} after its lease ended",
            did.caller
        )));
    }
    Ok(item)
}

/// The target whose revisions a family holds.
fn of_family(family: &str) -> Target {
    if family == FAMILY {
        Target::task(CLUSTER, family)
    } else {
        Target::service(CLUSTER, family)
    }
}

fn plan<'a>(scenario: &'a Scenario, target: &Target) -> Option<&'a Plan> {
    scenario.targets.iter().find(|p| p.target == *target)
}
