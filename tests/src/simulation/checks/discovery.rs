//! Endpoints: exactly those of the tasks that run.

use std::collections::BTreeMap;

use wharfinger_cloud::world::{Did, REGION, World};
use wharfinger_core::ids::TargetKind;

use super::endpoints::{Wanted, reached, tasks};
use super::{Violation, Watch};
use crate::simulation::scenario::{Entry, OWNER, Scenario};

/// Service and instance.
type Place = (String, String);
type Attributes = BTreeMap<String, String>;

/// The endpoints that the scenario asks for as the world stands.
fn expected<'a>(world: &'a World, scenario: &'a Scenario) -> BTreeMap<Place, (Wanted<'a>, &'a Entry)> {
    let mut expected = BTreeMap::new();
    for plan in &scenario.targets {
        for entry in plan.discovery() {
            for wanted in tasks(world, plan, entry.healthy) {
                let task = wanted.task.id();
                let id = entry
                    .port
                    .map_or_else(|| task.to_owned(), |port| format!("{task}-{port}"));
                expected.insert((entry.registry.clone(), id), (wanted, entry));
            }
        }
    }
    expected
}

fn attributes(world: &World, entry: &Entry, wanted: &Wanted<'_>) -> Attributes {
    let (target, task) = (&wanted.plan.target, wanted.task);
    let reached = reached(world, task, entry.port);
    let mut attributes = vec![
        ("AVAILABILITY_ZONE", format!("{REGION}a")),
        ("REGION", REGION.to_owned()),
        ("ECS_CLUSTER_NAME", target.cluster.clone()),
        ("ECS_TASK_DEFINITION_FAMILY", target.name.clone()),
        ("AWS_INSTANCE_IPV4", reached.address),
        ("WHARFINGER_TASK", task.arn.clone()),
        ("WHARFINGER_OWNER", OWNER.to_owned()),
        ("lane", entry.lane.clone()),
    ];
    if target.kind == TargetKind::Service {
        attributes.push(("ECS_SERVICE_NAME", target.name.clone()));
    }
    if let Some(port) = reached.port {
        attributes.push(("AWS_INSTANCE_PORT", port.to_string()));
    }
    attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Compares what is registered with our mark with what is asked for. Endpoints whose task ECS has forgotten may be there
/// still when `forgotten` says so: they go at the second look.
///
/// # Errors
/// When an endpoint is missing, too much or not as it should be, or one that is not ours is gone.
pub fn compare(world: &World, scenario: &Scenario, forgotten: bool) -> Result<(), Violation> {
    let expected = expected(world, scenario);
    let mut found = BTreeMap::new();
    for (service, instances) in &world.map.services {
        for (id, attributes) in instances {
            if attributes.get("WHARFINGER_OWNER").is_some_and(|owner| owner == OWNER) {
                found.insert((service.clone(), id.clone()), attributes);
            }
        }
    }
    for ((service, id), (wanted, entry)) in &expected {
        let attributes = &attributes(world, entry, wanted);
        match found.remove(&(service.clone(), id.clone())) {
            None => return Err(Violation::new(format!("endpoint {id} is missing in {service}"))),
            Some(found) if found != attributes => {
                let what = format!("endpoint {id} in {service} says {found:?} and should say {attributes:?}");
                return Err(Violation::new(what));
            }
            Some(_) => {}
        }
    }
    for ((service, id), attributes) in found {
        let task = attributes.get("WHARFINGER_TASK").and_then(|arn| world.tasks.get(arn));
        if task.is_some() || !forgotten {
            let state = task.map_or_else(|| "forgotten by ECS".to_owned(), |t| format!("{:?}", t.status));
            return Err(Violation::new(format!(
                "endpoint {id} in {service} is a ghost: its task is {state}"
            )));
        }
    }
    for (service, id) in &scenario.foreign {
        if !world.map.services.get(service).is_some_and(|s| s.contains_key(id)) {
            return Err(Violation::new(format!(
                "instance {id} in {service} is gone, and it was not ours"
            )));
        }
    }
    Ok(())
}

/// What is not ours is neither changed nor removed.
pub(super) fn not_foreign(scenario: &Scenario, did: &Did, service: &str, id: &str) -> Result<(), Violation> {
    if scenario.foreign.contains(&(service.to_owned(), id.to_owned())) {
        let what = format!("{} touches instance {id} in {service}, which is not ours", did.caller);
        return Err(Violation::new(what));
    }
    Ok(())
}

/// The endpoint of a task that runs is never removed, once everyone knows that it is wanted.
pub(super) fn not_wanted(
    world: &World,
    scenario: &Scenario,
    watch: &Watch,
    did: &Did,
    (service, id): (&str, &str),
) -> Result<(), Violation> {
    let expected = expected(world, scenario);
    let wanted = expected.get(&(service.to_owned(), id.to_owned()));
    if wanted.is_some_and(|(wanted, _)| wanted.is_known(world, watch)) {
        let what = format!("{} removes endpoint {id} in {service}, whose task runs", did.caller);
        return Err(Violation::new(what));
    }
    Ok(())
}
