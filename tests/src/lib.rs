//! What the tests that cross crates share.

pub mod day;
pub mod engine;
pub mod lambda;
pub mod lineages;
pub mod simulation;
pub mod stateful;
