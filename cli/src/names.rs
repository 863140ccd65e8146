//! The Cloud Map services that a document names, looked up when it is applied: never while an event waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, bail};
use wharfinger_cloud::ports::{Clock, Names, Namespace, OperationStatus, Registry};
use wharfinger_core::config::stored;

use crate::output::note;

/// How often, and how far apart, the creation of a namespace is asked for: two minutes in all. It takes seconds for an
/// HTTP namespace.
const LOOKS: u32 = 60;
const BETWEEN: Duration = Duration::from_secs(2);

/// What was found, and what was made.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Resolved {
    /// What the names mean.
    pub names: stored::Resolved,
    /// Namespaces and services that were created.
    pub created: Vec<String>,
}

/// Looks names up, and with `create` makes what is missing. Everything that is missing is told at once.
pub(crate) async fn resolve(
    cloud: &(impl Names + Registry + Clock),
    names: &BTreeSet<String>,
    create: bool,
) -> anyhow::Result<Resolved> {
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (namespace, service) in names.iter().filter_map(|name| name.split_once('/')) {
        wanted.entry(namespace).or_default().push(service);
    }
    let mut resolved = Resolved::default();
    if wanted.is_empty() {
        return Ok(resolved);
    }
    let mut missing = Vec::new();
    let known = cloud
        .namespaces()
        .await
        .context("the namespaces of Cloud Map cannot be listed")?;
    for (name, services) in wanted {
        let namespace = match named(&known, name)? {
            Some(namespace) => namespace.clone(),
            None if create => create_namespace(cloud, name, &mut resolved).await?,
            None => {
                missing.push(format!("namespace {name}"));
                continue;
            }
        };
        let known = cloud
            .registries(&namespace.id)
            .await
            .with_context(|| format!("the services of {name} cannot be listed"))?;
        for service in services {
            let to = format!("{name}/{service}");
            let registry = match known.get(service) {
                Some(registry) => registry.clone(),
                None if create => {
                    let made = cloud.create_registry(&namespace, service).await;
                    let id = made.with_context(|| format!("the Cloud Map service {to} cannot be created"))?;
                    resolved.created.push(format!("service {to}"));
                    stored::Registry {
                        records: if namespace.dns {
                            vec![stored::Record::A]
                        } else {
                            Vec::new()
                        },
                        ..stored::Registry::of(id)
                    }
                }
                None => {
                    missing.push(format!("service {to}"));
                    continue;
                }
            };
            resolved.names.registries.insert(to, registry);
        }
    }
    if !missing.is_empty() {
        bail!(
            "Cloud Map has no {}: create them, or let --create do so; nothing was applied",
            missing.join(", no ")
        );
    }
    Ok(resolved)
}

fn named<'a>(known: &'a [Namespace], name: &str) -> anyhow::Result<Option<&'a Namespace>> {
    let mut found = known.iter().filter(|namespace| namespace.name == name);
    match (found.next(), found.next()) {
        // Private DNS namespaces of different VPCs may share a name.
        (Some(one), Some(other)) => bail!(
            "several namespaces are called {name} ({}, {}): write the id of the Cloud Map service (`srv-…`) in `discovery.to`",
            one.id,
            other.id
        ),
        (one, _) => Ok(one),
    }
}

async fn create_namespace(
    cloud: &(impl Names + Registry + Clock),
    name: &str,
    resolved: &mut Resolved,
) -> anyhow::Result<Namespace> {
    let failed = || format!("the namespace {name} cannot be created");
    let operation = cloud.create_namespace(name).await.with_context(failed)?;
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
                if let Some(namespace) = named(&known, name)? {
                    resolved.created.push(format!("namespace {name}"));
                    return Ok(namespace.clone());
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use jiff::Timestamp;
    use wharfinger_cloud::CloudError;
    use wharfinger_cloud::ports::{Instance, Submitted};
    use wharfinger_core::discovery::{DeregisterInstance, Endpoint};

    use super::*;

    /// As much of Cloud Map as is asked for here. A namespace is there some looks after it was asked for.
    #[derive(Default)]
    struct Fake {
        namespaces: RefCell<Vec<Namespace>>,
        registries: RefCell<BTreeMap<String, BTreeMap<String, String>>>,
        running: Cell<u32>,
        fails: bool,
        slept: Cell<Duration>,
    }

    impl Fake {
        fn with(namespaces: &[(&str, &str)], registries: &[(&str, &str, &str)]) -> Self {
            let fake = Self::default();
            for (id, name) in namespaces {
                fake.namespaces.borrow_mut().push(Namespace {
                    id: (*id).into(),
                    name: (*name).into(),
                    dns: false,
                });
            }
            for (namespace, name, id) in registries {
                let mut all = fake.registries.borrow_mut();
                all.entry((*namespace).into())
                    .or_default()
                    .insert((*name).into(), (*id).into());
            }
            fake
        }

        async fn resolve(&self, names: &[&str], create: bool) -> Result<Resolved, String> {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            resolve(self, &names, create)
                .await
                .map_err(|error| format!("{error:#}"))
        }
    }

    impl Names for Fake {
        async fn namespaces(&self) -> Result<Vec<Namespace>, CloudError> {
            Ok(self.namespaces.borrow().clone())
        }

        async fn registries(&self, namespace_id: &str) -> Result<BTreeMap<String, stored::Registry>, CloudError> {
            let ids = self.registries.borrow().get(namespace_id).cloned().unwrap_or_default();
            let registry = |(name, id): (String, String)| (name, stored::Registry::of(id));
            Ok(ids.into_iter().map(registry).collect())
        }

        async fn create_namespace(&self, name: &str) -> Result<Option<String>, CloudError> {
            self.running.set(3);
            Ok(Some(name.to_owned()))
        }

        async fn create_registry(&self, namespace: &Namespace, name: &str) -> Result<String, CloudError> {
            Ok(format!("srv-{}-{name}", namespace.id))
        }
    }

    impl Registry for Fake {
        async fn register(&self, endpoint: &Endpoint) -> Result<Submitted, CloudError> {
            panic!("{endpoint:?}")
        }

        async fn deregister(&self, request: &DeregisterInstance) -> Result<Submitted, CloudError> {
            panic!("{request:?}")
        }

        async fn tell_health(&self, endpoint: &Endpoint) -> Result<(), CloudError> {
            panic!("{endpoint:?}")
        }

        async fn operation(&self, id: &str) -> Result<OperationStatus, CloudError> {
            if self.fails {
                return Ok(OperationStatus::Failed("the quota is used up".into()));
            }
            self.running.set(self.running.get().saturating_sub(1));
            if self.running.get() > 0 {
                return Ok(OperationStatus::Running);
            }
            let namespace = Namespace {
                id: "new".into(),
                name: id.into(),
                dns: false,
            };
            self.namespaces.borrow_mut().push(namespace);
            Ok(OperationStatus::Done)
        }

        async fn instances(&self, service_id: &str) -> Result<Vec<Instance>, CloudError> {
            panic!("{service_id}")
        }
    }

    impl Clock for Fake {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        async fn sleep(&self, duration: Duration) {
            self.slept.set(self.slept.get() + duration);
        }

        fn remaining(&self) -> Duration {
            Duration::MAX
        }
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let fake = Fake::with(
            &[("ns-1", "shop.local"), ("ns-2", "other"), ("ns-3", "other")],
            &[
                ("ns-1", "web", "srv-web"),
                ("ns-1", "api", "srv-api"),
                ("ns-2", "web", "srv-wrong"),
            ],
        );
        let resolved = fake
            .resolve(&["shop.local/web", "shop.local/api"], false)
            .await
            .unwrap();
        let expected = [("shop.local/api", "srv-api"), ("shop.local/web", "srv-web")];
        assert_eq!(
            resolved.names.registries,
            expected
                .map(|(to, id)| (to.to_owned(), stored::Registry::of(id)))
                .into()
        );
        assert_eq!(resolved.created, [""; 0]);
        assert_eq!(fake.resolve(&[], true).await, Ok(Resolved::default()));
    }

    #[tokio::test]
    async fn everything_that_is_missing_is_told_at_once() {
        let fake = Fake::with(&[("ns-1", "shop.local")], &[("ns-1", "web", "srv-web")]);
        let error = fake
            .resolve(&["shop.local/web", "shop.local/api", "nope/x"], false)
            .await
            .unwrap_err();
        assert_eq!(
            error,
            "Cloud Map has no namespace nope, no service shop.local/api: create them, or let --create do so; nothing was applied"
        );
    }

    #[tokio::test]
    async fn what_is_missing_is_created_if_asked_for() {
        let fake = Fake::with(&[("ns-1", "shop.local")], &[]);
        let resolved = fake.resolve(&["shop.local/api", "fresh/x"], true).await.unwrap();
        assert_eq!(
            resolved.created,
            ["namespace fresh", "service fresh/x", "service shop.local/api"]
        );
        assert_eq!(resolved.names.registries["fresh/x"].id, "srv-new-x");
        assert!(fake.slept.get() > Duration::ZERO);
    }

    #[tokio::test]
    async fn a_namespace_that_cannot_be_created_is_told() {
        let fake = Fake {
            fails: true,
            ..Fake::default()
        };
        let error = fake.resolve(&["fresh/x"], true).await.unwrap_err();
        assert_eq!(error, "the namespace fresh cannot be created: the quota is used up");
    }

    #[tokio::test]
    async fn a_name_that_several_namespaces_have_is_not_guessed() {
        let fake = Fake::with(&[("ns-1", "twin"), ("ns-2", "twin")], &[]);
        let error = fake.resolve(&["twin/x"], true).await.unwrap_err();
        assert!(error.contains("ns-1, ns-2") && error.contains("srv-"), "{error}");
    }
}
