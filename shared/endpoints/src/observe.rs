//! From an event to facts: the ledger of the task, who has its addresses, and what the event lacks.

use wharfinger_cloud::Fault;
use wharfinger_cloud::ledger::{self, Entry, News, SAID};
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::ports::{Clock, OperationStatus};
use wharfinger_cloud::table::{
    AttributeValue, Item, Key, Malformed, TableName, as_text, as_texts, attribute, to_attribute,
};
use wharfinger_cloud::telemetry;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::endpoint::{Belief, Facts, Member, Rival, Wanted, wanted};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::{TaskArn, cluster_name};
use wharfinger_core::known::Known;
use wharfinger_core::ledger::{LIVING_SECONDS, Merge, Ordered, TOMBSTONE_SECONDS};
use wharfinger_core::report::{Code, Decision, Outcome, Reason};

use crate::{Cloud, Endpoints, Side, claims, draining, look_up};

/// What may have been registered for the task: stored before any call.
pub const INTENDED: &str = "intended";
/// What was registered and confirmed.
pub const REGISTERED: &str = "registered";

/// The attempts that may be about to register, and have not confirmed it. What one that dies registered may come after
/// everything newer is dealt with, so its next try must look. Until it is confirmed nobody ends a claim: it says whose that
/// would be.
pub const ATTEMPTS: &str = "attempts";

/// The order for which a leaving task's members were removed: what is heard of it later makes no call again.
pub const LEFT: &str = "left";

/// The operations that were begun when the order was settled.
pub const OPERATIONS: &str = "operations";

/// What is known of a task, with what the ledger keeps beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Look<M> {
    /// What the decider looks at.
    pub facts: Facts<M>,
    /// What the ledger knows to have been intended.
    pub intended: Vec<M>,
    /// What was said last.
    pub said: Option<String>,
    /// Whether this attempt is among the [`ATTEMPTS`].
    pub marked: bool,
    /// Whether others are: what they register would be nobody's if they died after that and the claim had ended before.
    pub others_join: bool,
    /// Whose addresses were claimed or looked at by this attempt.
    pub settled_claims: Vec<M>,
    /// Whether the task is in the set of those that wait to be healthy.
    pub waiting: bool,
    /// The version of the instance at which the ledger's mark was made, if there is one.
    pub mark: Option<i64>,
}

/// The key of a task's ledger.
#[must_use]
pub fn task_key<M: Member>(task: &TaskArn, cluster_arn: &str) -> Key {
    Key::new(format!("task#{}/{}", cluster_name(cluster_arn), task.id()), M::DOMAIN)
}

/// The invocation of an attempt: Lambda may try it again.
fn invocation(attempt: &str) -> &str {
    attempt.rsplit_once('/').map_or(attempt, |(invocation, _)| invocation)
}

/// Reports items that cannot be read; they are skipped.
pub fn report<M: Member>(clock: &impl Clock, malformed: &[Malformed]) {
    for item in malformed {
        telemetry::malformed(M::DOMAIN, clock.now(), item);
    }
}

/// Whether a task of a target that has no such entries any more leaves something behind: one read of its ledger, and only
/// when it leaves. While it runs, taking it out is the sweep's.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn may_have_joined<M: Member>(cloud: &impl Cloud, task: &TaskStateChange) -> Result<bool, Fault> {
    let key = task_key::<M>(&task.task_arn, &task.cluster_arn);
    Ok(task.is_leaving() && cloud.get(TableName::State, &key).await?.is_some())
}

/// Merges the event, and claims or looks at the addresses that it tells, in one round. `None` when it is a copy or older,
/// and the world is already what the newest asks for.
///
/// # Errors
/// When the state table cannot be written.
pub async fn merge<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    cause: &Cause,
    managed: Managed,
    task: &TaskStateChange,
) -> Result<Option<Look<S::Member>>, Fault> {
    let told = told::<C, S>(function, &managed, task);
    let held = async {
        if task.is_leaving() {
            // Its claims end once nothing of it is there: until then they tell the sweep what is.
            return claims::held(cloud, &task.task_arn, &told).await;
        }
        Ok((hold(function, cloud, task, &told).await?, Vec::new()))
    };
    let (entry, held) = tokio::join!(news(function, cloud, &managed, task), held);
    let (entry, (mut rivals, mut again)) = (entry?, held?);
    let (attempt, attempts) = (cloud.attempt(), as_texts(&entry.item, ATTEMPTS));
    if entry.facts.is_leaving() && !task.is_leaving() {
        // What was claimed was claimed for a task that is gone by now. It stays: it may tell whose that is what is not
        // removed yet, this task's or that of the task that had the address before. What that one has put back for this one
        // meanwhile goes now.
        (rivals, again) = claims::end(cloud, &task.task_arn, &told, true).await?;
    } else if entry.merge != Merge::Fresh {
        again.clear();
    }
    // This may be the next try of one that registered and died: too late, when the task leaves by now.
    let tried = attempts.iter().any(|other| invocation(other) == invocation(&attempt));
    if entry.merge != Merge::Fresh && entry.settled && !tried && again.is_empty() {
        let (code, message) = match entry.merge {
            Merge::Stale => (
                Code::StaleEvent,
                format!(
                    "version {} is older than {}, which is known and dealt with",
                    task.version, entry.order
                ),
            ),
            _ => (
                Code::DuplicateEvent,
                format!("version {} is known and dealt with", task.version),
            ),
        };
        let decision = Decision::<()>::without_calls(Outcome::Stale, Reason::new(code, message));
        let (target, subject) = (&managed.target, Some(task.task_arn.id()));
        telemetry::undecided(S::Member::DOMAIN, target, subject, cause, decision, cloud.now());
        return Ok(None);
    }
    if tried && entry.facts.is_leaving() {
        again.clone_from(&told);
    }
    let mut look = look(function, &attempt, managed, entry, again);
    look.facts.rivals = rivals;
    look.settled_claims = told;
    look_around(cloud, &mut look).await?;
    Ok(Some(look))
}

/// Which members the event itself tells: those that it is to have, or, of a target that leaves, where it was.
fn told<C: Cloud, S: Side<C>>(function: &Endpoints<S>, managed: &Managed, task: &TaskStateChange) -> Vec<S::Member> {
    let facts = facts(function, managed.clone(), task.clone(), Belief::default());
    if task.is_running() {
        return members(&facts);
    }
    if !task.is_leaving() || !S::Member::SHARED {
        return Vec::new();
    }
    let entries = S::Member::entries(&managed.stored.config);
    entries
        .iter()
        .filter_map(|entry| S::Member::place(&facts, entry).ok())
        .collect()
}

/// Claims the addresses of members for a task that runs; whoever else has one is answered.
pub(crate) async fn hold<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    task: &TaskStateChange,
    told: &[S::Member],
) -> Result<Vec<Rival<S::Member>>, Fault> {
    let (noted, rivals) = tokio::join!(note(function, cloud, told), claims::claim(cloud, task, told));
    noted?;
    rivals
}

/// Takes note of collections, once in a while each.
async fn note<C: Cloud, S: Side<C>>(function: &Endpoints<S>, cloud: &C, members: &[S::Member]) -> Result<(), Fault> {
    for member in members {
        let collection = member.kept_in();
        let (now, last) = (cloud.now(), function.listed.borrow().get(collection).copied());
        if last.is_none_or(|at| now.duration_since(at) >= claims::NOTED_FOR) {
            claims::note::<S::Member>(cloud, collection).await?;
            function.listed.borrow_mut().insert(collection.to_owned(), now);
        }
    }
    Ok(())
}

/// Looks at the addresses that the event did not tell; of a leaving task whose target may be another's by now.
pub(crate) async fn look_around<M: Member>(cloud: &impl Cloud, look: &mut Look<M>) -> Result<(), Fault> {
    let (true, true, Known::Yes(belief)) = (M::SHARED, look.facts.task.is_leaving(), &look.facts.belief) else {
        return Ok(());
    };
    let known = |member: &&M| !look.settled_claims.iter().any(|settled| settled.is_same(member));
    let more: Vec<_> = belief.possible().filter(known).cloned().collect();
    let rivals = claims::rivals(cloud, &look.facts.task.task_arn, &more).await?;
    look.facts.rivals.extend(rivals);
    look.settled_claims.extend(more);
    Ok(())
}

/// Merges a task into its ledger: one conditional write, with the members that it is to have.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn news<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    managed: &Managed,
    task: &TaskStateChange,
) -> Result<Entry<TaskStateChange>, Fault> {
    let leaving = task.is_leaving();
    let (mut beside, mut put_in) = (Vec::new(), Vec::new());
    if !leaving && task.is_running() {
        let facts: Facts<S::Member> = facts(function, managed.clone(), task.clone(), Belief::default());
        let intended = members(&facts);
        // What cannot be told yet is stored before it is registered.
        if !intended.is_empty() {
            beside.push((INTENDED, to_attribute("endpoints", &intended)?));
        }
        put_in.push((ATTEMPTS, cloud.attempt()));
    }
    let news = News {
        key: task_key::<S::Member>(&task.task_arn, &task.cluster_arn),
        order: task.order(),
        facts: task,
        beside,
        put_in,
        keep_seconds: if leaving { TOMBSTONE_SECONDS } else { LIVING_SECONDS },
    };
    ledger::merge(cloud, news, cloud.now()).await
}

/// The facts as the decider takes them.
#[must_use]
pub fn facts<S, M: Member>(
    function: &Endpoints<S>,
    managed: Managed,
    task: TaskStateChange,
    belief: Belief<M>,
) -> Facts<M> {
    let hosts = function.hosts.borrow();
    let host = task.container_instance_arn.as_ref().and_then(|arn| hosts.get(arn));
    Facts {
        host: host.map_or(Known::No, |host| Known::Yes(Some(host.clone()))),
        belief: Known::Yes(belief),
        ..Facts::of(managed, task, &function.owner)
    }
}

pub(crate) fn members<M: Member>(facts: &Facts<M>) -> Vec<M> {
    let member = |w| match w {
        Wanted::Member(member) => Some(member),
        Wanted::Needs(..) | Wanted::Nothing(_) => None,
    };
    wanted(facts).into_iter().filter_map(member).collect()
}

/// The facts of a ledger entry. `made` is what this invocation has registered without a confirmation.
#[must_use]
pub fn look<S, M: Member>(
    function: &Endpoints<S>,
    attempt: &str,
    managed: Managed,
    entry: Entry<TaskStateChange>,
    made: Vec<M>,
) -> Look<M> {
    let registered = stored(&entry.item, REGISTERED);
    let intended: Vec<M> = stored(&entry.item, INTENDED);
    let said = as_text(&entry.item, SAID).map(str::to_owned);
    let waiting = entry.item.get(crate::waiting::WAITING) == Some(&AttributeValue::Bool(true));
    let mut task = entry.facts;
    // Health changes without a version: what was stored of it says nothing of now (containers-roadmap #1019).
    task.health_status = None;
    // While someone may still be about to register, what was intended may come after it was removed.
    let attempts = as_texts(&entry.item, ATTEMPTS);
    let (marked, others_join) = (
        attempts.iter().any(|other| other == attempt),
        attempts.iter().any(|other| other != attempt),
    );
    let left = task.is_leaving() && entry.item.contains_key(LEFT) && attempts.is_empty();
    let intended_still = intended.iter().filter(|_| !left).cloned();
    let uncertain = made.into_iter().chain(intended_still).collect();
    let belief = Belief { registered, uncertain };
    let mark = draining::mark_of(&entry.item);
    Look {
        facts: Facts {
            left,
            drain: mark.unwrap_or_default(),
            ..facts(function, managed, task, belief)
        },
        intended,
        said,
        marked,
        others_join,
        settled_claims: Vec::new(),
        waiting,
        mark: mark.map(|mark| mark.version),
    }
}

/// Members of a ledger item; what cannot be read is reported, and the sweep finds what it stood for.
fn stored<M: Member>(item: &Item, name: &str) -> Vec<M> {
    attribute(item, name)
        .unwrap_or_else(|malformed| {
            tracing::error!(
                key = malformed.key,
                reason = malformed.reason,
                "malformed ledger item is skipped"
            );
            None
        })
        .unwrap_or_default()
}

/// Merges a task that was looked up, and claims or looks at its addresses. When the ledger knows something newer, then that
/// is what is known. What the facts believe to be registered is certain; otherwise it is what the ledger believes.
///
/// # Errors
/// When AWS or the state table does not answer.
pub async fn seen<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    facts: Facts<S::Member>,
) -> Result<Look<S::Member>, Fault> {
    let entry = news(function, cloud, &facts.managed, &facts.task).await?;
    let stale = entry.merge == Merge::Stale;
    tell_failures(function, cloud, &entry.item).await?;
    let mut look = look(function, &cloud.attempt(), facts.managed.clone(), entry, Vec::new());
    let belief = match (&facts.belief, look.facts.belief) {
        // What is listed is certain; what the ledger intended besides may still come.
        (Known::Yes(seen), Known::Yes(believed)) => Known::Yes(Belief {
            registered: seen.registered.clone(),
            uncertain: believed.uncertain,
        }),
        (_, believed) => believed,
    };
    let (left, newest) = (
        look.facts.left,
        if stale {
            look.facts.task.clone()
        } else {
            facts.task.clone()
        },
    );
    let told = look.facts.drain;
    let drain = if facts.drain.seen && facts.drain.version >= told.version {
        facts.drain
    } else {
        told
    };
    look.facts = Facts {
        task: newest,
        belief,
        left,
        drain,
        looked_up: facts.looked_up && !stale,
        ..facts
    };
    if look.facts.task.is_running() {
        let members = members(&look.facts);
        look.facts.rivals = hold(function, cloud, &look.facts.task, &members).await?;
        look.settled_claims = members;
    }
    look_around(cloud, &mut look).await?;
    look_up::look_up(function, cloud, look).await
}

/// Tells why what was registered is not there. Nobody waits for an operation to end; a sweep sees what it did not do.
async fn tell_failures<C: Cloud, S: Side<C>>(function: &Endpoints<S>, cloud: &C, item: &Item) -> Result<(), Fault> {
    let operations: Vec<String> = attribute(item, OPERATIONS).ok().flatten().unwrap_or_default();
    for id in operations {
        if let OperationStatus::Failed(reason) = function.side.operation(cloud, &id).await? {
            tracing::warn!(
                operation = id,
                reason,
                "an operation failed: what it did not do is done again"
            );
        }
    }
    Ok(())
}
