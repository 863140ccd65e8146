//! What a sweep does with an instance that it finds in a registry and that no running task asks for.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::endpoint::{OWNER_ATTRIBUTE, TASK_ATTRIBUTE};
use crate::report::{Code, Reason};

/// An instance that is listed in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ghost<'a> {
    /// Its id.
    pub instance_id: &'a str,
    /// What it says.
    pub attributes: &'a BTreeMap<String, String>,
}

impl<'a> Ghost<'a> {
    /// The ARN of the task that it stands for.
    #[must_use]
    pub fn task(&self) -> Option<&'a str> {
        self.attributes.get(TASK_ATTRIBUTE).map(String::as_str)
    }

    /// Whether it carries this owner's mark.
    #[must_use]
    pub fn is_marked(&self, owner: &str) -> bool {
        self.attributes.get(OWNER_ATTRIBUTE).is_some_and(|mark| mark == owner)
    }
}

/// What is known of the task that an instance stands for.
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

/// What is to be done with the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes: its owner is proved gone.
    Remove(Reason),
    /// It stays.
    Keep(Reason),
    /// It stays, and the next pass looks again.
    LookAgain(Reason),
}

/// Judges an instance that no running task asks for.
///
/// Only what carries our mark goes, and only with proof that its task is gone: STOPPED, or unknown to ECS in two passes,
/// since one answer may be an error of the moment (ECS API reference, `DescribeTasks`: stopped tasks stay for an hour).
#[must_use]
pub fn judge(ghost: &Ghost<'_>, owner: Owner, our_mark: &str) -> Verdict {
    let id = ghost.instance_id;
    if !ghost.is_marked(our_mark) || ghost.task().is_none() {
        return Verdict::Keep(Reason::new(
            Code::NotOurs,
            format!("{id} does not carry the mark `{our_mark}`"),
        ));
    }
    match owner {
        Owner::Stopped => Verdict::Remove(Reason::new(
            Code::GhostEndpoint,
            format!("{id} is there, its task has stopped"),
        )),
        Owner::Missing { since: Some(since) } => Verdict::Remove(Reason::new(
            Code::GhostEndpoint,
            format!("{id} is there, ECS has not known its task since {since}"),
        )),
        Owner::Missing { since: None } => Verdict::LookAgain(Reason::new(
            Code::OwnerUnknown,
            format!("{id} is there, ECS does not know its task: the next pass looks again"),
        )),
        Owner::Alive => Verdict::Keep(Reason::new(Code::OwnerUnknown, format!("the task of {id} is alive"))),
    }
}
