//! The calls of a rollout, with the intent stored before each.

use std::cell::RefCell;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_cloud::Fault;
use wharfinger_cloud::active::EACH_MINUTE;
use wharfinger_cloud::error::{CloudError, Kind};
use wharfinger_cloud::lease::Lease;
use wharfinger_cloud::pace::{self, Paced, Taken};
use wharfinger_cloud::pipeline::{Applied, Confirmed, Domain};
use wharfinger_cloud::ports::{Moved, ServiceChange, Stopping};
use wharfinger_cloud::table::{text, to_attribute};
use wharfinger_core::config::stored::Pauses;
use wharfinger_core::delivery::{
    Action, Difference, Facts, Follower, Intent, Memory, Notice, Published, TaskDefinition, Wish, decide, differences,
};
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Outcome};

use crate::observe::{self, Look};
use crate::wishes::{MEMORY, SAID, Stored};
use crate::{ACTIVE, Attempt, Cloud, Delivery, NAME, neighbours, registry, tell, volumes};

/// For how long a call waits for its turn: the lease is held meanwhile.
const PATIENCE: Duration = Duration::from_secs(15);

/// How much of an invocation is not waited away: there may be hundreds of other targets to look at.
const RESERVED: Duration = Duration::from_secs(15);

/// For how long nothing is called after ECS has said that its rate is used up.
const THROTTLED: SignedDuration = SignedDuration::from_secs(10);

/// The domain, as the pipeline takes it: one target under its lease.
pub struct Rollouts<'a, C> {
    /// The function.
    pub function: &'a Delivery,
    /// The world.
    pub cloud: &'a C,
    /// Who asks.
    pub attempt: &'a Attempt,
    /// The lease.
    pub lease: &'a Lease,
}

/// What a decision is to leave behind.
pub struct Note {
    /// The memory with the intent, as it goes from call to call.
    intended: RefCell<Memory>,
    /// The memory when there is no call.
    otherwise: Memory,
    /// What is to be told.
    notices: RefCell<Vec<Notice>>,
    /// What is to be published.
    published: RefCell<Published>,
}

impl<C: Cloud> Domain for Rollouts<'_, C> {
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
            notices: RefCell::new(decided.notices),
            published: RefCell::new(decided.published),
        };
        (decided.decision, note)
    }

    async fn apply(&self, look: &Look, decision: &Decision<Action>, note: &Note) -> Result<Applied<Look>, Fault> {
        let mut memory = note.intended.borrow().clone();
        if matches!(decision.actions.first(), Some(Action::UpdateService { .. })) {
            memory.sends(self.cloud.now());
        }
        // What the look found is not found again once it is stored.
        self.tell(look, note).await?;
        self.remember(&memory).await?;
        for action in &decision.actions {
            match self.call(look, action, &mut memory).await? {
                Called::Done => {}
                Called::Later(at) => return Ok(again(look, memory, |facts| facts.paced = Some(at))),
                Called::Decide => return Ok(again(look, memory, |_| {})),
                Called::Found(newest) => {
                    return Ok(again(look, memory, |facts| facts.latest = Known::Yes(Some(newest))));
                }
                Called::Unmovable(follower) => {
                    return Ok(again(look, memory, |facts| {
                        facts.unmovable.insert(follower);
                    }));
                }
            }
        }
        let begun = memory.settle(&look.managed.target, self.cloud.now());
        note.notices.borrow_mut().extend(begun);
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
        self.tell(&look, &note).await?;
        let memory = if acted {
            note.intended.into_inner()
        } else {
            note.otherwise
        };
        if acted && memory.following.is_some() {
            // The family has a new revision: its schedules are next, and are looked at until each is where it should be.
            self.remember(&memory).await?;
            let newer = observe::look(self.function, self.cloud, self.attempt, look.managed).await?;
            let unmovable = look.facts.unmovable;
            let facts = Facts {
                unmovable,
                ..newer.facts
            };
            let stored = newer.stored.after(said);
            return Ok(Confirmed::Moved(Look { facts, stored, ..newer }));
        }
        let newer = Stored::read(self.cloud, &look.managed.target).await?;
        if !acted && newer.wishes != look.stored.wishes {
            self.remember(&memory).await?;
            let mut facts = Facts {
                wishes: newer.wishes.clone(),
                memory,
                ..look.facts
            };
            registry::look(self.cloud, &mut facts).await?;
            volumes::look(self.cloud, self.attempt, &mut facts).await?;
            return Ok(Confirmed::Moved(Look {
                facts,
                stored: newer.after(said),
                ..look
            }));
        }
        // After a call a newer wish waits for the deployment that has just begun: DescribeServices may not show it yet.
        if is_done(decision) && !look.facts.has_moved_tag() {
            look.stored.settle(self.cloud, &look.managed.target).await?;
        }
        self.call_up(&look, &memory).await?;
        let memory = to_attribute(WHAT, &memory)?;
        self.lease
            .release(self.cloud, vec![(MEMORY, memory), (SAID, text(said))])
            .await?;
        Ok(Confirmed::Settled)
    }
}

const WHAT: &str = "the memory of delivery";

/// What became of a call.
enum Called {
    /// It was made.
    Done,
    /// It has its turn at this time.
    Later(Timestamp),
    /// It changed what is to be decided on.
    Decide,
    /// Someone has registered this since: it is told before a revision of ours is the newest.
    Found(Value),
    /// Nobody but an AWS service may move this.
    Unmovable(Follower),
}

/// The same target, with this remembered and found.
fn again(look: &Look, memory: Memory, found: impl FnOnce(&mut Facts)) -> Applied<Look> {
    let mut look = look.clone();
    look.facts.memory = memory;
    found(&mut look.facts);
    Applied::Again(look)
}

impl<C: Cloud> Rollouts<'_, C> {
    /// Tells what is not told yet.
    async fn tell(&self, look: &Look, note: &Note) -> Result<(), Fault> {
        let (notices, published) = (note.notices.take(), note.published.take());
        tell::tell(self.cloud, look, notices, &published).await
    }

    async fn remember(&self, memory: &Memory) -> Result<(), Fault> {
        self.lease.store(self.cloud, MEMORY, to_attribute(WHAT, memory)?).await
    }

    async fn call(&self, look: &Look, action: &Action, memory: &mut Memory) -> Result<Called, Fault> {
        match action {
            Action::RegisterTaskDefinition { request } => self.register(look, request, memory).await,
            Action::UpdateService {
                task_definition,
                volumes,
                ..
            } => {
                let revision = revision(task_definition, memory)?;
                let change = match volumes {
                    None => ServiceChange::TaskDefinition(revision),
                    Some(configurations) => ServiceChange::Volumes {
                        task_definition: Some(revision),
                        configurations: configurations.clone(),
                    },
                };
                let update = self.cloud.update_service(&look.managed.target, &change);
                match self.paced(Paced::UpdateService, update).await {
                    Ok(Ok(())) => Ok(Called::Done),
                    Ok(Err(later)) => {
                        memory.sent_nothing();
                        Ok(later)
                    }
                    Err(fault) if was_refused(&fault) => {
                        memory.sent_nothing();
                        self.remember(memory).await?;
                        Err(fault)
                    }
                    Err(fault) => Err(fault),
                }
            }
            Action::StopServiceDeployment { arn } => {
                match self.cloud.stop_service_deployment(arn).await? {
                    Stopping::Asked => return Ok(Called::Done),
                    Stopping::Refused(why) => {
                        tracing::warn!(target = %look.managed.target, arn, why, "the deployment cannot be stopped");
                    }
                }
                memory.refuse_to_stop();
                self.remember(memory).await?;
                Ok(Called::Decide)
            }
            Action::Move(to) => Ok(match self.cloud.move_follower(to).await? {
                Moved::Done => Called::Done,
                Moved::Managed(why) => {
                    tracing::warn!(target = %look.managed.target, follower = %to.follower, why, "it cannot be moved");
                    Called::Unmovable(to.follower.clone())
                }
            }),
        }
    }

    /// Makes a call when it is its turn; when that is too long from now, or ECS says that its rate is used up, says when.
    async fn paced<T>(
        &self,
        paced: Paced,
        call: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<Result<T, Called>, Fault> {
        let patience = PATIENCE.min(self.cloud.remaining().saturating_sub(RESERVED));
        if let Taken::After(at) = pace::take(self.cloud, paced, patience).await? {
            return Ok(Err(Called::Later(at)));
        }
        match call.await {
            Ok(done) => Ok(Ok(done)),
            Err(error) if error.kind == Kind::Throttled => {
                tracing::warn!(%error, "others have used the rate up");
                let at = self.cloud.now().saturating_add(THROTTLED).unwrap_or(Timestamp::MAX);
                Ok(Err(Called::Later(at)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Registers the revision, and looks at it again: it is given up when more differs than the images, the side
    /// container and the access points.
    async fn register(&self, look: &Look, request: &Value, memory: &mut Memory) -> Result<Called, Fault> {
        let register = async {
            match self.found(look).await? {
                Some(newest) => Ok(Err(newest)),
                None => self.cloud.register_task_definition(request).await.map(Ok),
            }
        };
        let arn = match self.paced(Paced::RegisterTaskDefinition, register).await? {
            Ok(Ok(arn)) => arn,
            Ok(Err(newest)) => return Ok(Called::Found(newest)),
            Err(later) => return Ok(later),
        };
        memory.registered(&arn);
        let different = self.differences(look, &arn, memory).await?;
        if different.is_empty() {
            memory.sends(self.cloud.now());
        } else {
            memory.refuse(&different);
        }
        self.remember(memory).await?;
        Ok(if different.is_empty() {
            Called::Done
        } else {
            Called::Decide
        })
    }

    /// The family's newest revision, when someone else registered it and that is not told yet. It is asked for now that there
    /// is room, and not by each of the hundreds of services that wait for room after a push.
    async fn found(&self, look: &Look) -> Result<Option<Value>, CloudError> {
        let Some(family) = look.facts.family_name().filter(|_| look.facts.latest == Known::No) else {
            return Ok(None);
        };
        let newest = self.cloud.describe_task_definition(family).await?;
        Ok(newest.filter(|newest| look.facts.is_news(newest)))
    }

    async fn differences(&self, look: &Look, arn: &str, memory: &Memory) -> Result<Vec<Difference>, Fault> {
        let unreadable = |what: String| CloudError::new("DescribeTaskDefinition", Kind::Unreadable, what);
        let new = self
            .cloud
            .describe_task_definition(arn)
            .await?
            .ok_or_else(|| unreadable(format!("{arn} was registered and is not there")))?;
        let images = memory.intent.as_ref().map(Intent::images).unwrap_or_default();
        let side = memory.intent.as_ref().map(|i| i.side.clone()).unwrap_or_default();
        let mounts = memory.intent.as_ref().map(|i| i.mounts.clone()).unwrap_or_default();
        let source = memory.intent.as_ref().and_then(|i| look.facts.source_of(i));
        let base = source.ok_or_else(|| unreadable(format!("{}: no revision to compare with", look.managed.target)))?;
        Ok(differences(base, &new, &images, &side, &mounts).map_err(|e| unreadable(e.to_string()))?)
    }

    /// Sees to it that the pass of a minute looks at this target while something is to be expected of it, and at those that
    /// wait for what it has proved.
    async fn call_up(&self, look: &Look, memory: &Memory) -> Result<(), Fault> {
        let target = &look.managed.target;
        if let Some(next) = memory.next_look() {
            ACTIVE.keep(self.cloud, target, next, None).await?;
        }
        if memory.proved != look.stored.memory.proved {
            for other in neighbours::dependants(self.function, self.cloud, &look.managed).await? {
                ACTIVE.keep(self.cloud, &other, EACH_MINUTE, None).await?;
            }
        }
        Ok(())
    }
}

/// Whether the wishes are dealt with. What is not there yet may come, and is looked at again by the sweep. A call deals with
/// what it was made for, and that is seen by the next look: another rule, or the next image, may wait beside it. And the
/// policy that does not want a wish may be the one of 30 seconds ago.
fn is_done(decision: &Decision<Action>) -> bool {
    let open = |code| {
        matches!(
            code,
            Code::ServiceNotFound | Code::TaskDefinitionNotFound | Code::NoMatchingContainer | Code::TagNotWanted
        )
    };
    !matches!(decision.outcome, Outcome::Wait | Outcome::Act) && !decision.reasons.iter().any(|r| open(r.code))
}

/// Whether AWS refused a call, so that it has no effect; whether one had whose answer is lost is not known.
fn was_refused(fault: &Fault) -> bool {
    let refused = |error: &CloudError| matches!(error.kind, Kind::Denied | Kind::Invalid | Kind::NotFound);
    matches!(fault, Fault::Cloud(error) if refused(error))
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
    use wharfinger_core::delivery::{Mount, Side, SideContainer};

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
            let mount = Mount {
                file_system: "fs-01234567".into(),
                access_point: "fsap-01234567".into(),
            };
            let intent = Intent {
                wishes: [].into(),
                changes: vec![],
                side,
                mounts: [("data".to_owned(), mount)].into_iter().collect(),
                asked: Some(Timestamp::UNIX_EPOCH),
                back: None,
                base: "web:7".into(),
                made_of: Some("web:8".into()),
                keeps: vec![],
                at: Timestamp::UNIX_EPOCH,
                registered: None,
                sent: None,
                restored: Vec::new(),
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
