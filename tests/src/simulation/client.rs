//! An invocation's way into the world, and what is taken out of it on purpose to see whether the checks bite.

mod hosts;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use wharfinger_cloud::CloudError;
use wharfinger_cloud::config::{CLUSTER_ATTRIBUTE, PAUSED_ATTRIBUTE, TARGET_ATTRIBUTE};
use wharfinger_cloud::ledger::{ORDER, SAID, SETTLED};
use wharfinger_cloud::ports::{
    Alarms, Attempt, Bus, Clock, Deployments, DescribedTasks, DrainingInstances, Followers, Hosts, Images, Instance,
    Metrics, Moved, Notice, OperationStatus, Parameters, QueueDepth, Queues, Registry, Scalable, ServiceChange,
    Services, Stopping, Submitted, TaggedImage, TargetGroups, TaskDefinitions, Tasks,
};
use wharfinger_cloud::table::{
    AttributeValue, Condition, Item, Key, Table, TableName, Transacted, Update, Updated, Write,
};
use wharfinger_cloud::world::Caller;
use wharfinger_core::balancing::{TargetDescription, TargetGroup, TargetHealth};
use wharfinger_core::capacity::ContainerInstance;
use wharfinger_core::delivery::{Follower, ImageScan, ImageState, Manifest, Move, Platform};
use wharfinger_core::discovery::{DeregisterInstance, Endpoint};
use wharfinger_core::endpoint::Host;
use wharfinger_core::event::{AlarmStateChange, MetricQuery, Reading};
use wharfinger_core::ids::{Digest, Target, TaskArn};
use wharfinger_core::service::ServiceFacts;
use wharfinger_delivery::wishes as rollouts;
use wharfinger_scaling::observe::MEMORY;

use super::checks::FENCE;

/// A part of the design that is taken out: the simulation must then find a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// The ledger takes an older event over a newer one.
    Version,
    /// The confirmation does not notice that something newer was merged meanwhile.
    Confirm,
    /// Everyone gets the lease, and the fencing number is not looked at.
    Fencing,
    /// Nobody's claim on an address is looked at.
    Claims,
    /// Scaling does not look at a change that was begun and not finished.
    Intent,
    /// Scaling forgets when the count was changed last: nothing cools down.
    Cooldown,
    /// Scaling forgets how much it changed lately: no limit is ever met.
    Limit,
    /// Scaling forgets what was wished for before: nothing has to last.
    Window,
    /// Scaling forgets that its bounds have changed: they always have.
    Bounds,
    /// Delivery forgets the rollout that it has begun.
    Begun,
    /// Delivery forgets what is in quarantine, and what it brought out last.
    Quarantine,
    /// Delivery does not know that a push is older than the one that it knows.
    Order,
    /// Delivery does not see that a push must be of some age.
    Mature,
    /// Delivery does not see windows.
    Windows,
    /// Delivery does not see that a scan is to be waited for.
    Scan,
    /// Delivery does not see that a person must agree.
    Approval,
    /// Delivery does not see that another service must have proved the image.
    After,
    /// Delivery does not see for how long it must have been proved.
    Bake,
    /// Delivery does not see that others go first.
    Waves,
    /// Nothing is told on the bus.
    Told,
    /// What runs a family on a schedule stays.
    Followers,
    /// Of the instances that go only the first of each call is set to DRAINING.
    Together,
    /// No hook gets a heartbeat.
    Heartbeats,
    /// A hook is waited for no longer than two minutes.
    Deadline,
    /// An agent may be gone for a minute only.
    Silence,
    /// As many dead hosts are replaced at a time as there are.
    AtMost,
    /// What comes back stays drained.
    Returns,
    /// A dry run is none.
    DryRun,
    /// Nobody sees that capacity is paused.
    Paused,
}

impl Without {
    /// The parts of what is remembered that are forgotten.
    fn forgotten(self) -> &'static [&'static str] {
        match self {
            Self::Begun | Self::Intent => &["intent"],
            Self::Quarantine => &["quarantine", "done"],
            Self::Cooldown => &["last", "rise"],
            Self::Limit => &["moves"],
            Self::Window => &["wishes"],
            Self::Bounds => &["bounds"],
            _ => &[],
        }
    }

    /// The attribute of a service's item from which something is forgotten.
    fn of(self) -> &'static str {
        match self {
            Self::Begun | Self::Quarantine => rollouts::MEMORY,
            _ => MEMORY,
        }
    }

    /// The key of a rule of delivery that is not seen.
    fn unseen(self) -> Option<&'static str> {
        Some(match self {
            Self::Mature => "mature",
            Self::Windows => "windows",
            Self::Scan => "scan",
            Self::Approval => "approval",
            Self::After => "after",
            Self::Bake => "bake",
            Self::Waves => "waves",
            _ => return None,
        })
    }
}

/// The ports, on the world.
#[derive(Debug)]
pub struct Client {
    caller: Caller,
    without: Option<Without>,
}

/// Whether it says which event of a task is the newest.
fn is_of_order(condition: &Condition) -> bool {
    matches!(condition, Condition::Equal(ORDER, _))
}

impl Client {
    /// A client; with `without`, one whose writes lack a condition.
    #[must_use]
    pub fn new(caller: Caller, without: Option<Without>) -> Self {
        Self { caller, without }
    }

    fn weaken(&self, mut update: Update) -> Update {
        let drop = match self.without {
            Some(Without::Version) => orders(&update.condition),
            Some(Without::Confirm) if update.set.iter().any(|(name, _)| matches!(*name, SAID | SETTLED)) => {
                if let Condition::All(conditions) = &mut update.condition {
                    conditions.retain(|condition| !is_of_order(condition));
                }
                is_of_order(&update.condition)
            }
            Some(Without::Claims) => is_claim(&update.key.pk),
            Some(Without::Fencing) => {
                matches!(update.condition, Condition::Equal(FENCE, _))
                    || update.add.iter().any(|(name, _)| *name == FENCE)
            }
            _ => false,
        };
        if drop {
            update.condition = Condition::Always;
        }
        update
    }

    /// What is read of an item.
    fn recall(&self, mut item: Item) -> Item {
        let Some(without) = self.without else { return item };
        let forgotten = without.forgotten();
        if let Some(AttributeValue::M(memory)) = item.get_mut(without.of()) {
            memory.retain(|name, _| !forgotten.contains(&name.as_str()));
        }
        if let Some(key) = without.unseen()
            && let Some(AttributeValue::M(target)) = item.get_mut(TARGET_ATTRIBUTE)
            && let Some(AttributeValue::M(config)) = target.get_mut("config")
            && let Some(AttributeValue::L(rules)) = config.get_mut("delivery")
        {
            for rule in rules {
                if let AttributeValue::M(rule) = rule {
                    rule.remove(key);
                }
            }
        }
        if without == Without::Paused && item.contains_key(CLUSTER_ATTRIBUTE) {
            item.remove(PAUSED_ATTRIBUTE);
        }
        if let Some(AttributeValue::M(cluster)) = item.get_mut(CLUSTER_ATTRIBUTE)
            && let Some(AttributeValue::M(capacity)) = cluster.get_mut("capacity")
        {
            without.bend(capacity);
        }
        if without == Without::Order
            && let Some(AttributeValue::M(wish)) = item.get_mut("wish")
        {
            wish.insert("pushed-at".into(), AttributeValue::S(Timestamp::UNIX_EPOCH.to_string()));
        }
        item
    }

    fn is_ignored(&self, pk: &str) -> bool {
        self.without == Some(Without::Claims) && is_claim(pk)
    }
}

/// Whether a partition holds the claims of a registry or a target group; the one that lists these has no second `#`.
fn is_claim(pk: &str) -> bool {
    pk.strip_prefix("held#").is_some_and(|rest| rest.contains('#'))
}

fn orders(condition: &Condition) -> bool {
    match condition {
        Condition::Less(name, _) => *name == ORDER,
        Condition::Any(several) | Condition::All(several) => several.iter().any(orders),
        Condition::Always | Condition::Missing(_) | Condition::Equal(..) => false,
    }
}

impl Table for Client {
    async fn get(&self, table: TableName, key: &Key) -> Result<Option<Item>, CloudError> {
        let found = self.caller.get(table, key).await?;
        Ok(found
            .filter(|_| !self.is_ignored(&key.pk))
            .map(|item| self.recall(item)))
    }

    async fn get_all(&self, table: TableName, keys: &[Key]) -> Result<Vec<Item>, CloudError> {
        let found = self.caller.get_all(table, keys).await?;
        Ok(found.into_iter().map(|item| self.recall(item)).collect())
    }

    async fn query(&self, table: TableName, pk: &str) -> Result<Vec<Item>, CloudError> {
        let found = self.caller.query(table, pk).await?;
        if self.is_ignored(pk) {
            return Ok(Vec::new());
        }
        Ok(found.into_iter().map(|item| self.recall(item)).collect())
    }

    async fn update(&self, table: TableName, update: Update) -> Result<Updated, CloudError> {
        Ok(match self.caller.update(table, self.weaken(update)).await? {
            Updated::Made(item) => Updated::Made(self.recall(item)),
            Updated::Refused(item) => Updated::Refused(item),
        })
    }

    async fn put(&self, table: TableName, item: Item) -> Result<(), CloudError> {
        self.caller.put(table, item).await
    }

    async fn transact(&self, table: TableName, writes: Vec<Write>) -> Result<Transacted, CloudError> {
        let weaken = |write| match write {
            Write::Update(update) => Write::Update(self.weaken(update)),
            Write::Check(key, _) if self.is_ignored(&key.pk) => Write::Check(key, Condition::Always),
            other => other,
        };
        self.caller
            .transact(table, writes.into_iter().map(weaken).collect())
            .await
    }
}

impl Attempt for Client {
    fn attempt(&self) -> String {
        self.caller.attempt()
    }
}

impl Clock for Client {
    fn now(&self) -> Timestamp {
        self.caller.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.caller.sleep(duration).await;
    }

    fn remaining(&self) -> Duration {
        self.caller.remaining()
    }
}

impl Hosts for Client {
    async fn hosts(&self, cluster: &str, arns: &[String]) -> Result<BTreeMap<String, Host>, CloudError> {
        self.caller.hosts(cluster, arns).await
    }

    async fn public_addresses(&self, interfaces: &[String]) -> Result<BTreeMap<String, String>, CloudError> {
        self.caller.public_addresses(interfaces).await
    }
}

impl DrainingInstances for Client {
    async fn draining(&self, cluster: &str) -> Result<Vec<String>, CloudError> {
        self.caller.draining(cluster).await
    }

    async fn describe_container_instances(
        &self,
        cluster: &str,
        arns: &[String],
    ) -> Result<Vec<ContainerInstance>, CloudError> {
        self.caller.describe_container_instances(cluster, arns).await
    }

    async fn tasks_on(&self, cluster: &str, container_instance: &str) -> Result<Vec<TaskArn>, CloudError> {
        self.caller.tasks_on(cluster, container_instance).await
    }
}

impl TargetGroups for Client {
    async fn register_targets(&self, group: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
        self.caller.register_targets(group, targets).await
    }

    async fn deregister_targets(&self, group: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
        self.caller.deregister_targets(group, targets).await
    }

    async fn target_health(&self, group: &str) -> Result<Vec<TargetHealth>, CloudError> {
        self.caller.target_health(group).await
    }

    async fn target_groups(&self, names: &[String]) -> Result<BTreeMap<String, TargetGroup>, CloudError> {
        self.caller.target_groups(names).await
    }
}

impl Registry for Client {
    async fn register(&self, endpoint: &Endpoint) -> Result<Submitted, CloudError> {
        self.caller.register(endpoint).await
    }

    async fn tell_health(&self, endpoint: &Endpoint) -> Result<(), CloudError> {
        self.caller.tell_health(endpoint).await
    }

    async fn deregister(&self, request: &DeregisterInstance) -> Result<Submitted, CloudError> {
        self.caller.deregister(request).await
    }

    async fn operation(&self, id: &str) -> Result<OperationStatus, CloudError> {
        self.caller.operation(id).await
    }

    async fn instances(&self, service_id: &str) -> Result<Vec<Instance>, CloudError> {
        self.caller.instances(service_id).await
    }
}

impl Tasks for Client {
    async fn list_tasks(&self, target: &Target) -> Result<Vec<TaskArn>, CloudError> {
        self.caller.list_tasks(target).await
    }

    async fn describe_tasks(&self, cluster: &str, tasks: &[TaskArn]) -> Result<DescribedTasks, CloudError> {
        self.caller.describe_tasks(cluster, tasks).await
    }
}

impl Services for Client {
    async fn describe_services(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, ServiceFacts>, CloudError> {
        self.caller.describe_services(cluster, names).await
    }

    async fn update_service(&self, target: &Target, change: &ServiceChange) -> Result<(), CloudError> {
        self.caller.update_service(target, change).await
    }
}

impl TaskDefinitions for Client {
    async fn describe_task_definition(&self, name: &str) -> Result<Option<Value>, CloudError> {
        self.caller.describe_task_definition(name).await
    }

    async fn register_task_definition(&self, request: &Value) -> Result<String, CloudError> {
        self.caller.register_task_definition(request).await
    }
}

impl Metrics for Client {
    async fn newest(
        &self,
        alarms: &BTreeMap<String, Vec<MetricQuery>>,
    ) -> Result<BTreeMap<String, Reading>, CloudError> {
        self.caller.newest(alarms).await
    }
}

impl Queues for Client {
    async fn queue_depth(&self, name: &str) -> Result<Option<QueueDepth>, CloudError> {
        self.caller.queue_depth(name).await
    }
}

impl Scalable for Client {
    async fn scalable_targets(&self, services: &[Target]) -> Result<BTreeSet<Target>, CloudError> {
        self.caller.scalable_targets(services).await
    }
}

impl Alarms for Client {
    async fn describe_alarms(&self, names: &[String]) -> Result<Vec<AlarmStateChange>, CloudError> {
        self.caller.describe_alarms(names).await
    }
}

impl Images for Client {
    async fn tagged_images(&self, repository: &str) -> Result<Option<Vec<TaggedImage>>, CloudError> {
        self.caller.tagged_images(repository).await
    }

    async fn image(&self, repository: &str, digest: &Digest) -> Result<ImageState, CloudError> {
        self.caller.image(repository, digest).await
    }

    async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Manifest>, CloudError> {
        self.caller.manifest(repository, digest).await
    }

    async fn platform(&self, repository: &str, configuration: &Digest) -> Result<Option<Platform>, CloudError> {
        self.caller.platform(repository, configuration).await
    }

    async fn image_scan(&self, repository: &str, digest: &Digest) -> Result<ImageScan, CloudError> {
        self.caller.image_scan(repository, digest).await
    }
}

impl Deployments for Client {
    async fn stop_service_deployment(&self, arn: &str) -> Result<Stopping, CloudError> {
        self.caller.stop_service_deployment(arn).await
    }

    async fn sent_to(&self, service: &Target, since: Timestamp) -> Result<Vec<String>, CloudError> {
        self.caller.sent_to(service, since).await
    }
}

impl Followers for Client {
    async fn followers(&self, cluster_arn: &str) -> Result<Vec<(Follower, Value)>, CloudError> {
        self.caller.followers(cluster_arn).await
    }

    async fn move_follower(&self, to: &Move) -> Result<Moved, CloudError> {
        if self.without == Some(Without::Followers) {
            return Ok(Moved::Managed("left".into()));
        }
        self.caller.move_follower(to).await
    }
}

impl Bus for Client {
    async fn put_events(&self, notices: &[Notice]) -> Result<(), CloudError> {
        if self.without == Some(Without::Told) {
            return Ok(());
        }
        self.caller.put_events(notices).await
    }
}

impl Parameters for Client {
    async fn put_parameter(&self, name: &str, value: &str) -> Result<(), CloudError> {
        self.caller.put_parameter(name, value).await
    }

    async fn parameter(&self, name: &str) -> Result<Option<String>, CloudError> {
        self.caller.parameter(name).await
    }
}
