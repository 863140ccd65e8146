//! What `--facts` supplies: answers of AWS, as `aws … --output json` prints them, by the operation's name.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::Value;
use wharfinger_core::delivery::Wish;
use wharfinger_core::event::{AlarmState, AlarmStateChange, TaskStateChange, time_from_json};
use wharfinger_core::ids::{Target, TaskArn, TaskDefinitionRef};
use wharfinger_core::known::Known;
use wharfinger_core::service::ServiceFacts;

/// The operations whose answers are read.
const OPERATIONS: [&str; 7] = [
    "DescribeAlarms",
    "DescribeImages",
    "DescribeServices",
    "DescribeTaskDefinition",
    "DescribeTasks",
    "ListNamespaces",
    "ListServices",
];

/// Answers by the operation's name; each operation may have been asked several times.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answers(BTreeMap<String, Vec<Value>>);

impl Answers {
    /// Reads the file's JSON.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let Value::Object(object) = serde_json::from_str(text).context("this is no JSON")? else {
            bail!("this is not one JSON object with the names of AWS operations as its keys, like `DescribeServices`");
        };
        let several = |value| match value {
            Value::Array(answers) => answers,
            answer => vec![answer],
        };
        Ok(Self(
            object
                .into_iter()
                .map(|(operation, value)| (operation, several(value)))
                .collect(),
        ))
    }

    /// The keys that name no operation whose answer is read.
    pub(super) fn unread(&self) -> Vec<String> {
        let unread = self.0.keys().filter(|key| !OPERATIONS.contains(&key.as_str()));
        unread.cloned().collect()
    }

    fn has(&self, operation: &str) -> bool {
        self.0.contains_key(operation)
    }

    /// The elements of a list in every answer of an operation.
    fn elements<'a>(&'a self, operation: &str, list: &'a str) -> impl Iterator<Item = &'a Value> {
        let answers = self.0.get(operation).map(Vec::as_slice).unwrap_or_default();
        let lists = answers.iter().filter_map(move |answer| answer.get(list)?.as_array());
        lists.flatten()
    }

    /// A task of `DescribeTasks`: not known when it was not asked for, `None` when it is not among the answers.
    pub(super) fn task(&self, task: &TaskArn) -> anyhow::Result<Known<Option<TaskStateChange>>> {
        if !self.has("DescribeTasks") {
            return Ok(Known::No);
        }
        let mut newest: Option<TaskStateChange> = None;
        for described in self.elements("DescribeTasks", "tasks") {
            if described.get("taskArn").and_then(Value::as_str) != Some(task.as_str()) {
                continue;
            }
            let described = TaskStateChange::parse(described).context("DescribeTasks")?;
            if newest.as_ref().is_none_or(|newest| newest.version < described.version) {
                newest = Some(described);
            }
        }
        Ok(Known::Yes(newest))
    }

    /// A service of `DescribeServices`: not known when no answer tells of it, `None` when one says that it is missing.
    pub(super) fn service(&self, target: &Target) -> anyhow::Result<Known<Option<ServiceFacts>>> {
        let is_target = |arn: Option<&Value>| {
            let arn = arn.and_then(Value::as_str);
            arn.is_some_and(|arn| Target::from_service_arn(arn).is_ok_and(|found| found == *target))
        };
        if let Some(service) = self
            .elements("DescribeServices", "services")
            .find(|service| is_target(service.get("serviceArn")))
        {
            let facts = ServiceFacts::parse(service).with_context(|| {
                format!("DescribeServices: of {target} there is no `serviceArn`, `status` or `desiredCount`")
            })?;
            return Ok(Known::Yes(Some(facts)));
        }
        let missing = self
            .elements("DescribeServices", "failures")
            .any(|failure| is_target(failure.get("arn")));
        Ok(if missing { Known::Yes(None) } else { Known::No })
    }

    /// An alarm of `DescribeAlarms`, metric or composite; `None` when no answer tells of it.
    pub(super) fn alarm(&self, name: &str) -> anyhow::Result<Option<AlarmState>> {
        let mut alarms = ["MetricAlarms", "CompositeAlarms"]
            .into_iter()
            .flat_map(|list| self.elements("DescribeAlarms", list));
        let found = alarms.find(|alarm| alarm.get("AlarmName").and_then(Value::as_str) == Some(name));
        let read = found
            .map(AlarmStateChange::from_describe_alarms)
            .transpose()
            .context("DescribeAlarms")?;
        Ok(read.map(|alarm| alarm.state))
    }

    /// The raw answer of `DescribeTaskDefinition` for an ARN, `family:revision`, or a family, which means its latest
    /// revision; not known when no answer tells of it.
    pub(super) fn task_definition(&self, name: &str) -> Known<Option<Value>> {
        let answers = self
            .0
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

    /// The tagged images of `DescribeImages` in a repository, one per tag.
    pub(super) fn images(&self, repository: &str) -> anyhow::Result<Vec<Wish>> {
        let mut images = Vec::new();
        for image in self.elements("DescribeImages", "imageDetails") {
            let text = |field: &str| image.get(field).and_then(Value::as_str);
            if text("repositoryName") != Some(repository) {
                continue;
            }
            let digest = text("imageDigest").context("DescribeImages: an image without `imageDigest`")?;
            let digest: wharfinger_core::ids::Digest = digest.parse().context("DescribeImages")?;
            let pushed_at = image.get("imagePushedAt").and_then(time_from_json);
            let pushed_at = pushed_at.with_context(|| format!("DescribeImages: {digest} has no `imagePushedAt`"))?;
            let tags = image
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

    /// The id of the Cloud Map service that `namespace/service` names, as `ListNamespaces` and `ListServices` tell it; `None`
    /// when they have no such name. `ListServices` names no namespace, so the service's name must be unique in it.
    pub(super) fn registry(&self, to: &str) -> Known<Option<String>> {
        if !self.has("ListNamespaces") || !self.has("ListServices") {
            return Known::No;
        }
        let Some((namespace, service)) = to.split_once('/') else {
            return Known::Yes(None);
        };
        let is = |value: &Value, name: &str| value.get("Name").and_then(Value::as_str) == Some(name);
        if !self
            .elements("ListNamespaces", "Namespaces")
            .any(|found| is(found, namespace))
        {
            return Known::Yes(None);
        }
        let mut ids = self
            .elements("ListServices", "Services")
            .filter(|found| is(found, service))
            .filter_map(|found| found.get("Id").and_then(Value::as_str));
        match (ids.next(), ids.next()) {
            (Some(id), None) => Known::Yes(Some(id.to_owned())),
            _ => Known::Yes(None),
        }
    }
}
