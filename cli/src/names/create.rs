//! Makes what is missing in Cloud Map.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use wharfinger_cloud::ports::{Clock, Names, Namespace, OperationStatus, Registry};

use super::registries::named;
use super::{Found, Missing};
use crate::output::note;

/// How often, and how far apart, the creation of a namespace is asked for: two minutes in all. It takes seconds for an
/// HTTP namespace, a minute for one with DNS.
const LOOKS: u32 = 60;
const BETWEEN: Duration = Duration::from_secs(2);

/// Makes everything that is to be made, and puts its ids to the names; answers what was made.
pub(crate) async fn create(cloud: &(impl Names + Registry + Clock), found: &mut Found) -> anyhow::Result<Vec<String>> {
    let (mut created, mut new) = (Vec::new(), BTreeMap::new());
    for Missing { to, namespace, making } in std::mem::take(&mut found.missing) {
        let Some((name, service)) = to.split_once('/') else {
            continue;
        };
        let namespace = if let Some(known) = namespace.or_else(|| new.get(name).cloned()) {
            known
        } else {
            let made = create_namespace(cloud, name, making.vpc.as_deref()).await?;
            created.push(format!("namespace {name}"));
            new.insert(name.to_owned(), made.clone());
            made
        };
        let made = cloud.create_registry(&namespace, service, &making).await;
        let id = made.with_context(|| format!("the Cloud Map service {to} cannot be created"))?;
        created.push(format!("service {to}"));
        found.names.registries.insert(to, making.registry(id, namespace.dns));
    }
    Ok(created)
}

async fn create_namespace(
    cloud: &(impl Names + Registry + Clock),
    name: &str,
    vpc: Option<&str>,
) -> anyhow::Result<Namespace> {
    let failed = || format!("the namespace {name} cannot be created");
    let operation = cloud.create_namespace(name, vpc).await.with_context(failed)?;
    note(format_args!("creating the namespace {name}"));
    for _ in 0..LOOKS {
        let status = match &operation {
            Some(id) => cloud.operation(id).await.with_context(failed)?,
            None => OperationStatus::Done,
        };
        match status {
            OperationStatus::Failed(reason) => bail!("{}: {reason}", failed()),
            OperationStatus::Running => {}
            OperationStatus::Done => {
                let known = cloud.namespaces().await.with_context(failed)?;
                if let Some(namespace) = named(&known, name).first() {
                    return Ok((*namespace).clone());
                }
            }
        }
        cloud.sleep(BETWEEN).await;
    }
    bail!(
        "{}: it was not there after {} s; apply again",
        failed(),
        BETWEEN.as_secs() * u64::from(LOOKS)
    )
}
