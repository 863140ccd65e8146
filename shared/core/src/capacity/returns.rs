//! An instance stays after all, or is back: what we took out of service takes tasks again.

use jiff::Timestamp;

use super::cause::SETTLES;
use super::decide::Plan;
use super::{ContainerInstance, Facts, Going, InstanceStatus};
use crate::report::Code;

/// Nothing is left for which this instance would go. One that somebody else drained is left as it is.
pub(super) fn returns(
    facts: &Facts,
    plan: &mut Plan,
    id: &str,
    going: &Going,
    instance: &ContainerInstance,
    now: Timestamp,
) {
    // Of the call that was to bring it back the answer was lost, or of the one that was to drain it there was none. What
    // somebody else drains from now on is theirs.
    let drained_at = going.did.drained_at.filter(|_| going.did.drained_by_us());
    let active = instance.status == InstanceStatus::Active;
    if drained_at.is_some_and(|at| active && now.duration_since(at) >= SETTLES) {
        plan.did(id).drained_at = None;
        return;
    }
    let ours = going.did.drained_by_us() && instance.status == InstanceStatus::Draining;
    if !ours || facts.drained_by_ecs(instance) {
        return;
    }
    if !instance.agent_connected {
        let message = "it stays, and its agent is not back yet";
        plan.said.of(Code::AgentDisconnected, id, message);
        plan.waits = true;
        return;
    }
    plan.said.of(
        Code::InstanceReturns,
        id,
        format!("it stays in {}, and takes tasks again", facts.target),
    );
    plan.activated.push(instance.arn.clone());
    plan.did(id).activated_at = Some(now);
}
