//! Gates: what must have been before a rollout, at some time of the invocation that made it.

use jiff::{SignedDuration, Timestamp};
use wharfinger_core::ids::{Digest, Target};

use super::super::SKEW;
use super::super::asked::{back, later, seconds, within};
use super::{INVOCATION, Scanned, Ships};
use crate::simulation::fleet::Gates;
use crate::simulation::scenario::{DeliveryPlan, Scenario};

/// Events tell whole seconds, and clocks differ.
const ROUGHLY: SignedDuration = SignedDuration::from_secs(2);

impl Ships {
    /// Whether each gate of a rule was open to an image at some time between two; if not, which was not.
    pub(super) fn gates(
        &self,
        scenario: &Scenario,
        (target, rule): (&Target, &DeliveryPlan),
        digest: &Digest,
        (from, now): (Timestamp, Timestamp),
    ) -> Result<Vec<&'static str>, String> {
        let gates = &rule.gates;
        let mut through = Vec::new();
        if let Some(mature) = gates.mature {
            self.matured(rule, digest, seconds(mature), now)?;
            through.push("through mature");
        }
        if gates.freeze.is_some() || gates.allow.is_some() {
            in_window(gates, from, now)?;
            through.push("through windows");
        }
        if gates.scan {
            let clean = within(&self.scans, digest.as_str(), from, now).any(|state| *state == Scanned::Clean);
            check(clean, || "its scan is not finished, or found something".into())?;
            through.push("through scan");
        }
        if gates.approval {
            let agreed = self
                .approvals
                .iter()
                .any(|a| a.target == *target && a.digest == *digest && a.at <= now && from <= a.until);
            check(agreed, || "nobody agreed to it".into())?;
            through.push("through approval");
        }
        if let Some(source) = &gates.after {
            self.was_proved(source, digest, gates.bake, now)?;
            through.push("through after");
        }
        if let Some(shares) = gates.waves {
            let before = before(scenario, target, &rule.repository, shares);
            for peer in &before {
                self.was_proved(peer, digest, gates.bake, now)?;
            }
            if !before.is_empty() {
                through.push("through waves");
            }
        }
        if gates.bake.is_some() {
            through.push("through bake");
        }
        Ok(through)
    }

    fn matured(
        &self,
        rule: &DeliveryPlan,
        digest: &Digest,
        span: SignedDuration,
        now: Timestamp,
    ) -> Result<(), String> {
        let pushes = self.pushes.get(&(rule.repository.clone(), digest.clone()));
        let first = pushes.into_iter().flatten().map(|(_, at)| *at).min();
        let old = first.is_some_and(|at| later(at, span) <= later(now, ROUGHLY));
        check(old, || format!("it was pushed at {first:?}, and is not {span:#} old"))
    }

    /// A service's memory said within the last minute that it has proved the image, for long enough, and it had really come
    /// up with it by then.
    fn was_proved(&self, source: &Target, digest: &Digest, bake: Option<u64>, now: Timestamp) -> Result<(), String> {
        let name = source.to_string();
        let said = within(&self.proofs, &name, back(now, INVOCATION + SKEW), now);
        let mut since: Vec<Timestamp> = said.filter_map(|proofs| proofs.get(digest).copied()).collect();
        check(!since.is_empty(), || format!("{name} has not proved it"))?;
        since.retain(|at| later(*at, seconds(bake.unwrap_or_default())) <= later(now, ROUGHLY));
        check(!since.is_empty(), || format!("{name} has not proved it for {bake:?} s"))?;
        let ups = self.ups.get(&name).into_iter().flatten();
        let first = ups
            .filter(|(_, up)| up.as_ref() == Some(digest))
            .map(|(at, _)| *at)
            .min();
        let really = first.is_some_and(|first| since.iter().any(|at| first <= later(*at, ROUGHLY)));
        check(really, || {
            format!("{name} says it has proved it, and has not come up with it")
        })
    }
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

fn in_window(gates: &Gates, from: Timestamp, to: Timestamp) -> Result<(), String> {
    let moments = (from.as_second()..=later(to, SKEW).as_second()).filter_map(|s| Timestamp::from_second(s).ok());
    let is_open = |at: Timestamp| {
        gates.allow.is_none_or(|allow| allow.covers(at)) && !gates.freeze.is_some_and(|freeze| freeze.covers(at))
    };
    check(moments.into_iter().any(is_open), || {
        format!("no window was open: {:?}, {:?}", gates.freeze, gates.allow)
    })
}

/// The targets of the waves before: in the order of names, the first wave has the first share of them, rounded up.
fn before(scenario: &Scenario, target: &Target, repository: &str, shares: &[usize]) -> Vec<Target> {
    let takes_part = |rule: &DeliveryPlan| rule.repository == repository && rule.gates.waves.is_some();
    let mut all: Vec<_> = scenario
        .targets
        .iter()
        .filter(|p| p.delivery.as_ref().is_some_and(takes_part))
        .map(|p| p.target.clone())
        .collect();
    all.sort();
    let ends: Vec<_> = shares.iter().map(|share| (all.len() * share).div_ceil(100)).collect();
    let place = all.iter().position(|one| one == target).unwrap_or_default();
    let begin = ends
        .iter()
        .rev()
        .find(|end| **end <= place)
        .copied()
        .unwrap_or_default();
    all.truncate(begin);
    all
}
