//! Ranges of numbers that are narrower than the types that hold them.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// The range of a key's whole number, where its type holds more than makes sense.
#[must_use]
pub fn whole_range(key: &str) -> Option<RangeInclusive<u32>> {
    match key {
        "port" => Some(1..=65_535),
        "per-task" => Some(1..=u32::MAX),
        _ => None,
    }
}

/// A number that is out of its range, in the words that the reader of the file has for it too.
pub fn out_of_range(key: &str, number: impl Display, range: impl Display) -> String {
    format!("`{key}: {number}` is out of range: {range}")
}
