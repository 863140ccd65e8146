//! What `--facts` supplies: answers of AWS, as `aws … --output json` prints them, by the operation's name.

mod hosts;
mod images;
mod instances;
mod names;
mod scaling;
mod storage;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use wharfinger_core::config::Entry;
use wharfinger_core::delivery::Wish;
use wharfinger_core::event::{AlarmStateChange, TaskStateChange, time_from_json};
use wharfinger_core::ids::{Digest, Target, TargetKind, TaskArn, TaskDefinitionRef};
use wharfinger_core::known::Known;
use wharfinger_core::scaling::backtest::AlarmDefinition;
use wharfinger_core::service::{Attached, ServiceFacts};

use crate::input;
use crate::output::warning;

pub(crate) use hosts::Placed;

/// The operations whose answers are read, and what of them.
const OPERATIONS: [(&str, &[&str]); 27] = [
    ("BatchGetImage", &["images", "failures"]),
    ("DescribeAccessPoints", &["AccessPoints"]),
    ("DescribeAlarms", &["MetricAlarms", "CompositeAlarms"]),
    ("DescribeAutoScalingGroups", &["AutoScalingGroups"]),
    ("DescribeAutoScalingInstances", &["AutoScalingInstances"]),
    ("DescribeCapacityProviders", &["capacityProviders", "failures"]),
    ("DescribeContainerInstances", &["containerInstances", "failures"]),
    ("DescribeImageScanFindings", &["imageScanStatus", "imageScanFindings"]),
    ("DescribeImages", &["imageDetails"]),
    ("DescribeInstanceInformation", &["InstanceInformationList"]),
    ("DescribeInstances", &["Reservations"]),
    ("DescribeNetworkInterfaces", &["NetworkInterfaces"]),
    ("DescribeScalableTargets", &["ScalableTargets"]),
    ("DescribeServiceRevisions", &["serviceRevisions", "failures"]),
    ("DescribeServices", &["services", "failures"]),
    ("DescribeSnapshotAttribute", &["SnapshotId", "CreateVolumePermissions"]),
    ("DescribeSnapshots", &["Snapshots"]),
    ("DescribeVolumes", &["Volumes"]),
    ("DescribeTargetGroups", &["TargetGroups"]),
    ("DescribeTaskDefinition", &["taskDefinition"]),
    ("DescribeTasks", &["tasks", "failures"]),
    ("GetMetricData", &["MetricDataResults"]),
    ("GetQueueAttributes", &["Attributes"]),
    ("ListContainerInstances", &["containerInstanceArns"]),
    ("ListNamespaces", &["Namespaces"]),
    ("ListServices", &["Services"]),
    ("ListTasks", &["taskArns"]),
];

/// Whether the answer of an operation is read.
pub(crate) fn is_read(operation: &str) -> bool {
    OPERATIONS.iter().any(|(name, _)| *name == operation)
}

/// Answers by the operation's name; each operation may have been asked several times.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answers {
    /// What the file is called in messages.
    name: String,
    by_operation: BTreeMap<String, Vec<Value>>,
}

/// An element of a list in an answer.
struct Element<'a> {
    operation: &'a str,
    /// Which of several answers.
    answer: Option<usize>,
    list: &'a str,
    index: usize,
    value: &'a Value,
}

impl Element<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.value.get(field).and_then(Value::as_str)
    }
}

impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation)?;
        if let Some(answer) = self.answer {
            write!(f, "[{answer}]")?;
        }
        write!(f, ": {}[{}]", self.list, self.index)
    }
}

impl Answers {
    /// Reads the JSON of a file of this name.
    pub(crate) fn parse(name: String, text: &str) -> anyhow::Result<Self> {
        let Value::Object(object) = serde_json::from_str(text).context("this is no JSON")? else {
            bail!("this is not one JSON object with the names of AWS operations as its keys, like `DescribeServices`");
        };
        let several = |value| match value {
            Value::Array(answers) => answers,
            answer => vec![answer],
        };
        let answers = object.into_iter();
        Ok(Self {
            name,
            by_operation: answers.map(|(operation, value)| (operation, several(value))).collect(),
        })
    }

    /// Reads a file; what is of no use in it is told.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let name = file.display().to_string();
        let answers = Self::parse(name.clone(), &input::text(file)?).context(name)?;
        for unread in answers.unread() {
            warning(unread);
        }
        Ok(answers)
    }

    /// What is of no use in the file, and likely not meant so.
    pub(crate) fn unread(&self) -> Vec<String> {
        let mut unread = Vec::new();
        for (operation, answers) in &self.by_operation {
            let name = &self.name;
            let Some((_, parts)) = OPERATIONS.iter().find(|(known, _)| known == operation) else {
                let of = OPERATIONS.iter().find(|(_, parts)| parts.contains(&operation.as_str()));
                unread.push(match of {
                    // The answer itself, without its operation.
                    Some((of, _)) => format!(
                        "{name}: `{operation}` is a part of what {of} answers: put the answer under its operation, as \
                         with jq '{{{of}: .}}'"
                    ),
                    None => format!("{name}: `{operation}` is not an operation that is asked for here"),
                });
                continue;
            };
            if answers
                .iter()
                .any(|answer| parts.iter().all(|part| answer.get(part).is_none()))
            {
                let parts: Vec<_> = parts.iter().map(|part| format!("`{part}`")).collect();
                let parts = parts.join(" or ");
                unread.push(format!(
                    "{name}: {operation}: an answer of this has {parts}, this one has not"
                ));
            }
            // The next page begins with what the last one answered as its end.
            let last = answers.last();
            let goes_on = ["NextToken", "nextToken"].into_iter().find(|token| {
                let given = last.and_then(|answer| answer.get(token));
                given.and_then(Value::as_str).is_some_and(|token| !token.is_empty())
            });
            if let Some(token) = goes_on {
                unread.push(format!(
                    "{name}: {operation}: the answer goes on (`{token}`), and what is on the other pages counts as not there: \
                     write a list of all pages"
                ));
            }
        }
        unread
    }

    /// That each answer of an operation has a list: what lacks it is no answer that there are none.
    fn each_has(&self, operation: &str, list: &str) -> anyhow::Result<()> {
        let answers = self.by_operation.get(operation).map(Vec::as_slice).unwrap_or_default();
        let lacks = |answer: &Value| answer.get(list).and_then(Value::as_array).is_none();
        if answers.is_empty() || answers.iter().any(lacks) {
            bail!(
                "{}: {operation}: an answer of this has a list `{list}`: write {{\"{operation}\": {{\"{list}\": [...]}}}}",
                self.name
            );
        }
        Ok(())
    }

    fn has(&self, operation: &str) -> bool {
        self.by_operation.contains_key(operation)
    }

    /// The elements of a list in every answer of an operation.
    fn elements<'a>(&'a self, operation: &'a str, list: &'a str) -> impl Iterator<Item = Element<'a>> {
        let answers = self.by_operation.get(operation).map(Vec::as_slice).unwrap_or_default();
        let several = answers.len() > 1;
        answers.iter().enumerate().flat_map(move |(answer, value)| {
            let elements = value.get(list).and_then(Value::as_array).map(Vec::as_slice);
            let elements = elements.unwrap_or_default().iter().enumerate();
            elements.map(move |(index, value)| Element {
                operation,
                answer: several.then_some(answer),
                list,
                index,
                value,
            })
        })
    }

    /// An element that cannot be used, and why.
    fn unusable(&self, element: &Element<'_>, why: impl fmt::Display) -> anyhow::Error {
        anyhow!("{}: {element}: {why}", self.name)
    }

    /// A task of `DescribeTasks`: not known when it was not asked for, `None` when it is not among the answers.
    pub(crate) fn task(&self, task: &TaskArn) -> anyhow::Result<Known<Option<TaskStateChange>>> {
        if !self.has("DescribeTasks") {
            return Ok(Known::No);
        }
        let mut newest: Option<TaskStateChange> = None;
        for described in self.elements("DescribeTasks", "tasks") {
            if described.text("taskArn") != Some(task.as_str()) {
                continue;
            }
            let described = TaskStateChange::from_describe_tasks(described.value)
                .map_err(|error| self.unusable(&described, error))?;
            if newest.as_ref().is_none_or(|newest| newest.version < described.version) {
                newest = Some(described);
            }
        }
        Ok(Known::Yes(newest))
    }

    /// A service of `DescribeServices`: not known when no answer tells of it, `None` when one says that it is missing.
    pub(crate) fn service(&self, target: &Target) -> anyhow::Result<Known<Option<ServiceFacts>>> {
        let is_target = |arn: Option<&str>| {
            arn.is_some_and(|arn| Target::from_service_arn(arn).is_ok_and(|found| found == *target))
        };
        if let Some(service) = self
            .elements("DescribeServices", "services")
            .find(|service| is_target(service.text("serviceArn")))
        {
            let facts = ServiceFacts::parse(service.value)
                .ok_or_else(|| self.unusable(&service, "`status` or `desiredCount` is missing"))?;
            return Ok(Known::Yes(Some(facts)));
        }
        let missing = self
            .elements("DescribeServices", "failures")
            .any(|failure| is_target(failure.text("arn")));
        Ok(if missing { Known::Yes(None) } else { Known::No })
    }

    /// Where ECS itself registers the tasks of a service; nothing when no answer tells of it.
    pub(crate) fn attached(&self, target: &Target) -> Option<Attached> {
        let service = self.living(target)?;
        Some(Attached::parse(service.value))
    }

    /// A service of `DescribeServices` that is not deleted.
    fn living(&self, target: &Target) -> Option<Element<'_>> {
        let is_it = |service: &Element<'_>| {
            let arn = service.text("serviceArn");
            service.text("status") != Some("INACTIVE")
                && arn.is_some_and(|arn| Target::from_service_arn(arn).is_ok_and(|found| found == *target))
        };
        self.elements("DescribeServices", "services").find(is_it)
    }

    /// An alarm of `DescribeAlarms`, metric or composite; `None` when no answer tells of it.
    pub(crate) fn alarm(&self, name: &str) -> anyhow::Result<Option<AlarmStateChange>> {
        let mut alarms = ["MetricAlarms", "CompositeAlarms"]
            .into_iter()
            .flat_map(|list| self.elements("DescribeAlarms", list));
        let Some(found) = alarms.find(|alarm| alarm.text("AlarmName") == Some(name)) else {
            return Ok(None);
        };
        let alarm =
            AlarmStateChange::from_describe_alarms(found.value).map_err(|error| self.unusable(&found, error))?;
        Ok(Some(alarm))
    }

    /// How an alarm of `DescribeAlarms` is evaluated; `None` when no answer tells of a metric alarm of this name.
    pub(crate) fn definition(&self, name: &str) -> anyhow::Result<Option<AlarmDefinition>> {
        let mut alarms = self.elements("DescribeAlarms", "MetricAlarms");
        let Some(found) = alarms.find(|alarm| alarm.text("AlarmName") == Some(name)) else {
            return Ok(None);
        };
        let definition = AlarmDefinition::from_describe_alarms(found.value);
        let (_, definition) = definition.map_err(|error| self.unusable(&found, error))?;
        Ok(Some(definition))
    }

    /// Whether `DescribeAlarms` tells of a composite alarm of this name.
    pub(crate) fn is_composite(&self, name: &str) -> bool {
        let mut alarms = self.elements("DescribeAlarms", "CompositeAlarms");
        alarms.any(|alarm| alarm.text("AlarmName") == Some(name))
    }

    /// The raw answer of `DescribeTaskDefinition` for an ARN, `family:revision`, or a family, which means its latest
    /// revision; not known when no answer tells of it.
    pub(crate) fn task_definition(&self, name: &str) -> Known<Option<Value>> {
        let answers = self
            .by_operation
            .get("DescribeTaskDefinition")
            .map(Vec::as_slice)
            .unwrap_or_default();
        let arn = |answer: &Value| {
            answer
                .get("taskDefinition")?
                .get("taskDefinitionArn")?
                .as_str()
                .map(str::to_owned)
        };
        let revision = |arn: &str| TaskDefinitionRef::parse(arn).map(|found| (found.family.to_owned(), found.revision));
        let wanted = revision(name);
        let fits = |answer: &&Value| {
            let found = arn(answer).as_deref().and_then(revision);
            found.is_some_and(|found| wanted.as_ref().map_or(found.0 == name, |wanted| *wanted == found))
        };
        let latest = answers
            .iter()
            .filter(fits)
            .max_by_key(|answer| arn(answer).as_deref().and_then(revision));
        latest.map_or(Known::No, |answer| Known::Yes(Some(answer.clone())))
    }

    /// The answer of `DescribeTaskDefinition` for what a service or family runs; `None` when it is not known, or not there.
    pub(crate) fn runs(&self, entry: &Entry) -> Option<Value> {
        let target = Target::parse(entry.kind, &entry.name).ok()?;
        let name = match target.kind {
            TargetKind::Service => self.living(&target)?.text("taskDefinition")?.to_owned(),
            TargetKind::Task | TargetKind::Cluster => target.name,
        };
        match self.task_definition(&name) {
            Known::Yes(answer) => answer,
            Known::No => None,
        }
    }

    /// The tagged images of `DescribeImages` in a repository, one per tag.
    pub(crate) fn images(&self, repository: &str) -> anyhow::Result<Vec<Wish>> {
        let mut images = Vec::new();
        for image in self.elements("DescribeImages", "imageDetails") {
            if image.text("repositoryName") != Some(repository) {
                continue;
            }
            let unusable = |why: String| self.unusable(&image, why);
            let digest = image.text("imageDigest");
            let digest = digest.ok_or_else(|| unusable("`imageDigest` is missing or no text".to_owned()))?;
            let digest: Digest = digest
                .parse()
                .map_err(|error| unusable(format!("`imageDigest`: {error}")))?;
            let pushed_at = image.value.get("imagePushedAt").and_then(time_from_json);
            let pushed_at = pushed_at.ok_or_else(|| unusable("`imagePushedAt` is missing or no time".to_owned()))?;
            let tags = image
                .value
                .get("imageTags")
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            images.extend(tags.iter().filter_map(Value::as_str).map(|tag| Wish {
                repository: repository.to_owned(),
                tag: tag.to_owned(),
                digest: digest.clone(),
                pushed_at,
            }));
        }
        Ok(images)
    }
}
