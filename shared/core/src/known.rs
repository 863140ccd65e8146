//! A fact that may not have been looked up.

use serde::{Deserialize, Serialize};

/// A fact that was looked up, or was not: not to be confused with one that was looked up and found absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Known<T> {
    /// It was looked up: this is the answer.
    Yes(T),
    /// It was not looked up.
    #[default]
    No,
}

impl<T> Known<T> {
    /// The answer, if there is one.
    pub fn as_ref(&self) -> Known<&T> {
        match self {
            Self::Yes(answer) => Known::Yes(answer),
            Self::No => Known::No,
        }
    }

    /// As an option.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Yes(answer) => Some(answer),
            Self::No => None,
        }
    }
}
