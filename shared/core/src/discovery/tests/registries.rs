//! What a registry takes: health, records.

use super::*;

/// A registry of which more than its id is known.
fn registry(facts: &mut Facts, registry: Registry) {
    facts.managed.stored.registries.insert("srv-1".into(), registry);
}

#[test]
fn what_turns_unhealthy_is_marked_where_the_registry_has_a_custom_health_check() {
    let entry = Discovery {
        when: When::Healthy,
        ..entry()
    };
    let sick = task(&json!({ "healthStatus": "UNHEALTHY" }));
    let mut before = facts(vec![entry.clone()], sick.clone(), known(vec![endpoint()], vec![]));
    let custom = Registry {
        custom_health: true,
        ..Registry::of("srv-1")
    };
    registry(&mut before, custom.clone());
    check(
        &before,
        &expect![[r#"
        Act
        UpdateInstanceCustomHealthStatus {"ServiceId":"srv-1","InstanceId":"0123456789abcdef0123456789abcdef-8080","Status":"UNHEALTHY"}
        EndpointChanged: 0123456789abcdef0123456789abcdef-8080 changes in srv-1
    "#]],
    );
    let marked = Endpoint {
        unhealthy: true,
        ..endpoint()
    };
    let well = task(&json!({ "healthStatus": "HEALTHY" }));
    let mut after = facts(vec![entry.clone()], well, known(vec![marked], vec![]));
    registry(&mut after, custom.clone());
    assert_eq!(decide(&after).actions[0].input()["Status"], "HEALTHY");
    // What never was there does not join to be marked.
    let mut never = facts(vec![entry], sick, known(vec![], vec![]));
    registry(&mut never, custom);
    assert_eq!(decide(&never).outcome, Outcome::Wait);
}

#[test]
fn an_endpoint_fits_the_records_of_its_registry() {
    let cases = [
        (vec![Record::A], Address::Private, Some(8080), None),
        (vec![Record::A, Record::Srv], Address::Private, Some(8080), None),
        (
            vec![Record::Srv],
            Address::Private,
            None,
            Some("SRV records, which need a port"),
        ),
        (
            vec![Record::Aaaa],
            Address::Private,
            Some(8080),
            Some("AAAA records, which need an IPv6"),
        ),
        (
            vec![Record::A],
            Address::Ipv6,
            Some(8080),
            Some("A records, which need an IPv4"),
        ),
        (vec![Record::Cname], Address::Private, None, Some("CNAME")),
    ];
    let task =
        task(&json!({ "containers": [{ "name": "web", "networkInterfaces": [{ "ipv6Address": "2001:db8::7" }] }] }));
    for (records, address, port, problem) in cases {
        let entry = Discovery {
            port,
            address,
            ..entry()
        };
        let mut facts = facts(vec![entry], task.clone(), known(vec![], vec![]));
        registry(
            &mut facts,
            Registry {
                records: records.clone(),
                ..Registry::of("srv-1")
            },
        );
        let shown = show(&decide(&facts));
        match problem {
            None => assert!(shown.starts_with("Act"), "{records:?}: {shown}"),
            Some(problem) => assert!(
                shown.contains("RegistryMismatch") && shown.contains(problem),
                "{records:?}: {shown}"
            ),
        }
    }
}
