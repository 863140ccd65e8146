//! What is listed with our mark.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::{CloudError, Kind};
use wharfinger_core::endpoint::Member;

use super::report::Collection;
use super::{AT_ONCE, Sweep, collections};
use crate::{Cloud, Listed, Side, claims, observe};

/// What is listed.
pub(super) struct Held<M> {
    /// The collections that could be listed.
    pub listed: BTreeSet<String>,
    /// What stands for a task, by the task's ARN.
    pub by_task: BTreeMap<String, Vec<M>>,
    /// Addresses that are claimed for a task, and not listed: they may be registered yet.
    pub claimed: BTreeMap<String, Vec<M>>,
    /// The groups of the tasks, as far as they are known.
    pub groups: BTreeMap<String, String>,
    /// What is on its way out: nobody's, and not to be brought back.
    pub draining: Vec<M>,
}

impl<M> Default for Held<M> {
    fn default() -> Self {
        Self {
            listed: BTreeSet::new(),
            by_task: BTreeMap::new(),
            claimed: BTreeMap::new(),
            groups: BTreeMap::new(),
            draining: Vec::new(),
        }
    }
}

impl<M: Member> Held<M> {
    /// What is listed of a task.
    pub fn of(&self, task: &str) -> Vec<M> {
        self.by_task.get(task).cloned().unwrap_or_default()
    }

    /// What is listed of a task, or claimed for it.
    pub fn possible(&self, task: &str) -> Vec<M> {
        let claimed = self.claimed.get(task).cloned().unwrap_or_default();
        self.of(task).into_iter().chain(claimed).collect()
    }

    fn add(&mut self, listed: Vec<Listed<M>>, mut claims: BTreeMap<String, claims::Claim<M>>) {
        for Listed { member, task, draining } in listed {
            let claim = member.address().and_then(|address| claims.remove(&address));
            if draining {
                self.draining.push(member);
                continue;
            }
            let group = member
                .group()
                .or_else(|| claim.as_ref().and_then(|claim| claim.group.clone()));
            let owner = if M::SHARED {
                claim.map(|claim| claim.task.to_string())
            } else {
                task
            };
            if let Some(owner) = owner {
                self.groups.extend(group.map(|group| (owner.clone(), group)));
                self.by_task.entry(owner).or_default().push(member);
            }
        }
        if M::SHARED {
            for claim in claims.into_values() {
                let owner = claim.task.to_string();
                self.groups.extend(claim.group.map(|group| (owner.clone(), group)));
                self.claimed.entry(owner).or_default().push(claim.member);
            }
        }
    }
}

/// A collection with what is in it.
type Content<M> = (
    String,
    Result<(Vec<Listed<M>>, BTreeMap<String, claims::Claim<M>>), Fault>,
);

impl<C: Cloud, S: Side<C>> Sweep<'_, S, C, S::Member> {
    /// Lists every collection that is configured, and every one that something of ours may be in.
    pub(super) async fn list(&mut self) -> Result<(), Fault> {
        let noted = claims::noted::<S::Member>(self.cloud).await?;
        let covered = self.targets.iter().filter(|managed| self.scope.covers(&managed.target));
        let configured: BTreeSet<_> = covered.flat_map(collections::<S::Member>).collect();
        let all: BTreeSet<_> = configured.iter().chain(noted.keys()).cloned().collect();
        let contents: Vec<_> = stream::iter(all)
            .map(|id| self.content(id))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let forgets = !self.scope.dry_run && self.scope.target.is_none();
        for (id, content) in contents {
            match content {
                Ok((listed, claims)) => {
                    let empty = listed.is_empty() && claims.is_empty() && !configured.contains(&id);
                    if forgets && empty && noted.get(&id) == Some(&true) {
                        let result = claims::forget::<S::Member>(self.cloud, &id).await;
                        self.function.listed.borrow_mut().remove(&id);
                        self.part(&id, result);
                    }
                    self.count(&id, listed.len());
                    self.held.add(listed, claims);
                    self.held.listed.insert(id);
                }
                // What is gone holds nothing.
                Err(Fault::Cloud(error)) if error.kind == Kind::NotFound && !configured.contains(&id) => {
                    if forgets {
                        let result = claims::forget::<S::Member>(self.cloud, &id).await;
                        self.part(&id, result);
                    }
                }
                Err(Fault::Cloud(error)) if error.kind == Kind::NotFound => {
                    let gone = self.gone(&id, error);
                    self.part(&id, Err(gone));
                }
                Err(fault) => self.part(&id, Err(fault)),
            }
        }
        Ok(())
    }

    fn gone(&self, id: &str, error: CloudError) -> Fault {
        let named = self
            .targets
            .iter()
            .filter(|managed| collections::<S::Member>(managed).contains(id));
        let targets: Vec<_> = named.map(|managed| managed.target.to_string()).collect();
        Fault::Gone {
            what: id.to_owned(),
            targets: targets.join(", "),
            error,
        }
    }

    async fn content(&self, id: String) -> Content<S::Member> {
        let listed = self.function.side.list(self.cloud, &self.function.owner, &id);
        let claimed = async {
            if !S::Member::SHARED {
                return Ok::<_, Fault>(BTreeMap::new());
            }
            let (claims, malformed) = claims::all(self.cloud, &id).await?;
            observe::report::<S::Member>(self.cloud, &malformed);
            Ok(claims)
        };
        let (listed, claimed) = tokio::join!(listed, claimed);
        let content = listed.map_err(Fault::from).and_then(|listed| Ok((listed, claimed?)));
        (id, content)
    }

    /// Takes note of how full a collection is, and warns from four fifths of the quota.
    fn count(&self, id: &str, members: usize) {
        let quota = S::QUOTA;
        if members * 5 >= quota * 4 {
            tracing::warn!(
                collection = id,
                members,
                quota,
                "nearly full: what comes on top is refused"
            );
        }
        let collection = Collection {
            id: id.to_owned(),
            members,
            quota,
        };
        self.found.borrow_mut().collections.push(collection);
    }
}
