//! Why a part of the document does not fit, and where it stands.

use std::fmt;

use serde::de;
use wharfinger_core::config::Path;

use super::tree::Place;

/// Where a part stands.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) value: Place,
    pub(super) key: Option<Place>,
    pub(super) path: Path,
}

/// Why a part does not fit, and which.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// The innermost part in which it happened; `None` until that is known.
    pub(super) spot: Option<Spot>,
}

/// What is wrong with it.
#[derive(Debug)]
pub(super) enum FaultKind {
    Missing(&'static str),
    Other(String),
}

impl Fault {
    pub(super) fn in_spot(mut self, spot: Spot) -> Self {
        self.spot.get_or_insert(spot);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Missing(key) => write!(f, "`{key}` is missing"),
            FaultKind::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            kind: FaultKind::Other(message.to_string()),
            spot: None,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            kind: FaultKind::Missing(field),
            spot: None,
        }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}, found {}", named(found)))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        // serde says so of the numbers that are never 0.
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "a nonzero u32" | "a nonzero u64" | "a nonzero u16" | "a nonzero u8" => "a whole number from 1 on",
            other => other,
        };
        Self::custom(format_args!("expected {expected}, found {}", named(found)))
    }
}

/// What was found, in the words of who wrote it.
fn named(found: de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
        de::Unexpected::Signed(n) => format!("the number {n}"),
        de::Unexpected::Unsigned(n) => format!("the number {n}"),
        de::Unexpected::Float(n) => format!("the number {n}"),
        de::Unexpected::Str(text) => format!("the text `{text}`"),
        de::Unexpected::Seq => "a list".to_owned(),
        de::Unexpected::Map | de::Unexpected::StructVariant => "keys and values".to_owned(),
        other => other.to_string(),
    }
}
