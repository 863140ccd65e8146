//! Which pushed image is rolled out, as which revision, and when.

mod image;

pub use image::{ImageRef, Registry, Repository, is_tag};
