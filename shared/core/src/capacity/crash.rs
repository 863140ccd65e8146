//! Tasks that stop again and again: counted per service and revision, told of once per change.
//!
//! What is remembered ([`Stops`]) is an attribute of the service's item. A failure counts when it speaks against the
//! revision or what is around it ([`Blame`]), and when the task lived no longer than `within`: a task that lived longer is
//! no sign that new ones do not come up. The last [`KEPT`] failures are kept, by the time of each and its task's id, so
//! neither the order nor the number of events matters.
//!
//! | what is known of a revision | the crash loop |
//! |---|---|
//! | `after` failures within `within`, and none of the pauses since is longer than [`QUIET`] | is there |
//! | the service has left the revision, or wants no task any more | is over |
//! | every wanted task runs it, and the last failure is longer ago than `within` | is over |
//! | the last failure is longer ago than [`QUIET`] | is over |
//!
//! ECS lets up to a quarter of an hour pass between attempts to start tasks that never run (ECS developer guide, "Amazon ECS
//! service throttle logic"): a pause alone says nothing before.

mod told;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::stopped::{Blame, Class, Stopped, said};
use crate::config::CrashLoops;
use crate::event::TaskStateChange;
use crate::ids::{TaskDefinitionRef, same_revision};
use crate::service::ServiceFacts;

pub use told::{Change, Told, sentence};

/// How many failures are kept: more than `after` asks for are of no use, and the item stays small.
pub const KEPT: usize = 20;

/// How long no task fails before that alone ends a crash loop; `within` if that is longer.
pub const QUIET: SignedDuration = SignedDuration::from_mins(30);

/// Of how many revisions a crash loop is remembered.
const REVISIONS: usize = 5;

/// What is remembered of the tasks of a service that stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Stops {
    /// The last tasks that failed, oldest first.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    failures: BTreeSet<Failure>,
    /// The crash loops that were told of, by `family:revision`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    loops: BTreeMap<String, CrashLoop>,
}

/// A task that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// When it was over, in whole seconds: the event and the API differ in what comes after.
    pub at: Timestamp,
    /// The task's id.
    pub task: String,
    /// `family:revision`.
    pub revision: String,
    /// Why.
    pub class: Class,
    /// The container that it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What that container ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
}

/// The tasks of one revision stop again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CrashLoop {
    /// When the first of its tasks failed.
    pub since: Timestamp,
    /// The first of the last so many failures that made it one.
    pub window: Timestamp,
    /// When the last failed.
    pub last: Timestamp,
    /// How many failed, as far as they are kept.
    pub failures: usize,
    /// Why most of them did; of as many the last.
    pub class: Class,
    /// The container that it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What that container ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Up to when it is dealt with: it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Timestamp>,
}

/// What a task that stopped means for its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It is not over yet, or of no revision that can be told.
    Nothing,
    /// Nobody is to blame.
    Meant(Stopped),
    /// It failed, but lived so long that it is no sign of a crash loop.
    Lived(Stopped),
    /// It failed, and was counted before, or is older than all that are kept.
    Known(Stopped),
    /// It failed, and counts.
    Counted(Stopped),
}

impl CrashLoop {
    /// What its tasks stop of, as half a sentence.
    #[must_use]
    pub fn what(&self) -> String {
        said(self.class, self.container.as_deref(), self.exit_code)
    }
}

impl Stops {
    /// Takes a task in. `at` is when that was heard of, for a task that does not say when it was over.
    pub fn hear(&mut self, task: &TaskStateChange, rule: &CrashLoops, at: Timestamp) -> Heard {
        let definition = TaskDefinitionRef::parse(&task.task_definition_arn);
        let (Some(stopped), Some(definition)) = (Stopped::of(task), definition) else {
            return Heard::Nothing;
        };
        if stopped.class.blame() == Blame::Nobody {
            return Heard::Meant(stopped);
        }
        let at = task.stopped_at.unwrap_or(at);
        let lived = task
            .started_at
            .map_or(SignedDuration::ZERO, |started| at.duration_since(started));
        if lived > within(rule) {
            return Heard::Lived(stopped);
        }
        let failure = Failure {
            at: Timestamp::from_second(at.as_second()).unwrap_or(at),
            task: task.task_arn.id().to_owned(),
            revision: format!("{}:{}", definition.family, definition.revision),
            class: stopped.class,
            container: stopped.container.clone(),
            exit_code: stopped.exit_code,
        };
        if self.count(failure) {
            Heard::Counted(stopped)
        } else {
            Heard::Known(stopped)
        }
    }

    /// Whether the failure is new. The oldest go, and a task is counted once.
    fn count(&mut self, failure: Failure) -> bool {
        if self.failures.iter().any(|known| known.task == failure.task) {
            return false;
        }
        let task = failure.task.clone();
        self.failures.insert(failure);
        while self.failures.len() > KEPT {
            self.failures.pop_first();
        }
        self.failures.iter().any(|known| known.task == task)
    }

    /// Looks at what is remembered, and at the service as far as it is known: what is to be told, once per change. Store it
    /// afterwards when it differs.
    pub fn look(&mut self, rule: &CrashLoops, service: Option<&ServiceFacts>, now: Timestamp) -> Vec<Told> {
        let revisions = self.failures.iter().map(|failure| failure.revision.clone());
        let revisions: BTreeSet<_> = revisions.chain(self.loops.keys().cloned()).collect();
        let mut told = Vec::new();
        for revision in revisions {
            let known = self.loops.get(&revision);
            let open = known.filter(|known| known.over.is_none());
            let found = self.found(&revision, rule);
            let over = found
                .as_ref()
                .or(open)
                .and_then(|one| ended(one, &revision, rule, service, now));
            let (change, now_is) = match (open, found, over) {
                (None, Some(_), Some(_)) | (None, None, _) => continue,
                (None, Some(found), None) => (Some(Change::Began), found),
                (Some(open), found, Some(why)) => {
                    let last = found.map_or(open.last, |found| found.last);
                    let over = CrashLoop {
                        last,
                        over: Some(last),
                        ..open.clone()
                    };
                    (Some(Change::Over(why)), over)
                }
                (Some(open), Some(found), None) => {
                    let found = CrashLoop {
                        since: open.since.min(found.since),
                        ..found
                    };
                    ((found.class != open.class).then_some(Change::Reason), found)
                }
                // Its failures made room for later ones of another revision.
                (Some(open), None, None) => (None, open.clone()),
            };
            told.extend(change.map(|change| Told::new(change, &revision, &now_is)));
            self.loops.insert(revision, now_is);
        }
        self.forget();
        told
    }

    /// The crash loop that the failures of a revision are, whatever became of it since.
    fn found(&self, revision: &str, rule: &CrashLoops) -> Option<CrashLoop> {
        let dealt_with = self.loops.get(revision).and_then(|known| known.over);
        let own = self.failures.iter().filter(|f| f.revision == revision);
        let own: Vec<_> = own.filter(|f| dealt_with.is_none_or(|over| f.at > over)).collect();
        let pause = own
            .windows(2)
            .rposition(|two| two[1].at.duration_since(two[0].at) > quiet(rule));
        let run = &own[pause.map_or(0, |at| at + 1)..];
        let after = usize::try_from(rule.after.get()).unwrap_or(KEPT).min(KEPT);
        let dense = |window: &&[&Failure]| match window {
            [first, .., last] => last.at.duration_since(first.at) <= within(rule),
            _ => true,
        };
        let window = run.windows(after).rev().find(dense)?;
        let (first, last) = (run.first()?, run.last()?);
        let mut of_class = BTreeMap::<Class, (usize, &Failure)>::new();
        for failure in run {
            let known = of_class.get(&failure.class).map_or(0, |(count, _)| *count);
            of_class.insert(failure.class, (known + 1, failure));
        }
        let (_, why) = of_class.into_values().max_by_key(|(count, last)| (*count, *last))?;
        Some(CrashLoop {
            since: first.at,
            window: window.first()?.at,
            last: last.at,
            failures: run.len(),
            class: why.class,
            container: why.container.clone(),
            exit_code: why.exit_code,
            over: None,
        })
    }

    /// The loops that are over go first, then the oldest.
    fn forget(&mut self) {
        while self.loops.len() > REVISIONS {
            let oldest = self
                .loops
                .iter()
                .min_by_key(|(_, known)| (known.over.is_none(), known.last));
            let Some(revision) = oldest.map(|(revision, _)| revision.clone()) else {
                return;
            };
            self.loops.remove(&revision);
        }
    }

    /// The crash loops that are there, as they were last told of.
    pub fn open(&self) -> impl Iterator<Item = (&str, &CrashLoop)> {
        let open = self.loops.iter().filter(|(_, known)| known.over.is_none());
        open.map(|(revision, known)| (revision.as_str(), known))
    }

    /// The failures that are kept, oldest first.
    pub fn failures(&self) -> impl DoubleEndedIterator<Item = &Failure> {
        self.failures.iter()
    }

    /// The crash loop that speaks against a revision, all of it since a time.
    #[must_use]
    pub fn against(&self, revision: &str, since: Timestamp) -> Option<&CrashLoop> {
        let own = self.open().filter(|(name, _)| same_revision(name, revision));
        own.map(|(_, known)| known)
            .find(|known| known.window >= since && known.class.blame() == Blame::Revision)
    }
}

fn within(rule: &CrashLoops) -> SignedDuration {
    SignedDuration::try_from(rule.within.duration()).unwrap_or(SignedDuration::MAX)
}

fn quiet(rule: &CrashLoops) -> SignedDuration {
    QUIET.max(within(rule))
}

/// Why a crash loop is over, if it is.
fn ended(
    one: &CrashLoop,
    revision: &str,
    rule: &CrashLoops,
    service: Option<&ServiceFacts>,
    now: Timestamp,
) -> Option<&'static str> {
    let silence = now.duration_since(one.last);
    if let Some(service) = service {
        if !service.has_had(revision) {
            return Some("the service has left the revision");
        }
        if service.desired_count == 0 {
            return Some("no task is wanted any more");
        }
        let runs = same_revision(&service.task_definition, revision)
            && service.in_progress().is_none()
            && service.running_count >= service.desired_count;
        if runs && silence > within(rule) {
            return Some("every wanted task runs");
        }
    }
    (silence > quiet(rule)).then_some("no task has failed any more")
}

#[cfg(test)]
mod tests;
