//! What holds for a target besides its configuration: pauses, other bounds for a while, and what people asked of its
//! rollouts.

use jiff::Timestamp;
use serde::Serialize;

use super::asked::{Approved, Back, RestoreAsked};
use super::stored::{EVERY_DOMAIN, Override, Pauses, StoredCluster, StoredTarget};

/// The domains that can be paused, as the configuration names them.
pub const DOMAINS: [&str; 6] = ["discovery", "balancing", "scaling", "delivery", "capacity", "storage"];

/// What holds for a target now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Holds {
    /// The pauses.
    pub paused: Pauses,
    /// Other bounds of its count.
    #[serde(rename = "override")]
    pub scale: Option<Override>,
    /// The images that people agreed to. Not among what `pause` and `scale` print.
    #[serde(skip)]
    pub approvals: Vec<Approved>,
    /// The last `wharfinger rollback`, likewise.
    #[serde(skip)]
    pub back: Option<Back>,
    /// The last `wharfinger restore`, likewise.
    #[serde(skip)]
    pub restore: Option<RestoreAsked>,
}

impl Holds {
    /// What of a stored target still holds at `now`.
    pub fn of(stored: &StoredTarget, now: Timestamp) -> Self {
        Self {
            paused: open(&stored.paused, now),
            scale: stored.scale.filter(|over| now < over.until),
            approvals: stored.approvals.iter().filter(|a| now < a.until).cloned().collect(),
            back: stored.back.clone(),
            restore: stored.restore.clone(),
        }
    }

    /// What of a stored cluster still holds at `now`.
    pub fn of_cluster(stored: &StoredCluster, now: Timestamp) -> Self {
        Self {
            paused: open(&stored.paused, now),
            ..Self::default()
        }
    }

    /// Whether nothing is paused, and no bound is overridden.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.paused.is_empty() && self.scale.is_none()
    }

    /// Someone agreed to an image; what was agreed of it before is replaced.
    pub fn approve(&mut self, approved: Approved) {
        self.approvals.retain(|known| known.digest != approved.digest);
        self.approvals.push(approved);
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

fn open(pauses: &Pauses, now: Timestamp) -> Pauses {
    let open = pauses.iter().filter(|(_, until)| until.is_none_or(|until| now < until));
    open.map(|(domain, until)| (domain.clone(), *until)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Service;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn paused(all: &[(&str, Option<i64>)]) -> Pauses {
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
    fn an_approval_takes_the_place_of_the_one_before_and_ends() {
        let digest = |hex: &str| format!("sha256:{}", hex.repeat(64)).parse().unwrap();
        let approved = |hex: &str, second: i64| Approved {
            digest: digest(hex),
            image: None,
            at: at(second),
            by: None,
            until: at(second + 10),
        };
        let mut holds = Holds::default();
        assert!(holds.is_idle());
        holds.approve(approved("a", 0));
        holds.approve(approved("b", 1));
        holds.approve(approved("a", 5));
        assert_eq!(holds.approvals, [approved("b", 1), approved("a", 5)]);
        assert!(holds.is_idle());
        let mut stored = StoredTarget::new(Service::default());
        stored.approvals.clone_from(&holds.approvals);
        assert_eq!(Holds::of(&stored, at(10)), holds);
        assert_eq!(Holds::of(&stored, at(11)).approvals, [approved("a", 5)]);
        assert_eq!(Holds::of(&stored, at(15)).approvals, []);
    }

    #[test]
    fn a_domain_is_resumed_alone() {
        let check = |before: &[(&str, Option<i64>)], domain: &str, after: &[(&str, Option<i64>)]| {
            let mut holds = Holds {
                paused: paused(before),
                ..Holds::default()
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
            &[
                ("balancing", Some(9)),
                ("capacity", Some(7)),
                ("discovery", Some(7)),
                ("scaling", None),
                ("storage", Some(7)),
            ],
        );
        check(
            &[("all", None), ("balancing", Some(9))],
            "scaling",
            &[
                ("balancing", None),
                ("capacity", None),
                ("delivery", None),
                ("discovery", None),
                ("storage", None),
            ],
        );
    }
}
