//! Repositories, tag policies and promotions.

use super::Found;
use crate::config::stored::repository_path;
use crate::config::{Delivery, Document, Entry, Path};
use crate::ids::TargetKind;

/// The longest name of a repository (ECR API reference, `CreateRepository`).
const REPOSITORY_NAME: usize = 256;

pub(super) fn check(document: &Document, entry: &Entry, found: &mut Found) {
    let rules = &entry.config.delivery;
    for (i, rule) in rules.iter().enumerate() {
        let path = entry.path.at("delivery").at(i);
        if let Err(message) = repository(&rule.repository) {
            found.error(path.at("repository"), message);
        }
        if let Some(container) = &rule.container {
            found.name(path.at("container"), "the container's name", container, 255);
        }
        if rules[..i].iter().any(|other| same_container(other, rule)) {
            let message = format!(
                "another rule takes images of `{}` for the same container: join them, or give each its own `container`",
                rule.repository
            );
            found.error(path.clone(), message);
        }
        tags(&path.at("tags"), rule, found);
        promotion(document, entry, &path, rule, found);
        if rule.rollback.timeout.duration().is_zero() {
            found.error(path.at("rollback").at("timeout"), "must be longer than `0s`");
        }
    }
}

fn same_container(a: &Delivery, b: &Delivery) -> bool {
    let container = match (&a.container, &b.container) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    container && a.repository == b.repository
}

/// `(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*` (ECR API reference, `CreateRepository`), after the
/// registry's host where there is one.
fn repository(name: &str) -> Result<(), String> {
    let path = repository_path(name);
    let part = |part: &str| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(part.bytes().next())
            && edge(part.bytes().last())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    if path.contains(['@', ':']) {
        return Err(format!(
            "`{name}` has a tag or digest: write the repository's name alone, and the tags under `tags`"
        ));
    }
    if path.len() > REPOSITORY_NAME || !path.split('/').all(part) {
        return Err(format!(
            "`{name}` is not a repository's name: write `shop/web`, or `HOST/shop/web` for another registry"
        ));
    }
    Ok(())
}

fn tags(path: &Path, rule: &Delivery, found: &mut Found) {
    let _ = (path, rule, found);
}

fn promotion(document: &Document, entry: &Entry, path: &Path, rule: &Delivery, found: &mut Found) {
    if let Some(after) = &rule.after {
        if !document.services.contains_key(after) {
            let message = format!("`{after}` is not among the `services` of this document");
            found.error(path.at("after"), message);
        } else if entry.kind == TargetKind::Service && *after == entry.name {
            found.error(path.at("after"), "a service cannot wait for itself");
        }
    } else if rule.bake.is_some() {
        found.error(
            path.at("bake"),
            "`bake` goes with `after`: it is for how long that service must have proved the image",
        );
    }
}
