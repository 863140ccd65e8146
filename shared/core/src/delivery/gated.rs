//! The gates of a rule: what must come before its image is rolled out.

use jiff::Timestamp;

use super::facts::Neighbour;
use super::gate::{Closed, mature, scan, windows};
use super::standing::{Promotion, Wanted};
use super::{Facts, Wish};
use crate::config::{Approval, Span, Waves};
use crate::known::Known;
use crate::report::{Code, Reason};

/// The gates of a rule that are closed to its image. What is asked of the registry is asked last, since it costs calls.
pub(super) fn gates(wanted: &Wanted<'_>, facts: &Facts, now: Timestamp) -> Vec<Closed> {
    let Wanted { rule, wish, .. } = wanted;
    let mut closed = Vec::new();
    closed.extend(promoted(wanted, facts, now));
    closed.extend(rule.waves.as_ref().and_then(|waves| waved(wanted, waves, facts, now)));
    closed.extend(rule.mature.and_then(|span| mature(wish.pushed_at, span, now)));
    closed.extend(rule.windows.as_ref().and_then(|all| windows(all, now)));
    if closed.is_empty()
        && let Some(rule) = &rule.scan
    {
        let report = facts.scans.get(&wish.digest).cloned();
        closed.extend(scan(rule, wish.pushed_at, &report.map_or(Known::No, Known::Yes), now));
    }
    closed.extend(approved(wanted, facts, now));
    closed
}

/// `after` and `bake`.
fn promoted(wanted: &Wanted<'_>, facts: &Facts, now: Timestamp) -> Option<Closed> {
    let name = wanted.wish.name();
    let source = wanted.rule.after.as_deref()?;
    match wanted.promotion {
        Promotion::Proved(since) => baked(since, wanted.rule.bake, now, || format!("{source} has run {name}")),
        Promotion::Unproved if !facts.sources.contains_key(source) => {
            let message =
                format!("whether {source} has proved {name} is not known: `wharfinger status {source}` tells it");
            Some(Closed::for_now(Reason::new(Code::FactsMissing, message)))
        }
        Promotion::Unproved => {
            let message = format!("{source} has not proved {name}");
            Some(Closed::for_now(Reason::new(Code::NotProved, message)))
        }
        Promotion::None => None,
    }
}

fn baked(since: Timestamp, bake: Option<Span>, now: Timestamp, who: impl Fn() -> String) -> Option<Closed> {
    let bake = bake?;
    let opens = since.saturating_add(bake.duration()).unwrap_or(Timestamp::MAX);
    (now < opens).then(|| {
        let message = format!("{} since {since}, and must for {bake}: until {opens}", who());
        Closed::until(Some(opens), Reason::new(Code::Baking, message))
    })
}

/// `approval`.
fn approved(wanted: &Wanted<'_>, facts: &Facts, now: Timestamp) -> Option<Closed> {
    let wish = wanted.wish;
    let agreed = facts.approvals.iter().any(|a| a.holds(&wish.digest, now));
    if wanted.rule.approval != Approval::Required || agreed {
        return None;
    }
    let target = &facts.target;
    let message = format!("{} waits for `wharfinger approve {target}`", wish.name());
    Some(Closed::for_now(Reason::new(Code::ApprovalNeeded, message)))
}

/// `waves`: every target of the waves before has proved the image, for as long as `bake` says.
fn waved(wanted: &Wanted<'_>, waves: &Waves, facts: &Facts, now: Timestamp) -> Option<Closed> {
    let peers = facts.peers.get(&wanted.key).map(Vec::as_slice).unwrap_or_default();
    let own = peers.iter().position(|peer| peer.target == facts.target)?;
    let (wave, before) = waves.before(own, peers.len())?;
    let mut since = Timestamp::MIN;
    let (mut open, mut unknown, mut failed) = (0_usize, 0_usize, Vec::new());
    for peer in &peers[..before] {
        let Known::Yes(neighbour) = &peer.neighbour else {
            unknown += 1;
            continue;
        };
        if neighbour.failed.contains(&wanted.wish.digest) {
            failed.push(peer.target.to_string());
        }
        match proof_of(neighbour, wanted.wish) {
            Some(at) => since = since.max(at),
            None => open += 1,
        }
    }
    let name = wanted.wish.name();
    let this = format!("wave {wave} of {}", waves.count());
    if !failed.is_empty() {
        let message = format!("{this} does not begin: {name} failed in {}", failed.join(", "));
        return Some(Closed::for_now(Reason::new(Code::WaveHalted, message)));
    }
    if open > 0 {
        let who = match (open, before) {
            (_, 1) => "the target before it has".to_owned(),
            (1, _) => format!("1 of the {before} targets before it has"),
            _ => format!("{open} of the {before} targets before it have"),
        };
        let message = format!("{this} waits: {who} not proved {name}");
        return Some(Closed::for_now(Reason::new(Code::WaveWaits, message)));
    }
    if unknown > 0 {
        let message = format!(
            "{this} waits: whether the targets before it have proved {name} is not known, {unknown} of {before}; \
             `wharfinger status` tells it"
        );
        return Some(Closed::for_now(Reason::new(Code::FactsMissing, message)));
    }
    baked(since, wanted.rule.bake, now, || {
        format!("{this} waits: those before it have run {name}")
    })
}

fn proof_of(neighbour: &Neighbour, wish: &Wish) -> Option<Timestamp> {
    let proof = neighbour.proved.iter().find(|p| p.wish.digest == wish.digest)?;
    Some(proof.since)
}
