//! What the registry holds against what was rolled out: pushes that no event told, and what waits; and what
//! `apply --linger` asked for.

use std::collections::BTreeMap;

use wharfinger_cloud::Fault;
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::ports::TaggedImage;
use wharfinger_cloud::sweep::Pass;
use wharfinger_core::config::stored::{Managed, repository_path};
use wharfinger_core::delivery::{Compiled, Repository, Wish, rule_key};

use crate::wishes::Stored;
use crate::{Attempt, Cloud, Delivery, NAME};

/// What each repository of our registry holds; `None` when it does not exist.
type Listings = BTreeMap<String, Option<Vec<TaggedImage>>>;

/// One pass over every target with delivery, and every one that was asked to linger.
///
/// # Errors
/// When parts of it failed; the others went through.
pub async fn sweep(function: &Delivery, cloud: &impl Cloud, attempt: &Attempt, event_id: &str) -> Result<(), Fault> {
    let found = function.config.all(cloud).await?;
    let mut pass = Pass::of(NAME);
    pass.report(cloud, &found.malformed);
    let cause = Cause {
        name: format!("sweep {event_id}"),
        at: None,
    };
    let (mut listings, mut swept, mut busy) = (Listings::new(), 0, 0);
    for managed in found.targets.into_iter().filter(concerns) {
        swept += 1;
        let name = managed.target.to_string();
        let result = match waits(cloud, attempt, &managed, &mut listings).await {
            Ok(false) => Ok(()),
            Ok(true) => {
                busy += 1;
                function.converge(cloud, attempt, &cause, managed).await
            }
            Err(fault) => Err(fault),
        };
        pass.part(cloud, name, result);
    }
    pass.finish(cloud, &[("SweptTargets", swept), ("BusyTargets", busy)])
        .await
}

/// Whether this function may have something to do for a target.
pub(crate) fn concerns(managed: &Managed) -> bool {
    !managed.stored.config.delivery.is_empty() || managed.stored.linger_asked.is_some()
}

/// Whether a target has something to do, once its wishes were compared with the registry.
async fn waits(
    cloud: &impl Cloud,
    attempt: &Attempt,
    managed: &Managed,
    listings: &mut Listings,
) -> Result<bool, Fault> {
    let stored = Stored::read(cloud, &managed.target).await?;
    let mut news = false;
    for rule in &managed.stored.config.delivery {
        let path = repository_path(&rule.repository);
        let ours = Repository::in_ecr(&attempt.account, &attempt.region, path);
        if Repository::configured(&rule.repository, &attempt.account, &attempt.region).ok() != Some(ours) {
            continue;
        }
        let Ok(policy) = Compiled::new(&rule.tags) else {
            tracing::error!(target = %managed.target, repository = rule.repository, "the tag policy cannot be read");
            continue;
        };
        if !listings.contains_key(path) {
            listings.insert(path.to_owned(), cloud.tagged_images(path).await?);
        }
        let Some(Some(listing)) = listings.get(path) else {
            tracing::warn!(target = %managed.target, repository = path, "the repository does not exist");
            continue;
        };
        let listing: Vec<_> = listing.iter().map(|image| wish(path, image)).collect();
        let key = rule_key(rule);
        let known = stored.wishes.get(&key);
        if let Some(seen) = policy.seen(known, &listing).filter(|seen| Some(seen) != known) {
            // When another invocation was quicker, what it stored waits as well.
            stored.put(cloud, &managed.target, &key, &seen).await?;
            news = true;
        }
    }
    Ok(news || !stored.is_quiet(attempt, managed))
}

fn wish(repository: &str, image: &TaggedImage) -> Wish {
    Wish {
        repository: repository.to_owned(),
        tag: image.tag.clone(),
        digest: image.digest.clone(),
        pushed_at: image.pushed_at,
    }
}
