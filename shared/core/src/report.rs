//! Why, or why not: what comes with every plan and is printed by `explain`, logs and history alike.

mod code;

use jiff::{SignedDuration, SignedDurationRound, Unit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::code::Code;

/// What became of an event or of a look at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Calls are made.
    Act,
    /// Something must come first: a fact, a lease, a running deployment, a cooldown.
    Wait,
    /// Nothing is to be done.
    Ignore,
    /// Something newer is known already.
    Stale,
    /// It cannot be used; retrying cannot help.
    Rejected,
}

/// How long something is, in words: `45m 10s`, `2h 5m`, to the minute from an hour on.
#[must_use]
pub fn in_words(length: SignedDuration) -> String {
    let unit = if length < SignedDuration::from_hours(1) {
        Unit::Second
    } else {
        Unit::Minute
    };
    let length = length
        .round(SignedDurationRound::new().smallest(unit))
        .unwrap_or(length);
    format!("{length:#}")
}

/// So many of something, in words: `1 call`, `2 calls`.
pub fn counted(number: impl std::fmt::Display, what: &str) -> String {
    let number = number.to_string();
    let more = if number == "1" { "" } else { "s" };
    format!("{number} {what}{more}")
}

/// A code, and a sentence with the names and numbers of this case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The stable word.
    pub code: Code,
    /// The sentence.
    pub message: String,
}

impl Reason {
    /// A reason.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// An effect that a plan asks for: one AWS call.
pub trait Effect {
    /// The AWS operation's name.
    fn call(&self) -> &'static str;

    /// The request as it would be sent, in the API's own case.
    fn input(&self) -> Value;

    /// What of the request is kept in the history: not what may be long or secret.
    fn summary(&self) -> Value {
        self.input()
    }
}

/// What a decider says: the calls to make, and why. Specific enough that nothing is left to choose when it is applied.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a plan that nobody applies changes nothing, and a report that nobody reads explains nothing"]
pub struct Decision<A> {
    /// What becomes of it.
    pub outcome: Outcome,
    /// The calls, in order.
    pub actions: Vec<A>,
    /// Why, or why not.
    pub reasons: Vec<Reason>,
    /// The AWS operations whose answers would have been needed.
    pub missing: Vec<&'static str>,
}

impl<A: Effect> Decision<A> {
    /// The same as a dry run: every call is said and none is made.
    pub fn dry(mut self) -> Self {
        if self.actions.is_empty() {
            return self;
        }
        let calls: Vec<_> = self
            .actions
            .drain(..)
            .map(|action| format!("{} {}", action.call(), action.input()))
            .collect();
        let message = format!(
            "dry run, {} not made: {}",
            counted(calls.len(), "call"),
            calls.join("; ")
        );
        self.reasons.insert(0, Reason::new(Code::DryRun, message));
        self.outcome = Outcome::Ignore;
        self
    }
}

impl<A> Decision<A> {
    /// No calls, for this reason.
    pub fn without_calls(outcome: Outcome, reason: Reason) -> Self {
        Self {
            outcome,
            actions: Vec::new(),
            reasons: vec![reason],
            missing: Vec::new(),
        }
    }

    /// These calls, for these reasons; without calls nothing is to be done.
    pub fn of(actions: Vec<A>, reasons: Vec<Reason>) -> Self {
        let outcome = if actions.is_empty() {
            Outcome::Ignore
        } else {
            Outcome::Act
        };
        Self {
            outcome,
            actions,
            reasons,
            missing: Vec::new(),
        }
    }

    /// A fact is missing: the AWS operation that would tell it.
    pub fn needs(operation: &'static str, reason: Reason) -> Self {
        Self {
            outcome: Outcome::Wait,
            actions: Vec::new(),
            reasons: vec![reason],
            missing: vec![operation],
        }
    }

    /// The same with another type of effect.
    pub fn map<B>(self, f: impl FnMut(A) -> B) -> Decision<B> {
        Decision {
            outcome: self.outcome,
            actions: self.actions.into_iter().map(f).collect(),
            reasons: self.reasons,
            missing: self.missing,
        }
    }

    /// What tells one decision from the next in the history: the outcome and the codes, not the sentences, whose numbers
    /// change with every look.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let codes: Vec<_> = self.reasons.iter().map(|r| r.code.as_str()).collect();
        format!("{:?}:{}", self.outcome, codes.join(","))
    }
}
