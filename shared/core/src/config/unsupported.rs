//! What this version accepts and does not act on yet: the one list, from which each domain takes its lines as it comes.
//!
//! It is told as warnings: what is not done is harmless to leave undone. So are gates, though who wrote `approval: required`
//! relies on it: this version cannot open a gate, so a rule that has one rolls nothing out
//! ([`crate::report::Code::GateClosed`]).

use super::{Approval, Delivery, Document, Path, Problem, Service};

/// Everything in the document that would have no effect.
pub fn unsupported(document: &Document) -> Vec<Problem> {
    let mut found = Vec::new();
    for entry in document.entries() {
        of_target(&entry.path, &entry.config, &mut found);
    }
    for (name, cluster) in &document.clusters {
        if cluster.capacity.is_some() {
            found.push(no_effect(
                Path::root().at("clusters").at(name).at("capacity"),
                "instances are not drained or replaced",
            ));
        }
    }
    found
}

fn of_target(path: &Path, service: &Service, found: &mut Vec<Problem>) {
    for (i, rule) in service.delivery.iter().enumerate() {
        of_delivery(&path.at("delivery").at(i), rule, found);
    }
    if !service.storage.is_empty() {
        found.push(no_effect(path.at("storage"), "no snapshots are made"));
    }
}

fn of_delivery(path: &Path, rule: &Delivery, found: &mut Vec<Problem>) {
    let gates = [
        ("after", rule.after.is_some()),
        ("bake", rule.bake.is_some()),
        ("approval", rule.approval == Approval::Required),
        ("scan", rule.scan.is_some()),
        ("mature", rule.mature.is_some()),
        ("windows", rule.windows.is_some()),
    ];
    for (key, _) in gates.into_iter().filter(|(_, given)| *given) {
        let message = format!(
            "this version cannot open this gate, so the rule rolls nothing out: take `{key}` out to roll out each push at once"
        );
        found.push(Problem::warning(path.at(key), message));
    }
}

fn no_effect(path: Path, instead: &str) -> Problem {
    Problem::warning(path, format!("has no effect in this version: {instead}"))
}
