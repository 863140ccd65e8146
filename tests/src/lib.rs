//! What the tests that cross crates share.

pub mod lambda;
pub mod simulation;
