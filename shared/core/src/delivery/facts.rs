//! What is known of a target and of the images that it is to have.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Linger, Memory, Wish};
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
    /// How long its tasks are to linger.
    pub linger: Option<Linger>,
    /// When `apply --linger` last asked that this be rolled out without an image to wait for.
    pub linger_asked: Option<Timestamp>,
    /// What was stored of its rollouts.
    pub memory: Memory,
}

impl Facts {
    /// The `apply --linger` that is still to be answered; a family has no tasks to roll out.
    pub fn asks_to_linger(&self) -> Option<Timestamp> {
        let is_open = |at: &Timestamp| self.memory.lingered.is_none_or(|done| done < *at);
        self.linger_asked
            .filter(is_open)
            .filter(|_| self.target.kind == TargetKind::Service)
    }

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
