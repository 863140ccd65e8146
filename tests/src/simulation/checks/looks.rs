//! Which passes of scaling saw a service: what none saw cannot have counted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{as_number, as_text};
use wharfinger_cloud::world::World;
use wharfinger_core::ids::Target;

use super::asked::later;
use super::scaling::ASIDE;
use super::{LEARNS, SKEW, Watch};
use crate::simulation::bus;
use crate::simulation::counts::Rules;
use crate::simulation::scenario::Scenario;

/// What passed over which service, and when.
#[derive(Debug, Default)]
pub(super) struct Looks {
    begun: BTreeMap<String, Begun>,
    seen: BTreeMap<Target, Vec<(Timestamp, Timestamp)>>,
    /// When Application Auto Scaling did not answer.
    pub(super) unanswered: Vec<Timestamp>,
}

/// An invocation.
#[derive(Debug)]
struct Begun {
    at: Timestamp,
    /// Whether it looks at every service, or at those of which something is to be expected, or only at an alarm's.
    scope: Option<bool>,
    /// The services of which another had the lease meanwhile.
    kept_off: BTreeSet<Target>,
    ended: Option<Timestamp>,
}

impl Watch {
    /// An invocation of the function of counts begins.
    pub fn looks(&mut self, name: &str, event: &serde_json::Value, at: Timestamp) {
        let scheduled = event.get("detail-type").is_some_and(|kind| kind == "Scheduled Event");
        let begun = Begun {
            at,
            scope: scheduled.then(|| bus::is_sweep(event)),
            kept_off: BTreeSet::new(),
            ended: None,
        };
        self.looks.begun.insert(name.to_owned(), begun);
    }

    /// Takes note of who has the lease of what.
    pub fn leases(&mut self, world: &World, scenario: &Scenario) {
        for begun in self.looks.begun.iter_mut().filter(|(_, begun)| begun.ended.is_none()) {
            let (name, begun) = begun;
            for plan in scenario.targets.iter().filter(|plan| plan.scaling.is_some()) {
                let item = world.tables.state.get(&service_key(&plan.target));
                let holder = item.and_then(|item| as_text(item, "holder"));
                let until = item.and_then(|item| as_number(item, "until"));
                let living = until.is_some_and(|until| until + 1_000 > world.now.as_millisecond());
                if living && holder.is_some_and(|holder| holder != name) {
                    begun.kept_off.insert(plan.target.clone());
                }
            }
        }
    }

    /// An invocation has ended, well or not.
    pub fn looked(&mut self, scenario: &Scenario, name: &str, well: bool, now: Timestamp) {
        let Some(begun) = self.looks.begun.get_mut(name) else {
            return;
        };
        begun.ended = Some(now);
        let Some(all) = begun.scope.filter(|_| well) else {
            return;
        };
        for plan in &scenario.targets {
            let Some(scaling) = &plan.scaling else { continue };
            let paused = plan
                .paused
                .is_some_and(|(_, until)| begun.at.duration_since(until) < LEARNS);
            if paused || begun.kept_off.contains(&plan.target) || scenario.others.contains_key(&plan.target) {
                continue;
            }
            let seen = self.looks.seen.entry(plan.target.clone()).or_default();
            // Whoever has a queue is among those that are looked at every minute, once it has been looked at.
            let known = matches!(scaling.rules, Rules::Queue { .. }) && !seen.is_empty();
            if all || known {
                seen.push((begun.at, now));
            }
        }
    }

    /// Until when it may not be known what Application Auto Scaling moves.
    pub fn unsure_until(&self, scenario: &Scenario) -> Option<Timestamp> {
        let since = scenario.others.values().chain(&self.looks.unanswered).max()?;
        (!scenario.others.is_empty()).then(|| later(*since, ASIDE))
    }

    /// When an invocation began.
    pub(super) fn began(&self, name: &str) -> Option<Timestamp> {
        self.looks.begun.get(name).map(|begun| begun.at)
    }

    /// Whether every pass of a window saw that a change was asked for; where there was none in it, the last one before.
    pub(super) fn has_stood(
        &self,
        target: &Target,
        (at, begun): (Timestamp, Timestamp),
        seconds: u64,
        may: impl Fn(Timestamp, Timestamp) -> bool,
    ) -> bool {
        let window = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or_default());
        let first = at.saturating_sub(window - SKEW).unwrap_or(Timestamp::MIN);
        let seen = self.looks.seen.get(target).map(Vec::as_slice).unwrap_or_default();
        let earlier = seen.iter().filter(|(_, ended)| *ended <= at);
        if earlier
            .clone()
            .any(|(begun, ended)| *begun > first && !may(*begun, *ended))
        {
            return false;
        }
        let Some((last, ended)) = earlier.max_by_key(|(begun, _)| *begun) else {
            return true;
        };
        // Whoever ran since may have seen it too, and not been the only one.
        let since = |other: &Begun| other.at < begun && other.at != *last && other.ended.is_none_or(|at| at > *last);
        self.looks.begun.values().any(since) || may(*last, *ended)
    }

    /// Whether what a change needs has lasted for as long as it must, as far as passes saw it: `may` says whether it may
    /// have been so at some time from one time to another.
    pub(super) fn has_lasted(
        &self,
        target: &Target,
        at: Timestamp,
        seconds: u64,
        may: impl Fn(Timestamp, Timestamp) -> bool,
    ) -> bool {
        let seen = self.looks.seen.get(target).into_iter().flatten();
        let against = seen.filter(|(begun, ended)| *ended <= at && !may(*begun, *ended));
        let since = against.map(|(begun, _)| *begun).max().unwrap_or(Timestamp::MIN);
        let window = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or_default());
        let latest = at.saturating_sub(window - SKEW).unwrap_or(Timestamp::MIN);
        since <= latest && may(since, latest)
    }
}
