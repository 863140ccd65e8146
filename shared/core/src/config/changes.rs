//! From a document to the writes that store it: what changes, and in which transactions.
//!
//! Pure: what is stored now comes in, puts and deletes go out. Each transaction raises the version of the whole
//! configuration and holds only while the version is what was read, so two applies at once never mix. All items of one
//! target are in one transaction, so no function ever sees a target under one alarm as it was and under another as it is.

mod rewrite;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::stored::{Meta, Resolved, StoredCluster, StoredTarget};
use super::{Cluster, Document, Service};
use crate::ids::{IdError, Target, TargetKind};

pub use rewrite::rewrite;

/// How many items one transaction takes, besides [`Meta`] (DynamoDB API reference, `TransactWriteItems`).
const MAX_WRITES: usize = 99;

/// How much one transaction may weigh, in bytes of JSON. DynamoDB takes 4 MB of its own, slightly leaner format
/// (DynamoDB developer guide, "Quotas").
const MAX_BYTES: usize = 3_000_000;

/// What is stored now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Current {
    /// The configuration as a whole.
    pub meta: Meta,
    /// Every target.
    pub targets: BTreeMap<Target, StoredTarget>,
    /// Targets whose item cannot be read.
    pub malformed: BTreeSet<Target>,
    /// Every cluster.
    pub clusters: BTreeMap<String, StoredCluster>,
}

/// What becomes of a target or a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It is new.
    Add,
    /// It is stored otherwise.
    Change,
    /// It is stored so.
    Same,
    /// It is stored, and not in the document: it goes.
    Remove,
    /// It is stored, and not in the document: it stays all the same.
    Keep,
}

/// One target or cluster, before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared<K, V> {
    /// Which.
    pub key: K,
    /// What becomes of it.
    pub what: What,
    /// What is stored; `None` when nothing is, or nothing that can be read.
    pub before: Option<V>,
    /// What the document says.
    pub after: Option<V>,
}

/// A document compared with what is stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Every target of either.
    pub targets: Vec<Compared<Target, Service>>,
    /// Every cluster of either.
    pub clusters: Vec<Compared<String, Cluster>>,
}

impl Comparison {
    /// Whether anything would be written.
    pub fn differs(&self) -> bool {
        let differs = |what| matches!(what, What::Add | What::Change | What::Remove);
        self.targets.iter().any(|c| differs(c.what)) || self.clusters.iter().any(|c| differs(c.what))
    }
}

/// Compares a document with what is stored. What is not in the document goes with `prune`, and stays without.
///
/// # Errors
/// When a target of the document has no valid name; a validated document has none such.
pub fn compare(current: &Current, document: &Document, prune: bool) -> Result<Comparison, IdError> {
    let wanted = targets(document)?;
    let stored = current.targets.iter().map(|(target, stored)| (target, &stored.config));
    let mut targets = compared(&stored.collect(), &wanted, prune);
    for comparison in &mut targets {
        // The item is there, whatever it holds: it is written anew.
        if current.malformed.contains(&comparison.key) {
            comparison.what = What::Change;
        }
    }
    let unreadable = current.malformed.iter().filter(|target| !wanted.contains_key(target));
    targets.extend(unreadable.map(|target| Compared {
        key: target.clone(),
        what: if prune { What::Remove } else { What::Keep },
        before: None,
        after: None,
    }));
    let stored = current.clusters.iter().map(|(name, stored)| (name, &stored.config));
    let clusters = compared(&stored.collect(), &document.clusters, prune);
    Ok(Comparison { targets, clusters })
}

fn targets(document: &Document) -> Result<BTreeMap<Target, Service>, IdError> {
    document
        .entries()
        .map(|entry| Ok((Target::parse(entry.kind, &entry.name)?, entry.config)))
        .collect()
}

fn compared<K, V>(stored: &BTreeMap<&K, &V>, wanted: &BTreeMap<K, V>, prune: bool) -> Vec<Compared<K, V>>
where
    K: Ord + Clone,
    V: PartialEq + Clone,
{
    let keys: BTreeSet<&K> = stored.keys().copied().chain(wanted.keys()).collect();
    let compare = |key: &K| {
        let (before, after) = (stored.get(key).copied(), wanted.get(key));
        let what = match (before, after) {
            (None, _) => What::Add,
            (Some(before), Some(after)) if before == after => What::Same,
            (Some(_), Some(_)) => What::Change,
            (Some(_), None) if prune => What::Remove,
            (Some(_), None) => What::Keep,
        };
        Compared {
            key: key.clone(),
            what,
            before: before.cloned(),
            after: after.cloned(),
        }
    };
    keys.into_iter().map(compare).collect()
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A target, or a copy of it, is stored.
    PutTarget {
        /// Under which partition.
        partition: String,
        /// Which target.
        target: Target,
        /// What is stored.
        stored: Box<StoredTarget>,
    },
    /// A target, or a copy of it, is deleted.
    DeleteTarget {
        /// From which partition.
        partition: String,
        /// Which target.
        target: Target,
    },
    /// A cluster is stored.
    PutCluster(String, StoredCluster),
    /// A cluster is deleted.
    DeleteCluster(String),
}

/// Writes that are made together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// The version that must be stored; 0 is none.
    pub expects: u64,
    /// What is stored with it.
    pub meta: Meta,
    /// The writes: with the meta item at most as many as DynamoDB takes.
    pub writes: Vec<Write>,
}

/// When it is written, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The time.
    pub at: Timestamp,
    /// The caller's ARN.
    pub by: String,
}

/// What is compared, and the transactions that store it, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What changes.
    pub comparison: Comparison,
    /// The services that are asked to linger from now on, or to linger no more.
    pub lingering: Vec<Target>,
    /// The transactions; none when everything is stored already.
    pub transactions: Vec<Transaction>,
}

/// The transactions that store a document. `names` is what its names mean.
///
/// Targets that are stored so already are not written again. What is paused stays paused, and an override of the bounds stays.
///
/// # Errors
/// When a target of the document has no valid name; a validated document has none such.
pub fn plan(
    current: &Current,
    document: &Document,
    names: &Resolved,
    prune: bool,
    stamp: &Stamp,
) -> Result<Plan, IdError> {
    planned(current, document, names, prune, stamp, false)
}

/// The same; and each service of the document that has `drain`, or had it until now, is asked to follow it at once.
///
/// # Errors
/// As [`plan`].
pub fn plan_lingering(
    current: &Current,
    document: &Document,
    names: &Resolved,
    prune: bool,
    stamp: &Stamp,
) -> Result<Plan, IdError> {
    planned(current, document, names, prune, stamp, true)
}

fn planned(
    current: &Current,
    document: &Document,
    names: &Resolved,
    prune: bool,
    stamp: &Stamp,
    linger: bool,
) -> Result<Plan, IdError> {
    let mut comparison = compare(current, document, prune)?;
    let (mut groups, mut lingering) = (Vec::new(), Vec::new());
    for compared in &mut comparison.targets {
        let asked = Some(stamp.at).filter(|_| linger && lingers(compared));
        if asked.is_some() {
            lingering.push(compared.key.clone());
        }
        if let Some(group) = target_writes(current, compared, names, asked) {
            groups.push(group);
        }
    }
    for compared in &comparison.clusters {
        match (compared.what, &compared.after) {
            (What::Add | What::Change, Some(cluster)) => {
                let mut stored = StoredCluster::new(cluster.clone());
                if let Some(before) = current.clusters.get(&compared.key) {
                    stored.paused.clone_from(&before.paused);
                }
                groups.push(vec![Write::PutCluster(compared.key.clone(), stored)]);
            }
            (What::Remove, _) => groups.push(vec![Write::DeleteCluster(compared.key.clone())]),
            _ => {}
        }
    }
    Ok(Plan {
        comparison,
        lingering,
        transactions: pack(&current.meta, groups, stamp),
    })
}

/// Whether a service of the document has `drain`, or had it: the side container is added, or taken out.
fn lingers(compared: &Compared<Target, Service>) -> bool {
    let has = |config: &Option<Service>| config.as_ref().is_some_and(|config| config.drain.is_some());
    compared.key.kind == TargetKind::Service
        && compared.after.is_some()
        && (has(&compared.before) || has(&compared.after))
}

/// All writes of one target.
fn target_writes(
    current: &Current,
    compared: &mut Compared<Target, Service>,
    names: &Resolved,
    asked: Option<Timestamp>,
) -> Option<Vec<Write>> {
    let target = &compared.key;
    let before = current.targets.get(target);
    let after = match (compared.what, &compared.after) {
        (What::Remove, _) => None,
        (_, Some(config)) => {
            let mut stored = StoredTarget::new(config.clone()).resolved(names);
            if let Some(before) = before {
                stored.keep(before);
            }
            stored.linger_asked = asked.or(stored.linger_asked);
            if compared.what == What::Same {
                let names = |stored: &StoredTarget| (stored.registries.clone(), stored.target_groups.clone());
                if before.is_none_or(|before| names(before) != names(&stored)) {
                    // Its text is the same, but a name means something else now.
                    compared.what = What::Change;
                } else if asked.is_none() {
                    return None;
                }
            }
            Some(stored)
        }
        (_, None) => return None,
    };
    // Of an item that cannot be read only its own place is known.
    let old = before.map_or_else(
        || StoredTarget::new(Service::default()).partitions(),
        StoredTarget::partitions,
    );
    let new = after.as_ref().map(StoredTarget::partitions).unwrap_or_default();
    let gone = old.into_iter().filter(|partition| !new.contains(partition));
    let mut writes: Vec<_> = gone
        .map(|partition| Write::DeleteTarget {
            partition,
            target: target.clone(),
        })
        .collect();
    if let Some(stored) = after {
        let put = |partition| Write::PutTarget {
            partition,
            target: target.clone(),
            stored: Box::new(stored.clone()),
        };
        writes.extend(new.into_iter().map(put));
    }
    Some(writes)
}

/// Packs groups, each of which stays together, into transactions.
fn pack(meta: &Meta, groups: Vec<Vec<Write>>, stamp: &Stamp) -> Vec<Transaction> {
    let mut packed: Vec<Vec<Write>> = Vec::new();
    let mut bytes = 0;
    for group in groups {
        let weight: usize = group.iter().map(weight).sum();
        match packed.last_mut() {
            Some(last) if last.len() + group.len() <= MAX_WRITES && bytes + weight <= MAX_BYTES => {
                last.extend(group);
                bytes += weight;
            }
            _ => {
                packed.push(group);
                bytes = weight;
            }
        }
    }
    // An apply that was broken off is over once everything is stored.
    if packed.is_empty() && meta.applying {
        packed.push(Vec::new());
    }
    let count = packed.len();
    let transaction = |(i, mut writes): (usize, Vec<Write>)| {
        let expects = meta.version + i as u64;
        let version = expects + 1;
        for write in &mut writes {
            if let Write::PutTarget { stored, .. } = write {
                stored.version = version;
            }
        }
        let (at, by) = (Some(stamp.at), Some(stamp.by.clone()));
        Transaction {
            expects,
            meta: Meta {
                version,
                at,
                by,
                applying: i + 1 < count,
            },
            writes,
        }
    };
    packed.into_iter().enumerate().map(transaction).collect()
}

fn weight(write: &Write) -> usize {
    match write {
        Write::PutTarget { stored, .. } => serde_json::to_vec(stored).map_or(0, |json| json.len()),
        Write::PutCluster(_, stored) => serde_json::to_vec(&stored.config).map_or(0, |json| json.len()),
        Write::DeleteTarget { .. } | Write::DeleteCluster(_) => 0,
    }
}

/// The document that would store what is stored now: what `export` prints.
pub fn document(current: &Current) -> Document {
    let clusters = current.clusters.iter();
    let mut document = Document {
        version: super::VERSION,
        clusters: clusters
            .map(|(name, stored)| (name.clone(), stored.config.clone()))
            .collect(),
        ..Document::default()
    };
    for (target, stored) in &current.targets {
        match target.kind {
            TargetKind::Service => {
                document.services.insert(target.to_string(), stored.config.clone());
            }
            TargetKind::Task => {
                document.tasks.insert(target.to_string(), stored.config.clone().into());
            }
            // A cluster is stored apart.
            TargetKind::Cluster => {}
        }
    }
    document
}

#[cfg(test)]
mod tests;
