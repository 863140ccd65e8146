//! What is answered: for each target that the event concerns, in one.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use wharfinger_core::config::Rule;
use wharfinger_core::config::stored::{Managed, alarm_partition, repository_partition};
use wharfinger_core::event::{Detail, Event, Rejected, TaskStateChange};
use wharfinger_core::ids::Target;
use wharfinger_core::report::{Code, Decision, Outcome, Reason};

use super::Config;
use super::capacity::Explained;
use super::decide::{Call, Context};
use super::endpoints::both;
use crate::document::there_is;
use crate::facts::is_read;
use crate::output::{BOLD, DIM, GREEN, RED, Show, YELLOW};

/// The answer, as its JSON is promised.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    event: About,
    outcome: Outcome,
    actions: Vec<Call>,
    reasons: Vec<Reason>,
    missing: Vec<&'static str>,
    /// Whether it is about a sweep, which no facts explain.
    #[serde(skip)]
    sweep: bool,
}

/// What the event is about.
#[derive(Debug, Serialize)]
struct About {
    kind: Option<String>,
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
}

impl About {
    fn of(self, (target, decision): Explained) -> Answer {
        let target = target.map(|target| target.to_string());
        Answer::of(Self { target, ..self }, decision)
    }
}

/// Why nothing is said of a cluster.
const NOT_OURS: [Code; 2] = [Code::NotManaged, Code::NotConfigured];

/// What every sweep asks AWS for.
const SWEEP: [&str; 14] = [
    "ListTasks",
    "DescribeTasks",
    "ListContainerInstances",
    "DescribeContainerInstances",
    "DescribeInstances",
    "DescribeNetworkInterfaces",
    "ListInstances",
    "DescribeTargetHealth",
    "DescribeAlarms",
    "DescribeServices",
    "DescribeTaskDefinition",
    "DescribeImages",
    "DescribeSnapshots",
    "DescribeVolumes",
];

impl Answer {
    /// The event cannot be used.
    pub(super) fn rejected(json: &Value, rejected: &Rejected) -> Self {
        let kind = json.get("detail-type").and_then(Value::as_str).map(str::to_owned);
        let reason = Reason::new(Code::EventRejected, rejected.to_string());
        let about = About {
            kind,
            target: None,
            version: None,
        };
        Self::without_calls(about, Outcome::Rejected, reason)
    }

    fn without_calls(event: About, outcome: Outcome, reason: Reason) -> Self {
        Self::of(event, Decision::without_calls(outcome, reason))
    }

    fn sweep(event: About) -> Self {
        let message = "a sweep compares all that is configured with all that is there: \
                       explain the event of one task, alarm or image instead";
        let mut decision = Decision::without_calls(Outcome::Wait, Reason::new(Code::FactsMissing, message));
        decision.missing.extend(SWEEP);
        Self {
            sweep: true,
            ..Self::of(event, decision)
        }
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.outcome == Outcome::Rejected
    }

    fn of(event: About, decision: Decision<Call>) -> Self {
        let Decision {
            outcome,
            actions,
            reasons,
            mut missing,
        } = decision;
        let mut seen = Vec::new();
        missing.retain(|operation| {
            let new = !seen.contains(operation);
            seen.push(*operation);
            new
        });
        Self {
            event,
            outcome,
            actions,
            reasons,
            missing,
            sweep: false,
        }
    }
}

/// Explains an event.
pub(super) fn explain(context: &Context<'_>, config: &Config, event: &Event) -> anyhow::Result<Answer> {
    let mut about = About {
        kind: Some(event.detail.kind().to_owned()),
        target: None,
        version: None,
    };
    let (named, decisions) = match &event.detail {
        Detail::Task(task) => return of_task(context, config, about, task),
        Detail::Alarm(alarm) => {
            let found = config.under(alarm_partition(&alarm.alarm_name));
            (
                Named::Alarm(alarm.alarm_name.clone()),
                decide(found, |managed| context.alarm(managed, alarm))?,
            )
        }
        Detail::Image(image) => {
            let found = config.under(repository_partition(&image.repository));
            let decided = decide(found, |managed| context.image(managed, &event.envelope, image))?;
            (Named::Repository(image.repository.clone()), decided)
        }
        Detail::Scan(scan) => {
            let found = config.under(repository_partition(&scan.repository));
            let decided = decide(found, |managed| context.scan(managed, &event.envelope, scan))?;
            (Named::Repository(scan.repository.clone()), decided)
        }
        Detail::Deployment(deployment) => {
            let target = deployment.target.clone();
            let found = config.targets.iter().filter(|managed| managed.target == target);
            let decided = decide(found, |managed| {
                context.deployment(managed, &event.envelope, deployment)
            })?;
            (Named::Target(target), decided)
        }
        Detail::Lifecycle(_) | Detail::Instance(_) | Detail::Health(_) => {
            return Ok(about.of(context.instances(config, event)?));
        }
        Detail::ContainerInstance(instance) => {
            let (cluster, capacity) = Context::container_instance(config, instance);
            let decision = match context.draining(instance)? {
                None => capacity,
                // Who says nothing of the cluster has nothing to add.
                Some(decided) if capacity.reasons.iter().all(|r| NOT_OURS.contains(&r.code)) => join(decided),
                Some(decided) => both(join(decided), capacity),
            };
            return Ok(about.of((cluster, decision)));
        }
        Detail::Snapshot(snapshot) => return Ok(about.of(context.snapshot(config, snapshot)?)),
        Detail::ServiceAction(action) => return Ok(about.of(context.service_action(config, action)?)),
        Detail::Scheduled => return Ok(Answer::sweep(about)),
        Detail::Aside(aside) => return Ok(Answer::without_calls(about, Outcome::Ignore, aside.reason.clone())),
    };
    let targets: Vec<_> = decisions.iter().map(|(target, _)| target.to_string()).collect();
    about.target = match &named {
        Named::Target(target) => Some(target.to_string()),
        Named::Alarm(_) | Named::Repository(_) => (!targets.is_empty()).then(|| targets.join(", ")),
    };
    let decision = if decisions.is_empty() {
        config.without(&named)
    } else {
        join(decisions)
    };
    Ok(Answer::of(about, decision))
}

/// Explains what becomes of a task: what discovery, balancing and storage do, and why it stopped.
fn of_task(context: &Context<'_>, config: &Config, about: About, task: &TaskStateChange) -> anyhow::Result<Answer> {
    let about = About {
        version: Some(task.version),
        ..about
    };
    let target = match task.target() {
        Ok(target) => target,
        Err(rejected) => {
            let reason = Reason::new(Code::EventRejected, rejected.to_string());
            return Ok(Answer::without_calls(about, Outcome::Rejected, reason));
        }
    };
    let found = config.targets.iter().filter(|managed| managed.target == target);
    let decisions = decide(found, |managed| context.task(managed.clone(), task))?;
    let stopped = context.stopped(config, &target, task);
    let decision = match (decisions.is_empty(), stopped) {
        (true, None) => config.without(&Named::Target(target.clone())),
        (true, Some(stopped)) => Decision::without_calls(Outcome::Ignore, stopped),
        (false, stopped) => {
            let mut decision = join(decisions);
            decision.reasons.extend(stopped);
            decision
        }
    };
    Ok(about.of((Some(target), decision)))
}

/// What an event names.
enum Named {
    Target(Target),
    Alarm(String),
    Repository(String),
}

/// What is decided, by the target.
pub(super) type Decided = Vec<(Target, Decision<Call>)>;

fn decide<'m>(
    found: impl Iterator<Item = &'m Managed>,
    decide: impl Fn(&Managed) -> anyhow::Result<Decision<Call>>,
) -> anyhow::Result<Decided> {
    found
        .map(|managed| Ok((managed.target.clone(), decide(managed)?)))
        .collect()
}

/// The decisions on several targets in one: the outcome is that of the target with which most happens.
pub(super) fn join(mut decisions: Decided) -> Decision<Call> {
    if decisions.len() == 1
        && let Some((_, only)) = decisions.pop()
    {
        return only;
    }
    let outcome = decisions
        .iter()
        .map(|(_, decision)| decision.outcome)
        .min()
        .unwrap_or(Outcome::Ignore);
    let mut joined = Decision {
        outcome,
        actions: Vec::new(),
        reasons: Vec::new(),
        missing: Vec::new(),
    };
    for (target, decision) in decisions {
        joined.actions.extend(decision.actions);
        joined.missing.extend(decision.missing);
        let named = |reason: Reason| Reason::new(reason.code, format!("{target}: {}", reason.message));
        joined.reasons.extend(decision.reasons.into_iter().map(named));
    }
    joined
}

impl Config {
    fn under(&self, partition: String) -> impl Iterator<Item = &Managed> {
        self.targets
            .iter()
            .filter(move |managed| managed.stored.partitions().contains(&partition))
    }

    /// Nothing is configured for this.
    fn without(&self, named: &Named) -> Decision<Call> {
        let name = &self.name;
        let configs = || self.targets.iter().map(|managed| &managed.stored.config);
        let message = match named {
            Named::Target(target) => {
                let of_kind = self.targets.iter().filter(|managed| managed.target.kind == target.kind);
                let known = of_kind.map(|managed| managed.target.to_string());
                let hint = there_is(&target.to_string(), known);
                format!("{target} is not in {name}{hint}: nothing is done for it")
            }
            Named::Alarm(alarm) => {
                let rules = configs()
                    .flat_map(|config| &config.scaling)
                    .flat_map(|scaling| &scaling.rules);
                let known = rules.filter_map(|rule| match rule {
                    Rule::Alarm(rule) => Some(&rule.alarm),
                    Rule::Queue(_) => None,
                });
                let hint = there_is(alarm, known);
                format!("no rule in {name} has the alarm `{alarm}`{hint}: nothing is done for it")
            }
            Named::Repository(repository) => {
                let rules = configs().flat_map(|config| &config.delivery);
                let hint = there_is(repository, rules.map(|rule| &rule.repository));
                format!("no rule in {name} takes images of `{repository}`{hint}: nothing is done for it")
            }
        };
        Decision::without_calls(Outcome::Ignore, Reason::new(Code::NotManaged, message))
    }
}

impl Answer {
    /// Which of the missing facts `--facts` would take; none that would make a sweep explained.
    fn supplied(&self) -> Vec<&'static str> {
        let missing = self.missing.iter().copied();
        missing.filter(|operation| !self.sweep && is_read(operation)).collect()
    }

    fn headline(&self) -> String {
        let told = match self.outcome {
            Outcome::Act => "act: these calls are made",
            Outcome::Wait if self.sweep || self.missing.is_empty() => "wait: something must come first",
            Outcome::Wait => {
                let supplied = self.supplied();
                return if supplied.is_empty() {
                    format!("wait: facts are missing: {}", self.missing.join(", "))
                } else {
                    format!(
                        "wait: facts are missing: supply {} with --facts FILE",
                        supplied.join(", ")
                    )
                };
            }
            Outcome::Ignore if self.reasons.iter().any(|reason| reason.code == Code::DryRun) => {
                "ignore: a dry run: the calls are told, and not made"
            }
            Outcome::Ignore => "ignore: nothing is to be done",
            Outcome::Stale => "stale: something newer is known already",
            Outcome::Rejected => "rejected: the event cannot be used",
        };
        told.to_owned()
    }
}

impl Show for Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let About { kind, target, version } = &self.event;
        write!(out, "{BOLD}{}{BOLD:#}", kind.as_deref().unwrap_or("unknown event"))?;
        if let Some(target) = target {
            write!(out, ", {target}")?;
        }
        if let Some(version) = version {
            write!(out, ", version {version}")?;
        }
        let style = match self.outcome {
            Outcome::Act => GREEN,
            Outcome::Wait => YELLOW,
            Outcome::Ignore | Outcome::Stale => DIM,
            Outcome::Rejected => RED,
        };
        writeln!(out, "\n{style}{}{style:#}", self.headline())?;
        for action in &self.actions {
            let input = serde_json::to_string_pretty(&action.input)?.replace('\n', "\n    ");
            writeln!(out, "  {BOLD}{}{BOLD:#}\n    {input}", action.call)?;
        }
        writeln!(out, "because")?;
        for reason in &self.reasons {
            writeln!(out, "  {}: {}", reason.code, reason.message)?;
        }
        let supplied = self.supplied();
        if supplied.is_empty() {
            return Ok(());
        }
        if self.outcome != Outcome::Wait {
            writeln!(out, "not known: supply {} with --facts FILE", supplied.join(", "))?;
        }
        let keys: Vec<_> = supplied.iter().map(|operation| format!("\"{operation}\": …")).collect();
        writeln!(
            out,
            "FILE is one JSON object, {{ {} }}, each answer as `aws … --output json` prints it",
            keys.join(", ")
        )
    }
}
