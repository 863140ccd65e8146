//! The calls to EC2 and ECS, with their intents before them and what came of them after.

mod stateful;

use std::cell::RefCell;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_cloud::active::{EACH_MINUTE, Row};
use wharfinger_cloud::lease::Lease;
use wharfinger_cloud::pipeline::{Applied, Confirmed, Domain};
use wharfinger_cloud::ports::{self, Removed, ServiceChange, Snapped};
use wharfinger_cloud::table::{text, to_attribute};
use wharfinger_cloud::{CloudError, Fault, Kind, telemetry};
use wharfinger_core::config::stored::Pauses;
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Outcome, Reason};
use wharfinger_core::storage::{Action, CreateSnapshot, Decided, Memory, Notice, Stage, decide};

use crate::observe::{Look, MEMORY, REMOVED_AT_ONCE, SAID};
use crate::{ACTIVE, Cloud, NAME, access, rows};

const WHAT: &str = "the memory of storage";

/// When a volume is looked at again of which EC2 makes no snapshot now.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// The domain, as the pipeline takes it: the lineages of one service under its lease.
pub struct Lineages<'a, C> {
    cloud: &'a C,
    lease: &'a Lease,
    /// What the active set is known to have of the service.
    row: Option<Row>,
    /// What is remembered after the calls.
    after: RefCell<Option<Memory>>,
    /// The volumes that were removed.
    gone: RefCell<BTreeSet<String>>,
    /// What is known after calls on which others can follow at once.
    newer: RefCell<Option<Look>>,
}

/// What a decision is to leave behind.
pub struct Note {
    /// Stored before the calls.
    intended: Memory,
    /// Stored when there are none.
    otherwise: Memory,
    /// Told before that.
    notices: Vec<Notice>,
    /// When it is to be looked at next.
    next: Option<Timestamp>,
}

/// What came of `CreateSnapshot`.
enum Created {
    Made,
    /// The volume is gone.
    NoVolume,
    /// Not now, in EC2's words.
    Refused(String),
}

impl<'a, C: Cloud> Lineages<'a, C> {
    /// The lineages of the service whose lease it is.
    pub fn new(cloud: &'a C, lease: &'a Lease, row: Option<Row>) -> Self {
        Self {
            cloud,
            lease,
            row,
            after: RefCell::new(None),
            gone: RefCell::default(),
            newer: RefCell::default(),
        }
    }

    async fn remember(&self, memory: &Memory) -> Result<(), Fault> {
        self.lease.store(self.cloud, MEMORY, to_attribute(WHAT, memory)?).await
    }

    async fn create(&self, request: &CreateSnapshot, memory: &mut Memory) -> Result<Created, Fault> {
        let key = &request.lineage.key();
        match self.cloud.create_snapshot(request).await {
            Ok(Snapped::Made(snapshot)) => {
                memory.made(key, &snapshot);
                rows::remember(self.cloud, &snapshot.snapshot_id, &request.lineage.target).await?;
                Ok(Created::Made)
            }
            Ok(Snapped::NoVolume) => {
                memory.refused(key);
                Ok(Created::NoVolume)
            }
            Ok(Snapped::Later(words)) => {
                memory.refused(key);
                Ok(Created::Refused(words))
            }
            // What is pruned makes room.
            Err(error) if error.kind == Kind::Full => {
                memory.refused(key);
                Ok(Created::Refused(error.to_string()))
            }
            Err(error) => {
                if is_refusal(&error) {
                    memory.refused(key);
                }
                Err(error.into())
            }
        }
    }

    /// Forgets what was to be asked for and was not.
    async fn break_off(&self, not_asked: &[Action], mut memory: Memory) {
        for action in not_asked {
            if let Action::CreateSnapshot(request) = action {
                memory.refused(&request.lineage.key());
            }
        }
        if let Err(fault) = self.remember(&memory).await {
            // What was stored before has them wait for as long as EC2 may not show them.
            tracing::warn!(%fault, "what was not asked for could not be forgotten");
        }
    }

    /// Makes one call; the answer is what is known when it was refused, so that all can be decided anew. `before` is what is
    /// remembered when no call is made.
    async fn make(
        &self,
        look: &Look,
        action: &Action,
        before: &Memory,
        memory: &mut Memory,
    ) -> Result<Option<Look>, Fault> {
        match action {
            Action::CreateAccessPoint(request) => return Ok(access::create(self.cloud, look, request).await),
            Action::CreateSnapshot(request) => {
                let created = self.create(request, memory).await?;
                return Ok(without(look, request, created, before));
            }
            Action::DeleteSnapshot { .. } => self.delete(action, memory).await?,
            Action::UpdateService { volumes, .. } => self.restore(look, volumes, memory).await?,
            Action::RunTask { lineage, input } => self.run(lineage, input, memory).await?,
            Action::DeleteVolume { lineage, volume_id, .. } => self.remove(lineage, volume_id, memory).await?,
        }
        Ok(None)
    }

    async fn delete(&self, action: &Action, memory: &mut Memory) -> Result<(), Fault> {
        if let Action::DeleteSnapshot {
            lineage, snapshot_id, ..
        } = action
            && let Removed::InUse(words) = self.cloud.delete_snapshot(snapshot_id).await?
        {
            memory.in_use(&lineage.key(), snapshot_id, &words, self.cloud.now());
        }
        Ok(())
    }

    /// Sends the service to a deployment whose volumes begin with what was asked for.
    async fn restore(&self, look: &Look, volumes: &Value, memory: &mut Memory) -> Result<(), Fault> {
        let Some(asked) = look.facts.asks_restore() else {
            return Ok(());
        };
        let change = ServiceChange::Volumes {
            task_definition: None,
            configurations: volumes.clone(),
        };
        match self.cloud.update_service(&look.managed.target, &change).await {
            Ok(()) => memory.restored(asked, self.cloud.now()),
            Err(error) => {
                match error.kind {
                    // Nothing of it would be otherwise the next time.
                    Kind::Invalid | Kind::NotFound => memory.refuse_restore(asked),
                    Kind::Throttled | Kind::Denied => memory.restored_nothing(),
                    _ => {}
                }
                self.remember(memory).await?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn tell(&self, look: &Look, notices: &[Notice]) -> Result<(), Fault> {
        if notices.is_empty() {
            return Ok(());
        }
        let service = match &look.facts.service {
            Known::Yes(Some(service)) => vec![service.service_arn.clone()],
            Known::Yes(None) | Known::No => Vec::new(),
        };
        let told = notices.iter().map(|notice| ports::Notice {
            detail_type: notice.stage.detail_type().to_owned(),
            at: notice.at,
            resources: service.clone(),
            detail: notice.detail(),
        });
        let told: Vec<_> = told.collect();
        self.cloud.put_events(&told).await?;
        let count = |stage| notices.iter().filter(|notice| notice.stage == stage).count();
        let found = [
            ("SnapshotsFailed", count(Stage::SnapshotFailed)),
            ("RecoveryPointsLate", count(Stage::RecoveryPointLate)),
        ];
        telemetry::counted(NAME, self.cloud.now(), &found);
        Ok(())
    }

    async fn watch(&self, target: &Target, next: Option<Timestamp>) -> Result<(), CloudError> {
        match (next, self.row) {
            (Some(next), row) => ACTIVE.keep(self.cloud, target, next, row).await,
            (None, Some(row)) => ACTIVE.forget(self.cloud, target, row).await,
            (None, None) => Ok(()),
        }
    }
}

/// Whether it is certain that nothing was made.
fn is_refusal(error: &CloudError) -> bool {
    matches!(error.kind, Kind::Throttled | Kind::Denied | Kind::Invalid)
}

/// Takes back what EC2 refused a moment ago: asking again at once would change nothing.
fn hold_back(look: &Look, decided: &mut Decided, now: Timestamp) {
    for (key, words) in &look.refused {
        if decided.intents.remove(key).is_none() {
            continue;
        }
        let is_its = |action: &Action| matches!(action, Action::CreateSnapshot(one) if one.lineage.key() == *key);
        let decision = &mut decided.decision;
        decision.actions.retain(|action| !is_its(action));
        let message = format!("{}/{key}: EC2 makes no snapshot now: {words}", look.facts.target);
        decision.reasons.push(Reason::new(Code::SnapshotPending, message));
        if decision.actions.is_empty() {
            decision.outcome = Outcome::Wait;
        }
        let again = now.saturating_add(AGAIN).unwrap_or(now);
        decided.next_look = Some(decided.next_look.map_or(again, |next| next.min(again)));
    }
}

impl<C: Cloud> Domain for Lineages<'_, C> {
    const NAME: &'static str = NAME;
    type Facts = Look;
    type Action = Action;
    type Note = Note;

    fn target<'f>(&self, look: &'f Look) -> &'f Target {
        &look.managed.target
    }

    fn paused<'f>(&self, look: &'f Look) -> &'f Pauses {
        &look.managed.stored.paused
    }

    fn subject(&self, _: &Look) -> Option<String> {
        None
    }

    fn said<'f>(&self, look: &'f Look) -> Option<&'f str> {
        look.said.as_deref()
    }

    /// The next minute goes on: there may be years of them when `keep` is new.
    fn removals(&self) -> usize {
        REMOVED_AT_ONCE
    }

    fn holds(&self, _: &Look) -> bool {
        true
    }

    fn decide(&self, look: &Look, now: Timestamp) -> (Decision<Action>, Note) {
        let mut decided = decide(&look.facts, now);
        hold_back(look, &mut decided, now);
        let note = Note {
            intended: decided.before_call(),
            otherwise: decided.memory,
            notices: decided.notices,
            next: decided.next_look,
        };
        (decided.decision, note)
    }

    async fn apply(&self, look: &Look, decision: &Decision<Action>, note: &Note) -> Result<Applied<Look>, Fault> {
        let mut memory = note.intended.clone();
        // Should this die among the calls, the next minute goes on.
        let (remembered, kept) = tokio::join!(
            self.remember(&memory),
            ACTIVE.keep(self.cloud, &look.managed.target, EACH_MINUTE, self.row)
        );
        remembered?;
        kept?;
        for (i, action) in decision.actions.iter().enumerate() {
            let refused = match self.make(look, action, &note.otherwise, &mut memory).await {
                Ok(refused) => refused,
                Err(fault) => {
                    self.break_off(&decision.actions[i + 1..], memory).await;
                    return Err(fault);
                }
            };
            // Nothing was done yet: the rest is decided anew. Of a later one the next minute hears.
            if let Some(look) = refused.filter(|_| i == 0) {
                return Ok(Applied::Again(look));
            }
        }
        *self.newer.borrow_mut() = stateful::after(look, &decision.actions, &self.gone.take(), &memory);
        *self.after.borrow_mut() = Some(memory);
        Ok(Applied::Done)
    }

    async fn confirm(
        &self,
        look: Look,
        decision: &Decision<Action>,
        note: Note,
        said: String,
    ) -> Result<Confirmed<Look>, Fault> {
        // When that fails nothing is stored, and it is found and told again.
        self.tell(&look, &note.notices).await?;
        // What was called for is in the set since before the calls.
        if decision.actions.is_empty() {
            self.watch(&look.managed.target, note.next).await?;
        }
        let memory = self.after.take().unwrap_or(note.otherwise);
        if let Some(newer) = self.newer.take() {
            self.remember(&memory).await?;
            return Ok(Confirmed::Moved(Look {
                said: Some(said),
                ..newer
            }));
        }
        let memory = to_attribute(WHAT, &memory)?;
        self.lease
            .release(self.cloud, vec![(MEMORY, memory), (SAID, text(said))])
            .await?;
        Ok(Confirmed::Settled)
    }
}

/// What is known after EC2 refused a snapshot; `None` when it made it.
fn without(look: &Look, request: &CreateSnapshot, created: Created, memory: &Memory) -> Option<Look> {
    let mut look = look.clone();
    match created {
        Created::Made => return None,
        Created::Refused(words) => drop(look.refused.insert(request.lineage.key(), words)),
        Created::NoVolume => {
            if let Known::Yes(volumes) = &mut look.facts.identities {
                volumes.retain(|volume| volume.volume_id != request.volume_id);
            }
            if let Known::Yes(tasks) = &mut look.facts.tasks {
                for task in tasks {
                    task.volumes.retain(|volume| volume.volume_id != request.volume_id);
                }
            }
        }
    }
    look.facts.memory = memory.clone();
    Some(look)
}
