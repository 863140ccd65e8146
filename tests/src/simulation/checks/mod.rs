//! What must hold: at every change that a function makes, and once the world is quiet.
//!
//! The checks reckon for themselves what is to be there, from the scenario and from what the world knows: they ask
//! neither the deciders nor the configuration's types.

mod balancing;
mod delivery;
mod discovery;
mod endpoints;
mod scaling;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::ports::ServiceChange;
use wharfinger_cloud::table::{Item, as_number, as_text};
use wharfinger_cloud::world::{Change, Did, World};
use wharfinger_core::ids::{Digest, Target};

use super::groups::SOMEONE;
use super::scenario::{CLUSTER, DeliveryPlan, Plan, Scenario};
use super::tally::Tally;

pub use balancing::{Leeway, compare as compare_targets};
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
    alarms: BTreeMap<String, Vec<(Timestamp, bool)>>,
    /// When someone else set a service's count.
    someone: Vec<(Target, Timestamp)>,
    counts: Vec<scaling::Count>,
    images: u64,
    pushes: BTreeMap<Digest, delivery::Pushed>,
    rollouts: BTreeMap<(Target, Digest), delivery::Times>,
    given_up: BTreeSet<(Target, Digest)>,
    used: BTreeSet<String>,
    seen: endpoints::Seen,
}

impl Watch {
    /// A fault met an invocation.
    pub fn fault(&mut self, name: &str, _: &str) {
        let domain = name.split(' ').next().unwrap_or_default();
        *self.faults.entry(domain.to_owned()).or_default() += 1;
    }

    /// An alarm went to ALARM, or to another state.
    pub fn alarm(&mut self, name: &str, alarm: bool, at: Timestamp) {
        self.alarms.entry(name.to_owned()).or_default().push((at, alarm));
    }

    /// Someone sets a service's count.
    pub fn someone(&mut self, world: &World, target: &Target, count: u32, at: Timestamp) {
        if world.services.get(target).is_some_and(|s| s.desired != count) {
            self.someone.push((target.clone(), at));
        }
    }

    /// The number of the next image.
    pub fn next_image(&mut self) -> u64 {
        self.images += 1;
        self.images
    }

    /// Someone pushed an image.
    pub fn pushed(&mut self, plan: &DeliveryPlan, tag: &str, digest: &Digest, at: Timestamp) {
        self.pushes.insert(digest.clone(), delivery::Pushed::new(plan, tag, at));
    }

    /// The circuit breaker is about to end a deployment.
    pub fn gave_up(&mut self, world: &World, target: &Target) {
        if let Some(digest) = world
            .services
            .get(target)
            .and_then(|s| s.primary())
            .and_then(|d| delivery::digest(world, &d.definition))
        {
            self.given_up.insert((target.clone(), digest));
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
            Change::UpdateService {
                target,
                change: ServiceChange::DesiredCount(to),
                count,
                ..
            } => {
                tally.change("UpdateService: desired count");
                let item = held(world, target, did)?;
                self.look_at_count(scenario, target, item, (*count, *to), did)
            }
            Change::UpdateService {
                target,
                change: ServiceChange::TaskDefinition(to),
                definition,
                ..
            } => {
                tally.change("UpdateService: task definition");
                let item = held(world, target, did)?;
                self.look_at_rollout(world, scenario, item, (target, definition, to), did)
            }
            Change::MoveFollower(to) => {
                tally.change(to.operation());
                Ok(())
            }
            Change::StopServiceDeployment(_) => {
                tally.change("StopServiceDeployment");
                Ok(())
            }
            Change::RegisterTaskDefinition(arn) => {
                tally.change("RegisterTaskDefinition");
                let family = arn
                    .rsplit('/')
                    .next()
                    .and_then(|n| n.split(':').next())
                    .unwrap_or_default();
                let item = held(world, &Target::service(CLUSTER, family), did)?;
                Self::look_at_revision(item, arn, did)
            }
        }
    }

    /// What must hold of counts and revisions once the world is quiet and nothing moves any more.
    ///
    /// # Errors
    /// When it does not.
    pub fn at_rest(&self, world: &World, scenario: &Scenario) -> Result<(), Violation> {
        for plan in &scenario.targets {
            if let Some(scaling) = &plan.scaling {
                self.count_at_rest(world, &plan.target, scaling)?;
            }
            if let Some(delivery) = &plan.delivery {
                self.revision_at_rest(world, &plan.target, delivery)?;
            }
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

fn plan<'a>(scenario: &'a Scenario, target: &Target) -> Option<&'a Plan> {
    scenario.targets.iter().find(|p| p.target == *target)
}
