//! The call to ECS, with its intent before it and its confirmation after it.

use jiff::Timestamp;
use wharfinger_cloud::Fault;
use wharfinger_cloud::active::Row;
use wharfinger_cloud::lease::Lease;
use wharfinger_cloud::pipeline::{Applied, Confirmed, Domain};
use wharfinger_cloud::ports::ServiceChange;
use wharfinger_cloud::table::{text, to_attribute};
use wharfinger_core::config::stored::Pauses;
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::report::Decision;
use wharfinger_core::scaling::{Action, Facts, Memory, Watch, decide, settle, watch};

use crate::observe::{Look, MEMORY, SAID, moved};
use crate::{ACTIVE, Cloud, NAME, due};

/// The domain, as the pipeline takes it: one service under its lease.
pub struct Counts<'a, C> {
    /// The world.
    pub cloud: &'a C,
    /// The lease.
    pub lease: &'a Lease,
    /// What the active set is known to have of the service.
    pub row: Option<Row>,
}

/// What a decision is to leave behind.
pub struct Note {
    /// Stored before the call.
    intended: Memory,
    /// Stored when there is no call.
    otherwise: Memory,
    /// When it is to be looked at next.
    next: Watch,
}

const WHAT: &str = "the memory of scaling";

impl<C: Cloud> Domain for Counts<'_, C> {
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

    fn holds(&self, _: &Self::Facts) -> bool {
        true
    }

    fn decide(&self, look: &Look, now: Timestamp) -> (Decision<Action>, Note) {
        let decided = decide(&look.facts, now);
        let note = Note {
            intended: decided.before_call(),
            next: watch(&look.facts, &decided, now),
            otherwise: decided.memory,
        };
        (decided.decision, note)
    }

    async fn apply(&self, look: &Look, decision: &Decision<Action>, note: &Note) -> Result<Applied<Look>, Fault> {
        for Action::UpdateService { desired_count, .. } in &decision.actions {
            // Should this die after the call, the next minute finishes it.
            let (remembered, kept) = tokio::join!(self.remember(&note.intended), self.watch(look, Watch::EachMinute));
            remembered?;
            kept?;
            self.cloud
                .update_service(&look.managed.target, &ServiceChange::DesiredCount(*desired_count))
                .await?;
        }
        Ok(Applied::Done)
    }

    async fn confirm(
        &self,
        look: Look,
        decision: &Decision<Action>,
        note: Note,
        said: String,
    ) -> Result<Confirmed<Look>, Fault> {
        let memory = if decision.actions.is_empty() {
            note.otherwise
        } else {
            settle(note.intended)
        };
        // What was called for is in the set since before the call.
        let kept = async {
            if decision.actions.is_empty() {
                self.watch(&look, note.next).await
            } else {
                Ok(())
            }
        };
        let (newer, kept) = tokio::join!(moved(self.cloud, &look), kept);
        kept?;
        let newer = newer?;
        if newer.is_empty() {
            let memory = to_attribute(WHAT, &memory)?;
            self.lease
                .release(self.cloud, vec![(MEMORY, memory), (SAID, text(said))])
                .await?;
            return Ok(Confirmed::Settled);
        }
        self.remember(&memory).await?;
        let mut facts = Facts { memory, ..look.facts };
        facts.alarms.extend(newer);
        // Our own call is surer than another DescribeServices, which may lag behind it.
        if let (Known::Yes(Some(service)), Some(Action::UpdateService { desired_count, .. })) =
            (&mut facts.service, decision.actions.last())
        {
            service.desired_count = *desired_count;
        }
        Ok(Confirmed::Moved(Look {
            facts,
            said: Some(said),
            ..look
        }))
    }
}

impl<C: Cloud> Counts<'_, C> {
    async fn watch(&self, look: &Look, next: Watch) -> Result<(), Fault> {
        match due(next) {
            Some(next) => Ok(ACTIVE.keep(self.cloud, &look.managed.target, next, self.row).await?),
            None => Ok(()),
        }
    }

    async fn remember(&self, memory: &Memory) -> Result<(), Fault> {
        self.lease.store(self.cloud, MEMORY, to_attribute(WHAT, memory)?).await
    }
}
