//! Which pushed image is rolled out, as which revision, and when.
//!
//! A push is merged into the [`Wish`] of each rule that wants its tag ([`hear`]), by an order under which neither
//! duplicates nor the order of arrival matter ([`Compiled::wins`]). Then [`decide()`] looks at the target as it is, in this
//! order:
//!
//! | what is found | code | outcome |
//! |---|---|---|
//! | no rule, or no wish | `NotConfigured`, `NothingWaiting` | ignore |
//! | a fact is not known | `FactsMissing` | wait, with the operations that would tell |
//! | the service is missing, not ACTIVE, or not deployed by ECS | `ServiceNotFound`, `UnsupportedController` | ignore |
//! | no revision to start from | `TaskDefinitionNotFound` | ignore |
//! | no container takes the image | `NoMatchingContainer` | ignore |
//! | each such container has the digest | `AlreadyDeployed` | ignore; wait until its tasks run |
//! | a container has a tag that the policy ranks higher | `Superseded` | stale |
//! | the image was out, and the target is on an older revision again | `RolledBack` | ignore |
//! | a gate of the rule is closed | its own code | wait |
//! | the same rollout made a revision that was not what was asked for | `RevisionDiffers` | ignore |
//! | a deployment is in progress, not longer than `rollback.timeout` | `DeploymentInProgress` | wait |
//! | otherwise | `RolloutStarts` | act |
//! | no image is due, `apply --linger` asked, and the side container is not what `drain` asks for | `LingerChanges` | act |
//! | the same, and it is | `AlreadyLingers` | ignore |
//! | the same, and it cannot be | `LingerRefused` | ignore |
//!
//! Rules that are due together go into one revision, and every revision of a service has the side container that its
//! `drain` asks for ([`fn@linger`]); what cannot have it is rolled out without. Its volumes on EFS are mounted through the access
//! points that its `storage` asks for ([`Mounts`]); one that is not there yet is waited for. A service gets [`Action::RegisterTaskDefinition`] and
//! [`Action::UpdateService`], a family the first alone.
//!
//! The caller holds the target's lease and stores [`Decided::before_call`] before the first call; it stores
//! [`Memory::registered`] when the revision has an ARN, describes that revision and compares it ([`differences`]; on any,
//! [`Memory::refuse`]), sends the service there, and stores [`Memory::settle`]. What a crash between any two of these leads
//! to is in the table at the top of `memory.rs`: at worst a revision that nobody uses, never a second rollout.

mod action;
mod back;
mod base;
mod compare;
mod course;
mod decide;
mod facts;
mod follow;
mod gate;
mod gated;
mod image;
mod image_facts;
mod linger;
mod manifest;
mod memory;
mod mounts;
mod newest;
mod notice;
mod number;
mod platform;
mod policy;
mod progress;
mod proof;
mod push;
mod quarantine;
mod restore;
mod revision;
mod rollout;
mod schedules;
mod standing;
mod untaken;
mod versions;
mod waiting;
mod watch;
mod wish;

pub use action::{Action, TaskDefinition};
pub use compare::{Change, Difference, differences};
pub use decide::{Decided, decide, decide_push};
pub use facts::{Facts, Neighbour, Peer};
pub use follow::{Follow, Follower, Move, follow};
pub use gate::{Closed, Counts, ImageScan, ScanReport, ScanStatus, mature, scan, windows};
pub use image::{ImageRef, Registry, Repository, is_tag};
pub use image_facts::{ImageFacts, ImageState, Pullable};
pub use linger::{FARGATE_LINGER, Linger, Lingering, MARK, SIDE_CONTAINER, Side, SideContainer, linger};
pub use manifest::{Child, Manifest, Platform};
pub use memory::{ImageChange, Intent, Memory, Past, Refusal, Rollout};
pub use mounts::{Mount, Mounts};
pub use newest::Newer;
pub use notice::{Notice, Stage};
pub use platform::runs_on;
pub use policy::{Compiled, PolicyError, Selected, Verdict};
pub use proof::Proof;
pub use push::{Heard, hear, image_media, is_referrer_tag};
pub use quarantine::Quarantined;
pub use restore::Volumes;
pub use revision::{ContainerImage, Images, RevisionError, containers, revise, task_definition_arn};
pub use schedules::cluster_arn;
pub use untaken::untaken;
pub use versions::RangeError;
pub use waiting::Waiting;
pub(crate) use watch::UNSEEN;
pub use watch::{Ending, Watched};
pub use wish::{Wish, rule_key};

use std::collections::BTreeMap;

use crate::config::asked::Back;

/// The image of each container, pinned by its digest.
pub type Published = BTreeMap<String, String>;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod simulation;
