//! The names of AWS Cloud Map.

use std::collections::BTreeMap;

use aws_sdk_servicediscovery::error::BuildError;
use aws_sdk_servicediscovery::operation::create_service::builders::CreateServiceFluentBuilder;
use aws_sdk_servicediscovery::types::{
    DnsConfig, DnsRecord, HealthCheckCustomConfig, NamespaceType, RecordType, RoutingPolicy, ServiceFilter,
    ServiceFilterName, ServiceSummary, ServiceTypeOption,
};
use wharfinger_core::config::Making;
use wharfinger_core::config::stored::{Record, Registry};

use super::{Aws, sdk};
use crate::error::{CloudError, Kind};
use crate::ports::{Names, Namespace};

fn registry(service: ServiceSummary) -> Option<(String, Registry)> {
    let registry = Registry {
        id: service.id?,
        records: records(service.dns_config),
        custom_health: service.health_check_custom_config.is_some(),
    };
    Some((service.name?, registry))
}

fn records(config: Option<DnsConfig>) -> Vec<Record> {
    let records = config.map(|dns| dns.dns_records).unwrap_or_default();
    let record = |record: &DnsRecord| match record.r#type {
        RecordType::A => Some(Record::A),
        RecordType::Aaaa => Some(Record::Aaaa),
        RecordType::Srv => Some(Record::Srv),
        RecordType::Cname => Some(Record::Cname),
        _ => None,
    };
    records.iter().filter_map(record).collect()
}

fn record_type(record: Record) -> RecordType {
    match record {
        Record::A => RecordType::A,
        Record::Aaaa => RecordType::Aaaa,
        Record::Srv => RecordType::Srv,
        Record::Cname => RecordType::Cname,
    }
}

/// What the service is to have: records, or none although the namespace has DNS, and the health check.
fn made(
    request: CreateServiceFluentBuilder,
    dns: bool,
    making: &Making,
) -> Result<CreateServiceFluentBuilder, BuildError> {
    let request = if making.custom_health {
        request.health_check_custom_config(HealthCheckCustomConfig::builder().build())
    } else {
        request
    };
    if !dns {
        return Ok(request);
    }
    if making.records.is_empty() {
        return Ok(request.r#type(ServiceTypeOption::Http));
    }
    let ttl = i64::try_from(making.ttl.duration().as_secs()).unwrap_or(i64::MAX);
    let record = |record: &Record| DnsRecord::builder().r#type(record_type(*record)).ttl(ttl).build();
    let records = making.records.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    let config = DnsConfig::builder()
        .routing_policy(RoutingPolicy::Multivalue)
        .set_dns_records(Some(records));
    Ok(request.dns_config(config.build()?))
}

impl Aws {
    /// Those that `GetService` says to be in a namespace.
    async fn within_namespace(
        &self,
        registries: Vec<Registry>,
        namespace_id: &str,
    ) -> Result<Vec<Registry>, CloudError> {
        let mut within = Vec::new();
        for registry in registries {
            let answer = self.servicediscovery.get_service().id(&registry.id).send().await;
            let service = answer.map_err(|e| sdk::error("GetService", &e))?.service;
            if service.and_then(|service| service.namespace_id).as_deref() == Some(namespace_id) {
                within.push(registry);
            }
        }
        Ok(within)
    }
}

impl Names for Aws {
    async fn namespaces(&self) -> Result<Vec<Namespace>, CloudError> {
        let call = async {
            let mut pages = self.servicediscovery.list_namespaces().into_paginator().send();
            let mut found = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|e| sdk::error("ListNamespaces", &e))?;
                found.extend(page.namespaces.unwrap_or_default().into_iter().filter_map(|n| {
                    let dns = matches!(n.r#type, Some(NamespaceType::DnsPrivate | NamespaceType::DnsPublic));
                    Some(Namespace {
                        id: n.id?,
                        name: n.name?,
                        dns,
                    })
                }));
            }
            Ok(found)
        };
        self.within("ListNamespaces", call).await
    }

    async fn registries(&self, namespace_id: &str) -> Result<BTreeMap<String, Registry>, CloudError> {
        let call = async {
            let filter = ServiceFilter::builder()
                .name(ServiceFilterName::NamespaceId)
                .values(namespace_id)
                .build()
                .map_err(|e| CloudError::new("ListServices", Kind::Invalid, e.to_string()))?;
            let mut pages = self
                .servicediscovery
                .list_services()
                .filters(filter)
                .into_paginator()
                .send();
            let mut found: BTreeMap<String, Vec<Registry>> = BTreeMap::new();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|e| sdk::error("ListServices", &e))?;
                for (name, registry) in page.services.unwrap_or_default().into_iter().filter_map(registry) {
                    found.entry(name).or_default().push(registry);
                }
            }
            let mut of_namespace = BTreeMap::new();
            for (name, mut several) in found {
                // A name is there once in a namespace; clouds that only look like AWS may answer those of others too.
                if several.len() > 1 {
                    several = self.within_namespace(several, namespace_id).await?;
                }
                of_namespace.extend(several.pop().map(|registry| (name, registry)));
            }
            Ok(of_namespace)
        };
        self.within("ListServices", call).await
    }

    async fn registry(&self, id: &str) -> Result<Registry, CloudError> {
        const OPERATION: &str = "GetService";
        let request = self.servicediscovery.get_service().id(id);
        let call = async { request.send().await.map_err(|e| sdk::error(OPERATION, &e)) };
        let service = self.within(OPERATION, call).await?.service;
        let service =
            service.ok_or_else(|| CloudError::new(OPERATION, Kind::Unreadable, "the answer names no service"))?;
        Ok(Registry {
            // As it is written: a shared service is known by its ARN only.
            id: id.to_owned(),
            records: records(service.dns_config),
            custom_health: service.health_check_custom_config.is_some(),
        })
    }

    async fn create_namespace(&self, name: &str, vpc: Option<&str>) -> Result<Option<String>, CloudError> {
        const OPERATION: &str = "CreatePrivateDnsNamespace";
        let Some(vpc) = vpc else {
            let request = self.servicediscovery.create_http_namespace().name(name);
            let call = async { request.send().await.map_err(|e| sdk::error("CreateHttpNamespace", &e)) };
            return Ok(self.within("CreateHttpNamespace", call).await?.operation_id);
        };
        let request = self.servicediscovery.create_private_dns_namespace().name(name).vpc(vpc);
        let call = async { request.send().await.map_err(|e| sdk::error(OPERATION, &e)) };
        Ok(self.within(OPERATION, call).await?.operation_id)
    }

    async fn create_registry(&self, namespace: &Namespace, name: &str, making: &Making) -> Result<String, CloudError> {
        const OPERATION: &str = "CreateService";
        let request = self.servicediscovery.create_service();
        let request = made(request.namespace_id(&namespace.id).name(name), namespace.dns, making)
            .map_err(|e| CloudError::new(OPERATION, Kind::Invalid, e.to_string()))?;
        let call = async { request.send().await.map_err(|e| sdk::error(OPERATION, &e)) };
        let answer = self.within(OPERATION, call).await?;
        answer
            .service
            .and_then(|s| s.id)
            .ok_or_else(|| CloudError::new(OPERATION, Kind::Unreadable, "the answer names no service"))
    }
}

#[cfg(test)]
mod tests;
