//! Cloud Map: operations that run by themselves, one at a time on an instance.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_core::discovery::{DeregisterInstance, Endpoint};

use super::{Caller, Change, World};
use crate::error::{CloudError, Kind};
use crate::ports::{Instance, OperationStatus, Registry, Submitted};

/// The Cloud Map services, each with its instances and their attributes, and the operations on them.
#[derive(Debug, Clone, Default)]
pub struct CloudMap {
    /// The services, by id.
    pub services: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    /// Every operation.
    pub operations: Vec<Operation>,
    /// Service and instance of what its custom health check was told to be unhealthy.
    pub unhealthy: BTreeSet<(String, String)>,
}

/// What an operation does when it is through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Makes or replaces the instance.
    Put(BTreeMap<String, String>),
    /// Removes it.
    Remove,
}

/// An operation on an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// The service.
    pub service_id: String,
    /// The instance.
    pub instance_id: String,
    /// What it does.
    pub work: Work,
    /// Where it is.
    pub status: OperationStatus,
}

impl CloudMap {
    /// The operations that run.
    pub fn running(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|o| o.status == OperationStatus::Running)
    }

    /// Ends a running operation, with its effect or without.
    pub fn finish(&mut self, id: &str, succeeds: bool) {
        let found = self
            .operations
            .iter_mut()
            .find(|o| o.id == id && o.status == OperationStatus::Running);
        let Some(operation) = found else { return };
        if !succeeds {
            operation.status = OperationStatus::Failed("made to fail".into());
            return;
        }
        operation.status = OperationStatus::Done;
        let instances = self.services.entry(operation.service_id.clone()).or_default();
        match &operation.work {
            Work::Put(attributes) => drop(instances.insert(operation.instance_id.clone(), attributes.clone())),
            Work::Remove => drop(instances.remove(&operation.instance_id)),
        }
    }

    fn busy(&self, service_id: &str, instance_id: &str) -> Option<Submitted> {
        let same = |o: &&Operation| o.service_id == service_id && o.instance_id == instance_id;
        self.running().find(same).map(|o| Submitted::Busy(Some(o.id.clone())))
    }
}

impl World {
    fn operate(&mut self, service_id: &str, instance_id: &str, work: Work) -> Submitted {
        let id = format!("op-{}", self.next());
        self.map.operations.push(Operation {
            id: id.clone(),
            service_id: service_id.to_owned(),
            instance_id: instance_id.to_owned(),
            work,
            status: OperationStatus::Running,
        });
        Submitted::Operation(Some(id))
    }

    fn register(&mut self, endpoint: &Endpoint) -> Result<Submitted, CloudError> {
        let Endpoint {
            service_id,
            instance_id,
            attributes,
            ..
        } = endpoint;
        if !self.map.services.contains_key(service_id) {
            return Err(CloudError::new("RegisterInstance", Kind::NotFound, "no such service"));
        }
        if let Some(busy) = self.map.busy(service_id, instance_id) {
            return Ok(busy);
        }
        self.did(Change::Register {
            service_id: service_id.clone(),
            instance_id: instance_id.clone(),
        });
        Ok(self.operate(service_id, instance_id, Work::Put(attributes.clone())))
    }

    fn tell_health(&mut self, endpoint: &Endpoint) -> Result<(), CloudError> {
        const OPERATION: &str = "UpdateInstanceCustomHealthStatus";
        let known = self.map.services.get(&endpoint.service_id);
        if !known.is_some_and(|instances| instances.contains_key(&endpoint.instance_id)) {
            return Err(CloudError::new(OPERATION, Kind::NotFound, "no such instance"));
        }
        let place = (endpoint.service_id.clone(), endpoint.instance_id.clone());
        self.map.unhealthy.remove(&place);
        if endpoint.unhealthy {
            self.map.unhealthy.insert(place);
        }
        Ok(())
    }

    fn deregister(&mut self, request: &DeregisterInstance) -> Submitted {
        let DeregisterInstance {
            service_id,
            instance_id,
        } = request;
        let known = self
            .map
            .services
            .get(service_id)
            .is_some_and(|s| s.contains_key(instance_id));
        if let Some(busy) = self.map.busy(service_id, instance_id) {
            // "Or the instance was recently registered, and information about the instance hasn't propagated yet"
            // (Cloud Map API reference, `InstanceNotFound`).
            return if self.lagging && !known {
                Submitted::Absent
            } else {
                busy
            };
        }
        if !known {
            return Submitted::Absent;
        }
        self.did(Change::Deregister {
            service_id: service_id.clone(),
            instance_id: instance_id.clone(),
        });
        self.operate(service_id, instance_id, Work::Remove)
    }
}

fn brief(submitted: &Submitted) -> String {
    let id = |id: &Option<String>| id.clone().unwrap_or_default();
    match submitted {
        Submitted::Operation(operation) => id(operation),
        Submitted::Absent => "absent".to_owned(),
        Submitted::Busy(operation) => format!("busy: {}", id(operation)),
    }
}

impl Registry for Caller {
    async fn register(&self, endpoint: &Endpoint) -> Result<Submitted, CloudError> {
        let argument = || format!("{} in {}", endpoint.instance_id, endpoint.service_id);
        self.write("RegisterInstance", argument, |world| world.register(endpoint), brief)
            .await
    }

    async fn deregister(&self, request: &DeregisterInstance) -> Result<Submitted, CloudError> {
        let argument = || format!("{} in {}", request.instance_id, request.service_id);
        self.write(
            "DeregisterInstance",
            argument,
            |world| Ok(world.deregister(request)),
            brief,
        )
        .await
    }

    async fn tell_health(&self, endpoint: &Endpoint) -> Result<(), CloudError> {
        let argument = || {
            format!(
                "{} {} in {}",
                endpoint.status(),
                endpoint.instance_id,
                endpoint.service_id
            )
        };
        let tell = |world: &mut World| world.tell_health(endpoint);
        self.write("UpdateInstanceCustomHealthStatus", argument, tell, |()| {
            "done".to_owned()
        })
        .await
    }

    async fn operation(&self, id: &str) -> Result<OperationStatus, CloudError> {
        let get = |world: &World| {
            let found = world.map.operations.iter().find(|o| o.id == id);
            Ok(found.map_or(OperationStatus::Done, |o| o.status.clone()))
        };
        self.read("GetOperation", || id.to_owned(), get, |status| format!("{status:?}"))
            .await
    }

    async fn instances(&self, service_id: &str) -> Result<Vec<Instance>, CloudError> {
        let list = |world: &World| {
            let Some(instances) = world.map.services.get(service_id) else {
                return Err(CloudError::new("ListInstances", Kind::NotFound, "no such service"));
            };
            let instance = |(id, attributes): (&String, &BTreeMap<String, String>)| Instance {
                id: id.clone(),
                attributes: attributes.clone(),
            };
            Ok(instances.iter().map(instance).collect())
        };
        self.read(
            "ListInstances",
            || service_id.to_owned(),
            list,
            |list: &Vec<_>| format!("{} instance(s)", list.len()),
        )
        .await
    }
}
