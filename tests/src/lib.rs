//! What the tests that cross crates share.

pub mod day;
pub mod lambda;
pub mod simulation;
