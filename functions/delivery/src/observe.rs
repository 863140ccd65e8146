//! What a target runs: the service, and its task definition as raw JSON.

use std::collections::BTreeMap;

use wharfinger_cloud::Fault;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::delivery::Facts;
use wharfinger_core::known::Known;

use crate::wishes::{self, Stored};
use crate::{Attempt, Cloud};

/// What is known of a target, under its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The target and its configuration.
    pub managed: Managed,
    /// What the decider looks at.
    pub facts: Facts,
    /// What is stored of it.
    pub stored: Stored,
}

/// Looks at the target: the service and what is stored of it at once, then its task definition.
///
/// # Errors
/// When ECS or the table does not answer.
pub async fn look(cloud: &impl Cloud, attempt: &Attempt, managed: Managed) -> Result<Look, Fault> {
    let target = &managed.target;
    let names = [target.name.clone()];
    let service = async {
        if managed.is_service() {
            cloud.describe_services(&target.cluster, &names).await
        } else {
            Ok(BTreeMap::default())
        }
    };
    let (stored, services) = tokio::join!(Stored::read(cloud, target), service);
    let stored = stored?;
    let mut facts = wishes::facts(attempt, &managed, &stored);
    facts.service = Known::Yes(services?.remove(&target.name));
    if let Some(name) = facts.base_name().map(str::to_owned) {
        facts.definition = Known::Yes(cloud.describe_task_definition(&name).await?);
    }
    Ok(Look { managed, facts, stored })
}
