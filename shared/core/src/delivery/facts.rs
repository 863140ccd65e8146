//! What is known of a target and of the images that it is to have.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::gate::ScanReport;
use super::revision::task_definition_arn;
use super::{Follower, ImageFacts, Intent, Linger, Memory, Proof, Volumes, Wish};
use crate::capacity::crash::{CrashLoop, Stops};
use crate::config::asked::{Approved, Back, BackTo};
use crate::config::stored::Managed;
use crate::config::{Base, Delivery, Storage};
use crate::ids::{Digest, Target, TargetKind, TaskDefinitionRef};
use crate::known::Known;
use crate::service::ServiceFacts;
use crate::storage::Provided;

/// How many revisions after the one before are looked at for one whose registration was not answered.
const LOOKED_AT: usize = 5;

/// What [`super::decide()`] looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The service or family.
    pub target: Target,
    /// Its rules.
    pub rules: Vec<Delivery>,
    /// Our account: `shop/web` is in its registry.
    pub account: String,
    /// Our Region.
    pub region: String,
    /// What each rule wants, by [`super::rule_key`].
    pub wishes: BTreeMap<String, Wish>,
    /// The service, `None` when ECS does not know it; of no use for a family.
    pub service: Known<Option<ServiceFacts>>,
    /// The raw answer of `DescribeTaskDefinition` with tags, for [`Facts::base_name`]; `None` when there is none.
    pub definition: Known<Option<Value>>,
    /// The same for [`Facts::family_name`]: the family's newest ACTIVE revision.
    pub latest: Known<Option<Value>>,
    /// The same of the revision that `wharfinger rollback` names.
    pub back_to: Known<Option<Value>>,
    /// The same of each of [`Facts::unanswered_names`]; those that are not there are left out.
    pub since: Vec<Value>,
    /// The revisions that the service was sent to since [`Facts::sent_since`].
    pub sent_to: Known<Vec<String>>,
    /// How long its tasks are to linger.
    pub linger: Option<Linger>,
    /// When `apply --linger` last asked that this be rolled out without an image to wait for.
    pub linger_asked: Option<Timestamp>,
    /// The images that people agreed to.
    pub approvals: Vec<Approved>,
    /// The last `wharfinger rollback`.
    pub back: Option<Back>,
    /// What the registry says of the images; what is not known is not held against one.
    pub images: BTreeMap<Digest, ImageFacts>,
    /// What their scans found; what is not known keeps the gate closed.
    pub scans: BTreeMap<Digest, ScanReport>,
    /// The services that `after` names, as they name them.
    pub sources: BTreeMap<String, Neighbour>,
    /// The targets that take part in the waves of a rule, in their order and with this one among them, by
    /// [`super::rule_key`].
    pub peers: BTreeMap<String, Vec<Peer>>,
    /// What runs the family on a schedule in its cluster, as AWS answers each.
    pub followers: Known<Vec<(Follower, Value)>>,
    /// Those of them that nobody but an AWS service may move.
    pub unmovable: BTreeSet<Follower>,
    /// How its volumes are kept.
    pub storage: Vec<Storage>,
    /// What is known of its volumes, where a rollout restores them.
    pub volumes: Volumes,
    /// The access points that there are for its volumes on EFS, by the volume's name.
    pub access_points: Known<BTreeMap<String, Provided>>,
    /// Until when the account's rate of calls leaves no room.
    pub paced: Option<Timestamp>,
    /// What is known of its tasks that stopped.
    pub stops: Stops,
    /// What was stored of its rollouts.
    pub memory: Memory,
}

/// What another target remembers of its rollouts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Neighbour {
    /// What it runs as it is wanted there.
    pub proved: Vec<Proof>,
    /// What failed there, and does not run now.
    pub failed: Vec<Digest>,
}

/// Another target that takes images of the same repository in waves.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// Which.
    pub target: Target,
    /// What it remembers.
    pub neighbour: Known<Neighbour>,
}

impl Facts {
    /// What is known of a target before anything is looked up.
    pub fn of(managed: &Managed, account: &str, region: &str) -> Self {
        let stored = &managed.stored;
        Self {
            target: managed.target.clone(),
            rules: stored.config.delivery.clone(),
            account: account.to_owned(),
            region: region.to_owned(),
            wishes: BTreeMap::new(),
            service: Known::No,
            definition: Known::No,
            latest: Known::No,
            back_to: Known::No,
            since: Vec::new(),
            sent_to: Known::No,
            linger: Linger::of(&stored.config),
            linger_asked: stored.linger_asked,
            approvals: stored.approvals.clone(),
            back: stored.back.clone(),
            images: BTreeMap::new(),
            scans: BTreeMap::new(),
            sources: BTreeMap::new(),
            peers: BTreeMap::new(),
            followers: Known::No,
            unmovable: BTreeSet::new(),
            storage: stored.config.storage.clone(),
            volumes: Volumes::default(),
            access_points: Known::No,
            paced: None,
            stops: Stops::default(),
            memory: Memory::default(),
        }
    }

    /// The crash loop of the revision that was rolled out last and had come up: it was taken for good too soon.
    pub fn relapse(&self) -> Option<&CrashLoop> {
        let fresh = self.memory.fresh.as_ref()?;
        self.stops.against(&fresh.to, fresh.at)
    }

    /// The `apply --linger` that is still to be answered; a family has no tasks to roll out.
    pub fn asks_to_linger(&self) -> Option<Timestamp> {
        let is_open = |at: &Timestamp| self.memory.lingered.is_none_or(|done| done < *at);
        self.linger_asked
            .filter(is_open)
            .filter(|_| self.target.kind == TargetKind::Service)
    }

    /// The `wharfinger rollback` that is still to be answered.
    pub fn asks_back(&self) -> Option<&Back> {
        let is_open = |back: &&Back| self.memory.went_back.is_none_or(|done| done < back.at);
        self.back.as_ref().filter(is_open)
    }

    /// What `DescribeTaskDefinition` is to be asked for: the service's own revision, or the family, which means its latest
    /// ACTIVE one. `None` as long as the service is not known, and when there is none.
    pub fn base_name(&self) -> Option<&str> {
        match (self.target.kind, &self.service) {
            (TargetKind::Task, _) => Some(&self.target.name),
            (TargetKind::Service, Known::Yes(Some(service))) => Some(&service.task_definition),
            (TargetKind::Service, Known::Yes(None) | Known::No) | (TargetKind::Cluster, _) => None,
        }
    }

    /// What else `DescribeTaskDefinition` is to be asked for: the family of the revision that the service runs, which means
    /// its newest ACTIVE one. `None` where the answer for [`Facts::base_name`] is that already.
    pub fn family_name(&self) -> Option<&str> {
        match (self.target.kind, &self.service) {
            (TargetKind::Service, Known::Yes(Some(service))) => {
                TaskDefinitionRef::parse(&service.task_definition).map(|revision| revision.family)
            }
            _ => None,
        }
    }

    /// Whether the next revision is made of the family's newest one.
    pub fn takes_newest(&self) -> bool {
        self.target.kind == TargetKind::Service && self.rules.iter().any(|rule| rule.base == Some(Base::Latest))
    }

    /// The answer of `DescribeTaskDefinition` for the revision that the one of a rollout is made of.
    pub fn source_of(&self, intent: &Intent) -> Option<&Value> {
        let answer = match intent.made_of {
            Some(_) => &self.latest,
            None => &self.definition,
        };
        match answer {
            Known::Yes(Some(answer)) => Some(answer),
            Known::Yes(None) | Known::No => None,
        }
    }

    /// Since when `ListServiceDeployments` is to be asked for what the service was sent to: it may have been sent to the
    /// revision of a rollout that broke off, and `DescribeServices` does not show it there.
    pub fn sent_since(&self) -> Option<Timestamp> {
        let intent = self.memory.intent.as_ref()?;
        let (registered, sent) = (intent.registered.as_deref()?, intent.sent?);
        match &self.service {
            Known::Yes(Some(service)) => (!intent.is_shown(registered, service)).then_some(sent),
            Known::Yes(None) | Known::No => None,
        }
    }

    /// What else `DescribeTaskDefinition` is to be asked for, once the family's newest revision is known: the ones between
    /// that and the one before an intent of which nothing is known to be registered. Its own may be among them when the answer
    /// was lost and someone has registered another since. It comes soon after the one before, if at all.
    #[must_use]
    pub fn unanswered_names(&self) -> Vec<String> {
        let (Known::Yes(Some(answer)), Some(intent)) = (&self.definition, &self.memory.intent) else {
            return Vec::new();
        };
        let newest = task_definition_arn(answer).and_then(TaskDefinitionRef::parse);
        let before = TaskDefinitionRef::parse(&intent.base);
        let (TargetKind::Task, None, Some((newest, before))) =
            (self.target.kind, &intent.registered, newest.zip(before))
        else {
            return Vec::new();
        };
        let between = before.revision.saturating_add(1)..newest.revision;
        let names = between.take(LOOKED_AT).map(|n| format!("{}:{n}", newest.family));
        names.filter(|_| newest.family == before.family).collect()
    }

    /// What else `DescribeTaskDefinition` is to be asked for: the revision to go back to.
    pub fn back_name(&self) -> Option<&str> {
        match &self.asks_back()?.to {
            BackTo::Revision(name) => Some(name),
            BackTo::Image { .. } => None,
        }
    }
}

impl Memory {
    /// What other targets look at.
    #[must_use]
    pub fn neighbour(&self) -> Neighbour {
        let proved: Vec<_> = self.proved.values().cloned().collect();
        let runs = |digest: &Digest| proved.iter().any(|p| p.wish.digest == *digest);
        let failed = self.quarantine.iter().map(|q| q.digest.clone());
        Neighbour {
            failed: failed.filter(|digest| !runs(digest)).collect(),
            proved,
        }
    }
}
