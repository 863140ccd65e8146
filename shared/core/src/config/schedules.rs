//! Schedules that contradict themselves: what one entry gives as `min` is more than what another gives as `max`.

use jiff::{SignedDuration, Timestamp};

use super::{Document, Problem, Scaling, Schedule};
use crate::cron::Cron;

/// How far ahead is looked.
const AHEAD: SignedDuration = SignedDuration::from_hours(365 * 24);

/// How many times at which an entry begins to hold are looked at, at most: a year of one each half an hour.
const TIMES: usize = 17_520;

/// What of a document's schedules contradicts itself at some moment of the coming year: the first such moment of each
/// service.
pub fn contradictions(document: &Document, now: Timestamp) -> Vec<Problem> {
    let entries = document.entries();
    let found = entries.filter_map(|entry| {
        let scaling = entry.config.scaling.as_ref()?;
        let Contradiction { at, min, max } = contradiction(scaling, now)?;
        let later = if (min.at, min.index) > (max.at, max.index) { min } else { max };
        let message = format!(
            "from {at} on `min` is {} by `{}` ({}) and `max` is {} by `{}` ({}): `max` holds then; give one entry both, or \
             another time",
            min.value,
            min.entry.cron,
            nth(min.index),
            max.value,
            max.entry.cron,
            nth(max.index),
        );
        let path = entry.path.at("scaling").at("schedule").at(later.index);
        Some(Problem::warning(path, message))
    });
    found.collect()
}

/// An entry of a schedule, as people count.
fn nth(index: usize) -> String {
    format!("entry {}", index + 1)
}

/// A bound that an entry gives.
#[derive(Debug, Clone, Copy)]
struct Given<'a> {
    entry: &'a Schedule,
    index: usize,
    /// Since when.
    at: Timestamp,
    value: u32,
}

#[derive(Debug)]
struct Contradiction<'a> {
    at: Timestamp,
    min: Given<'a>,
    max: Given<'a>,
}

/// The first contradiction from now on. A bound of the configuration contradicts none, or the document is not valid.
fn contradiction(scaling: &Scaling, now: Timestamp) -> Option<Contradiction<'_>> {
    let schedule = &scaling.schedule;
    if schedule.iter().all(|entry| entry.min.is_none()) || schedule.iter().all(|entry| entry.max.is_none()) {
        return None;
    }
    let crons = schedule.iter().enumerate().filter_map(|(index, entry)| {
        let cron = Cron::parse(&entry.cron, entry.timezone.as_deref()).ok()?;
        Some((index, entry, cron))
    });
    let crons: Vec<_> = crons.collect();
    let end = now.checked_add(AHEAD).ok()?;
    // Of those that begin at one time the last holds: they come in their order.
    let mut past: Vec<_> = crons
        .iter()
        .filter_map(|(index, entry, cron)| Some((cron.last_before(now)?, *index, *entry)))
        .filter(|(at, ..)| now.duration_since(*at) <= AHEAD)
        .collect();
    past.sort_by_key(|(at, index, _)| (*at, *index));
    let mut held = Held::default();
    for (at, index, entry) in past {
        held.take(at, index, entry);
    }
    let mut next: Vec<_> = crons.iter().map(|(.., cron)| cron.next_after(now)).collect();
    for _ in 0..TIMES {
        if let Some(found) = held.contradiction() {
            return Some(found);
        }
        let at = next.iter().flatten().min().copied().filter(|at| *at <= end)?;
        for ((index, entry, cron), next) in crons.iter().zip(&mut next) {
            if *next == Some(at) {
                held.take(at, *index, entry);
                *next = cron.next_after(at);
            }
        }
    }
    None
}

/// The bounds that entries gave last.
#[derive(Debug, Default)]
struct Held<'a> {
    min: Option<Given<'a>>,
    max: Option<Given<'a>>,
}

impl<'a> Held<'a> {
    fn take(&mut self, at: Timestamp, index: usize, entry: &'a Schedule) {
        let given = |value| Given {
            entry,
            index,
            at,
            value,
        };
        self.min = entry.min.map(given).or(self.min);
        self.max = entry.max.map(given).or(self.max);
    }

    fn contradiction(&self) -> Option<Contradiction<'a>> {
        let (min, max) = (self.min?, self.max?);
        (min.value > max.value).then(|| Contradiction {
            at: min.at.max(max.at),
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(schedule: &Value, expected: &[&str]) {
        let scaling = json!({ "scaling": { "min": 2, "max": 10, "schedule": schedule } });
        let document = json!({ "version": 1, "services": { "prod/web": scaling } });
        let document = serde_json::from_value(document).unwrap();
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let told = contradictions(&document, now);
        let told: Vec<_> = told.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn entries_of_one_time_contradict_each_other() {
        check(
            &json!([{ "cron": "0 8 * * *", "max": 4 }, { "cron": "0 9 * * *", "timezone": "Europe/Madrid", "min": 6 }]),
            &[
                "services.prod/web.scaling.schedule[1]: from 2026-03-01T08:00:00Z on `min` is 6 by `0 9 * * *` (entry 2) \
                 and `max` is 4 by `0 8 * * *` (entry 1): `max` holds then",
            ],
        );
    }

    #[test]
    fn a_bound_holds_until_another_entry_gives_it() {
        check(
            &json!([
                { "cron": "0 8 * * *", "min": 6 }, { "cron": "0 20 1 6 *", "max": 4 }, { "cron": "0 0 1 1 *", "max": 10 },
            ]),
            &["services.prod/web.scaling.schedule[1]: from 2026-06-01T20:00:00Z on `min` is 6"],
        );
        // In force already.
        check(
            &json!([{ "cron": "0 8 * * *", "min": 6 }, { "cron": "0 11 * * *", "max": 4 }]),
            &["services.prod/web.scaling.schedule[1]: from 2026-03-01T11:00:00Z on `min` is 6"],
        );
    }

    #[test]
    fn what_agrees_is_not_told() {
        for schedule in [
            json!([{ "cron": "0 8 * * *", "min": 6 }, { "cron": "0 20 * * *", "min": 2, "max": 4 }, { "cron": "0 8 * * *", "max": 10 }]),
            json!([{ "cron": "0 8 * * *", "min": 6 }, { "cron": "0 20 * * *", "min": 2 }]),
            json!([{ "cron": "* * * * *", "min": 3 }, { "cron": "*/2 * * * *", "max": 3 }]),
            json!([{ "cron": "not", "min": 6 }, { "cron": "0 20 * * *", "max": 4 }]),
            json!([]),
        ] {
            check(&schedule, &[]);
        }
    }
}
