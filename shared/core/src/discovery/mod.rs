//! Endpoints of tasks in AWS Cloud Map.
//!
//! | the task | known of its endpoints | plan |
//! |---|---|---|
//! | is on its way up | – | wait |
//! | runs and is meant to | none, or others | register what is wanted, deregister what is not |
//! | runs and is meant to | just these | nothing |
//! | leaves | some that are or may be there | deregister them all |
//! | leaves | none | nothing: it never joined |

mod decide;
mod endpoint;
mod facts;
mod sweep;
#[cfg(test)]
mod tests;

pub use decide::{Action, DeregisterInstance, decide};
pub use endpoint::{Endpoint, OWNER_ATTRIBUTE, TASK_ATTRIBUTE, Wanted, wanted};
pub use facts::{Belief, Facts};
pub use sweep::{Ghost, Owner, Verdict, judge};
