//! What stands for a task somewhere: an instance of a Cloud Map service, a target of a target group.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Facts, Seat};
use crate::config::stored::StoredTarget;
use crate::config::{Address, Service, When};
use crate::report::Reason;

/// What an entry of the configuration asks of the task, whatever it is registered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The container that has the port.
    pub container: Option<&'a str>,
    /// The container port.
    pub port: Option<u16>,
    /// Which address.
    pub address: Address,
    /// When it joins.
    pub when: When,
    /// How the task is named there.
    pub by: By,
}

/// How a task is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By an address.
    Address,
    /// By the EC2 instance that it runs on.
    Instance,
    /// By its own address if it has one, otherwise by its instance: how is not known.
    Either,
}

/// What one entry of the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted<M> {
    /// This.
    Member(M),
    /// None yet: a fact is missing that this AWS operation would tell.
    Needs(&'static str, Reason),
    /// None, whatever is looked up.
    Nothing(Reason),
}

/// Why there is no member, or no place for one: a fact is missing, or it cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// This AWS operation would tell.
    Needs(&'static str, Reason),
    /// Whatever is looked up.
    Nothing(Reason),
}

impl<M> From<Lack> for Wanted<M> {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::Needs(operation, reason) => Self::Needs(operation, reason),
            Lack::Nothing(reason) => Self::Nothing(reason),
        }
    }
}

/// The request of one AWS operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its name.
    pub call: &'static str,
    /// What is sent.
    pub input: Value,
}

/// Something that stands for a task, and that discovery and balancing each bring.
pub trait Member: Debug + Clone + PartialEq + Serialize + DeserializeOwned {
    /// The domain: `discovery`, `balancing`.
    const DOMAIN: &'static str;

    /// Whether what stands for two tasks at one address and port is one and the same thing, as a target is. Then the newer
    /// task takes it over, and the older must not remove it when it leaves.
    const SHARED: bool;

    /// The AWS operation that lists what is in a collection.
    const LISTED_BY: &'static str;

    /// An entry of the configuration.
    type Entry;

    /// The entries of a target.
    fn entries(config: &Service) -> &[Self::Entry];

    /// What the entry calls the place where its members are kept.
    fn label(entry: &Self::Entry) -> &str;

    /// What an entry asks of the task.
    fn ask<'e>(stored: &StoredTarget, entry: &'e Self::Entry) -> Ask<'e>;

    /// Where an entry's members are kept, if it is known: a Cloud Map service, a target group.
    fn collection(stored: &StoredTarget, entry: &Self::Entry) -> Result<String, Reason>;

    /// What an entry asks for, given where the container is reached.
    ///
    /// # Errors
    /// When it cannot be registered, or a fact is missing.
    fn make(facts: &Facts<Self>, entry: &Self::Entry, seat: &Seat<'_>) -> Result<Self, Lack>;

    /// What a removal needs, when the ledger knows nothing.
    ///
    /// # Errors
    /// When it cannot be told.
    fn place(facts: &Facts<Self>, entry: &Self::Entry) -> Result<Self, Lack>;

    /// What an UNHEALTHY task's member becomes instead of leaving, where the registry can say so.
    fn unhealthy(&self, facts: &Facts<Self>) -> Option<Self>;

    /// Where it is kept.
    fn kept_in(&self) -> &str;

    /// Its name there, for people.
    fn name(&self) -> String;

    /// The group of its task, if it says so: `service:web`.
    fn group(&self) -> Option<String>;

    /// The address and port that it takes; two tasks that run cannot both have it. `None` when that is not known.
    fn address(&self) -> Option<String>;

    /// Whether both are the same thing in the same collection, whatever is said of it.
    fn is_same(&self, other: &Self) -> bool;

    /// The call that makes it what it is to be, given what was there before.
    fn joins(&self, before: Option<&Self>) -> Request;

    /// The call that removes it.
    fn leaves(&self) -> Request;
}
