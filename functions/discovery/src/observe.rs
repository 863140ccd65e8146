//! From an event to facts: the ledger of the task, and what the event lacks.

use wharfinger_cloud::Fault;
use wharfinger_cloud::ledger::{self, Entry, News, SAID};
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::{Item, Key, Malformed, TableName, as_number, as_text, attribute, number, to_attribute};
use wharfinger_cloud::telemetry;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::discovery::{Belief, Endpoint, Facts, Wanted, wanted};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::{TaskArn, cluster_name};
use wharfinger_core::known::Known;
use wharfinger_core::ledger::{LIVING_SECONDS, Merge, Ordered, TOMBSTONE_SECONDS};
use wharfinger_core::report::{Code, Decision, Outcome, Reason};

use crate::{Cloud, Discovery, NAME};

/// What may have been registered for the task: stored before any call.
pub const INTENDED: &str = "intended";
/// What was registered and confirmed.
pub const REGISTERED: &str = "registered";

/// The version of a task for which someone may be about to register, and has not confirmed it. When that attempt fails,
/// something newer may be dealt with already; but it was dealt with before the registration, so the next attempt must look.
pub const JOINING: &str = "joining";

/// What is known of a task, with what the ledger keeps beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// What the decider looks at.
    pub facts: Facts,
    /// What the ledger knows to have been intended.
    pub intended: Vec<Endpoint>,
    /// What was said last.
    pub said: Option<String>,
    /// Whether this attempt answers for [`JOINING`]: its confirmation takes that back.
    pub joining: bool,
}

/// The key of a task's ledger.
#[must_use]
pub fn task_key(task: &TaskArn, cluster_arn: &str) -> Key {
    Key::new(format!("task#{}/{}", cluster_name(cluster_arn), task.id()), NAME)
}

/// Reports items that cannot be read; they are skipped.
pub fn report(clock: &impl Clock, malformed: &[Malformed]) {
    for item in malformed {
        telemetry::malformed(NAME, clock.now(), item);
    }
}

/// Whether a task of a target that has no discovery any more leaves something behind: one read of its ledger, and only when
/// it leaves. While it runs, taking it out is the sweep's.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn may_have_joined(cloud: &impl Cloud, task: &TaskStateChange) -> Result<bool, Fault> {
    let key = task_key(&task.task_arn, &task.cluster_arn);
    Ok(task.is_leaving() && cloud.get(TableName::State, &key).await?.is_some())
}

/// Merges the event. `None` when it is a copy or older, and the world is already what the newest asks for.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn merge(
    function: &Discovery,
    cloud: &impl Cloud,
    cause: &Cause,
    managed: Managed,
    task: &TaskStateChange,
) -> Result<Option<Look>, Fault> {
    let entry = news(function, cloud, &managed, task).await?;
    let joining = as_number(&entry.item, JOINING);
    if entry.merge != Merge::Fresh && entry.settled && joining.is_none_or(|version| version < task.version) {
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
        telemetry::undecided(
            NAME,
            &managed.target,
            Some(task.task_arn.id()),
            cause,
            decision,
            cloud.now(),
        );
        return Ok(None);
    }
    let joining = joining == Some(task.version);
    Ok(Some(Look {
        joining,
        ..look(function, managed, entry, Vec::new())
    }))
}

/// Merges a task into its ledger: one conditional write, with the endpoints that it is to have.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn news(
    function: &Discovery,
    cloud: &impl Cloud,
    managed: &Managed,
    task: &TaskStateChange,
) -> Result<Entry<TaskStateChange>, Fault> {
    let leaving = task.is_leaving();
    let mut beside = Vec::new();
    if !leaving && task.is_running() {
        let intended = endpoints(&facts(function, managed.clone(), task.clone(), Belief::default()));
        // What cannot be told yet is stored before it is registered.
        if !intended.is_empty() {
            beside.push((INTENDED, to_attribute("endpoints", &intended)?));
        }
        beside.push((JOINING, number(task.order())));
    }
    let news = News {
        key: task_key(&task.task_arn, &task.cluster_arn),
        order: task.order(),
        facts: task,
        beside,
        keep_seconds: if leaving { TOMBSTONE_SECONDS } else { LIVING_SECONDS },
    };
    ledger::merge(cloud, news, cloud.now()).await
}

/// The facts as the decider takes them.
#[must_use]
pub fn facts(function: &Discovery, managed: Managed, task: TaskStateChange, belief: Belief) -> Facts {
    Facts {
        managed,
        task,
        belief: Known::Yes(belief),
        owner: function.owner.clone(),
        looked_up: false,
    }
}

fn endpoints(facts: &Facts) -> Vec<Endpoint> {
    let endpoint = |w| match w {
        Wanted::Endpoint(endpoint) => Some(endpoint),
        Wanted::Needs(..) | Wanted::Nothing(_) => None,
    };
    wanted(facts).into_iter().filter_map(endpoint).collect()
}

/// The facts of a ledger entry. `made` is what this invocation has registered without a confirmation.
#[must_use]
pub fn look(function: &Discovery, managed: Managed, entry: Entry<TaskStateChange>, made: Vec<Endpoint>) -> Look {
    let registered = stored(&entry.item, REGISTERED);
    let intended = stored(&entry.item, INTENDED);
    let said = as_text(&entry.item, SAID).map(str::to_owned);
    let uncertain = made.into_iter().chain(intended.iter().cloned()).collect();
    let belief = Belief { registered, uncertain };
    Look {
        facts: facts(function, managed, entry.facts, belief),
        intended,
        said,
        joining: false,
    }
}

/// Endpoints of a ledger item; what cannot be read is reported, and the sweep finds what it stood for.
fn stored(item: &Item, name: &str) -> Vec<Endpoint> {
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

/// Looks up what the event lacks and the configuration needs: health, or an address that came late.
///
/// # Errors
/// When ECS or the ledger does not answer.
pub async fn look_up(function: &Discovery, cloud: &impl Cloud, look: Look) -> Result<Look, Fault> {
    let needed = look.facts.task.is_running()
        && wanted(&look.facts)
            .iter()
            .any(|w| matches!(w, Wanted::Needs("DescribeTasks", _)));
    if !needed {
        return Ok(look);
    }
    let task = &look.facts.task;
    let described = cloud
        .describe_tasks(cluster_name(&task.cluster_arn), std::slice::from_ref(&task.task_arn))
        .await?;
    let found = described
        .tasks
        .into_iter()
        .find(|t| t.task_arn == task.task_arn && t.version >= task.version);
    let mut looked = match found {
        Some(newer) if newer.version > task.version => {
            let entry = news(function, cloud, &look.facts.managed, &newer).await?;
            let fresh = entry.merge == Merge::Fresh;
            let mut moved = self::look(function, look.facts.managed.clone(), entry, Vec::new());
            moved.joining = look.joining || fresh;
            if moved.facts.task.version == newer.version {
                moved.facts.task = newer;
            }
            moved
        }
        Some(same) => Look {
            facts: Facts {
                task: same,
                ..look.facts
            },
            ..look
        },
        None => look,
    };
    looked.facts.looked_up = true;
    Ok(looked)
}
