//! Where a task is reached: on its instance's network, by a public address; and what its tags tell.

use super::*;

const INSTANCE: &str = "arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/0f0f";

/// A task in bridge mode, with these bindings of its two containers.
fn bridge(web: &Value, sidecar: &Value) -> TaskStateChange {
    task(&json!({
        "attachments": [],
        "containerInstanceArn": INSTANCE,
        "containers": [
            { "name": "web", "networkBindings": web },
            { "name": "sidecar", "networkBindings": sidecar },
        ],
    }))
}

fn bound(container: u16, host: u16) -> Value {
    json!([
        { "bindIP": "0.0.0.0", "containerPort": container, "hostPort": host, "protocol": "tcp" },
        { "bindIP": "::", "containerPort": container, "hostPort": host, "protocol": "tcp" },
    ])
}

fn host() -> Host {
    Host {
        instance_id: Some("i-1".into()),
        private_ipv4: Some("10.1.0.1".into()),
        public_ipv4: Some("198.51.100.1".into()),
        ipv6: Some("2001:db8::1".into()),
    }
}

#[test]
fn on_the_instances_network_the_address_and_port_are_the_instances() {
    let rows = [
        (Address::Private, bound(8080, 32_768), json!([]), "10.1.0.1:32768"),
        (Address::Public, bound(8080, 8080), json!([]), "198.51.100.1:8080"),
        (Address::Ipv6, json!([]), bound(8080, 40_000), "[2001:db8::1]:40000"),
    ];
    for (address, web, sidecar, expected) in rows {
        let entry = Discovery { address, ..entry() };
        let mut facts = facts(vec![entry], bridge(&web, &sidecar), known(vec![], vec![]));
        assert_eq!(decide(&facts).missing, ["DescribeContainerInstances"], "{expected}");
        facts.host = Known::Yes(Some(host()));
        assert_eq!(decide(&facts).actions[0].member().address().as_deref(), Some(expected));
    }
}

#[test]
fn a_port_that_is_not_bound_by_itself_is_refused() {
    let range = json!([{ "containerPortRange": "8000-8100", "hostPortRange": "40000-40100" }]);
    let rows = [
        (json!([]), json!([]), true, "no container has its port 8080 bound"),
        (json!([]), bound(9090, 1), false, "missing: DescribeTasks"),
        (
            bound(8080, 1),
            bound(8080, 2),
            true,
            "several containers have port 8080: web, sidecar",
        ),
        (range, json!([]), true, "port 8080 is bound as a part of a range"),
    ];
    for (web, sidecar, looked_up, expected) in rows {
        let facts = Facts {
            looked_up,
            host: Known::Yes(Some(host())),
            ..facts(vec![entry()], bridge(&web, &sidecar), known(vec![], vec![]))
        };
        let shown = show(&decide(&facts));
        assert!(
            shown.contains(expected) && shown.starts_with("Wait"),
            "{expected}: {shown}"
        );
    }
}

#[test]
fn a_public_address_is_looked_up() {
    let entry = Discovery {
        address: Address::Public,
        ..entry()
    };
    let mut facts = facts(vec![entry], task(&json!({})), known(vec![], vec![]));
    assert_eq!(decide(&facts).missing, ["DescribeNetworkInterfaces"]);
    facts.public_ipv4 = Known::Yes(None);
    assert_eq!(decide(&facts).reasons[0].code, crate::report::Code::NoAddress);
    facts.public_ipv4 = Known::Yes(Some("198.51.100.7".into()));
    assert_eq!(
        decide(&facts).actions[0].input()["Attributes"]["AWS_INSTANCE_IPV4"],
        "198.51.100.7"
    );
}

#[test]
fn tags_are_looked_up_when_an_attribute_names_one() {
    let entry = Discovery {
        attributes: BTreeMap::from([("lane".to_owned(), "${tag:lane}".to_owned())]),
        ..entry()
    };
    let at = |tags: Value, looked_up| {
        let facts = facts(
            vec![entry.clone()],
            task(&json!({ "tags": tags })),
            known(vec![], vec![]),
        );
        decide(&Facts { looked_up, ..facts })
    };
    let mut without = facts(vec![entry.clone()], task(&json!({})), known(vec![], vec![]));
    assert_eq!(decide(&without).missing, ["DescribeTasks"]);
    without.looked_up = true;
    assert_eq!(decide(&without).actions[0].input()["Attributes"].get("lane"), None);
    let tagged = at(json!([{ "key": "lane", "value": "blue" }]), true);
    assert_eq!(tagged.actions[0].input()["Attributes"]["lane"], "blue");
}
