//! The service itself changes its capacity provider strategy, and changes back.
//!
//! | remembered | the service | code | what happens |
//! |---|---|---|---|
//! | nothing | has no place for tasks, not for `after` yet | `SpotShort` | wait |
//! | nothing | the same for `after` | `FallbackStarts` | it is put on the fallback |
//! | nothing | is on the fallback | `ForeignChange` | ignore: someone put it there |
//! | nothing | has no strategy, or none with Spot | `NotOnSpot` | ignore |
//! | it was put there | does not show it, for two minutes | `FallbackHolds` | wait, then as if it was not put there |
//! | it was put there | is there, not for `return-after` yet | `FallbackHolds` | wait |
//! | it was put there | is there for `return-after` | `FallbackReturns` | it is put back |
//! | it was put back | does not show it, for two minutes | `FallbackHolds` | wait, then twice as long as before |
//! | it was put back | finds no place again | `FallbackStarts` | it is put on the fallback, for twice as long |
//! | either | is on neither strategy | `ForeignChange` | forgotten |
//!
//! While tasks run elsewhere nobody knows whether Spot has room: coming back is the way to find out. So each time that it is
//! too soon the next one is put off for twice as long, up to [`MOST`] times. No deployment is begun into another, ours of
//! delivery least.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Action, Facts, Look, Memory, act, at_rest, ignore, length, of_spot, wait};
use crate::config::StrategyItem;
use crate::delivery::UNSEEN;
use crate::ids::Target;
use crate::report::{Code, Decision, counted};

/// How often the time before coming back is doubled at most: 16 times `return-after`.
const MOST: u32 = 4;

/// A service was put on another strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Switched {
    /// The strategy before, to which it comes back.
    pub before: Vec<StrategyItem>,
    /// When.
    pub at: Timestamp,
    /// How often it had to be put there anew right after coming back.
    #[serde(default)]
    pub again: u32,
    /// When it was put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Timestamp>,
}

pub(super) fn decide(
    facts: &Facts<'_>,
    look: &Look<'_>,
    wanted: &[StrategyItem],
    memory: &mut Memory,
    now: Timestamp,
) -> Decision<Action> {
    memory.twin = None;
    let target = facts.target;
    let current = look.service.capacity_provider_strategy.as_slice();
    let there = same(current, wanted);
    let Some(switched) = memory.switched.clone() else {
        if there {
            memory.short = None;
            return ignore(
                Code::ForeignChange,
                format!("{target} is on its fallback, and was not put there from here"),
            );
        }
        return leave(facts, look, wanted, 0, memory, now);
    };
    if !there && !same(current, &switched.before) {
        (memory.switched, memory.short) = (None, None);
        return ignore(
            Code::ForeignChange,
            format!("someone else put {target} on another strategy"),
        );
    }
    match switched.back {
        None if there => come_back(facts, look, switched, memory, now),
        None if now.duration_since(switched.at) < UNSEEN => unseen(facts, wanted, switched.at),
        // The call was not made, or ECS's circuit breaker went back.
        None => {
            memory.switched = None;
            leave(facts, look, wanted, switched.again, memory, now)
        }
        Some(back) if there && now.duration_since(back) < UNSEEN => unseen(facts, &switched.before, back),
        Some(_) if there => {
            let again = Switched {
                at: now,
                again: switched.again.saturating_add(1).min(MOST),
                back: None,
                ..switched
            };
            come_back(facts, look, again, memory, now)
        }
        Some(back) => {
            let arrived = !look.short && look.service.in_progress().is_none();
            if arrived && now.duration_since(back) >= patience(facts, switched.again) {
                memory.switched = None;
            }
            leave(facts, look, wanted, switched.again.saturating_add(1), memory, now)
        }
    }
}

fn unseen(facts: &Facts<'_>, strategy: &[StrategyItem], since: Timestamp) -> Decision<Action> {
    let message = format!(
        "{} is on {} since {since}, which ECS may not show yet",
        facts.target,
        named(strategy)
    );
    wait(Code::FallbackHolds, message)
}

/// To the fallback, once Spot has been short for long enough.
fn leave(
    facts: &Facts<'_>,
    look: &Look<'_>,
    wanted: &[StrategyItem],
    again: u32,
    memory: &mut Memory,
    now: Timestamp,
) -> Decision<Action> {
    let target = facts.target;
    let current = &look.service.capacity_provider_strategy;
    if !look.short {
        memory.short = None;
        return at_rest(target, look.lacking);
    }
    let unsure = match of_spot(facts, look.service) {
        Ok(unsure) => unsure,
        Err(decision) => {
            memory.short = None;
            return decision;
        }
    };
    let short = memory.is_short_of(look.lacking, 0, now);
    let lacks = format!(
        "{target} has had no place for {} since {}{unsure}",
        counted(short.tasks, "task"),
        short.since
    );
    if !short.has_lasted(facts.rule.after, now) {
        return wait(Code::SpotShort, format!("{lacks}, not for {} yet", facts.rule.after));
    }
    // A deployment that finds no place either is not waited for.
    if facts.delivering {
        return rolling_out(target);
    }
    memory.short = None;
    memory.switched = Some(Switched {
        before: current.clone(),
        at: now,
        again: again.min(MOST),
        back: None,
    });
    let message = format!("{lacks}: it is put on {}", named(wanted));
    act(set(facts, wanted), Code::FallbackStarts, message)
}

fn come_back(
    facts: &Facts<'_>,
    look: &Look<'_>,
    switched: Switched,
    memory: &mut Memory,
    now: Timestamp,
) -> Decision<Action> {
    let target = facts.target;
    memory.short = None;
    let patience = patience(facts, switched.again);
    let since = format!("{target} has been on its fallback since {}", switched.at);
    let is_due = now.duration_since(switched.at) >= patience;
    let before = switched.before.clone();
    memory.switched = Some(switched.clone());
    if !is_due {
        return wait(
            Code::FallbackHolds,
            format!("{since}, and comes back after {} s", patience.as_secs()),
        );
    }
    if facts.delivering {
        return rolling_out(target);
    }
    if let Some(one) = look.service.in_progress() {
        return wait(
            Code::DeploymentInProgress,
            format!("{since}: deployment {} is in progress", one.id),
        );
    }
    memory.switched = Some(Switched {
        back: Some(now),
        ..switched
    });
    let message = format!("{since}: it comes back to {}", named(&before));
    act(set(facts, &before), Code::FallbackReturns, message)
}

fn rolling_out(target: &Target) -> Decision<Action> {
    wait(
        Code::DeploymentInProgress,
        format!("a rollout of {target} is under way"),
    )
}

fn patience(facts: &Facts<'_>, again: u32) -> SignedDuration {
    let times = 1_i32 << again.min(MOST);
    length(facts.rule.return_after)
        .checked_mul(times)
        .unwrap_or(SignedDuration::MAX)
}

fn set(facts: &Facts<'_>, strategy: &[StrategyItem]) -> Action {
    Action::SetStrategy {
        service: facts.target.clone(),
        strategy: strategy.to_vec(),
    }
}

fn named(strategy: &[StrategyItem]) -> String {
    let names: Vec<_> = strategy.iter().map(|item| item.capacity_provider.as_str()).collect();
    names.join(", ")
}

/// Whether two strategies are the same: in any order, and what is left out is 0 (ECS API reference,
/// `CapacityProviderStrategyItem`).
fn same(a: &[StrategyItem], b: &[StrategyItem]) -> bool {
    let plain = |items: &[StrategyItem]| {
        let item = |i: &StrategyItem| {
            (
                i.capacity_provider.clone(),
                i.weight.unwrap_or_default(),
                i.base.unwrap_or_default(),
            )
        };
        let mut items: Vec<_> = items.iter().map(item).collect();
        items.sort();
        items
    };
    plain(a) == plain(b)
}
