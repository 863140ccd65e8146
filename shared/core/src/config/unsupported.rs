//! What this version accepts and does not act on yet: the one list, from which each domain takes its lines as it comes.
//!
//! It is told as warnings: what is not done is harmless to leave undone.

use super::{Document, Path, Problem, Restore, Service};

/// Everything in the document that would have no effect.
pub fn unsupported(document: &Document) -> Vec<Problem> {
    let mut found = Vec::new();
    for entry in document.entries() {
        of_target(&entry.path, &entry.config, &mut found);
    }
    found
}

fn of_target(path: &Path, service: &Service, found: &mut Vec<Problem>) {
    for (i, storage) in service.storage.iter().enumerate() {
        if storage.restore != Restore::None {
            let path = path.at("storage").at(i).at("restore");
            found.push(no_effect(path, "a rollout starts from an empty volume"));
        }
    }
}

fn no_effect(path: Path, instead: &str) -> Problem {
    Problem::warning(path, format!("has no effect in this version: {instead}"))
}
