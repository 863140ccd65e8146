//! What the registry says of an image.

use super::Wish;
use crate::report::{Code, Outcome, Reason};

/// An image as `DescribeImages` and `BatchGetImage` know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Whether it can be pulled.
    pub state: ImageState,
    /// The tags that it has now.
    pub tags: Vec<String>,
}

/// Whether an image can be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageState {
    /// It can.
    Active,
    /// It is archived: a pull is answered with 404 (ECR user guide, "Archive an image").
    Archived,
    /// It is not in the repository any more.
    Absent,
}

impl ImageFacts {
    /// Why it cannot be pulled, if so.
    #[must_use]
    pub fn unpullable(&self) -> Option<&'static str> {
        match self.state {
            ImageState::Active => None,
            ImageState::Archived => Some("is archived, and cannot be pulled before it is restored"),
            ImageState::Absent => Some("is not in the repository any more"),
        }
    }

    /// What stands against rolling out the image of a push now.
    pub(super) fn against(&self, wish: &Wish) -> Option<(Outcome, Reason)> {
        if let Some(why) = self.unpullable() {
            let message = format!("{} {why}", wish.name());
            return Some((Outcome::Ignore, Reason::new(Code::ImageUnavailable, message)));
        }
        if !self.tags.contains(&wish.tag) {
            let message = format!(
                "{}: the tag names another image by now, whose push is the one that counts",
                wish.name()
            );
            return Some((Outcome::Stale, Reason::new(Code::Superseded, message)));
        }
        None
    }
}
