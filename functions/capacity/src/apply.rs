//! The calls about a cluster's instances, with what must not be forgotten stored before them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use wharfinger_cloud::active::{EACH_MINUTE, Row};
use wharfinger_cloud::lease::Lease;
use wharfinger_cloud::pipeline::{Applied, Cause, Confirmed, Domain};
use wharfinger_cloud::ports::Upheld;
use wharfinger_cloud::table::{number, text};
use wharfinger_cloud::{CloudError, Fault, Kind, telemetry};
use wharfinger_core::capacity::{Action, Did, Going, State, Waiting, decide};
use wharfinger_core::config::stored::Pauses;
use wharfinger_core::ids::{Target, TaskArn};
use wharfinger_core::report::{Code, Decision, Outcome, Reason};

use crate::observe::{self, Providers, SAID, Seen, told_the_same};
use crate::{ACTIVE, Cloud, NAME, rows};

/// How many calls about single instances are made at once.
const AT_ONCE: usize = 10;

/// The attribute of the cluster's item that says when calls were last begun: writing it proves that the lease is ours.
const BEGUN: &str = "capacity-begun";

/// The domain, as the pipeline takes it: the instances of one cluster under its lease.
pub struct Instances<'a, C> {
    /// The world.
    pub cloud: &'a C,
    /// The lease.
    pub lease: &'a Lease,
    /// What the active set is known to have of the cluster.
    pub row: Option<Row>,
    /// What capacity providers do by themselves.
    pub providers: &'a Providers,
    /// What led to this look.
    pub cause: &'a Cause,
    /// The lifecycle actions that were over when they were asked for, and Auto Scaling's words.
    pub over: RefCell<Vec<(Waiting, String)>>,
}

/// What a decision is to leave behind.
pub struct Note {
    /// Stored before the calls.
    before: BTreeMap<String, Did>,
    /// Stored when they are made.
    after: BTreeMap<String, Did>,
    /// Whether the cluster is looked at every minute.
    busy: bool,
    /// How many calls were decided on.
    calls: usize,
}

impl<C: Cloud> Domain for Instances<'_, C> {
    const NAME: &'static str = NAME;
    type Facts = Seen;
    type Action = Action;
    type Note = Note;

    fn target<'f>(&self, seen: &'f Seen) -> &'f Target {
        &seen.managed.target
    }

    fn paused<'f>(&self, seen: &'f Seen) -> &'f Pauses {
        &seen.managed.stored.paused
    }

    fn subject(&self, _: &Seen) -> Option<String> {
        None
    }

    fn said<'f>(&self, seen: &'f Seen) -> Option<&'f str> {
        seen.said.as_deref()
    }

    /// What was seen is stored, whatever is said of it.
    fn holds(&self, _: &Seen) -> bool {
        true
    }

    fn decide(&self, seen: &Seen, now: Timestamp) -> (Decision<Action>, Note) {
        let decided = decide(&seen.facts, now);
        let note = Note {
            before: decided.before,
            after: decided.after,
            busy: decided.busy,
            calls: decided.decision.actions.len(),
        };
        (decided.decision, note)
    }

    async fn apply(&self, seen: &Seen, decision: &Decision<Action>, note: &Note) -> Result<Applied<Seen>, Fault> {
        let (target, now) = (&seen.managed.target, self.cloud.now());
        self.lease.store(self.cloud, BEGUN, number(now.as_second())).await?;
        // Should this die among the calls, the next minute goes on.
        let (remembered, kept) = tokio::join!(
            rows::store(self.cloud, target, self.lease.fence(), &note.before),
            ACTIVE.keep(self.cloud, target, EACH_MINUTE, self.row)
        );
        remembered?;
        kept?;
        let is_state = |action: &&Action| matches!(action, Action::UpdateContainerInstancesState { .. });
        // All that go are drained before anything else, so that no task moves from one to the next.
        let mut failed = None;
        for action in decision.actions.iter().filter(is_state) {
            failed = failed.or(self.call(action).await.err());
        }
        let heartbeat = |action: &&Action| matches!(action, Action::RecordLifecycleActionHeartbeat(_));
        let is_failed = failed.is_some();
        let others = decision.actions.iter().filter(|action| !is_state(action));
        let others = others.filter(|action| !is_failed || heartbeat(action));
        let calls = stream::iter(others.map(|action| self.call(action)));
        let made: Vec<_> = calls.buffer_unordered(AT_ONCE).collect().await;
        match failed.or_else(|| made.into_iter().find_map(Result::err)) {
            Some(fault) => Err(fault),
            None => Ok(Applied::Done),
        }
    }

    async fn confirm(
        &self,
        seen: Seen,
        decision: &Decision<Action>,
        note: Note,
        said: String,
    ) -> Result<Confirmed<Seen>, Fault> {
        let target = seen.managed.target.clone();
        let was_made = decision.actions.len() == note.calls;
        let mut did = note.after;
        if !was_made {
            did = only_seen(&seen.facts.going, did);
        }
        self.tell_over(&seen, &mut did);
        rows::store(self.cloud, &target, self.lease.fence(), &did).await?;
        let watch = async {
            match (note.busy, self.row) {
                // What was called for is in the set since before the calls.
                (true, _) if !decision.actions.is_empty() => Ok(()),
                (true, row) => ACTIVE.keep(self.cloud, &target, EACH_MINUTE, row).await,
                (false, Some(row)) => ACTIVE.forget(self.cloud, &target, row).await,
                (false, None) => Ok(()),
            }
        };
        let tell = async {
            if seen.said.as_ref() == Some(&said) {
                Ok(())
            } else {
                self.lease.store(self.cloud, SAID, text(said.clone())).await
            }
        };
        let (newer, watched, told) = tokio::join!(rows::going(self.cloud, &target), watch, tell);
        watched?;
        told?;
        if told_the_same(&seen.facts.going, &newer?) {
            return Ok(Confirmed::Settled);
        }
        let item = &self.lease.item;
        let newer = observe::look(self.cloud, self.providers, &seen.managed, item, seen.look).await?;
        Ok(Confirmed::Moved(Seen {
            said: Some(said),
            ..newer
        }))
    }
}

impl<C: Cloud> Instances<'_, C> {
    async fn call(&self, action: &Action) -> Result<(), Fault> {
        match action {
            Action::UpdateContainerInstancesState {
                cluster,
                container_instances,
                status,
            } => self.set_state(cluster, container_instances, *status).await,
            Action::SetInstanceHealth { instance } => {
                if let Upheld::Over(words) = self.cloud.set_unhealthy(instance).await? {
                    tracing::info!(instance, words, "its group has it no more");
                }
                Ok(())
            }
            Action::StopTask { cluster, task, reason } => {
                let task: TaskArn = task.parse().map_err(|e| {
                    CloudError::new(
                        "StopTask",
                        Kind::Invalid,
                        format!("what is to be stopped is no task: {e}"),
                    )
                })?;
                Ok(self.cloud.stop_task(cluster, &task, reason).await?)
            }
            Action::RecordLifecycleActionHeartbeat(waiting) => {
                let upheld = self.cloud.heartbeat(waiting).await?;
                self.uphold(waiting, upheld);
                Ok(())
            }
            Action::CompleteLifecycleAction(waiting) => {
                let upheld = self.cloud.complete(waiting).await?;
                self.uphold(waiting, upheld);
                Ok(())
            }
        }
    }

    /// What is over is said, and remembered as completed.
    fn tell_over(&self, seen: &Seen, did: &mut BTreeMap<String, Did>) {
        for (waiting, words) in self.over.borrow_mut().drain(..) {
            let Waiting { instance, group, .. } = &waiting;
            let known = || seen.facts.going.get(instance).map(|going| going.did.clone());
            let did = did
                .entry(instance.clone())
                .or_insert_with(|| known().unwrap_or_default());
            did.completed.insert(waiting.key(), self.cloud.now());
            let reason = Reason::new(Code::HookOver, format!("{group} does not wait any more: {words}"));
            let decision = Decision::<()>::without_calls(Outcome::Ignore, reason);
            let (target, now) = (&seen.managed.target, self.cloud.now());
            telemetry::undecided(NAME, target, Some(instance), self.cause, decision, now);
        }
    }

    /// One that is gone meanwhile needs no other state; anything else is tried again.
    async fn set_state(&self, cluster: &str, arns: &[String], state: State) -> Result<(), Fault> {
        let not_changed = self.cloud.set_container_instances_state(cluster, arns, state).await?;
        let gone = |reason: &str| matches!(reason, "MISSING" | "INACTIVE");
        match not_changed.iter().find(|one| !gone(&one.reason)) {
            None => Ok(()),
            Some(one) => {
                let message = format!("{} was not changed: {}", one.arn, one.reason);
                Err(CloudError::new("UpdateContainerInstancesState", Kind::Invalid, message).into())
            }
        }
    }

    fn uphold(&self, waiting: &Waiting, upheld: Upheld) {
        if let Upheld::Over(words) = upheld {
            self.over.borrow_mut().push((waiting.clone(), words));
        }
    }
}

/// Of what would be remembered had the calls been made, what was seen: the calls were held back.
fn only_seen(known: &BTreeMap<String, Going>, after: BTreeMap<String, Did>) -> BTreeMap<String, Did> {
    let seen = |(id, after): (String, Did)| {
        let before = known.get(&id).map(|going| going.did.clone()).unwrap_or_default();
        let seen = Did {
            container_instance: after.container_instance,
            found_waiting: after.found_waiting,
            disconnected: after.disconnected,
            seen_disconnected: after.seen_disconnected,
            over: after.over,
            ..before
        };
        (id, seen)
    };
    after.into_iter().map(seen).collect()
}
