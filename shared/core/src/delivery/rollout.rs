//! Whether a rollout may begin now, and the calls that make it.

use jiff::Timestamp;

use super::Facts;
use super::action::{Action, TaskDefinition};
use super::base::Base;
use super::decide::{Calls, Decided, Look};
use super::linger::{Lingering, Side, linger};
use super::memory::{Intent, Memory};
use super::mounts::{Mounting, Mounts, mounting};
use super::newest::made_of;
use super::progress::{Progress, in_progress};
use super::revision::revise;
use super::standing::{Due, short};
use crate::ids::same_revision;
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason};

/// What goes into the next revision.
pub(super) struct Next {
    pub(super) due: Vec<Due>,
    pub(super) asked: Option<Timestamp>,
}

impl Look<'_> {
    fn intended(&self, due: &[Due], side: Side, mounts: Mounts, asked: Option<Timestamp>) -> Intent {
        let taken = self.base.taken();
        Intent {
            wishes: due.iter().map(|d| (d.key.clone(), d.wish.clone())).collect(),
            changes: due.iter().flat_map(|d| d.changes.clone()).collect(),
            side,
            mounts,
            asked,
            back: None,
            base: self.base.arn.to_owned(),
            made_of: taken.map(|newest| newest.arn.to_owned()),
            keeps: taken.map_or_else(Vec::new, |newest| newest.keeps(due, self.facts, self.base)),
            at: self.now,
            registered: None,
            sent: None,
            restored: Vec::new(),
        }
    }

    /// The rollout of what is due, or what holds it up.
    pub(super) fn roll_out(mut self, next: Next) -> Decided {
        let Next { due, asked } = next;
        let lingering = lingering(self.facts, self.base, self.base.source().1);
        let mounting = self.mounting();
        let mounts = mounting
            .as_ref()
            .map_or_else(|_| Mounts::default(), |m| m.mounts.clone());
        let mut intent = self.intended(&due, lingering.side, mounts, asked);
        let mut extra = Vec::new();
        let free = self.in_the_way(&intent, &due);
        let plan = match free.and_then(|timed_out| Ok((timed_out, mounting?.reasons))) {
            Err(held) => Err(held),
            Ok((timed_out, mounted)) => {
                extra.extend(timed_out);
                extra.extend(mounted);
                if let Some((known, arn)) = resumed(&self.memory, &intent, self.base) {
                    let message = format!(
                        "the rollout that began at {} goes on with {}, which is registered",
                        known.at,
                        short(&arn)
                    );
                    extra.push(Reason::new(Code::IntentResumed, message));
                    intent = known;
                }
                extra.extend(made_of(&intent));
                actions(self.facts, self.base, &intent)
            }
        };
        match plan {
            Err(held) => {
                if held.outcome == Outcome::Wait {
                    for due in &due {
                        for reason in &held.reasons {
                            self.waits.add(&due.key, &due.wish, reason, None);
                        }
                    }
                }
                // Of which nothing is registered has not begun.
                self.memory.intent = self.memory.intent.take().filter(|known| known.registered.is_some());
                self.hold(held)
            }
            Ok(actions) => {
                let mut reasons: Vec<_> = due.into_iter().map(|d| d.reason).collect();
                reasons.extend(lingering.reasons);
                reasons.append(&mut extra);
                self.make(Calls {
                    actions,
                    reasons,
                    intent: Some(intent),
                })
            }
        }
    }

    /// The access points of the volumes. A family has no `storage`.
    fn mounting(&self) -> Result<Mounting, Decision<Action>> {
        match self.base.service {
            Some(_) => mounting(self.facts, self.base.source().1),
            None => Ok(Mounting::default()),
        }
    }

    /// What holds the rollout up; or, when nothing does any longer, what did.
    fn in_the_way(&self, intent: &Intent, due: &[Due]) -> Result<Option<Reason>, Decision<Action>> {
        if let Some(reason) = refused(&self.memory, intent, self.base) {
            return Err(Decision::without_calls(Outcome::Ignore, reason));
        }
        if let Some(unseen) = unseen(&self.memory, self.base, self.now) {
            return Err(Decision::without_calls(Outcome::Wait, unseen));
        }
        if self.facts.sent_since().is_some() && self.facts.sent_to == Known::No {
            let message = format!(
                "whether {} was sent to its next revision is not known",
                self.facts.target
            );
            let reason = Reason::new(Code::FactsMissing, message);
            return Err(Decision::needs("ListServiceDeployments", reason));
        }
        let timed_out = match in_progress(self.base, due, self.now) {
            Some(Progress::Running(reason)) => return Err(Decision::without_calls(Outcome::Wait, reason)),
            Some(Progress::TimedOut(reason)) => Some(reason),
            None => None,
        };
        if self.facts.paced.is_some() {
            return Err(self.paced());
        }
        Ok(timed_out)
    }

    pub(super) fn paced(&self) -> Decision<Action> {
        let until = self.facts.paced.map_or_else(String::new, |at| format!(" before {at}"));
        let message = format!("the rate of calls that AWS allows the account leaves no room{until}: it goes on then");
        Decision::without_calls(Outcome::Wait, Reason::new(Code::Paced, message))
    }
}

/// What becomes of the side container of a revision. A family has no `drain`: a revision of it that a service made is left
/// as it is.
pub(super) fn lingering(facts: &Facts, base: &Base<'_>, answer: &serde_json::Value) -> Lingering {
    match base.service {
        Some(_) => linger(answer, facts.linger.as_ref()),
        None => Lingering::default(),
    }
}

/// The calls of a rollout that has begun, or is to.
pub(super) fn actions(facts: &Facts, base: &Base<'_>, intent: &Intent) -> Result<Vec<Action>, Decision<Action>> {
    let update = |task_definition| Action::UpdateService {
        cluster: facts.target.cluster.clone(),
        service: facts.target.name.clone(),
        task_definition,
        volumes: None,
    };
    if let Some(arn) = &intent.registered {
        return Ok(vec![update(TaskDefinition::Arn(arn.clone()))]);
    }
    let (source, answer) = match intent.made_of {
        Some(_) => base.source(),
        None => (base.arn, base.answer),
    };
    let mut request = revise(answer, &intent.images()).map_err(|error| {
        Decision::needs(
            "DescribeTaskDefinition",
            Reason::new(Code::FactsMissing, error.to_string()),
        )
    })?;
    intent.side.apply(&mut request);
    intent.mounts.apply(&mut request);
    let mut actions = vec![Action::RegisterTaskDefinition { request }];
    if base.service.is_some() {
        actions.push(update(TaskDefinition::Registered {
            base: source.to_owned(),
        }));
    }
    Ok(actions)
}

/// The rollout that began as just this one, and its revision, which is registered. A family has no second call that could
/// be missing.
fn resumed(memory: &Memory, intent: &Intent, base: &Base<'_>) -> Option<(Intent, String)> {
    base.service?;
    let known = memory
        .intent
        .as_ref()
        .filter(|k| k.back.is_none() && k.digests() == intent.digests() && k.base == intent.base)?;
    let registered = known.registered.clone()?;
    // By now its own revision may be the family's newest, and as the next one would be.
    let is_newest = intent
        .made_of
        .as_deref()
        .is_some_and(|newest| same_revision(newest, &registered));
    let same = if is_newest {
        !intent.side.changes() && intent.mounts.is_empty()
    } else {
        (&known.made_of, &known.side, &known.mounts) == (&intent.made_of, &intent.side, &intent.mounts)
    };
    let resumed = Intent {
        wishes: intent.wishes.clone(),
        asked: intent.asked,
        ..known.clone()
    };
    same.then_some((resumed, registered))
}

/// The service was sent to a revision a moment ago, or may have been, and ECS does not show it yet: what it shows is no base
/// for the next.
fn unseen(memory: &Memory, base: &Base<'_>, now: Timestamp) -> Option<Reason> {
    let service = base.service?;
    let message = match (&memory.watched, &memory.intent) {
        (_, Some(intent)) if intent.may_show(now) => {
            let to = intent.registered.as_deref().map_or("another revision", short);
            format!("the service may have been sent to {to}, which ECS does not show yet")
        }
        (Some(watched), _) if !service.has_had(&watched.to) => {
            let to = short(&watched.to);
            format!("the service was sent to {to}, which ECS does not show yet")
        }
        _ => return None,
    };
    Some(Reason::new(Code::DeploymentInProgress, message))
}

fn refused(memory: &Memory, intent: &Intent, base: &Base<'_>) -> Option<Reason> {
    let refusal = memory.refused.as_ref()?;
    let (source, _) = base.source();
    // What it differs in would go on into each revision that is made of it.
    let spoilt = same_revision(&refusal.revision, source);
    let same = (&refusal.side, &refusal.mounts) == (&intent.side, &intent.mounts)
        && refusal.digests == intent.digests()
        && refusal.base == source;
    if !spoilt && !same {
        return None;
    }
    let message = format!(
        "{} was made of {} and differs in more than was asked for: {}; the service was not sent to it{}",
        short(&refusal.revision),
        short(&refusal.base),
        refusal.differences.join(", "),
        if spoilt {
            ", and it is the family's newest now: deregister it, or register another"
        } else {
            ""
        }
    );
    Some(Reason::new(Code::RevisionDiffers, message))
}
