//! What a sweep does with a member that it finds listed and that no running task asks for.

use jiff::Timestamp;

use crate::report::{Code, Reason};

/// What is known of the task that a member stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It runs, or is on its way up.
    Alive,
    /// ECS says that it stops or has stopped, or our ledger has its tombstone.
    Stopped,
    /// ECS does not know it, seen so first at this time.
    Missing {
        /// When an earlier pass first found it missing; `None` when this pass is the first.
        since: Option<Timestamp>,
    },
}

/// What is to be done with the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes: its owner is proved gone.
    Remove(Reason),
    /// It stays.
    Keep(Reason),
    /// It stays, and the next pass looks again.
    LookAgain(Reason),
}

/// Judges a member of ours that no running task asks for.
///
/// It goes only with proof that its task is gone: STOPPED, or unknown to ECS in two passes, since one answer may be an
/// error of the moment (ECS API reference, `DescribeTasks`: stopped tasks stay for an hour).
#[must_use]
pub fn judge(name: &str, owner: Owner) -> Verdict {
    match owner {
        Owner::Stopped => Verdict::Remove(Reason::new(
            Code::GhostEndpoint,
            format!("{name} is there, its task has stopped"),
        )),
        Owner::Missing { since: Some(since) } => Verdict::Remove(Reason::new(
            Code::GhostEndpoint,
            format!("{name} is there, ECS has not known its task since {since}"),
        )),
        Owner::Missing { since: None } => Verdict::LookAgain(Reason::new(
            Code::OwnerUnknown,
            format!("{name} is there, ECS does not know its task: the next pass looks again"),
        )),
        Owner::Alive => Verdict::Keep(Reason::new(Code::OwnerUnknown, format!("the task of {name} is alive"))),
    }
}
