//! Which pushed image is rolled out, as which revision, and when.

mod image;
mod number;
mod policy;
mod versions;
mod wish;

pub use image::{ImageRef, Registry, Repository, is_tag};
pub use policy::{Compiled, PolicyError, Selected, Verdict};
pub use versions::RangeError;
pub use wish::{Wish, rule_key};
