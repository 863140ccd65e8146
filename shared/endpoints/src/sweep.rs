//! What is listed against what runs: the repair of whatever no event told.
//!
//! Calls grow with pages, not with tasks: a task that is listed as it should be costs nothing beyond the listing.

mod ghosts;
mod listing;
mod live;
mod report;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wharfinger_cloud::Fault;
use wharfinger_cloud::config::Found;
use wharfinger_cloud::pipeline::{Cause, converge};
use wharfinger_cloud::store;
use wharfinger_cloud::sweep::{Askable, Pass, Scope};
use wharfinger_cloud::table::Malformed;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::endpoint::{Facts, Member, decide};
use wharfinger_core::ids::Target;
use wharfinger_core::report::Effect;

use crate::apply::Converging;
use crate::held::Held;
use crate::{Cloud, Endpoints, HEALTH_CHECK, Side};
use crate::{draining, observe};

pub(crate) use ghosts::cluster_of;
use report::Findings;

/// How many removals one pass makes at most: more is more likely our mistake than the world's.
const REMOVALS: usize = 1_000;

/// How many listings, and how many tasks, are worked on at once.
const AT_ONCE: usize = 10;

/// What discovery and balancing can be asked for: every minute they look at the tasks that wait to be healthy.
pub const ASKABLE: Askable = Askable {
    only: HEALTH_CHECK,
    dry_run: true,
};

/// One pass, as it goes.
struct Sweep<'a, S, C, M> {
    function: &'a Endpoints<S>,
    cloud: &'a C,
    cause: Cause,
    scope: &'a Scope,
    targets: Vec<Managed>,
    /// Targets that may be configured, but cannot be read, or everything, when the configuration is not whole.
    unknown: Unknown,
    held: Held<M>,
    alive: RefCell<BTreeMap<String, Target>>,
    pass: RefCell<Pass>,
    found: RefCell<Findings>,
}

/// Of which targets the configuration is not known: nothing is taken from them for not being configured.
enum Unknown {
    Everything,
    These(Vec<Malformed>),
}

impl Unknown {
    fn has(&self, target: &Target) -> bool {
        match self {
            Self::Everything => true,
            Self::These(malformed) => malformed.iter().any(|m| m.key.ends_with(&target.key())),
        }
    }
}

/// One pass over every target.
///
/// # Errors
/// When parts of it failed; the others went through.
pub async fn sweep<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    event_id: &str,
    scope: &Scope,
) -> Result<Value, Fault> {
    function.removals.set(REMOVALS);
    let (found, meta) = tokio::join!(function.config.all_anew(cloud), store::whole(cloud));
    let (Found { targets, malformed }, meta) = (found?, meta?);
    let pass = Pass::of(S::Member::DOMAIN);
    pass.report(cloud, &malformed);
    let unknown = match meta {
        // A table without its version, or one that is being written, does not say what is not configured.
        Some(meta) if !meta.applying => Unknown::These(malformed),
        _ => Unknown::Everything,
    };
    let mut sweep = Sweep {
        function,
        cloud,
        cause: Cause {
            name: format!("sweep {event_id}"),
            at: None,
        },
        scope,
        targets,
        unknown,
        held: Held::default(),
        alive: RefCell::default(),
        pass: RefCell::new(pass),
        found: RefCell::default(),
    };
    sweep.list().await?;
    let tasks = sweep.live_tasks().await;
    // What goes makes room for what is missing.
    sweep.ghosts().await;
    sweep.repair(tasks).await;
    sweep.finish().await
}

impl<C: Cloud, S: Side<C>> Sweep<'_, S, C, S::Member> {
    /// Merges what was seen and converges, unless the ledger knows something newer: then on that.
    async fn settle(&self, facts: Facts<S::Member>) -> Result<(), Fault> {
        if self.scope.dry_run {
            let planned = decide(&facts);
            let calls = planned.actions.iter().map(|action| (action.call(), action.input()));
            self.found.borrow_mut().planned.extend(calls);
            return Ok(());
        }
        if facts.drain.seen {
            draining::note(self.cloud, &facts).await?;
        }
        let look = observe::seen(self.function, self.cloud, facts).await?;
        let converging = Converging::new(self.function, self.cloud);
        converge(&converging, self.cloud, &self.cause, look).await.map(drop)
    }

    fn part(&self, name: impl std::fmt::Display, result: Result<(), Fault>) {
        self.pass.borrow_mut().part(self.cloud, name, result);
    }
}

/// The registries or target groups that a target's entries name, as far as they are known.
pub(crate) fn collections<M: Member>(managed: &Managed) -> BTreeSet<String> {
    let entries = M::entries(&managed.stored.config);
    entries
        .iter()
        .filter_map(|entry| M::collection(&managed.stored, entry).ok())
        .collect()
}
