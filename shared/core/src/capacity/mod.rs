//! Capacity: instances that go are drained, dead ones are replaced, a lack of instances is met, and tasks that do not stay
//! are told of.

pub mod crash;
pub mod fallback;
mod group;
mod instance;
pub mod placement;
mod provider;
pub mod stopped;

pub use group::{AutoScalingGroup, AutoScalingInstance};
pub use instance::{ContainerInstance, InstanceStatus};
pub use provider::{CapacityProvider, group_name};
