//! Tasks that stopped: counted per service and revision, and told of when they do so again and again.
//!
//! What is counted is an attribute of the service's item with a condition of its own: no lease is needed to count, and many
//! tasks stop at once.

use wharfinger_cloud::history::{self, Record};
use wharfinger_cloud::lease::{STOPS, service_key};
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::ports::Notice;
use wharfinger_cloud::table::{Condition, TableName, Update, Updated, as_number, attribute, number, to_attribute};
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::capacity::crash::{Change, Heard, Stops, Told};
use wharfinger_core::config::CrashLoops;
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::report::Outcome;
use wharfinger_core::service::ServiceFacts;

use crate::{ACTIVE, Capacity, Cloud, EACH_MINUTE, NAME};

/// Rises with each change of it.
const VERSION: &str = "stops-version";

/// How often a write is tried anew when other tasks of the same service stop.
const ROUNDS: usize = 12;

/// Takes a task in that stopped.
///
/// # Errors
/// When the table cannot be written, or AWS does not answer.
pub async fn on_task(
    function: &Capacity,
    cloud: &impl Cloud,
    cause: &Cause,
    task: &TaskStateChange,
) -> Result<(), Fault> {
    let target = task.target()?;
    let clusters = function.clusters(cloud).await?;
    let rule = clusters
        .iter()
        .find(|managed| managed.target.cluster == target.cluster)
        .and_then(|managed| managed.stored.config.capacity.as_ref())
        .map(|capacity| &capacity.crash_loops);
    let (TargetKind::Service, Some(rule)) = (target.kind, rule) else {
        tracing::debug!(%target, "not managed");
        return Ok(());
    };
    let at = cause.at.unwrap_or_else(|| cloud.now());
    count(cloud, cause, &target, rule, None, |stops| {
        matches!(stops.hear(task, rule, at), Heard::Counted(_))
    })
    .await
    .map(drop)
}

/// Looks at what is remembered of a service: whether its tasks still stop. `true` when it is to be looked at again.
///
/// # Errors
/// As [`on_task`].
pub async fn look(
    cloud: &impl Cloud,
    cause: &Cause,
    target: &Target,
    rule: &CrashLoops,
    service: Option<&ServiceFacts>,
) -> Result<bool, Fault> {
    count(cloud, cause, target, rule, service, |_| true).await
}

/// Changes what is remembered, and tells what came of it. What is told is told before it is stored: after a crash it is told
/// once more, and never lost. Nothing is written when nothing changed.
async fn count(
    cloud: &impl Cloud,
    cause: &Cause,
    target: &Target,
    rule: &CrashLoops,
    service: Option<&ServiceFacts>,
    hear: impl Fn(&mut Stops) -> bool,
) -> Result<bool, Fault> {
    let key = service_key(target);
    for _ in 0..ROUNDS {
        let item = cloud.get(TableName::State, &key).await?.unwrap_or_default();
        let known: Stops = attribute(&item, STOPS)
            .unwrap_or_else(|malformed| {
                telemetry::malformed(NAME, cloud.now(), &malformed);
                None
            })
            .unwrap_or_default();
        let mut stops = known.clone();
        if !hear(&mut stops) {
            return Ok(stops.open().next().is_some());
        }
        let told = stops.look(rule, service, cloud.now());
        let is_open = stops.open().next().is_some();
        if stops == known {
            return Ok(is_open);
        }
        tell(cloud, cause, target, &told).await?;
        let version = as_number(&item, VERSION);
        let condition = version.map_or(Condition::Missing(VERSION), |v| Condition::Equal(VERSION, number(v)));
        let update = Update::of(key.clone())
            .set(STOPS, to_attribute("what is known of stopped tasks", &stops)?)
            .set(VERSION, number(version.unwrap_or_default() + 1))
            .only_if(condition);
        if let Updated::Made(_) = cloud.update(TableName::State, update).await? {
            if is_open {
                ACTIVE.keep(cloud, target, EACH_MINUTE, None).await?;
            }
            return Ok(is_open);
        }
    }
    Err(Fault::Unsettled {
        subject: format!("the stopped tasks of {target}"),
        rounds: ROUNDS,
    })
}

async fn tell(cloud: &impl Cloud, cause: &Cause, target: &Target, told: &[Told]) -> Result<(), Fault> {
    let now = cloud.now();
    let notices: Vec<_> = told
        .iter()
        .map(|told| Notice {
            detail_type: Told::DETAIL_TYPE.to_owned(),
            at: now,
            resources: Vec::new(),
            detail: told.detail(target),
        })
        .collect();
    if notices.is_empty() {
        return Ok(());
    }
    cloud.put_events(&notices).await?;
    let record = Record {
        at: now,
        domain: NAME.to_owned(),
        target: target.to_string(),
        subject: None,
        cause: cause.name.clone(),
        outcome: Outcome::Ignore,
        reasons: told.iter().map(Told::reason).collect(),
        actions: Vec::new(),
        latency_ms: None,
    };
    telemetry::decision(&record);
    let began = told.iter().filter(|told| told.change == Change::Began).count();
    telemetry::counted(NAME, now, &[("CrashLoops", began)]);
    history::write(cloud, target, &record).await
}
