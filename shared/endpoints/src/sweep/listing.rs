//! What is listed with our mark.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::{CloudError, Kind};

use super::report::Collection;
use super::{AT_ONCE, Sweep, collections};
use crate::held::content;
use crate::{Cloud, Side, claims};

impl<C: Cloud, S: Side<C>> Sweep<'_, S, C, S::Member> {
    /// Lists every collection that is configured, and every one that something of ours may be in.
    pub(super) async fn list(&mut self) -> Result<(), Fault> {
        let noted = claims::noted::<S::Member>(self.cloud).await?;
        let covered = self.targets.iter().filter(|managed| self.scope.covers(&managed.target));
        let configured: BTreeSet<_> = covered.flat_map(collections::<S::Member>).collect();
        let all: BTreeSet<_> = configured.iter().chain(noted.keys()).cloned().collect();
        let (function, cloud) = (self.function, self.cloud);
        let contents: Vec<_> = stream::iter(all)
            .map(|id| async move {
                let content = content(function, cloud, &id).await;
                (id, content)
            })
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
