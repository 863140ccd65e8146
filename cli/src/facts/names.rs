//! What names mean: Cloud Map services and target groups.

use serde_json::Value;
use wharfinger_core::balancing::{TargetGroup, TargetType};
use wharfinger_core::config::Document;
use wharfinger_core::config::stored::{Record, Registry, Resolved, registry_id};
use wharfinger_core::known::Known;

use super::{Answers, Element};

impl Answers {
    /// The Cloud Map service that `discovery.to` names, as `ListNamespaces` and `ListServices` tell it; `None` when they
    /// have no such name. `ListServices` names no namespace, so the service's name must be unique in it.
    pub(crate) fn registry(&self, to: &str) -> Known<Option<Registry>> {
        if !self.has("ListServices") {
            return Known::No;
        }
        if let Some(id) = registry_id(to) {
            let mut services = self.elements("ListServices", "Services");
            let found = services.find(|found| id.ends_with(found.text("Id").unwrap_or("-")));
            // It is there, whatever is listed.
            return found.map_or(Known::No, |found| Known::Yes(registry(&found, Some(id))));
        }
        if !self.has("ListNamespaces") {
            return Known::No;
        }
        let Some((namespace, service)) = to.split_once('/') else {
            return Known::Yes(None);
        };
        let is = |element: &Element<'_>, name: &str| element.text("Name") == Some(name);
        if !self
            .elements("ListNamespaces", "Namespaces")
            .any(|found| is(&found, namespace))
        {
            return Known::Yes(None);
        }
        let mut services = self
            .elements("ListServices", "Services")
            .filter(|found| is(found, service));
        match (services.next(), services.next()) {
            (Some(found), None) => Known::Yes(registry(&found, None)),
            _ => Known::Yes(None),
        }
    }

    /// The target group of a name or an ARN, as `DescribeTargetGroups` tells it; `None` when it has no such group. An ARN
    /// that is not among the answers is one that nobody has looked up.
    pub(crate) fn target_group(&self, name: &str) -> Known<Option<TargetGroup>> {
        if !self.has("DescribeTargetGroups") {
            return Known::No;
        }
        let is_arn = name.starts_with("arn:");
        let field = if is_arn { "TargetGroupArn" } else { "TargetGroupName" };
        let mut groups = self.elements("DescribeTargetGroups", "TargetGroups");
        match groups.find(|group| group.text(field) == Some(name)) {
            Some(group) => Known::Yes(target_group(&group)),
            None if is_arn => Known::No,
            None => Known::Yes(None),
        }
    }

    /// What the names of a document mean, as far as the answers tell it.
    pub(crate) fn names(&self, document: &Document) -> Resolved {
        let mut names = Resolved::default();
        for entry in document.entries() {
            for discovery in entry.config.discovery {
                if let Known::Yes(Some(registry)) = self.registry(&discovery.to) {
                    names.registries.insert(discovery.to, registry);
                }
            }
            for balancing in entry.config.balancing {
                if let Known::Yes(Some(group)) = self.target_group(&balancing.target_group) {
                    names.target_groups.insert(balancing.target_group, group);
                }
            }
        }
        names
    }
}

fn registry(service: &Element<'_>, id: Option<&str>) -> Option<Registry> {
    let records = service.value.pointer("/DnsConfig/DnsRecords").and_then(Value::as_array);
    let record = |record: &Value| -> Option<Record> { serde_json::from_value(record.get("Type")?.clone()).ok() };
    Some(Registry {
        id: id.or_else(|| service.text("Id"))?.to_owned(),
        records: records.into_iter().flatten().filter_map(record).collect(),
        custom_health: service
            .value
            .get("HealthCheckCustomConfig")
            .is_some_and(|config| !config.is_null()),
    })
}

fn target_group(group: &Element<'_>) -> Option<TargetGroup> {
    let target_type = match group.text("TargetType") {
        Some("ip") => TargetType::Ip,
        Some("instance") => TargetType::Instance,
        _ => TargetType::Other,
    };
    Some(TargetGroup {
        arn: group.text("TargetGroupArn")?.to_owned(),
        target_type,
    })
}
