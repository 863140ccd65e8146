//! What is known of a task and its endpoints.

use super::Endpoint;
use crate::config::stored::Managed;
use crate::event::TaskStateChange;
use crate::known::Known;

/// What the ledger believes of a task's endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belief {
    /// Registered, and confirmed since.
    pub registered: Vec<Endpoint>,
    /// Registered by a call whose outcome was not confirmed, by this or another invocation: there or not.
    pub uncertain: Vec<Endpoint>,
}

impl Belief {
    /// Everything that is or may be there, each once.
    pub fn possible(&self) -> impl Iterator<Item = &Endpoint> {
        let new = |e: &&Endpoint| !self.registered.iter().any(|r| r.is_same_instance(e));
        self.registered.iter().chain(self.uncertain.iter().filter(new))
    }
}

/// What `decide` looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The target and its configuration.
    pub managed: Managed,
    /// The task, at the highest version that is known.
    pub task: TaskStateChange,
    /// What of its endpoints is there; not known in an offline `explain`.
    pub belief: Known<Belief>,
    /// Our owner mark.
    pub owner: String,
    /// Whether the task was looked up: what it lacks then is not to be had.
    pub looked_up: bool,
}
