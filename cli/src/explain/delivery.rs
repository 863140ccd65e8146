//! What would be done with the images of one target.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_core::config::Delivery;
use wharfinger_core::config::stored::{Managed, repository_path};
use wharfinger_core::delivery::{self, Compiled, Decided, Facts, Peer, Repository, rule_key};
use wharfinger_core::event::{Envelope, ImageAction, ImageScanned};
use wharfinger_core::ids::{Digest, TargetKind};
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Outcome, Reason};

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
        let facts = self.facts(managed, envelope, pushed)?;
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
            return self.deployment(managed, envelope);
        };
        let reason = Reason::new(Code::NothingWaiting, why);
        Ok(Decision::without_calls(Outcome::Ignore, reason))
    }

    /// A deployment moved: what waited for it may go on.
    pub(super) fn deployment(&self, managed: &Managed, envelope: &Envelope) -> anyhow::Result<Decision<Call>> {
        let facts = self.facts(managed, envelope, None)?;
        let mut decision = self.decided(managed, delivery::decide(&facts, self.now));
        if facts.wishes.is_empty() && !self.answers.knows_pushes() {
            let mut reasons = decision.reasons.iter_mut();
            if let Some(reason) = reasons.find(|reason| reason.code == Code::NothingWaiting) {
                reason
                    .message
                    .push_str(" here: `DescribeImages` among the facts tells of pushes");
            }
        }
        Ok(decision)
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
