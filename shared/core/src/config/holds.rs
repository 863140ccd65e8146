//! What holds for a target besides its configuration: pauses, and other bounds for a while.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::stored::{EVERY_DOMAIN, Override, StoredTarget};

/// The domains that can be paused, as the configuration names them.
pub const DOMAINS: [&str; 4] = ["discovery", "balancing", "scaling", "delivery"];

/// What holds for a target now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Holds {
    /// The pauses, by domain or [`EVERY_DOMAIN`], until when; without a time until they are resumed.
    pub paused: BTreeMap<String, Option<Timestamp>>,
    /// Other bounds of its count.
    #[serde(rename = "override")]
    pub scale: Option<Override>,
}

impl Holds {
    /// What of a stored target still holds at `now`.
    pub fn of(stored: &StoredTarget, now: Timestamp) -> Self {
        let open = |until: &Option<Timestamp>| until.is_none_or(|until| now < until);
        let paused = stored.paused.iter().filter(|(_, until)| open(until));
        Self {
            paused: paused.map(|(domain, until)| (domain.clone(), *until)).collect(),
            scale: stored.scale.filter(|over| now < over.until),
        }
    }

    /// Pauses a domain, or [`EVERY_DOMAIN`], until then; a pause of it before is replaced.
    pub fn pause(&mut self, domain: &str, until: Option<Timestamp>) {
        self.paused.insert(domain.to_owned(), until);
    }

    /// Ends every pause of a domain, or of [`EVERY_DOMAIN`]. Where all are paused the others stay so.
    pub fn resume(&mut self, domain: &str) {
        if domain == EVERY_DOMAIN {
            self.paused.clear();
            return;
        }
        if let Some(until) = self.paused.remove(EVERY_DOMAIN) {
            for other in DOMAINS {
                let longer = |before: Option<Timestamp>| Some(before?.max(until?));
                let before = self.paused.get(other).copied();
                self.pause(other, before.map_or(until, longer));
            }
        }
        self.paused.remove(domain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Service;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn paused(all: &[(&str, Option<i64>)]) -> BTreeMap<String, Option<Timestamp>> {
        let pause = |(domain, until): &(&str, Option<i64>)| ((*domain).to_owned(), until.map(at));
        all.iter().map(pause).collect()
    }

    #[test]
    fn what_is_over_no_longer_holds() {
        let mut stored = StoredTarget::new(Service::default());
        stored.paused = paused(&[("all", Some(10)), ("scaling", Some(11)), ("delivery", None)]);
        let over = Override {
            min: Some(2),
            max: None,
            until: at(10),
        };
        stored.scale = Some(over);
        let holds = Holds::of(&stored, at(9));
        assert_eq!((&holds.paused, holds.scale), (&stored.paused, Some(over)));
        let holds = Holds::of(&stored, at(10));
        assert_eq!(holds.paused, paused(&[("scaling", Some(11)), ("delivery", None)]));
        assert_eq!(holds.scale, None);
    }

    #[test]
    fn a_domain_is_resumed_alone() {
        let check = |before: &[(&str, Option<i64>)], domain: &str, after: &[(&str, Option<i64>)]| {
            let mut holds = Holds {
                paused: paused(before),
                scale: None,
            };
            holds.resume(domain);
            assert_eq!(holds.paused, paused(after), "{before:?} {domain}");
        };
        check(&[], "scaling", &[]);
        check(
            &[("scaling", None), ("delivery", Some(5))],
            "scaling",
            &[("delivery", Some(5))],
        );
        check(&[("all", None), ("delivery", Some(5))], "all", &[]);
        check(
            &[
                ("all", Some(7)),
                ("scaling", None),
                ("balancing", Some(9)),
                ("discovery", Some(5)),
            ],
            "delivery",
            &[("balancing", Some(9)), ("discovery", Some(7)), ("scaling", None)],
        );
        check(
            &[("all", None), ("balancing", Some(9))],
            "scaling",
            &[("balancing", None), ("delivery", None), ("discovery", None)],
        );
    }
}
