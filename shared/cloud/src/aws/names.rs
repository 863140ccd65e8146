//! The names of AWS Cloud Map.

use std::collections::BTreeMap;

use aws_sdk_servicediscovery::types::{
    DnsConfig, DnsRecord, NamespaceType, RecordType, ServiceFilter, ServiceFilterName, ServiceSummary,
};

use wharfinger_core::config::stored::{Record, Registry};

use super::{Aws, sdk};
use crate::error::{CloudError, Kind};
use crate::ports::{Names, Namespace};

/// How long resolvers may keep an address, in seconds: short, since tasks come and go (copilot-cli #1282).
const RECORD_TTL: i64 = 10;

fn registry(service: ServiceSummary) -> Option<(String, Registry)> {
    let records = service.dns_config.map(|dns| dns.dns_records).unwrap_or_default();
    let record = |record: &DnsRecord| match record.r#type {
        RecordType::A => Some(Record::A),
        RecordType::Aaaa => Some(Record::Aaaa),
        RecordType::Srv => Some(Record::Srv),
        RecordType::Cname => Some(Record::Cname),
        _ => None,
    };
    let registry = Registry {
        id: service.id?,
        records: records.iter().filter_map(record).collect(),
        custom_health: service.health_check_custom_config.is_some(),
    };
    Some((service.name?, registry))
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
            let mut found = BTreeMap::new();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|e| sdk::error("ListServices", &e))?;
                let services = page.services.unwrap_or_default().into_iter();
                found.extend(services.filter_map(registry));
            }
            Ok(found)
        };
        self.within("ListServices", call).await
    }

    async fn create_namespace(&self, name: &str) -> Result<Option<String>, CloudError> {
        let call = async {
            let sent = self.servicediscovery.create_http_namespace().name(name).send().await;
            sent.map_err(|e| sdk::error("CreateHttpNamespace", &e))
        };
        Ok(self.within("CreateHttpNamespace", call).await?.operation_id)
    }

    async fn create_registry(&self, namespace: &Namespace, name: &str) -> Result<String, CloudError> {
        let request = self
            .servicediscovery
            .create_service()
            .namespace_id(&namespace.id)
            .name(name);
        let invalid = |e: aws_sdk_servicediscovery::error::BuildError| {
            CloudError::new("CreateService", Kind::Invalid, e.to_string())
        };
        let request = if namespace.dns {
            let record = DnsRecord::builder()
                .r#type(RecordType::A)
                .ttl(RECORD_TTL)
                .build()
                .map_err(invalid)?;
            request.dns_config(DnsConfig::builder().dns_records(record).build().map_err(invalid)?)
        } else {
            request
        };
        let call = async { request.send().await.map_err(|e| sdk::error("CreateService", &e)) };
        let answer = self.within("CreateService", call).await?;
        answer
            .service
            .and_then(|s| s.id)
            .ok_or_else(|| CloudError::new("CreateService", Kind::Unreadable, "the answer names no service"))
    }
}
