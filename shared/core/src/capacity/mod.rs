//! Capacity: instances that go are drained, dead ones are replaced, and a lack of instances is met.

mod action;
mod cause;
mod dead;
mod decide;
mod drain;
mod facts;
mod going;
mod group;
mod instance;
mod provider;
mod returns;
mod said;

pub use action::{Action, STATES_AT_ONCE, State, Waiting};
pub use decide::{Decided, decide};
pub use facts::{Facts, Percents, TaskOn};
pub use going::{Causes, Did, Going, Hook, Scheduled, Seen, Silence, SpotNotice};
pub use group::{AutoScalingGroup, AutoScalingInstance};
pub use instance::{ContainerInstance, InstanceStatus};
pub use provider::{CapacityProvider, group_name};

#[cfg(test)]
mod tests;
