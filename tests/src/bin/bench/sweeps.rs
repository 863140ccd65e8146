//! How many calls a sweep makes over a large account in which all is as it should be: the functions' own sweeps, on an AWS
//! that counts pages.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_balancing::Balancing;
use wharfinger_cloud::config::TARGET_ATTRIBUTE;
use wharfinger_cloud::error::CloudError;
use wharfinger_cloud::ports::{
    Attempt, Clock, DescribedTasks, DrainingInstances, Hosts, Instance, OperationStatus, Registry, Submitted,
    TargetGroups, Tasks,
};
use wharfinger_cloud::table::{Item, Key, Table, TableName, Transacted, Update, Updated, Write, text, to_attribute};
use wharfinger_cloud::world::{Caller, World};
use wharfinger_core::balancing::{Membership, TargetDescription, TargetGroup, TargetHealth};
use wharfinger_core::capacity::ContainerInstance;
use wharfinger_core::config::Service;
use wharfinger_core::config::stored::{Managed, StoredTarget};
use wharfinger_core::discovery::{DeregisterInstance, Endpoint};
use wharfinger_core::endpoint::{Facts, Host, Member, Wanted, wanted};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::{Target, TaskArn};
use wharfinger_discovery::Discovery;
use wharfinger_endpoints::claims;
use wharfinger_tests::lambda::OWNER;
use wharfinger_tests::lambda::story::{schedule_event, task};

/// How many services there are.
pub(crate) const SERVICES: usize = 50;
/// How many tasks each has.
pub(crate) const TASKS_EACH: usize = 100;

/// What one page of `ListTasks` and `ListInstances` holds, and one `DescribeTasks` takes (ECS and Cloud Map API
/// references).
const PAGE: usize = 100;

/// An operation, how often a sweep called it, and how often its pages require it.
pub(crate) type Count = (&'static str, usize, usize);

/// The calls of one sweep of each function.
pub(crate) fn count() -> io::Result<Vec<(&'static str, Vec<Count>)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (fleet, sweep) = (Fleet::new()?, schedule_event());
    let must = |operation| match operation {
        "ListTasks" | "ListInstances" | "DescribeTasks" => SERVICES * TASKS_EACH.div_ceil(PAGE),
        "DescribeTargetHealth" => SERVICES,
        // What the tables cost is not a matter of pages.
        _ => 0,
    };
    let counted = |fleet: &Fleet| -> Vec<Count> {
        let calls = fleet.calls.take().into_iter();
        calls.map(|(operation, n)| (operation, n, must(operation))).collect()
    };
    let failed = |error: wharfinger_cloud::Fault| io::Error::other(error.to_string());
    let discovery = Discovery::new(OWNER);
    let found = runtime.block_on(discovery.on_event(&fleet, &sweep)).map_err(failed)?;
    let discovery = as_it_should_be(&found).map(|()| counted(&fleet))?;
    let prepare = async {
        fleet.claim().await?;
        Box::pin(Balancing::new(OWNER).on_event(&fleet, &sweep)).await
    };
    let found = runtime.block_on(prepare).map_err(failed)?;
    let balancing = as_it_should_be(&found).map(|()| counted(&fleet))?;
    Ok(vec![("discovery", discovery), ("balancing", balancing)])
}

fn as_it_should_be(found: &Value) -> io::Result<()> {
    let right = found["tasks"] == SERVICES * TASKS_EACH && found["missing"] == 0 && found["ghosts"] == 0;
    right
        .then_some(())
        .ok_or_else(|| io::Error::other(format!("the sweep found {found}")))
}

/// Services whose tasks are all registered.
struct Fleet {
    tables: Caller,
    calls: RefCell<BTreeMap<&'static str, usize>>,
    services: Vec<Running>,
}

/// A service with its tasks.
struct Running {
    managed: Managed,
    tasks: Vec<TaskStateChange>,
}

impl Fleet {
    fn new() -> io::Result<Self> {
        let mut world = World::new(Timestamp::UNIX_EPOCH);
        let mut services = Vec::new();
        for n in 0..SERVICES {
            let config = json!({
                "discovery": [{ "to": format!("srv-{n:016}"), "port": 8080 }],
                "balancing": [{ "target-group": group(n), "port": 8080 }],
            });
            let target = Target::service("prod", format!("s{n}"));
            let stored = StoredTarget::new(serde_json::from_value::<Service>(config)?);
            let attribute = to_attribute("a target", &stored).map_err(|e| io::Error::other(e.to_string()))?;
            for partition in stored.partitions() {
                let mut item = Item::default();
                item.insert("pk".into(), text(partition));
                item.insert("sk".into(), text(target.key()));
                item.insert(TARGET_ATTRIBUTE.into(), attribute.clone());
                world.tables.put(TableName::Config, item);
            }
            let described = (0..TASKS_EACH).map(|n| task(&target.name, &id(&target, n), 3, "RUNNING", "RUNNING"));
            let tasks = described.filter_map(|task| TaskStateChange::from_describe_tasks(&task).ok());
            services.push(Running {
                tasks: tasks.collect(),
                managed: Managed { target, stored },
            });
        }
        Ok(Self {
            tables: Caller::direct(&world.shared(), "bench"),
            calls: RefCell::default(),
            services,
        })
    }

    fn did(&self, operation: &'static str, calls: usize) {
        *self.calls.borrow_mut().entry(operation).or_default() += calls;
    }

    fn pages(&self, operation: &'static str, listed: usize) {
        self.did(operation, listed.div_ceil(PAGE).max(1));
    }

    /// What is registered of one kind in a collection.
    fn members<M: Member>(&self, collection: &str) -> Vec<M> {
        let services = self.services.iter().filter(|service| {
            let stored = &service.managed.stored;
            let mut entries = M::entries(&stored.config).iter();
            entries.any(|entry| M::collection(stored, entry).is_ok_and(|id| id == collection))
        });
        services.flat_map(registered).collect()
    }

    /// What the events of the tasks have left in the state table.
    async fn claim(&self) -> Result<(), wharfinger_cloud::Fault> {
        for service in &self.services {
            for (task, member) in service.tasks.iter().zip(registered::<Membership>(service)) {
                claims::claim(&self.tables, task, &[member]).await?;
            }
        }
        Ok(())
    }
}

/// What is registered for the tasks of a service: what its configuration asks for.
fn registered<M: Member>(service: &Running) -> Vec<M> {
    let of = |task: &TaskStateChange| wanted(&Facts::<M>::of(service.managed.clone(), task.clone(), OWNER));
    let all = service.tasks.iter().flat_map(of);
    all.filter_map(|answer| match answer {
        Wanted::Member(member) => Some(member),
        Wanted::Needs(..) | Wanted::Nothing(_) => None,
    })
    .collect()
}

fn group(n: usize) -> String {
    format!("arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/s{n}/{n:016x}")
}

fn id(target: &Target, n: usize) -> String {
    format!("{}x{n:028}", target.name)
}

impl Tasks for Fleet {
    async fn list_tasks(&self, target: &Target) -> Result<Vec<TaskArn>, CloudError> {
        let service = self.services.iter().filter(|service| service.managed.target == *target);
        let tasks = service.flat_map(|service| &service.tasks);
        let arns: Vec<_> = tasks.map(|task| task.task_arn.clone()).collect();
        self.pages("ListTasks", arns.len());
        Ok(arns)
    }

    async fn describe_tasks(&self, _: &str, wanted: &[TaskArn]) -> Result<DescribedTasks, CloudError> {
        self.pages("DescribeTasks", wanted.len());
        let all = self.services.iter().flat_map(|service| &service.tasks);
        let wanted: BTreeSet<_> = wanted.iter().map(TaskArn::as_str).collect();
        Ok(DescribedTasks {
            tasks: all
                .filter(|task| wanted.contains(task.task_arn.as_str()))
                .cloned()
                .collect(),
            missing: Vec::new(),
        })
    }
}

impl Registry for Fleet {
    async fn register(&self, _: &Endpoint) -> Result<Submitted, CloudError> {
        self.did("RegisterInstance", 1);
        Ok(Submitted::Operation(None))
    }

    async fn deregister(&self, _: &DeregisterInstance) -> Result<Submitted, CloudError> {
        self.did("DeregisterInstance", 1);
        Ok(Submitted::Absent)
    }

    async fn tell_health(&self, _: &Endpoint) -> Result<(), CloudError> {
        self.did("UpdateInstanceCustomHealthStatus", 1);
        Ok(())
    }

    async fn operation(&self, _: &str) -> Result<OperationStatus, CloudError> {
        Ok(OperationStatus::Done)
    }

    async fn instances(&self, service_id: &str) -> Result<Vec<Instance>, CloudError> {
        let instances: Vec<_> = self.members::<Endpoint>(service_id);
        self.pages("ListInstances", instances.len());
        let shown = instances.into_iter().map(|endpoint| Instance {
            id: endpoint.instance_id,
            attributes: endpoint.attributes,
        });
        Ok(shown.collect())
    }
}

impl TargetGroups for Fleet {
    async fn register_targets(&self, _: &str, _: &[TargetDescription]) -> Result<(), CloudError> {
        self.did("RegisterTargets", 1);
        Ok(())
    }

    async fn deregister_targets(&self, _: &str, _: &[TargetDescription]) -> Result<(), CloudError> {
        self.did("DeregisterTargets", 1);
        Ok(())
    }

    async fn target_health(&self, group: &str) -> Result<Vec<TargetHealth>, CloudError> {
        // It has no pages.
        self.did("DescribeTargetHealth", 1);
        let health = |member: Membership| TargetHealth {
            target: member.target,
            state: "healthy".into(),
        };
        Ok(self.members(group).into_iter().map(health).collect())
    }

    async fn target_groups(&self, _: &[String]) -> Result<BTreeMap<String, TargetGroup>, CloudError> {
        Ok(BTreeMap::new())
    }
}

impl Hosts for Fleet {
    async fn hosts(&self, _: &str, _: &[String]) -> Result<BTreeMap<String, Host>, CloudError> {
        self.did("DescribeContainerInstances", 1);
        Ok(BTreeMap::new())
    }

    async fn public_addresses(&self, _: &[String]) -> Result<BTreeMap<String, String>, CloudError> {
        self.did("DescribeNetworkInterfaces", 1);
        Ok(BTreeMap::new())
    }
}

impl DrainingInstances for Fleet {
    async fn draining(&self, _: &str) -> Result<Vec<String>, CloudError> {
        self.did("ListContainerInstances", 1);
        Ok(Vec::new())
    }

    async fn describe_container_instances(&self, _: &str, _: &[String]) -> Result<Vec<ContainerInstance>, CloudError> {
        self.did("DescribeContainerInstances", 1);
        Ok(Vec::new())
    }

    async fn tasks_on(&self, _: &str, _: &str) -> Result<Vec<TaskArn>, CloudError> {
        self.did("ListTasks", 1);
        Ok(Vec::new())
    }
}

impl Attempt for Fleet {
    fn attempt(&self) -> String {
        self.tables.attempt()
    }
}

impl Clock for Fleet {
    fn now(&self) -> Timestamp {
        self.tables.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.tables.sleep(duration).await;
    }

    fn remaining(&self) -> Duration {
        self.tables.remaining()
    }
}

impl Table for Fleet {
    async fn get(&self, table: TableName, key: &Key) -> Result<Option<Item>, CloudError> {
        self.did("GetItem", 1);
        self.tables.get(table, key).await
    }

    async fn get_all(&self, table: TableName, keys: &[Key]) -> Result<Vec<Item>, CloudError> {
        self.did("BatchGetItem", keys.len().div_ceil(100));
        self.tables.get_all(table, keys).await
    }

    /// A partition here is far smaller than a page of 1 MB.
    async fn query(&self, table: TableName, pk: &str) -> Result<Vec<Item>, CloudError> {
        self.did("Query", 1);
        self.tables.query(table, pk).await
    }

    async fn update(&self, table: TableName, update: Update) -> Result<Updated, CloudError> {
        self.did("UpdateItem", 1);
        self.tables.update(table, update).await
    }

    async fn put(&self, table: TableName, item: Item) -> Result<(), CloudError> {
        self.did("PutItem", 1);
        self.tables.put(table, item).await
    }

    async fn transact(&self, table: TableName, writes: Vec<Write>) -> Result<Transacted, CloudError> {
        self.did("TransactWriteItems", 1);
        self.tables.transact(table, writes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_makes_no_more_calls_than_pages_require() {
        let counted = count();
        assert!(counted.is_ok(), "{counted:?}");
        for (function, counts) in counted.unwrap_or_default() {
            for (operation, calls, must) in counts {
                // Besides: the targets, what is noted, the version of the configuration, the pass itself, and of balancing
                // the claims in each group.
                let most = if must > 0 { must } else { SERVICES + 2 };
                assert!(calls <= most, "{function}: {calls} {operation}");
            }
        }
    }
}
