//! Targets that someone else may have deployed: what they have proved is of another revision than the one that they run.
//!
//! Nothing else about them says that a look is worth while, and others may go ahead on that proof.

use std::collections::BTreeMap;

use wharfinger_cloud::Fault;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::delivery::Memory;
use wharfinger_core::ids::same_revision;

use crate::Cloud;

/// A target, and the revisions with which it has proved images.
#[derive(Debug, Clone)]
pub struct Proven {
    managed: Managed,
    revisions: Vec<String>,
}

impl Proven {
    /// What a target has proved; `None` when it has proved nothing, and of a family, which no one deploys.
    #[must_use]
    pub fn of(managed: Managed, memory: &Memory) -> Option<Self> {
        let revisions: Vec<_> = memory.proved.values().map(|proof| proof.revision.clone()).collect();
        (managed.is_service() && !revisions.is_empty()).then_some(Self { managed, revisions })
    }

    /// Whether one of them is not the one that the service is on, so that the proof is to be looked at.
    fn has_left(&self, runs: &str) -> bool {
        !self.revisions.iter().all(|revision| same_revision(revision, runs))
    }
}

/// Those of one cluster whose services are on another revision: one `DescribeServices` for each ten.
///
/// # Errors
/// When ECS does not answer.
pub async fn moved(cloud: &impl Cloud, cluster: &str, proven: Vec<Proven>) -> Result<Vec<Managed>, Fault> {
    let names: Vec<_> = proven.iter().map(|one| one.managed.target.name.clone()).collect();
    let services = cloud.describe_services(cluster, &names).await?;
    let is_elsewhere = |one: &Proven| {
        let service = services.get(&one.managed.target.name);
        service.is_some_and(|service| one.has_left(&service.task_definition))
    };
    let moved = proven.into_iter().filter(is_elsewhere);
    Ok(moved.map(|one| one.managed).collect())
}

/// The same targets by their clusters.
#[must_use]
pub fn by_cluster(proven: Vec<Proven>) -> BTreeMap<String, Vec<Proven>> {
    let mut clusters: BTreeMap<String, Vec<Proven>> = BTreeMap::new();
    for one in proven {
        clusters
            .entry(one.managed.target.cluster.clone())
            .or_default()
            .push(one);
    }
    clusters
}
