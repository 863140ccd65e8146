//! How the alarms of a backtest are evaluated.

use std::collections::BTreeMap;

use anyhow::bail;
use wharfinger_core::config::{Rule, Scaling};
use wharfinger_core::scaling::backtest::AlarmDefinition;

use crate::facts::Answers;

/// The definition of each alarm that a rule names: as `DescribeAlarms` has it, and where only `target` asks for it, one
/// whose threshold decides nothing.
pub(super) fn definitions(scaling: &Scaling, facts: &Answers) -> anyhow::Result<BTreeMap<String, AlarmDefinition>> {
    let (mut found, mut unknown) = (BTreeMap::new(), Vec::new());
    for rule in &scaling.rules {
        let Rule::Alarm(rule) = rule else { continue };
        let name = rule.alarm.as_str();
        if let Some(definition) = facts.definition(name)? {
            found.insert(name.to_owned(), definition);
        } else if facts.is_composite(name) {
            bail!(
                "`{name}` is a composite alarm, which has no metric and no threshold: try its rule with one of the \
                 alarms that it is made of"
            );
        } else if let Some(target) = rule.target {
            let assumed = || AlarmDefinition::assumed(target);
            found.entry(name.to_owned()).or_insert_with(assumed);
        } else if !unknown.contains(&name) {
            unknown.push(name);
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    let ticked: Vec<_> = unknown.iter().map(|name| format!("`{name}`")).collect();
    bail!(
        "nothing is known of the threshold of {}: supply DescribeAlarms with --facts FILE, which is what \
         `aws cloudwatch describe-alarms --alarm-names {} --output json | jq '{{DescribeAlarms: .}}'` prints",
        ticked.join(", "),
        unknown.join(" ")
    )
}
