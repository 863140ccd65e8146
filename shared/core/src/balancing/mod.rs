//! Tasks in target groups of Elastic Load Balancing: what [`crate::endpoint`] needs to know of them.

mod membership;
mod target;
#[cfg(test)]
mod tests;

use crate::endpoint;

pub use membership::Membership;
pub use target::{TargetDescription, TargetGroup, TargetHealth, TargetType};

/// What `decide` looks at.
pub type Facts = endpoint::Facts<Membership>;
/// What the ledger believes of a task's targets.
pub type Belief = endpoint::Belief<Membership>;
/// A call to Elastic Load Balancing.
pub type Action = endpoint::Action<Membership>;

pub use crate::endpoint::{decide, wanted};
