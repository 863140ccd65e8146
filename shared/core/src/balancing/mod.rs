//! Tasks in target groups of Elastic Load Balancing.

mod target;

pub use target::{TargetDescription, TargetGroup, TargetHealth, TargetType};
