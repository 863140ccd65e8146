//! The calls of a rollout, with the intent stored before each.

use std::cell::RefCell;

use jiff::Timestamp;
use serde_json::Value;
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::{CloudError, Kind};
use wharfinger_cloud::lease::Lease;
use wharfinger_cloud::pipeline::{Applied, Confirmed, Domain};
use wharfinger_cloud::ports::ServiceChange;
use wharfinger_cloud::table::{text, to_attribute};
use wharfinger_core::config::stored::Managed;
use wharfinger_core::delivery::{Action, Difference, Facts, Intent, Memory, TaskDefinition, Wish, decide, differences};
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Outcome};

use crate::observe::Look;
use crate::wishes::{MEMORY, SAID, Stored};
use crate::{Cloud, NAME};

/// The domain, as the pipeline takes it: one target under its lease.
pub struct Rollouts<'a, C> {
    /// The world.
    pub cloud: &'a C,
    /// The lease.
    pub lease: &'a Lease,
}

/// What a decision is to leave behind.
pub struct Note {
    /// The memory with the intent, as it goes from call to call.
    intended: RefCell<Memory>,
    /// The memory when there is no call.
    otherwise: Memory,
}

impl<C: Cloud> Domain for Rollouts<'_, C> {
    const NAME: &'static str = NAME;
    type Facts = Look;
    type Action = Action;
    type Note = Note;

    fn managed<'f>(&self, look: &'f Look) -> &'f Managed {
        &look.managed
    }

    fn subject(&self, look: &Look) -> Option<String> {
        let images: Vec<_> = look.facts.wishes.values().map(Wish::name).collect();
        (!images.is_empty()).then(|| images.join(", "))
    }

    fn said<'f>(&self, look: &'f Look) -> Option<&'f str> {
        look.stored.said.as_deref()
    }

    fn holds(&self, _: &Self::Facts) -> bool {
        true
    }

    fn decide(&self, look: &Look, now: Timestamp) -> (Decision<Action>, Note) {
        let decided = decide(&look.facts, now);
        let note = Note {
            intended: RefCell::new(decided.before_call()),
            otherwise: decided.memory,
        };
        (decided.decision, note)
    }

    async fn apply(&self, look: &Look, decision: &Decision<Action>, note: &Note) -> Result<Applied<Look>, Fault> {
        let mut memory = note.intended.borrow().clone();
        self.remember(&memory).await?;
        for action in &decision.actions {
            match action {
                Action::RegisterTaskDefinition { request } => {
                    let different = self.register(look, request, &mut memory).await?;
                    if !different.is_empty() {
                        memory.refuse(&different);
                        self.remember(&memory).await?;
                        let facts = Facts {
                            memory,
                            ..look.facts.clone()
                        };
                        return Ok(Applied::Again(Look { facts, ..look.clone() }));
                    }
                    self.remember(&memory).await?;
                }
                Action::UpdateService { task_definition, .. } => {
                    let arn = revision(task_definition, &memory)?;
                    self.cloud
                        .update_service(&look.managed.target, &ServiceChange::TaskDefinition(arn))
                        .await?;
                }
            }
        }
        memory.settle(self.cloud.now());
        note.intended.replace(memory);
        Ok(Applied::Done)
    }

    async fn confirm(
        &self,
        look: Look,
        decision: &Decision<Action>,
        note: Note,
        said: String,
    ) -> Result<Confirmed<Look>, Fault> {
        let acted = !decision.actions.is_empty();
        let memory = if acted {
            note.intended.into_inner()
        } else {
            note.otherwise
        };
        let newer = Stored::read(self.cloud, &look.managed.target).await?;
        if !acted && newer.wishes != look.stored.wishes {
            self.remember(&memory).await?;
            let facts = Facts {
                wishes: newer.wishes.clone(),
                memory,
                ..look.facts
            };
            return Ok(Confirmed::Moved(Look {
                facts,
                stored: newer.after(said),
                ..look
            }));
        }
        // After a call a newer wish waits for the deployment that has just begun: DescribeServices may not show it yet.
        if is_done(decision) {
            look.stored.settle(self.cloud, &look.managed.target).await?;
        }
        let memory = to_attribute(WHAT, &memory)?;
        self.lease
            .release(self.cloud, vec![(MEMORY, memory), (SAID, text(said))])
            .await?;
        Ok(Confirmed::Settled)
    }
}

const WHAT: &str = "the memory of delivery";

impl<C: Cloud> Rollouts<'_, C> {
    async fn remember(&self, memory: &Memory) -> Result<(), Fault> {
        self.lease.store(self.cloud, MEMORY, to_attribute(WHAT, memory)?).await
    }

    /// Registers the revision, and looks at it again: what differs besides the images and the side container is answered.
    async fn register(&self, look: &Look, request: &Value, memory: &mut Memory) -> Result<Vec<Difference>, Fault> {
        let arn = self.cloud.register_task_definition(request).await?;
        memory.registered(&arn);
        let unreadable = |what: String| CloudError::new("DescribeTaskDefinition", Kind::Unreadable, what);
        let new = self
            .cloud
            .describe_task_definition(&arn)
            .await?
            .ok_or_else(|| unreadable(format!("{arn} was registered and is not there")))?;
        let images = memory.intent.as_ref().map(Intent::images).unwrap_or_default();
        let side = memory.intent.as_ref().map(|i| i.side.clone()).unwrap_or_default();
        let Known::Yes(Some(base)) = &look.facts.definition else {
            return Err(unreadable(format!("{}: no revision to compare with", look.managed.target)).into());
        };
        Ok(differences(base, &new, &images, &side).map_err(|e| unreadable(e.to_string()))?)
    }
}

/// Whether the wishes are dealt with. What is not there yet may come, and is looked at again by the sweep; so is what waits
/// while calls were made for something else: another rule, or the side container.
fn is_done(decision: &Decision<Action>) -> bool {
    let open = |code| {
        matches!(
            code,
            Code::ServiceNotFound | Code::TaskDefinitionNotFound | Code::NoMatchingContainer | Code::GateClosed
        )
    };
    decision.outcome != Outcome::Wait && !decision.reasons.iter().any(|r| open(r.code))
}

fn revision(task_definition: &TaskDefinition, memory: &Memory) -> Result<String, Fault> {
    match task_definition {
        TaskDefinition::Arn(arn) => Ok(arn.clone()),
        TaskDefinition::Registered { base } => {
            let registered = memory.intent.as_ref().and_then(|i| i.registered.clone());
            registered.ok_or_else(|| Fault::Unstorable {
                what: format!("the successor of {base}"),
                reason: "the plan sends a service to a revision that it did not register".into(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_cloud::table::{Item, attribute};
    use wharfinger_core::delivery::{Side, SideContainer};

    use super::*;

    #[test]
    fn a_rollout_of_the_side_container_is_read_back_as_it_was_stored() {
        let side = SideContainer {
            image: Some("tools/busybox:1".into()),
            linger: 15,
            depends_on: vec!["web".into()],
            reserves: true,
        };
        for side in [Side::Put(side), Side::Remove, Side::Keep] {
            let intent = Intent {
                digests: [].into(),
                changes: vec![],
                side,
                asked: Some(Timestamp::UNIX_EPOCH),
                base: "web:7".into(),
                at: Timestamp::UNIX_EPOCH,
                registered: None,
            };
            let memory = Memory {
                intent: Some(intent),
                ..Memory::default()
            };
            let stored = to_attribute(WHAT, &memory).unwrap();
            let mut item = Item::default();
            item.insert(MEMORY.to_owned(), stored);
            assert_eq!(attribute(&item, MEMORY).unwrap(), Some(memory));
        }
    }
}
