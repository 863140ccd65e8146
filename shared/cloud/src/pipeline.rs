//! decide -> guard -> apply -> confirm -> history: written once, for every domain.
//!
//! A domain brings its facts, which it has from the merge of an event or from a sweep's look, and five functions. The
//! loop here asks it to decide, holds the plan back as far as the guards say, applies it, and asks whether the world
//! moved on meanwhile; if it did, it goes round again with the newer facts.

use jiff::Timestamp;
use wharfinger_core::config::stored::Pauses;
use wharfinger_core::guard::{Guard, Removes};
use wharfinger_core::ids::Target;
use wharfinger_core::report::{Decision, Effect, Outcome, Reason};

use crate::error::Fault;
use crate::history::{self, Call, Record};
use crate::ports::Clock;
use crate::table::Table;
use crate::telemetry;

/// How often one invocation goes round before it leaves the rest to the next attempt.
const ROUNDS: usize = 6;

/// What led to a look at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The event's kind and id, as the history names it.
    pub name: String,
    /// When it happened.
    pub at: Option<Timestamp>,
}

/// What became of the calls of a plan.
#[derive(Debug)]
pub enum Applied<F> {
    /// They were made.
    Done,
    /// The world is not what the plan assumed: decide again on these facts.
    Again(F),
}

/// What became of the confirmation.
#[derive(Debug)]
pub enum Confirmed<F> {
    /// Nothing newer is known.
    Settled,
    /// Something newer was merged meanwhile: converge on it.
    Moved(F),
}

/// What a domain brings.
pub trait Domain {
    /// `discovery`, `scaling`, …
    const NAME: &'static str;
    /// What `decide` looks at.
    type Facts;
    /// What a plan is made of.
    type Action: Effect + Removes;
    /// What a decision hands to `apply` and `confirm` besides its calls: an intent, what to remember.
    type Note;

    /// The target.
    fn target<'a>(&self, facts: &'a Self::Facts) -> &'a Target;

    /// What of it is paused.
    fn paused<'a>(&self, facts: &'a Self::Facts) -> &'a Pauses;

    /// What it is about besides the target: a task's id, an image.
    fn subject(&self, facts: &Self::Facts) -> Option<String>;

    /// The fingerprint of the last decision that the history has of this subject.
    fn said<'a>(&self, facts: &'a Self::Facts) -> Option<&'a str>;

    /// How many removals may be made; a sweep's pass has a budget.
    fn removals(&self) -> usize {
        usize::MAX
    }

    /// Whether the end must be told in any case: a lease or a mark is to be given back.
    fn holds(&self, _: &Self::Facts) -> bool {
        false
    }

    /// The decision, by the domain's pure function.
    fn decide(&self, facts: &Self::Facts, now: Timestamp) -> (Decision<Self::Action>, Self::Note);

    /// Makes the calls, the intent stored before them.
    async fn apply(
        &self,
        facts: &Self::Facts,
        decision: &Decision<Self::Action>,
        note: &Self::Note,
    ) -> Result<Applied<Self::Facts>, Fault>;

    /// Stores that the world is what these facts ask for, and what was said of it, unless something newer is known.
    /// Called after calls were made, and after decisions without calls that the history does not have.
    async fn confirm(
        &self,
        facts: Self::Facts,
        decision: &Decision<Self::Action>,
        note: Self::Note,
        said: String,
    ) -> Result<Confirmed<Self::Facts>, Fault>;
}

/// What became of one target, for the log and the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reasons: Vec<Reason>,
    /// How many calls were made.
    pub calls: usize,
}

/// Makes the world what these facts ask for.
///
/// # Errors
/// When a call failed for good within this invocation, or the world goes on moving.
pub async fn converge<D: Domain>(
    domain: &D,
    cloud: &(impl Table + Clock),
    cause: &Cause,
    mut facts: D::Facts,
) -> Result<Told, Fault> {
    let mut calls = 0;
    for _ in 0..ROUNDS {
        let now = cloud.now();
        let guard = Guard {
            domain: D::NAME,
            paused: domain.paused(&facts),
            now,
            removals: domain.removals(),
        };
        let (decision, note) = domain.decide(&facts, now);
        let decision = guard.filter(decision);
        calls += decision.actions.len();
        if !decision.actions.is_empty()
            && let Applied::Again(newer) = domain.apply(&facts, &decision, &note).await?
        {
            facts = newer;
            continue;
        }
        let record = record(domain, &facts, &decision, cause, cloud.now());
        telemetry::decision(&record);
        let said = decision.fingerprint();
        let news = !decision.actions.is_empty() || domain.said(&facts) != Some(said.as_str());
        if !news && !domain.holds(&facts) {
            return Ok(Told {
                outcome: decision.outcome,
                reasons: decision.reasons,
                calls,
            });
        }
        let target = domain.target(&facts).clone();
        // The two writes do not depend on each other, and an event is mostly waiting.
        let write = async {
            if news {
                history::write(cloud, &target, &record).await
            } else {
                Ok(())
            }
        };
        let (confirmed, written) = tokio::join!(domain.confirm(facts, &decision, note, said), write);
        written?;
        match confirmed? {
            Confirmed::Settled => {
                return Ok(Told {
                    outcome: decision.outcome,
                    reasons: decision.reasons,
                    calls,
                });
            }
            Confirmed::Moved(newer) => facts = newer,
        }
    }
    Err(Fault::Unsettled {
        subject: domain.target(&facts).to_string(),
        rounds: ROUNDS,
    })
}

fn record<D: Domain>(
    domain: &D,
    facts: &D::Facts,
    decision: &Decision<D::Action>,
    cause: &Cause,
    now: Timestamp,
) -> Record {
    Record {
        at: now,
        domain: D::NAME.to_owned(),
        target: domain.target(facts).to_string(),
        subject: domain.subject(facts),
        cause: cause.name.clone(),
        outcome: decision.outcome,
        reasons: decision.reasons.clone(),
        actions: decision
            .actions
            .iter()
            .map(|a| Call {
                call: a.call().to_owned(),
                input: a.summary().to_string(),
            })
            .collect(),
        latency_ms: cause
            .at
            .and_then(|at| i64::try_from(now.duration_since(at).as_millis()).ok()),
    }
}
