//! What there is to agree to.

use std::collections::BTreeSet;

use jiff::Timestamp;
use wharfinger_core::config::stored::{StoredTarget, repository_path};
use wharfinger_core::config::{Approval, Delivery};
use wharfinger_core::delivery::{Wish, rule_key};
use wharfinger_core::ids::{Digest, Target};
use wharfinger_core::report::Code;

use crate::document::list;
use crate::rollouts::Rollouts;

/// How many hexadecimal digits tell an image from all others.
const ENOUGH: usize = 12;

/// Which of them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Choice {
    /// Only images of this repository.
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Only this image: `sha256:…`, or 12 of its digits or more. It may be in quarantine and not wanted now.
    #[arg(long, value_name = "DIGEST", value_parser = digits)]
    digest: Option<String>,
}

/// The hexadecimal digits of a digest, or the first of them.
pub(crate) fn digits(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    if (ENOUGH..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(digits)
    } else {
        Err(format!("write `sha256:…`, or {ENOUGH} to 64 of its hexadecimal digits"))
    }
}

/// Whether a digest begins with these hexadecimal digits.
pub(crate) fn begins(digest: &Digest, digits: &str) -> bool {
    let hex = digest.as_str().strip_prefix("sha256:");
    hex.is_some_and(|hex| hex.starts_with(digits))
}

/// An image that can be agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its repository, without the registry's host.
    pub(super) repository: String,
    /// The image.
    pub(super) digest: Digest,
    /// What it is called.
    pub(super) image: String,
}

impl Candidate {
    fn of(wish: &Wish) -> Self {
        Self {
            repository: wish.repository.clone(),
            digest: wish.digest.clone(),
            image: wish.name(),
        }
    }
}

impl Choice {
    /// Why nothing can be chosen: no rule of the target takes images of that repository.
    pub(super) fn takes_nothing(&self, target: &Target, rules: &[Delivery]) -> Option<String> {
        let asked = repository_path(self.repository.as_deref()?);
        let known: BTreeSet<_> = rules.iter().map(|rule| repository_path(&rule.repository)).collect();
        if known.contains(asked) {
            return None;
        }
        let known: Vec<_> = known.into_iter().collect();
        Some(match known.as_slice() {
            [] => format!("{target} has no `delivery`: it takes no images of `{asked}`, nor of another repository"),
            _ => format!(
                "{target} takes no images of `{asked}`: it takes those of {}",
                list(&known)
            ),
        })
    }

    fn takes(&self, candidate: &Candidate) -> bool {
        let repository = self.repository.as_deref().map(repository_path);
        repository.is_none_or(|repository| repository == candidate.repository)
            && self
                .digest
                .as_ref()
                .is_none_or(|digits| begins(&candidate.digest, digits))
    }
}

/// What there is to agree to, of what was chosen. `drifted`: someone else deployed over an image that was out.
pub(super) fn candidates(
    stored: &StoredTarget,
    rollouts: &Rollouts,
    drifted: bool,
    choice: &Choice,
    now: Timestamp,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for rule in &stored.config.delivery {
        found.extend(waiting(stored, rule, rollouts, now).map(Candidate::of));
        found.extend(stopped(stored, rule, rollouts, drifted, now).map(Candidate::of));
    }
    if choice.digest.is_some() {
        let memory = &rollouts.memory;
        let kept = memory
            .quarantine
            .iter()
            .filter(|q| memory.quarantined(&q.digest, &stored.approvals, now) == Some(*q));
        found.extend(kept.map(|q| Candidate {
            repository: q.image.split([':', '@']).next().unwrap_or_default().to_owned(),
            digest: q.digest.clone(),
            image: q.image.clone(),
        }));
    }
    let mut seen = BTreeSet::new();
    found.retain(|candidate| choice.takes(candidate) && seen.insert(candidate.digest.clone()));
    found
}

/// The image of a rule that waits for someone to agree.
fn waiting<'r>(stored: &StoredTarget, rule: &Delivery, rollouts: &'r Rollouts, now: Timestamp) -> Option<&'r Wish> {
    let waiting = rollouts.memory.waiting.as_ref()?;
    let wish = waiting.wishes.get(&rule_key(rule))?;
    let asks = rule.approval == Approval::Required && waiting.codes.contains(&Code::ApprovalNeeded);
    let agreed = stored
        .approvals
        .iter()
        .any(|approved| approved.holds(&wish.digest, now));
    (asks && !agreed).then_some(wish)
}

/// The image that a rule wants and that is not rolled out again by itself.
fn stopped<'r>(
    stored: &StoredTarget,
    rule: &Delivery,
    rollouts: &'r Rollouts,
    drifted: bool,
    now: Timestamp,
) -> Option<&'r Wish> {
    let key = rule_key(rule);
    let memory = &rollouts.memory;
    let promoted = memory.waiting.as_ref().and_then(|waiting| waiting.wishes.get(&key));
    let wish = promoted.or_else(|| rollouts.wishes.get(&key))?;
    let left = || {
        let done = memory.done.get(&key).filter(|done| done.digest == wish.digest);
        let agreed = |at| stored.approvals.iter().any(|a| a.holds(&wish.digest, now) && a.at > at);
        drifted && !memory.is_under_way() && done.is_some_and(|done| !agreed(done.at))
    };
    let is_proved = memory
        .proved
        .get(&key)
        .is_some_and(|proof| proof.wish.digest == wish.digest);
    let is_kept = memory.quarantined(&wish.digest, &stored.approvals, now).is_some();
    (is_kept || !is_proved && left()).then_some(wish)
}
