//! What a target runs: the service, and its task definition as raw JSON; and what else its rules ask about.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use wharfinger_cloud::Fault;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::delivery::{Facts, cluster_arn};
use wharfinger_core::known::Known;

use crate::wishes::{self, Stored};
use crate::{Attempt, Cloud, Delivery, neighbours, registry};

/// By how much ECS's clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

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

/// Looks at the target: the service and what is stored of it at once, then its task definition, then what that leads to.
///
/// # Errors
/// When ECS, the registry or a table does not answer.
pub async fn look(function: &Delivery, cloud: &impl Cloud, attempt: &Attempt, managed: Managed) -> Result<Look, Fault> {
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
    let described = async |name: Option<&str>| match name {
        Some(name) => Ok::<_, Fault>(Known::Yes(cloud.describe_task_definition(name).await?)),
        None => Ok(Known::No),
    };
    let sent_to = async {
        match facts.sent_since() {
            Some(sent) => {
                let since = sent.saturating_sub(SKEW).unwrap_or(sent);
                Ok::<_, Fault>(Known::Yes(cloud.sent_to(target, since).await?))
            }
            None => Ok(Known::No),
        }
    };
    // What is only told can wait until the service is at rest. Before an image goes out it is asked for once there is room.
    let is_at_rest = matches!(&facts.service, Known::Yes(Some(service)) if service.in_progress().is_none());
    let is_only_told = is_at_rest && (facts.memory.watched.is_some() || !stored.has_news());
    let family = facts.family_name().filter(|_| facts.takes_newest() || is_only_told);
    let (definition, latest, back_to, sent_to) = tokio::join!(
        described(facts.base_name()),
        described(family),
        described(facts.back_name()),
        sent_to
    );
    (facts.definition, facts.latest) = (definition?, latest?);
    (facts.back_to, facts.sent_to) = (back_to?, sent_to?);
    for name in facts.unanswered_names() {
        facts.since.extend(cloud.describe_task_definition(&name).await?);
    }
    neighbours::look(function, cloud, &managed, &mut facts).await?;
    if let Some(cluster) = facts
        .memory
        .following
        .as_deref()
        .and_then(|revision| cluster_arn(revision, &target.cluster))
    {
        facts.followers = Known::Yes(cloud.followers(&cluster).await?);
    }
    registry::look(cloud, &mut facts).await?;
    Ok(Look { managed, facts, stored })
}
