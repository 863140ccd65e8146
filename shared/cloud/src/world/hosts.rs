//! Container instances, and the public addresses of network interfaces.

use std::collections::BTreeMap;

use wharfinger_core::endpoint::Host;

use super::{ACCOUNT, Caller, REGION, World};
use crate::error::CloudError;
use crate::ports::Hosts;

impl World {
    /// Adds a container instance to a cluster. The answer is its ARN.
    pub fn make_container_instance(&mut self, cluster: &str, host: Host) -> String {
        let id = self.next();
        let arn = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/{cluster}/{id:032x}");
        self.container_instances.insert(arn.clone(), host);
        arn
    }
}

/// Whether the ARN of a container instance names the cluster.
fn is_in(cluster: &str, arn: &str) -> bool {
    arn.split('/').nth(1) == Some(cluster)
}

impl Hosts for Caller {
    async fn hosts(&self, cluster: &str, arns: &[String]) -> Result<BTreeMap<String, Host>, CloudError> {
        let describe = |world: &World| {
            let wanted = arns.iter().filter(|arn| is_in(cluster, arn));
            let find = |arn: &String| Some((arn.clone(), world.container_instances.get(arn)?.clone()));
            Ok(wanted.filter_map(find).collect())
        };
        let argument = || format!("{} container instance(s)", arns.len());
        let brief = |found: &BTreeMap<String, Host>| {
            let address = |host: &Host| host.private_ipv4.clone().unwrap_or_else(|| "no address".to_owned());
            found.values().map(address).collect::<Vec<_>>().join(", ")
        };
        self.read("DescribeContainerInstances", argument, describe, brief).await
    }

    async fn public_addresses(&self, interfaces: &[String]) -> Result<BTreeMap<String, String>, CloudError> {
        let describe = |world: &World| {
            let find = |id: &String| Some((id.clone(), world.public_addresses.get(id)?.clone()));
            Ok(interfaces.iter().filter_map(find).collect())
        };
        let brief = |found: &BTreeMap<String, String>| found.values().cloned().collect::<Vec<_>>().join(", ");
        self.read("DescribeNetworkInterfaces", || interfaces.join(" "), describe, brief)
            .await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_is_not_known_is_absent() {
        let mut world = World::new(Timestamp::UNIX_EPOCH);
        let host = Host {
            instance_id: Some("i-1".into()),
            private_ipv4: Some("10.0.0.1".into()),
            ..Host::default()
        };
        let arn = world.make_container_instance("prod", host.clone());
        let other = world.make_container_instance("test", Host::default());
        world.public_addresses.insert("eni-1".into(), "198.51.100.7".into());
        let caller = Caller::direct(&world.shared(), "test");
        let arns = [arn.clone(), other, "gone".into()];
        let hosts = caller.hosts("prod", &arns).now_or_never().unwrap();
        assert_eq!(hosts, Ok(BTreeMap::from([(arn, host)])));
        let interfaces = ["eni-1".to_owned(), "eni-2".to_owned()];
        let public = caller.public_addresses(&interfaces).now_or_never().unwrap();
        let expected = BTreeMap::from([("eni-1".to_owned(), "198.51.100.7".to_owned())]);
        assert_eq!(public, Ok(expected));
    }
}
