//! The state of container instances.

use jiff::Timestamp;
use wharfinger_core::capacity::{ContainerInstance, InstanceStatus};
use wharfinger_core::ids::TaskArn;

use super::{Caller, Machine, World};
use crate::error::CloudError;
use crate::ports::DrainingInstances;

impl World {
    /// Sets the state of a container instance, past every port, and tells of it.
    pub fn set_instance_state(&mut self, arn: &str, status: InstanceStatus) {
        self.known_machine(arn);
        self.change_machine(arn, |machine| {
            machine.status = status;
            true
        });
    }

    /// A container instance of which only the host mattered so far, as a machine.
    fn known_machine(&mut self, arn: &str) {
        if let Some(machine) = self.bare_machine(arn) {
            self.fleet.machines.entry(arn.to_owned()).or_insert(machine);
        }
    }

    fn bare_machine(&self, arn: &str) -> Option<Machine> {
        let host = self.container_instances.get(arn)?;
        Some(Machine {
            id: host.instance_id.clone().unwrap_or_default(),
            cluster: arn.split('/').nth(1).unwrap_or_default().to_owned(),
            status: InstanceStatus::Active,
            agent_connected: true,
            provider: None,
            version: 1,
            registered_at: Timestamp::UNIX_EPOCH,
        })
    }

    fn described(&self, cluster: &str, arn: &str) -> Option<ContainerInstance> {
        let bare = self.bare_machine(arn);
        let machine = self.fleet.machines.get(arn).or(bare.as_ref());
        let machine = machine.filter(|machine| machine.cluster == cluster)?;
        ContainerInstance::parse(&self.machine_json(arn, machine)).ok()
    }
}

impl DrainingInstances for Caller {
    async fn draining(&self, cluster: &str) -> Result<Vec<String>, CloudError> {
        let list = |world: &World| {
            let machines = world.fleet.machines.iter();
            let draining = machines
                .filter(|(_, machine)| machine.cluster == cluster && machine.status == InstanceStatus::Draining);
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
        let describe = |world: &World| Ok(arns.iter().filter_map(|arn| world.described(cluster, arn)).collect());
        let argument = || format!("{} container instance(s)", arns.len());
        let brief = |found: &Vec<ContainerInstance>| {
            let states = found.iter().map(|one| one.status.as_str());
            states.collect::<Vec<_>>().join(", ")
        };
        self.read("DescribeContainerInstances", argument, describe, brief).await
    }

    async fn tasks_on(&self, cluster: &str, container_instance: &str) -> Result<Vec<TaskArn>, CloudError> {
        let list = |world: &World| {
            let here = world.on(container_instance).into_iter();
            let wanted = here.filter(|arn| {
                let task = world.tasks.get(arn);
                task.is_some_and(|task| task.wanted && task.target.cluster == cluster)
            });
            Ok(wanted.filter_map(|arn| arn.parse().ok()).collect())
        };
        let argument = || format!("{cluster} {container_instance}");
        let brief = |found: &Vec<_>| format!("{} task(s)", found.len());
        self.read("ListTasks", argument, list, brief).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
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
