//! What holds for targets besides their configuration, written like an apply: every copy at once, while nobody else writes.

use std::collections::BTreeMap;

use super::{Current, Stamp, Transaction, Write, pack};
use crate::config::holds::Holds;
use crate::ids::{Target, TargetKind};

/// The transactions after which this holds for these targets; none when it does already, or nothing is stored of them.
/// Their configuration stays as it is.
pub fn rewrite(current: &Current, holds: &BTreeMap<Target, Holds>, stamp: &Stamp) -> Vec<Transaction> {
    let mut groups = Vec::new();
    for (target, holds) in holds {
        if target.kind == TargetKind::Cluster {
            groups.extend(of_cluster(current, target, holds, stamp).map(|write| vec![write]));
            continue;
        }
        let Some(before) = current.targets.get(target) else {
            continue;
        };
        if Holds::of(before, stamp.at) == *holds {
            continue;
        }
        let mut stored = before.clone();
        stored.paused.clone_from(&holds.paused);
        stored.scale = holds.scale;
        stored.approvals.clone_from(&holds.approvals);
        stored.back.clone_from(&holds.back);
        stored.restore.clone_from(&holds.restore);
        let put = |partition| Write::PutTarget {
            partition,
            target: target.clone(),
            stored: Box::new(stored.clone()),
        };
        groups.push(stored.partitions().into_iter().map(put).collect());
    }
    if groups.is_empty() {
        return Vec::new();
    }
    let mut transactions = pack(&current.meta, groups, stamp);
    for transaction in &mut transactions {
        // An apply that was broken off is no more done by this.
        transaction.meta.applying |= current.meta.applying;
    }
    transactions
}

fn of_cluster(current: &Current, target: &Target, holds: &Holds, stamp: &Stamp) -> Option<Write> {
    let before = current.clusters.get(&target.cluster)?;
    (Holds::of_cluster(before, stamp.at) != *holds).then(|| {
        let mut stored = before.clone();
        stored.paused.clone_from(&holds.paused);
        Write::PutCluster(target.cluster.clone(), stored)
    })
}
