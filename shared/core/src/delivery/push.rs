//! What an event says of a push, and what the rules of a target make of it.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Action;
use super::policy::{Compiled, Verdict};
use super::{Facts, Repository, Wish, rule_key};
use crate::config::Delivery;
use crate::event::{Envelope, ImageAction, ImageActionType};
use crate::report::{Code, Decision, Outcome, Reason};

/// What the rules of a target make of a push.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Nothing: why.
    Nothing(Decision<Action>),
    /// It is wanted.
    Wanted {
        /// The wishes that take the place of the known ones: merge them, then decide. Empty for a copy of a known push,
        /// which decides all the same: the first copy's invocation may have died.
        fresh: BTreeMap<String, Wish>,
        /// What else is to be said.
        reasons: Vec<Reason>,
    },
}

/// What the rules of a target make of an event, given the wishes that are known.
pub fn hear(envelope: &Envelope, action: &ImageAction, facts: &Facts) -> Heard {
    let push = match push(envelope, action) {
        Ok(push) => push,
        Err((outcome, reason)) => return Heard::Nothing(Decision::without_calls(outcome, reason)),
    };
    let said_or = |said: &str, own: &str| {
        if said.is_empty() {
            own.to_owned()
        } else {
            said.to_owned()
        }
    };
    let (account, region) = (
        said_or(&envelope.account, &facts.account),
        said_or(&envelope.region, &facts.region),
    );
    let repository = Repository::in_ecr(&account, &region, &action.repository);
    let (mut fresh, mut keys) = (BTreeMap::new(), BTreeSet::new());
    let (mut known, mut lost, mut unwanted) = (Vec::new(), Vec::new(), Vec::new());
    for rule in facts.rules.iter().filter(|rule| keys.insert(rule_key(rule))) {
        match meet(rule, &repository, &push, facts) {
            Meeting::Elsewhere => {}
            Meeting::Unwanted(reason) => unwanted.push(reason),
            Meeting::Known(reason) => known.push(reason),
            Meeting::Lost(reason) => lost.push(reason),
            Meeting::Fresh => {
                fresh.insert(rule_key(rule), push.clone());
            }
        }
    }
    if !fresh.is_empty() || !known.is_empty() {
        known.extend(lost);
        return Heard::Wanted { fresh, reasons: known };
    }
    let outcome = if lost.is_empty() {
        Outcome::Ignore
    } else {
        Outcome::Stale
    };
    lost.extend(unwanted);
    if lost.is_empty() {
        let message = format!("no rule of {} takes images of {repository}", facts.target);
        lost.push(Reason::new(Code::NotManaged, message));
    }
    Heard::Nothing(Decision {
        outcome,
        actions: Vec::new(),
        reasons: lost,
        missing: Vec::new(),
    })
}

enum Meeting {
    Elsewhere,
    Unwanted(Reason),
    Known(Reason),
    Lost(Reason),
    Fresh,
}

fn meet(rule: &Delivery, repository: &Repository, push: &Wish, facts: &Facts) -> Meeting {
    let malformed = |error: String| Meeting::Unwanted(Reason::new(Code::ConfigMalformed, error));
    match Repository::configured(&rule.repository, &facts.account, &facts.region) {
        Ok(configured) if configured == *repository => {}
        Ok(_) => return Meeting::Elsewhere,
        Err(error) => return malformed(error.to_string()),
    }
    let policy = match Compiled::new(&rule.tags) {
        Ok(policy) => policy,
        Err(error) => return malformed(format!("`tags` of the rule for `{}`: {error}", rule.repository)),
    };
    if let Err(reason) = policy.select(&push.tag) {
        return Meeting::Unwanted(reason);
    }
    let Some(current) = facts.wishes.get(&rule_key(rule)) else {
        return Meeting::Fresh;
    };
    match policy.wins(current, push) {
        Verdict::Wins => Meeting::Fresh,
        Verdict::Same => {
            let message = format!("the push of {} is known already", push.name());
            Meeting::Known(Reason::new(Code::DuplicateEvent, message))
        }
        Verdict::Loses => {
            let message = format!(
                "{} of {} loses to {} of {}",
                push.name(),
                push.pushed_at,
                current.name(),
                current.pushed_at
            );
            Meeting::Lost(Reason::new(Code::Superseded, message))
        }
    }
}

/// The push that an event tells of, if it is one of an image that can be deployed.
fn push(envelope: &Envelope, action: &ImageAction) -> Result<Wish, (Outcome, Reason)> {
    let ignore = |code, message: String| Err((Outcome::Ignore, Reason::new(code, message)));
    let what = action.name();
    let done = match action.action {
        ImageActionType::Push => None,
        ImageActionType::Delete => Some("was deleted"),
        ImageActionType::UpdateStorageClass => Some("was archived or restored"),
        ImageActionType::Unknown => Some("was acted on in a way that this version does not know"),
    };
    if let Some(done) = done {
        return ignore(Code::NotAPush, format!("{what} {done}, not pushed"));
    }
    if !action.succeeded {
        let message = format!("the {} of {what} did not succeed", action.event.what());
        return ignore(Code::NotAPush, message);
    }
    let media = (
        action.manifest_media_type.as_deref(),
        action.artifact_media_type.as_deref(),
    );
    if let Err(found) = image_media(media.0, media.1) {
        return ignore(Code::NotAnImage, format!("{what} is no container image: it is {found}"));
    }
    let Some(tag) = action.tag.clone() else {
        let message = format!("{what} has no tag: the children of an index, signatures and attestations are pushed so");
        return ignore(Code::Untagged, message);
    };
    if is_referrer_tag(&tag) {
        let message = format!("`{tag}` is the tag of a signature or attestation of another image");
        return ignore(Code::NotAnImage, message);
    }
    let Some(pushed_at) = envelope.time else {
        let message = format!("the event has no `time`: the push of {what} cannot be told from an older one");
        return Err((Outcome::Rejected, Reason::new(Code::EventRejected, message)));
    };
    let Some(digest) = action.digest.clone() else {
        let message = format!("the event does not say which image of {} was pushed", action.repository);
        return Err((Outcome::Rejected, Reason::new(Code::EventRejected, message)));
    };
    Ok(Wish {
        repository: action.repository.clone(),
        tag,
        digest,
        pushed_at,
    })
}

/// Whether a manifest can be a container image: an image's manifest with an image's configuration, or an index. What is not
/// said counts as an image.
///
/// # Errors
/// The media type that says it is something else: a signature, an attestation, an SBOM, a chart, a SOCI index.
pub fn image_media<'a>(manifest: Option<&'a str>, artifact: Option<&'a str>) -> Result<(), &'a str> {
    const MANIFESTS: [&str; 6] = [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ];
    const CONFIGURATIONS: [&str; 2] = [
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    ];
    match (manifest, artifact) {
        (Some(manifest), _) if !MANIFESTS.contains(&manifest) => Err(manifest),
        (_, Some(artifact)) if !CONFIGURATIONS.contains(&artifact) => Err(artifact),
        _ => Ok(()),
    }
}

/// Whether a tag is one under which signatures and attestations are kept: `sha256-…`, alone or with a suffix like `.sig`
/// (OCI distribution specification, "Referrers Tag Schema"; cosign). They look like images by their media types.
pub fn is_referrer_tag(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix("sha256-") else {
        return false;
    };
    let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    digits == 64 && matches!(rest.as_bytes().get(64), None | Some(b'.'))
}

#[cfg(test)]
mod tests;
