//! To which cluster an instance belongs: remembered from when it was seen last, else looked up in each.

use futures_util::future::try_join_all;
use wharfinger_cloud::Fault;
use wharfinger_core::capacity::ContainerInstance;
use wharfinger_core::config::stored::ManagedCluster;
use wharfinger_core::ids::Target;

use crate::rows::{Place, place, remember};
use crate::{Cloud, NAME};

/// The cluster of an EC2 instance; `None` when it is in none of these. Clusters are asked only when `search` says so.
///
/// # Errors
/// When the table or ECS does not answer.
pub async fn cluster<'a>(
    cloud: &impl Cloud,
    clusters: &'a [ManagedCluster],
    instance: &str,
    search: bool,
) -> Result<Option<&'a ManagedCluster>, Fault> {
    if clusters.is_empty() {
        return Ok(None);
    }
    let of = |name: &str| clusters.iter().find(|managed| managed.target.cluster == name);
    let known = place(cloud, instance).await?;
    if let Some(managed) = known.as_ref().and_then(|place| of(&place.cluster)) {
        return Ok(Some(managed));
    }
    if !search {
        return Ok(None);
    }
    let ids = [instance.to_owned()];
    let asked = clusters.iter().map(async |managed| {
        let found = cloud.container_instances(&managed.target.cluster, Some(&ids)).await?;
        let found = found.into_iter().find(|one| !one.status.is_gone());
        Ok::<_, Fault>(found.map(|found| (managed, found)))
    });
    let found = try_join_all(asked).await?;
    let Some((managed, found)) = found.into_iter().flatten().next() else {
        return Ok(None);
    };
    learn(cloud, &managed.target, &found).await?;
    Ok(Some(managed))
}

/// Remembers where an instance is, unless that is known.
///
/// # Errors
/// When the table cannot be read or written.
pub async fn learn(cloud: &impl Cloud, cluster: &Target, instance: &ContainerInstance) -> Result<(), Fault> {
    let Some(id) = &instance.ec2_instance_id else {
        return Ok(());
    };
    let found = Place {
        cluster: cluster.cluster.clone(),
        container_instance: instance.arn.clone(),
    };
    if place(cloud, id).await?.as_ref() == Some(&found) {
        return Ok(());
    }
    tracing::debug!(domain = NAME, instance = id, cluster = %cluster, "found");
    remember(cloud, id, &found, cloud.now()).await
}
