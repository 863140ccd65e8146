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

const DEFINITION: &str = "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7";
const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/73e2d6bc24d8a067";

/// As much of AWS as is asked for here. A namespace is there some looks after it was asked for.
#[derive(Default)]
struct Fake {
    namespaces: RefCell<Vec<Namespace>>,
    registries: BTreeMap<String, BTreeMap<String, stored::Registry>>,
    groups: BTreeMap<String, TargetGroup>,
    attached: BTreeMap<String, Attached>,
    /// Services, alarms, queues and repositories that are not there.
    absent: Vec<&'static str>,
    running: Cell<u32>,
    vpc: RefCell<Option<String>>,
    fails: bool,
    /// The containers of what `prod/web` runs, by name and image.
    containers: Vec<(&'static str, &'static str)>,
    slept: Cell<Duration>,
}

impl Fake {
    fn with(namespaces: &[(&str, &str)], registries: &[(&str, &str, &str)]) -> Self {
        let mut fake = Self::default();
        for (id, name) in namespaces {
            fake.namespaces.borrow_mut().push(Namespace {
                id: (*id).into(),
                name: (*name).into(),
                dns: id.ends_with("dns"),
            });
        }
        for (namespace, name, id) in registries {
            let registry = stored::Registry::of(*id);
            let all = fake.registries.entry((*namespace).into()).or_default();
            all.insert((*name).into(), registry);
        }
        fake
    }

    async fn found(&self, entries: &str, create: bool) -> Found {
        look_up(self, &document(entries), create).await.unwrap()
    }

    /// Looks up and makes what is missing.
    async fn created(&self, entries: &str) -> Result<(Found, Vec<String>), String> {
        let mut found = self.found(entries, true).await;
        assert_eq!(told(&found), [""; 0]);
        let created = create(self, &mut found).await;
        created
            .map(|created| (found, created))
            .map_err(|error| format!("{error:#}"))
    }
}

impl Names for Fake {
    async fn namespaces(&self) -> Result<Vec<Namespace>, CloudError> {
        Ok(self.namespaces.borrow().clone())
    }

    async fn registries(&self, namespace_id: &str) -> Result<BTreeMap<String, stored::Registry>, CloudError> {
        Ok(self.registries.get(namespace_id).cloned().unwrap_or_default())
    }

    async fn registry(&self, id: &str) -> Result<stored::Registry, CloudError> {
        let known = self.registries.get("by-id").and_then(|known| known.get(id)).cloned();
        known.ok_or_else(|| CloudError::new("GetService", Kind::Denied, "no"))
    }

    async fn create_namespace(&self, name: &str, vpc: Option<&str>) -> Result<Option<String>, CloudError> {
        self.running.set(3);
        *self.vpc.borrow_mut() = vpc.map(str::to_owned);
        Ok(Some(name.to_owned()))
    }

    async fn create_registry(&self, namespace: &Namespace, name: &str, _: &Making) -> Result<String, CloudError> {
        Ok(format!("srv-{}-{name}", namespace.id))
    }
}

impl Registry for Fake {
    async fn register(&self, endpoint: &Endpoint) -> Result<Submitted, CloudError> {
        panic!("{endpoint:?}")
    }

    async fn deregister(&self, request: &DeregisterInstance) -> Result<Submitted, CloudError> {
        panic!("{request:?}")
    }

    async fn tell_health(&self, endpoint: &Endpoint) -> Result<(), CloudError> {
        panic!("{endpoint:?}")
    }

    async fn operation(&self, id: &str) -> Result<OperationStatus, CloudError> {
        if self.fails {
            return Ok(OperationStatus::Failed("the quota is used up".into()));
        }
        self.running.set(self.running.get().saturating_sub(1));
        if self.running.get() > 0 {
            return Ok(OperationStatus::Running);
        }
        let namespace = Namespace {
            id: "new".into(),
            name: id.into(),
            dns: self.vpc.borrow().is_some(),
        };
        self.namespaces.borrow_mut().push(namespace);
        Ok(OperationStatus::Done)
    }

    async fn instances(&self, service_id: &str) -> Result<Vec<Instance>, CloudError> {
        panic!("{service_id}")
    }
}

impl TargetGroups for Fake {
    async fn register_targets(&self, group: &str, _: &[TargetDescription]) -> Result<(), CloudError> {
        panic!("{group}")
    }

    async fn deregister_targets(&self, group: &str, _: &[TargetDescription]) -> Result<(), CloudError> {
        panic!("{group}")
    }

    async fn target_health(&self, group: &str) -> Result<Vec<TargetHealth>, CloudError> {
        panic!("{group}")
    }

    async fn target_groups(&self, names: &[String]) -> Result<BTreeMap<String, TargetGroup>, CloudError> {
        let known = self.groups.iter().filter(|(name, _)| names.contains(name));
        Ok(known.map(|(name, group)| (name.clone(), group.clone())).collect())
    }
}

impl Attachments for Fake {
    async fn attached(&self, cluster: &str, names: &[String]) -> Result<BTreeMap<String, Attached>, CloudError> {
        assert_eq!((cluster, names), ("prod", &["web".to_owned()][..]));
        if self.absent.contains(&"web") {
            return Ok(BTreeMap::new());
        }
        let known = self.attached.get("web").cloned();
        Ok([("web".to_owned(), known.unwrap_or_default())].into())
    }
}

impl Services for Fake {
    async fn describe_services(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, ServiceFacts>, CloudError> {
        assert_eq!((cluster, names), ("prod", &["web".to_owned()][..]));
        let service = json!({
            "serviceArn": "arn:aws:ecs:eu-west-1:111122223333:service/prod/web", "status": "ACTIVE", "desiredCount": 1,
            "runningCount": 1, "pendingCount": 0, "taskDefinition": DEFINITION,
        });
        let there = names.iter().filter(|name| !self.absent.contains(&name.as_str()));
        let service = |name: &String| (name.clone(), ServiceFacts::parse(&service).unwrap());
        Ok(there.map(service).collect())
    }

    async fn update_service(&self, target: &Target, _: &ServiceChange) -> Result<(), CloudError> {
        panic!("{target} is changed")
    }
}

impl TaskDefinitions for Fake {
    async fn describe_task_definition(&self, name: &str) -> Result<Option<Value>, CloudError> {
        assert!(name == DEFINITION || name == "web", "{name}");
        if self.fails {
            return Err(CloudError::new("DescribeTaskDefinition", Kind::Denied, "no"));
        }
        let containers = self.containers.iter();
        let containers: Vec<_> = containers
            .map(|(name, image)| json!({ "name": name, "image": image }))
            .collect();
        let volumes = json!([
            { "name": "data", "configuredAtLaunch": true }, { "name": "tmp", "configuredAtLaunch": false }, { "name": "host" },
        ]);
        let definition =
            json!({ "taskDefinitionArn": DEFINITION, "containerDefinitions": containers, "volumes": volumes });
        Ok(Some(json!({ "taskDefinition": definition })))
    }

    async fn register_task_definition(&self, request: &Value) -> Result<String, CloudError> {
        panic!("{request} is registered")
    }
}

impl Alarms for Fake {
    async fn describe_alarms(&self, names: &[String]) -> Result<Vec<AlarmStateChange>, CloudError> {
        if self.fails {
            return Err(CloudError::new("DescribeAlarms", Kind::Denied, "no"));
        }
        let there = names.iter().filter(|name| !self.absent.contains(&name.as_str()));
        let alarm = |name: &String| json!({ "AlarmName": name, "StateValue": "OK", "StateUpdatedTimestamp": 1 });
        let alarm = |name| AlarmStateChange::from_describe_alarms(&alarm(name)).unwrap();
        Ok(there.map(alarm).collect())
    }
}

impl Queues for Fake {
    async fn queue_depth(&self, name: &str) -> Result<Option<QueueDepth>, CloudError> {
        if self.fails {
            return Err(CloudError::new("GetQueueUrl", Kind::Denied, "no"));
        }
        let (visible, in_flight) = (0, 0);
        Ok((!self.absent.contains(&name)).then_some(QueueDepth { visible, in_flight }))
    }
}

impl Repositories for Fake {
    async fn has_repository(&self, name: &str) -> Result<bool, CloudError> {
        if self.fails {
            return Err(CloudError::new("DescribeRepositories", Kind::Denied, "no"));
        }
        Ok(!self.absent.contains(&name))
    }
}

impl Scalable for Fake {
    async fn scalable_targets(&self, services: &[Target]) -> Result<BTreeSet<Target>, CloudError> {
        assert_eq!(services, [Target::service("prod", "web")]);
        Ok(BTreeSet::new())
    }
}

impl Clock for Fake {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, duration: Duration) {
        self.slept.set(self.slept.get() + duration);
    }

    fn remaining(&self) -> Duration {
        Duration::MAX
    }
}

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
