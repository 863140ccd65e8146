//! What the registries hold against what runs: the repair of whatever no event told.
//!
//! Calls grow with pages, not with tasks: a task whose endpoints are as they should be costs nothing beyond the listing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wharfinger_cloud::Fault;
use wharfinger_cloud::config::Found;
use wharfinger_cloud::error::Kind;
use wharfinger_cloud::ledger::Entry;
use wharfinger_cloud::pipeline::{Cause, converge};
use wharfinger_cloud::ports::Instance;
use wharfinger_cloud::sweep::Pass;
use wharfinger_cloud::table::{Item, Key, TableName, Update, as_number, number};
use wharfinger_core::config::Service;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::discovery::{Belief, Endpoint, Facts, Ghost, Owner, Verdict, Wanted, judge, wanted};
use wharfinger_core::event::{TaskStateChange, TaskStatus};
use wharfinger_core::ids::TaskArn;
use wharfinger_core::known::Known;
use wharfinger_core::ledger::Merge;

use crate::observe;
use crate::{Cloud, Discovery, NAME, apply};

/// How many removals one pass makes at most: more is more likely our mistake than the world's.
const REMOVALS: usize = 1_000;

/// When a pass first found that ECS does not know the task.
const MISSING_SINCE: &str = "missing-since";

/// What one pass has seen.
struct Look<'a, C> {
    function: &'a Discovery,
    cloud: &'a C,
    cause: Cause,
    /// The registries that could be listed.
    listed: BTreeSet<String>,
    /// What they hold with our mark, by the task that it stands for.
    held: BTreeMap<String, Vec<Endpoint>>,
    pass: Pass,
    found: Findings,
}

#[derive(Default)]
struct Findings {
    tasks: usize,
    missing: usize,
    ghosts: usize,
}

/// One pass over every target with discovery.
///
/// # Errors
/// When parts of it failed; the others went through.
pub async fn sweep(function: &Discovery, cloud: &impl Cloud, event_id: &str) -> Result<(), Fault> {
    function.removals.set(REMOVALS);
    let Found { targets, malformed } = function.config.all(cloud).await?;
    let pass = Pass::of(NAME);
    pass.report(cloud, &malformed);
    let targets: Vec<_> = targets
        .into_iter()
        .filter(|m| !m.stored.config.discovery.is_empty())
        .collect();
    let cause = Cause {
        name: format!("sweep {event_id}"),
        at: None,
    };
    let mut look = Look {
        function,
        cloud,
        cause,
        listed: BTreeSet::new(),
        held: BTreeMap::new(),
        pass,
        found: Findings::default(),
    };
    look.list_registries(&targets).await;
    let mut alive = BTreeSet::new();
    for managed in &targets {
        let result = look.live_tasks(managed, &mut alive).await;
        look.pass.part(cloud, &managed.target, result);
    }
    look.ghosts(&targets, &alive).await;
    let Findings { tasks, missing, ghosts } = look.found;
    let found = [
        ("SweptTasks", tasks),
        ("MissingEndpoints", missing),
        ("GhostEndpoints", ghosts),
    ];
    look.pass.finish(cloud, &found).await
}

impl<C: Cloud> Look<'_, C> {
    async fn list_registries(&mut self, targets: &[Managed]) {
        let ids: BTreeSet<_> = targets
            .iter()
            .flat_map(|m| {
                m.stored
                    .config
                    .discovery
                    .iter()
                    .filter_map(|d| m.stored.registry(&d.to))
            })
            .map(str::to_owned)
            .collect();
        for id in ids {
            let result = match self.cloud.instances(&id).await {
                Ok(instances) => {
                    self.hold(&id, instances);
                    Ok(())
                }
                Err(error) => Err(error.into()),
            };
            self.pass.part(self.cloud, &id, result);
        }
    }

    fn hold(&mut self, service_id: &str, instances: Vec<Instance>) {
        self.listed.insert(service_id.to_owned());
        for instance in instances {
            let ghost = Ghost {
                instance_id: &instance.id,
                attributes: &instance.attributes,
            };
            let Some(task) = ghost.task().filter(|_| ghost.is_marked(&self.function.owner)) else {
                continue;
            };
            let task = task.to_owned();
            self.held.entry(task).or_default().push(Endpoint {
                service_id: service_id.to_owned(),
                instance_id: instance.id,
                attributes: instance.attributes,
            });
        }
    }

    /// Every task of a target that is meant to run: those whose endpoints are not what they should be are converged on.
    async fn live_tasks(&mut self, managed: &Managed, alive: &mut BTreeSet<String>) -> Result<(), Fault> {
        let cluster = &managed.target.cluster;
        let arns = match self.cloud.list_tasks(&managed.target).await {
            Ok(arns) => arns,
            // A service that is not made yet has no tasks; what is registered for it goes by proof only.
            Err(error) if error.kind == Kind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let described = self.cloud.describe_tasks(cluster, &arns).await?;
        for task in described.tasks {
            // A family's tasks may belong to services, which are targets of their own.
            if task.target().ok().as_ref() != Some(&managed.target) {
                continue;
            }
            self.found.tasks += 1;
            if !task.is_leaving() {
                alive.insert(task.task_arn.to_string());
            }
            if task.is_running() {
                self.live_task(managed, task).await?;
            }
        }
        Ok(())
    }

    async fn live_task(&mut self, managed: &Managed, task: TaskStateChange) -> Result<(), Fault> {
        let listed = self.held(task.task_arn.as_str());
        let belief = Belief {
            registered: listed.clone(),
            uncertain: Vec::new(),
        };
        let facts = Facts {
            looked_up: true,
            ..observe::facts(self.function, managed.clone(), task, belief)
        };
        if as_wanted(&facts, &listed) || !self.all_listed(managed) {
            return Ok(());
        }
        self.found.missing += 1;
        self.settle(facts).await
    }

    /// Whether every registry of the target could be listed: without that, what is missing is not known.
    fn all_listed(&self, managed: &Managed) -> bool {
        let ids = managed
            .stored
            .config
            .discovery
            .iter()
            .filter_map(|d| managed.stored.registry(&d.to));
        ids.into_iter().all(|id| self.listed.contains(id))
    }

    fn held(&self, task: &str) -> Vec<Endpoint> {
        self.held.get(task).cloned().unwrap_or_default()
    }

    /// Merges what was seen and converges, unless the ledger knows something newer: then on that.
    async fn settle(&self, facts: Facts) -> Result<(), Fault> {
        let entry = observe::news(self.function, self.cloud, &facts.managed, &facts.task).await?;
        let (stale, fresh) = (entry.merge == Merge::Stale, entry.merge == Merge::Fresh);
        let observe::Look {
            facts: known,
            intended,
            said,
            ..
        } = observe::look(self.function, facts.managed.clone(), entry, Vec::new());
        // What is listed is certain; what the ledger intended besides may still come.
        let (Known::Yes(seen), Known::Yes(believed)) = (&facts.belief, &known.belief) else {
            return Ok(());
        };
        let belief = Belief {
            registered: seen.registered.clone(),
            uncertain: believed.uncertain.clone(),
        };
        let facts = if stale { known } else { facts };
        let look = observe::Look {
            facts: Facts {
                belief: Known::Yes(belief),
                ..facts
            },
            intended,
            said,
            joining: fresh,
        };
        let endpoints = apply::Endpoints {
            function: self.function,
            cloud: self.cloud,
        };
        converge(&endpoints, self.cloud, &self.cause, look).await.map(drop)
    }

    /// Every marked instance whose task is not alive: it goes with proof only.
    async fn ghosts(&mut self, targets: &[Managed], alive: &BTreeSet<String>) {
        let suspects: Vec<TaskArn> = self
            .held
            .keys()
            .filter(|task| !alive.contains(*task))
            .filter_map(|task| task.parse().ok())
            .collect();
        let mut by_cluster: BTreeMap<String, Vec<TaskArn>> = BTreeMap::new();
        for task in suspects {
            by_cluster.entry(cluster_of(&task)).or_default().push(task);
        }
        for (cluster, tasks) in by_cluster {
            match self.cloud.describe_tasks(&cluster, &tasks).await {
                Ok(described) => {
                    for task in tasks {
                        let known = described.tasks.iter().find(|t| t.task_arn == task).cloned();
                        let missing = described.missing.iter().any(|m| m == task.as_str());
                        let result = self.suspect(targets, &task, known, missing).await;
                        self.pass.part(self.cloud, &task, result);
                    }
                }
                Err(error) => self.pass.part(self.cloud, &cluster, Err(error.into())),
            }
        }
    }

    async fn suspect(
        &mut self,
        targets: &[Managed],
        task: &TaskArn,
        known: Option<TaskStateChange>,
        missing: bool,
    ) -> Result<(), Fault> {
        let listed = self.held(task.as_str());
        let Some(first) = listed.first() else { return Ok(()) };
        let key = observe::task_key(task, &cluster_of(task));
        let (owner, facts) = match known {
            Some(seen) if seen.is_leaving() => (Owner::Stopped, seen),
            Some(seen) => (Owner::Alive, seen),
            // Neither described nor reported missing: no proof of anything.
            None if !missing => return Ok(()),
            None => {
                let item = self.cloud.get(TableName::State, &key).await?.unwrap_or_default();
                let owner = self.missing(&key, &item).await?;
                (owner, gone(task, first, item))
            }
        };
        let ghost = Ghost {
            instance_id: &first.instance_id,
            attributes: &first.attributes,
        };
        match judge(&ghost, owner, &self.function.owner) {
            Verdict::Remove(reason) => {
                tracing::warn!(task = %task, code = %reason.code, reason = reason.message, "ghost");
                self.found.ghosts += listed.len();
                let target = facts.target()?;
                let managed = targets.iter().find(|m| m.target == target).cloned();
                let managed = managed.unwrap_or_else(|| Managed::unresolved(target, Service::default()));
                let belief = Belief {
                    registered: listed,
                    uncertain: Vec::new(),
                };
                self.settle(observe::facts(self.function, managed, facts, belief)).await
            }
            Verdict::Keep(reason) | Verdict::LookAgain(reason) => {
                tracing::info!(task = %task, code = %reason.code, reason = reason.message, "not removed");
                Ok(())
            }
        }
    }

    /// What the ledger has of a task that ECS does not know: its tombstone, or when it was first found missing.
    async fn missing(&self, key: &Key, item: &Item) -> Result<Owner, Fault> {
        if let Ok(entry) = Entry::<TaskStateChange>::read(item.clone(), Merge::Duplicate)
            && entry.facts.is_leaving()
        {
            return Ok(Owner::Stopped);
        }
        let since = as_number(item, MISSING_SINCE).and_then(|ms| Timestamp::from_millisecond(ms).ok());
        if since.is_none() {
            let mark = Update::of(key.clone()).set(MISSING_SINCE, number(self.cloud.now().as_millisecond()));
            self.cloud.update(TableName::State, mark).await?;
        }
        Ok(Owner::Missing { since })
    }
}

fn cluster_of(task: &TaskArn) -> String {
    // Old ARNs name no cluster: theirs is the default one.
    let mut parts = task.as_str().rsplit('/');
    parts.next();
    parts
        .next()
        .filter(|c| !c.contains(':'))
        .unwrap_or("default")
        .to_owned()
}

fn as_wanted(facts: &Facts, listed: &[Endpoint]) -> bool {
    let mut count = 0;
    let all = wanted(facts).into_iter().all(|w| match w {
        Wanted::Endpoint(endpoint) => {
            count += 1;
            listed.contains(&endpoint)
        }
        Wanted::Needs(..) | Wanted::Nothing(_) => true,
    });
    all && count == listed.len()
}

/// A task that ECS has forgotten, as a tombstone that nothing can be later than.
fn gone(task: &TaskArn, endpoint: &Endpoint, item: Item) -> TaskStateChange {
    let known = Entry::<TaskStateChange>::read(item, Merge::Duplicate)
        .ok()
        .map(|e| e.facts);
    let attribute = |name: &str| endpoint.attributes.get(name).cloned().unwrap_or_default();
    let family = attribute("ECS_TASK_DEFINITION_FAMILY");
    let group = match attribute("ECS_SERVICE_NAME") {
        service if service.is_empty() => format!("family:{family}"),
        service => format!("service:{service}"),
    };
    let known = known.unwrap_or_else(|| TaskStateChange {
        task_arn: task.clone(),
        cluster_arn: cluster_of(task),
        task_definition_arn: format!("{family}:0"),
        version: 0,
        group: Some(group),
        desired_status: TaskStatus::Stopped,
        last_status: TaskStatus::Deleted,
        health_status: None,
        private_ipv4: None,
        ipv6: None,
        network_interface_id: None,
        container_instance_arn: None,
        availability_zone: None,
        started_at: None,
        containers: Vec::new(),
    });
    TaskStateChange {
        version: i64::MAX,
        desired_status: TaskStatus::Stopped,
        last_status: TaskStatus::Deleted,
        ..known
    }
}
