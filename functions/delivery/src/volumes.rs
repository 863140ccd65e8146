//! What the volumes of a service can begin with: asked only when the service is about to be sent somewhere, and only where
//! the configuration restores them.

use futures_util::future::try_join_all;
use wharfinger_cloud::Fault;
use wharfinger_core::delivery::{Facts, decide};
use wharfinger_core::known::Known;
use wharfinger_core::storage::{LINEAGE_TAG, Lineage};

use crate::{Attempt, Cloud};

/// Asks for the snapshots of the volumes that are restored, and for the service's own volume configurations.
///
/// # Errors
/// When EC2 or ECS does not answer.
pub async fn look(cloud: &impl Cloud, attempt: &Attempt, facts: &mut Facts) -> Result<(), Fault> {
    if !decide(facts, cloud.now()).asks_volumes() {
        return Ok(());
    }
    let listing = facts.restores().map(async |volume| {
        let lineage = Lineage::of(&facts.target, volume).to_string();
        cloud.snapshots_tagged(LINEAGE_TAG, &lineage).await
    });
    let listing = try_join_all(listing.collect::<Vec<_>>());
    let (snapshots, configurations) = tokio::join!(listing, cloud.volume_configurations(&facts.target));
    let mut snapshots: Vec<_> = snapshots?.into_iter().flatten().collect();
    snapshots.retain(|snapshot| snapshot.is_of(&attempt.owner));
    facts.volumes.configurations = Known::Yes(configurations?);
    facts.volumes.snapshots = Known::Yes(snapshots);
    Ok(())
}
