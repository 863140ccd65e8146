//! The ways in which AWS writes a time.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;

/// Samples of AWS have wrong days of the week.
const MAIL: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// Reads RFC 3339 (`2020-01-23T17:57:58Z`), CloudWatch's own form (`2019-10-02T17:04:40.989+0000`) and RFC 2822, as AWS Health
/// writes it (`Sat, 05 Jun 2016 15:10:09 GMT`).
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse()
        .ok()
        .or_else(|| Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).ok())
        .or_else(|| MAIL.parse_timestamp(text).ok())
}

/// Reads a time as text, or as the seconds since the epoch that the JSON protocols send.
#[must_use]
pub fn time_from_json(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => parse_time(text),
        Value::Number(seconds) => {
            let millis = (seconds.as_f64()? * 1_000.0).round();
            #[allow(
                clippy::cast_possible_truncation,
                reason = "beyond 9e15 a float no longer holds every millisecond, and no clock says so"
            )]
            (millis.abs() < 9e15)
                .then_some(millis as i64)
                .and_then(|m| Timestamp::from_millisecond(m).ok())
        }
        _ => None,
    }
}
