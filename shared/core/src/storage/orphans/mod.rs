//! Volumes that ECS made and left behind, attached to nothing: one decision for a cluster.
//!
//! ECS deletes the volume of a service's task with the task; that of a task with `deleteOnTermination: false` stays, and so
//! does one whose deletion failed. EC2 does not say when a volume was detached, so that is remembered since when each look
//! found it attached to nothing. After `after` it is told of, and with `action: remove`
//!
//! 1. a snapshot of it is made, by the same rule as those of a lineage: the intent is stored before the call, and among the
//!    snapshot's tags is the time that tells one request from the next;
//! 2. when that snapshot is completed, the volume is deleted. Nothing else ever leads to a removal.
//!
//! | what is found | what is done |
//! |---|---|
//! | it carries our own mark, or is of another cluster | nothing: it is no orphan of this one |
//! | no tag says of which cluster it is | it is told of, and stays |
//! | a look did not find it, or no look was made for an hour | its time begins anew |
//! | a task that has not stopped names it, or EC2 says that it is in use | it stays, and its time begins anew |
//! | which volumes tasks name is not known | nothing is made and nothing is removed |

mod action;
mod decide;
mod facts;
mod memory;
mod notice;
#[cfg(test)]
mod tests;

pub use action::Action;
pub use decide::{Decided, decide};
pub use facts::Facts;
pub use memory::{Asked, Memory, Seen};
pub use notice::Notice;
