//! Endpoints: exactly those of the tasks that run.

use std::collections::BTreeMap;

use wharfinger_cloud::world::{Did, REGION, Task, World};
use wharfinger_core::ids::TargetKind;

use super::Violation;
use crate::simulation::scenario::{Entry, OWNER, Plan, Scenario};

/// Service and instance.
type Place = (String, String);
type Attributes = BTreeMap<String, String>;

/// The endpoints that the scenario asks for as the world stands.
fn expected(world: &World, scenario: &Scenario) -> BTreeMap<Place, Attributes> {
    let mut expected = BTreeMap::new();
    for plan in &scenario.targets {
        for task in world
            .tasks
            .values()
            .filter(|t| t.target == plan.target && t.is_running())
        {
            for entry in plan
                .entries
                .iter()
                .filter(|e| !e.healthy || task.health == Some("HEALTHY"))
            {
                let id = entry
                    .port
                    .map_or_else(|| task.id().to_owned(), |port| format!("{}-{port}", task.id()));
                expected.insert((entry.registry.clone(), id), attributes(plan, entry, task));
            }
        }
    }
    expected
}

fn attributes(plan: &Plan, entry: &Entry, task: &Task) -> Attributes {
    let target = &plan.target;
    let mut attributes = vec![
        ("AVAILABILITY_ZONE", format!("{REGION}a")),
        ("REGION", REGION.to_owned()),
        ("ECS_CLUSTER_NAME", target.cluster.clone()),
        ("ECS_TASK_DEFINITION_FAMILY", target.name.clone()),
        ("AWS_INSTANCE_IPV4", task.address.clone().unwrap_or_default()),
        ("WHARFINGER_TASK", task.arn.clone()),
        ("WHARFINGER_OWNER", OWNER.to_owned()),
        ("lane", entry.lane.clone()),
    ];
    if target.kind == TargetKind::Service {
        attributes.push(("ECS_SERVICE_NAME", target.name.clone()));
    }
    if let Some(port) = entry.port {
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
    for ((service, id), attributes) in &expected {
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

/// The endpoint of a task that runs is never removed.
pub(super) fn not_wanted(
    world: &World,
    scenario: &Scenario,
    did: &Did,
    service: &str,
    id: &str,
) -> Result<(), Violation> {
    if expected(world, scenario).contains_key(&(service.to_owned(), id.to_owned())) {
        let what = format!("{} removes endpoint {id} in {service}, whose task runs", did.caller);
        return Err(Violation::new(what));
    }
    Ok(())
}
