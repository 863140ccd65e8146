//! Revisions: the newest wanted image, once, through open gates, and nothing else changed.

mod family;
mod gates;
mod rest;
mod rollouts;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_cloud::table::{Item, attribute};
use wharfinger_cloud::world::{Rollout, World};
use wharfinger_core::delivery::{Follower, Memory};
use wharfinger_core::ids::{Digest, Target};
use wharfinger_core::report::Code;

use super::asked::{Timeline, within};
use super::{LEARNS, Watch};
use crate::simulation::scenario::{DeliveryPlan, Plan, Scenario, Tags};
use crate::simulation::tally::Tally;

/// A look and its call are in one invocation, which ends after this.
const INVOCATION: SignedDuration = SignedDuration::from_secs(60);

/// A deployment that takes longer than this holds nothing up (`rollback.timeout`, when it is not written).
const TIMEOUT: i64 = 30;

/// What the checks remember of images and rollouts.
#[derive(Debug, Default)]
pub(super) struct Ships {
    /// Whether what is written is looked at too.
    on: bool,
    images: u64,
    /// The tags under which each image of a repository was pushed, and when.
    pushes: BTreeMap<(String, Digest), Vec<(String, Timestamp)>>,
    /// When each image was sent to a service last.
    sent: BTreeMap<(Target, Digest), Timestamp>,
    /// What is not to go out again, since when, and why.
    held: BTreeMap<(Target, Digest), (Timestamp, Hold)>,
    /// Since when a function says that an image failed with a revision, by the key of the target's item.
    given_up: BTreeMap<(String, Digest, String), Timestamp>,
    /// What may be in quarantine: it was left, or would have been next.
    left: BTreeSet<(Target, Digest)>,
    approvals: Vec<Approval>,
    /// When people asked each target back.
    backs: BTreeMap<Target, Vec<Timestamp>>,
    /// When someone deployed past us.
    handed: BTreeMap<Target, Timestamp>,
    /// Revisions that people registered.
    by_hand: BTreeSet<String>,
    /// Revisions to which a service was sent.
    used: BTreeSet<String>,
    rollouts: Vec<Sent>,
    /// The revisions of which the memory has said that the service was sent there.
    settled: BTreeSet<String>,
    /// The rules of each target.
    rules: Timeline<DeliveryPlan>,
    /// How far the scan of each image is.
    scans: Timeline<Scanned>,
    /// What each service has really come up with.
    ups: Timeline<Option<Digest>>,
    /// What each target has proved, as its memory has it, and since when.
    proofs: Timeline<BTreeMap<Digest, Timestamp>>,
    /// For what each target waits.
    waits: BTreeMap<String, BTreeSet<Code>>,
    quarantined: BTreeMap<String, usize>,
    archived: BTreeSet<Digest>,
    followers: BTreeMap<Follower, Value>,
    /// What was registered last for each family, and by whom.
    registered: BTreeMap<Target, (Digest, String)>,
}

/// How far the scan of an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// It runs.
    Open,
    /// It tells nothing.
    Failed,
    /// It found what blocks.
    Blocked,
    /// It found nothing.
    Clean,
}

/// Why an image is not to go out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// It failed, or a person took it back: only an agreement ends that.
    Failed,
    /// Someone deployed an earlier revision.
    Left,
}

#[derive(Debug)]
struct Approval {
    target: Target,
    digest: Digest,
    at: Timestamp,
    until: Timestamp,
}

/// A service that was sent to a revision.
#[derive(Debug)]
struct Sent {
    target: Target,
    to: String,
    back: bool,
}

/// An image that was pushed, in the order of its policy: greater is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pushed {
    version: u64,
    at: Timestamp,
}

impl Pushed {
    fn new(rule: &DeliveryPlan, tag: &str, at: Timestamp) -> Option<Self> {
        let version = match rule.tags {
            Tags::Versions => version(tag)?,
            Tags::Main => (tag == "main").then_some(0)?,
        };
        Some(Self { version, at })
    }
}

/// The minor number of `1.N.0`.
fn version(tag: &str) -> Option<u64> {
    tag.strip_prefix("1.")?.strip_suffix(".0")?.parse().ok()
}

/// The digest to which the application's image is pinned.
pub fn pinned(world: &World, definition: &str) -> Option<Digest> {
    application(world, definition)?.split_once('@')?.1.parse().ok()
}

/// The tag of the application's image, where that is not pinned.
fn tagged(world: &World, definition: &str) -> Option<String> {
    let image = application(world, definition)?;
    let (_, tag) = image.rsplit_once(':').filter(|_| !image.contains('@'))?;
    Some(tag.to_owned())
}

fn application(world: &World, definition: &str) -> Option<String> {
    let mut containers = world.definitions.containers(definition).into_iter();
    containers.find(|(name, _)| name == "app").map(|(_, image)| image)
}

fn short(definition: &str) -> &str {
    definition.rsplit('/').next().unwrap_or(definition)
}

fn number(definition: &str) -> Option<u64> {
    definition.rsplit_once(':')?.1.parse().ok()
}

fn memory(item: &Item) -> Memory {
    attribute(item, "delivery").ok().flatten().unwrap_or_default()
}

fn timeout(rule: &DeliveryPlan) -> SignedDuration {
    SignedDuration::from_mins(rule.timeout.unwrap_or(TIMEOUT))
}

impl Ships {
    /// How an image ranks by a rule and the pushes until then; nothing when the rule does not want it.
    fn rank(&self, rule: &DeliveryPlan, digest: &Digest, until: Timestamp) -> Option<Pushed> {
        let pushes = self.pushes.get(&(rule.repository.clone(), digest.clone()))?;
        let known = pushes.iter().filter(|(_, at)| *at <= until);
        known.filter_map(|(tag, at)| Pushed::new(rule, tag, *at)).max()
    }

    /// The rules by which a function may act now.
    fn rules(&self, scenario: &Scenario, target: &Target, now: Timestamp) -> Vec<DeliveryPlan> {
        let from = super::asked::back(now, LEARNS);
        let known: Vec<_> = within(&self.rules, &target.to_string(), from, now).cloned().collect();
        if !known.is_empty() {
            return known;
        }
        let plan = super::plan(scenario, target);
        plan.and_then(|plan| plan.delivery.clone()).into_iter().collect()
    }

    /// Whether what `to` is of ours was asked for by a person.
    fn is_back(&self, target: &Target, to: &str) -> bool {
        let last = self.rollouts.iter().rev().find(|r| r.target == *target && r.to == to);
        last.is_some_and(|sent| sent.back)
    }

    /// An image of ours did not come up.
    fn failed(&mut self, world: &World, target: &Target, definition: &str) {
        let Some(digest) = pinned(world, definition) else {
            return;
        };
        let key = (target.clone(), digest);
        self.left.insert(key.clone());
        if self.used.contains(definition) && !self.is_back(target, definition) {
            let at = self.failed_since(&key, definition);
            let at = at.unwrap_or_else(|| super::asked::back(world.now, INVOCATION));
            self.held.insert(key, (at, Hold::Failed));
        }
    }

    /// Since when a function has given up the rollout that ends now. It may do so long before ECS ends the deployment, and
    /// who agrees in between knows that it failed.
    fn failed_since(&self, key: &(Target, Digest), definition: &str) -> Option<Timestamp> {
        let sent = self.sent.get(key)?;
        let of = (key.0.key(), key.1.clone(), definition.to_owned());
        self.given_up.get(&of).copied().filter(|at| at > sent)
    }
}

impl Watch {
    /// The number of the next image.
    pub fn next_image(&mut self) -> u64 {
        self.ships.images += 1;
        self.ships.images
    }

    /// Someone pushed an image.
    pub fn pushed_to(&mut self, repository: &str, tag: &str, digest: &Digest, at: Timestamp) {
        let key = (repository.to_owned(), digest.clone());
        self.ships.pushes.entry(key).or_default().push((tag.to_owned(), at));
    }

    /// The circuit breaker is about to end a deployment.
    pub fn gave_up(&mut self, world: &World, target: &Target) {
        let Some(service) = world.services.get(target) else {
            return;
        };
        let ends = service.primary().filter(|d| {
            d.rollout == Rollout::InProgress && service.proved.as_ref().is_some_and(|p| *p != d.definition)
        });
        if let Some(ends) = ends {
            self.ships.failed(world, target, &ends.definition);
        }
    }

    /// A history of delivery begins.
    pub fn fleet(&mut self, world: &World, scenario: &Scenario, at: Timestamp) {
        self.ships.on = true;
        self.ships.followers.clone_from(&world.around.followers);
        for plan in &scenario.targets {
            self.configured(plan, at);
        }
    }

    /// Someone applied a target.
    pub fn configured(&mut self, plan: &Plan, at: Timestamp) {
        let Some(rule) = &plan.delivery else { return };
        let rules = self.ships.rules.entry(plan.target.to_string()).or_default();
        if rules.last().is_none_or(|(_, last)| last != rule) {
            rules.push((at, rule.clone()));
        }
    }

    /// The scan of an image has come so far.
    pub fn scanned(&mut self, digest: &Digest, found: Scanned, at: Timestamp) {
        let states = self.ships.scans.entry(digest.to_string()).or_default();
        states.push((at, found));
    }

    /// Someone agreed to an image.
    pub fn approved(&mut self, target: &Target, digest: &Digest, at: Timestamp, until: Timestamp) {
        // The newer one takes its place.
        let mut known = self.ships.approvals.iter_mut();
        if let Some(before) = known.rfind(|a| a.target == *target && a.digest == *digest) {
            before.until = before.until.min(super::asked::later(at, LEARNS));
        }
        self.ships.approvals.push(Approval {
            target: target.clone(),
            digest: digest.clone(),
            at,
            until,
        });
    }

    /// Someone asked a target back.
    pub fn asked_back(&mut self, target: &Target, at: Timestamp) {
        self.ships.backs.entry(target.clone()).or_default().push(at);
    }

    /// Someone is about to send a service to a revision past us.
    pub fn deployed(&mut self, world: &World, target: &Target, to: &str, at: Timestamp) {
        self.ships.handed.insert(target.clone(), at);
        let Some(from) = world.services.get(target).and_then(|s| s.primary()) else {
            return;
        };
        if let Some(digest) = pinned(world, &from.definition) {
            let key = (target.clone(), digest);
            self.ships.left.insert(key.clone());
            let sent = self.ships.sent.contains_key(&key) && self.ships.settled.contains(&from.definition);
            if number(to) < number(&from.definition) && sent {
                self.ships.held.entry(key).or_insert((at, Hold::Left));
            }
        }
    }

    /// Someone registered a revision.
    pub fn by_hand(&mut self, definition: &str) {
        self.ships.by_hand.insert(definition.to_owned());
    }

    /// An image is archived, or comes back: whether it is archived now.
    pub fn archive(&mut self, digest: &Digest) -> bool {
        if self.ships.archived.remove(digest) {
            return false;
        }
        self.ships.archived.insert(digest.clone())
    }

    /// What each service has come up with.
    pub fn sees(&mut self, world: &World) {
        for (target, service) in &world.services {
            let up = service.primary().filter(|d| d.rollout == Rollout::Completed);
            let up = up.and_then(|d| pinned(world, &d.definition));
            let states = self.ships.ups.entry(target.to_string()).or_default();
            if states.last().is_none_or(|(_, last)| *last != up) {
                states.push((world.now, up));
            }
        }
    }

    /// What a function wrote of a target's rollouts.
    pub(super) fn look_at_memory(&mut self, world: &World, pk: &str, item: &Item, tally: &mut Tally) {
        let Some(name) = pk.split_once('#').map(|(_, name)| name.to_owned()) else {
            return;
        };
        let memory = memory(item);
        let watched = memory.watched.iter().map(|watched| &watched.to);
        // Of a family nothing is watched.
        let family = pk.starts_with("task#");
        let done = memory.done.values().filter(|_| family).map(|done| &done.revision);
        self.ships.settled.extend(watched.chain(done).cloned());
        for kept in &memory.quarantine {
            let of = (pk.to_owned(), kept.digest.clone(), kept.revision.clone());
            self.ships.given_up.entry(of).or_insert(kept.at);
        }
        if !self.ships.on {
            return;
        }
        let proofs: BTreeMap<_, _> = memory
            .proved
            .values()
            .map(|p| (p.wish.digest.clone(), p.since))
            .collect();
        let known = self.ships.proofs.entry(name.clone()).or_default();
        if known.last().is_none_or(|(_, last)| *last != proofs) {
            known.push((world.now, proofs));
        }
        let codes = memory.waiting.map(|w| w.codes).unwrap_or_default();
        let before = self.ships.waits.insert(name.clone(), codes.clone()).unwrap_or_default();
        for code in codes.difference(&before) {
            tally.rollout(waits_for(*code));
        }
        let kept = memory.quarantine.len();
        if self.ships.quarantined.insert(name, kept).unwrap_or_default() < kept {
            tally.rollout("image put into quarantine");
        }
    }
}

fn waits_for(code: Code) -> &'static str {
    match code {
        Code::NotProved => "waits: NotProved",
        Code::Baking => "waits: Baking",
        Code::WaveWaits => "waits: WaveWaits",
        Code::WaveHalted => "waits: WaveHalted",
        Code::ApprovalNeeded => "waits: ApprovalNeeded",
        Code::Maturing => "waits: Maturing",
        Code::WindowClosed => "waits: WindowClosed",
        Code::ScanPending => "waits: ScanPending",
        Code::ScanBlocked => "waits: ScanBlocked",
        Code::ScanMissing => "waits: ScanMissing",
        Code::DeploymentInProgress => "waits: DeploymentInProgress",
        Code::Paced => "waits: Paced",
        _ => "waits: for something else",
    }
}

/// How long the service's own configuration makes a deployment wait.
fn patience(world: &World, target: &Target) -> SignedDuration {
    let own = world.services.get(target).map(|s| s.patience).unwrap_or_default();
    own.try_into().unwrap_or_default()
}
