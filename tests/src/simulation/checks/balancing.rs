//! Targets: exactly those of the tasks that run, besides what others registered and what drains.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use wharfinger_cloud::world::{Did, World};
use wharfinger_core::balancing::TargetDescription;

use super::endpoints::{Wanted, place, tasks};
use super::{LEARNS, SKEW, Violation, Watch};
use crate::simulation::groups::{self, Place, SOMEONE};
use crate::simulation::scenario::Scenario;

/// For how long a listing may show what was before.
const LAG: SignedDuration = SignedDuration::from_secs(8);

/// What may be otherwise, still.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leeway {
    /// What stood for a task that ECS has forgotten may be there: it goes at the second look.
    pub forgotten: bool,
    /// What is wanted may drain: it joins again once it has gone.
    pub draining: bool,
}

/// The targets that the scenario asks for as the world stands.
fn expected<'a>(world: &'a World, scenario: &'a Scenario) -> BTreeMap<Place, Wanted<'a>> {
    let mut expected = BTreeMap::new();
    for plan in &scenario.targets {
        for entry in plan.balancing() {
            let Some((group, _)) = groups::find(world, &entry.group) else {
                continue;
            };
            for wanted in tasks(world, plan, entry.healthy) {
                if let Some(place) = place(world, wanted.task, &group, entry.port) {
                    expected.insert(place, wanted);
                }
            }
        }
    }
    expected
}

fn name((group, id, port): &Place) -> String {
    let group = group.split('/').nth(1).unwrap_or(group);
    format!("target {id}:{port} in {group}")
}

/// Compares what is registered with what is asked for.
///
/// # Errors
/// When a target is missing or too much, or one that is not ours is gone.
pub fn compare(world: &World, scenario: &Scenario, watch: &Watch, leeway: Leeway) -> Result<(), Violation> {
    let expected = expected(world, scenario);
    let found: BTreeMap<_, _> = groups::targets(world).collect();
    for (place, wanted) in &expected {
        match found.get(place) {
            Some(false) => {}
            Some(true) if leeway.draining => {}
            state => {
                let how = if state.is_some() { "drains" } else { "is missing" };
                return Err(Violation::new(format!(
                    "{} of task {} {how}",
                    name(place),
                    wanted.task.id()
                )));
            }
        }
    }
    for (place, drains) in &found {
        let spared = *drains || expected.contains_key(place) || scenario.foreign_targets.contains(place);
        let late = leeway.forgotten && watch.seen.forgotten.contains(place);
        if !spared && !late {
            return Err(Violation::new(format!(
                "{} is there and stands for nothing",
                name(place)
            )));
        }
    }
    for place in &scenario.foreign_targets {
        if found.get(place) != Some(&false) {
            return Err(Violation::new(format!("{} is gone, and it was not ours", name(place))));
        }
    }
    Ok(())
}

/// The number of an invocation, in the order in which they began.
fn number(did: &Did) -> Option<u64> {
    did.caller.rsplit(' ').next()?.parse().ok()
}

impl Watch {
    /// Targets were registered: none that is not ours, and by a sweep none that drains since before it began.
    pub(super) fn joined(
        &mut self,
        world: &World,
        scenario: &Scenario,
        did: &Did,
        (group, targets): (&str, &[TargetDescription]),
    ) -> Result<(), Violation> {
        for target in targets {
            let place = groups::place(group, target);
            not_foreign(scenario, did, &place)?;
            let Some(since) = self.seen.draining.remove(&place) else {
                continue;
            };
            let sweep = self.seen.sweeps.get(&*did.caller);
            if sweep.is_some_and(|began| began.duration_since(since) > LAG) {
                let what = format!(
                    "{} brings {} back, which drains since {since}",
                    did.caller,
                    name(&place)
                );
                return Err(Violation::new(what));
            }
            debug_assert!(since <= world.now, "{since}");
        }
        Ok(())
    }

    /// Targets were removed: none that is not ours, and none of a task that runs, once it was heard of.
    pub(super) fn left(
        &mut self,
        world: &World,
        scenario: &Scenario,
        did: &Did,
        (group, targets): (&str, &[TargetDescription]),
    ) -> Result<(), Violation> {
        let expected = expected(world, scenario);
        for target in targets {
            let place = groups::place(group, target);
            self.seen.draining.insert(place.clone(), world.now);
            if &*did.caller == SOMEONE {
                continue;
            }
            not_foreign(scenario, did, &place)?;
            if let Some(wanted) = expected.get(&place).filter(|w| self.knows(world, w, did)) {
                let task = wanted.task.id();
                let what = format!("{} removes {}, whose task {task} runs", did.caller, name(&place));
                return Err(Violation::new(what));
            }
        }
        Ok(())
    }

    /// Whether an invocation must know that the address is this task's: another, which had it before, may be leaving.
    fn knows(&self, world: &World, wanted: &Wanted<'_>, did: &Did) -> bool {
        let Some((last, at)) = self.seen.joined.get(&wanted.task.arn) else {
            return false;
        };
        let settled = wanted
            .plan
            .changed
            .is_none_or(|changed| at.duration_since(changed) > LEARNS + SKEW);
        settled && !wanted.healthy && number(did).is_some_and(|n| n > *last) && wanted.is_known(world, self)
    }
}

/// What is not ours is neither changed nor removed.
fn not_foreign(scenario: &Scenario, did: &Did, place: &Place) -> Result<(), Violation> {
    if scenario.foreign_targets.contains(place) && &*did.caller != SOMEONE {
        return Err(Violation::new(format!(
            "{} touches {}, which is not ours",
            did.caller,
            name(place)
        )));
    }
    Ok(())
}
