//! What the event of a task lacks and the configuration needs.

use std::collections::BTreeMap;

use wharfinger_cloud::Fault;
use wharfinger_core::endpoint::{Facts, Host, Member, Wanted, wanted};
use wharfinger_core::ids::cluster_name;
use wharfinger_core::known::Known;

use crate::observe::{self, Look};
use crate::{Cloud, Endpoints, Side, draining};

/// How often what is missing is looked up: the task, then its host or network interface, whether the host still drains and who
/// else is there, and once more when it moved.
const LOOKS: usize = 6;

/// Looks up what the event lacks and the configuration needs: health, tags, addresses.
///
/// # Errors
/// When AWS or the ledger does not answer.
pub async fn look_up<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    mut look: Look<S::Member>,
) -> Result<Look<S::Member>, Fault> {
    for _ in 0..LOOKS {
        let needs = |w| match w {
            Wanted::Needs(operation, _) => Some(operation),
            Wanted::Member(_) | Wanted::Nothing(_) => None,
        };
        let running = look.facts.task.is_running();
        let operation = running
            .then(|| wanted(&look.facts).into_iter().find_map(needs))
            .flatten();
        look = match operation {
            None => return Ok(look),
            Some("DescribeContainerInstances") if look.facts.drain.drains && !look.facts.drain.seen => {
                let verified = draining::verify::<C, S>(cloud, &look.facts, look.mark).await?;
                (look.facts.drain, look.mark) = verified;
                look
            }
            Some(operation) if operation == S::Member::LISTED_BY => others(function, cloud, look).await?,
            Some("DescribeContainerInstances") => host(function, cloud, look).await?,
            Some("DescribeNetworkInterfaces") => public_address(cloud, look).await?,
            Some(_) if look.facts.looked_up => return Ok(look),
            Some(_) => task(function, cloud, look).await?,
        };
    }
    Ok(look)
}

async fn host<S, M: Member>(function: &Endpoints<S>, cloud: &impl Cloud, mut look: Look<M>) -> Result<Look<M>, Fault> {
    let task = &look.facts.task;
    let arns: Vec<_> = task.container_instance_arn.iter().cloned().collect();
    let found = hosts(function, cloud, cluster_name(&task.cluster_arn), &arns).await?;
    look.facts.host = Known::Yes(arns.first().and_then(|arn| found.get(arn)).cloned());
    Ok(look)
}

/// Where container instances are, from memory as far as it goes.
///
/// # Errors
/// When AWS does not answer.
pub async fn hosts<S>(
    function: &Endpoints<S>,
    cloud: &impl Cloud,
    cluster: &str,
    arns: &[String],
) -> Result<BTreeMap<String, Host>, Fault> {
    let unknown: Vec<_> = {
        let known = function.hosts.borrow();
        arns.iter().filter(|arn| !known.contains_key(*arn)).cloned().collect()
    };
    if !unknown.is_empty() {
        let found = cloud.hosts(cluster, &unknown).await?;
        function.hosts.borrow_mut().extend(found);
    }
    let known = function.hosts.borrow();
    let host = |arn: &String| known.get(arn).map(|host| (arn.clone(), host.clone()));
    Ok(arns.iter().filter_map(host).collect())
}

/// Who else of the target is there, when the task's instance drains.
async fn others<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    mut look: Look<S::Member>,
) -> Result<Look<S::Member>, Fault> {
    let (managed, task) = (look.facts.managed.clone(), look.facts.task.clone());
    let cluster = cluster_name(&look.facts.task.cluster_arn);
    let mut draining = cloud.draining(cluster).await?;
    draining.extend(task.container_instance_arn.iter().cloned());
    let arn = task.task_arn.clone();
    let mut around = draining::around(function, cloud, &[&managed], vec![task], draining).await;
    around.neighbours(cloud, cluster, &[&managed]).await?;
    look.facts.others = around.others(&managed, Some(&arn));
    let held = around.complete()?.of(arn.as_str());
    if let Known::Yes(belief) = &mut look.facts.belief {
        // What is listed is there, whether or not that was ever confirmed.
        belief
            .registered
            .retain(|known| !held.iter().any(|member| member.is_same(known)));
        belief.registered.extend(held);
    }
    Ok(look)
}

async fn public_address<M: Member>(cloud: &impl Cloud, mut look: Look<M>) -> Result<Look<M>, Fault> {
    let interfaces: Vec<_> = look.facts.task.network_interface_id.iter().cloned().collect();
    let found = cloud.public_addresses(&interfaces).await?;
    look.facts.public_ipv4 = Known::Yes(found.into_values().next());
    Ok(look)
}

async fn task<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    look: Look<S::Member>,
) -> Result<Look<S::Member>, Fault> {
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
            let entry = observe::news(function, cloud, &look.facts.managed, &newer).await?;
            let mut moved = observe::look(
                function,
                &cloud.attempt(),
                look.facts.managed.clone(),
                entry,
                Vec::new(),
            );
            moved.facts.rivals = look.facts.rivals;
            moved.settled_claims = look.settled_claims;
            if moved.facts.task.version == newer.version {
                moved.facts.task = newer;
            }
            observe::look_around(cloud, &mut moved).await?;
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
