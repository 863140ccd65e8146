//! Reasons about many instances, one for each code: so that a history does not grow with every instance of a storm.

use crate::report::{Code, Reason};

/// How many instances a reason names.
const NAMED: usize = 5;

/// What is said of instances.
#[derive(Debug, Default)]
pub(super) struct Said(Vec<(Code, Vec<String>)>);

impl Said {
    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Something about one instance.
    pub(super) fn of(&mut self, code: Code, id: &str, message: impl std::fmt::Display) {
        self.all(code, format!("{id}: {message}"));
    }

    /// Something about all of them.
    pub(super) fn all(&mut self, code: Code, message: String) {
        match self.0.iter_mut().find(|(known, _)| *known == code) {
            Some((_, messages)) => messages.push(message),
            None => self.0.push((code, vec![message])),
        }
    }

    /// One reason for each code, in the order in which they were said first.
    pub(super) fn reasons(self) -> Vec<Reason> {
        let reason = |(code, mut messages): (Code, Vec<String>)| {
            let more = messages.len().saturating_sub(NAMED);
            messages.truncate(NAMED);
            if more > 0 {
                messages.push(format!("and {more} more"));
            }
            Reason::new(code, messages.join("; "))
        };
        self.0.into_iter().map(reason).collect()
    }
}
