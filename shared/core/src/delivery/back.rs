//! `wharfinger rollback`: the way back that a person asked for. No gate holds it up, nor does a deployment in progress.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::base::Base;
use super::memory::{ImageChange, Intent, Memory};
use super::revision::{containers, task_definition_arn};
use super::standing::{short, takes_of};
use super::{Facts, ImageRef, Mounts, Side, Wish, rule_key};
use crate::config::asked::{Back, BackTo};
use crate::ids::{TargetKind, TaskDefinitionRef, same_revision};
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason};

/// What comes of it.
pub(super) enum Way {
    /// This rollout.
    Go(Box<Intent>, Reason),
    /// It is answered without one.
    Answered(Outcome, Reason),
    /// A fact is missing.
    Unknown(Decision<super::Action>),
}

/// The rollout that leads back.
pub(super) fn way(facts: &Facts, base: &Base<'_>, back: &Back, memory: &mut Memory, now: Timestamp) -> Way {
    let refused = |message: String| Way::Answered(Outcome::Ignore, Reason::new(Code::RollbackRefused, message));
    let planned = match &back.to {
        BackTo::Revision(_) if facts.target.kind == TargetKind::Task => {
            return refused(format!(
                "{} is a family: its newest revision is what runs next, so name an image to go back to",
                facts.target
            ));
        }
        BackTo::Revision(name) => match &facts.back_to {
            Known::No => {
                let message = format!("{} is to go back to {name}, which is not known", facts.target);
                return Way::Unknown(Decision::needs(
                    "DescribeTaskDefinition",
                    Reason::new(Code::FactsMissing, message),
                ));
            }
            Known::Yes(None) => return refused(format!("there is no ACTIVE revision {name}")),
            Known::Yes(Some(answer)) => to_revision(facts, base, answer),
        },
        BackTo::Image { rule, wish } => to_image(facts, base, rule, wish),
    };
    let plan = match planned {
        Err(message) => return refused(message),
        Ok(plan) => plan,
    };
    if plan.changes.is_empty() && plan.registered.as_deref().is_none_or(|to| same_revision(to, base.arn)) {
        let message = format!("{} is on {} already", facts.target, base.short());
        return Way::Answered(Outcome::Ignore, Reason::new(Code::AlreadyDeployed, message));
    }
    let who = back.by.as_deref().unwrap_or("someone");
    leave(facts, base, &plan, &format!("{who} went back from it"), memory, now);
    let to = plan
        .registered
        .as_deref()
        .map_or_else(|| plan.named(), |to| short(to).to_owned());
    let message = format!("{who} sends {} back from {} to {to}", facts.target, base.short());
    let intent = Intent {
        wishes: plan.wishes,
        changes: plan.changes,
        side: Side::Keep,
        mounts: Mounts::default(),
        asked: None,
        back: Some(back.clone()),
        base: base.arn.to_owned(),
        made_of: None,
        keeps: Vec::new(),
        at: now,
        registered: plan.registered,
        sent: None,
        restored: Vec::new(),
    };
    Way::Go(Box::new(intent), Reason::new(Code::RollbackStarts, message))
}

struct Plan {
    wishes: BTreeMap<String, Wish>,
    changes: Vec<ImageChange>,
    registered: Option<String>,
}

impl Plan {
    fn named(&self) -> String {
        let names: Vec<_> = self.wishes.values().map(Wish::name).collect();
        names.join(", ")
    }
}

/// To a revision that exists: nothing is registered.
fn to_revision(facts: &Facts, base: &Base<'_>, answer: &Value) -> Result<Plan, String> {
    let unreadable = || "the answer of DescribeTaskDefinition cannot be read".to_owned();
    let arn = task_definition_arn(answer).ok_or_else(unreadable)?;
    let status = answer["taskDefinition"]["status"].as_str().unwrap_or("ACTIVE");
    if status != "ACTIVE" {
        return Err(format!("{} is {status}: no task can be started of it", short(arn)));
    }
    let family = |arn| TaskDefinitionRef::parse(arn).map(|revision| revision.family);
    if let (Some(theirs), Some(own)) = (family(arn), family(base.arn))
        && theirs != own
    {
        return Err(format!(
            "{} is of the family `{theirs}`, and {} runs `{own}`: name a revision of that",
            short(arn),
            facts.target
        ));
    }
    let containers = containers(answer).map_err(|_| unreadable())?;
    for container in &containers {
        let image: Option<ImageRef> = container.image.parse().ok();
        let known = image.and_then(|image| facts.images.get(&image.digest?).cloned());
        if let Some(why) = known.and_then(|known| known.state.unpullable()) {
            return Err(format!("{}: {} {why}", short(arn), container.image));
        }
    }
    let changes = containers.iter().filter_map(|c| {
        let before = base.containers.iter().find(|b| b.name == c.name)?;
        (before.image != c.image).then(|| ImageChange {
            container: c.index,
            name: c.name.to_owned(),
            from: before.image.to_owned(),
            to: c.image.to_owned(),
        })
    });
    Ok(Plan {
        wishes: BTreeMap::new(),
        changes: changes.collect(),
        registered: Some(arn.to_owned()),
    })
}

/// To an image: it goes into the revision that the target has.
fn to_image(facts: &Facts, base: &Base<'_>, key: &str, wish: &Wish) -> Result<Plan, String> {
    let rule = facts.rules.iter().find(|rule| rule_key(rule) == key);
    let rule = rule.ok_or_else(|| format!("{} has no rule for {key}", facts.target))?;
    if let Some(why) = facts
        .images
        .get(&wish.digest)
        .and_then(|image| image.state.unpullable())
    {
        return Err(format!("{} {why}", wish.name()));
    }
    let (selected, changes) = takes_of(rule, wish, facts, base)?;
    if selected == 0 {
        return Err(format!("{} has no container for an image of {key}", base.short()));
    }
    Ok(Plan {
        wishes: [(key.to_owned(), wish.clone())].into(),
        changes,
        registered: None,
    })
}

/// What is left, and what would be rolled out next, is not rolled out again by itself.
fn leave(facts: &Facts, base: &Base<'_>, plan: &Plan, why: &str, memory: &mut Memory, now: Timestamp) {
    let goes_to = |wish: &Wish| {
        plan.wishes.values().any(|w| w.digest == wish.digest)
            || plan.changes.iter().any(|c| c.to.ends_with(wish.digest.as_str()))
    };
    let runs: Vec<_> = memory.proved.values().map(|proof| proof.wish.clone()).collect();
    let left = runs.iter().chain(facts.wishes.values());
    for wish in left.filter(|wish| !goes_to(wish)) {
        memory.quarantine(wish, base.arn, why, now);
    }
}
