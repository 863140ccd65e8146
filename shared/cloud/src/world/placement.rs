//! Tasks without a network interface of their own: in bridge and host mode they share the addresses of the instance that
//! they run on, and are told apart by their ports.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharfinger_core::ids::Target;

use super::World;

/// The first port of Docker's dynamic range (ECS API reference, `PortMapping`).
const FIRST: u16 = 32_768;

/// Where the tasks of a target run.
#[derive(Debug, Clone, Default)]
pub struct HostNetwork {
    /// The ARNs of the container instances that they may run on.
    pub instances: Vec<String>,
    /// The ports of their containers.
    pub ports: Vec<PortMapping>,
    /// Whether events show the bindings, or `DescribeTasks` only.
    pub told: bool,
    /// Whether each of its tasks has a network interface of its own all the same: `awsvpc` on an instance.
    pub interfaces: bool,
}

/// A port of a container, as a task definition has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// The container's name.
    pub container: String,
    /// The port inside.
    pub container_port: u16,
    /// The port on the host; `None` for any that is free.
    pub host_port: Option<u16>,
}

/// Where a task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The ARN of the container instance.
    pub container_instance: String,
    /// Its ports on the host.
    pub bindings: Vec<Binding>,
    /// Whether events show the bindings, or `DescribeTasks` only.
    pub told: bool,
    /// Whether it has a network interface of its own.
    pub interfaces: bool,
}

/// A port of a container that is bound on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The container's name.
    pub container: String,
    /// The port inside.
    pub container_port: u16,
    /// The port on the host.
    pub host_port: u16,
}

impl Placement {
    /// The containers with their bindings.
    pub(super) fn bind(&self, containers: &[Value]) -> Vec<Value> {
        let of = |container: &Value| {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            let mine = self.bindings.iter().filter(|b| b.container == name);
            let bindings = mine.map(|b| {
                json!({
                    "bindIP": "0.0.0.0",
                    "containerPort": b.container_port,
                    "hostPort": b.host_port,
                    "protocol": "tcp",
                })
            });
            let bindings: Vec<_> = bindings.collect();
            let mut container = container.clone();
            container["networkBindings"] = bindings.into();
            container
        };
        containers.iter().map(of).collect()
    }
}

impl World {
    /// Whether ECS could start another task of a target.
    pub(super) fn has_room(&self, target: &Target) -> bool {
        let network = self.host_networks.get(target);
        network.is_none_or(|network| self.place(network).is_some())
    }

    /// Finds a place for another task: on the instance with the fewest tasks whose ports are free. Like addresses, ports come
    /// back into use as soon as their task is gone (amazon-ecs-agent #500).
    pub(super) fn place(&self, network: &HostNetwork) -> Option<Placement> {
        let mut on: BTreeMap<&str, Vec<&Placement>> = BTreeMap::new();
        let placements = self.tasks.values().filter(|t| t.holds_address());
        for placement in placements.filter_map(|t| t.placement.as_ref()) {
            on.entry(&placement.container_instance).or_default().push(placement);
        }
        let open = network.instances.iter().filter(|instance| self.takes_tasks(instance));
        let fitting = open.filter_map(|instance| {
            let here = on.get(instance.as_str()).map_or(&[][..], Vec::as_slice);
            let used = here.iter().flat_map(|p| &p.bindings).map(|b| b.host_port);
            let bindings = bindings(&network.ports, used.collect())?;
            Some((here.len(), instance, bindings))
        });
        let (_, instance, bindings) = fitting.min_by_key(|(tasks, ..)| *tasks)?;
        Some(Placement {
            container_instance: instance.clone(),
            bindings,
            told: network.told,
            interfaces: network.interfaces,
        })
    }
}

/// Binds each port, unless one is in use.
fn bindings(ports: &[PortMapping], mut used: Vec<u16>) -> Option<Vec<Binding>> {
    let bind = |port: &PortMapping| {
        let host_port = match port.host_port {
            Some(fixed) => Some(fixed).filter(|p| !used.contains(p)),
            None => (FIRST..=u16::MAX).find(|p| !used.contains(p)),
        }?;
        used.push(host_port);
        Some(Binding {
            container: port.container.clone(),
            container_port: port.container_port,
            host_port,
        })
    };
    ports.iter().map(bind).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use wharfinger_core::endpoint::Host;
    use wharfinger_core::event::{NetworkBinding, TaskStateChange, TaskStatus};

    use super::*;
    use crate::world::Move;

    fn world(host_port: Option<u16>, told: bool) -> (World, Target) {
        let mut world = World::new(Timestamp::UNIX_EPOCH);
        let container = json!({ "name": "web", "image": "web:1" });
        let definition = world
            .define(&json!({ "family": "web", "containerDefinitions": [container] }))
            .unwrap();
        let target = Target::service("prod", "web");
        let instances = (0..2).map(|_| world.make_container_instance("prod", Host::default()));
        let network = HostNetwork {
            instances: instances.collect(),
            ports: vec![PortMapping {
                container: "web".into(),
                container_port: 80,
                host_port,
            }],
            told,
            interfaces: false,
        };
        world.host_networks.insert(target.clone(), network);
        world.make_service(&target, &definition, 3, false);
        (world, target)
    }

    fn start(world: &mut World, target: &Target) -> Vec<(String, u16)> {
        while world.moves().contains(&Move::Start(target.clone())) {
            world.make(&Move::Start(target.clone()));
        }
        let placements = world.tasks.values().filter_map(|t| t.placement.clone());
        placements
            .map(|p| (p.container_instance, p.bindings[0].host_port))
            .collect()
    }

    #[test]
    fn dynamic_ports_are_free_on_their_instance_and_come_back() {
        let (mut world, target) = world(None, true);
        let mut places = start(&mut world, &target);
        places.sort();
        let instances = world.host_networks[&target].instances.clone();
        let expected = [
            (&instances[0], 32_768),
            (&instances[0], 32_769),
            (&instances[1], 32_768),
        ];
        assert_eq!(places, expected.map(|(instance, port)| (instance.clone(), port)));
        let first = world.tasks.keys().next().cloned().unwrap();
        world.make(&Move::Stop(first.clone()));
        while world.tasks[&first].status != TaskStatus::Stopped {
            world.make(&Move::Advance(first.clone()));
        }
        world.make(&Move::Start(target));
        let again = world.tasks.values().last().and_then(|t| t.placement.clone());
        assert_eq!(again, world.tasks[&first].placement);
    }

    #[test]
    fn a_fixed_port_is_had_once_per_instance() {
        let (mut world, target) = world(Some(8080), true);
        assert_eq!(start(&mut world, &target).len(), 2);
        world.make(&Move::Start(target));
        assert_eq!(world.tasks.len(), 2);
    }

    /// The last event of a task that was brought to RUNNING, and what `DescribeTasks` says of it.
    fn run(told: bool) -> (TaskStateChange, TaskStateChange) {
        let (mut world, target) = world(None, told);
        world.make(&Move::Start(target));
        let arn = world.tasks.keys().next().cloned().unwrap();
        while world.tasks[&arn].status != TaskStatus::Running {
            world.make(&Move::Advance(arn.clone()));
        }
        world.set_health(&arn, Some("UNHEALTHY"));
        let event = world.emitted.pop().unwrap();
        let described = world.tasks[&arn].json(true);
        (
            TaskStateChange::parse(&event["detail"]).unwrap(),
            TaskStateChange::parse(&described).unwrap(),
        )
    }

    #[test]
    fn events_have_the_instance_and_no_interface() {
        let (event, described) = run(true);
        let bound = [NetworkBinding {
            container_port: Some(80),
            host_port: Some(32_768),
            container_port_range: None,
        }];
        for task in [&event, &described] {
            assert!(task.container_instance_arn.is_some());
            assert_eq!((&task.private_ipv4, &task.network_interface_id), (&None, &None));
            assert_eq!(task.containers[0].network_bindings, bound);
        }
        assert_eq!(event.health_status, None);
        assert_eq!(described.health_status.as_deref(), Some("UNHEALTHY"));
    }

    #[test]
    fn bindings_may_be_told_by_describe_tasks_only() {
        let (event, described) = run(false);
        assert_eq!(event.containers[0].network_bindings, []);
        assert_eq!(described.containers[0].network_bindings.len(), 1);
    }
}
