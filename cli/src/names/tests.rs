mod fake;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_cloud::CloudError;
use wharfinger_cloud::error::Kind;
use wharfinger_cloud::ports::{Clock, Instance, OperationStatus, QueueDepth, Registry, ServiceChange, Submitted};
use wharfinger_core::balancing::{TargetDescription, TargetGroup, TargetHealth, TargetType};
use wharfinger_core::config::stored::Record;
use wharfinger_core::discovery::{DeregisterInstance, Endpoint};
use wharfinger_core::event::AlarmStateChange;
use wharfinger_core::service::ServiceFacts;

use wharfinger_core::config::Level;

use super::*;
use fake::Fake;

const DEFINITION: &str = "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7";
const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/73e2d6bc24d8a067";

/// One service that joins these registries, and these groups behind a `|`.
fn document(entries: &str) -> Document {
    let (registries, groups) = entries.split_once('|').unwrap_or((entries, ""));
    let list = |key: &str, entries: &str| {
        let entries = entries.split_whitespace().map(|entry| {
            let (name, more) = entry.split_once('+').unwrap_or((entry, ""));
            format!(
                "      - {{ {key}: '{name}', {} }}\n",
                more.replace(':', ": ").replace(',', ", ")
            )
        });
        entries.collect::<String>()
    };
    let domain = |domain: &str, key: &str, entries: &str| match list(key, entries).as_str() {
        "" => format!("    {domain}: []\n"),
        entries => format!("    {domain}:\n{entries}"),
    };
    let text = format!(
        "version: 1\nservices:\n  prod/web:\n{}{}",
        domain("discovery", "to", registries),
        domain("balancing", "target-group", groups)
    );
    let loaded = crate::document::load("w.yaml", &text);
    assert_eq!(loaded.problems, [], "{text}");
    loaded.document.unwrap()
}

fn told(found: &Found) -> Vec<String> {
    let told = found.problems.iter();
    told.map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect()
}

fn group(arn: &str, target_type: TargetType) -> TargetGroup {
    TargetGroup {
        arn: arn.into(),
        target_type,
    }
}

#[tokio::test]
async fn names_are_looked_up() {
    let mut fake = Fake::with(
        &[("ns-1", "shop.local"), ("ns-2", "other")],
        &[
            ("ns-1", "web", "srv-web"),
            ("ns-1", "api", "srv-api"),
            ("ns-2", "web", "srv-wrong"),
            ("by-id", "srv-known", "srv-known"),
        ],
    );
    fake.groups.insert("web".into(), group(GROUP, TargetType::Ip));
    let found = fake
        .found("shop.local/web shop.local/api srv-known srv-secret | web", false)
        .await;
    assert_eq!(told(&found), [""; 0]);
    let ids: BTreeSet<_> = found
        .names
        .registries
        .values()
        .map(|registry| registry.id.as_str())
        .collect();
    // What nobody may look at is still an id.
    assert_eq!(ids, ["srv-api", "srv-known", "srv-web"].into());
    assert_eq!(found.names.target_groups["web"].arn, GROUP);
    assert_eq!(Fake::default().found("", true).await, Found::default());
}

#[tokio::test]
async fn everything_that_is_missing_is_told_at_once() {
    let fake = Fake::with(&[("ns-1", "shop.local")], &[("ns-1", "web", "srv-web")]);
    let found = fake.found("shop.local/web shop.local/api nope/x | gone", false).await;
    assert_eq!(
        told(&found),
        [
            "services.prod/web.discovery[2].to: Cloud Map has no namespace nope: create it, or let `apply --create` do so",
            "services.prod/web.discovery[1].to: Cloud Map has no service shop.local/api: create it, or let `apply --create` do so",
            "services.prod/web.balancing[0].target-group: Elastic Load Balancing has no target group `gone` in this account and Region",
        ]
    );
    assert_eq!(found.missing, []);
}

#[tokio::test]
async fn the_type_of_an_arn_is_found_by_its_name_if_it_is_the_same_group() {
    let mut fake = Fake::default();
    fake.groups.insert("web".into(), group(GROUP, TargetType::Other));
    let told_of = told(&fake.found(&format!("| {GROUP}"), false).await);
    assert_eq!(told_of.len(), 1, "{told_of:?}");
    assert!(told_of[0].contains("are no tasks"), "{told_of:?}");
    // One of another account has nothing to do with the one that has its name here.
    let other = GROUP.replace("111122223333", "999999999999");
    let found = fake.found(&format!("| {other}"), false).await;
    assert_eq!((told(&found), found.names.target_groups), (Vec::new(), BTreeMap::new()));
}

#[tokio::test]
async fn what_ecs_manages_is_told() {
    let mut fake = Fake::default();
    fake.groups.insert("web".into(), group(GROUP, TargetType::Ip));
    let attached = Attached {
        target_groups: [GROUP.to_owned()].into(),
        ..Attached::default()
    };
    fake.attached.insert("web".into(), attached);
    let told = told(&fake.found("| web", false).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("itself (loadBalancers)"), "{told:?}");
}

#[tokio::test]
async fn what_is_missing_is_created_if_asked_for() {
    let fake = Fake::with(&[("ns-1-dns", "shop.local")], &[]);
    let (found, created) = fake.created("shop.local/api fresh/x fresh/y").await.unwrap();
    assert_eq!(
        created,
        [
            "namespace fresh",
            "service fresh/x",
            "service fresh/y",
            "service shop.local/api"
        ]
    );
    let registries = &found.names.registries;
    assert_eq!(
        (registries["fresh/x"].id.as_str(), &registries["fresh/x"].records[..]),
        ("srv-new-x", &[][..])
    );
    assert_eq!(registries["shop.local/api"].records, [Record::A]);
    assert!(fake.slept.get() > Duration::ZERO);
    assert_eq!(*fake.vpc.borrow(), None);
}

#[tokio::test]
async fn a_namespace_has_dns_in_the_vpc_that_is_named() {
    let fake = Fake::default();
    let entries = "fresh/x+port:80,create:{vpc:vpc-1,records:[A,SRV],health-check:custom}";
    let (found, _) = fake.created(entries).await.unwrap();
    assert_eq!(fake.vpc.borrow().as_deref(), Some("vpc-1"));
    let registry = &found.names.registries["fresh/x"];
    assert_eq!(
        (&registry.records[..], registry.custom_health),
        (&[Record::A, Record::Srv][..], true)
    );
}

#[tokio::test]
async fn what_cannot_be_made_is_told_before_anything_is() {
    let fake = Fake::with(&[("ns-1", "http"), ("ns-2-dns", "dns")], &[]);
    let found = fake
        .found(
            "http/x+create:{records:[A]} new/x+create:{records:[A]} dns/x dns/x+address:ipv6,port:80",
            true,
        )
        .await;
    let told = told(&found);
    assert!(
        told.iter()
            .any(|line| line.contains("discovery[0].to: the namespace of `http/x` has no DNS")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|line| line.contains("name it in `create.vpc`")),
        "{told:?}"
    );
    // One service cannot have both records of one task.
    assert_eq!(
        told.iter().filter(|line| line.contains("`dns/x` has ")).count(),
        2,
        "{told:?}"
    );
}

#[tokio::test]
async fn a_namespace_that_cannot_be_created_is_told() {
    let fake = Fake {
        fails: true,
        ..Fake::default()
    };
    let error = fake.created("fresh/x").await.unwrap_err();
    assert_eq!(error, "the namespace fresh cannot be created: the quota is used up");
}

#[tokio::test]
async fn a_name_that_several_namespaces_have_is_not_guessed() {
    let fake = Fake::with(&[("ns-1", "twin"), ("ns-2", "twin")], &[]);
    let told = told(&fake.found("twin/x", true).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("ns-1, ns-2") && told[0].contains("srv-"), "{told:?}");
}

#[tokio::test]
async fn what_sets_a_service_in_motion_and_is_not_there_only_surprises() {
    let web = json!({
        "scaling": { "min": 1, "max": 9, "rules": [
            { "alarm": "cpu", "target": 60 }, { "alarm": "gone", "add": -1 }, { "queue": "jobs", "per-task": 5 },
            { "queue": "old", "per-task": 5 },
        ] },
        "delivery": [
            { "repository": "shop/web", "tags": { "exact": "a" } }, { "repository": "shop/old", "tags": { "exact": "a" } },
            { "repository": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/old", "tags": { "exact": "a" } },
        ],
    });
    let document: Document = serde_json::from_value(json!({ "version": 1, "services": { "prod/web": web } })).unwrap();
    let fake = Fake {
        absent: vec!["gone", "old", "shop/old", "web"],
        ..Fake::default()
    };
    let found = look_up(&fake, &document, false).await.unwrap();
    assert!(found.problems.iter().all(|p| p.level == Level::Warning), "{found:?}");
    let told = told(&found);
    let told: Vec<_> = told.iter().filter_map(|line| line.split(" in ").next()).collect();
    assert_eq!(
        told,
        [
            "services.prod/web: ECS has no service `web`",
            "services.prod/web.scaling.rules[1].alarm: CloudWatch has no alarm `gone`",
            "services.prod/web.scaling.rules[3].queue: SQS has no queue `old`",
            "services.prod/web.delivery[1].repository: ECR has no repository `shop/old`",
        ]
    );
    // Who may not ask is not told that nothing is there.
    let fake = Fake {
        fails: true,
        ..Fake::default()
    };
    assert_eq!(look_up(&fake, &document, false).await.unwrap().problems, []);
}

#[tokio::test]
async fn a_container_or_volume_that_is_not_there_is_told_with_those_that_are() {
    let host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
    let fake = Fake {
        containers: vec![
            ("app", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1"),
            ("log", "public.ecr.aws/log:2"),
        ],
        ..Fake::default()
    };
    let web = json!({ "delivery": [
        { "repository": "shop/web", "tags": { "exact": "a" } },
        { "repository": "shop/api", "tags": { "exact": "a" } },
        { "repository": "shop/wbe", "container": "wbe", "tags": { "exact": "a" } },
        { "repository": "shop/log", "container": "log", "tags": { "exact": "a" } },
    ] });
    let document = json!({ "version": 1, "services": { "prod/web": web }, "tasks": { "prod/web": { "discovery": [
        { "to": "srv-1", "container": "wbe", "port": 80 },
    ] } } });
    let document: Document = serde_json::from_value(document).unwrap();
    let found = containers::look_up(&fake, &document).await;
    assert!(found.iter().all(|p| p.level == Level::Warning), "{found:?}");
    let told: Vec<_> = found.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
    let has = format!(
        "it has `app` ({host}/shop/web:1), `log` (public.ecr.aws/log:2); name one of them as the rule's `container`"
    );
    assert_eq!(
        told,
        [
            format!(
                "services.prod/web.delivery[1].repository: web:7 has no container with an image of {host}/shop/api that \
                 another rule does not take: {has}"
            ),
            format!("services.prod/web.delivery[2].container: web:7 has no container `wbe`: {has}"),
            "tasks.prod/web.discovery[0].container: the task definition of prod/web has no container `wbe`: it has `app`, \
             `log`"
                .to_owned(),
        ]
    );
    let storage = json!([{ "volume": "data" }, { "volume": "tmp" }]);
    let kept = json!({ "version": 1, "services": { "prod/web": { "storage": storage } } });
    let found = containers::look_up(&fake, &serde_json::from_value(kept).unwrap()).await;
    let told: Vec<_> = found
        .iter()
        .map(|p| format!("{:?} {}: {}", p.level, p.path, p.message))
        .collect();
    assert_eq!(
        told,
        [
            "Warning services.prod/web.storage[1].volume: the task definition of prod/web has no volume `tmp` with \
             `configuredAtLaunch`, so ECS makes no EBS volume for it: it has `data`"
        ]
    );
    // What is not there yet, and what nobody may look at, has no containers to tell of.
    let fake = Fake {
        absent: vec!["web"],
        fails: true,
        ..Fake::default()
    };
    assert_eq!(containers::look_up(&fake, &document).await, []);
}
