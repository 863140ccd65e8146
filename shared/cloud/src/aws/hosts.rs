//! Where tasks are that have no network interface of their own, and the public addresses of those that have.
//!
//! Filters instead of ids: one id that EC2 does not know any more makes it refuse all of them (EC2 API reference,
//! `InvalidInstanceID.NotFound`), while a filter finds the others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::future::try_join;
use serde::Deserialize;
use serde_json::{Value, json};
use wharfinger_core::endpoint::Host;

use super::ec2::{Items, said};
use super::{Aws, batch};
use crate::error::CloudError;
use crate::ports::Hosts;

/// How many machines Systems Manager is asked for: no more than one page holds.
const MANAGED: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInstancesResponse {
    #[serde(default)]
    reservation_set: Items<Reservation>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    #[serde(default)]
    instances_set: Items<Instance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    #[serde(rename = "instanceId")]
    id: String,
    private_ip_address: Option<String>,
    ip_address: Option<String>,
    ipv6_address: Option<String>,
    #[serde(default)]
    network_interface_set: Items<InstanceInterface>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceInterface {
    #[serde(default)]
    ipv6_addresses_set: Items<Ipv6>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6 {
    ipv6_address: Option<String>,
}

impl Instance {
    fn read(self) -> (String, Host) {
        let interfaces = self.network_interface_set.item.into_iter();
        let mut ipv6 = interfaces
            .flat_map(|i| i.ipv6_addresses_set.item)
            .map(|a| a.ipv6_address);
        let host = Host {
            instance_id: Some(self.id.clone()),
            private_ipv4: said(self.private_ip_address),
            public_ipv4: said(self.ip_address),
            ipv6: said(self.ipv6_address).or_else(|| ipv6.find_map(said)),
        };
        (self.id, host)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeNetworkInterfacesResponse {
    #[serde(default)]
    network_interface_set: Items<NetworkInterface>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetworkInterface {
    network_interface_id: String,
    association: Option<Association>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Association {
    public_ip: Option<String>,
}

impl Aws {
    /// The machine behind each container instance that ECS knows.
    async fn machines(&self, cluster: &str, arns: &[String]) -> Result<BTreeMap<String, Option<String>>, CloudError> {
        let found = self.described(cluster, arns).await?.into_iter();
        Ok(found
            .filter_map(|i| Some((i.container_instance_arn?, i.ec2_instance_id)))
            .collect())
    }

    async fn instances_of_ec2(&self, ids: &[String]) -> Result<Vec<(String, Host)>, CloudError> {
        const OPERATION: &str = "DescribeInstances";
        let next = |page: &mut DescribeInstancesResponse| page.next_token.take();
        let call = self.ec2_filtered(OPERATION, ("instance-id", ids), &[], next);
        let pages = self.within(OPERATION, call).await?.into_iter();
        let reservations = pages.flat_map(|page| page.reservation_set.item);
        Ok(reservations
            .flat_map(|r| r.instances_set.item)
            .map(Instance::read)
            .collect())
    }

    /// Machines outside of EC2 (ECS Anywhere), which Systems Manager knows.
    async fn managed_nodes(&self, ids: &[String]) -> Result<Vec<(String, Host)>, CloudError> {
        // "If you specify a node ID that isn't valid or a node that you don't own, you receive an error"
        // (Systems Manager API reference, `DescribeInstanceInformation`).
        let is_absence = |error: &CloudError| error.code.as_deref() == Some("InvalidInstanceId");
        let call = batch::ask(ids, MANAGED, is_absence, async |ids| self.managed_nodes_of(ids).await);
        self.within("DescribeInstanceInformation", call).await
    }

    async fn managed_nodes_of(&self, ids: &[String]) -> Result<Vec<(String, Host)>, CloudError> {
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let mut body = json!({
                "Filters": [{ "Key": "InstanceIds", "Values": ids }],
                "MaxResults": MANAGED,
            });
            if let Some(token) = token {
                body["NextToken"] = Value::String(token);
            }
            let page = self
                .raw
                .json("ssm", "AmazonSSM", "DescribeInstanceInformation", &body)
                .await?;
            let list = page.get("InstanceInformationList").and_then(Value::as_array);
            found.extend(list.into_iter().flatten().filter_map(managed_node));
            token = said(page.get("NextToken").and_then(Value::as_str).map(str::to_owned));
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}

/// `IPAddress` has room for either kind of address (Systems Manager API reference, `InstanceInformation`).
fn managed_node(node: &Value) -> Option<(String, Host)> {
    let text = |field| node.get(field).and_then(Value::as_str).map(str::to_owned);
    let (id, address) = (text("InstanceId")?, text("IPAddress"));
    let is_v6 = address
        .as_deref()
        .map(str::parse)
        .is_some_and(|a| matches!(a, Ok(IpAddr::V6(_))));
    let (private_ipv4, ipv6) = if is_v6 { (None, address) } else { (said(address), None) };
    let host = Host {
        instance_id: Some(id.clone()),
        private_ipv4,
        public_ipv4: None,
        ipv6,
    };
    Some((id, host))
}

impl Hosts for Aws {
    async fn hosts(&self, cluster: &str, arns: &[String]) -> Result<BTreeMap<String, Host>, CloudError> {
        let call = self.machines(cluster, arns);
        let machines = self.within("DescribeContainerInstances", call).await?;
        let mut ids: Vec<_> = machines.values().flatten().cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        let (managed, ec2): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| id.starts_with("mi-"));
        let (ec2, managed) = try_join(self.instances_of_ec2(&ec2), self.managed_nodes(&managed)).await?;
        let known: BTreeMap<_, _> = ec2.into_iter().chain(managed).collect();
        let host = |(arn, id): (String, Option<String>)| {
            let found = id.as_ref().and_then(|id| known.get(id)).cloned();
            let host = found.unwrap_or_else(|| Host {
                instance_id: id,
                ..Host::default()
            });
            (arn, host)
        };
        Ok(machines.into_iter().map(host).collect())
    }

    async fn public_addresses(&self, interfaces: &[String]) -> Result<BTreeMap<String, String>, CloudError> {
        const OPERATION: &str = "DescribeNetworkInterfaces";
        let next = |page: &mut DescribeNetworkInterfacesResponse| page.next_token.take();
        let call = self.ec2_filtered(OPERATION, ("network-interface-id", interfaces), &[], next);
        let pages = self.within(OPERATION, call).await?.into_iter();
        let address = |i: NetworkInterface| Some((i.network_interface_id, said(i.association?.public_ip)?));
        Ok(pages
            .flat_map(|page| page.network_interface_set.item)
            .filter_map(address)
            .collect())
    }
}

#[cfg(test)]
mod tests;
