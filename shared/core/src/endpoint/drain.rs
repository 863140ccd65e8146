//! What stands for a task whose instance drains: it leaves before ECS stops the task, as long as others are left.
//!
//! | others of the target in the same collection | it is there | it is not there |
//! |---|---|---|
//! | on an instance that does not drain, or on Fargate | leaves | stays out |
//! | on draining instances only | stays | stays out |
//! | none | stays | joins |
//!
//! Under this rule it does not matter who looks first: of two instances that drain at once each counts for nothing to the
//! other, so neither takes the last away because of the other.

use super::member::Lack;
use super::{Facts, Member};
use crate::known::Known;
use crate::report::{Code, Reason};

/// What is known of the instance that a task runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drain {
    /// The container instance's `version` at which it was so; 0 when nothing was ever told of it.
    pub version: i64,
    /// Whether it drains.
    pub drains: bool,
    /// Whether ECS was asked; otherwise it is what was told earlier, and may be over.
    pub seen: bool,
}

/// Which other endpoints of a task's target are in a collection; the greatest that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Others {
    /// None.
    #[default]
    None,
    /// Some, all of them on instances that drain.
    Draining,
    /// At least one on an instance that does not drain, or on Fargate.
    Steady,
}

/// Whether what is wanted is wanted although the instance drains.
///
/// # Errors
/// When it is not, or when that is not known.
pub(super) fn stays<M: Member>(facts: &Facts<M>, member: M) -> Result<M, Lack> {
    if !facts.drain.drains {
        return Ok(member);
    }
    if !facts.drain.seen {
        let message = "the instance that the task runs on was draining: whether it still is, is not in the event";
        return Err(Lack::Needs(
            "DescribeContainerInstances",
            Reason::new(Code::FactsMissing, message),
        ));
    }
    let is_there = match &facts.belief {
        Known::Yes(belief) => belief.registered.iter().any(|other| other.is_same(&member)),
        Known::No => true,
    };
    match facts.others.get(member.kept_in()) {
        Some(Others::None) => Ok(member),
        Some(Others::Draining) if is_there => Ok(member),
        Some(Others::Draining | Others::Steady) => {
            let verb = if is_there { "leaves" } else { "does not join" };
            let message = format!("{} {verb}: the instance that its task runs on drains", member.name());
            Err(Lack::Nothing(Reason::new(Code::HostDraining, message)))
        }
        None => {
            let message = format!(
                "the instance that the task runs on drains: whether {} is the last of its target is not known",
                member.name()
            );
            Err(Lack::Needs(M::LISTED_BY, Reason::new(Code::FactsMissing, message)))
        }
    }
}

/// Why an endpoint is wanted although the instance drains.
pub(super) fn last<M: Member>(member: &M) -> Reason {
    let message = format!(
        "the instance that its task runs on drains, but no other of its target is elsewhere: {} stays as long",
        member.name()
    );
    Reason::new(Code::LastEndpoint, message)
}
