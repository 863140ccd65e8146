//! An instance of a Cloud Map service, as a member of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::records::mismatch;
use super::{Facts, attributes};
use crate::config::stored::StoredTarget;
use crate::config::{Address, Discovery, Service};
use crate::endpoint::{Ask, By, Lack, Member, Request, Seat};
use crate::known::Known;
use crate::report::{Code, Reason};

/// The longest instance id (Cloud Map API reference, `RegisterInstance`).
const MAX_INSTANCE_ID: usize = 64;

const IPV4: &str = "AWS_INSTANCE_IPV4";
const IPV6: &str = "AWS_INSTANCE_IPV6";
const PORT: &str = "AWS_INSTANCE_PORT";

/// An instance of a Cloud Map service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    /// The Cloud Map service.
    pub service_id: String,
    /// `<task id>-<port>`, or the task id.
    pub instance_id: String,
    /// Address, port, and what else is said of it.
    pub attributes: BTreeMap<String, String>,
    /// Whether the custom health check says that it is unhealthy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unhealthy: bool,
}

/// The request of `DeregisterInstance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeregisterInstance {
    /// The Cloud Map service.
    pub service_id: String,
    /// The instance.
    pub instance_id: String,
}

impl From<&Endpoint> for DeregisterInstance {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            service_id: endpoint.service_id.clone(),
            instance_id: endpoint.instance_id.clone(),
        }
    }
}

impl Endpoint {
    /// The status that the custom health check is told (Cloud Map API reference, `UpdateInstanceCustomHealthStatus`).
    #[must_use]
    pub const fn status(&self) -> &'static str {
        if self.unhealthy { "UNHEALTHY" } else { "HEALTHY" }
    }

    /// Whether only the status of the custom health check differs.
    #[must_use]
    pub fn differs_in_status_only(&self, before: &Self) -> bool {
        self.unhealthy != before.unhealthy && self.is_same(before) && self.attributes == before.attributes
    }
}

impl Member for Endpoint {
    const DOMAIN: &'static str = "discovery";
    const SHARED: bool = false;
    const LISTED_BY: &'static str = "ListInstances";
    type Entry = Discovery;

    fn entries(config: &Service) -> &[Discovery] {
        &config.discovery
    }

    fn label(entry: &Discovery) -> &str {
        &entry.to
    }

    fn ask<'e>(_: &StoredTarget, entry: &'e Discovery) -> Ask<'e> {
        Ask {
            container: entry.container.as_deref(),
            port: entry.port,
            address: entry.address,
            when: entry.when,
            by: By::Address,
        }
    }

    fn collection(stored: &StoredTarget, entry: &Discovery) -> Result<String, Reason> {
        let found = stored.registry(&entry.to);
        found.map(str::to_owned).ok_or_else(|| {
            let message = format!(
                "the Cloud Map service of `{}` is not known: apply the configuration, which looks it up",
                entry.to
            );
            Reason::new(Code::RegistryUnresolved, message)
        })
    }

    fn make(facts: &Facts, entry: &Discovery, seat: &Seat<'_>) -> Result<Self, Lack> {
        let mut endpoint = Self::place(facts, entry)?;
        endpoint.attributes = attributes::attributes(facts, entry, seat.container)?;
        let key = match entry.address {
            Address::Private | Address::Public => IPV4,
            Address::Ipv6 => IPV6,
        };
        endpoint.attributes.insert(key.into(), seat.id.clone());
        if let Some(port) = seat.port {
            endpoint.attributes.insert(PORT.into(), port.to_string());
        }
        attributes::fit(&endpoint.attributes)?;
        let registry = facts.managed.stored.registries.get(&entry.to);
        match registry.and_then(|registry| mismatch(entry, registry)) {
            Some(message) => Err(Lack::Nothing(Reason::new(Code::RegistryMismatch, message))),
            None => Ok(endpoint),
        }
    }

    fn place(facts: &Facts, entry: &Discovery) -> Result<Self, Lack> {
        let service_id = Self::collection(&facts.managed.stored, entry).map_err(Lack::Nothing)?;
        let id = facts.task.task_arn.id();
        let instance_id = entry.port.map_or_else(|| id.to_owned(), |port| format!("{id}-{port}"));
        if instance_id.len() > MAX_INSTANCE_ID {
            let message = format!("the instance id `{instance_id}` is longer than {MAX_INSTANCE_ID} characters");
            return Err(Lack::Nothing(Reason::new(Code::AttributeTooLong, message)));
        }
        Ok(Self {
            service_id,
            instance_id,
            attributes: BTreeMap::new(),
            unhealthy: false,
        })
    }

    /// It stays and is marked where the Cloud Map service has a custom health check, unless it never was there.
    fn unhealthy(&self, facts: &Facts) -> Option<Self> {
        let registries = &facts.managed.stored.registries;
        let marks = registries.values().any(|r| r.id == self.service_id && r.custom_health);
        let there = match &facts.belief {
            Known::Yes(belief) => belief.possible().any(|e| e.is_same(self)),
            Known::No => false,
        };
        (marks && there).then(|| Self {
            unhealthy: true,
            ..self.clone()
        })
    }

    fn kept_in(&self) -> &str {
        &self.service_id
    }

    fn name(&self) -> String {
        self.instance_id.clone()
    }

    fn group(&self) -> Option<String> {
        let of = |key: &str| self.attributes.get(key);
        let service = of("ECS_SERVICE_NAME").map(|name| format!("service:{name}"));
        service.or_else(|| of("ECS_TASK_DEFINITION_FAMILY").map(|name| format!("family:{name}")))
    }

    fn address(&self) -> Option<String> {
        let address = self.attributes.get(IPV4).or_else(|| self.attributes.get(IPV6))?;
        let port = self.attributes.get(PORT)?;
        Some(match address.parse() {
            Ok(IpAddr::V6(_)) => format!("[{address}]:{port}"),
            _ => format!("{address}:{port}"),
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.service_id == other.service_id && self.instance_id == other.instance_id
    }

    fn joins(&self, before: Option<&Self>) -> Request {
        if before.is_some_and(|before| self.differs_in_status_only(before)) {
            return Request {
                call: "UpdateInstanceCustomHealthStatus",
                input: json!({
                    "ServiceId": self.service_id,
                    "InstanceId": self.instance_id,
                    "Status": self.status(),
                }),
            };
        }
        Request {
            call: "RegisterInstance",
            input: json!({
                "ServiceId": self.service_id,
                "InstanceId": self.instance_id,
                "Attributes": self.attributes,
            }),
        }
    }

    fn leaves(&self) -> Request {
        Request {
            call: "DeregisterInstance",
            input: json!({ "ServiceId": self.service_id, "InstanceId": self.instance_id }),
        }
    }
}
