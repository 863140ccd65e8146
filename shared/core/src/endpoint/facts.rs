//! What is known of a task and of what stands for it.

use std::collections::BTreeMap;

use super::{Drain, Host, Member, Others};
use crate::config::stored::Managed;
use crate::event::TaskStateChange;
use crate::ids::TaskArn;
use crate::known::Known;

/// What the ledger believes of a task's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belief<M> {
    /// Registered, and confirmed since.
    pub registered: Vec<M>,
    /// Registered by a call whose outcome was not confirmed, by this or another invocation: there or not.
    pub uncertain: Vec<M>,
}

impl<M> Default for Belief<M> {
    fn default() -> Self {
        Self {
            registered: Vec::new(),
            uncertain: Vec::new(),
        }
    }
}

impl<M: Member> Belief<M> {
    /// Everything that is or may be there, each once.
    pub fn possible(&self) -> impl Iterator<Item = &M> {
        let all = || self.registered.iter().chain(&self.uncertain);
        let new = move |(place, member): &(usize, &M)| !all().take(*place).any(|other| other.is_same(member));
        all().enumerate().filter(new).map(|(_, member)| member)
    }
}

/// Another task that holds the address and port of one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival<M> {
    /// What stands for it.
    pub member: M,
    /// The task.
    pub task: TaskArn,
    /// Whether it began after ours: then the address is its, and ours is the stale one.
    pub newer: bool,
}

/// What `decide` looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<M> {
    /// The target and its configuration.
    pub managed: Managed,
    /// The task, at the highest version that is known.
    pub task: TaskStateChange,
    /// The instance that it runs on; `Known::Yes(None)` when ECS does not know it.
    pub host: Known<Option<Host>>,
    /// The public address of its own network interface.
    pub public_ipv4: Known<Option<String>>,
    /// What of its members is there; not known in an offline `explain`.
    pub belief: Known<Belief<M>>,
    /// Who else holds the addresses.
    pub rivals: Vec<Rival<M>>,
    /// What is listed and on its way out. Whoever wished that, it is not brought back for being listed: it joins again once
    /// it has gone.
    pub draining: Vec<M>,
    /// Whether the instance that it runs on drains.
    pub drain: Drain,
    /// By collection, which other endpoints of its target are there; absent where nobody looked. It is asked for only where the
    /// instance drains.
    pub others: BTreeMap<String, Others>,
    /// Our owner mark.
    pub owner: String,
    /// Whether the task was looked up: what it lacks then is not to be had.
    pub looked_up: bool,
    /// Whether a leaving task's members were removed already.
    pub left: bool,
}

impl<M> Facts<M> {
    /// The facts of a task of which nothing was looked up.
    pub fn of(managed: Managed, task: TaskStateChange, owner: impl Into<String>) -> Self {
        Self {
            managed,
            task,
            host: Known::No,
            public_ipv4: Known::No,
            belief: Known::No,
            rivals: Vec::new(),
            draining: Vec::new(),
            drain: Drain::default(),
            others: BTreeMap::new(),
            owner: owner.into(),
            looked_up: false,
            left: false,
        }
    }
}
