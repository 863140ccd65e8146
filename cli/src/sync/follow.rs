//! What follows an apply: the targets that changed are swept at once, and not at the next schedule.
//!
//! Before the table is written no function knows the new configuration, so how many calls it takes is asked right after, with
//! a dry run.

use std::collections::BTreeSet;
use std::time::Duration;

use wharfinger_cloud::ports::{Clock, Functions};
use wharfinger_core::config::Service;
use wharfinger_core::config::changes::{Compared, Comparison, What};
use wharfinger_core::ids::Target;

use super::{Domain, Function, Report, sweep};
use crate::output::{note, warning};

/// How many targets are swept one by one; of more, all are swept at once.
const ONE_BY_ONE: usize = 5;

/// How long the table is given: functions read it eventually consistent, which usually is a second behind at most (DynamoDB
/// developer guide, "Read consistency"). A sweep that saw it as it was would find nothing to do.
pub(crate) const SETTLED: Duration = Duration::from_secs(2);

/// What an apply changed for discovery and balancing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// The targets whose endpoints may have to move.
    targets: BTreeSet<Target>,
    /// For which domains.
    pub domains: BTreeSet<Domain>,
}

impl Moves {
    /// What a comparison says.
    pub(crate) fn of(comparison: &Comparison) -> Self {
        let mut moves = Self::default();
        for compared in &comparison.targets {
            let domains: Vec<_> = Domain::ENDPOINTS
                .into_iter()
                .filter(|domain| changed(compared, *domain))
                .collect();
            if !domains.is_empty() {
                moves.targets.insert(compared.key.clone());
                moves.domains.extend(domains);
            }
        }
        moves
    }

    /// Whether anything may have to move.
    pub(crate) fn any(&self) -> bool {
        !self.targets.is_empty()
    }

    /// What is swept: each target, or everything.
    fn scopes(&self) -> Vec<Option<&Target>> {
        if self.targets.len() > ONE_BY_ONE {
            return vec![None];
        }
        self.targets.iter().map(Some).collect()
    }
}

/// Whether the entries of a target change, or what they name.
fn changed(compared: &Compared<Target, Service>, domain: Domain) -> bool {
    if !matches!(compared.what, What::Add | What::Change | What::Remove) {
        return false;
    }
    let empty = Service::default();
    let before = compared.before.as_ref().unwrap_or(&empty);
    let after = compared.after.as_ref().unwrap_or(&empty);
    let (differs, none) = match domain {
        Domain::Discovery => (
            before.discovery != after.discovery,
            before.discovery.is_empty() && after.discovery.is_empty(),
        ),
        Domain::Balancing => (
            before.balancing != after.balancing,
            before.balancing.is_empty() && after.balancing.is_empty(),
        ),
        // An apply moves none of its instances.
        Domain::Capacity => return false,
    };
    // The same text is written anew when a name means something else now.
    !none && (differs || before == after)
}

/// Sweeps what an apply changed: tells what will be done, and has it done. What fails is left to the next sweep.
pub(crate) async fn follow(cloud: &(impl Functions + Clock), functions: &[Function], moves: &Moves) -> Vec<Report> {
    let mut done = Vec::new();
    cloud.sleep(SETTLED).await;
    for target in moves.scopes() {
        let name = target.map_or_else(|| "everything".to_owned(), ToString::to_string);
        let mut busy = Vec::new();
        for swept in sweep(cloud, functions, target, true).await.swept {
            let domain = swept.domain.name();
            if let Some(failure) = swept.outcome.failure() {
                later(&name, domain, &failure);
                continue;
            }
            let calls = swept.outcome.calls();
            if calls.is_empty() {
                note(format_args!("{name}: nothing has to move for {domain}"));
                continue;
            }
            let told: Vec<_> = calls.iter().map(|(call, times)| format!("{times} {call}")).collect();
            note(format_args!("{name}: {domain} makes these calls: {}", told.join(", ")));
            busy.extend(
                functions
                    .iter()
                    .filter(|function| function.domain == swept.domain)
                    .cloned(),
            );
        }
        if busy.is_empty() {
            continue;
        }
        let report = sweep(cloud, &busy, target, false).await;
        for swept in &report.swept {
            if let Some(failure) = swept.outcome.failure() {
                later(&name, swept.domain.name(), &failure);
            }
        }
        done.push(report);
    }
    done
}

fn later(name: &str, domain: &str, failure: &str) {
    warning(format_args!(
        "{name} was not swept by {domain} at once: {failure}; the next sweep does it, in 5 minutes at most"
    ));
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharfinger_cloud::ports::Answered;
    use wharfinger_core::config::Document;
    use wharfinger_core::config::changes::{Current, compare};
    use wharfinger_core::config::stored::StoredTarget;

    use super::super::tests::{Fake, answer, functions};
    use super::*;

    fn document(services: &serde_json::Value) -> Document {
        serde_json::from_value(json!({ "version": 1, "services": services })).unwrap()
    }

    fn moves(before: &serde_json::Value, after: &serde_json::Value, prune: bool) -> Moves {
        let before = document(before);
        let stored = before.entries().map(|entry| {
            let target = Target::parse(entry.kind, &entry.name).unwrap();
            (target, StoredTarget::new(entry.config))
        });
        let current = Current {
            targets: stored.collect(),
            ..Current::default()
        };
        Moves::of(&compare(&current, &document(after), prune).unwrap())
    }

    fn told(moves: &Moves) -> (Vec<String>, Vec<&'static str>) {
        let targets = moves.targets.iter().map(ToString::to_string).collect();
        (targets, moves.domains.iter().map(|domain| domain.name()).collect())
    }

    #[test]
    fn only_targets_whose_entries_change_are_swept() {
        let (a, b) = (json!([{ "to": "srv-1" }]), json!([{ "to": "srv-2" }]));
        let group = json!([{ "target-group": "g", "port": 80 }]);
        let before = json!({
            "p/changes": { "discovery": a }, "p/same": { "discovery": a }, "p/goes": { "balancing": group },
            "p/drains": { "discovery": a },
        });
        let after = json!({
            "p/changes": { "discovery": b }, "p/same": { "discovery": a }, "p/new": { "discovery": a }, "p/empty": {},
            "p/drains": { "discovery": a, "drain": { "linger": "5s" } },
        });
        let (targets, domains) = told(&moves(&before, &after, true));
        assert_eq!(targets, ["p/changes", "p/goes", "p/new"]);
        assert_eq!(domains, ["discovery", "balancing"]);
        let (targets, domains) = told(&moves(&before, &after, false));
        assert_eq!((targets.len(), domains), (2, vec!["discovery"]));
        assert!(!moves(&before, &before, false).any());
    }

    #[test]
    fn a_name_that_means_something_else_moves_what_it_names() {
        let service: Service = serde_json::from_value(json!({ "discovery": [{ "to": "a/b" }] })).unwrap();
        let compared = Compared {
            key: Target::service("p", "w"),
            what: What::Change,
            before: Some(service.clone()),
            after: Some(service),
        };
        assert!(changed(&compared, Domain::Discovery) && !changed(&compared, Domain::Balancing));
    }

    fn some(count: usize) -> Moves {
        Moves {
            targets: (0..count).map(|i| Target::service("p", format!("s{i}"))).collect(),
            domains: Domain::ENDPOINTS.into(),
        }
    }

    #[tokio::test]
    async fn what_moves_is_asked_first_and_then_done_where_it_is_needed() {
        let fake = Fake::new(&[("d", answer(&["RegisterInstance"])), ("b", answer(&[]))]);
        let done = follow(&fake, &functions(), &some(1)).await;
        let asked: Vec<_> = fake
            .asked
            .borrow()
            .iter()
            .map(|(name, e)| (name.clone(), e["detail"].clone()))
            .collect();
        let (dry, wet) = (
            json!({ "target": "p/s0", "dry-run": true }),
            json!({ "target": "p/s0" }),
        );
        assert_eq!(asked, [("d".into(), dry.clone()), ("b".into(), dry), ("d".into(), wet)]);
        assert_eq!((done.len(), fake.slept.get()), (1, SETTLED));
    }

    #[tokio::test]
    async fn many_targets_are_swept_as_one() {
        let fake = Fake::new(&[
            ("d", answer(&["RegisterInstance"])),
            ("b", answer(&["RegisterTargets"])),
        ]);
        follow(&fake, &functions(), &some(ONE_BY_ONE + 1)).await;
        let asked: Vec<_> = fake
            .asked
            .borrow()
            .iter()
            .map(|(_, event)| event["detail"].clone())
            .collect();
        let dry = json!({ "dry-run": true });
        assert_eq!(asked, [dry.clone(), dry, json!({}), json!({})]);
    }

    #[tokio::test]
    async fn a_function_that_cannot_be_asked_is_left_to_its_next_sweep() {
        let failed = Answered::Failed {
            kind: "Partly".into(),
            message: "no".into(),
        };
        let fake = Fake::new(&[("d", failed)]);
        assert_eq!(follow(&fake, &functions(), &some(1)).await, []);
        assert_eq!(fake.asked.borrow().len(), 2);
    }
}
