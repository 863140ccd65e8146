//! Which pushed image is rolled out, as which revision, and when.

mod compare;
mod image;
mod number;
mod policy;
mod revision;
mod versions;
mod wish;

pub use compare::{Change, Difference, differences};
pub use image::{ImageRef, Registry, Repository, is_tag};
pub use policy::{Compiled, PolicyError, Selected, Verdict};
pub use revision::{ContainerImage, Images, RevisionError, containers, revise};
pub use versions::RangeError;
pub use wish::{Wish, rule_key};
