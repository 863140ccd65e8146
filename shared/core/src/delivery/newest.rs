//! The family's newest revision: what Terraform or CDK registered beside the one that a service runs.
//!
//! With `base: latest` the next revision is made of it, and what was changed there goes out with the image. The images of
//! containers that rules take are not: they go out by their rules and gates alone. Without, such a revision is passed over,
//! and that is told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::base::{Base, movable};
use super::compare::is_same;
use super::linger::Side;
use super::memory::{ImageChange, Intent, Memory, is_before};
use super::revision::{ContainerImage, Images, RevisionError, revise, task_definition_arn};
use super::standing::{Due, change, readable, short, takes};
use super::{Facts, rule_key};
use crate::config::Delivery;
use crate::ids::{TargetKind, TaskDefinitionRef, same_revision};
use crate::known::Known;
use crate::report::{Code, Outcome, Reason};

/// A revision of the family that someone else registered after the one that the service runs, and that differs from it in
/// more than images of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Newer {
    /// Its ARN.
    pub revision: String,
    /// Who registered it, as ECS says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Since when it is known.
    pub since: Timestamp,
}

/// The family's newest revision, when it is a later one than the service runs.
pub(super) struct Newest<'a> {
    /// Its ARN.
    pub(super) arn: &'a str,
    /// The answer of `DescribeTaskDefinition`.
    pub(super) answer: &'a Value,
    containers: Vec<ContainerImage<'a>>,
}

impl<'a> Newest<'a> {
    /// The newest revision after the one that the service runs; `None` when it is that, or not known.
    pub(super) fn after(arn: &str, facts: &'a Facts) -> Result<Option<Self>, RevisionError> {
        let (TargetKind::Service, Known::Yes(Some(answer))) = (facts.target.kind, &facts.latest) else {
            return Ok(None);
        };
        let unreadable = RevisionError::Answer("taskDefinition.taskDefinitionArn", "text");
        let newest = task_definition_arn(answer).ok_or(unreadable)?;
        if !is_before(arn, newest) {
            return Ok(None);
        }
        Ok(Some(Self {
            arn: newest,
            answer,
            containers: movable(answer)?,
        }))
    }

    /// The images of the rules that are due, in its containers; the rules that find none there are told, and are not due.
    pub(super) fn place(
        &self,
        due: Vec<Due>,
        facts: &Facts,
        base: &Base<'_>,
        others: &mut Vec<(Outcome, Reason)>,
    ) -> Vec<Due> {
        let owners = owners(facts, base);
        let mut placed = Vec::new();
        for due in due {
            let own = self
                .containers
                .iter()
                .filter(|c| owner(c, &owners, facts).as_ref() == Some(&due.key));
            let changes: Vec<_> = own.filter_map(|c| change_in(c, &due, facts, base)).collect();
            if changes.is_empty() {
                let message = format!(
                    "{}, of which the next revision is made, has no container for {}: register a revision with one",
                    short(self.arn),
                    due.wish.name()
                );
                others.push((Outcome::Ignore, Reason::new(Code::NoMatchingContainer, message)));
            } else {
                placed.push(Due { changes, ..due });
            }
        }
        placed
    }

    /// The containers of rules that are not due: they keep the image that the service runs.
    pub(super) fn keeps(&self, due: &[Due], facts: &Facts, base: &Base<'_>) -> Vec<ImageChange> {
        let owners = owners(facts, base);
        let is_due = |key: &String| due.iter().any(|due| due.key == *key);
        let kept = self.containers.iter().filter_map(|c| {
            let key = owner(c, &owners, facts)?;
            let runs = base.containers.iter().find(|runs| runs.name == c.name)?;
            let keeps = !is_due(&key) && runs.image != c.image;
            keeps.then(|| ImageChange {
                container: c.index,
                name: c.name.to_owned(),
                from: c.image.to_owned(),
                to: runs.image.to_owned(),
            })
        });
        kept.collect()
    }

    /// Whether more differs from what the service runs than images of the rules and the side container.
    fn differs(&self, facts: &Facts, base: &Base<'_>) -> bool {
        let owners = owners(facts, base);
        let plain = |answer: &Value, containers: &[ContainerImage<'_>]| {
            let owned = containers.iter().filter(|c| owner(c, &owners, facts).is_some());
            let images: Images = owned.map(|c| (c.index, String::new())).collect();
            let mut request = revise(answer, &images)?;
            Side::Remove.apply(&mut request);
            Ok::<_, RevisionError>(request)
        };
        let both = (
            plain(base.answer, &base.containers),
            plain(self.answer, &self.containers),
        );
        !matches!(both, (Ok(runs), Ok(newest)) if is_same(&runs, &newest))
    }
}

/// The change from what the service runs; of a container that it does not have, from what the newest revision has.
fn change_in(container: &ContainerImage<'_>, due: &Due, facts: &Facts, base: &Base<'_>) -> Option<ImageChange> {
    let runs = base.containers.iter().find(|c| c.name == container.name);
    if let Some(change) = due.changes.iter().find(|change| change.name == container.name) {
        return Some(ImageChange {
            container: container.index,
            ..change.clone()
        });
    }
    let rule = facts.rules.iter().find(|rule| rule_key(rule) == due.key)?;
    let (repository, _) = readable(rule, facts).ok()?;
    let change = change(&repository, &due.wish.digest, container)?;
    Some(ImageChange {
        from: runs.map_or(change.from, |c| c.image.to_owned()),
        ..change
    })
}

/// The rule of each container that the service runs, by the container's name.
fn owners<'a>(facts: &Facts, base: &Base<'a>) -> BTreeMap<&'a str, String> {
    let owner = |c: &ContainerImage<'a>| Some((c.name, taker(c, facts)?));
    base.containers.iter().filter_map(owner).collect()
}

/// The rule of a container of the newest revision: that of the container of the same name which the service runs, whatever
/// image stands in its place there.
fn owner(container: &ContainerImage<'_>, owners: &BTreeMap<&str, String>, facts: &Facts) -> Option<String> {
    let known = owners.get(container.name).cloned();
    known.or_else(|| taker(container, facts))
}

/// The rule that takes a container: one that names it before one that takes whatever is of its repository.
fn taker(container: &ContainerImage<'_>, facts: &Facts) -> Option<String> {
    let takes_it = |rule: &&Delivery| {
        let repository = readable(rule, facts);
        repository.is_ok_and(|(repository, _)| takes(rule, &repository, container))
    };
    let rules = facts.rules.iter().filter(takes_it);
    rules.min_by_key(|rule| rule.container.is_none()).map(rule_key)
}

impl Facts {
    /// Whether the family's newest revision is one that someone else registered since, and that is not taken down yet: it is
    /// to be told before a revision of ours is the newest.
    #[must_use]
    pub fn is_news(&self, newest: &Value) -> bool {
        let (Known::Yes(Some(service)), Some(arn)) = (&self.service, task_definition_arn(newest)) else {
            return false;
        };
        let known = self.memory.newer.as_ref().is_some_and(|newer| newer.revision == arn);
        is_before(&service.task_definition, arn) && !known && !self.memory.made(arn)
    }
}

impl Memory {
    /// Whether a revision was registered for a rollout of ours.
    fn made(&self, arn: &str) -> bool {
        let past = self.past.iter().map(|past| (past.from.as_str(), past.to.as_str()));
        let watched = self.watched.as_ref().filter(|watched| watched.back.is_none());
        let watched = watched.map(|watched| (watched.from.as_str(), watched.to.as_str()));
        let rollouts = past.chain(watched).filter(|(from, to)| is_before(from, to));
        let intent = self.intent.as_ref().filter(|intent| intent.back.is_none());
        let alone = [
            intent.and_then(|intent| intent.registered.as_deref()),
            self.refused.as_ref().map(|refused| refused.revision.as_str()),
        ];
        rollouts
            .map(|(_, to)| to)
            .chain(alone.into_iter().flatten())
            .any(|ours| same_revision(ours, arn))
    }

    /// Takes down what someone registered beside the revision that the service runs. A revision of ours that comes after it
    /// does not bring it out; one of theirs that the service runs does.
    pub(super) fn look_for_newer(&mut self, facts: &Facts, base: &Base<'_>, now: Timestamp) {
        if let Some(newest) = base.newest.as_ref().filter(|newest| !self.made(newest.arn)) {
            let known = self.newer.take().filter(|newer| newer.revision == newest.arn);
            if newest.differs(facts, base) {
                let by = newest.answer["taskDefinition"]["registeredBy"].as_str();
                self.newer = known.or_else(|| {
                    Some(Newer {
                        revision: newest.arn.to_owned(),
                        by: by.map(str::to_owned),
                        since: now,
                    })
                });
            }
        } else if let Some(newer) = &self.newer {
            let out = !is_before(base.arn, &newer.revision) && !self.made(base.arn);
            let (there, here) = (
                TaskDefinitionRef::parse(&newer.revision),
                TaskDefinitionRef::parse(base.arn),
            );
            if out || there.map(|there| there.family) != here.map(|here| here.family) {
                self.newer = None;
            }
        }
    }
}

/// What is said of a revision that is passed over, unless it is said that it goes out.
pub(super) fn tell_newer(memory: &Memory, facts: &Facts, reasons: &mut Vec<Reason>) {
    let Some(newer) = &memory.newer else { return };
    if reasons.iter().any(|reason| reason.code == Code::NewerRevision) {
        return;
    }
    let message = format!(
        "{}, which {} registered, is not what {} runs: {}",
        short(&newer.revision),
        newer.by.as_deref().unwrap_or("someone"),
        facts.target,
        if facts.takes_newest() {
            "it goes out with the next image"
        } else {
            "it is left so, and `base: latest` would take it"
        }
    );
    reasons.push(Reason::new(Code::NewerRevision, message));
}

/// What is said of a rollout that takes the newest revision.
pub(super) fn made_of(intent: &Intent) -> Option<Reason> {
    let newest = intent.made_of.as_deref()?;
    let message = format!(
        "the next revision is made of {}, the newest of its family, and not of {}, which the service runs",
        short(newest),
        short(&intent.base)
    );
    Some(Reason::new(Code::NewerRevision, message))
}
