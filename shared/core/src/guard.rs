//! Filters over a plan, the same for every domain: what a decider wants is done only as far as these let it.

use jiff::Timestamp;

use crate::config::stored::{Pauses, paused};
use crate::report::{Code, Decision, Outcome, Reason, counted};

/// What an action takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal<'a> {
    /// Where it is taken from: a registry, a target group.
    pub from: &'a str,
    /// Whether it carries our mark.
    pub ours: bool,
}

/// An action that may take something away.
pub trait Removes {
    /// What it takes away, if it does.
    fn removal(&self) -> Option<Removal<'_>> {
        None
    }
}

/// What the guards look at.
#[derive(Debug, Clone, Copy)]
pub struct Guard<'a> {
    /// The domain.
    pub domain: &'a str,
    /// The target's pauses.
    pub paused: &'a Pauses,
    /// The time.
    pub now: Timestamp,
    /// How many removals may still be made in this pass.
    pub removals: usize,
}

impl Guard<'_> {
    /// The plan as far as it may be carried out; what is held back is said in the reasons.
    pub fn filter<A: Removes>(&self, mut decision: Decision<A>) -> Decision<A> {
        if decision.actions.is_empty() {
            return decision;
        }
        if let Some(until) = paused(self.paused, self.domain, self.now) {
            let until = until.map_or_else(|| "until it is resumed".to_owned(), |t| format!("until {t}"));
            let held = counted(decision.actions.len(), "call");
            let message = format!("{} is paused {until}: {held} held back", self.domain);
            decision.actions.clear();
            decision.outcome = Outcome::Wait;
            decision.reasons.insert(0, Reason::new(Code::Paused, message));
            return decision;
        }
        self.budget(&mut decision);
        decision
    }

    fn budget<A: Removes>(&self, decision: &mut Decision<A>) {
        let (mut left, mut spent, mut foreign) = (self.removals, 0_usize, 0_usize);
        decision.actions.retain(|action| match action.removal() {
            None => true,
            Some(removal) if !removal.ours => {
                foreign += 1;
                false
            }
            Some(_) if left == 0 => {
                spent += 1;
                false
            }
            Some(_) => {
                left -= 1;
                true
            }
        });
        if foreign > 0 {
            decision.reasons.push(Reason::new(
                Code::NotOurs,
                format!("{} of what is not ours held back", counted(foreign, "removal")),
            ));
        }
        if spent > 0 {
            let spent = counted(spent, "removal");
            let message = format!("{spent} held back: this pass has made its share, the next goes on");
            decision.reasons.push(Reason::new(Code::BudgetSpent, message));
        }
        if decision.actions.is_empty() {
            decision.outcome = Outcome::Wait;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    enum Act {
        Add,
        Take { ours: bool },
    }

    impl Removes for Act {
        fn removal(&self) -> Option<Removal<'_>> {
            match self {
                Self::Add => None,
                Self::Take { ours } => Some(Removal {
                    from: "somewhere",
                    ours: *ours,
                }),
            }
        }
    }

    fn check(removals: usize, paused: &[(&str, Option<i64>)], actions: &[Act], kept: &[Act], codes: &[Code]) {
        let until = |until: Option<i64>| until.map(|s| Timestamp::from_second(s).unwrap());
        let paused: Pauses = paused.iter().map(|(d, u)| ((*d).to_owned(), until(*u))).collect();
        let now = Timestamp::from_second(1_000).unwrap();
        let guard = Guard {
            domain: "discovery",
            paused: &paused,
            now,
            removals,
        };
        let decision = guard.filter(Decision::of(actions.to_vec(), Vec::new()));
        assert_eq!(decision.actions, kept);
        assert_eq!(decision.reasons.iter().map(|r| r.code).collect::<Vec<_>>(), codes);
        assert_eq!(decision.outcome == Outcome::Act, !kept.is_empty());
    }

    const MINE: Act = Act::Take { ours: true };
    const THEIRS: Act = Act::Take { ours: false };

    #[test]
    fn a_plan_is_held_back_as_far_as_the_guards_say() {
        check(9, &[], &[Act::Add, MINE], &[Act::Add, MINE], &[]);
        check(1, &[], &[MINE, Act::Add, MINE], &[MINE, Act::Add], &[Code::BudgetSpent]);
        check(0, &[], &[MINE], &[], &[Code::BudgetSpent]);
        check(9, &[], &[THEIRS, Act::Add], &[Act::Add], &[Code::NotOurs]);
        check(9, &[("discovery", None)], &[Act::Add], &[], &[Code::Paused]);
        check(9, &[("all", Some(1_001))], &[Act::Add], &[], &[Code::Paused]);
        check(
            9,
            &[("discovery", Some(1_000)), ("scaling", None)],
            &[Act::Add],
            &[Act::Add],
            &[],
        );
    }
}
