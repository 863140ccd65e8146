//! What would be done with the images of one target.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_core::config::Delivery;
use wharfinger_core::config::stored::{Managed, repository_path};
use wharfinger_core::delivery::{self, Compiled, Decided, Facts, Peer, Quarantined, Repository, rule_key};
use wharfinger_core::event::{DeploymentEvent, DeploymentStateChange, Envelope, ImageAction, ImageScanned};
use wharfinger_core::ids::{Digest, TargetKind};
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Outcome, Reason};
use wharfinger_core::storage::provided;

use super::decide::{Call, Context};

/// What the gate `scan` asks for.
const SCANS: &str = "DescribeImageScanFindings";

impl Context<'_> {
    /// Something was done with an image.
    pub(super) fn image(
        &self,
        managed: &Managed,
        envelope: &Envelope,
        event: &ImageAction,
    ) -> anyhow::Result<Decision<Call>> {
        let pushed = event.digest.as_ref().map(|digest| (event.repository.as_str(), digest));
        let mut facts = self.facts(managed, envelope, pushed)?;
        // That the registry has it is no news of it before this.
        facts
            .wishes
            .retain(|_, wish| Some(&wish.digest) != event.digest.as_ref());
        Ok(self.decided(managed, delivery::decide_push(envelope, event, &facts, self.now)))
    }

    /// The scan of an image moved: what waited for its end may go on.
    pub(super) fn scan(
        &self,
        managed: &Managed,
        envelope: &Envelope,
        event: &ImageScanned,
    ) -> anyhow::Result<Decision<Call>> {
        let waits = |rule: &Delivery| rule.scan.is_some();
        let why = if !event.complete {
            format!("the scan of {} has not ended", event.name())
        } else if !managed.stored.config.delivery.iter().any(waits) {
            format!("no delivery rule of {} waits for a scan", managed.target)
        } else {
            return Ok(self.goes_on(managed, &self.facts(managed, envelope, None)?));
        };
        let reason = Reason::new(Code::NothingWaiting, why);
        Ok(Decision::without_calls(Outcome::Ignore, reason))
    }

    /// A deployment moved: what waited for it may go on, and what it brought out and failed may not.
    pub(super) fn deployment(
        &self,
        managed: &Managed,
        envelope: &Envelope,
        event: &DeploymentStateChange,
    ) -> anyhow::Result<Decision<Call>> {
        let mut facts = self.facts(managed, envelope, None)?;
        let known = match event.event {
            DeploymentEvent::Failed => self.failed(&mut facts, event),
            _ => Ok(()),
        };
        let mut decision = self.goes_on(managed, &facts);
        // Only what would be rolled out may be what failed.
        if let Err(unknown) = known
            && !decision.actions.is_empty()
        {
            decision = unknown;
        }
        if event.event == DeploymentEvent::Completed {
            decision.reasons.extend(self.waiting_for(managed));
        }
        Ok(decision)
    }

    /// The image of a deployment that failed is in quarantine, as the function would have it, which remembers what it rolled
    /// out. When it is not known which image that is, says so.
    fn failed(&self, facts: &mut Facts, event: &DeploymentStateChange) -> Result<(), Decision<Call>> {
        let needs = |operation: &'static str, what: String| {
            let id = &event.deployment_id;
            let message = format!("which image failed is not known, and that one does not go out again: {what} {id}");
            Decision::needs(operation, Reason::new(Code::FactsMissing, message))
        };
        let Known::Yes(Some(service)) = &facts.service else {
            return Ok(());
        };
        let revision = service.deployments.iter().find(|d| d.id == event.deployment_id);
        let Some(revision) = revision.map(|d| d.task_definition.clone()) else {
            return Err(needs(
                "DescribeServices",
                "DescribeServices among the facts has no deployment".into(),
            ));
        };
        let Known::Yes(Some(answer)) = self.answers.task_definition(&revision) else {
            let what = format!("the facts lack the DescribeTaskDefinition of {revision}, the revision of");
            return Err(needs("DescribeTaskDefinition", what));
        };
        let images = delivery::containers(&answer).unwrap_or_default();
        let why = event
            .reason
            .clone()
            .unwrap_or_else(|| "its deployment failed".to_owned());
        for wish in facts.wishes.values() {
            if images.iter().any(|c| c.image.ends_with(&format!("@{}", wish.digest))) {
                facts.memory.quarantine.push(Quarantined {
                    digest: wish.digest.clone(),
                    image: wish.name(),
                    revision: revision.clone(),
                    at: self.now,
                    why: why.clone(),
                });
            }
        }
        Ok(())
    }

    /// The targets that take their images after this one.
    fn waiting_for(&self, managed: &Managed) -> Option<Reason> {
        let source = managed.target.to_string();
        let waits = |rule: &Delivery| rule.after.as_ref() == Some(&source);
        let waiting = self
            .targets
            .iter()
            .filter(|other| other.stored.config.delivery.iter().any(waits));
        let names: Vec<_> = waiting.map(|other| other.target.to_string()).collect();
        (!names.is_empty()).then(|| {
            let message = format!(
                "what {source} proves by this may be what {} waits for: that is looked at within a minute",
                names.join(", ")
            );
            Reason::new(Code::NotProved, message)
        })
    }

    /// What waited may go on.
    fn goes_on(&self, managed: &Managed, facts: &Facts) -> Decision<Call> {
        let mut decision = self.decided(managed, delivery::decide(facts, self.now));
        if facts.wishes.is_empty() && !self.answers.knows_pushes() {
            let mut reasons = decision.reasons.iter_mut();
            if let Some(reason) = reasons.find(|reason| reason.code == Code::NothingWaiting) {
                reason
                    .message
                    .push_str(" here: `DescribeImages` among the facts tells of pushes");
            }
        }
        decision
    }

    fn decided(&self, managed: &Managed, decided: Decided) -> Decision<Call> {
        let mut decision = decided.decision;
        // Without the manifest nobody knows whether it is an index, whose images are scanned and not itself.
        if decision.missing.contains(&SCANS) && !self.answers.knows_manifests() {
            decision.missing.push("BatchGetImage");
        }
        self.guarded("delivery", managed, decision)
    }

    fn facts(&self, managed: &Managed, envelope: &Envelope, pushed: Option<(&str, &Digest)>) -> anyhow::Result<Facts> {
        let mut facts = Facts::of(managed, &envelope.account, &envelope.region);
        // What was asked for once may be done by now, of which nothing tells here.
        (facts.linger_asked, facts.back) = (None, None);
        for rule in &managed.stored.config.delivery {
            // A rule that cannot be read is told by the decider.
            let Ok(repository) = Repository::configured(&rule.repository, &facts.account, &facts.region) else {
                continue;
            };
            let Ok(policy) = Compiled::new(&rule.tags) else {
                continue;
            };
            let listed = self.answers.images(&repository.path)?;
            facts
                .wishes
                .extend(policy.best(&listed).map(|wish| (rule_key(rule), wish.clone())));
            if rule.waves.is_some() {
                facts.peers.insert(rule_key(rule), self.peers(rule));
            }
        }
        facts.service = match managed.target.kind {
            TargetKind::Service => self.answers.service(&managed.target)?,
            TargetKind::Task | TargetKind::Cluster => Known::Yes(None),
        };
        if let Some(name) = facts.base_name() {
            facts.definition = self.answers.task_definition(name);
        }
        if let Some(family) = facts.family_name() {
            facts.latest = self.answers.task_definition(family);
        }
        if facts.restores().next().is_some() {
            facts.volumes.configurations = self.answers.volume_configurations(&managed.target);
            facts.volumes.snapshots = match self.answers.snapshots()? {
                Known::Yes(mut snapshots) => {
                    snapshots.retain(|snapshot| snapshot.is_of(self.owner));
                    Known::Yes(snapshots)
                }
                Known::No => Known::No,
            };
        }
        if let Known::Yes(points) = self.answers.access_points()? {
            let provided = provided(&facts.storage, &points, &facts.target, self.owner);
            facts.access_points = Known::Yes(provided);
        }
        let wished: BTreeMap<_, _> = facts
            .wishes
            .values()
            .map(|wish| (wish.digest.clone(), wish.repository.clone()))
            .chain(pushed.map(|(repository, digest)| (digest.clone(), repository.to_owned())))
            .collect();
        for (digest, repository) in wished {
            let image = self.answers.image(&repository, &digest)?;
            facts.images.extend(image.map(|image| (digest.clone(), image)));
            let scans = self.answers.scans(&repository, &digest)?;
            facts.scans.extend(scans.map(|scans| (digest, scans)));
        }
        Ok(facts)
    }

    /// The targets that take images of a rule's repository in waves. What they run is not known here.
    fn peers(&self, rule: &Delivery) -> Vec<Peer> {
        let repository = repository_path(&rule.repository);
        let takes_part = |other: &Delivery| other.waves.is_some() && repository_path(&other.repository) == repository;
        let targets: BTreeSet<_> = self
            .targets
            .iter()
            .filter(|managed| managed.stored.config.delivery.iter().any(takes_part))
            .map(|managed| managed.target.clone())
            .collect();
        let peer = |target| Peer {
            target,
            neighbour: Known::No,
        };
        targets.into_iter().map(peer).collect()
    }
}
