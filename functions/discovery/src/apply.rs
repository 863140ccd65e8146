//! The calls to Cloud Map, and their confirmation.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::{CloudError, Kind};
use wharfinger_cloud::ledger::{self, SAID};
use wharfinger_cloud::pipeline::{Applied, Confirmed, Domain};
use wharfinger_cloud::ports::{OperationStatus, Submitted};
use wharfinger_cloud::table::{AttributeValue, Condition, TableName, Update, Updated, number, text, to_attribute};
use wharfinger_core::config::stored::Managed;
use wharfinger_core::discovery::{Action, Belief, Endpoint, decide};
use wharfinger_core::known::Known;
use wharfinger_core::ledger::{Merge, Ordered};
use wharfinger_core::report::{Decision, Outcome};

use crate::observe::{INTENDED, JOINING, Look, REGISTERED, look, look_up, task_key};
use crate::{Cloud, Discovery, NAME};

/// The domain, as the pipeline takes it.
pub struct Endpoints<'a, C> {
    /// The function.
    pub function: &'a Discovery,
    /// The world.
    pub cloud: &'a C,
}

impl<C: Cloud> Domain for Endpoints<'_, C> {
    const NAME: &'static str = NAME;
    type Facts = Look;
    type Action = Action;
    type Note = ();

    fn managed<'f>(&self, look: &'f Look) -> &'f Managed {
        &look.facts.managed
    }

    fn subject(&self, look: &Look) -> Option<String> {
        Some(look.facts.task.task_arn.id().to_owned())
    }

    fn said<'f>(&self, look: &'f Look) -> Option<&'f str> {
        look.said.as_deref()
    }

    fn removals(&self) -> usize {
        self.function.removals.get()
    }

    fn decide(&self, look: &Look, _: Timestamp) -> (Decision<Action>, ()) {
        (decide(&look.facts), ())
    }

    async fn apply(&self, look: &Look, decision: &Decision<Action>, (): &()) -> Result<Applied<Look>, Fault> {
        if let Some(newer) = self.intend(look, decision).await? {
            return Ok(Applied::Again(newer));
        }
        let mut busy = Vec::new();
        for submitted in join_all(decision.actions.iter().map(|action| self.call(action))).await {
            if let Submitted::Busy(operation) = submitted? {
                busy.push(operation);
            }
        }
        if busy.is_empty() {
            return Ok(Applied::Done);
        }
        for operation in busy {
            self.wait(operation).await?;
        }
        self.again(look, decision).await.map(Applied::Again)
    }

    async fn confirm(
        &self,
        before: Look,
        decision: &Decision<Action>,
        (): (),
        said: String,
    ) -> Result<Confirmed<Look>, Fault> {
        let task = &before.facts.task;
        let key = task_key(&task.task_arn, &task.cluster_arn);
        let removed = decision
            .actions
            .iter()
            .filter(|a| matches!(a, Action::Deregister(_)))
            .count();
        self.function
            .removals
            .set(self.function.removals.get().saturating_sub(removed));
        let registered = to_attribute("endpoints", &after(&before, decision))?;
        let mut beside = vec![(REGISTERED, registered), (SAID, text(said))];
        if before.joining {
            beside.push((JOINING, AttributeValue::Null(true)));
        }
        let done = decision.outcome != Outcome::Wait;
        match ledger::settle(self.cloud, &key, task.order(), done, beside).await? {
            None => Ok(Confirmed::Settled),
            Some(entry) => {
                let newer = Look {
                    joining: before.joining,
                    ..look(self.function, before.facts.managed.clone(), entry, made(decision))
                };
                Ok(Confirmed::Moved(look_up(self.function, self.cloud, newer).await?))
            }
        }
    }
}

impl<C: Cloud> Endpoints<'_, C> {
    /// Stores what is about to be registered and was not known when the event was merged.
    async fn intend(&self, look: &Look, decision: &Decision<Action>) -> Result<Option<Look>, Fault> {
        let new: Vec<_> = made(decision)
            .into_iter()
            .filter(|e| !look.intended.contains(e))
            .collect();
        if new.is_empty() {
            return Ok(None);
        }
        let task = &look.facts.task;
        let all: Vec<_> = look.intended.iter().cloned().chain(new).collect();
        let update = Update::of(task_key(&task.task_arn, &task.cluster_arn))
            .set(INTENDED, to_attribute("endpoints", &all)?)
            .only_if(Condition::Equal(ledger::ORDER, number(task.order())));
        match self.cloud.update(TableName::State, update).await? {
            Updated::Made(_) => Ok(None),
            Updated::Refused(_) => self.again(look, decision).await.map(Some),
        }
    }

    async fn call(&self, action: &Action) -> Result<Submitted, CloudError> {
        match action {
            Action::Register(endpoint) => self.cloud.register(endpoint).await,
            Action::Deregister(request) => self.cloud.deregister(request).await,
        }
    }

    /// Waits for an operation that is in the way, as long as the invocation allows.
    async fn wait(&self, operation: Option<String>) -> Result<(), Fault> {
        let mut pause = Duration::from_millis(250);
        loop {
            if self.cloud.remaining() < pause * 4 {
                let message = "another operation on the instance still runs; the next attempt goes on";
                return Err(CloudError::new("GetOperation", Kind::TimedOut, message).into());
            }
            self.cloud.sleep(pause).await;
            let Some(id) = &operation else { return Ok(()) };
            match self.cloud.operation(id).await? {
                OperationStatus::Running => pause = (pause * 2).min(Duration::from_secs(2)),
                OperationStatus::Done => return Ok(()),
                OperationStatus::Failed(reason) => {
                    tracing::warn!(operation = id, reason, "the operation that was waited for failed");
                    return Ok(());
                }
            }
        }
    }

    /// The newest facts, with what this round has or may have registered.
    async fn again(&self, before: &Look, decision: &Decision<Action>) -> Result<Look, Fault> {
        let task = &before.facts.task;
        let key = task_key(&task.task_arn, &task.cluster_arn);
        let item = self.cloud.get(TableName::State, &key).await?.unwrap_or_default();
        let managed = before.facts.managed.clone();
        match ledger::Entry::read(item, Merge::Fresh) {
            Ok(entry) => {
                let mut newer = look(self.function, managed, entry, made(decision));
                newer.joining = before.joining;
                // What was in the way may have undone what we believe: nothing is certain now.
                if let Known::Yes(belief) = &mut newer.facts.belief {
                    belief.uncertain.append(&mut belief.registered);
                }
                look_up(self.function, self.cloud, newer).await
            }
            Err(malformed) => Err(Fault::Unstorable {
                what: malformed.key,
                reason: malformed.reason,
            }),
        }
    }
}

fn made(decision: &Decision<Action>) -> Vec<Endpoint> {
    let register = |action: &Action| match action {
        Action::Register(endpoint) => Some(endpoint.clone()),
        Action::Deregister(_) => None,
    };
    decision.actions.iter().filter_map(register).collect()
}

/// What is registered once the calls were made.
fn after(look: &Look, decision: &Decision<Action>) -> Vec<Endpoint> {
    let empty = Belief::default();
    let belief = match &look.facts.belief {
        Known::Yes(belief) => belief,
        Known::No => &empty,
    };
    let touched = |e: &Endpoint| {
        decision.actions.iter().any(|action| match action {
            Action::Register(new) => new.is_same_instance(e),
            Action::Deregister(gone) => gone.service_id == e.service_id && gone.instance_id == e.instance_id,
        })
    };
    let mut registered: Vec<_> = belief.registered.iter().filter(|e| !touched(e)).cloned().collect();
    registered.extend(made(decision));
    registered
}
