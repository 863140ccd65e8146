//! Forms and answers as in the API references of ECS, EC2 and Systems Manager.

use super::super::replay::replay;
use super::*;
use crate::error::Kind;

fn arn(n: u32) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/{n:032x}")
}

fn container_instances(machines: &[(u32, &str)], missing: &[u32]) -> String {
    let known = machines.iter().map(
        |(n, id)| json!({ "containerInstanceArn": arn(*n), "ec2InstanceId": id, "status": "ACTIVE", "version": 3 }),
    );
    let missing = missing.iter().map(|n| json!({ "arn": arn(*n), "reason": "MISSING" }));
    json!({
        "containerInstances": known.collect::<Vec<_>>(),
        "failures": missing.collect::<Vec<_>>(),
    })
    .to_string()
}

fn reservations(items: &str, token: &str) -> String {
    format!(
        "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>8f7724cf-496f-496e-8fe3-example</requestId><reservationSet>{items}</reservationSet>{token}\
         </DescribeInstancesResponse>"
    )
}

const INSTANCE: &str = "<item><reservationId>r-1</reservationId><ownerId>111122223333</ownerId><groupSet/><instancesSet>\
    <item><instanceId>i-1</instanceId><instanceState><code>16</code><name>running</name></instanceState>\
    <privateIpAddress>10.0.0.12</privateIpAddress><ipAddress>46.51.219.63</ipAddress>\
    <networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><ipv6AddressesSet/>\
    <privateIpAddress>10.0.0.12</privateIpAddress><association><publicIp>46.51.219.63</publicIp></association></item>\
    <item><networkInterfaceId>eni-2</networkInterfaceId><ipv6AddressesSet>\
    <item><ipv6Address>2001:db8::1</ipv6Address><isPrimaryIpv6>true</isPrimaryIpv6></item>\
    <item><ipv6Address>2001:db8::2</ipv6Address></item></ipv6AddressesSet></item></networkInterfaceSet></item>\
    </instancesSet></item>";

const ENDED: &str = "<item><reservationId>r-2</reservationId><instancesSet>\
    <item><instanceId>i-2</instanceId><privateIpAddress/><ipv6Address>2001:db8::3</ipv6Address>\
    <networkInterfaceSet/></item></instancesSet></item>";

fn host(id: &str, private_ipv4: Option<&str>, public_ipv4: Option<&str>, ipv6: Option<&str>) -> Host {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Host {
        instance_id: Some(id.into()),
        private_ipv4: owned(private_ipv4),
        public_ipv4: owned(public_ipv4),
        ipv6: owned(ipv6),
    }
}

#[test]
fn hosts_of_ec2_are_found_on_every_page() {
    let arns: Vec<_> = (1..=4).map(arn).collect();
    let instances = container_instances(&[(1, "i-1"), (2, "i-2"), (3, "i-3")], &[4]);
    let (first, second) = (
        reservations(INSTANCE, "<nextToken>t1</nextToken>"),
        reservations(ENDED, "<nextToken/>"),
    );
    let answers = [(200, instances.as_str()), (200, &first), (200, &second)];
    let (made, asked) = replay(&answers, async |aws| aws.hosts("prod", &arns).await);
    let expected = [
        (
            arn(1),
            host("i-1", Some("10.0.0.12"), Some("46.51.219.63"), Some("2001:db8::1")),
        ),
        (arn(2), host("i-2", None, None, Some("2001:db8::3"))),
        // EC2 does not know it, but its id is enough for a group of type `instance`.
        (arn(3), host("i-3", None, None, None)),
    ];
    assert_eq!(made, Ok(BTreeMap::from(expected)));
    assert_eq!(asked[0].host, "ecs");
    assert_eq!(
        asked[0].json(),
        json!({ "cluster": "prod", "containerInstances": arns })
    );
    assert_eq!(asked[1].host, "ec2");
    assert_eq!(
        asked[1].form(),
        [
            "Action=DescribeInstances",
            "Version=2016-11-15",
            "Filter.1.Name=instance-id",
            "Filter.1.Value.1=i-1",
            "Filter.1.Value.2=i-2",
            "Filter.1.Value.3=i-3",
            "MaxResults=1000",
        ]
    );
    assert_eq!(asked[2].form()[7..], ["NextToken=t1"]);
}

#[test]
fn machines_outside_of_ec2_are_found_through_systems_manager() {
    let arns = [arn(1), arn(2)];
    let instances = container_instances(&[(1, "mi-1"), (2, "mi-2")], &[]);
    let first = r#"{"InstanceInformationList":[{"InstanceId":"mi-1","IPAddress":"192.168.1.5"}],"NextToken":"t1"}"#;
    let second = r#"{"InstanceInformationList":[{"InstanceId":"mi-2","IPAddress":"2001:db8::4"}]}"#;
    let answers = [(200, instances.as_str()), (200, first), (200, second)];
    let (made, asked) = replay(&answers, async |aws| aws.hosts("prod", &arns).await);
    let expected = [
        (arn(1), host("mi-1", Some("192.168.1.5"), None, None)),
        (arn(2), host("mi-2", None, None, Some("2001:db8::4"))),
    ];
    assert_eq!(made, Ok(BTreeMap::from(expected)));
    assert_eq!(asked[1].host, "ssm");
    assert_eq!(
        asked[1].target.as_deref(),
        Some("AmazonSSM.DescribeInstanceInformation")
    );
    let body = json!({ "Filters": [{ "Key": "InstanceIds", "Values": ["mi-1", "mi-2"] }], "MaxResults": 50 });
    assert_eq!(asked[1].json(), body);
    assert_eq!(asked[2].json()["NextToken"], "t1");
}

#[test]
fn one_missing_machine_does_not_lose_the_others() {
    let arns = [arn(1), arn(2)];
    let instances = container_instances(&[(1, "mi-1"), (2, "mi-2")], &[]);
    let refused = r#"{"__type":"InvalidInstanceId"}"#;
    let found = r#"{"InstanceInformationList":[{"InstanceId":"mi-2","IPAddress":"192.168.1.6"}]}"#;
    let answers = [(200, instances.as_str()), (400, refused), (400, refused), (200, found)];
    let (made, _) = replay(&answers, async |aws| aws.hosts("prod", &arns).await);
    let made = made.unwrap();
    assert_eq!(made[&arn(1)], host("mi-1", None, None, None));
    assert_eq!(made[&arn(2)], host("mi-2", Some("192.168.1.6"), None, None));
}

#[test]
fn container_instances_are_asked_for_a_hundred_at_a_time() {
    let arns: Vec<_> = (1..=101).map(arn).collect();
    let none = container_instances(&[], &[]);
    let (made, asked) = replay(&[(200, &none), (200, &none)], async |aws| {
        aws.hosts("prod", &arns).await
    });
    assert_eq!(made, Ok(BTreeMap::new()));
    let sizes: Vec<_> = asked
        .iter()
        .map(|a| a.json()["containerInstances"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [100, 1]);
}

#[test]
fn a_cluster_that_is_gone_has_no_hosts() {
    let gone = r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#;
    let (made, _) = replay(&[(400, gone)], async |aws| aws.hosts("prod", &[arn(1)]).await);
    assert_eq!(made, Ok(BTreeMap::new()));
}

#[test]
fn a_refusal_of_ec2_keeps_its_code() {
    let instances = container_instances(&[(1, "i-1")], &[]);
    let refused = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>UnauthorizedOperation</Code>\
                   <Message>no</Message></Error></Errors><RequestID>1</RequestID></Response>";
    let (made, _) = replay(&[(200, &instances), (403, refused)], async |aws| {
        aws.hosts("prod", &[arn(1)]).await
    });
    let error = made.unwrap_err();
    assert_eq!((error.operation, error.kind), ("DescribeInstances", Kind::Denied));
    assert_eq!(error.code.as_deref(), Some("UnauthorizedOperation"));
}

#[test]
fn public_addresses_are_those_of_interfaces_that_have_one() {
    let answer = "<DescribeNetworkInterfacesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
        <requestId>1</requestId><networkInterfaceSet>\
        <item><networkInterfaceId>eni-1</networkInterfaceId><association><publicIp>198.51.100.7</publicIp>\
        <ipOwnerId>amazon</ipOwnerId></association></item>\
        <item><networkInterfaceId>eni-2</networkInterfaceId><privateIpAddress>10.0.0.8</privateIpAddress></item>\
        </networkInterfaceSet></DescribeNetworkInterfacesResponse>";
    let empty = "<DescribeNetworkInterfacesResponse><networkInterfaceSet/></DescribeNetworkInterfacesResponse>";
    let interfaces: Vec<_> = (1..=101).map(|n| format!("eni-{n}")).collect();
    let (made, asked) = replay(&[(200, answer), (200, empty)], async |aws| {
        aws.public_addresses(&interfaces).await
    });
    assert_eq!(
        made,
        Ok(BTreeMap::from([("eni-1".to_owned(), "198.51.100.7".to_owned())]))
    );
    let form = asked[0].form();
    assert_eq!(form[0], "Action=DescribeNetworkInterfaces");
    assert_eq!(
        form[2..5],
        [
            "Filter.1.Name=network-interface-id",
            "Filter.1.Value.1=eni-1",
            "Filter.1.Value.2=eni-2"
        ]
    );
    assert_eq!(form.len(), 4 + 100);
    assert_eq!(
        asked[1].form()[2..4],
        ["Filter.1.Name=network-interface-id", "Filter.1.Value.1=eni-101"]
    );
}

#[test]
fn nothing_is_asked_for_nothing() {
    let (made, asked) = replay(&[], async |aws| aws.hosts("prod", &[]).await.map(|h| h.len()));
    assert_eq!((made, asked.len()), (Ok(0), 0));
    let (made, asked) = replay(&[], async |aws| aws.public_addresses(&[]).await.map(|a| a.len()));
    assert_eq!((made, asked.len()), (Ok(0), 0));
}
