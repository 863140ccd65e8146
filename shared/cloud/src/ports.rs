//! What is needed of the world, named by need. Every call is idempotent or says how a repeat is told apart.

mod capacity;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use wharfinger_core::balancing::{TargetDescription, TargetGroup, TargetHealth};
use wharfinger_core::config::{Making, StrategyItem, stored};
use wharfinger_core::delivery::{Follower, ImageScan, ImageState, Manifest, Move, Platform};
use wharfinger_core::discovery::{DeregisterInstance, Endpoint};
use wharfinger_core::endpoint::Host;
use wharfinger_core::event::{AlarmStateChange, MetricQuery, Reading, TaskStateChange};
use wharfinger_core::ids::{Digest, Target, TaskArn};
use wharfinger_core::service::{Attached, ServiceFacts};

use crate::error::CloudError;

pub use capacity::{AutoScaling, CapacityProviders, ContainerInstances, DrainingInstances, NotChanged, Upheld};
pub use storage::{AccessPoints, Launches, Opened, Ran, Removed, ServiceVolumes, Snapped, Snapshots, Volumes};

/// The time, and how much of the invocation is left.
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Waits.
    async fn sleep(&self, duration: Duration);

    /// How long this invocation may still take.
    fn remaining(&self) -> Duration;
}

/// The attempt at an event that runs.
pub trait Attempt {
    /// A name that no other attempt has. Up to its last `/` it is the name of the invocation, which Lambda may try again.
    fn attempt(&self) -> String;
}

/// An instance in a Cloud Map service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Where an operation of Cloud Map is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationStatus {
    /// SUBMITTED or PENDING.
    Running,
    /// SUCCESS, or so old that Cloud Map has forgotten it.
    Done,
    /// FAIL, with its words.
    Failed(String),
}

/// What became of a call that changes a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Cloud Map took it; the operation goes on by itself.
    Operation(Option<String>),
    /// There is nothing to remove: it is done.
    Absent,
    /// Another operation on the same instance runs, perhaps the opposite one: wait for it, then look again
    /// (Cloud Map API reference, `DuplicateRequest`).
    Busy(Option<String>),
}

/// A Cloud Map service.
pub trait Registry {
    /// `RegisterInstance`: makes or replaces the instance.
    async fn register(&self, endpoint: &Endpoint) -> Result<Submitted, CloudError>;

    /// `DeregisterInstance`: of a missing instance it is done already.
    async fn deregister(&self, request: &DeregisterInstance) -> Result<Submitted, CloudError>;

    /// `UpdateInstanceCustomHealthStatus`.
    async fn tell_health(&self, endpoint: &Endpoint) -> Result<(), CloudError>;

    /// `GetOperation`.
    async fn operation(&self, id: &str) -> Result<OperationStatus, CloudError>;

    /// `ListInstances`, every page.
    async fn instances(&self, service_id: &str) -> Result<Vec<Instance>, CloudError>;
}

/// What `DescribeTasks` said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DescribedTasks {
    /// The tasks that it knows.
    pub tasks: Vec<TaskStateChange>,
    /// The ARNs that it does not (`failures` with reason MISSING).
    pub missing: Vec<String>,
}

/// The tasks of a cluster.
pub trait Tasks {
    /// `ListTasks` of a service or family whose desired status is RUNNING, every page.
    async fn list_tasks(&self, target: &Target) -> Result<Vec<TaskArn>, CloudError>;

    /// `DescribeTasks`, 100 at a time.
    async fn describe_tasks(&self, cluster: &str, tasks: &[TaskArn]) -> Result<DescribedTasks, CloudError>;
}

/// Addresses that no event of a task carries.
pub trait Hosts {
    /// Where container instances are, by their ARN: `DescribeContainerInstances`, 100 at a time, then `DescribeInstances`
    /// of EC2, or `DescribeInstanceInformation` of Systems Manager for machines that are no EC2 instances. Absent are those
    /// that ECS does not know.
    async fn hosts(&self, cluster: &str, arns: &[String]) -> Result<BTreeMap<String, Host>, CloudError>;

    /// The public IPv4 addresses of network interfaces, by `eni-…`: `DescribeNetworkInterfaces`. Absent are those that have
    /// none or do not exist.
    async fn public_addresses(&self, interfaces: &[String]) -> Result<BTreeMap<String, String>, CloudError>;
}

/// Target groups.
pub trait TargetGroups {
    /// `RegisterTargets` of at most 100 targets; the same again changes nothing.
    async fn register_targets(&self, group: &str, targets: &[TargetDescription]) -> Result<(), CloudError>;

    /// `DeregisterTargets` of at most 100 targets; of a missing target it is done already.
    async fn deregister_targets(&self, group: &str, targets: &[TargetDescription]) -> Result<(), CloudError>;

    /// `DescribeTargetHealth` of every target of a group.
    async fn target_health(&self, group: &str) -> Result<Vec<TargetHealth>, CloudError>;

    /// `DescribeTargetGroups` by name; absent are those that do not exist.
    async fn target_groups(&self, names: &[String]) -> Result<BTreeMap<String, TargetGroup>, CloudError>;
}

/// What `UpdateService` changes: nothing else is ever sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceChange {
    /// The desired count.
    DesiredCount(u32),
    /// The task definition, by its ARN.
    TaskDefinition(String),
    /// What its volumes begin with, by all of its `volumeConfigurations`; and the task definition, where that changes too.
    Volumes {
        /// The task definition, by its ARN.
        task_definition: Option<String>,
        /// `volumeConfigurations`.
        configurations: Value,
    },
    /// The capacity provider strategy, in a new deployment: without one its tasks stay where they are.
    Strategy(Vec<StrategyItem>),
}

/// Services.
pub trait Services {
    /// `DescribeServices` of services of one cluster, 10 at a time; absent are those that ECS does not know.
    async fn describe_services(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, ServiceFacts>, CloudError>;

    /// `UpdateService`; the same again changes nothing.
    async fn update_service(&self, target: &Target, change: &ServiceChange) -> Result<(), CloudError>;
}

/// What became of a request to stop a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopping {
    /// ECS goes back to the revision before.
    Asked,
    /// It never will, with ECS's words: the deployment is over, unknown, or of a kind that cannot be stopped.
    Refused(String),
}

/// Deployments of services.
pub trait Deployments {
    /// `StopServiceDeployment` with `ROLLBACK`, by the ARN that `DescribeServices` names as `currentServiceDeployment`.
    async fn stop_service_deployment(&self, arn: &str) -> Result<Stopping, CloudError>;

    /// The ARNs of the task definitions that a service was sent to from that time on, deployments that are over included:
    /// `ListServiceDeployments`, and `DescribeServiceRevisions` of what they were to bring.
    async fn sent_to(&self, service: &Target, since: Timestamp) -> Result<Vec<String>, CloudError>;
}

/// What became of a request to move a follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// It runs the new revision from now on.
    Done,
    /// An AWS service manages the rule, and nobody else may: EventBridge's words.
    Managed(String),
}

/// What runs tasks on a schedule: targets of rules on the default event bus, where scheduled rules are, and schedules of
/// EventBridge Scheduler.
pub trait Followers {
    /// Those whose target is the cluster, each as AWS answers it: `ListRuleNamesByTarget` and `ListTargetsByRule`,
    /// `ListSchedules` and `GetSchedule`, every page.
    async fn followers(&self, cluster_arn: &str) -> Result<Vec<(Follower, Value)>, CloudError>;

    /// `PutTargets` or `UpdateSchedule`; the same again changes nothing.
    async fn move_follower(&self, to: &Move) -> Result<Moved, CloudError>;
}

/// An event of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// `detail-type`.
    pub detail_type: String,
    /// When it happened.
    pub at: Timestamp,
    /// The ARNs that it concerns.
    pub resources: Vec<String>,
    /// The rest.
    pub detail: Value,
}

/// The `source` of all our events.
pub const SOURCE: &str = "wharfinger";

/// The default event bus.
pub trait Bus {
    /// `PutEvents`, 10 at a time. A repeat puts them once more. An error when not every one was taken.
    async fn put_events(&self, notices: &[Notice]) -> Result<(), CloudError>;
}

/// Parameters of Systems Manager.
pub trait Parameters {
    /// `PutParameter` of a text, whatever was there; the same again makes another version of the same value.
    async fn put_parameter(&self, name: &str, value: &str) -> Result<(), CloudError>;

    /// `GetParameter`; `None` when it does not exist.
    async fn parameter(&self, name: &str) -> Result<Option<String>, CloudError>;
}

/// Task definitions, as raw JSON: a typed one loses the fields that its SDK does not know.
pub trait TaskDefinitions {
    /// `DescribeTaskDefinition` with tags; a family's name means its latest ACTIVE revision. `None` when there is none.
    async fn describe_task_definition(&self, name: &str) -> Result<Option<Value>, CloudError>;

    /// `RegisterTaskDefinition`: the answer's ARN. Not idempotent: a repeat makes another revision, used by nobody.
    async fn register_task_definition(&self, request: &Value) -> Result<String, CloudError>;
}

/// Alarms.
pub trait Alarms {
    /// `DescribeAlarms`, 100 at a time; absent are those that do not exist.
    async fn describe_alarms(&self, names: &[String]) -> Result<Vec<AlarmStateChange>, CloudError>;
}

/// Metrics.
pub trait Metrics {
    /// `GetMetricData` of what alarms watch, 500 metrics at a time: the newest datapoint whose period is over, by the
    /// alarm's name. Absent are those without one.
    async fn newest(
        &self,
        alarms: &BTreeMap<String, Vec<MetricQuery>>,
    ) -> Result<BTreeMap<String, Reading>, CloudError>;
}

/// How many messages a queue holds; SQS counts approximately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Those that wait.
    pub visible: u64,
    /// Those that were received and are not deleted yet.
    pub in_flight: u64,
}

/// Queues of this account and Region.
pub trait Queues {
    /// `GetQueueAttributes` of a queue by its name; `None` when it does not exist.
    async fn queue_depth(&self, name: &str) -> Result<Option<QueueDepth>, CloudError>;
}

/// What Application Auto Scaling moves.
pub trait Scalable {
    /// `DescribeScalableTargets`, 50 at a time: those of the services whose count it may move.
    async fn scalable_targets(&self, services: &[Target]) -> Result<BTreeSet<Target>, CloudError>;
}

/// A tag of a repository, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedImage {
    /// The tag.
    pub tag: String,
    /// The image that it names now.
    pub digest: Digest,
    /// When that image was pushed.
    pub pushed_at: Timestamp,
}

/// Images of this account's and Region's registry.
pub trait Images {
    /// `DescribeImages` of the tagged images of a repository, every page. `None` when the repository does not exist.
    async fn tagged_images(&self, repository: &str) -> Result<Option<Vec<TaggedImage>>, CloudError>;

    /// `DescribeImages` of one image.
    async fn image(&self, repository: &str, digest: &Digest) -> Result<ImageState, CloudError>;

    /// `BatchGetImage` of one image, or of one index. `None` when the registry does not have it.
    async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Manifest>, CloudError>;

    /// What the image runs on that has this configuration: `GetDownloadUrlForLayer`, and what is there. `None` when it does
    /// not say, or is not there.
    async fn platform(&self, repository: &str, configuration: &Digest) -> Result<Option<Platform>, CloudError>;

    /// `DescribeImageScanFindings` of one image, every page. An image that was never scanned has no status; one of a type
    /// that cannot be scanned has the status that says so. An index is not scanned: ask for each of its images
    /// ([`crate::images::scans`]).
    async fn image_scan(&self, repository: &str, digest: &Digest) -> Result<ImageScan, CloudError>;
}

/// A Cloud Map namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// `ns-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its services have DNS records.
    pub dns: bool,
}

/// The names of Cloud Map, for the command: looked up when the configuration is applied, never while an event waits
/// (`ListNamespaces` takes one call in two seconds: the rates that AWS's own Cloud Map controller assumes).
pub trait Names {
    /// `ListNamespaces`, every page.
    async fn namespaces(&self) -> Result<Vec<Namespace>, CloudError>;

    /// `ListServices` of a namespace, every page, by name.
    async fn registries(&self, namespace_id: &str) -> Result<BTreeMap<String, stored::Registry>, CloudError>;

    /// `GetService`, by id or ARN.
    async fn registry(&self, id: &str) -> Result<stored::Registry, CloudError>;

    /// `CreateHttpNamespace`, or `CreatePrivateDnsNamespace` in a VPC: the operation's id; the namespace is there when it is
    /// done.
    async fn create_namespace(&self, name: &str, vpc: Option<&str>) -> Result<Option<String>, CloudError>;

    /// `CreateService`: the service's id. Where the namespace has no DNS, the service has no records.
    async fn create_registry(&self, namespace: &Namespace, name: &str, making: &Making) -> Result<String, CloudError>;
}

/// Where ECS itself registers tasks, for the command.
pub trait Attachments {
    /// `DescribeServices` of services of one cluster, 10 at a time, by name; absent are those that are not there.
    async fn attached(&self, cluster: &str, names: &[String]) -> Result<BTreeMap<String, Attached>, CloudError>;
}

/// Repositories of this account's and Region's registry, for the command.
pub trait Repositories {
    /// `DescribeRepositories` of one: whether it is there.
    async fn has_repository(&self, name: &str) -> Result<bool, CloudError>;
}

/// What a function answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// This.
    Done(Value),
    /// It failed.
    Failed {
        /// `errorType`.
        kind: String,
        /// `errorMessage`.
        message: String,
    },
}

/// Functions, for the command.
pub trait Functions {
    /// `Invoke`, by name or ARN, and waits for the answer.
    async fn invoke(&self, function: &str, event: &Value) -> Result<Answered, CloudError>;
}
