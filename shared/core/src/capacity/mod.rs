//! What becomes of a cluster's capacity, and of tasks that do not stay.

pub mod crash;
pub mod standin;
pub mod stopped;
