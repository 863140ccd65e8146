//! Capacity: instances that go are drained, dead ones are replaced, and a lack of instances is met.

mod group;
mod instance;
mod provider;

pub use group::{AutoScalingGroup, AutoScalingInstance};
pub use instance::{ContainerInstance, InstanceStatus};
pub use provider::{CapacityProvider, group_name};
