//! What is known of a cluster: instances that go, and tasks that find no place.

use std::io::{self, Write};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use wharfinger_cloud::history::{self, Newest};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::{Item, Key, Malformed, Table, TableName, as_number, as_text};
use wharfinger_core::capacity::placement::{Memory, Raise};
use wharfinger_core::capacity::{Did, Going, Standing};
use wharfinger_core::config::holds::Holds;
use wharfinger_core::config::stored::{ManagedCluster, Pauses};
use wharfinger_core::config::{Capacity, Placement};
use wharfinger_core::report::counted;

use super::RECORDS;
use super::orphans::{self, Orphans};
use super::row::{Decided, remembered};
use super::text::decision;
use crate::holds::pause;
use crate::output::{GREEN, YELLOW, warning};

/// The attribute with what placement remembers, and those of an instance that goes, as the reference has them.
const PLACEMENT: &str = "capacity-placement";
const CAUSES: &str = "causes";
const DID: &str = "did";
/// The attributes of a service that finds no place.
const REASON: &str = "reason";
const AT: &str = "at";

/// How many instances are printed for people who asked for no cluster.
const NAMED: usize = 5;

/// What is known of a cluster. Of one without `capacity` and `storage` nothing is.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Cluster {
    pub(super) target: String,
    /// What is paused.
    pub(super) paused: Pauses,
    /// What is known of its instances, where it has `capacity`.
    pub(super) capacity: Option<OfCapacity>,
    /// What is known of volumes that ECS left behind, where it has `storage.orphans`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) orphans: Option<Orphans>,
}

/// What is known of its instances and places.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OfCapacity {
    /// Whether every step is said and none is made.
    dry_run: bool,
    /// The instances that go, or of which something was told, by their EC2 id.
    instances: Vec<Instance>,
    /// The services that find no place for a task.
    unplaced: Vec<Unplaced>,
    /// How its Auto Scaling group grew, where the configuration names one.
    placement: Option<Placed>,
    /// The last decision in the history.
    decision: Option<Decided>,
}

/// An instance.
#[derive(Debug, PartialEq, Serialize)]
struct Instance {
    /// Its EC2 id.
    #[serde(rename = "instance")]
    id: String,
    /// Whether it goes; else it is suspected, or stays.
    goes: bool,
    why: String,
    since: Option<Timestamp>,
    /// Until when it is waited for at most, or when it is taken away.
    until: Option<Timestamp>,
    /// What was done.
    did: Did,
}

/// A service that finds no place.
#[derive(Debug, PartialEq, Serialize)]
struct Unplaced {
    service: String,
    reason: String,
    /// When ECS told it last.
    at: Option<Timestamp>,
}

/// Steps of an Auto Scaling group.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Placed {
    auto_scaling_group: String,
    /// A raise that was begun and is not made, as far as is known.
    unfinished: Option<Raise>,
    /// The last one.
    last: Option<Raise>,
    /// Until when the cooldown lets it not grow, where that is later than now.
    no_more_before: Option<Timestamp>,
}

/// Reads what is known of a cluster: four calls.
pub(super) async fn look(cloud: &(impl Table + Newest + Clock), managed: &ManagedCluster) -> anyhow::Result<Cluster> {
    let target = &managed.target;
    let now = cloud.now();
    let holds = Holds::of_cluster(&managed.stored, now);
    let mut cluster = Cluster {
        target: target.to_string(),
        paused: holds.paused,
        capacity: None,
        orphans: match managed.stored.config.orphans() {
            Some(rule) => Some(orphans::look(cloud, target, rule).await?),
            None => None,
        },
    };
    let Some(capacity) = &managed.stored.config.capacity else {
        return Ok(cluster);
    };
    let key = service_key(target);
    let (going, unplaced) = (format!("going#{target}"), format!("unplaced#{target}"));
    let (item, going, unplaced, records) = tokio::join!(
        cloud.get(TableName::State, &key),
        cloud.query(TableName::State, &going),
        cloud.query(TableName::State, &unplaced),
        history::newest(cloud, target, RECORDS)
    );
    let unread = || format!("the state of {target} cannot be read");
    let item = item.with_context(unread)?.unwrap_or_default();
    let (going, unplaced) = (going.with_context(unread)?, unplaced.with_context(unread)?);
    let (records, mut malformed) = records.with_context(unread)?;
    let memory: Memory = remembered(&item, PLACEMENT, &mut malformed);
    let decision = records.iter().find(|record| record.domain == "capacity");
    cluster.capacity = Some(OfCapacity {
        dry_run: capacity.dry_run,
        instances: instances(managed, capacity, &going, now, &mut malformed),
        unplaced: unplaced
            .iter()
            .filter_map(|item| Unplaced::of(&target.cluster, item))
            .collect(),
        placement: capacity.placement.as_ref().map(|rule| Placed::of(rule, memory, now)),
        decision: decision.map(Decided::of),
    });
    for malformed in malformed {
        warning(malformed);
    }
    Ok(cluster)
}

fn instances(
    managed: &ManagedCluster,
    capacity: &Capacity,
    rows: &[Item],
    now: Timestamp,
    malformed: &mut Vec<Malformed>,
) -> Vec<Instance> {
    let mut instances = Vec::new();
    for row in rows {
        let Some(key) = Key::of(row) else { continue };
        let going = Going {
            causes: remembered(row, CAUSES, malformed),
            did: remembered(row, DID, malformed),
        };
        let standing = Standing::of(&managed.target, capacity, &key.sk, &going, now);
        instances.extend(standing.map(|standing| Instance {
            id: key.sk,
            goes: standing.goes,
            why: standing.why,
            since: standing.since,
            until: standing.until,
            did: Did {
                over: None,
                ..going.did
            },
        }));
    }
    // Those that go first, the oldest before the others.
    instances.sort_by(|a, b| (!a.goes, a.since, &a.id).cmp(&(!b.goes, b.since, &b.id)));
    instances
}

impl Unplaced {
    /// Reads a row; what is not there any more has no reason.
    fn of(cluster: &str, item: &Item) -> Option<Self> {
        Some(Self {
            service: format!("{cluster}/{}", Key::of(item)?.sk),
            reason: as_text(item, REASON)?.to_owned(),
            at: as_number(item, AT).and_then(|at| Timestamp::from_second(at).ok()),
        })
    }
}

impl Placed {
    fn of(rule: &Placement, memory: Memory, now: Timestamp) -> Self {
        let own = |raise: &Raise| raise.group == rule.auto_scaling_group;
        let last = memory.last.filter(own);
        let cooled = last
            .as_ref()
            .and_then(|last| last.at.checked_add(rule.cooldown.duration()).ok());
        Self {
            auto_scaling_group: rule.auto_scaling_group.clone(),
            unfinished: memory.intent.filter(own),
            no_more_before: cooled.filter(|until| now < *until),
            last,
        }
    }
}

impl Cluster {
    /// How many of its instances go.
    pub(super) fn going(&self) -> usize {
        let all = self.capacity.iter().flat_map(|of| &of.instances);
        all.filter(|instance| instance.goes).count()
    }

    /// The most notable of it, in a word or some.
    pub(super) fn state(&self) -> (anstyle::Style, &'static str) {
        let Some(of) = &self.capacity else {
            let left = self.orphans.as_ref().map(Orphans::state);
            return match left {
                _ if !self.paused.is_empty() => (YELLOW, "paused"),
                Some(Some(state)) => (YELLOW, state),
                Some(None) => (GREEN, "fine"),
                None => (GREEN, "without capacity"),
            };
        };
        let open = of.decision.as_ref().is_some_and(Decided::is_open);
        if !self.paused.is_empty() {
            (YELLOW, "paused")
        } else if self.going() > 0 {
            (YELLOW, "instances go")
        } else if !of.unplaced.is_empty() {
            (YELLOW, "tasks find no place")
        } else if let Some(state) = self.orphans.as_ref().and_then(Orphans::state) {
            (YELLOW, state)
        } else if of.instances.iter().any(|one| one.did.disconnected.is_some()) {
            (YELLOW, "an agent is disconnected")
        } else if open {
            (YELLOW, "waits")
        } else if of.dry_run {
            (YELLOW, "dry run")
        } else {
            (GREEN, "fine")
        }
    }

    /// Prints what there is below its line, for people.
    pub(super) fn text(&self, out: &mut dyn Write, whole: bool) -> io::Result<()> {
        for (domain, until) in &self.paused {
            writeln!(out, "    {}", pause(domain, *until))?;
        }
        if let Some(orphans) = &self.orphans {
            orphans.text(out, whole)?;
        }
        let Some(of) = &self.capacity else { return Ok(()) };
        if of.dry_run {
            writeln!(out, "    dry run: every step is said, and none is made")?;
        }
        let shown = of.instances.iter().filter(|one| whole || one.is_notable());
        let shown: Vec<_> = shown.collect();
        let most = if whole { shown.len() } else { NAMED };
        for instance in shown.iter().take(most) {
            instance.text(out)?;
        }
        if shown.len() > most {
            writeln!(out, "    and {} more", shown.len() - most)?;
        }
        for Unplaced { service, reason, at } in &of.unplaced {
            let at = at.map_or_else(String::new, |at| format!(", told at {at}"));
            writeln!(out, "    {YELLOW}{service} finds no place{YELLOW:#}: {reason}{at}")?;
        }
        if let Some(placed) = &of.placement {
            placed.text(out)?;
        }
        match &of.decision {
            Some(decided) if whole || decided.is_open() => decision(out, "capacity", decided, whole, |_| false),
            _ => Ok(()),
        }
    }
}

impl Instance {
    /// Whether it goes or is suspected: of one that stays nothing need be said.
    fn is_notable(&self) -> bool {
        self.goes || self.did.disconnected.is_some()
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let word = if self.goes { "goes" } else { "stays" };
        let since = self.since.map_or_else(String::new, |at| format!(" since {at}"));
        let until = self.until.map_or_else(String::new, |at| format!("; until {at}"));
        writeln!(
            out,
            "    {YELLOW}{} {word}{YELLOW:#}{since}: {}{until}",
            self.id, self.why
        )?;
        let did = &self.did;
        let step = |what: &str, at: Option<Timestamp>| at.map(|at| format!("{what} at {at}"));
        let steps = [
            step("drained", did.drained_at),
            step("given up", did.unhealthy_at),
            step("last heartbeat", did.heartbeat_at),
            step("its group told to go on", did.completed.values().max().copied()),
            step("taken back", did.activated_at),
        ];
        let steps: Vec<_> = steps.into_iter().flatten().collect();
        if steps.is_empty() {
            return Ok(());
        }
        writeln!(out, "        {}", steps.join(", "))
    }
}

impl Placed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let group = &self.auto_scaling_group;
        if let Some(Raise { from, to, at, .. }) = &self.last {
            let until = self.no_more_before;
            let until = until.map_or_else(String::new, |until| format!("; it does not grow before {until}"));
            writeln!(
                out,
                "    {group} was raised from {from} to {} at {at}{until}",
                counted(to, "instance")
            )?;
        }
        match &self.unfinished {
            Some(Raise { from, to, at, .. }) => writeln!(
                out,
                "    {YELLOW}the raise of {group} from {from} to {to} is not finished since {at}{YELLOW:#}"
            ),
            None => Ok(()),
        }
    }
}
