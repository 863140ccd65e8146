//! What this version accepts and does not act on yet: the one list, from which each domain takes its lines as it comes.
//!
//! It is told as warnings: what is not done is harmless to leave undone.

use super::{Document, Path, Problem, Service};

/// Everything in the document that would have no effect.
pub fn unsupported(document: &Document) -> Vec<Problem> {
    let mut found = Vec::new();
    for entry in document.entries() {
        of_target(&entry.path, &entry.config, &mut found);
    }
    found
}

fn of_target(path: &Path, service: &Service, found: &mut Vec<Problem>) {
    if !service.storage.is_empty() {
        found.push(no_effect(path.at("storage"), "no snapshots are made"));
    }
}

fn no_effect(path: Path, instead: &str) -> Problem {
    Problem::warning(path, format!("has no effect in this version: {instead}"))
}
