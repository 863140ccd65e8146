//! What is listed, and for which tasks it stands.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_cloud::Fault;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::endpoint::{Belief, Facts, Member, Others, Wanted, wanted};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::TaskArn;
use wharfinger_core::known::Known;

use crate::{Cloud, Endpoints, Listed, Side, claims, observe};

/// What is listed.
pub(crate) struct Held<M> {
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
    /// What is there and takes no requests yet, or none any more.
    pub idle: Vec<M>,
}

impl<M> Default for Held<M> {
    fn default() -> Self {
        Self {
            listed: BTreeSet::new(),
            by_task: BTreeMap::new(),
            claimed: BTreeMap::new(),
            groups: BTreeMap::new(),
            draining: Vec::new(),
            idle: Vec::new(),
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

    /// Takes in what is in a collection.
    pub fn add(&mut self, listed: Vec<Listed<M>>, mut claims: BTreeMap<String, claims::Claim<M>>) {
        for Listed {
            member,
            task,
            draining,
            serves,
        } in listed
        {
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
                if !serves {
                    self.idle.push(member.clone());
                }
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

    /// Which other endpoints of a task's target are in a collection. Of the target's tasks at least those are given that are
    /// listed there; `draining` are the instances that drain.
    pub fn others(
        &self,
        own: Option<&TaskArn>,
        tasks: &[&TaskStateChange],
        draining: &BTreeSet<String>,
        collection: &str,
    ) -> Others {
        let others = tasks
            .iter()
            .filter(|task| Some(&task.task_arn) != own && !task.is_leaving());
        let stands = others.filter_map(|task| {
            let held = self.by_task.get(task.task_arn.as_str())?;
            let mut here = held.iter().filter(|member| member.kept_in() == collection).peekable();
            here.peek()?;
            let host = task.container_instance_arn.as_ref();
            let drains = host.is_some_and(|host| draining.contains(host));
            let serves = here.any(|member| !self.idle.iter().any(|idle| idle.is_same(member)));
            Some(if serves && !drains {
                Others::Steady
            } else {
                Others::Draining
            })
        });
        stands.max().unwrap_or_default()
    }

    /// The facts of a task as it is listed.
    pub fn facts<S>(&self, function: &Endpoints<S>, managed: &Managed, task: TaskStateChange) -> Facts<M> {
        let belief = Belief {
            registered: self.of(task.task_arn.as_str()),
            uncertain: Vec::new(),
        };
        let mut facts = Facts {
            looked_up: true,
            ..observe::facts(function, managed.clone(), task, belief)
        };
        let members = observe::members(&facts);
        let own = |gone: &&M| members.iter().any(|member| member.is_same(gone));
        facts.draining = self.draining.iter().filter(own).cloned().collect();
        facts
    }

    /// Whether just what is wanted is listed. What an entry wants that a look-up would tell is taken to be what is listed
    /// besides: a network interface keeps its public address.
    pub fn as_wanted(&self, facts: &Facts<M>) -> bool {
        let held = match &facts.belief {
            Known::Yes(belief) => belief.registered.as_slice(),
            Known::No => &[],
        };
        let (mut told, mut untold) = (0, 0);
        for answer in wanted(facts) {
            match answer {
                Wanted::Member(member) if held.contains(&member) => told += 1,
                // It was ours, or a person's wish, that it drains: it joins again once it has gone.
                Wanted::Member(member) if self.draining.iter().any(|gone| gone.is_same(&member)) => {}
                Wanted::Member(_) => return false,
                // Whether it leaves is told with the rest.
                Wanted::Needs(..) if facts.drain.drains && !held.is_empty() => return false,
                Wanted::Needs(..) => untold += 1,
                Wanted::Nothing(_) => {}
            }
        }
        held.len() == told + untold
    }
}

/// What is in a collection, and who has claimed which address in it.
pub(crate) type Content<M> = (Vec<Listed<M>>, BTreeMap<String, claims::Claim<M>>);

/// Lists a collection.
///
/// # Errors
/// When AWS or the state table does not answer.
pub(crate) async fn content<C: Cloud, S: Side<C>>(
    function: &Endpoints<S>,
    cloud: &C,
    id: &str,
) -> Result<Content<S::Member>, Fault> {
    let listed = function.side.list(cloud, &function.owner, id);
    let claimed = async {
        if !S::Member::SHARED {
            return Ok::<_, Fault>(BTreeMap::new());
        }
        let (claims, malformed) = claims::all(cloud, id).await?;
        observe::report::<S::Member>(cloud, &malformed);
        Ok(claims)
    };
    let (listed, claimed) = tokio::join!(listed, claimed);
    Ok((listed?, claimed?))
}
