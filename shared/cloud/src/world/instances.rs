//! The state of container instances.

use serde_json::json;
use wharfinger_core::capacity::{ContainerInstance, InstanceStatus};
use wharfinger_core::ids::TaskArn;

use super::hosts::is_in;
use super::{Caller, World};
use crate::error::CloudError;
use crate::ports::DrainingInstances;

impl World {
    /// Sets the state of a container instance, and tells of it.
    pub fn set_instance_state(&mut self, arn: &str, status: InstanceStatus) {
        let version = self.instance_states.get(arn).map_or(1, |(_, version)| *version) + 1;
        self.instance_states.insert(arn.to_owned(), (status, version));
        let cluster = arn.split('/').nth(1).unwrap_or_default();
        let detail = json!({
            "containerInstanceArn": arn,
            "clusterArn": cluster,
            "agentConnected": true,
            "status": status.as_str(),
            "version": version,
        });
        self.emit(
            "aws.ecs",
            "ECS Container Instance State Change",
            Some(arn.to_owned()),
            &detail,
        );
    }

    fn container_instance(&self, cluster: &str, arn: &str) -> Option<ContainerInstance> {
        let host = self.container_instances.get(arn)?;
        let state = self.instance_states.get(arn);
        let (status, version) = state.copied().unwrap_or((InstanceStatus::Active, 1));
        Some(ContainerInstance {
            arn: arn.to_owned(),
            cluster: Some(cluster.to_owned()),
            ec2_instance_id: host.instance_id.clone(),
            status,
            agent_connected: true,
            running_tasks_count: None,
            pending_tasks_count: None,
            capacity_provider_name: None,
            version,
            registered_at: None,
        })
    }
}

impl DrainingInstances for Caller {
    async fn draining(&self, cluster: &str) -> Result<Vec<String>, CloudError> {
        let list = |world: &World| {
            let states = world.instance_states.iter();
            let draining = states.filter(|(arn, state)| is_in(cluster, arn) && state.0 == InstanceStatus::Draining);
            Ok(draining.map(|(arn, _)| arn.clone()).collect())
        };
        let brief = |found: &Vec<_>| format!("{} drain(s)", found.len());
        self.read("ListContainerInstances", || cluster.to_owned(), list, brief)
            .await
    }

    async fn describe_container_instances(
        &self,
        cluster: &str,
        arns: &[String],
    ) -> Result<Vec<ContainerInstance>, CloudError> {
        let describe = |world: &World| {
            let wanted = arns.iter().filter(|arn| is_in(cluster, arn));
            Ok(wanted
                .filter_map(|arn| world.container_instance(cluster, arn))
                .collect())
        };
        let argument = || format!("{} container instance(s)", arns.len());
        let brief = |found: &Vec<ContainerInstance>| {
            let states = found.iter().map(|one| one.status.as_str());
            states.collect::<Vec<_>>().join(", ")
        };
        self.read("DescribeContainerInstances", argument, describe, brief).await
    }

    async fn tasks_on(&self, cluster: &str, container_instance: &str) -> Result<Vec<TaskArn>, CloudError> {
        let list = |world: &World| {
            let here = world.tasks.values().filter(|task| {
                let placement = task.placement.as_ref();
                task.wanted && placement.is_some_and(|placement| placement.container_instance == container_instance)
            });
            Ok(here.filter_map(|task| task.arn.parse().ok()).collect())
        };
        let argument = || format!("{cluster} {container_instance}");
        let brief = |list: &Vec<_>| format!("{} task(s)", list.len());
        self.read("ListTasks", argument, list, brief).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use jiff::Timestamp;
    use wharfinger_core::endpoint::Host;

    use super::*;

    #[test]
    fn a_state_is_told_and_described() {
        let mut world = World::new(Timestamp::UNIX_EPOCH);
        let arn = world.make_container_instance("prod", Host::default());
        let other = world.make_container_instance("test", Host::default());
        world.set_instance_state(&arn, InstanceStatus::Draining);
        world.set_instance_state(&other, InstanceStatus::Draining);
        assert_eq!(world.emitted[0]["detail"]["status"], "DRAINING");
        let shared = world.shared();
        let caller = Caller::direct(&shared, "test");
        assert_eq!(caller.draining("prod").now_or_never().unwrap(), Ok(vec![arn.clone()]));
        let arns = [arn.clone(), other, "gone".into()];
        let described = caller.describe_container_instances("prod", &arns).now_or_never();
        let described = described.unwrap().unwrap();
        assert_eq!(described.len(), 1);
        assert_eq!(
            (described[0].status, described[0].version),
            (InstanceStatus::Draining, 2)
        );
    }
}
