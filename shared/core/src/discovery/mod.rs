//! Endpoints of tasks in AWS Cloud Map: what [`crate::endpoint`] needs to know of them.

mod attributes;
mod instance;
mod records;
#[cfg(test)]
mod tests;

use crate::endpoint;

pub use attributes::{OWNER_ATTRIBUTE, TASK_ATTRIBUTE};
pub use instance::{DeregisterInstance, Endpoint};
pub use records::mismatch;

/// What `decide` looks at.
pub type Facts = endpoint::Facts<Endpoint>;
/// What the ledger believes of a task's endpoints.
pub type Belief = endpoint::Belief<Endpoint>;
/// A call to Cloud Map.
pub type Action = endpoint::Action<Endpoint>;
/// What one entry of the configuration asks for.
pub type Wanted = endpoint::Wanted<Endpoint>;

pub use crate::endpoint::{decide, wanted};
