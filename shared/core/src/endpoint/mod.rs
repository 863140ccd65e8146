//! What stands for a task where others look for it: one decider for AWS Cloud Map and for target groups.
//!
//! | the task | known of its members | plan |
//! |---|---|---|
//! | is on its way up | – | wait |
//! | runs and is meant to | none, or others | what is wanted joins, what is not leaves |
//! | runs and is meant to | just these | nothing |
//! | runs on an instance that drains | some | they leave, unless they are the last (`drain.rs`) |
//! | leaves | some that are or may be there | they all leave |
//! | leaves | none | nothing: it never joined |
//!
//! What a member is, and where a registry and a target group differ, is said by [`Member`].

mod decide;
mod drain;
mod facts;
mod host;
mod member;
mod seat;
mod sweep;

pub use decide::{Action, decide};
pub use drain::{Drain, Others};
pub use facts::{Belief, Facts, Rival};
pub use host::Host;
pub use member::{Ask, By, Lack, Member, Request, Wanted};
pub use seat::{Seat, healthy, seat};
pub use sweep::{Owner, Verdict, judge};

/// Which members the configuration asks for while the task runs, one answer per entry.
#[must_use]
pub fn wanted<M: Member>(facts: &Facts<M>) -> Vec<Wanted<M>> {
    let entries = M::entries(&facts.managed.stored.config);
    entries
        .iter()
        .map(|entry| want(facts, entry).map_or_else(Wanted::from, Wanted::Member))
        .collect()
}

fn want<M: Member>(facts: &Facts<M>, entry: &M::Entry) -> Result<M, Lack> {
    M::collection(&facts.managed.stored, entry).map_err(Lack::Nothing)?;
    let ask = M::ask(&facts.managed.stored, entry);
    seat::named(&facts.task, ask)?;
    let sick = match healthy(facts, ask.when) {
        Ok(()) => None,
        Err(lack @ Lack::Needs(..)) => return Err(lack),
        Err(lack) => Some(lack),
    };
    let member = M::make(facts, entry, &seat(facts, ask)?)?;
    let member = match sick {
        None => member,
        Some(lack) => member.unhealthy(facts).ok_or(lack)?,
    };
    drain::stays(facts, member)
}
