//! Rules that find no container, told before an image is pushed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Repository;
use super::base::movable;
use super::revision::task_definition_arn;
use super::standing::{no_container, short, takes};
use crate::config::Delivery;
use crate::ids::Arn;

/// The rules that take no container of a revision (the answer of `DescribeTaskDefinition`), by their place, and why. An
/// answer that cannot be read tells of none, and a rule whose repository cannot be read is told of elsewhere.
pub fn untaken(rules: &[Delivery], answer: &Value) -> Vec<(usize, String)> {
    let revision = task_definition_arn(answer).and_then(|arn| Some((arn, Arn::parse(arn)?)));
    let (Some((arn, parts)), Ok(containers)) = (revision, movable(answer)) else {
        return Vec::new();
    };
    let mut rules: Vec<_> = rules.iter().enumerate().collect();
    // A rule that names its container takes it first.
    rules.sort_by_key(|(_, rule)| rule.container.is_none());
    let (mut taken, mut found) = (BTreeSet::new(), Vec::new());
    for (place, rule) in rules {
        let Ok(repository) = Repository::configured(&rule.repository, parts.account, parts.region) else {
            continue;
        };
        let own = containers.iter().filter(|c| takes(rule, &repository, c));
        let own: Vec<_> = own.map(|c| c.index).filter(|index| !taken.contains(index)).collect();
        if own.is_empty() {
            found.push((place, no_container(rule, &repository, short(arn), &containers)));
        }
        taken.extend(own);
    }
    found.sort_unstable();
    found
}
