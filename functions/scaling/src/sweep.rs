//! Every minute: what CloudWatch says of every alarm, against what was done about it.
//!
//! A service whose rules ask for nothing costs one read; the lease is taken only where there may be something to do.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_cloud::Fault;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::sweep::Pass;
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::known;
use wharfinger_core::report::Outcome;
use wharfinger_core::scaling::{AlarmFacts, Facts, decide};

use crate::observe::{self, Known};
use crate::{Cloud, NAME, Scaling};

/// One pass over every service with scaling.
///
/// # Errors
/// When parts of it failed; the others went through.
pub async fn sweep(function: &Scaling, cloud: &impl Cloud, holder: &str, event_id: &str) -> Result<(), Fault> {
    let found = function.config.all(cloud).await?;
    let mut pass = Pass::of(NAME);
    pass.report(cloud, &found.malformed);
    let targets: Vec<_> = found
        .targets
        .into_iter()
        .filter(|m| m.stored.config.scaling.is_some())
        .collect();
    let known = alarms(cloud, &targets).await?;
    let cause = Cause {
        name: format!("sweep {event_id}"),
        at: None,
    };
    let (mut busy, services) = (0, targets.len());
    for managed in targets {
        let name = managed.target.to_string();
        let result = match asks(cloud, &managed, &known).await {
            Ok(false) => Ok(()),
            Ok(true) => {
                busy += 1;
                function
                    .converge(cloud, holder, &cause, managed, &known)
                    .await
                    .map(drop)
            }
            Err(fault) => Err(fault),
        };
        pass.part(cloud, name, result);
    }
    pass.finish(cloud, &[("SweptServices", services), ("BusyServices", busy)])
        .await
}

/// Every alarm that a rule names, as CloudWatch has it now.
async fn alarms(cloud: &impl Cloud, targets: &[Managed]) -> Result<Known, Fault> {
    let names: BTreeSet<_> = targets
        .iter()
        .flat_map(|m| m.stored.alarms())
        .map(str::to_owned)
        .collect();
    let names: Vec<_> = names.into_iter().collect();
    let at = cloud.now();
    let mut states: BTreeMap<_, _> = cloud
        .describe_alarms(&names)
        .await?
        .into_iter()
        .map(|a| (a.alarm_name, a.state))
        .collect();
    let described = |name: String| {
        let state = states.remove(&name);
        (name, AlarmFacts::described(state, at))
    };
    Ok(Known {
        alarms: names.into_iter().map(described).collect(),
    })
}

/// Whether a rule asks for anything, or a change is unfinished: told without the service and without the lease.
async fn asks(cloud: &impl Cloud, managed: &Managed, known: &Known) -> Result<bool, Fault> {
    let Some(scaling) = managed.stored.config.scaling.clone() else {
        return Ok(false);
    };
    let item = cloud
        .get(TableName::State, &service_key(&managed.target))
        .await?
        .unwrap_or_default();
    let facts = Facts {
        target: managed.target.clone(),
        scaling,
        overridden: managed.stored.scale,
        service: known::Known::No,
        scalable: known::Known::No,
        alarms: known.alarms.clone(),
        queues: BTreeMap::new(),
        memory: observe::memory(cloud, &item),
    };
    Ok(decide(&facts, cloud.now()).decision.outcome != Outcome::Ignore)
}
