//! Volumes that ECS left behind: what is known of them, and the calls, under the lease of their cluster.
//!
//! No event tells of them. The pass of five minutes lists them once for all clusters; what nothing comes of is settled
//! without the lease. Only a cluster of which something does is converged on, and there everything is listed anew. The pass
//! after that goes on, also with what a snapshot was waited for.

use std::cell::RefCell;

use jiff::Timestamp;
use wharfinger_cloud::lease::{self, Lease, service_key};
use wharfinger_cloud::pipeline::{Applied, Cause, Confirmed, Domain, converge};
use wharfinger_cloud::ports::{self, Removed, Snapped};
use wharfinger_cloud::sweep::{Pass, Scope};
use wharfinger_cloud::table::{Item, TableName, as_text, attribute, text, to_attribute};
use wharfinger_cloud::{CloudError, Fault, Kind, telemetry};
use wharfinger_core::config::Orphans;
use wharfinger_core::config::stored::{ManagedCluster, Pauses};
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::report::Decision;
use wharfinger_core::storage::orphans::{Action, Decided, Facts, Memory, Notice, decide};
use wharfinger_core::storage::{CreateSnapshot, OWNER_TAG, Snapshot, Stage, Volume};

use crate::{Cloud, NAME, Storage};

/// The attribute of the cluster's item with [`Memory`].
pub const MEMORY: &str = "orphans";
/// The attribute with the fingerprint of the last decision in the history.
pub const SAID: &str = "orphans-said";

/// How many volumes are removed in one pass.
const REMOVED_AT_ONCE: usize = 20;

const WHAT: &str = "the memory of volumes that were left behind";

/// A cluster with `storage.orphans`.
#[derive(Debug, Clone, PartialEq)]
struct Of {
    managed: ManagedCluster,
    rule: Orphans,
    /// Whether volumes of no known cluster are told of with it: with the first by name, so once.
    adopts: bool,
}

/// One pass over the clusters that are configured for it; `snapshots` are those of volumes that were left behind.
///
/// # Errors
/// When the configuration cannot be read, or EC2 does not list volumes. What fails of one cluster is a part of the pass.
pub async fn pass(
    function: &Storage,
    cloud: &impl Cloud,
    holder: &str,
    cause: &Cause,
    scope: &Scope,
    snapshots: Vec<Snapshot>,
    pass: &mut Pass,
) -> Result<Vec<(&'static str, usize)>, Fault> {
    let found = function.config.clusters(cloud).await?;
    pass.report(cloud, &found.malformed);
    let clusters = configured(found.clusters);
    if clusters.is_empty() {
        return Ok(Vec::new());
    }
    let volumes = cloud.available_volumes().await?;
    let is_stranger = |volume: &&Volume| {
        let is_named = |name: &str| clusters.iter().any(|of| of.managed.target.cluster == name);
        volume.cluster().is_some_and(|name| !is_named(name))
    };
    tracing::debug!(
        count = volumes.iter().filter(is_stranger).count(),
        "volumes of clusters that are not configured"
    );
    let mut orphans = 0;
    for of in clusters.iter().filter(|of| scope.covers(&of.managed.target)) {
        let key = service_key(&of.managed.target);
        let item = cloud.get(TableName::State, &key).await?.unwrap_or_default();
        let facts = of.facts(cloud, &function.owner, volumes.clone(), snapshots.clone(), &item);
        let decided = decide(&facts, cloud.now());
        orphans += decided.orphans;
        if is_settled(&decided, &facts, &item) {
            continue;
        }
        let done = turn(function, cloud, holder, cause, of).await;
        pass.part(cloud, &of.managed.target, done);
    }
    Ok(vec![("OrphanVolumes", orphans)])
}

fn configured(mut clusters: Vec<ManagedCluster>) -> Vec<Of> {
    clusters.sort_by(|a, b| a.target.cmp(&b.target));
    let with_rule = clusters
        .into_iter()
        .filter_map(|managed| Some((managed.stored.config.orphans()?, managed)));
    with_rule
        .enumerate()
        .map(|(n, (rule, managed))| Of {
            managed,
            rule,
            adopts: n == 0,
        })
        .collect()
}

/// Whether nothing comes of this look, and nothing new is to be said or remembered.
fn is_settled(decided: &Decided, facts: &Facts, item: &Item) -> bool {
    decided.memory == facts.memory
        && decided.notices.is_empty()
        && !decided.news
        && !decided.asks
        && decided.decision.actions.is_empty()
        && as_text(item, SAID) == Some(decided.decision.fingerprint().as_str())
}

/// Converges on one cluster under its lease; when another invocation has it, the next pass goes on.
async fn turn(function: &Storage, cloud: &impl Cloud, holder: &str, cause: &Cause, of: &Of) -> Result<(), Fault> {
    let done = lease::hold(cloud, NAME, &of.managed.target, cause, holder, async |lease| {
        let look = look(cloud, &function.owner, of, &lease.item).await?;
        let left = Left {
            cloud,
            lease,
            after: RefCell::new(None),
        };
        converge(&left, cloud, cause, look).await
    });
    done.await.map(drop)
}

impl Of {
    fn facts(
        &self,
        cloud: &impl Cloud,
        owner: &str,
        volumes: Vec<Volume>,
        snapshots: Vec<Snapshot>,
        item: &Item,
    ) -> Facts {
        let memory = attribute::<Memory>(item, MEMORY).unwrap_or_else(|malformed| {
            telemetry::malformed(NAME, cloud.now(), &malformed);
            None
        });
        Facts {
            cluster: self.managed.target.clone(),
            owner: owner.to_owned(),
            rule: self.rule,
            adopts: self.adopts,
            volumes,
            snapshots,
            named: Known::No,
            memory: memory.unwrap_or_default(),
        }
    }
}

/// What is known of a cluster, under its lease.
async fn look(cloud: &impl Cloud, owner: &str, of: &Of, item: &Item) -> Result<Look, Fault> {
    // What became of snapshots is asked first: what is attached after that is seen by the listing of volumes.
    let snapshots = cloud.snapshots_tagged(OWNER_TAG, owner).await?;
    let volumes = cloud.available_volumes().await?;
    let mut facts = of.facts(cloud, owner, volumes, snapshots, item);
    if facts.asks(cloud.now()) {
        match cloud.named_volumes(&facts.cluster.cluster).await {
            Ok(named) => facts.named = Known::Yes(named),
            // Of a cluster that is gone no task names anything.
            Err(error) if error.kind == Kind::NotFound => facts.named = Known::Yes([].into()),
            // What is not known stops what would be done, and the decision says so.
            Err(error) => telemetry::error(NAME, cloud.now(), &format!("{}: {error}", facts.cluster)),
        }
    }
    let news = decide(&facts, cloud.now()).news;
    Ok(Look {
        paused: of.managed.stored.paused.clone(),
        said: as_text(item, SAID).filter(|_| !news).map(str::to_owned),
        facts,
    })
}

/// What is known of a cluster.
#[derive(Debug, Clone, PartialEq)]
struct Look {
    paused: Pauses,
    facts: Facts,
    /// What was said last, unless other volumes are left behind than then.
    said: Option<String>,
}

/// What a decision is to leave behind.
struct Note {
    /// Stored before the calls.
    intended: Memory,
    /// Stored when there are none.
    otherwise: Memory,
    /// Told before that.
    notices: Vec<Notice>,
}

/// The domain, as the pipeline takes it: the volumes of one cluster under its lease.
struct Left<'a, C> {
    cloud: &'a C,
    lease: &'a Lease,
    /// What is remembered after the calls.
    after: RefCell<Option<Memory>>,
}

impl<C: Cloud> Left<'_, C> {
    async fn remember(&self, memory: &Memory) -> Result<(), Fault> {
        self.lease.store(self.cloud, MEMORY, to_attribute(WHAT, memory)?).await
    }

    async fn create(&self, request: &CreateSnapshot, memory: &mut Memory) -> Result<(), CloudError> {
        let volume = &request.volume_id;
        match self.cloud.create_snapshot(request).await {
            Ok(Snapped::Made(snapshot)) => memory.made(volume, &snapshot),
            Ok(Snapped::NoVolume) => memory.refused(volume),
            Ok(Snapped::Later(words)) => {
                tracing::warn!(volume, words, "EC2 makes no snapshot now; the next pass tries again");
                memory.refused(volume);
            }
            Err(error) => {
                // Of any other it is not known whether it was made.
                if matches!(error.kind, Kind::Throttled | Kind::Denied | Kind::Invalid | Kind::Full) {
                    memory.refused(volume);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn delete(&self, volume: &str, memory: &mut Memory) -> Result<(), CloudError> {
        match self.cloud.delete_volume(volume).await? {
            Removed::Done => memory.removed(volume, self.cloud.now()),
            Removed::InUse(words) => memory.in_use(volume, &words, self.cloud.now()),
        }
        Ok(())
    }

    /// Makes the calls; the first that failed is answered. What EC2 refuses of one volume does not stop the others.
    async fn call(&self, actions: &[Action], memory: &mut Memory) -> Result<(), CloudError> {
        let mut failed = Ok(());
        for (i, action) in actions.iter().enumerate() {
            let done = match action {
                Action::CreateSnapshot(request) => self.create(request, memory).await,
                Action::DeleteVolume { volume_id, .. } => self.delete(volume_id, memory).await,
            };
            let Err(error) = done else { continue };
            let is_of_one = matches!(error.kind, Kind::Denied | Kind::Invalid);
            failed = failed.and(Err(error));
            if !is_of_one {
                for action in &actions[i + 1..] {
                    if let Action::CreateSnapshot(request) = action {
                        memory.refused(&request.volume_id);
                    }
                }
                break;
            }
        }
        failed
    }

    async fn tell(&self, notices: &[Notice]) -> Result<(), Fault> {
        if notices.is_empty() {
            return Ok(());
        }
        let told = notices.iter().map(|notice| ports::Notice {
            detail_type: notice.stage.detail_type().to_owned(),
            at: notice.at,
            resources: Vec::new(),
            detail: notice.detail(),
        });
        let told: Vec<_> = told.collect();
        self.cloud.put_events(&told).await?;
        let failed = notices.iter().filter(|notice| notice.stage == Stage::SnapshotFailed);
        telemetry::counted(NAME, self.cloud.now(), &[("SnapshotsFailed", failed.count())]);
        Ok(())
    }
}

impl<C: Cloud> Domain for Left<'_, C> {
    const NAME: &'static str = NAME;
    type Facts = Look;
    type Action = Action;
    type Note = Note;

    fn target<'f>(&self, look: &'f Look) -> &'f Target {
        &look.facts.cluster
    }

    fn paused<'f>(&self, look: &'f Look) -> &'f Pauses {
        &look.paused
    }

    fn subject(&self, _: &Look) -> Option<String> {
        None
    }

    fn said<'f>(&self, look: &'f Look) -> Option<&'f str> {
        look.said.as_deref()
    }

    fn removals(&self) -> usize {
        REMOVED_AT_ONCE
    }

    fn holds(&self, _: &Look) -> bool {
        true
    }

    fn decide(&self, look: &Look, now: Timestamp) -> (Decision<Action>, Note) {
        let decided = decide(&look.facts, now);
        let note = Note {
            intended: decided.before_call(),
            otherwise: decided.memory,
            notices: decided.notices,
        };
        (decided.decision, note)
    }

    async fn apply(&self, _: &Look, decision: &Decision<Action>, note: &Note) -> Result<Applied<Look>, Fault> {
        // That a volume was told of is not stored before it was.
        self.tell(&note.notices).await?;
        let mut memory = note.intended.clone();
        self.remember(&memory).await?;
        let called = self.call(&decision.actions, &mut memory).await;
        if let Err(error) = called {
            self.remember(&memory).await?;
            return Err(error.into());
        }
        *self.after.borrow_mut() = Some(memory);
        Ok(Applied::Done)
    }

    async fn confirm(
        &self,
        _: Look,
        decision: &Decision<Action>,
        note: Note,
        said: String,
    ) -> Result<Confirmed<Look>, Fault> {
        if decision.actions.is_empty() {
            self.tell(&note.notices).await?;
        }
        let memory = self.after.take().unwrap_or(note.otherwise);
        let memory = to_attribute(WHAT, &memory)?;
        self.lease
            .release(self.cloud, vec![(MEMORY, memory), (SAID, text(said))])
            .await?;
        Ok(Confirmed::Settled)
    }
}
