//! What is known of container instances, their groups, providers and tasks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wharfinger_core::capacity::{
    AutoScalingGroup, AutoScalingInstance, CapacityProvider, ContainerInstance, Percents, TaskOn,
};
use wharfinger_core::event::{TaskStateChange, TaskStatus};
use wharfinger_core::ids::{Target, TaskArn};
use wharfinger_core::known::Known;

use super::Answers;

impl Answers {
    /// Every container instance of `DescribeContainerInstances`, or that there are none, by `ListContainerInstances`.
    pub(crate) fn container_instances(&self) -> anyhow::Result<Known<Vec<ContainerInstance>>> {
        const DESCRIBE: &str = "DescribeContainerInstances";
        if !self.has(DESCRIBE) {
            let none = self.has("ListContainerInstances") && !self.lists_container_instances();
            return Ok(if none { Known::Yes(Vec::new()) } else { Known::No });
        }
        let read = self
            .elements(DESCRIBE, "containerInstances")
            .map(|found| ContainerInstance::parse(found.value).map_err(|error| self.unusable(&found, error)));
        read.collect::<anyhow::Result<_>>().map(Known::Yes)
    }

    /// Whether `ListContainerInstances` names any: then it is known which are to be described.
    pub(crate) fn lists_container_instances(&self) -> bool {
        self.elements("ListContainerInstances", "containerInstanceArns")
            .next()
            .is_some()
    }

    /// The ARNs of the container instances that drain, by `DescribeContainerInstances`.
    pub(crate) fn draining(&self) -> BTreeSet<String> {
        let instances = self.elements("DescribeContainerInstances", "containerInstances");
        let drain = instances.filter(|instance| instance.text("status") == Some("DRAINING"));
        drain
            .filter_map(|instance| instance.text("containerInstanceArn").map(str::to_owned))
            .collect()
    }

    /// Whether `DescribeContainerInstances` says, later than an event, that an instance does not drain.
    pub(crate) fn drains_no_more(&self, told: &ContainerInstance) -> bool {
        let mut instances = self.elements("DescribeContainerInstances", "containerInstances");
        instances.any(|instance| {
            let version = instance.value.get("version").and_then(Value::as_i64);
            instance.text("containerInstanceArn") == Some(&told.arn)
                && version.is_some_and(|version| version > told.version)
                && instance.text("status") != Some("DRAINING")
        })
    }

    /// Every task of `DescribeTasks`, or that there are none, by `ListTasks`.
    pub(crate) fn tasks(&self) -> anyhow::Result<Known<Vec<TaskStateChange>>> {
        if !self.has("DescribeTasks") {
            let none = self.has("ListTasks") && !self.lists_tasks();
            return Ok(if none { Known::Yes(Vec::new()) } else { Known::No });
        }
        let tasks = self.elements("DescribeTasks", "tasks");
        let read = tasks
            .map(|task| TaskStateChange::from_describe_tasks(task.value).map_err(|error| self.unusable(&task, error)));
        read.collect::<anyhow::Result<_>>().map(Known::Yes)
    }

    /// Whether `ListTasks` names any: then it is known which are to be described.
    pub(crate) fn lists_tasks(&self) -> bool {
        self.elements("ListTasks", "taskArns").next().is_some()
    }

    /// Whether `ListTasks` names one that `DescribeTasks` does not have, and that is not this one.
    pub(crate) fn lists_another(&self, known: Option<&TaskArn>) -> bool {
        let described: Vec<_> = self
            .elements("DescribeTasks", "tasks")
            .filter_map(|task| task.value.get("taskArn").and_then(Value::as_str))
            .collect();
        let mut listed = self
            .elements("ListTasks", "taskArns")
            .filter_map(|arn| arn.value.as_str());
        listed.any(|arn| !described.contains(&arn) && known.is_none_or(|known| known.as_str() != arn))
    }

    /// What `DescribeAutoScalingInstances` says of instances, by their EC2 id.
    pub(crate) fn scaling_instances(&self) -> anyhow::Result<Known<BTreeMap<String, AutoScalingInstance>>> {
        const DESCRIBE: &str = "DescribeAutoScalingInstances";
        if !self.has(DESCRIBE) {
            return Ok(Known::No);
        }
        let read = self.elements(DESCRIBE, "AutoScalingInstances").map(|found| {
            let read = AutoScalingInstance::parse(found.value);
            let read = read.ok_or_else(|| {
                self.unusable(
                    &found,
                    "`InstanceId`, `AutoScalingGroupName` or `LifecycleState` is missing",
                )
            })?;
            Ok((read.instance_id.clone(), read))
        });
        read.collect::<anyhow::Result<_>>().map(Known::Yes)
    }

    /// The groups of `DescribeAutoScalingGroups`, by name: not known when it was not asked.
    pub(crate) fn scaling_groups(&self) -> anyhow::Result<Known<BTreeMap<String, AutoScalingGroup>>> {
        const DESCRIBE: &str = "DescribeAutoScalingGroups";
        if !self.has(DESCRIBE) {
            return Ok(Known::No);
        }
        let read = self.elements(DESCRIBE, "AutoScalingGroups").map(|found| {
            let why = "`AutoScalingGroupName`, `MinSize`, `MaxSize` or `DesiredCapacity` is missing or no count";
            let read = AutoScalingGroup::parse(found.value).ok_or_else(|| self.unusable(&found, why))?;
            Ok((read.name.clone(), read))
        });
        read.collect::<anyhow::Result<_>>().map(Known::Yes)
    }

    /// One of them, `None` when it is not among the answers.
    pub(crate) fn scaling_group(&self, name: &str) -> anyhow::Result<Known<Option<AutoScalingGroup>>> {
        Ok(match self.scaling_groups()? {
            Known::Yes(mut groups) => Known::Yes(groups.remove(name)),
            Known::No => Known::No,
        })
    }

    /// The capacity providers of `DescribeCapacityProviders`, by name: not known when it was not asked.
    pub(crate) fn known_providers(&self) -> Known<BTreeMap<String, CapacityProvider>> {
        if self.knows_capacity_providers() {
            Known::Yes(self.capacity_providers())
        } else {
            Known::No
        }
    }

    /// Whether `DescribeCapacityProviders` was asked.
    pub(crate) fn knows_capacity_providers(&self) -> bool {
        self.has("DescribeCapacityProviders")
    }

    /// The tasks of `DescribeTasks` that a service or a family had, and that are over.
    pub(crate) fn stopped(&self, target: &Target) -> anyhow::Result<Vec<TaskStateChange>> {
        let tasks = self.elements("DescribeTasks", "tasks");
        let over = tasks.filter(|task| task.text("lastStatus") == Some("STOPPED"));
        let read = over
            .map(|task| TaskStateChange::from_describe_tasks(task.value).map_err(|error| self.unusable(&task, error)));
        let mut tasks = read.collect::<anyhow::Result<Vec<_>>>()?;
        tasks.retain(|task| task.target().is_ok_and(|owner| owner == *target));
        Ok(tasks)
    }

    /// The capacity providers of `DescribeCapacityProviders`, by name.
    pub(crate) fn capacity_providers(&self) -> BTreeMap<String, CapacityProvider> {
        let found = self.elements("DescribeCapacityProviders", "capacityProviders");
        let read = found.filter_map(|provider| CapacityProvider::parse(provider.value));
        read.map(|provider| (provider.name.clone(), provider)).collect()
    }

    /// The tasks on a container instance, as `DescribeTasks` has them, or that there are none, by `ListTasks`; `None` when
    /// neither tells.
    pub(crate) fn tasks_on(&self, container_instance: &str) -> anyhow::Result<Option<Vec<TaskOn>>> {
        let Known::Yes(tasks) = self.tasks()? else {
            return Ok(None);
        };
        let here = tasks.iter().filter(|task| {
            let host = task.container_instance_arn.as_deref();
            host == Some(container_instance) && task.desired_status != TaskStatus::Stopped
        });
        Ok(Some(here.map(TaskOn::of).collect()))
    }

    /// How many tasks are stopping on each container instance, by its ARN, as `DescribeTasks` has them; not known when neither
    /// it nor `ListTasks` tells.
    pub(crate) fn leaving(&self) -> anyhow::Result<Known<BTreeMap<String, u32>>> {
        let Known::Yes(tasks) = self.tasks()? else {
            return Ok(Known::No);
        };
        let mut leaving = BTreeMap::new();
        for task in tasks {
            if let Some(host) = &task.container_instance_arn
                && task.desired_status == TaskStatus::Stopped
                && !task.last_status.has_stopped()
            {
                *leaving.entry(host.clone()).or_default() += 1;
            }
        }
        Ok(Known::Yes(leaving))
    }

    /// How far the services of `DescribeServices` may go down and up in a deployment.
    pub(crate) fn percents(&self) -> BTreeMap<Target, Percents> {
        let services = self.elements("DescribeServices", "services");
        let read = services.filter_map(|service| {
            let arn = service.value.get("serviceArn").and_then(Value::as_str)?;
            Some((Target::from_service_arn(arn).ok()?, Percents::parse(service.value)?))
        });
        read.collect()
    }
}
