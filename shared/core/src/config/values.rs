//! Values that several domains write: durations and percentages.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A duration was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write a whole number and a unit, like `90s`, `10m`, `6h` or `14d`")]
pub struct SpanError(String);

/// A duration, written `90s`, `10m`, `6h` or `14d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(into = "String")]
pub struct Span(Duration);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes * 60)
    }

    /// As the standard library has it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError(text.into());
        let unit = match text.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3_600,
            Some(b'd') => 86_400,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        // A century is more than anyone waits, and keeps every sum with a time in range.
        let seconds = digits
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(unit))
            .filter(|s| *s <= 3_153_600_000);
        seconds.map(Self::seconds).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration, like `90s`, `10m`, `6h` or `14d`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }

        // Not as a text: so a number without a unit is answered with what a duration looks like.
        deserializer.deserialize_any(Written)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
            .into_iter()
            .find(|(n, _)| seconds > 0 && seconds.is_multiple_of(*n))
        {
            Some((n, unit)) => write!(f, "{}{unit}", seconds / n),
            None => write!(f, "{seconds}s"),
        }
    }
}

/// Writes a whole number without a fraction: `500` and not `500.0`, as people do.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn plain_number<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    // Below 2^53 every whole number is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number {
        None => serializer.serialize_none(),
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        Some(number) if number.fract() == 0.0 && number.abs() < EXACT => serializer.serialize_some(&(*number as i64)),
        Some(number) => serializer.serialize_some(number),
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smhd]$",
            "description": "A whole number and a unit: 90s, 10m, 6h, 14d.",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::Span;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("10m", 600), ("6h", 21_600), ("14d", 1_209_600)] {
            assert_eq!(
                serde_json::from_value::<Span>(json!(text)).unwrap(),
                Span::seconds(seconds),
                "{text}"
            );
        }
        for bad in [
            "",
            "s",
            "90",
            "1.5h",
            "-1s",
            "+1s",
            "1 s",
            "1S",
            "1w",
            "99999999999999999999d",
            "36501d",
            "é",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_alone_is_told_what_a_duration_looks_like() {
        let error = serde_json::from_value::<Span>(json!(90)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid type: integer `90`, expected a duration, like `90s`, `10m`, `6h` or `14d`"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0_u64..=3_153_600_000) {
            let span = Span::seconds(seconds);
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }
}
