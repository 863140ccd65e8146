//! Repositories, tag policies and promotions.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Found;
use crate::config::stored::repository_path;
use crate::config::{Delivery, Document, Entry, Path, Rollback, TagPolicy, Windows};
use crate::delivery::{self, Compiled, Registry, Repository};
use crate::ids::TargetKind;
use crate::report::Code;

/// The longest name of a repository (ECR API reference, `CreateRepository`).
const REPOSITORY_NAME: usize = 256;

pub(super) fn check(document: &Document, entry: &Entry, found: &mut Found) {
    let rules = &entry.config.delivery;
    bases(entry, found);
    for (i, rule) in rules.iter().enumerate() {
        let path = entry.path.at("delivery").at(i);
        repository(path.at("repository"), &rule.repository, found);
        registries(document, &path.at("repository"), &rule.repository, found);
        if let Some(container) = &rule.container {
            found.name(path.at("container"), "the container's name", container, 255);
        }
        if let Some(other) = rules[..i].iter().find(|other| same_container(other, rule)) {
            let message = match &rule.container {
                Some(container) if other.repository != rule.repository => format!(
                    "the rule for `{}` takes the container `{container}` already: a container has one rule",
                    other.repository
                ),
                _ => format!(
                    "another rule takes images of `{}` for the same container: join them, or give each its own `container`",
                    rule.repository
                ),
            };
            found.error(path.clone(), message);
        }
        tags(&path.at("tags"), &rule.tags, found);
        promotion(document, entry, &path, rule, found);
        waves(document, entry, &path, rule, found);
        if let Some(windows) = &rule.windows {
            gate(&path.at("windows"), windows, found);
        }
        if rule.rollback.timeout.duration().is_zero() {
            found.error(path.at("rollback").at("timeout"), "must be longer than `0s`");
        }
        if entry.kind == TargetKind::Task && rule.rollback != Rollback::default() {
            let message =
                "has no effect: of a family nothing is watched; its next revision is there once it is registered";
            found.warning(path.at("rollback"), message);
        }
    }
}

/// One revision holds the images of all rules, so it is made of one revision.
fn bases(entry: &Entry, found: &mut Found) {
    let path = |i| entry.path.at("delivery").at(i).at("base");
    let rules = entry.config.delivery.iter().enumerate();
    let said: Vec<_> = rules.filter_map(|(i, rule)| Some((i, rule, rule.base?))).collect();
    if entry.kind == TargetKind::Task {
        for (i, ..) in said {
            let message = "has no effect: the next revision of a family is always made of its newest";
            found.warning(path(i), message);
        }
        return;
    }
    let Some(((_, first, base), others)) = said.split_first() else {
        return;
    };
    for (i, _, other) in others.iter().filter(|(_, _, other)| other != base) {
        let message = format!(
            "`{}` contradicts `base: {}` of the rule for `{}`: their images go into one revision, which is made of one",
            other.as_str(),
            base.as_str(),
            first.repository
        );
        found.error(path(*i), message);
    }
}

fn same_container(a: &Delivery, b: &Delivery) -> bool {
    match (&a.container, &b.container) {
        (Some(a), Some(b)) => a == b,
        _ => a.repository == b.repository,
    }
}

fn repository(path: Path, name: &str, found: &mut Found) {
    // Which account and Region it is makes no difference to whether the name can be read.
    let repository = match Repository::configured(name, "", "") {
        Ok(repository) => repository,
        Err(error) => return found.error(path, error.to_string()),
    };
    match repository.registry {
        Registry::Host(host) => found.warning(
            path,
            format!(
                "`{host}` is not a registry of Amazon ECR: no event tells of pushes there, so nothing is rolled out"
            ),
        ),
        Registry::Ecr { .. } if repository.path.len() > REPOSITORY_NAME => {
            found.error(
                path,
                format!("the repository's name has more than {REPOSITORY_NAME} characters"),
            );
        }
        Registry::Ecr { .. } if repository.path.bytes().any(|b| b.is_ascii_uppercase()) => {
            found.error(path, "the names of repositories are in lower case");
        }
        Registry::Ecr { .. } => {}
    }
}

/// Pushes are heard of one registry: of the hosts of two, one is never heard.
fn registries(document: &Document, path: &Path, name: &str, found: &mut Found) {
    let Some(own) = named_registry(name) else { return };
    let entries = document.entries();
    let mut named = entries.flat_map(|entry| {
        entry
            .config
            .delivery
            .into_iter()
            .map(move |rule| (entry.name.clone(), rule))
    });
    let first = named.find_map(|(who, rule)| Some((who, named_registry(&rule.repository)?)));
    if let Some((who, first)) = first.filter(|(_, first)| *first != own) {
        let message = format!(
            "{} is another registry than {}, which {who} names: only pushes to the one of the stack's own account and \
             Region are heard, so one of them deploys nothing",
            own.host(),
            first.host()
        );
        found.warning(path.clone(), message);
    }
}

/// The registry of ECR that a repository is in by its host.
fn named_registry(name: &str) -> Option<Registry> {
    let registry = Repository::configured(name, "", "").ok()?.registry;
    matches!(&registry, Registry::Ecr { account, .. } if !account.is_empty()).then_some(registry)
}

fn tags(path: &Path, policy: &TagPolicy, found: &mut Found) {
    match Compiled::new(policy) {
        Err(error) => {
            let path = error.key().map_or_else(|| path.clone(), |key| path.at(key));
            found.error(path, error.to_string());
        }
        Ok(compiled) => {
            if let Some((key, why)) = compiled.wants_nothing() {
                found.warning(path.at(key), why);
            }
        }
    }
}

fn promotion(document: &Document, entry: &Entry, path: &Path, rule: &Delivery, found: &mut Found) {
    if let Some(after) = &rule.after {
        let repository = repository_path(&rule.repository);
        let takes = |other: &Delivery| repository_path(&other.repository) == repository;
        // One rule that waits for nobody brings images out, and so proves them.
        let rules = &entry.config.delivery;
        let waits_always = entry.kind == TargetKind::Service
            && rules
                .iter()
                .filter(|other| takes(other))
                .all(|other| other.after.is_some());
        if entry.kind == TargetKind::Service && *after == entry.name {
            found.error(path.at("after"), "a service cannot wait for itself");
        } else if let Some(source) = document.services.get(after) {
            if !source.delivery.iter().any(takes) {
                let message = format!(
                    "`{after}` has no `delivery` for `{repository}` in this document: nothing proves an image there"
                );
                found.warning(path.at("after"), message);
            } else if waits_always && waits_for(document, after, &entry.name, repository) {
                let message = format!(
                    "`{after}` waits for `{}` in its turn: none of them ever goes first; leave `after` out of the first",
                    entry.name
                );
                found.error(path.at("after"), message);
            }
        } else {
            let message = if document.tasks.contains_key(after) {
                format!(
                    "`{after}` is a family under `tasks`: `after` takes a service, whose running tasks prove an image; name \
                     one of `services`"
                )
            } else {
                format!(
                    "`{after}` is not among the `services` of this document: nothing proves an image there; `after` takes a \
                     service, as `cluster/service`"
                )
            };
            found.warning(path.at("after"), message);
        }
    } else if rule.bake.is_some() && rule.waves.is_none() {
        found.error(
            path.at("bake"),
            "`bake` goes with `after` or `waves`: it is for how long that service, or the wave before, must have proved the image",
        );
    }
}

/// Whether a service takes images of a repository only after another one, be it by way of others.
fn waits_for(document: &Document, service: &str, other: &str, repository: &str) -> bool {
    let (mut next, mut seen) = (vec![service], BTreeSet::new());
    while let Some(name) = next.pop() {
        let rules = document.services.get(name).into_iter().flat_map(|of| &of.delivery);
        let rules = rules.filter(|rule| repository_path(&rule.repository) == repository);
        let after: Option<Vec<_>> = rules.map(|rule| rule.after.as_deref()).collect();
        let after = after.unwrap_or_default();
        if after.contains(&other) {
            return true;
        }
        next.extend(after.into_iter().filter(|name| seen.insert(*name)));
    }
    false
}

/// The waves of a repository are of the targets that have `waves` for it.
fn waves(document: &Document, entry: &Entry, path: &Path, rule: &Delivery, found: &mut Found) {
    let Some(own) = &rule.waves else { return };
    let repository = repository_path(&rule.repository);
    let takes_part = |other: &Delivery| other.waves.is_some() && repository_path(&other.repository) == repository;
    let entries = document.entries();
    let all: Vec<_> = entries
        .filter(|one| one.config.delivery.iter().any(takes_part))
        .collect();
    if all.iter().all(|one| one.path == entry.path) {
        let message = format!("has no effect: no other service or family here takes images of `{repository}` in waves");
        found.warning(path.at("waves"), message);
    }
    let first = all
        .iter()
        .find_map(|one| Some((one, one.config.delivery.iter().find(|rule| takes_part(rule))?)));
    if let Some((first, other)) = first
        && let Some(theirs) = other.waves.as_ref().filter(|theirs| *theirs != own)
    {
        let message = format!(
            "differs from `{}` of {}: each target goes by its own waves; give every rule for `{repository}` the same",
            String::from(theirs.clone()),
            first.name
        );
        found.warning(path.at("waves"), message);
    }
}

fn gate(path: &Path, windows: &Windows, found: &mut Found) {
    let both = [("allow", &windows.allow), ("freeze", &windows.freeze)];
    for (key, list) in both {
        for (i, window) in list.iter().enumerate() {
            let path = path.at(key).at(i);
            found.cron(&path, &window.cron, window.timezone.as_deref());
            if window.lasts.duration().is_zero() {
                found.error(path.at("for"), "must be longer than `0s`");
            }
        }
    }
    if both.iter().all(|(_, list)| list.is_empty()) {
        found.warning(path.clone(), "has no effect: write `allow`, `freeze` or both");
    }
    // Windows return, so a time as good as any tells whether they ever open.
    let closed = delivery::windows(windows, Timestamp::UNIX_EPOCH);
    if closed.is_some_and(|closed| closed.reason.code == Code::WindowClosed && closed.until.is_none()) {
        found.warning(path.clone(), "nothing is rolled out: what is allowed is always frozen");
    }
}
