//! Bounds, rules and steps.

use super::Found;
use crate::config::{AlarmRule, Change, Limit, Path, PerPeriod, QueueRule, Rule, Scaling, Step, out_of_range};

/// The most steps of one policy (Application Auto Scaling user guide, "Quotas"), kept here so that rules can be moved
/// between the two.
const MAX_STEPS: usize = 20;
/// The longest name of an alarm (CloudWatch API reference, `PutMetricAlarm`).
const ALARM_NAME: usize = 255;
/// The longest name of a queue (SQS API reference, `CreateQueue`).
const QUEUE_NAME: usize = 80;

pub(super) fn check(path: &Path, scaling: &Scaling, found: &mut Found) {
    if scaling.min > scaling.max {
        let message = format!("`min` is {}, more than `max`, which is {}", scaling.min, scaling.max);
        found.error(path.at("min"), message);
    }
    for (i, rule) in scaling.rules.iter().enumerate() {
        let path = path.at("rules").at(i);
        match rule {
            Rule::Alarm(rule) => {
                alarm(&path, rule, found);
                bounds(&path, scaling, rule, found);
                let same = |other: &Rule| matches!(other, Rule::Alarm(other) if other.alarm == rule.alarm);
                if scaling.rules[..i].iter().any(same) {
                    found.warning(
                        path.at("alarm"),
                        format!("another rule has the alarm `{}` too", rule.alarm),
                    );
                }
            }
            Rule::Queue(rule) => {
                queue(&path, rule, found);
                zero(&path, scaling, rule, found);
                let same = |other: &Rule| matches!(other, Rule::Queue(other) if other.queue == rule.queue);
                if scaling.rules[..i].iter().any(same) {
                    found.warning(
                        path.at("queue"),
                        format!("another rule has the queue `{}` too", rule.queue),
                    );
                }
            }
        }
    }
    if scaling.min == scaling.max && scaling.schedule.is_empty() && !scaling.rules.is_empty() {
        let message = format!(
            "the rules have no effect: `min` and `max` are both {}, and no schedule changes them",
            scaling.min
        );
        found.warning(path.at("rules"), message);
    }
    limit(&path.at("limit"), &scaling.limit, found);
    for (i, schedule) in scaling.schedule.iter().enumerate() {
        let path = path.at("schedule").at(i);
        found.cron(&path, &schedule.cron, schedule.timezone.as_deref());
        let (min, max) = (schedule.min.unwrap_or(scaling.min), schedule.max.unwrap_or(scaling.max));
        if schedule.min.is_none() && schedule.max.is_none() {
            found.error(path, "a schedule needs `min`, `max` or both");
        } else if min > max {
            found.error(
                path,
                format!("from then on `min` would be {min}, more than `max`, which would be {max}"),
            );
        }
    }
}

fn alarm(path: &Path, rule: &AlarmRule, found: &mut Found) {
    found.name(path.at("alarm"), "the alarm's name", &rule.alarm, ALARM_NAME);
    let given = [
        ("target", rule.target.is_some()),
        ("steps", !rule.steps.is_empty()),
        ("add", rule.add.is_some()),
        ("percent", rule.percent.is_some()),
        ("set", rule.set.is_some()),
    ];
    one_of(path, "a rule with `alarm`", &given, found);
    if let Some(target) = rule.target.filter(|t| !(t.is_finite() && *t > 0.0)) {
        let range = "greater than 0, since the count follows value / target";
        found.error(path.at("target"), out_of_range("target", target, range));
    }
    if let Some(tolerance) = rule.tolerance {
        if rule.target.is_none() {
            found.error(path.at("tolerance"), "`tolerance` goes with `target` only");
        } else if !(0.0..1.0).contains(&tolerance) {
            let range = "0 to less than 1, as `0.1` is 10 %";
            found.error(path.at("tolerance"), out_of_range("tolerance", tolerance, range));
        }
    }
    let in_percent = rule.percent.is_some() || rule.steps.iter().any(|step| step.percent.is_some());
    if rule.min_step.is_some() && !in_percent {
        found.error(
            path.at("min-step"),
            "`min-step` goes with `percent` only: it is the least change of a percentage",
        );
    }
    percent(&path.at("percent"), rule.percent, found);
    steps(&path.at("steps"), &rule.steps, found);
}

/// What is for services that have no task at times.
fn zero(path: &Path, scaling: &Scaling, rule: &QueueRule, found: &mut Found) {
    let least = scaling
        .schedule
        .iter()
        .filter_map(|entry| entry.min)
        .chain([scaling.min]);
    if least.min() == Some(0) {
        return;
    }
    let given = [
        ("activate-above", rule.activate_above > 0),
        ("idle-for", rule.idle_for.is_some()),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| *given) {
        let message = format!(
            "has no effect: `min` is {}, so there are never 0 tasks to start from or to go to",
            scaling.min
        );
        found.warning(path.at(key), message);
    }
}

/// A count that is set outside of the bounds is never reached.
fn bounds(path: &Path, scaling: &Scaling, rule: &AlarmRule, found: &mut Found) {
    let steps = rule
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| (path.at("steps").at(i), step.set));
    for (path, set) in std::iter::once((path.clone(), rule.set)).chain(steps) {
        if let Some(set) = set.filter(|set| !(scaling.min..=scaling.max).contains(set)) {
            let message = format!(
                "{set} is outside of {} to {}: the count stops at the bound",
                scaling.min, scaling.max
            );
            found.warning(path.at("set"), message);
        }
    }
}

fn queue(path: &Path, rule: &QueueRule, found: &mut Found) {
    found.name(path.at("queue"), "the queue's name", &rule.queue, QUEUE_NAME);
    if let Some(per_task) = rule.per_task {
        found.whole(path, "per-task", per_task);
    }
    if rule.max_age.is_some_and(|age| age.duration().is_zero()) {
        found.error(path.at("max-age"), "must be longer than `0s`");
    }
}

fn percent(path: &Path, percent: Option<f64>, found: &mut Found) {
    if let Some(percent) = percent.filter(|p| !p.is_finite() || *p < -100.0) {
        let range = "-100 or more, since no more than all tasks can be removed";
        found.error(path.clone(), out_of_range("percent", percent, range));
    }
}

/// The rules for step adjustments (Application Auto Scaling user guide, "Step scaling policies"): no overlap, no gap, at
/// most one step open at either end, not both ends of one step open, and none left open towards infinity.
fn steps(path: &Path, steps: &[Step], found: &mut Found) {
    if steps.len() > MAX_STEPS {
        found.error(path.clone(), format!("{} steps; there may be {MAX_STEPS}", steps.len()));
    }
    for (i, step) in steps.iter().enumerate() {
        let path = path.at(i);
        let given = [
            ("add", step.add.is_some()),
            ("percent", step.percent.is_some()),
            ("set", step.set.is_some()),
        ];
        if Change::of(step.add, step.percent, step.set).is_none() {
            one_of(&path, "a step", &given, found);
        }
        percent(&path.at("percent"), step.percent, found);
        match (step.from, step.to) {
            (None, None) => found.error(
                path,
                "a step needs `from`, `to` or both; for one change always, give it to the rule",
            ),
            (Some(from), Some(to)) if from.partial_cmp(&to) != Some(std::cmp::Ordering::Less) => {
                found.error(path, format!("`from` ({from}) must be less than `to` ({to})"));
            }
            _ => {}
        }
    }
    if steps
        .iter()
        .all(|s| (s.from.is_some() || s.to.is_some()) && lower(s) < upper(s))
    {
        ranges(path, steps, found);
    }
}

fn lower(step: &Step) -> f64 {
    step.from.unwrap_or(f64::NEG_INFINITY)
}

fn upper(step: &Step) -> f64 {
    step.to.unwrap_or(f64::INFINITY)
}

fn ranges(path: &Path, steps: &[Step], found: &mut Found) {
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by(|a, b| lower(&steps[*a]).total_cmp(&lower(&steps[*b])));
    for pair in order.windows(2) {
        let (end, start) = (upper(&steps[pair[0]]), lower(&steps[pair[1]]));
        if start < end {
            let message = format!("overlaps the step {}", written(&steps[pair[0]]));
            found.error(path.at(pair[1]), message);
        } else if start > end {
            let message = format!("there is a gap from {end} to {start}: make the ranges meet");
            found.error(path.at(pair[1]), message);
        }
    }
    if let (Some(first), Some(last)) = (order.first(), order.last()) {
        if steps[*first].from.is_some_and(|from| from < 0.0) {
            let message = "below the threshold the lowest step must be open: leave its `from` out";
            found.error(path.at(*first).at("from"), message);
        }
        if steps[*last].to.is_some_and(|to| to > 0.0) {
            let message = "above the threshold the highest step must be open: leave its `to` out";
            found.error(path.at(*last).at("to"), message);
        }
    }
}

fn written(step: &Step) -> String {
    match (step.from, step.to) {
        (Some(from), Some(to)) => format!("from {from} to {to}"),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("to {to}"),
        (None, None) => "without bounds".into(),
    }
}

fn limit(path: &Path, limit: &Limit, found: &mut Found) {
    for (key, period) in [("out", &limit.out), ("in", &limit.inward)] {
        let Some(PerPeriod { tasks, percent, per }) = period else {
            continue;
        };
        let path = path.at(key);
        if tasks.is_none() && percent.is_none() {
            found.error(path.clone(), "a limit needs `tasks`, `percent` or both");
        }
        if let Some(percent) = percent.filter(|p| !p.is_finite() || *p < 0.0) {
            found.error(path.at("percent"), out_of_range("percent", percent, "0 or more"));
        }
        if per.duration().is_zero() {
            found.error(path.at("per"), "the period must be longer than `0s`");
        }
    }
}

/// Exactly one of the keys is to be given.
fn one_of(path: &Path, what: &str, given: &[(&str, bool)], found: &mut Found) {
    let list = |keys: Vec<&str>, word: &str| {
        let quoted: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
        quoted
            .split_last()
            .map_or_else(String::new, |(last, rest)| format!("{} {word} {last}", rest.join(", ")))
    };
    let all = given.iter().map(|(key, _)| *key).collect();
    let set: Vec<_> = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
    if set.is_empty() {
        found.error(path.clone(), format!("{what} needs one of {}", list(all, "and")));
    } else if set.len() > 1 {
        found.error(
            path.clone(),
            format!(
                "{what} takes only one of {}; this has {}",
                list(all, "and"),
                list(set, "and")
            ),
        );
    }
}
