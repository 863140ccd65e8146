//! `mature`: a push must be of some age.

use jiff::Timestamp;

use super::Closed;
use crate::config::Span;
use crate::report::{Code, Reason};

/// Closed until the push is as old as `mature` asks. A tag that moves on to another image starts anew, since that is another
/// push.
pub fn mature(pushed_at: Timestamp, mature: Span, now: Timestamp) -> Option<Closed> {
    let opens = pushed_at.saturating_add(mature.duration()).unwrap_or(Timestamp::MAX);
    if now >= opens {
        return None;
    }
    let message = format!("pushed at {pushed_at}, and a push must be {mature} old: it is at {opens}");
    Some(Closed::until(Some(opens), Reason::new(Code::Maturing, message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(now: &str, span: &str, expected: Option<&str>) {
        let pushed_at = "2026-03-06T08:00:00.250Z".parse().unwrap();
        let found = mature(pushed_at, span.parse().unwrap(), now.parse().unwrap());
        let found = found.map(|closed| {
            assert_eq!((closed.reason.code, closed.missing), (Code::Maturing, None));
            closed.until.unwrap().to_string()
        });
        assert_eq!(found.as_deref(), expected, "{span} at {now}");
    }

    #[test]
    fn it_opens_when_the_push_is_old_enough() {
        let opens = Some("2026-03-06T08:30:00.25Z");
        check("2026-03-06T08:00:00Z", "30m", opens);
        check("2026-03-06T08:30:00.249Z", "30m", opens);
        check("2026-03-06T08:30:00.25Z", "30m", None);
        check("2026-03-09T00:00:00Z", "30m", None);
        check("2026-03-06T08:00:00.25Z", "0s", None);
        // A push that our clock has not reached yet.
        check("2026-03-06T07:59:59Z", "0s", Some("2026-03-06T08:00:00.25Z"));
        check("2026-03-06T08:00:00Z", "36500d", Some("2126-02-10T08:00:00.25Z"));
    }

    #[test]
    fn the_reason_says_when() {
        let closed = mature(
            "2026-03-06T08:00:00Z".parse().unwrap(),
            Span::minutes(30),
            "2026-03-06T08:10:00Z".parse().unwrap(),
        );
        assert_eq!(
            closed.unwrap().reason.message,
            "pushed at 2026-03-06T08:00:00Z, and a push must be 30m old: it is at 2026-03-06T08:30:00Z"
        );
    }
}
