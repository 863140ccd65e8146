//! How a desired count moves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::values::plain_number;
use super::{Span, is_default};

/// How a service's desired count moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scaling {
    /// The least number of tasks.
    pub min: u32,
    /// The greatest number of tasks.
    pub max: u32,
    /// What moves it. Any rule may add tasks; tasks go only when no rule objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// How long nothing changes after a change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cooldown: Cooldown,
    /// How long a wish must last before it is followed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stabilise: Stabilise,
    /// How much may change per period.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limit: Limit,
    /// How long after a change new tasks distort the metrics: values from before its end are not used.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warm_up: Span,
    /// Other bounds at other times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Schedule>,
    /// What may change while a deployment runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub during_deployment: DuringDeployment,
}

/// One rule.
///
/// It is read as one struct with the keys of both kinds, not as an untagged enum: so an unknown key or a wrong value is
/// told as such, at its own place, and not as "no variant fits".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RuleKeys", into = "RuleKeys")]
pub enum Rule {
    /// A CloudWatch alarm.
    Alarm(AlarmRule),
    /// An SQS queue.
    Queue(QueueRule),
}

impl JsonSchema for Rule {
    fn schema_name() -> Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (alarm, queue) = (
            generator.subschema_for::<AlarmRule>(),
            generator.subschema_for::<QueueRule>(),
        );
        json_schema!({
            "description": "One rule: what a CloudWatch alarm or an SQS queue asks for.",
            "oneOf": [alarm, queue],
        })
    }
}

/// A rule's keys do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Neither `alarm` nor `queue`.
    #[error("a rule needs `alarm` (the name of a CloudWatch alarm) or `queue` (the name of an SQS queue)")]
    NoSource,
    /// Both.
    #[error("a rule has `alarm` or `queue`, not both: write two rules")]
    TwoSources,
    /// A queue with neither `per-task` nor `max-age`.
    #[error(
        "a rule with `queue` needs `per-task` (how many messages one task is to have), `max-age` (how old the oldest may \
         be) or both"
    )]
    NoMeasure,
    /// A key of the other kind.
    #[error("`{key}` belongs to a rule with `{other}`; this one has `{source_key}`")]
    Foreign {
        /// The key.
        key: &'static str,
        /// What this rule has.
        source_key: &'static str,
        /// What the key belongs to.
        other: &'static str,
    },
}

/// The keys of both kinds of rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename = "Rule", rename_all = "kebab-case", deny_unknown_fields, default)]
struct RuleKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "plain_number")]
    target: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "plain_number")]
    tolerance: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "plain_number")]
    percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_step: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Missing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_task: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activate_above: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_for: Option<Span>,
}

impl TryFrom<RuleKeys> for Rule {
    type Error = RuleError;

    fn try_from(mut keys: RuleKeys) -> Result<Self, RuleError> {
        let foreign = |given: &[(&'static str, bool)], source_key, other| {
            let found = given.iter().find(|(_, given)| *given);
            found.map_or(Ok(()), |(key, _)| Err(RuleError::Foreign { key, source_key, other }))
        };
        match (keys.alarm.take(), keys.queue.take()) {
            (Some(alarm), None) => {
                let of_queues = [
                    ("per-task", keys.per_task.is_some()),
                    ("max-age", keys.max_age.is_some()),
                    ("activate-above", keys.activate_above.is_some()),
                    ("idle-for", keys.idle_for.is_some()),
                ];
                foreign(&of_queues, "alarm", "queue")?;
                Ok(Self::Alarm(AlarmRule {
                    alarm,
                    target: keys.target,
                    tolerance: keys.tolerance,
                    steps: keys.steps,
                    add: keys.add,
                    percent: keys.percent,
                    set: keys.set,
                    min_step: keys.min_step,
                    missing: keys.missing.unwrap_or_default(),
                }))
            }
            (None, Some(queue)) => {
                let of_alarms = [
                    ("target", keys.target.is_some()),
                    ("tolerance", keys.tolerance.is_some()),
                    ("steps", !keys.steps.is_empty()),
                    ("add", keys.add.is_some()),
                    ("percent", keys.percent.is_some()),
                    ("set", keys.set.is_some()),
                    ("min-step", keys.min_step.is_some()),
                    ("missing", keys.missing.is_some()),
                ];
                foreign(&of_alarms, "queue", "alarm")?;
                if keys.per_task.is_none() && keys.max_age.is_none() {
                    return Err(RuleError::NoMeasure);
                }
                Ok(Self::Queue(QueueRule {
                    queue,
                    per_task: keys.per_task,
                    max_age: keys.max_age,
                    activate_above: keys.activate_above.unwrap_or_default(),
                    idle_for: keys.idle_for,
                }))
            }
            (Some(_), Some(_)) => Err(RuleError::TwoSources),
            (None, None) => Err(RuleError::NoSource),
        }
    }
}

impl From<Rule> for RuleKeys {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Alarm(rule) => Self {
                alarm: Some(rule.alarm),
                target: rule.target,
                tolerance: rule.tolerance,
                steps: rule.steps,
                add: rule.add,
                percent: rule.percent,
                set: rule.set,
                min_step: rule.min_step,
                missing: (rule.missing != Missing::default()).then_some(rule.missing),
                ..Self::default()
            },
            Rule::Queue(rule) => Self {
                queue: Some(rule.queue),
                per_task: rule.per_task,
                max_age: rule.max_age,
                activate_above: (rule.activate_above != 0).then_some(rule.activate_above),
                idle_for: rule.idle_for,
                ..Self::default()
            },
        }
    }
}

/// What a CloudWatch alarm asks for: exactly one of `target`, `steps`, `add`, `percent`, `set`.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlarmRule {
    /// The alarm's name.
    pub alarm: String,
    /// The value that the metric should have: the count follows in proportion, both ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// How far the value may be from `target` without a change, as a share: 0.1 is 10 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// Changes by how far the metric is from the alarm's threshold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Add so many tasks; negative removes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<i32>,
    /// Add so many percent; negative removes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// Set the count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<u32>,
    /// The least number of tasks that a percentage changes (AWS's `MinAdjustmentMagnitude`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_step: Option<u32>,
    /// What INSUFFICIENT_DATA means.
    #[serde(default, skip_serializing_if = "is_default")]
    pub missing: Missing,
}

/// A step: a range of the metric less the alarm's threshold, and exactly one of `add`, `percent`, `set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    /// The lower bound; open when left out.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "plain_number")]
    pub from: Option<f64>,
    /// The upper bound; open when left out.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "plain_number")]
    pub to: Option<f64>,
    /// Add so many tasks; negative removes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<i32>,
    /// Add so many percent; negative removes.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "plain_number")]
    pub percent: Option<f64>,
    /// Set the count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<u32>,
}

/// What a step or a rule does with the count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Add so many (AWS: ChangeInCapacity).
    Add(i32),
    /// Add so many percent (AWS: PercentChangeInCapacity).
    Percent(f64),
    /// Set it (AWS: ExactCapacity).
    Set(u32),
}

impl Change {
    /// The one that is given; `None` when none is, or several are.
    #[must_use]
    pub fn of(add: Option<i32>, percent: Option<f64>, set: Option<u32>) -> Option<Self> {
        match (add, percent, set) {
            (Some(n), None, None) => Some(Self::Add(n)),
            (None, Some(p), None) => Some(Self::Percent(p)),
            (None, None, Some(n)) => Some(Self::Set(n)),
            _ => None,
        }
    }
}

/// What INSUFFICIENT_DATA means for the other rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// No rule may remove tasks.
    #[default]
    Block,
    /// The rule is silent.
    Ignore,
}

/// What an SQS queue asks for, by `per-task`, `max-age` or both: then the larger count.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(extend("anyOf" = [{ "required": ["per-task"] }, { "required": ["max-age"] }]))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueueRule {
    /// The queue's name.
    pub queue: String,
    /// How many messages, visible and in flight, one task is to have.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_task: Option<u32>,
    /// How old the oldest message may be; above that, tasks are added in proportion, at most as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// From zero tasks, start above so many messages.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activate_above: u32,
    /// Go to zero after so long without messages; `1m` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_for: Option<Span>,
}

/// How long nothing changes after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Cooldown {
    /// Before more tasks are added again.
    pub out: Span,
    /// Before tasks are removed.
    #[serde(rename = "in")]
    pub inward: Span,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            out: Span::minutes(1),
            inward: Span::minutes(5),
        }
    }
}

/// How long a wish must last before it is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Stabilise {
    /// For more tasks.
    pub out: Span,
    /// For fewer tasks.
    #[serde(rename = "in")]
    pub inward: Span,
}

impl Default for Stabilise {
    fn default() -> Self {
        Self {
            out: Span::seconds(0),
            inward: Span::seconds(0),
        }
    }
}

/// How much may change per period.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limit {
    /// For more tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<PerPeriod>,
    /// For fewer tasks.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub inward: Option<PerPeriod>,
}

/// So many tasks or percent per period; with both, the smaller change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PerPeriod {
    /// Tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u32>,
    /// Percent of the count at the period's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "plain_number")]
    pub percent: Option<f64>,
    /// The period.
    pub per: Span,
}

/// Bounds that begin at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Schedule {
    /// When it begins: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// IANA time zone, like `Europe/Madrid`; UTC when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The least number of tasks from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// The greatest number of tasks from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// What may change while a deployment runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DuringDeployment {
    /// Tasks may be added, not removed.
    #[default]
    OutOnly,
    /// Nothing.
    Hold,
    /// Everything.
    Free,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Rule;

    fn read(json: Value) -> Result<Rule, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_rule_is_written_as_it_was_read() {
        for json in [
            json!({ "alarm": "a", "target": 60, "tolerance": 0.2 }),
            json!({ "alarm": "a", "steps": [{ "from": 0, "add": 1 }], "missing": "ignore" }),
            json!({ "alarm": "a", "percent": -25, "min-step": 2 }),
            json!({ "queue": "q", "per-task": 10, "activate-above": 5, "idle-for": "5m" }),
            json!({ "queue": "q", "max-age": "5m" }),
        ] {
            assert_eq!(serde_json::to_value(read(json.clone()).unwrap()).unwrap(), json);
        }
    }

    #[test]
    fn keys_that_do_not_fit_together_are_told() {
        let error = |json| read(json).unwrap_err();
        assert_eq!(
            error(json!({ "alarm": "a", "add": 1, "per-task": 1 })),
            "`per-task` belongs to a rule with `queue`; this one has `alarm`"
        );
        assert_eq!(
            error(json!({ "queue": "q", "per-task": 1, "steps": [{}] })),
            "`steps` belongs to a rule with `alarm`; this one has `queue`"
        );
        assert_eq!(
            error(json!({ "alarm": "a", "queue": "q" })),
            "a rule has `alarm` or `queue`, not both: write two rules"
        );
        assert_eq!(
            error(json!({ "queue": "q" })),
            "a rule with `queue` needs `per-task` (how many messages one task is to have), `max-age` (how old the oldest \
             may be) or both"
        );
        assert_eq!(
            error(json!({ "add": 1 })),
            "a rule needs `alarm` (the name of a CloudWatch alarm) or `queue` (the name of an SQS queue)"
        );
        assert!(error(json!({ "alarm": "a", "tarqet": 1 })).starts_with("unknown field `tarqet`"));
    }
}
