//! What the registry says of an image.

use serde_json::Value;

use super::{Facts, Manifest, Wish, runs_on};
use crate::report::{Code, Outcome, Reason};

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// What `DescribeImages` says.
    pub state: ImageState,
    /// What `BatchGetImage` says; what is not known refuses nothing.
    pub manifest: Option<Manifest>,
}

/// An image as `DescribeImages` knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageState {
    /// Whether it can be pulled.
    pub pullable: Pullable,
    /// The tags that name it now.
    pub tags: Vec<String>,
}

/// Whether an image can be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pullable {
    /// It can.
    Yes,
    /// It is archived, or on its way back from there: a pull is answered as if it did not exist (ECR user guide, "Archive an
    /// image").
    Archived,
    /// The registry does not have it.
    Absent,
}

impl ImageState {
    /// Nothing is there.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            pullable: Pullable::Absent,
            tags: Vec::new(),
        }
    }

    /// Why it cannot be pulled, if so.
    #[must_use]
    pub fn unpullable(&self) -> Option<&'static str> {
        match self.pullable {
            Pullable::Yes => None,
            Pullable::Archived => Some("is archived, and cannot be pulled before it is restored"),
            Pullable::Absent => Some("is not in the repository any more: push it again"),
        }
    }
}

impl Facts {
    /// Whether a wish's tag names another image by now. Until that one's push is heard of the tag may also be moved back, and
    /// the event of that be lost: the wish is not dealt with.
    #[must_use]
    pub fn has_moved_tag(&self) -> bool {
        let mut wishes = self.wishes.values();
        wishes.any(|wish| self.images.get(&wish.digest).is_some_and(|image| image.has_lost(wish)))
    }
}

impl ImageFacts {
    fn has_lost(&self, wish: &Wish) -> bool {
        self.state.pullable == Pullable::Yes && !self.state.tags.contains(&wish.tag)
    }

    /// What stands against rolling the image of a push out now, into tasks of this definition (the answer of
    /// `DescribeTaskDefinition`).
    pub(super) fn against(&self, wish: &Wish, answer: &Value) -> Option<(Outcome, Reason)> {
        let name = wish.name();
        if let Some(why) = self.state.unpullable() {
            let reason = Reason::new(Code::ImageUnavailable, format!("{name} {why}"));
            // No event tells that an archived image was restored, and its push is not told again.
            let outcome = match self.state.pullable {
                Pullable::Archived => Outcome::Wait,
                Pullable::Yes | Pullable::Absent => Outcome::Ignore,
            };
            return Some((outcome, reason));
        }
        if self.has_lost(wish) {
            let message = format!("{name}: the tag names another image by now, whose push is the one that counts");
            return Some((Outcome::Stale, Reason::new(Code::Superseded, message)));
        }
        let definition = answer.get("taskDefinition")?.as_object()?;
        let reason = runs_on(definition, &name, self.manifest.as_ref()?).err()?;
        Some((Outcome::Ignore, reason))
    }
}
