//! Capacity: instances that go are drained, dead ones are replaced, and a lack of instances is met.

mod instance;

pub use instance::{ContainerInstance, InstanceStatus};
