//! AWS, as far as names are looked up in it.

use super::*;

/// As much of AWS as is asked for here. A namespace is there some looks after it was asked for.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) namespaces: RefCell<Vec<Namespace>>,
    pub(super) registries: BTreeMap<String, BTreeMap<String, stored::Registry>>,
    pub(super) groups: BTreeMap<String, TargetGroup>,
    pub(super) attached: BTreeMap<String, Attached>,
    /// Services, alarms, queues and repositories that are not there.
    pub(super) absent: Vec<&'static str>,
    pub(super) running: Cell<u32>,
    pub(super) vpc: RefCell<Option<String>>,
    pub(super) fails: bool,
    /// The containers of what `prod/web` runs, by name and image.
    pub(super) containers: Vec<(&'static str, &'static str)>,
    pub(super) slept: Cell<Duration>,
}

impl Fake {
    pub(super) fn with(namespaces: &[(&str, &str)], registries: &[(&str, &str, &str)]) -> Self {
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

    pub(super) async fn found(&self, entries: &str, create: bool) -> Found {
        look_up(self, &document(entries), create).await.unwrap()
    }

    /// Looks up and makes what is missing.
    pub(super) async fn created(&self, entries: &str) -> Result<(Found, Vec<String>), String> {
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
