//! Where a target goes back to.

use wharfinger_core::config::asked::BackTo;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::delivery::{Compiled, Facts, Memory, Repository, Stage, Wish, rule_key};
use wharfinger_core::ids::{TaskDefinitionRef, same_revision};

use anyhow::Context;
use wharfinger_cloud::ports::Images;

use crate::approve::{begins, digits};

/// How many digits a revision has at most; a longer number is a digest.
const REVISION_DIGITS: usize = 10;

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    /// A revision of the service's own family.
    Number(u64),
    /// A revision by its ARN or `family:revision`.
    Revision(String),
    /// An image, by the first hexadecimal digits of its digest.
    Image(String),
}

/// Reads `--to`.
pub(super) fn goal(text: &str) -> Result<Goal, String> {
    if text.len() <= REVISION_DIGITS
        && let Ok(number) = text.parse()
    {
        return Ok(Goal::Number(number));
    }
    if let Ok(digits) = digits(text) {
        return Ok(Goal::Image(digits));
    }
    match TaskDefinitionRef::parse(text) {
        Some(_) if !text.starts_with("sha256:") => Ok(Goal::Revision(text.to_owned())),
        _ => Err(
            "write a revision, like `41`, `web:41` or its ARN, or a digest: `sha256:…`, or 12 of its digits or more"
                .into(),
        ),
    }
}

/// The revision before the one that the service runs.
///
/// What was left, or has failed, is no way back: else two in a row would lead to where the first began.
pub(super) fn before(memory: &Memory, runs: &str) -> Result<String, String> {
    let ask = "say where to go with --to: `wharfinger history` and `wharfinger status` tell what was out before";
    if let Some(watched) = &memory.watched {
        let to = short(&watched.to);
        if let Some(ending) = &watched.ending {
            return Err(format!("the rollout of {to} is ended already ({}): {ask}", ending.why));
        }
        if watched.back.is_some() {
            return Err(format!("it goes back to {to} already: {ask}"));
        }
        return Ok(watched.from.clone());
    }
    let was_left = |revision: &str| memory.quarantine.iter().any(|q| same_revision(&q.revision, revision));
    let mut brought_out = memory
        .past
        .iter()
        .rev()
        .filter(|past| past.stage == Stage::Succeeded && same_revision(&past.to, runs));
    let before = brought_out.find(|past| !was_left(&past.from));
    before
        .map(|past| past.from.clone())
        .ok_or_else(|| format!("which revision was out before {} is not known: {ask}", short(runs)))
}

/// The image that begins with these digits, in the repository of one of the target's rules.
pub(super) async fn image(
    cloud: &impl Images,
    managed: &Managed,
    facts: &Facts,
    digits: &str,
) -> anyhow::Result<Result<BackTo, String>> {
    let (mut found, mut looked) = (Vec::new(), Vec::new());
    for rule in &managed.stored.config.delivery {
        let repository = Repository::configured(&rule.repository, &facts.account, &facts.region)?;
        let path = &repository.path;
        if repository != Repository::in_ecr(&facts.account, &facts.region, path) {
            continue;
        }
        looked.push(path.clone());
        let tagged = cloud.tagged_images(path).await;
        let tagged = tagged.with_context(|| format!("the images of {path} cannot be listed"))?;
        let wishes: Vec<_> = tagged
            .into_iter()
            .flatten()
            .filter(|image| begins(&image.digest, digits))
            .map(|image| Wish {
                repository: path.clone(),
                tag: image.tag,
                digest: image.digest,
                pushed_at: image.pushed_at,
            })
            .collect();
        // Of its tags the one that the rule would roll out tells most.
        let policy = Compiled::new(&rule.tags).ok();
        let best = policy.and_then(|policy| policy.best(&wishes).cloned());
        let others = wishes.iter().any(|wish| wish.digest != wishes[0].digest);
        if others {
            return Ok(Err(format!(
                "several images of {path} begin with {digits}: give more of the digest"
            )));
        }
        found.extend(
            best.or_else(|| wishes.into_iter().next())
                .map(|wish| (rule_key(rule), wish)),
        );
    }
    looked.dedup();
    Ok(match (found.pop(), found.pop()) {
        (None, _) if looked.is_empty() => Err("no rule of it has a repository of this account and Region".into()),
        (None, _) => Err(format!("no tagged image of {} begins with {digits}", looked.join(", "))),
        (Some((rule, wish)), None) => Ok(BackTo::Image { rule, wish }),
        (Some((_, wish)), Some(_)) => Err(format!(
            "several rules take images like {}: go back to a revision",
            wish.name()
        )),
    })
}

/// `family:revision` of an ARN.
pub(super) fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
