//! Another service takes the tasks for which Spot has no room.
//!
//! | the first lacks | code | what happens |
//! |---|---|---|
//! | more than the twin is to have, for want of a place, and does not run on Spot | `NotOnSpot` | ignore |
//! | more than the twin is to have, for want of a place, not for `after` yet | `SpotShort` | wait |
//! | the same for `after` | `FallbackStarts` | the twin gets as many as it lacked all that time |
//! | fewer than the twin is to have, not for `return-after` yet | `FallbackHolds` | wait |
//! | the same for `return-after` | `FallbackReturns` | the twin keeps as many as it lacked at most in that time |
//! | the same, and nobody here raised the twin | `ForeignChange` | ignore |
//! | as many | `FallbackHolds` | ignore |
//! | none, and the twin has none | `NothingUnplaced` | ignore |
//!
//! A raise never goes beyond what the first lacks, so both together are never to have more than the first wants; what runs in
//! the twin already stays until Spot has kept its room. Each number is absolute and follows from what is seen, so a call that
//! was not made is made at the next look.

use jiff::Timestamp;

use super::{Action, Facts, Look, Memory, act, active, at_rest, ignore, of_spot, wait};
use crate::ids::{Target, TargetKind};
use crate::report::{Code, Decision, counted};

pub(super) fn decide(
    facts: &Facts<'_>,
    look: &Look<'_>,
    name: &str,
    memory: &mut Memory,
    now: Timestamp,
) -> Decision<Action> {
    // Whoever takes the strategy out of the configuration has put the service where it is to be.
    memory.switched = None;
    let twin = match Target::parse(TargetKind::Service, name) {
        Ok(twin) => twin,
        Err(error) => return ignore(Code::ConfigMalformed, format!("`twin`: {error}")),
    };
    let elsewhere = match active(&facts.twin, &twin) {
        Ok(service) => service.desired_count,
        Err(decision) => return decision,
    };
    let lacking = look.lacking;
    if lacking > elsewhere && look.short {
        return match of_spot(facts, look.service) {
            Ok(unsure) => raise(facts, &twin, (lacking, elsewhere), &unsure, memory, now),
            Err(decision) => {
                memory.short = None;
                decision
            }
        };
    }
    memory.short = None;
    if lacking < elsewhere {
        return shrink(facts, &twin, lacking, elsewhere, memory, now);
    }
    memory.back = None;
    if elsewhere == 0 {
        memory.twin = None;
        return at_rest(facts.target, lacking);
    }
    let message = format!(
        "{} lacks {}, and {twin} has {elsewhere} for it",
        facts.target,
        counted(lacking, "task")
    );
    ignore(Code::FallbackHolds, message)
}

fn raise(
    facts: &Facts<'_>,
    twin: &Target,
    (lacking, elsewhere): (u32, u32),
    unsure: &str,
    memory: &mut Memory,
    now: Timestamp,
) -> Decision<Action> {
    let target = facts.target;
    let short = memory.is_short_of(lacking, elsewhere, now);
    let lacks = format!(
        "{target} has had no place for {} since {}{unsure}",
        counted(short.tasks, "task"),
        short.since
    );
    if !short.has_lasted(facts.rule.after, now) {
        return wait(Code::SpotShort, format!("{lacks}, not for {} yet", facts.rule.after));
    }
    memory.twin = memory.twin.or(Some(now));
    let message = format!(
        "{lacks}: {twin} goes from {elsewhere} to {}",
        counted(short.tasks, "task")
    );
    let action = Action::SetDesiredCount {
        service: twin.clone(),
        count: short.tasks,
    };
    act(action, Code::FallbackStarts, message)
}

fn shrink(
    facts: &Facts<'_>,
    twin: &Target,
    lacking: u32,
    elsewhere: u32,
    memory: &mut Memory,
    now: Timestamp,
) -> Decision<Action> {
    let target = facts.target;
    if memory.twin.is_none() {
        memory.back = None;
        let has = counted(elsewhere, "task");
        let message = format!("{twin} has {has}, and {target} lacks {lacking}: someone else wants them");
        return ignore(Code::ForeignChange, message);
    }
    let back = memory.has_room_for_all_but(lacking, elsewhere, now);
    let lacks = format!(
        "{target} has lacked {} at most since {}",
        counted(back.tasks, "task"),
        back.since
    );
    if !back.has_lasted(facts.rule.return_after, now) {
        let message = format!(
            "{lacks}, not for {} yet: {twin} keeps its {elsewhere}",
            facts.rule.return_after
        );
        return wait(Code::FallbackHolds, message);
    }
    let message = format!(
        "{lacks}: {twin} goes from {elsewhere} to {}",
        counted(back.tasks, "task")
    );
    let action = Action::SetDesiredCount {
        service: twin.clone(),
        count: back.tasks,
    };
    act(action, Code::FallbackReturns, message)
}
