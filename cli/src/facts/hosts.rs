//! Where tasks are that have no network interface of their own, and the public addresses of those that have.

use std::net::IpAddr;

use serde_json::Value;
use wharfinger_core::endpoint::Host;
use wharfinger_core::known::Known;

use super::Answers;

/// What is known of the instance that a task runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placed {
    /// All of it; `None` when ECS does not know it.
    Known(Option<Host>),
    /// Its id; this operation would tell its addresses.
    Named(Host, &'static str),
    /// Nothing.
    Unknown,
}

impl Answers {
    /// The instance of a container instance: `DescribeContainerInstances`, then `DescribeInstances`, or
    /// `DescribeInstanceInformation` for a machine that is no EC2 instance.
    pub(crate) fn host(&self, container_instance: &str) -> Placed {
        let mut instances = self.elements("DescribeContainerInstances", "containerInstances");
        let Some(found) = instances.find(|found| found.text("containerInstanceArn") == Some(container_instance)) else {
            let mut failures = self.elements("DescribeContainerInstances", "failures");
            let missing = failures.any(|failure| failure.text("arn") == Some(container_instance));
            return if missing { Placed::Known(None) } else { Placed::Unknown };
        };
        let Some(id) = found.text("ec2InstanceId") else {
            return Placed::Known(Some(Host::default()));
        };
        let (known, operation) = if id.starts_with("mi-") {
            (self.managed_node(id), "DescribeInstanceInformation")
        } else {
            (self.instance(id), "DescribeInstances")
        };
        if known.is_some() {
            return Placed::Known(known);
        }
        let host = Host {
            instance_id: Some(id.to_owned()),
            ..Host::default()
        };
        Placed::Named(host, operation)
    }

    fn instance(&self, id: &str) -> Option<Host> {
        let reservations = self.elements("DescribeInstances", "Reservations");
        let mut instances = reservations.flat_map(|found| list(found.value, "Instances"));
        let instance = instances.find(|instance| text(instance, "InstanceId") == Some(id))?;
        let of_interfaces = list(instance, "NetworkInterfaces")
            .into_iter()
            .flat_map(|i| list(i, "Ipv6Addresses"));
        let mut ipv6 = of_interfaces.filter_map(|address| text(address, "Ipv6Address"));
        let own = |field| text(instance, field).map(str::to_owned);
        Some(Host {
            instance_id: Some(id.to_owned()),
            private_ipv4: own("PrivateIpAddress"),
            public_ipv4: own("PublicIpAddress"),
            ipv6: own("Ipv6Address").or_else(|| ipv6.next().map(str::to_owned)),
        })
    }

    /// A machine that Systems Manager knows, with the one address that it tells.
    fn managed_node(&self, id: &str) -> Option<Host> {
        let mut nodes = self.elements("DescribeInstanceInformation", "InstanceInformationList");
        let node = nodes.find(|node| node.text("InstanceId") == Some(id))?;
        let address = node.text("IPAddress").filter(|address| !address.is_empty());
        let is_v6 = address.is_some_and(|address| matches!(address.parse(), Ok(IpAddr::V6(_))));
        let address = address.map(str::to_owned);
        let (private_ipv4, ipv6) = if is_v6 { (None, address) } else { (address, None) };
        Some(Host {
            instance_id: Some(id.to_owned()),
            private_ipv4,
            public_ipv4: None,
            ipv6,
        })
    }

    /// The public address of a network interface, as `DescribeNetworkInterfaces` tells it; `None` when it has none.
    pub(crate) fn public_address(&self, interface: &str) -> Known<Option<String>> {
        if !self.has("DescribeNetworkInterfaces") {
            return Known::No;
        }
        let mut interfaces = self.elements("DescribeNetworkInterfaces", "NetworkInterfaces");
        let found = interfaces.find(|found| found.text("NetworkInterfaceId") == Some(interface));
        let address = found.and_then(|found| found.value.pointer("/Association/PublicIp"));
        Known::Yes(address.and_then(Value::as_str).map(str::to_owned))
    }
}

fn list<'v>(value: &'v Value, field: &str) -> Vec<&'v Value> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter().flatten().collect()
}

fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str)
}
