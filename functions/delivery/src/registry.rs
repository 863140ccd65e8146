//! What the registry says of the images that are about to be rolled out: asked only of those, and only then.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use wharfinger_cloud::{Fault, images};
use wharfinger_core::delivery::{Decided, Facts, ImageFacts, ImageRef, Repository, Wish, containers, decide, rule_key};
use wharfinger_core::ids::Digest;
use wharfinger_core::known::Known;
use wharfinger_core::report::Code;

use crate::Cloud;

/// An image in a repository of our registry.
type Image = (String, Digest);

/// Asks what is still needed: of an image that would be rolled out now whether it can be pulled, which tags name it and where
/// it runs; of one that waits for its scan what was found.
///
/// # Errors
/// When the registry does not answer.
pub async fn look(cloud: &impl Cloud, facts: &mut Facts) -> Result<(), Fault> {
    let mut decided = decide(facts, cloud.now());
    let scanned = scanned(facts, &decided);
    let again = !scanned.is_empty();
    for (repository, digest) in scanned {
        let manifest = images::manifest(cloud, &repository, &digest).await?;
        let report = images::scans(cloud, &repository, &digest, manifest.as_ref()).await?;
        facts.scans.insert(digest, report);
    }
    if again {
        decided = decide(facts, cloud.now());
    }
    let ask = async |(repository, digest): Image| {
        let manifest = images::manifest(cloud, &repository, &digest);
        let (state, manifest) = tokio::join!(cloud.image(&repository, &digest), manifest);
        let image = ImageFacts {
            state: state?,
            manifest: manifest?,
        };
        Ok::<_, Fault>((digest, image))
    };
    let asked: BTreeSet<Image> = due(facts, decided).into_iter().chain(back_to(facts)).collect();
    facts.images.extend(try_join_all(asked.into_iter().map(ask)).await?);
    Ok(())
}

/// The images whose scan a gate waits for.
fn scanned(facts: &Facts, decided: &Decided) -> Vec<Image> {
    if !decided.decision.missing.contains(&"DescribeImageScanFindings") {
        return Vec::new();
    }
    let waiting = decided.memory.waiting.as_ref();
    let waiting = waiting.filter(|w| w.codes.contains(&Code::ScanPending));
    let wishes = waiting.into_iter().flat_map(|waiting| &waiting.wishes);
    let images = wishes.filter_map(|(key, wish)| ours(facts, key, wish.clone()));
    images.filter(|(_, digest)| !facts.scans.contains_key(digest)).collect()
}

/// The images that would be rolled out now. Those of a revision that is registered already were looked at before.
fn due(facts: &Facts, decided: Decided) -> Vec<Image> {
    let intent = decided.intent.filter(|intent| intent.registered.is_none());
    let wishes = intent.into_iter().flat_map(|intent| intent.wishes);
    wishes.filter_map(|(key, wish)| ours(facts, &key, wish)).collect()
}

/// The image of a rule, if it is in our registry: others are not asked.
fn ours(facts: &Facts, key: &str, wish: Wish) -> Option<Image> {
    let rule = facts.rules.iter().find(|rule| rule_key(rule) == key)?;
    let repository = Repository::configured(&rule.repository, &facts.account, &facts.region).ok()?;
    let own = Repository::in_ecr(&facts.account, &facts.region, &repository.path);
    (repository == own).then_some((wish.repository, wish.digest))
}

/// The pinned images of our registry in the revision that a person wants back.
fn back_to(facts: &Facts) -> Vec<Image> {
    let Known::Yes(Some(answer)) = &facts.back_to else {
        return Vec::new();
    };
    let ours = |path: &str| Repository::in_ecr(&facts.account, &facts.region, path);
    let pinned = |image: ImageRef| {
        let repository = image.repository();
        (repository == ours(&repository.path)).then_some((repository.path, image.digest?))
    };
    let containers = containers(answer).unwrap_or_default();
    containers
        .iter()
        .filter_map(|container| pinned(container.image.parse().ok()?))
        .collect()
}
