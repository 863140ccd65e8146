//! How `apply --create` makes what is missing in Cloud Map.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stored::{Record, Registry, registry_id};
use super::{Address, Discovery, Document, Span, is_default};

/// How long resolvers may keep a record: short, since tasks come and go (copilot-cli #1282).
const TTL: Span = Span::seconds(10);

/// How a Cloud Map service is made, and its namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Create {
    /// The VPC (`vpc-…`) in which a namespace that is made has DNS. Without it the namespace is for API calls only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// The DNS records of a service that is made in a namespace with DNS: `A`, `AAAA`, `SRV`. Without it `A`, or `AAAA` where
    /// the address is `ipv6`. An empty list makes a service for API calls only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<Record>>,
    /// How long resolvers may keep a record: 10 seconds if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Whether a service that is made has a custom health check: with it, an unhealthy task stays and is marked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub health_check: HealthCheck,
}

/// The health check of a Cloud Map service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HealthCheck {
    /// None: a task that is there is taken to be well.
    #[default]
    None,
    /// One that is told (`HealthCheckCustomConfig`).
    Custom,
}

/// What is made of a name, should it be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Making {
    /// The VPC of the namespace; none for a namespace without DNS.
    pub vpc: Option<String>,
    /// The DNS records that the service is to have.
    pub records: Vec<Record>,
    /// Whether the records were asked for; otherwise they follow from the addresses.
    pub asked: bool,
    /// How long resolvers may keep them.
    pub ttl: Span,
    /// Whether the service has a custom health check.
    pub custom_health: bool,
}

impl Making {
    /// The service as it will be, in a namespace with or without DNS.
    #[must_use]
    pub fn registry(&self, id: impl Into<String>, dns: bool) -> Registry {
        Registry {
            id: id.into(),
            records: if dns { self.records.clone() } else { Vec::new() },
            custom_health: self.custom_health,
        }
    }
}

/// What is made of each `namespace/service` of a document, should it be missing. Entries with the same name agree in a
/// validated document.
#[must_use]
pub fn making(document: &Document) -> BTreeMap<String, Making> {
    let entries: Vec<_> = document.entries().flat_map(|entry| entry.config.discovery).collect();
    let mut by_name: BTreeMap<&str, Vec<&Discovery>> = BTreeMap::new();
    let mut vpcs: BTreeMap<&str, &String> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| registry_id(&entry.to).is_none()) {
        by_name.entry(&entry.to).or_default().push(entry);
        let vpc = entry.create.as_ref().and_then(|create| create.vpc.as_ref());
        vpcs.extend(vpc.map(|vpc| (namespace(&entry.to), vpc)));
    }
    let made = |(to, entries): (&str, Vec<&Discovery>)| {
        let create = entries
            .iter()
            .find_map(|entry| entry.create.clone())
            .unwrap_or_default();
        let making = Making {
            vpc: vpcs.get(namespace(to)).map(|vpc| (*vpc).clone()),
            asked: create.records.is_some(),
            records: create.records.unwrap_or_else(|| derived(&entries)),
            ttl: create.ttl.unwrap_or(TTL),
            custom_health: create.health_check == HealthCheck::Custom,
        };
        (to.to_owned(), making)
    };
    by_name.into_iter().map(made).collect()
}

/// The namespace of `namespace/service`.
pub(super) fn namespace(to: &str) -> &str {
    to.split_once('/').map_or(to, |(namespace, _)| namespace)
}

fn derived(entries: &[&Discovery]) -> Vec<Record> {
    let records = entries.iter().map(|entry| match entry.address {
        Address::Private | Address::Public => Record::A,
        Address::Ipv6 => Record::Aaaa,
    });
    records.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(discovery: &serde_json::Value) -> BTreeMap<String, Making> {
        let document = json!({ "version": 1, "services": { "prod/web": { "discovery": discovery } } });
        making(&serde_json::from_value(document).unwrap())
    }

    #[test]
    fn records_follow_from_the_address_unless_they_are_asked_for() {
        let made = made(&json!([
            { "to": "a.local/four" },
            { "to": "a.local/six", "address": "ipv6" },
            { "to": "a.local/srv", "port": 80, "create": { "records": ["SRV"], "ttl": "1m", "health-check": "custom" } },
            { "to": "a.local/api", "create": { "records": [], "vpc": "vpc-1" } },
            { "to": "srv-1" },
        ]));
        let records: Vec<_> = made
            .iter()
            .map(|(to, m)| (to.as_str(), m.records.clone(), m.asked))
            .collect();
        assert_eq!(
            records,
            [
                ("a.local/api", vec![], true),
                ("a.local/four", vec![Record::A], false),
                ("a.local/six", vec![Record::Aaaa], false),
                ("a.local/srv", vec![Record::Srv], true),
            ]
        );
        // The namespace is one: who names its VPC names it for all.
        assert!(made.values().all(|making| making.vpc.as_deref() == Some("vpc-1")));
        let srv = &made["a.local/srv"];
        assert_eq!((srv.ttl, srv.custom_health), (Span::minutes(1), true));
        assert_eq!(
            (made["a.local/four"].ttl, made["a.local/four"].custom_health),
            (TTL, false)
        );
    }

    #[test]
    fn without_dns_there_are_no_records() {
        let making = &made(&json!([{ "to": "a/b" }]))["a/b"];
        assert_eq!(making.registry("srv-1", false).records, []);
        assert_eq!(making.registry("srv-1", true).records, [Record::A]);
    }
}
