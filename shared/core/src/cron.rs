//! Times that repeat: cron patterns in a time zone.
//!
//! A pattern is evaluated by the clock on the wall and then converted. A time that the clock skips fires when it has
//! skipped it; a time that the clock shows twice fires the first time (crontab(5) does the same for changes of under
//! three hours).

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use croner::parser::{CronParser, Seconds, Year};

/// The fields, in their order, and what they may be.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, or `L` for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of week", "0 to 7, where 0 and 7 are Sunday, or SUN to SAT"),
];

/// No zone has ever turned its clock back by more at once (IANA time zone database: Manila in 1844, by a day).
const LONGEST_FOLD: SignedDuration = SignedDuration::from_hours(25);

/// A pattern or a time zone was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error(
        "`{pattern}` has {found} fields; a cron pattern has 5: minute, hour, day of month, month, day of week, like \
         `0 8 * * MON-FRI`"
    )]
    Fields {
        /// The pattern.
        pattern: String,
        /// How many fields it has.
        found: usize,
    },
    /// A field is not valid.
    #[error("`{value}` is no {field}: write {range}, a range `a-b`, a list `a,b`, a step `*/n`, or `*`")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        value: String,
    },
    /// There is no such time.
    #[error("`{0}` never comes: no month that it names has such a day")]
    Never(String),
    /// The time zone does not exist.
    #[error("`{0}` is no time zone: write an IANA name, like `Europe/Madrid` or `UTC`")]
    TimeZone(String),
}

/// A cron pattern of five fields in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: croner::Cron,
    zone: TimeZone,
}

impl Cron {
    /// Reads a pattern (minute, hour, day of month, month, day of week, as in crontab(5)) and the IANA name of a time
    /// zone; UTC when it is left out.
    ///
    /// # Errors
    /// When the pattern or the zone is not valid, or the pattern matches no time at all.
    pub fn parse(pattern: &str, zone: Option<&str>) -> Result<Self, CronError> {
        if let Some(error) = wrong_fields(pattern).into_iter().next() {
            return Err(error);
        }
        let never = || CronError::Never(pattern.into());
        let read = read(pattern).ok_or_else(never)?;
        let cron = Self {
            pattern: read,
            zone: time_zone(zone)?,
        };
        cron.next_after(Timestamp::UNIX_EPOCH).ok_or_else(never)?;
        Ok(cron)
    }

    /// Everything that is wrong with a pattern and a time zone: each field, and the zone.
    #[must_use]
    pub fn faults(pattern: &str, zone: Option<&str>) -> Vec<CronError> {
        let mut faults = wrong_fields(pattern);
        if faults.is_empty() {
            faults.extend(Self::parse(pattern, None).err());
        }
        faults.extend(time_zone(zone).err());
        faults
    }

    /// The first time after this one at which it fires; `None` when there is none within the calendar.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let mut civil = self.zone.to_datetime(time);
        loop {
            civil = self.pattern.find_next_occurrence(&civil, false).ok()?;
            let fires = self.fires(civil)?;
            if fires > time {
                return Some(fires);
            }
        }
    }

    /// The last time at which it fired, this one included; `None` when there is none within the calendar.
    #[must_use]
    pub fn last_before(&self, time: Timestamp) -> Option<Timestamp> {
        let mut civil = self.zone.to_datetime(time);
        // While the clock shows an hour for the second time, all of that hour has fired.
        let before = time.checked_sub(LONGEST_FOLD).ok()?;
        let offset = |at| self.zone.to_offset(at).seconds();
        let folded = offset(before).saturating_sub(offset(time)).max(0);
        civil = civil.checked_add(SignedDuration::from_secs(folded.into())).ok()?;
        let mut inclusive = true;
        loop {
            civil = self.pattern.find_previous_occurrence(&civil, inclusive).ok()?;
            inclusive = false;
            let fires = self.fires(civil)?;
            if fires <= time {
                return Some(fires);
            }
        }
    }

    /// When a time on the wall's clock is.
    fn fires(&self, civil: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
            AmbiguousOffset::Gap { before, after } => {
                // By the later clock it is before the change, so the change is the next one after it.
                let earlier = after.to_timestamp(civil).ok()?;
                let change = self.zone.following(earlier).next().map(|change| change.timestamp());
                change.or_else(|| before.to_timestamp(civil).ok())
            }
        }
    }
}

fn wrong_fields(pattern: &str) -> Vec<CronError> {
    let fields: Vec<_> = pattern.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return vec![CronError::Fields {
            pattern: pattern.into(),
            found: fields.len(),
        }];
    }
    let wrong = FIELDS.into_iter().zip(fields).enumerate().filter(|(i, (_, given))| {
        let mut alone = ["*"; FIELDS.len()];
        alone[*i] = given;
        read(&alone.join(" ")).is_none()
    });
    let error = |(_, ((field, range), given)): (usize, ((_, _), &str))| CronError::Field {
        field,
        range,
        value: given.into(),
    };
    wrong.map(error).collect()
}

fn read(pattern: &str) -> Option<croner::Cron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    // croner knows nicknames too, of which crontab(5) has another set.
    parser.parse(pattern).ok().filter(|_| !pattern.contains('@'))
}

/// The time zone of an IANA name, from the database that is linked in; UTC without a name.
///
/// # Errors
/// When there is no such zone.
pub fn time_zone(name: Option<&str>) -> Result<TimeZone, CronError> {
    let Some(name) = name else {
        return Ok(TimeZone::UTC);
    };
    let found = TimeZoneDatabase::bundled().get(name);
    found.map_err(|_| CronError::TimeZone(name.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cron(pattern: &str, zone: &str) -> Cron {
        Cron::parse(pattern, Some(zone)).unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(pattern: &str, zone: &str, now: &str, expected: [&str; 2]) {
        let (cron, now) = (cron(pattern, zone), time(now));
        let found = [cron.last_before(now), cron.next_after(now)];
        assert_eq!(found, expected.map(|text| Some(time(text))), "{pattern} at {now}");
    }

    #[test]
    fn the_last_and_the_next_time() {
        check(
            "0 8 * * MON-FRI",
            "UTC",
            "2026-03-06T08:00:00Z",
            ["2026-03-06T08:00:00Z", "2026-03-09T08:00:00Z"],
        );
        check(
            "0 8 * * MON-FRI",
            "UTC",
            "2026-03-06T07:59:59.9Z",
            ["2026-03-05T08:00:00Z", "2026-03-06T08:00:00Z"],
        );
        check(
            "0 8 * * 1-5",
            "Europe/Madrid",
            "2026-03-08T12:00:00Z",
            ["2026-03-06T07:00:00Z", "2026-03-09T07:00:00Z"],
        );
        check(
            "0 8 * * *",
            "Europe/Madrid",
            "2026-03-29T00:00:00Z",
            ["2026-03-28T07:00:00Z", "2026-03-29T06:00:00Z"],
        );
        check(
            "30 0 1 * *",
            "UTC",
            "2026-03-06T00:00:00Z",
            ["2026-03-01T00:30:00Z", "2026-04-01T00:30:00Z"],
        );
        check(
            "*/20 * * * *",
            "UTC",
            "2026-03-06T00:39:00Z",
            ["2026-03-06T00:20:00Z", "2026-03-06T00:40:00Z"],
        );
        // A day of month and a day of week: either.
        check(
            "0 0 13 * FRI",
            "UTC",
            "2026-03-10T00:00:00Z",
            ["2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z"],
        );
        check(
            "0 0 * * 7",
            "UTC",
            "2026-03-10T00:00:00Z",
            ["2026-03-08T00:00:00Z", "2026-03-15T00:00:00Z"],
        );
        check(
            "0 0 L * *",
            "UTC",
            "2026-03-10T00:00:00Z",
            ["2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"],
        );
        check(
            "0 0 29 2 *",
            "UTC",
            "2026-03-10T00:00:00Z",
            ["2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"],
        );
    }

    #[test]
    fn a_time_that_the_clock_skips_fires_when_it_has() {
        // Madrid: at 01:00 UTC of 2026-03-29 the clock goes from 02:00 to 03:00.
        let skipped = cron("30 2 * * *", "Europe/Madrid");
        let change = time("2026-03-29T01:00:00Z");
        assert_eq!(skipped.next_after(time("2026-03-29T00:59:59Z")), Some(change));
        assert_eq!(skipped.next_after(change), Some(time("2026-03-30T00:30:00Z")));
        assert_eq!(skipped.last_before(change), Some(change));
        assert_eq!(
            skipped.last_before(time("2026-03-29T00:59:59Z")),
            Some(time("2026-03-28T01:30:00Z"))
        );
        assert_eq!(skipped.last_before(time("2026-03-29T12:00:00Z")), Some(change));
    }

    #[test]
    fn a_time_that_the_clock_shows_twice_fires_once() {
        // Madrid: at 01:00 UTC of 2026-10-25 the clock goes from 03:00 to 02:00.
        let twice = cron("30 2 * * *", "Europe/Madrid");
        let first = time("2026-10-25T00:30:00Z");
        assert_eq!(twice.next_after(time("2026-10-25T00:00:00Z")), Some(first));
        for later in [
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00Z",
        ] {
            assert_eq!(twice.last_before(time(later)), Some(first), "{later}");
            assert_eq!(
                twice.next_after(time(later)),
                Some(time("2026-10-26T01:30:00Z")),
                "{later}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let told = |pattern: &str, zone: Option<&str>| Cron::parse(pattern, zone).unwrap_err().to_string();
        for (pattern, expected) in [
            (
                "",
                "`` has 0 fields; a cron pattern has 5: minute, hour, day of month, month, day of week, like `0 8 * * MON-FRI`",
            ),
            (
                "0 0 8 * * *",
                "`0 0 8 * * *` has 6 fields; a cron pattern has 5: minute, hour, day of month, month, day of week, like `0 8 * * MON-FRI`",
            ),
            (
                "60 8 * * *",
                "`60` is no minute: write 0 to 59, a range `a-b`, a list `a,b`, a step `*/n`, or `*`",
            ),
            (
                "0 24 * * *",
                "`24` is no hour: write 0 to 23, a range `a-b`, a list `a,b`, a step `*/n`, or `*`",
            ),
            (
                "0 8 * * MONDAYS",
                "`MONDAYS` is no day of week: write 0 to 7, where 0 and 7 are Sunday, or SUN to SAT, a range `a-b`, a list `a,b`, a step `*/n`, or `*`",
            ),
            (
                "0 0 30 2 *",
                "`0 0 30 2 *` never comes: no month that it names has such a day",
            ),
        ] {
            assert_eq!(told(pattern, None), expected);
        }
        assert_eq!(
            told("0 8 * * *", Some("Europe/Madird")),
            "`Europe/Madird` is no time zone: write an IANA name, like `Europe/Madrid` or `UTC`"
        );
        assert!(Cron::parse("@daily * * * *", None).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// From one firing to the next there is nothing between, whichever way it is asked, also where the clock changes.
        #[test]
        fn the_last_and_the_next_meet(
            second in 1_700_000_000_i64..1_900_000_000,
            pattern in prop_oneof![Just("*/7 * * * *"), Just("30 2 * * *"), Just("15 1-3 * * SUN"), Just("0 0 1 * *")],
            zone in prop_oneof![Just("UTC"), Just("Europe/Madrid"), Just("America/New_York"), Just("Australia/Lord_Howe")],
        ) {
            let (cron, now) = (cron(pattern, zone), Timestamp::from_second(second).unwrap());
            let (last, next) = (cron.last_before(now).unwrap(), cron.next_after(now).unwrap());
            prop_assert!(last <= now && now < next);
            prop_assert_eq!(cron.next_after(last), Some(next));
            prop_assert_eq!(cron.last_before(next), Some(next));
            prop_assert_eq!(cron.last_before(next - SignedDuration::from_secs(1)), Some(last));
        }
    }
}
