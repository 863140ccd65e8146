//! Requests as in the Cloud Map API reference.

use serde_json::{Value, json};
use wharfinger_core::config::Span;

use super::super::replay::replay;
use super::*;

fn making(records: &[Record], custom_health: bool) -> Making {
    Making {
        vpc: None,
        records: records.to_vec(),
        asked: true,
        ttl: Span::seconds(15),
        custom_health,
    }
}

fn created(dns: bool, making: &Making) -> Value {
    let namespace = Namespace {
        id: "ns-1".into(),
        name: "shop.local".into(),
        dns,
    };
    let answer = r#"{"Service":{"Id":"srv-1"}}"#;
    let (made, asked) = replay(&[(200, answer)], async |aws| {
        aws.create_registry(&namespace, "web", making).await
    });
    assert_eq!(made, Ok("srv-1".to_owned()));
    let mut sent = asked[0].json();
    let sent = sent.as_object_mut().unwrap();
    assert_eq!((&sent["Name"], &sent["NamespaceId"]), (&json!("web"), &json!("ns-1")));
    sent.retain(|key, _| !["Name", "NamespaceId", "CreatorRequestId"].contains(&key.as_str()));
    Value::Object(sent.clone())
}

#[test]
fn a_service_is_made_with_its_records_and_its_health_check() {
    let records = json!([{ "Type": "A", "TTL": 15 }, { "Type": "SRV", "TTL": 15 }]);
    assert_eq!(
        created(true, &making(&[Record::A, Record::Srv], true)),
        json!({
            "HealthCheckCustomConfig": {},
            "DnsConfig": { "RoutingPolicy": "MULTIVALUE", "DnsRecords": records },
        })
    );
}

#[test]
fn a_service_may_be_for_api_calls_only_in_a_namespace_with_dns() {
    assert_eq!(created(true, &making(&[], false)), json!({ "Type": "HTTP" }));
}

#[test]
fn a_service_has_no_records_in_a_namespace_without_dns() {
    assert_eq!(created(false, &making(&[Record::A], false)), json!({}));
}

#[test]
fn a_namespace_has_dns_in_a_vpc_only() {
    for (vpc, operation) in [
        (None, "CreateHttpNamespace"),
        (Some("vpc-1"), "CreatePrivateDnsNamespace"),
    ] {
        let (made, asked) = replay(&[(200, r#"{"OperationId":"op-1"}"#)], async |aws| {
            aws.create_namespace("shop.local", vpc).await
        });
        assert_eq!(made, Ok(Some("op-1".to_owned())));
        assert_eq!(
            asked[0].target.as_deref(),
            Some(format!("Route53AutoNaming_v20170314.{operation}").as_str())
        );
        assert_eq!(asked[0].json().get("Vpc").and_then(Value::as_str), vpc);
    }
}

#[test]
fn a_service_is_known_by_the_id_that_it_was_asked_for_by() {
    let arn = "arn:aws:servicediscovery:eu-west-1:111122223333:service/srv-1";
    let service = json!({ "Service": {
        "Id": "srv-1",
        "DnsConfig": { "DnsRecords": [{ "Type": "SRV", "TTL": 60 }] },
        "HealthCheckCustomConfig": { "FailureThreshold": 1 },
    } });
    let (made, asked) = replay(&[(200, &service.to_string())], async |aws| aws.registry(arn).await);
    let expected = Registry {
        id: arn.into(),
        records: vec![Record::Srv],
        custom_health: true,
    };
    assert_eq!((made, asked[0].json()), (Ok(expected), json!({ "Id": arn })));
}

#[test]
fn of_services_of_one_name_that_of_the_namespace_is_taken() {
    let listed =
        r#"{"Services":[{"Id":"srv-1","Name":"web"},{"Id":"srv-2","Name":"api"},{"Id":"srv-3","Name":"web"}]}"#;
    let first = r#"{"Service":{"Id":"srv-1","NamespaceId":"ns-1"}}"#;
    let other = r#"{"Service":{"Id":"srv-3","NamespaceId":"ns-2"}}"#;
    let (found, asked) = replay(&[(200, listed), (200, first), (200, other)], async |aws| {
        aws.registries("ns-1").await
    });
    let found: Vec<_> = found
        .unwrap()
        .into_iter()
        .map(|(name, registry)| (name, registry.id))
        .collect();
    let expected = [("api", "srv-2"), ("web", "srv-1")].map(|(name, id)| (name.to_owned(), id.to_owned()));
    assert_eq!(found, expected);
    assert_eq!(asked.len(), 3, "only of what is there twice it is asked");
}
