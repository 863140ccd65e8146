//! What is to be done for one task: one decider for registries and target groups.

use serde_json::Value;

use super::member::Request;
use super::{Belief, Facts, Member, Rival, Wanted, drain, wanted};
use crate::event::TaskStatus;
use crate::guard::{Removal, Removes};
use crate::known::Known;
use crate::report::{Code, Decision, Effect, Outcome, Reason};

/// A call that makes a member what it is to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<M> {
    /// It joins, or changes.
    Join {
        /// What it is to be.
        member: M,
        /// The call.
        request: Request,
    },
    /// It leaves.
    Leave {
        /// What leaves.
        member: M,
        /// The call.
        request: Request,
    },
}

impl<M: Member> Action<M> {
    /// A member joins, or becomes another than it was.
    pub fn join(member: M, before: Option<&M>) -> Self {
        let request = member.joins(before);
        Self::Join { member, request }
    }

    /// A member leaves.
    pub fn leave(member: M) -> Self {
        let request = member.leaves();
        Self::Leave { member, request }
    }

    /// What it is about.
    pub const fn member(&self) -> &M {
        match self {
            Self::Join { member, .. } | Self::Leave { member, .. } => member,
        }
    }

    /// Whether it takes its member away.
    pub const fn is_leave(&self) -> bool {
        matches!(self, Self::Leave { .. })
    }

    fn request(&self) -> &Request {
        match self {
            Self::Join { request, .. } | Self::Leave { request, .. } => request,
        }
    }
}

impl<M: Member> Effect for Action<M> {
    fn call(&self) -> &'static str {
        self.request().call
    }

    fn input(&self) -> Value {
        self.request().input.clone()
    }
}

impl<M: Member> Removes for Action<M> {
    fn removal(&self) -> Option<Removal<'_>> {
        match self {
            Self::Join { .. } => None,
            // It comes from our own ledger or configuration: the mark was set when it was registered.
            Self::Leave { member, .. } => Some(Removal {
                from: member.kept_in(),
                ours: true,
            }),
        }
    }
}

/// What is to be done for one task: the table in the module's description.
pub fn decide<M: Member>(facts: &Facts<M>) -> Decision<Action<M>> {
    let configured = !M::entries(&facts.managed.stored.config).is_empty();
    let nothing_known = match &facts.belief {
        Known::Yes(belief) => belief.possible().next().is_none(),
        Known::No => true,
    };
    if !configured && nothing_known {
        let message = format!("{} is configured, but not for {}", facts.managed.target, M::DOMAIN);
        return Decision::without_calls(Outcome::Ignore, Reason::new(Code::NotConfigured, message));
    }
    if facts.task.is_leaving() {
        return leave(facts);
    }
    if !facts.task.is_running() {
        let message = format!(
            "the task is {}: it joins when it is RUNNING",
            name(facts.task.last_status)
        );
        return Decision::without_calls(Outcome::Wait, Reason::new(Code::TaskStarting, message));
    }
    Join::new(facts).decide()
}

fn leave<M: Member>(facts: &Facts<M>) -> Decision<Action<M>> {
    let (gone, mut reasons, missing) = leaving(facts);
    let task = facts.task.task_arn.id();
    if gone.is_empty() && facts.left {
        let message = format!("task {task} leaves, and nothing stands for it any more");
        return Decision::without_calls(Outcome::Ignore, Reason::new(Code::AlreadyLeft, message));
    }
    if gone.is_empty() && reasons.is_empty() {
        let message = format!("task {task} leaves and had not joined: it will not be let in any more");
        return Decision::without_calls(Outcome::Ignore, Reason::new(Code::NeverJoined, message));
    }
    let sign = if facts.task.last_status.is_leaving() {
        format!("it is {}", name(facts.task.last_status))
    } else {
        "ECS wants it stopped".to_owned()
    };
    let first = match gone.len() {
        1 => "its endpoint goes first".to_owned(),
        more => format!("its {more} endpoints go first"),
    };
    let message = format!("task {task} leaves ({sign}): {first}");
    reasons.insert(0, Reason::new(Code::TaskLeaves, message));
    let mut actions = Vec::new();
    for member in gone {
        match rival(facts, &member).filter(|_| M::SHARED) {
            None => actions.push(Action::leave(member)),
            Some(rival) if facts.draining.iter().any(|gone| gone.is_same(&rival.member)) => {
                let holder = rival.task.id();
                let message = format!(
                    "{} is task {holder}'s now, and on its way out: it stays so",
                    member.name()
                );
                reasons.push(Reason::new(Code::AddressTaken, message));
            }
            Some(rival) => {
                let (reason, action) = put_back(&member, rival);
                reasons.push(reason);
                actions.push(action);
            }
        }
    }
    let mut decision = Decision::of(actions, reasons);
    if decision.actions.is_empty() && !missing.is_empty() {
        decision.outcome = Outcome::Wait;
    }
    decision.missing = missing;
    decision
}

/// What goes when the task leaves, what stands in the way, and what would have to be looked up.
fn leaving<M: Member>(facts: &Facts<M>) -> (Vec<M>, Vec<Reason>, Vec<&'static str>) {
    let (mut gone, mut reasons, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    match &facts.belief {
        Known::Yes(belief) => gone.extend(belief.possible().cloned()),
        Known::No if facts.task.started_at.is_none() => {}
        Known::No => {
            for entry in M::entries(&facts.managed.stored.config) {
                match M::place(facts, entry) {
                    Ok(member) => gone.push(member),
                    Err(super::Lack::Nothing(reason)) => reasons.push(reason),
                    Err(super::Lack::Needs(operation, reason)) => {
                        missing.push(operation);
                        reasons.push(reason);
                    }
                }
            }
        }
    }
    missing.dedup();
    (gone, reasons, missing)
}

/// A target that another task has taken over: perhaps we have removed it since.
fn put_back<M: Member>(member: &M, rival: &Rival<M>) -> (Reason, Action<M>) {
    let message = format!("{} is task {}'s now: it stays", member.name(), rival.task.id());
    let reason = Reason::new(Code::AddressTaken, message);
    (reason, Action::join(rival.member.clone(), None))
}

fn rival<'f, M: Member>(facts: &'f Facts<M>, member: &M) -> Option<&'f Rival<M>> {
    let address = member.address()?;
    facts.rivals.iter().find(|rival| {
        rival.member.kept_in() == member.kept_in() && rival.member.address().as_deref() == Some(address.as_str())
    })
}

/// The plan for a task that runs, as it grows.
struct Join<'f, M> {
    facts: &'f Facts<M>,
    belief: Belief<M>,
    actions: Vec<Action<M>>,
    reasons: Vec<Reason>,
    missing: Vec<&'static str>,
    stay: Vec<M>,
}

impl<'f, M: Member> Join<'f, M> {
    fn new(facts: &'f Facts<M>) -> Self {
        let belief = match &facts.belief {
            Known::Yes(belief) => belief.clone(),
            // What leaves a draining instance was there: its task runs.
            Known::No if facts.drain.drains => Belief {
                registered: M::entries(&facts.managed.stored.config)
                    .iter()
                    .filter_map(|entry| M::place(facts, entry).ok())
                    .collect(),
                ..Belief::default()
            },
            Known::No => Belief::default(),
        };
        Self {
            facts,
            belief,
            actions: Vec::new(),
            reasons: Vec::new(),
            missing: Vec::new(),
            stay: Vec::new(),
        }
    }

    fn decide(mut self) -> Decision<Action<M>> {
        for answer in wanted(self.facts) {
            match answer {
                Wanted::Member(member) => self.want(member),
                Wanted::Needs(operation, reason) => {
                    self.missing.push(operation);
                    self.reasons.push(reason);
                }
                Wanted::Nothing(reason) => self.reasons.push(reason),
            }
        }
        self.remove_others();
        self.missing.dedup();
        let nothing_stays = self.stay.is_empty();
        let mut decision = Decision::of(self.actions, self.reasons);
        if decision.actions.is_empty() && (!self.missing.is_empty() || nothing_stays) {
            decision.outcome = Outcome::Wait;
        }
        decision.missing = self.missing;
        decision
    }

    fn want(&mut self, member: M) {
        if let Some(rival) = rival(self.facts, &member) {
            let (holder, address) = (rival.task.id(), member.address().unwrap_or_default());
            if rival.newer {
                let message = format!(
                    "{address} in {} is task {holder}'s, which began later",
                    place(self.facts, &member)
                );
                self.reasons.push(Reason::new(Code::AddressTaken, message));
                return;
            }
            if !M::SHARED {
                let message = format!(
                    "{} has {address}, which is this task's now: it goes",
                    rival.member.name()
                );
                self.reasons.push(Reason::new(Code::GhostEndpoint, message));
                self.actions.push(Action::leave(rival.member.clone()));
            }
        }
        if self.facts.drain.drains {
            self.reasons.push(drain::last(&member));
        }
        if self.facts.draining.iter().any(|gone| gone.is_same(&member)) {
            let message = format!("{} is on its way out: it joins again once it has gone", member.name());
            self.reasons.push(Reason::new(Code::AlreadyRegistered, message));
            self.stay.push(member);
            return;
        }
        if self.belief.registered.contains(&member) {
            let message = format!("{} is as it should be", member.name());
            self.reasons.push(Reason::new(Code::AlreadyRegistered, message));
        } else {
            let known = self.belief.possible().find(|e| e.is_same(&member)).cloned();
            let (code, verb) = match &known {
                Some(other) if *other != member => (Code::EndpointChanged, "changes"),
                _ => (Code::TaskJoins, "joins"),
            };
            let message = format!("{} {verb} in {}", member.name(), place(self.facts, &member));
            self.reasons.push(Reason::new(code, message));
            let certain = known.filter(|known| self.belief.registered.contains(known));
            self.actions.push(Action::join(member.clone(), certain.as_ref()));
        }
        self.stay.push(member);
    }

    /// Whether it leaves because the instance drains: that is said already.
    fn drained(&self, member: &M) -> bool {
        self.facts.drain.drains && self.facts.others.contains_key(member.kept_in())
    }

    /// What an entry wants while a fact is missing is not known: nothing is taken away then.
    fn remove_others(&mut self) {
        if !self.missing.is_empty() {
            return;
        }
        let gone: Vec<_> = self.belief.possible().cloned().collect();
        for member in gone {
            if self.stay.iter().any(|s| s.is_same(&member)) {
                continue;
            }
            if let Some(rival) = rival(self.facts, &member).filter(|rival| M::SHARED && rival.newer) {
                let (reason, action) = put_back(&member, rival);
                self.reasons.push(reason);
                self.actions.push(action);
                continue;
            }
            if !self.drained(&member) {
                let message = format!(
                    "{} is no longer wanted in {}",
                    member.name(),
                    place(self.facts, &member)
                );
                self.reasons.push(Reason::new(Code::EndpointChanged, message));
            }
            self.actions.push(Action::leave(member));
        }
    }
}

/// Where a member is kept, as people know it: as it is configured, or its id when it no longer is.
fn place<'a, M: Member>(facts: &'a Facts<M>, member: &'a M) -> &'a str {
    let stored = &facts.managed.stored;
    let mut entries = M::entries(&stored.config).iter();
    let entry = entries.find(|entry| M::collection(stored, entry).is_ok_and(|id| id == member.kept_in()));
    entry.map_or_else(|| member.kept_in(), M::label)
}

fn name(status: TaskStatus) -> String {
    serde_json::to_value(status)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
