//! What the registry holds against what was rolled out: pushes that no event told, and what waits; what `apply --linger`
//! asked for; and services that someone else deployed.

use std::cell::Cell;

use futures_util::{StreamExt, stream};
use wharfinger_cloud::Fault;
use wharfinger_cloud::active::Row;
use wharfinger_cloud::pipeline::{Cause, Told};
use wharfinger_cloud::sweep::{Askable, Pass, Scope};
use wharfinger_core::config::stored::{Managed, repository_path};
use wharfinger_core::delivery::{Compiled, Memory, Repository, rule_key};
use wharfinger_core::ids::Target;
use wharfinger_core::report::Code;

use crate::listings::Listings;
use crate::moved::{self, Proven};
use crate::wishes::Stored;
use crate::{ACTIVE, AT_ONCE, Attempt, Cloud, Delivery, NAME, neighbours};

/// What it can be asked for.
pub const ASKABLE: Askable = Askable {
    only: "active",
    dry_run: false,
};

/// One pass: over every target with delivery and every one of which something was asked, or over those alone of which
/// something is to be expected.
///
/// # Errors
/// When parts of it failed; the others went through.
pub async fn sweep(
    function: &Delivery,
    cloud: &impl Cloud,
    attempt: &Attempt,
    event_id: &str,
    scope: &Scope,
) -> Result<(), Fault> {
    if scope.often {
        return look_again(function, cloud, attempt, event_id).await;
    }
    // Who names a target has just changed what is stored of it.
    let mut found = match scope.target {
        Some(_) => function.config.all_anew(cloud).await?,
        None => function.config.all(cloud).await?,
    };
    found.targets.retain(|managed| scope.covers(&managed.target));
    let mut pass = Pass::of(NAME);
    pass.report(cloud, &found.malformed);
    let cause = Cause {
        name: format!("sweep {event_id}"),
        at: None,
    };
    let listings = Listings::default();
    let (mut swept, mut busy, mut no_room) = (0, 0, false);
    let mut proven = Vec::new();
    for managed in found.targets.into_iter().filter(concerns) {
        swept += 1;
        let name = managed.target.to_string();
        let result = match waits(cloud, attempt, &managed, &listings).await {
            Ok((false, memory)) => {
                proven.extend(Proven::of(managed, &memory));
                Ok(())
            }
            Ok((true, memory)) => {
                busy += 1;
                if no_room && memory.waits_for_room() {
                    continue;
                }
                let told = function.converge(cloud, attempt, &cause, managed).await;
                told.map(|told| no_room |= found_no_room(told.as_ref()))
            }
            Err(fault) => Err(fault),
        };
        pass.part(cloud, name, result);
    }
    for (cluster, proven) in moved::by_cluster(proven) {
        match moved::moved(cloud, &cluster, proven).await {
            Ok(moved) => {
                for managed in moved {
                    busy += 1;
                    let name = managed.target.to_string();
                    let told = function.converge(cloud, attempt, &cause, managed).await;
                    pass.part(cloud, name, told.map(drop));
                }
            }
            Err(fault) => pass.part(cloud, format!("the services of {cluster}"), Err(fault)),
        }
    }
    if scope.target.is_some() {
        return pass.result();
    }
    pass.finish(cloud, &[("SweptTargets", swept), ("BusyTargets", busy)])
        .await
}

/// The pass of a minute: what goes on by itself. Once the rate of calls leaves no room for one target, those that wait for
/// nothing else are left to the next pass: there may be hundreds, and each look costs calls as well.
async fn look_again(function: &Delivery, cloud: &impl Cloud, attempt: &Attempt, event_id: &str) -> Result<(), Fault> {
    let mut rows = ACTIVE.rows(cloud).await?;
    rows.retain(|_, row| row.is_due(cloud.now()));
    if rows.is_empty() {
        return Ok(());
    }
    let found = function.config.several(cloud, rows.keys()).await?;
    let mut pass = Pass::of(NAME);
    pass.report(cloud, &found.malformed);
    let cause = Cause {
        name: format!("sweep {event_id}"),
        at: None,
    };
    let memories = neighbours::memories(cloud, rows.keys()).await?;
    let (no_room, mut done) = (Cell::new(false), rows.clone());
    let look = async |managed: Managed| {
        let target = managed.target.clone();
        if no_room.get() && memories.get(&target.key()).is_some_and(Memory::waits_for_room) {
            return (target, Ok(Looked::Later));
        }
        let told = function.converge(cloud, attempt, &cause, managed).await;
        let result = told.map(|told| {
            no_room.set(no_room.get() || found_no_room(told.as_ref()));
            Looked::Now
        });
        (target, result)
    };
    let targets = found.targets.into_iter().filter(concerns);
    let mut looks = stream::iter(targets).map(look).buffer_unordered(AT_ONCE);
    while let Some((target, result)) = looks.next().await {
        let row = done.remove(&target);
        let result = match result {
            Ok(Looked::Now) => rest(cloud, &target, row).await,
            Ok(Looked::Later) => Ok(()),
            Err(fault) => Err(fault),
        };
        pass.part(cloud, target, result);
    }
    // What is not configured any more.
    if found.malformed.is_empty() {
        for (target, row) in done {
            ACTIVE.forget(cloud, &target, row).await?;
        }
    }
    pass.result()
}

/// Whether the rate of calls left no room for a target.
fn found_no_room(told: Option<&Told>) -> bool {
    told.is_some_and(|told| told.reasons.iter().any(|reason| reason.code == Code::Paced))
}

/// Whether a target was looked at.
enum Looked {
    Now,
    /// The next pass looks.
    Later,
}

/// Takes a target out of the set when nothing is to be expected of it any more, and puts the time right when something is.
async fn rest(cloud: &impl Cloud, target: &Target, row: Option<Row>) -> Result<(), Fault> {
    let Some(row) = row else { return Ok(()) };
    let stored = Stored::read(cloud, target).await?;
    match stored.memory.next_look() {
        Some(next) => Ok(ACTIVE.keep(cloud, target, next, Some(row)).await?),
        None => Ok(ACTIVE.forget(cloud, target, row).await?),
    }
}

/// Whether this function may have something to do for a target.
pub(crate) fn concerns(managed: &Managed) -> bool {
    let stored = &managed.stored;
    !stored.config.delivery.is_empty() || stored.linger_asked.is_some() || stored.back.is_some()
}

/// Whether a target has something to do, and what is remembered of it, once its wishes were compared with the registry.
async fn waits(
    cloud: &impl Cloud,
    attempt: &Attempt,
    managed: &Managed,
    listings: &Listings,
) -> Result<(bool, Memory), Fault> {
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
        let Some(listing) = listings.of(cloud, path).await? else {
            tracing::warn!(target = %managed.target, repository = path, "the repository does not exist");
            continue;
        };
        let key = rule_key(rule);
        let known = stored.wishes.get(&key);
        if let Some(seen) = policy.seen(known, &listing).filter(|seen| Some(seen) != known) {
            // When another invocation was quicker, what it stored waits as well.
            stored.put(cloud, &managed.target, &key, &seen).await?;
            news = true;
        }
    }
    Ok((news || !stored.is_quiet(attempt, managed, cloud.now()), stored.memory))
}
