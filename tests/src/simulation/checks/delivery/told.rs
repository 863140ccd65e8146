//! What others are told: each rollout that began, and each that ended, at least once.

use serde_json::Value;
use wharfinger_cloud::world::{Rollout, World};
use wharfinger_core::delivery::Memory;
use wharfinger_core::ids::{Target, TargetKind};

use super::super::{Violation, Watch};
use super::{pinned, short};

/// How a rollout ends.
const ENDS: [&str; 3] = ["Rollout Succeeded", "Rollout Failed", "Rollout Superseded"];

impl Watch {
    pub(super) fn told_at_rest(&self, world: &World, target: &Target, memory: &Memory) -> Result<(), Violation> {
        let told = |to: &str, kinds: &[&str]| {
            let of = |detail: &Value| detail["toTaskDefinition"].as_str() == Some(to);
            let mut notices = world.around.notices.iter();
            notices.any(|n| of(&n.detail) && kinds.contains(&n.detail_type.as_str()))
        };
        let wrong = |to: &str, what: &str| {
            let message = format!("{target} was sent to {}, and nobody was told that it {what}", short(to));
            Err(Violation::new(message))
        };
        // The service may have come back to an earlier one since.
        let last = self.ships.rollouts.iter().rev().find(|sent| sent.target == *target);
        let last = last.map(|sent| sent.to.as_str());
        // A family has no deployments: what was registered for it is not known once its answer was lost.
        let known = |to: &str| target.kind != TargetKind::Task || self.ships.settled.contains(to);
        for sent in self
            .ships
            .rollouts
            .iter()
            .filter(|sent| sent.target == *target && known(&sent.to))
        {
            let to = sent.to.as_str();
            if !told(to, &["Rollout Started"]) {
                return wrong(to, "began");
            }
            if target.kind == TargetKind::Task {
                // Whoever starts the family next runs it: it is through as it begins.
                if !told(to, &ENDS[..1]) {
                    return wrong(to, "succeeded");
                }
                continue;
            }
            if memory.watched.as_ref().is_none_or(|w| w.to != to) && !told(to, &ENDS) {
                return wrong(to, "ended");
            }
            let up = world.services.get(target).and_then(|s| s.primary());
            let up = up.filter(|d| d.rollout == Rollout::Completed && d.definition == to);
            let left = pinned(world, to).is_some_and(|d| self.ships.left.contains(&(target.clone(), d)));
            if up.is_some() && last == Some(to) && !left && !sent.back && !told(to, &ENDS[..1]) {
                return wrong(to, "succeeded");
            }
        }
        Ok(())
    }
}
