//! What is known of a target and of the images that it is to have.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Memory;
use super::Wish;
use crate::config::Delivery;
use crate::ids::{Target, TargetKind};
use crate::known::Known;
use crate::service::ServiceFacts;

/// What [`super::decide()`] looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The service or family.
    pub target: Target,
    /// Its rules.
    pub rules: Vec<Delivery>,
    /// Our account: `shop/web` is in its registry.
    pub account: String,
    /// Our Region.
    pub region: String,
    /// What each rule wants, by [`super::rule_key`].
    pub wishes: BTreeMap<String, Wish>,
    /// The service, `None` when ECS does not know it; of no use for a family.
    pub service: Known<Option<ServiceFacts>>,
    /// The raw answer of `DescribeTaskDefinition` with tags, for [`Facts::base_name`]; `None` when there is none.
    pub definition: Known<Option<Value>>,
    /// What was stored of its rollouts.
    pub memory: Memory,
}

impl Facts {
    /// What `DescribeTaskDefinition` is to be asked for: the service's own revision, or the family, which means its latest
    /// ACTIVE one. `None` as long as the service is not known, and when there is none.
    pub fn base_name(&self) -> Option<&str> {
        match (self.target.kind, &self.service) {
            (TargetKind::Task, _) => Some(&self.target.name),
            (TargetKind::Service, Known::Yes(Some(service))) => Some(&service.task_definition),
            (TargetKind::Service, Known::Yes(None) | Known::No) => None,
        }
    }
}
