//! Where each rule of a target stands.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::base::Base;
use super::facts::Neighbour;
use super::gate::Closed;
use super::gated::gates;
use super::memory::{ImageChange, is_before};
use super::policy::{Compiled, Verdict};
use super::revision::ContainerImage;
use super::{Facts, ImageRef, Memory, Repository, Wish, rule_key};
use crate::config::Delivery;
use crate::config::stored::repository_path;
use crate::ids::Digest;
use crate::report::{Code, Outcome, Reason};

/// A rule and the image that it wants.
pub(super) struct Wanted<'a> {
    pub(super) key: String,
    pub(super) rule: &'a Delivery,
    pub(super) repository: Repository,
    pub(super) policy: Compiled,
    pub(super) wish: &'a Wish,
    pub(super) promotion: Promotion,
}

/// Where an image stands in the service that the rule's `after` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promotion {
    /// The rule has no `after`.
    None,
    /// That service has not proved it.
    Unproved,
    /// It has run it since.
    Proved(Timestamp),
}

/// The rules that want something, and what is to be said of those that cannot be read or want nothing any more.
pub(super) fn wanted(facts: &Facts) -> (Vec<Wanted<'_>>, Vec<(Outcome, Reason)>) {
    let (mut wanted, mut others) = (Vec::new(), Vec::new());
    let mut keys = BTreeSet::new();
    for rule in &facts.rules {
        let key = rule_key(rule);
        let pushed = facts.wishes.get(&key);
        let source = rule.after.as_ref().and_then(|name| facts.sources.get(name));
        if pushed.is_none() && source.is_none() || !keys.insert(key.clone()) {
            continue;
        }
        let (repository, policy) = match readable(rule, facts) {
            Ok(read) => read,
            Err(reason) => {
                others.push((Outcome::Ignore, reason));
                continue;
            }
        };
        let Some((wish, promotion)) = promoted(rule, &policy, pushed, source, &mut others) else {
            continue;
        };
        if let Err(reason) = policy.select(&wish.tag) {
            others.push((Outcome::Ignore, reason));
            continue;
        }
        wanted.push(Wanted {
            key,
            rule,
            repository,
            policy,
            wish,
            promotion,
        });
    }
    // A rule that names its container takes it before one that takes whatever is of its repository.
    wanted.sort_by_key(|w| w.rule.container.is_none());
    (wanted, others)
}

/// The image that a rule wants: the best of the pushes; with `after` the best of what that service has proved, and only as
/// long as there is none the pushed one, which waits. What proves an image is its digest: that service may have it under
/// another tag, by which this rule would not take it.
fn promoted<'a>(
    rule: &Delivery,
    policy: &Compiled,
    pushed: Option<&'a Wish>,
    source: Option<&'a Neighbour>,
    others: &mut Vec<(Outcome, Reason)>,
) -> Option<(&'a Wish, Promotion)> {
    let Some(after) = &rule.after else {
        return pushed.map(|wish| (wish, Promotion::None));
    };
    let path = repository_path(&rule.repository);
    let proofs: Vec<_> = source
        .into_iter()
        .flat_map(|source| &source.proved)
        .filter(|proof| proof.wish.repository == path)
        .collect();
    let proof = |wish: &Wish| proofs.iter().find(|proof| proof.wish.digest == wish.digest);
    let released = pushed.filter(|wish| proof(wish).is_some());
    let best = policy.best(proofs.iter().map(|proof| &proof.wish).chain(released));
    let Some((wish, proof)) = best.and_then(|best| Some((best, proof(best)?))) else {
        return pushed.map(|wish| (wish, Promotion::Unproved));
    };
    if let Some(pushed) = pushed
        && policy.select(&pushed.tag).is_ok()
        && policy.wins(wish, pushed) == Verdict::Wins
        && pushed.digest != wish.digest
    {
        let message = format!("{after} has not proved {}", pushed.name());
        others.push((Outcome::Wait, Reason::new(Code::NotProved, message)));
    }
    Some((wish, Promotion::Proved(proof.since)))
}

pub(super) fn readable(rule: &Delivery, facts: &Facts) -> Result<(Repository, Compiled), Reason> {
    let malformed = |error: String| Reason::new(Code::ConfigMalformed, error);
    let repository = Repository::configured(&rule.repository, &facts.account, &facts.region)
        .map_err(|error| malformed(error.to_string()))?;
    let policy = Compiled::new(&rule.tags)
        .map_err(|error| malformed(format!("`tags` of the rule for `{}`: {error}", rule.repository)))?;
    Ok((repository, policy))
}

/// Where a rule stands.
pub(super) enum Standing {
    /// Its image is to be brought out.
    Due(Due),
    /// It is not: why.
    Not(Outcome, Reason),
    /// Its image is to be brought out once these gates are open.
    Closed(String, Wish, Vec<Closed>),
    /// The service was sent to it; ECS does not show that yet.
    Sent,
    /// The target has it.
    Deployed(String, Wish, Reason),
}

/// A rule whose image is to be brought out.
pub(super) struct Due {
    pub(super) key: String,
    pub(super) wish: Wish,
    pub(super) changes: Vec<ImageChange>,
    pub(super) timeout: Duration,
    pub(super) reason: Reason,
}

/// Where a rule stands, given the containers that rules before it have taken.
pub(super) fn standing(
    wanted: &Wanted<'_>,
    base: &Base<'_>,
    facts: &Facts,
    memory: &mut Memory,
    taken: &mut BTreeSet<usize>,
    now: Timestamp,
) -> Standing {
    let selected: Vec<_> = base
        .containers
        .iter()
        .filter(|c| takes(wanted.rule, &wanted.repository, c) && !taken.contains(&c.index))
        .collect();
    if selected.is_empty() {
        return Standing::Not(Outcome::Ignore, no_container(wanted, base));
    }
    taken.extend(selected.iter().map(|c| c.index));
    let wish = wanted.wish;
    let changes: Vec<_> = selected
        .iter()
        .filter_map(|c| change(&wanted.repository, &wish.digest, c))
        .collect();
    if changes.is_empty() {
        let names: Vec<_> = selected.iter().map(|c| format!("`{}`", c.name)).collect();
        let message = format!("{} of {} has {} already", names.join(", "), base.short(), wish.name());
        let reason = Reason::new(Code::AlreadyDeployed, message);
        return Standing::Deployed(wanted.key.clone(), wish.clone(), reason);
    }
    if memory
        .watched
        .as_ref()
        .is_some_and(|watched| watched.brings(&wanted.key, &wish.digest))
    {
        return Standing::Sent;
    }
    let partly = changes.len() < selected.len();
    if !partly {
        notice_return(wanted, base, memory, now);
    }
    let held_back = superseded(wanted, base, memory, &selected)
        .or_else(|| quarantined(wanted, facts, memory, now))
        .or_else(|| drifted(wanted, base, facts, memory, now).filter(|_| !partly))
        .or_else(|| {
            facts
                .images
                .get(&wish.digest)
                .and_then(|image| image.against(wish, base.source().1))
        });
    if let Some((outcome, reason)) = held_back {
        return Standing::Not(outcome, reason);
    }
    let closed = gates(wanted, facts, now);
    if closed.is_empty() {
        Standing::Due(Due::new(wanted, changes))
    } else {
        Standing::Closed(wanted.key.clone(), wish.clone(), closed)
    }
}

/// How many containers a rule takes, and those of them that an image changes.
pub(super) fn takes_of(
    rule: &Delivery,
    wish: &Wish,
    facts: &Facts,
    base: &Base<'_>,
) -> Result<(usize, Vec<ImageChange>), String> {
    let (repository, _) = readable(rule, facts).map_err(|reason| reason.message)?;
    let selected: Vec<_> = base.containers.iter().filter(|c| takes(rule, &repository, c)).collect();
    let changes = selected.iter().filter_map(|c| change(&repository, &wish.digest, c));
    Ok((selected.len(), changes.collect()))
}

impl Due {
    fn new(wanted: &Wanted<'_>, changes: Vec<ImageChange>) -> Self {
        let name = wanted.wish.name();
        let shown = |image: &str| {
            image
                .parse::<ImageRef>()
                .map_or_else(|_| image.to_owned(), |i| i.short())
        };
        let goes = |c: &ImageChange| format!("`{}` goes from {} to {}", c.name, shown(&c.from), shown(&c.to));
        let moves = changes.iter().map(goes).collect::<Vec<_>>().join(", ");
        Self {
            key: wanted.key.clone(),
            wish: wanted.wish.clone(),
            changes,
            timeout: wanted.rule.rollback.timeout.duration(),
            reason: Reason::new(Code::RolloutStarts, format!("{name}: {moves}")),
        }
    }
}

/// A container was given a tag that the policy ranks above the wish: a push that was heard of late must not take the place
/// of a higher version that someone else deployed. Nor must what another service is on again take the place of what this one
/// was promoted to since.
fn superseded(
    wanted: &Wanted<'_>,
    base: &Base<'_>,
    memory: &Memory,
    selected: &[&ContainerImage<'_>],
) -> Option<(Outcome, Reason)> {
    let has = higher_tag(wanted, selected).or_else(|| {
        let proof = memory.proved.get(&wanted.key)?;
        let is_older = wanted.policy.wins(&proof.wish, wanted.wish) == Verdict::Loses;
        (wanted.promotion != Promotion::None && is_older).then(|| proof.wish.name())
    })?;
    let message = format!("{} has {has}, which {} loses to", base.short(), wanted.wish.name());
    Some((Outcome::Stale, Reason::new(Code::Superseded, message)))
}

fn higher_tag(wanted: &Wanted<'_>, selected: &[&ContainerImage<'_>]) -> Option<String> {
    let wants = wanted.policy.select(&wanted.wish.tag).ok()?;
    let higher = |image: &ImageRef| {
        let has = image.tag.as_deref().and_then(|tag| wanted.policy.select(tag).ok());
        image.repository() == wanted.repository && has.is_some_and(|has| has > wants)
    };
    let higher = selected.iter().filter_map(|c| image(c)).find(higher)?;
    Some(higher.short())
}

/// The image was out, and the target is on an earlier revision again: ECS's circuit breaker does that, and people do. It is
/// not to come out again by itself.
fn notice_return(wanted: &Wanted<'_>, base: &Base<'_>, memory: &mut Memory, now: Timestamp) {
    let digest = &wanted.wish.digest;
    let Some(done) = memory.done.get(&wanted.key).filter(|d| d.digest == *digest).cloned() else {
        return;
    };
    if is_before(base.arn, &done.revision) {
        let why = format!(
            "it was out with {}, and the target went back to {}",
            short(&done.revision),
            base.short()
        );
        memory.quarantine(wanted.wish, &done.revision, &why, now);
    }
}

/// Whether an image was out and failed, or was taken back, and no one has agreed to it since.
pub(super) fn quarantined(
    wanted: &Wanted<'_>,
    facts: &Facts,
    memory: &Memory,
    now: Timestamp,
) -> Option<(Outcome, Reason)> {
    let found = memory.quarantined(&wanted.wish.digest, &facts.approvals, now)?;
    let message = format!(
        "{} is in quarantine since {}: {}; `wharfinger approve {}` or another push ends this",
        wanted.wish.name(),
        found.at,
        found.why,
        facts.target
    );
    Some((Outcome::Ignore, Reason::new(Code::RolledBack, message)))
}

/// The image was out, and someone deployed a newer revision with another one: Terraform, a pipeline. To roll it out again
/// would be a fight that nobody wins (terraform-provider-aws #632).
fn drifted(
    wanted: &Wanted<'_>,
    base: &Base<'_>,
    facts: &Facts,
    memory: &Memory,
    now: Timestamp,
) -> Option<(Outcome, Reason)> {
    let digest = &wanted.wish.digest;
    let done = memory.done.get(&wanted.key).filter(|d| d.digest == *digest)?;
    let agreed = facts.approvals.iter().any(|a| a.holds(digest, now) && a.at > done.at);
    if agreed || !is_before(&done.revision, base.arn) {
        return None;
    }
    let message = format!(
        "{} was out with {} at {}, and someone deployed {} without it since; `wharfinger approve {}` or another push ends this",
        wanted.wish.name(),
        short(&done.revision),
        done.at,
        base.short(),
        facts.target
    );
    Some((Outcome::Ignore, Reason::new(Code::Drifted, message)))
}

pub(super) fn takes(rule: &Delivery, repository: &Repository, container: &ContainerImage<'_>) -> bool {
    match &rule.container {
        Some(name) => container.name == name,
        None => image(container).is_some_and(|image| image.repository() == *repository),
    }
}

/// The change of a container, unless it has the digest. The host stays as the task definition has it.
pub(super) fn change(repository: &Repository, digest: &Digest, container: &ContainerImage<'_>) -> Option<ImageChange> {
    let own = image(container).filter(|image| image.repository() == *repository);
    let to = match own {
        Some(image) if image.digest.as_ref() == Some(digest) => return None,
        Some(image) => image.with_digest(digest),
        None => repository.with_digest(digest),
    };
    Some(ImageChange {
        container: container.index,
        name: container.name.to_owned(),
        from: container.image.to_owned(),
        to,
    })
}

fn image(container: &ContainerImage<'_>) -> Option<ImageRef> {
    container.image.parse().ok()
}

fn no_container(wanted: &Wanted<'_>, base: &Base<'_>) -> Reason {
    let has: Vec<_> = base
        .containers
        .iter()
        .map(|c| format!("`{}` ({})", c.name, c.image))
        .collect();
    let which = match &wanted.rule.container {
        Some(name) => format!("has no container `{name}`"),
        None => format!(
            "has no container with an image of {} that another rule does not take",
            wanted.repository
        ),
    };
    Reason::new(
        Code::NoMatchingContainer,
        format!("{} {which}: it has {}", base.short(), has.join(", ")),
    )
}

/// `family:revision` of an ARN.
pub(super) fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
