//! Capacity: instances that go are drained, dead ones are replaced, a lack of instances is met, and tasks that do not stay
//! are told of.

mod action;
mod cause;
pub mod crash;
mod dead;
mod decide;
mod drain;
mod facts;
pub mod fallback;
mod going;
mod group;
mod instance;
pub mod market;
pub mod placement;
mod provider;
mod returns;
mod said;
mod standing;
pub mod stopped;

pub use action::{Action, STATES_AT_ONCE, State, Waiting};
pub use cause::MANAGED_HOOK;
pub use decide::{Decided, decide};
pub use facts::{Facts, Percents, TaskOn};
pub use going::{Causes, Did, Going, Hook, Scheduled, Seen, Silence, SpotNotice};
pub use group::{AutoScalingGroup, AutoScalingInstance};
pub use instance::{ContainerInstance, InstanceStatus};
pub use provider::{CapacityProvider, group_name};
pub use standing::Standing;

#[cfg(test)]
mod tests;
