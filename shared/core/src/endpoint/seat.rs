//! Where a container of a task can be reached.
//!
//! | the task | address | port |
//! |---|---|---|
//! | has a network interface of its own (`awsvpc`) | the interface's | the container's |
//! | shares its instance's (`bridge`, `host`, ECS Anywhere) | the instance's | the host's, from `networkBindings` |
//!
//! What the event lacks is looked up, never guessed (ECS developer guide, "Amazon ECS task networking").

use super::member::{Ask, By, Lack};
use super::{Facts, Host};
use crate::config::{Address, When};
use crate::delivery::SIDE_CONTAINER;
use crate::event::{Container, TaskStateChange};
use crate::known::Known;
use crate::report::{Code, Reason};

/// Where a container is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat<'a> {
    /// The container that was named, or that has the port, or the only one.
    pub container: Option<&'a Container>,
    /// The address, or the EC2 instance's id.
    pub id: String,
    /// The port there; none when the entry names none.
    pub port: Option<u16>,
}

/// Whether the task's health lets it join.
///
/// # Errors
/// When it does not, or is not known.
pub fn healthy<M>(facts: &Facts<M>, when: When) -> Result<(), Lack> {
    if when == When::Running {
        return Ok(());
    }
    match facts.task.health_status.as_deref() {
        Some("HEALTHY") => Ok(()),
        None if !facts.looked_up => Err(needs("DescribeTasks", "the task's health is not in the event")),
        other => Err(nothing(
            Code::NotHealthy,
            format!(
                "the task's health is {}: it joins when it is HEALTHY",
                other.unwrap_or("UNKNOWN")
            ),
        )),
    }
}

/// Where the container that an entry asks for is reached.
///
/// # Errors
/// When it cannot be reached so, or a fact is missing.
pub fn seat<'f, M>(facts: &'f Facts<M>, ask: Ask<'_>) -> Result<Seat<'f>, Lack> {
    let task = &facts.task;
    if has_interface(task) {
        return own(facts, ask);
    }
    match &task.container_instance_arn {
        // An interface may be missing in the event; bindings cannot be there by mistake.
        Some(_) if facts.looked_up || task.containers.iter().any(|c| !c.network_bindings.is_empty()) => {
            shared(facts, ask)
        }
        _ if !facts.looked_up => Err(needs(
            "DescribeTasks",
            format!("the task's {} is not in the event", kind(ask.address)),
        )),
        _ => Err(nothing(
            Code::NoAddress,
            format!("the task has no {} of its own", kind(ask.address)),
        )),
    }
}

fn has_interface(task: &TaskStateChange) -> bool {
    task.network_interface_id.is_some() || task.private_ipv4.is_some() || task.ipv6.is_some()
}

/// A task with a network interface of its own.
fn own<'f, M>(facts: &'f Facts<M>, ask: Ask<'_>) -> Result<Seat<'f>, Lack> {
    let task = &facts.task;
    let container = named(task, ask)?;
    if ask.by == By::Instance {
        let message = "the task has a network interface of its own: it can join a target group of type `ip` only";
        return Err(nothing(Code::NoAddress, message));
    }
    let found = match ask.address {
        Address::Private => task.private_ipv4.clone(),
        Address::Ipv6 => task.ipv6.clone(),
        Address::Public => match &facts.public_ipv4 {
            Known::Yes(found) => found.clone(),
            Known::No if task.network_interface_id.is_none() && !facts.looked_up => {
                return Err(needs(
                    "DescribeTasks",
                    "the task's network interface is not in the event",
                ));
            }
            Known::No if task.network_interface_id.is_none() => None,
            Known::No => {
                return Err(needs(
                    "DescribeNetworkInterfaces",
                    "the public address is not in the event",
                ));
            }
        },
    };
    match found {
        Some(id) => Ok(Seat {
            container,
            id,
            port: ask.port,
        }),
        None if !facts.looked_up && ask.address != Address::Public => Err(needs(
            "DescribeTasks",
            format!("the task's {} is not in the event", kind(ask.address)),
        )),
        None => Err(nothing(
            Code::NoAddress,
            format!("the task has no {} of its own", kind(ask.address)),
        )),
    }
}

/// A task on the network of its instance.
fn shared<'f, M>(facts: &'f Facts<M>, ask: Ask<'_>) -> Result<Seat<'f>, Lack> {
    let (container, port) = match ask.port {
        None => (named(&facts.task, ask)?, None),
        Some(port) => {
            let (container, port) = binding(facts, ask, port)?;
            (Some(container), Some(port))
        }
    };
    let host = match &facts.host {
        Known::Yes(Some(host)) => host,
        Known::Yes(None) => {
            let message = "ECS does not know the container instance that the task runs on";
            return Err(nothing(Code::NoAddress, message));
        }
        Known::No => {
            let message = "the address of the container instance is not in the event";
            return Err(needs("DescribeContainerInstances", message));
        }
    };
    let id = on(host, ask)?;
    Ok(Seat { container, id, port })
}

fn on(host: &Host, ask: Ask<'_>) -> Result<String, Lack> {
    let found = match (ask.by, ask.address) {
        (By::Instance | By::Either, _) => host.instance_id.clone().filter(|id| id.starts_with("i-")),
        (By::Address, Address::Private) => host.private_ipv4.clone(),
        (By::Address, Address::Public) => host.public_ipv4.clone(),
        (By::Address, Address::Ipv6) => host.ipv6.clone(),
    };
    found.ok_or_else(|| {
        let message = match ask.by {
            By::Instance | By::Either => {
                "the task runs on no EC2 instance: it can join a target group of type `ip` only".to_owned()
            }
            By::Address => format!("the instance that the task runs on has no {}", kind(ask.address)),
        };
        nothing(Code::NoAddress, message)
    })
}

/// The container whose port is bound on the host, and the host's port.
fn binding<'f, M>(facts: &'f Facts<M>, ask: Ask<'_>, port: u16) -> Result<(&'f Container, u16), Lack> {
    let candidates = match named(&facts.task, Ask { port: None, ..ask })? {
        Some(container) if ask.container.is_some() => std::slice::from_ref(container),
        _ => facts.task.containers.as_slice(),
    };
    let bound: Vec<_> = candidates
        .iter()
        .filter_map(|c| Some((c, c.network_bindings.iter().find_map(|b| b.host_port_of(port))?)))
        .collect();
    match bound[..] {
        [one] => Ok(one),
        [] if candidates
            .iter()
            .any(|c| c.network_bindings.iter().any(|b| b.range_has(port))) =>
        {
            Err(nothing(
                Code::NoContainer,
                format!("port {port} is bound as a part of a range, which says no port of its own: map it by itself"),
            ))
        }
        [] if !facts.looked_up => Err(needs(
            "DescribeTasks",
            format!("the host's port of container port {port} is not in the event"),
        )),
        [] => Err(nothing(
            Code::NoContainer,
            format!("no container has its port {port} bound on the host: map it in the task definition"),
        )),
        _ => {
            let names: Vec<_> = bound.iter().map(|(c, _)| c.name.as_str()).collect();
            let message = format!(
                "several containers have port {port}: {}; name one in `container`",
                names.join(", ")
            );
            Err(nothing(Code::NoContainer, message))
        }
    }
}

/// The container that the entry names, or the only one.
pub(super) fn named<'t>(task: &'t TaskStateChange, ask: Ask<'_>) -> Result<Option<&'t Container>, Lack> {
    let Some(name) = ask.container else {
        // An event does not carry our mark: the name alone tells the side container.
        let mut own = task.containers.iter().filter(|c| c.name != SIDE_CONTAINER);
        return Ok(own.next().filter(|_| own.next().is_none()));
    };
    task.containers
        .iter()
        .find(|c| c.name == name)
        .map(Some)
        .ok_or_else(|| {
            let names: Vec<_> = task.containers.iter().take(10).map(|c| c.name.as_str()).collect();
            nothing(
                Code::NoContainer,
                format!("the task has no container `{name}`; it has: {}", names.join(", ")),
            )
        })
}

fn kind(address: Address) -> &'static str {
    match address {
        Address::Private => "private IPv4 address",
        Address::Public => "public IPv4 address",
        Address::Ipv6 => "IPv6 address",
    }
}

fn needs(operation: &'static str, message: impl Into<String>) -> Lack {
    Lack::Needs(operation, Reason::new(Code::FactsMissing, message))
}

fn nothing(code: Code, message: impl Into<String>) -> Lack {
    Lack::Nothing(Reason::new(code, message))
}
