//! What the passes of scaling cost in a large account: the function's own, on an AWS that counts pages.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::config::TARGET_ATTRIBUTE;
use wharfinger_cloud::error::CloudError;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::ports::{Alarms, Clock, Metrics, QueueDepth, Queues, Scalable, ServiceChange, Services};
use wharfinger_cloud::table::{
    AttributeValue, Item, Key, Table, TableName, Transacted, Update, Updated, Write, text, to_attribute,
};
use wharfinger_cloud::world::{Caller, Shared, World};
use wharfinger_core::config::Service;
use wharfinger_core::config::stored::StoredTarget;
use wharfinger_core::event::{AlarmState, AlarmStateChange, AlarmValue, MetricQuery, Reading};
use wharfinger_core::ids::Target;
use wharfinger_core::scaling::{Bounds, Memory};
use wharfinger_core::service::ServiceFacts;
use wharfinger_scaling::Scaling;
use wharfinger_scaling::observe::MEMORY;
use wharfinger_tests::lambda::story::schedule_event;

/// How many services there are.
pub(crate) const SERVICES: usize = 2_000;

/// How many of them have an alarm that stays in ALARM.
pub(crate) const ACTIVE: [usize; 3] = [0, 20, 200];

/// The pass of every minute, and that of every five.
const EACH_MINUTE: SignedDuration = SignedDuration::from_mins(1);
const OVER_ALL: SignedDuration = SignedDuration::from_mins(5);

/// How many passes over all find something new: the first one of each.
const FIRST_PASSES: usize = 2;

/// The least number of tasks of each.
const MIN: u32 = 2;

/// The tasks of each: as many as there may be, so that an alarm that stays changes nothing.
const TASKS: u32 = 4;

/// What a pass did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Did {
    /// How often each operation was called.
    pub(crate) calls: BTreeMap<&'static str, usize>,
    /// The time of a processor, with what this AWS takes.
    pub(crate) cpu: Duration,
    /// How much more memory it took at its peak than before it, in kilobytes, with what this AWS answered.
    pub(crate) memory: u64,
}

/// A pass of every minute and one over all, with so many active services of so many.
pub(crate) fn passes(services: usize, active: usize) -> io::Result<[Did; 2]> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (account, function) = (Account::new(services, active)?, Scaling::default());
    let pass = |after: SignedDuration, detail: Value| -> io::Result<Did> {
        account.wait(after);
        let mut event = schedule_event();
        event["detail"] = detail;
        // From here on the peak counts (proc(5), `clear_refs`).
        fs::write("/proc/self/clear_refs", "5")?;
        let (began, held) = (cpu()?, kilobytes("VmRSS")?);
        let done = runtime.block_on(Box::pin(function.on_event(&account, "bench/1", &event)));
        done.map_err(|fault| io::Error::other(fault.to_string()))?;
        let cpu = cpu()?.saturating_sub(began);
        Ok(Did {
            calls: account.calls.take(),
            cpu,
            memory: kilobytes("VmHWM")?.saturating_sub(held),
        })
    };
    for _ in 0..FIRST_PASSES {
        pass(OVER_ALL, json!({}))?;
    }
    Ok([
        pass(EACH_MINUTE, json!({ "only": "active" }))?,
        pass(OVER_ALL, json!({}))?,
    ])
}

/// A column of the report: how many services are active, which pass it is, and what it did.
pub(crate) type Column = (usize, &'static str, Did);

/// Every column of the report.
pub(crate) fn all() -> io::Result<Vec<Column>> {
    let mut columns = Vec::new();
    for active in ACTIVE {
        let done = passes(SERVICES, active)?;
        let named = ["minute", "5 minutes"].into_iter().zip(done);
        columns.extend(named.map(|(pass, did)| (active, pass, did)));
    }
    Ok(columns)
}

/// The time of a processor that this thread has had (proc(5), `schedstat`).
fn cpu() -> io::Result<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = told.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| io::Error::other(format!("/proc/thread-self/schedstat says {told:?}")))
}

/// What `/proc/self/status` says of the memory of this process.
fn kilobytes(field: &str) -> io::Result<u64> {
    let told = fs::read_to_string("/proc/self/status")?;
    let mut lines = told
        .lines()
        .filter_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = lines
        .next()
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("/proc/self/status does not say {field}")))
}

/// Services with three alarms each.
struct Account {
    world: Shared,
    tables: Caller,
    active: usize,
    calls: RefCell<BTreeMap<&'static str, usize>>,
}

fn configured(n: usize) -> Value {
    json!({ "scaling": {
        "min": MIN, "max": TASKS,
        "rules": [
            { "alarm": format!("cpu-{n}"), "target": 60 },
            { "alarm": format!("slow-{n}"), "steps": [{ "from": 0, "add": 1 }] },
            { "alarm": format!("idle-{n}"), "add": -1 },
        ],
    } })
}

fn item(key: &Key, name: &str, attribute: AttributeValue) -> Item {
    let mut item = Item::default();
    item.insert("pk".into(), text(key.pk.clone()));
    item.insert("sk".into(), text(key.sk.clone()));
    item.insert(name.into(), attribute);
    item
}

fn unstorable(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl Account {
    fn new(services: usize, active: usize) -> io::Result<Self> {
        let mut world = World::new(Timestamp::UNIX_EPOCH);
        for n in 0..services {
            let target = Target::service("prod", format!("s{n}"));
            let stored = StoredTarget::new(serde_json::from_value::<Service>(configured(n))?);
            let attribute = to_attribute("a target", &stored).map_err(unstorable)?;
            for partition in stored.partitions() {
                let key = Key::new(partition, target.key());
                world
                    .tables
                    .put(TableName::Config, item(&key, TARGET_ATTRIBUTE, attribute.clone()));
            }
            let seen = Memory {
                bounds: Some(Bounds { min: MIN, max: TASKS }),
                ..Memory::default()
            };
            let seen = to_attribute("the memory of scaling", &seen).map_err(unstorable)?;
            world
                .tables
                .put(TableName::State, item(&service_key(&target), MEMORY, seen));
        }
        let world = world.shared();
        Ok(Self {
            tables: Caller::direct(&world, "bench"),
            world,
            active,
            calls: RefCell::default(),
        })
    }

    fn wait(&self, time: SignedDuration) {
        self.world.borrow_mut().now += time;
    }

    /// So many things, so many at a time.
    fn did(&self, operation: &'static str, things: usize, at_once: usize) {
        if things > 0 {
            *self.calls.borrow_mut().entry(operation).or_default() += things.div_ceil(at_once);
        }
    }

    fn alarm(&self, name: &str) -> Option<AlarmStateChange> {
        let (kind, n) = name.split_once('-')?;
        let stays = kind == "slow" && n.parse::<usize>().ok()? < self.active;
        let threshold = 70.0;
        let value = if stays { AlarmValue::Alarm } else { AlarmValue::Ok };
        Some(AlarmStateChange {
            alarm_name: name.to_owned(),
            state: AlarmState {
                value,
                timestamp: Timestamp::UNIX_EPOCH,
                reading: Some(Reading {
                    value: 75.0,
                    threshold: Some(threshold),
                    at: Some(Timestamp::UNIX_EPOCH),
                    period: Some(60),
                }),
                triggering: Vec::new(),
                muted: false,
                muted_until: None,
            },
            threshold: Some(threshold),
            watches: vec![MetricQuery {
                id: "m".into(),
                metric: None,
                expression: Some("CPU".into()),
                period: 60,
                returned: true,
                account_id: None,
            }],
        })
    }
}

impl Services for Account {
    async fn describe_services(&self, _: &str, names: &[String]) -> Result<BTreeMap<String, ServiceFacts>, CloudError> {
        self.did("DescribeServices", names.len(), 10);
        let described = json!({
            "serviceArn": "a", "status": "ACTIVE", "taskDefinition": "web:1",
            "desiredCount": TASKS, "runningCount": TASKS, "pendingCount": 0,
            "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "rolloutState": "COMPLETED" }],
        });
        let one = |name: &String| Some((name.clone(), ServiceFacts::parse(&described)?));
        Ok(names.iter().filter_map(one).collect())
    }

    async fn update_service(&self, _: &Target, _: &ServiceChange) -> Result<(), CloudError> {
        self.did("UpdateService", 1, 1);
        Ok(())
    }
}

impl Alarms for Account {
    async fn describe_alarms(&self, names: &[String]) -> Result<Vec<AlarmStateChange>, CloudError> {
        self.did("DescribeAlarms", names.len(), 100);
        Ok(names.iter().filter_map(|name| self.alarm(name)).collect())
    }
}

impl Metrics for Account {
    async fn newest(
        &self,
        alarms: &BTreeMap<String, Vec<MetricQuery>>,
    ) -> Result<BTreeMap<String, Reading>, CloudError> {
        self.did("GetMetricData", alarms.values().map(Vec::len).sum(), 500);
        let now = self.now();
        let reading = |name: &String| {
            let value = if name.contains("cpu-") { 60.0 } else { 75.0 };
            let newest = Reading {
                value,
                threshold: None,
                at: Some(now - EACH_MINUTE * 2),
                period: Some(60),
            };
            (name.clone(), newest)
        };
        Ok(alarms.keys().map(reading).collect())
    }
}

impl Queues for Account {
    async fn queue_depth(&self, _: &str) -> Result<Option<QueueDepth>, CloudError> {
        self.did("GetQueueAttributes", 1, 1);
        Ok(None)
    }
}

impl Scalable for Account {
    async fn scalable_targets(&self, services: &[Target]) -> Result<BTreeSet<Target>, CloudError> {
        self.did("DescribeScalableTargets", services.len(), 50);
        Ok(BTreeSet::new())
    }
}

impl Clock for Account {
    fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    async fn sleep(&self, duration: Duration) {
        self.tables.sleep(duration).await;
    }

    fn remaining(&self) -> Duration {
        Duration::from_mins(1)
    }
}

impl Table for Account {
    async fn get(&self, table: TableName, key: &Key) -> Result<Option<Item>, CloudError> {
        self.did("GetItem", 1, 1);
        self.tables.get(table, key).await
    }

    async fn get_all(&self, table: TableName, keys: &[Key]) -> Result<Vec<Item>, CloudError> {
        self.did("BatchGetItem", keys.len(), 100);
        self.tables.get_all(table, keys).await
    }

    /// A page is 1 MB; an item here is at most 1 KB.
    async fn query(&self, table: TableName, pk: &str) -> Result<Vec<Item>, CloudError> {
        let found = self.tables.query(table, pk).await?;
        self.did("Query", found.len().max(1), 1_000);
        Ok(found)
    }

    async fn update(&self, table: TableName, update: Update) -> Result<Updated, CloudError> {
        self.did("UpdateItem", 1, 1);
        self.tables.update(table, update).await
    }

    async fn put(&self, table: TableName, item: Item) -> Result<(), CloudError> {
        self.did("PutItem", 1, 1);
        self.tables.put(table, item).await
    }

    async fn transact(&self, table: TableName, writes: Vec<Write>) -> Result<Transacted, CloudError> {
        self.did("TransactWriteItems", 1, 1);
        self.tables.transact(table, writes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(services: usize, active: usize) -> BTreeMap<&'static str, usize> {
        let done = passes(services, active);
        assert!(done.is_ok(), "{done:?}");
        done.map(|[each_minute, _]| each_minute.calls).unwrap_or_default()
    }

    #[test]
    fn the_pass_of_a_minute_costs_what_the_active_services_do() {
        let columns = all();
        assert!(columns.is_ok(), "{columns:?}");
        let columns = columns.unwrap_or_default();
        print!("{}", crate::report::of_passes(&columns));
        let each_minute = columns
            .into_iter()
            .step_by(2)
            .map(|(active, _, did)| (active, did.calls));
        let each_minute: BTreeMap<_, _> = each_minute.collect();
        let once = ["GetItem", "Query", "UpdateItem"].map(|operation| (operation, 1));
        assert_eq!(each_minute[&0], BTreeMap::from(once));
        for active in [20, 200] {
            let many = each_minute[&active].clone();
            let few = calls(2 * active, active);
            assert_eq!(few, many, "{active} active");
            // No service is written on, and each operation takes the most at once that AWS lets it.
            let pages = |at_once: usize, each: usize| (active * each).div_ceil(at_once);
            for (operation, n) in many {
                let most = match operation {
                    // The set, and how the last pass ended.
                    "Query" | "GetItem" | "UpdateItem" => 1,
                    "DescribeAlarms" => pages(100, 3),
                    "GetMetricData" => pages(500, 3),
                    "DescribeServices" => pages(10, 1),
                    "DescribeScalableTargets" => pages(50, 1),
                    // The configuration, what is remembered, and what mutes the alarms that stay.
                    "BatchGetItem" => 3 * pages(100, 1),
                    _ => 0,
                };
                assert!(n <= most, "{active} active: {n} {operation}, at most {most}");
            }
        }
    }
}
