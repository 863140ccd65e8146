//! Where the containers of a task can be reached: what discovery and balancing have in common.

mod host;

pub use host::Host;
