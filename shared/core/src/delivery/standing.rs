//! Where each rule of a target stands.

use std::collections::BTreeSet;
use std::time::Duration;

use super::base::Base;
use super::memory::ImageChange;
use super::policy::Compiled;
use super::revision::ContainerImage;
use super::{Facts, ImageRef, Memory, Repository, Wish, rule_key};
use crate::config::{Approval, Delivery};
use crate::ids::Digest;
use crate::report::{Code, Outcome, Reason};

/// A rule and the image that it wants.
pub(super) struct Wanted<'a> {
    pub(super) key: String,
    pub(super) rule: &'a Delivery,
    pub(super) repository: Repository,
    pub(super) policy: Compiled,
    pub(super) wish: &'a Wish,
}

/// The rules that want something, and what is to be said of those that cannot be read or want nothing any more.
pub(super) fn wanted(facts: &Facts) -> (Vec<Wanted<'_>>, Vec<(Outcome, Reason)>) {
    let (mut wanted, mut others) = (Vec::new(), Vec::new());
    let mut keys = BTreeSet::new();
    for rule in &facts.rules {
        let key = rule_key(rule);
        let Some(wish) = facts.wishes.get(&key) else { continue };
        if !keys.insert(key.clone()) {
            continue;
        }
        match readable(rule, facts) {
            Err(reason) => others.push((Outcome::Ignore, reason)),
            Ok((repository, policy)) => match policy.select(&wish.tag) {
                Err(reason) => others.push((Outcome::Ignore, reason)),
                Ok(_) => wanted.push(Wanted {
                    key,
                    rule,
                    repository,
                    policy,
                    wish,
                }),
            },
        }
    }
    // A rule that names its container takes it before one that takes whatever is of its repository.
    wanted.sort_by_key(|w| w.rule.container.is_none());
    (wanted, others)
}

fn readable(rule: &Delivery, facts: &Facts) -> Result<(Repository, Compiled), Reason> {
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
    /// The target has it.
    Deployed(String, Digest, Reason),
}

/// A rule whose image is to be brought out.
pub(super) struct Due {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) digest: Digest,
    pub(super) changes: Vec<ImageChange>,
    pub(super) timeout: Duration,
    pub(super) reason: Reason,
}

/// Where a rule stands, given the containers that rules before it have taken.
pub(super) fn standing(wanted: &Wanted<'_>, base: &Base<'_>, memory: &Memory, taken: &mut BTreeSet<usize>) -> Standing {
    let selected: Vec<_> = base
        .containers
        .iter()
        .filter(|c| takes(wanted, c) && !taken.contains(&c.index))
        .collect();
    if selected.is_empty() {
        return Standing::Not(Outcome::Ignore, no_container(wanted, base));
    }
    taken.extend(selected.iter().map(|c| c.index));
    let digest = &wanted.wish.digest;
    let changes: Vec<_> = selected.iter().filter_map(|c| change(wanted, c)).collect();
    let names = selected
        .iter()
        .map(|c| format!("`{}`", c.name))
        .collect::<Vec<_>>()
        .join(", ");
    if changes.is_empty() {
        let message = format!("{names} of {} has {} already", base.short(), wanted.wish.name());
        return Standing::Deployed(
            wanted.key.clone(),
            digest.clone(),
            Reason::new(Code::AlreadyDeployed, message),
        );
    }
    let partly = changes.len() < selected.len();
    let held_back = superseded(wanted, base, &selected)
        .or_else(|| went_back(wanted, base, memory).filter(|_| !partly))
        .or_else(|| gated(wanted));
    match held_back {
        Some((outcome, reason)) => Standing::Not(outcome, reason),
        None => Standing::Due(Due::new(wanted, changes)),
    }
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
            digest: wanted.wish.digest.clone(),
            changes,
            timeout: wanted.rule.rollback.timeout.duration(),
            reason: Reason::new(Code::RolloutStarts, format!("{name}: {moves}")),
            name,
        }
    }
}

/// A container was given a tag that the policy ranks above the wish: a push that was heard of late must not take the place
/// of a higher version that someone else deployed.
fn superseded(wanted: &Wanted<'_>, base: &Base<'_>, selected: &[&ContainerImage<'_>]) -> Option<(Outcome, Reason)> {
    let wants = wanted.policy.select(&wanted.wish.tag).ok()?;
    let higher = |image: &ImageRef| {
        let has = image.tag.as_deref().and_then(|tag| wanted.policy.select(tag).ok());
        image.repository() == wanted.repository && has.is_some_and(|has| has > wants)
    };
    let higher = selected.iter().filter_map(|c| image(c)).find(higher)?;
    let message = format!(
        "{} has {}, which {} loses to",
        base.short(),
        higher.short(),
        wanted.wish.name()
    );
    Some((Outcome::Stale, Reason::new(Code::Superseded, message)))
}

fn went_back(wanted: &Wanted<'_>, base: &Base<'_>, memory: &Memory) -> Option<(Outcome, Reason)> {
    let done = memory.went_back(&wanted.key, &wanted.wish.digest, base.arn)?;
    let message = format!(
        "{} was out with {} at {}, and the target went back to {}: another push ends this",
        wanted.wish.name(),
        short(&done.revision),
        done.at,
        base.short()
    );
    Some((Outcome::Ignore, Reason::new(Code::RolledBack, message)))
}

fn gated(wanted: &Wanted<'_>) -> Option<(Outcome, Reason)> {
    let gates = gates(wanted.rule);
    if gates.is_empty() {
        return None;
    }
    let message = format!(
        "{} waits behind {}: this version cannot open such a gate, and nothing passes it unseen",
        wanted.wish.name(),
        gates.join(", ")
    );
    Some((Outcome::Wait, Reason::new(Code::GateClosed, message)))
}

fn takes(wanted: &Wanted<'_>, container: &ContainerImage<'_>) -> bool {
    match &wanted.rule.container {
        Some(name) => container.name == name,
        None => image(container).is_some_and(|image| image.repository() == wanted.repository),
    }
}

/// The change of a container, unless it has the digest. The host stays as the task definition has it.
fn change(wanted: &Wanted<'_>, container: &ContainerImage<'_>) -> Option<ImageChange> {
    let digest = &wanted.wish.digest;
    let own = image(container).filter(|image| image.repository() == wanted.repository);
    let to = match own {
        Some(image) if image.digest.as_ref() == Some(digest) => return None,
        Some(image) => image.with_digest(digest),
        None => wanted.repository.with_digest(digest),
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

/// The gates of a rule, by their keys.
fn gates(rule: &Delivery) -> Vec<&'static str> {
    let windows = rule
        .windows
        .as_ref()
        .is_some_and(|w| !w.allow.is_empty() || !w.freeze.is_empty());
    [
        ("`after`", rule.after.is_some() || rule.bake.is_some()),
        ("`approval`", rule.approval == Approval::Required),
        ("`scan`", rule.scan.is_some()),
        ("`mature`", rule.mature.is_some()),
        ("`windows`", windows),
    ]
    .into_iter()
    .filter_map(|(key, set)| set.then_some(key))
    .collect()
}

/// `family:revision` of an ARN.
pub(super) fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
