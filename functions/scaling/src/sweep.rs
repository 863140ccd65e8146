//! The passes: every minute over the services of which something is to be expected, every five minutes over all.
//!
//! What AWS and the table have to say of all of them is asked for together. What nothing comes of is settled without the
//! lease; only a service of which something does is converged on, as if an event had told of it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use wharfinger_cloud::Fault;
use wharfinger_cloud::active::Row;
use wharfinger_cloud::config::Found;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::pipeline::Cause;
use wharfinger_cloud::sweep::{Askable, Pass, Scope};
use wharfinger_cloud::table::{Item, Key, TableName, as_text};
use wharfinger_core::config::stored::{Managed, paused};
use wharfinger_core::config::{Rule, Scaling as Config};
use wharfinger_core::ids::Target;
use wharfinger_core::known;
use wharfinger_core::report::Outcome;
use wharfinger_core::scaling::{Facts, Watch, decide, watch};
use wharfinger_core::service::ServiceFacts;

use crate::known::Known;
use crate::{ACTIVE, Cloud, NAME, Scaling, due, observe};

/// How many services are converged on at once: ECS allows 5 `UpdateService` a second and 50 in a burst (ECS API reference,
/// "Request throttling").
const AT_ONCE: usize = 8;

/// How many services are looked at for the first time in one pass, so that the first passes of many stay short.
const FIRST_SIGHTS: usize = 100;

/// What this function can be asked for: the pass of every minute is over the services of the active set.
pub const ASKABLE: Askable = Askable {
    only: "active",
    dry_run: false,
};

/// One pass.
///
/// # Errors
/// When parts of it failed; the others went through.
pub async fn sweep(
    function: &Scaling,
    cloud: &impl Cloud,
    holder: &str,
    event_id: &str,
    scope: &Scope,
) -> Result<(), Fault> {
    let cause = Cause {
        name: format!("sweep {event_id}"),
        at: None,
    };
    let mut rows = ACTIVE.rows(cloud).await?;
    rows.retain(|target, row| scope.covers(target) && (!scope.often || row.is_due(cloud.now())));
    let found = targets(function, cloud, scope, &rows).await?;
    let mut pass = Pass::of(NAME);
    pass.report(cloud, &found.malformed);
    let services = services(&found, scope);
    if found.malformed.is_empty() {
        let configured: BTreeSet<_> = services.iter().map(|(managed, _)| &managed.target).collect();
        for (target, row) in rows.iter().filter(|(target, _)| !configured.contains(target)) {
            ACTIVE.forget(cloud, target, *row).await?;
        }
    }
    let mut known = Known::default();
    let failed = known.complete(cloud, services.iter().map(|(managed, _)| managed)).await;
    let is_blind = failed.iter().any(|error| error.operation == "DescribeAlarms");
    for error in failed {
        pass.part(cloud, "what the rules ask", Err(error.into()));
    }
    if is_blind {
        // Each service would wait for its alarms under its lease, and ask for them once more.
        return pass.result();
    }
    let looks = remember(cloud, services, &rows).await?;
    let round = Round {
        function,
        cloud,
        scope,
        known: &known,
    };
    let (swept, busy) = (looks.len(), round.settle(&mut pass, looks).await?);
    let found = [("SweptServices", swept), ("BusyServices", busy.len())];
    let converging = busy.into_iter().map(async |(managed, row)| {
        let name = managed.target.to_string();
        let done = function.converge(cloud, holder, &cause, managed, &known, row).await;
        (name, done.map(drop))
    });
    let done: Vec<_> = stream::iter(converging).buffer_unordered(AT_ONCE).collect().await;
    for (name, result) in done {
        pass.part(cloud, name, result);
    }
    pass.finish(cloud, &found).await
}

/// The targets of a pass: of the set, or all that are configured.
async fn targets(
    function: &Scaling,
    cloud: &impl Cloud,
    scope: &Scope,
    rows: &BTreeMap<Target, Row>,
) -> Result<Found, Fault> {
    if scope.often {
        return Ok(function.config.several(cloud, rows.keys()).await?);
    }
    // Whoever asks for one service has changed what is stored of it just now.
    match scope.target {
        Some(_) => Ok(function.config.all_anew(cloud).await?),
        None => Ok(function.config.all(cloud).await?),
    }
}

/// Those that have a count to move.
fn services(found: &Found, scope: &Scope) -> Vec<(Managed, Config)> {
    let covered = found.targets.iter().filter(|managed| scope.covers(&managed.target));
    covered
        .filter_map(|managed| Some((managed.clone(), managed.stored.config.scaling.clone()?)))
        .collect()
}

/// A service, before it is known how many tasks it has.
struct Look {
    managed: Managed,
    scaling: Config,
    item: Item,
    row: Option<Row>,
}

/// What is remembered of services.
async fn remember(
    cloud: &impl Cloud,
    services: Vec<(Managed, Config)>,
    rows: &BTreeMap<Target, Row>,
) -> Result<Vec<Look>, Fault> {
    let keys: Vec<_> = services
        .iter()
        .map(|(managed, _)| service_key(&managed.target))
        .collect();
    let items = cloud.get_all(TableName::State, &keys).await?;
    let mut items: BTreeMap<_, _> = items
        .into_iter()
        .filter_map(|item| Some((Key::of(&item)?, item)))
        .collect();
    let look = |((managed, scaling), key): ((Managed, Config), Key)| Look {
        item: items.remove(&key).unwrap_or_default(),
        row: rows.get(&managed.target).copied(),
        managed,
        scaling,
    };
    Ok(services.into_iter().zip(keys).map(look).collect())
}

/// What a pass knows of all services.
struct Round<'a, C> {
    function: &'a Scaling,
    cloud: &'a C,
    scope: &'a Scope,
    known: &'a Known,
}

impl<C: Cloud> Round<'_, C> {
    /// Settles what nothing comes of; answers the services of which something does.
    async fn settle(&self, pass: &mut Pass, looks: Vec<Look>) -> Result<Vec<(Managed, Option<Row>)>, Fault> {
        let now = self.cloud.now();
        let (mut stirring, mut busy, mut first) = (Vec::new(), Vec::new(), 0);
        for look in looks {
            let facts = self.facts(&look, known::Known::No);
            let is_new = facts.memory.bounds.is_none();
            if stirs(&facts, now) {
                stirring.push(look);
            } else if is_new && !self.scope.often && first < FIRST_SIGHTS {
                first += 1;
                stirring.push(look);
            } else {
                self.rest(&look, watch(&facts, &decide(&facts, now), now)).await?;
            }
        }
        let targets: Vec<_> = stirring.iter().map(|look| look.managed.target.clone()).collect();
        let (counts, ()) = tokio::join!(
            self.counts(pass, &targets),
            self.function.others.ask(self.cloud, &targets)
        );
        for look in stirring {
            let Some(services) = counts.get(&look.managed.target.cluster) else {
                continue;
            };
            let service = known::Known::Yes(services.get(&look.managed.target.name).cloned());
            let facts = self.facts(&look, service);
            match self.quiet(&look, &facts, now) {
                Some(next) => self.rest(&look, next).await?,
                None => busy.push((look.managed, look.row)),
            }
        }
        Ok(busy)
    }

    fn facts(&self, look: &Look, service: known::Known<Option<ServiceFacts>>) -> Facts {
        let memory = observe::memory(self.cloud, &look.item);
        let (others, scaling) = (&self.function.others, look.scaling.clone());
        observe::facts(&look.managed, scaling, service, others, self.known, memory)
    }

    /// What `DescribeServices` says of each cluster's; where it fails its services are left out.
    async fn counts(&self, pass: &mut Pass, targets: &[Target]) -> BTreeMap<String, BTreeMap<String, ServiceFacts>> {
        let mut clusters: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for target in targets {
            clusters.entry(&target.cluster).or_default().push(target.name.clone());
        }
        let mut counts = BTreeMap::new();
        for (cluster, names) in clusters {
            match self.cloud.describe_services(cluster, &names).await {
                Ok(services) => drop(counts.insert(cluster.to_owned(), services)),
                Err(error) => pass.part(self.cloud, cluster, Err(error.into())),
            }
        }
        counts
    }

    /// When a service is to be looked at next, if nothing comes of this look and nothing new is to be said or remembered.
    fn quiet(&self, look: &Look, facts: &Facts, now: Timestamp) -> Option<Watch> {
        let decided = decide(facts, now);
        let next = watch(facts, &decided, now);
        if self.scope.often && paused(&look.managed.stored.paused, NAME, now).is_some() {
            return Some(next);
        }
        let is_new = decided.memory != facts.memory
            || as_text(&look.item, observe::SAID) != Some(decided.decision.fingerprint().as_str());
        (decided.decision.actions.is_empty() && !is_new).then_some(next)
    }

    async fn rest(&self, look: &Look, next: Watch) -> Result<(), Fault> {
        let target = &look.managed.target;
        match (due(next), look.row) {
            (None, Some(row)) => ACTIVE.forget(self.cloud, target, row).await?,
            (None, None) => {}
            (Some(next), row) => ACTIVE.keep(self.cloud, target, next, row).await?,
        }
        Ok(())
    }
}

/// Whether the count must be known: a rule asks for something, or what is remembered is to be brought up to date.
fn stirs(facts: &Facts, now: Timestamp) -> bool {
    let queues = facts.scaling.rules.iter().any(|rule| matches!(rule, Rule::Queue(_)));
    let lasting = !facts.memory.wishes.is_empty() || facts.memory.pending.is_some();
    queues || lasting || decide(facts, now).decision.outcome != Outcome::Ignore
}
