//! What one push costs when hundreds of services take images of its repository: the function's own invocations, side by
//! side on the world in memory and by its time, until every service has proved the image.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::Fault;
use wharfinger_cloud::config::TARGET_ATTRIBUTE;
use wharfinger_cloud::table::{Item, TableName, text, to_attribute};
use wharfinger_cloud::world::{ACCOUNT, Caller, Change, Fate, Gates, Move, REGION, Shared, What, World, registry};
use wharfinger_core::config::Service;
use wharfinger_core::config::stored::StoredTarget;
use wharfinger_core::ids::{Digest, Target};
use wharfinger_delivery::{Attempt, Delivery};
use wharfinger_tests::lambda::story::schedule_event;
use wharfinger_tests::simulation::poll;

/// How many services there are.
pub(crate) const SERVICES: usize = 300;

/// How long each call takes.
pub(crate) const CALL: SignedDuration = SignedDuration::from_millis(20);

/// How long ECS takes for a deployment.
pub(crate) const DEPLOYMENT: SignedDuration = SignedDuration::from_secs(90);

/// The schedules, the functions' time-out and its tries, as in `template.yaml`.
const EACH_MINUTE: SignedDuration = SignedDuration::from_mins(1);
const OVER_ALL: SignedDuration = SignedDuration::from_mins(5);
const TIMEOUT: SignedDuration = SignedDuration::from_mins(1);

/// When all must be over: else something goes round in circles.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

const REPOSITORY: &str = "shop/web";

/// A bucket of ECS's: its operations, how many of them at once, and how many a second after that (ECS API reference,
/// "Request throttling").
pub(crate) type Bucket = (&'static [&'static str], f64, f64);

/// Those from which a push takes.
pub(crate) const BUCKETS: [Bucket; 4] = [
    (&["RegisterTaskDefinition"], 20.0, 1.0),
    (&["DescribeTaskDefinition"], 50.0, 20.0),
    (&["UpdateService"], 50.0, 5.0),
    (&["DescribeServices"], 100.0, 20.0),
];

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Did {
    /// When each call of an operation was made, from the push on.
    pub(crate) calls: BTreeMap<&'static str, Vec<SignedDuration>>,
    /// How many invocations there were, by what they were for.
    pub(crate) invocations: BTreeMap<&'static str, usize>,
    /// Those of every minute until the last service was sent to the image.
    pub(crate) passes: usize,
    /// Until then.
    pub(crate) sent: SignedDuration,
    /// Until every service has proved it.
    pub(crate) proved: SignedDuration,
}

impl Did {
    /// How many calls of an operation there were.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.calls.get(operation).map_or(0, Vec::len)
    }

    /// How many calls there were in all.
    pub(crate) fn all(&self) -> usize {
        self.calls.values().map(Vec::len).sum()
    }

    /// The most calls of an operation within any second.
    pub(crate) fn most_in_a_second(&self, operation: &str) -> usize {
        let times = self.calls.get(operation).map(Vec::as_slice).unwrap_or_default();
        let within = |at: &SignedDuration| {
            let second = SignedDuration::from_secs(1);
            times.iter().filter(|t| (*at..*at + second).contains(t)).count()
        };
        times.iter().map(within).max().unwrap_or_default()
    }

    /// How many calls of a bucket ECS would refuse, if nobody else called.
    pub(crate) fn refused(&self, (operations, burst, a_second): Bucket) -> usize {
        let mut times: Vec<_> = operations.iter().filter_map(|o| self.calls.get(o)).flatten().collect();
        times.sort();
        let (mut left, mut last, mut refused) = (burst, SignedDuration::ZERO, 0);
        for at in times {
            left = burst.min(left + (*at - last).as_secs_f64() * a_second);
            last = *at;
            if left < 1.0 {
                refused += 1;
            } else {
                left -= 1.0;
            }
        }
        refused
    }
}

/// A push to a repository of so many services.
pub(crate) fn push(services: usize) -> io::Result<Did> {
    let mut account = Account::new(services)?;
    account.run()?;
    Ok(account.did)
}

type Work = Pin<Box<dyn Future<Output = Result<(), Fault>>>>;

/// An invocation that runs.
struct Running {
    kind: &'static str,
    gates: Gates,
    /// When each call and each sleep is over.
    over: BTreeMap<u64, Timestamp>,
    deadline: Timestamp,
    process: Rc<Delivery>,
    work: Work,
}

/// Services that take images of one repository, and the function.
struct Account {
    world: Shared,
    targets: Vec<Target>,
    digest: Digest,
    began: Timestamp,
    running: Vec<Running>,
    /// The deployments that ECS carries out, in the order in which they end.
    deployments: VecDeque<(Timestamp, Target)>,
    /// How many changes were seen.
    seen: usize,
    /// The processes of the function that wait for an event: each remembers the configuration that it read.
    idle: Vec<Rc<Delivery>>,
    started: usize,
    minute: Timestamp,
    sweep: Timestamp,
    did: Did,
}

impl Account {
    fn new(services: usize) -> io::Result<Self> {
        let began = Timestamp::UNIX_EPOCH;
        let mut world = World::new(began);
        let targets: Vec<_> = (0..services)
            .map(|n| Target::service("prod", format!("s{n:04}")))
            .collect();
        for target in &targets {
            make(&mut world, target)?;
        }
        world.emitted.clear();
        let digest: Digest = format!("sha256:{:064x}", 1).parse().map_err(io::Error::other)?;
        world.push(REPOSITORY, "1.2.0", &digest);
        Ok(Self {
            world: world.shared(),
            targets,
            digest,
            began,
            running: Vec::new(),
            deployments: VecDeque::new(),
            seen: 0,
            idle: Vec::new(),
            started: 0,
            minute: began + EACH_MINUTE,
            sweep: began + OVER_ALL,
            did: Did::default(),
        })
    }

    fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            self.deliver();
            self.go_on()?;
            self.carry_out();
            if self.did.count("UpdateService") >= self.targets.len() && self.did.sent.is_zero() {
                self.did.sent = self.now().duration_since(self.began);
                self.did.passes = self.did.invocations.get(MINUTE).copied().unwrap_or_default();
            }
            let rests = self.running.is_empty() && self.deployments.is_empty();
            if rests && self.world.borrow().emitted.is_empty() && self.targets.iter().all(|target| self.is_on(target)) {
                self.did.proved = self.now().duration_since(self.began);
                return Ok(());
            }
            self.wait()?;
        }
    }

    /// Starts an invocation for each event of which the function hears.
    fn deliver(&mut self) {
        let events = std::mem::take(&mut self.world.borrow_mut().emitted);
        for event in events {
            match (event["detail-type"].as_str(), event["detail"]["eventName"].as_str()) {
                (Some("ECR Image Action"), _) => self.start("push", event),
                (_, Some("SERVICE_DEPLOYMENT_COMPLETED" | "SERVICE_DEPLOYMENT_FAILED")) => {
                    self.start("end of a deployment", event);
                }
                _ => {}
            }
        }
        let now = self.now();
        if now >= self.minute {
            self.minute += EACH_MINUTE;
            let mut event = schedule_event();
            event["detail"] = json!({ "only": "active" });
            self.start(MINUTE, event);
        }
        if now >= self.sweep {
            self.sweep += OVER_ALL;
            self.start("pass of 5 minutes", schedule_event());
        }
    }

    fn start(&mut self, kind: &'static str, event: Value) {
        *self.did.invocations.entry(kind).or_default() += 1;
        self.started += 1;
        let holder = format!("bench/{}", self.started);
        let (gates, deadline) = (Gates::default(), self.now() + TIMEOUT);
        let caller = Caller::gated(&self.world, &holder, gates.clone(), deadline, SignedDuration::ZERO);
        let process = self.idle.pop().unwrap_or_default();
        let function = Rc::clone(&process);
        let work = async move {
            let attempt = Attempt {
                holder,
                account: ACCOUNT.into(),
                region: REGION.into(),
            };
            Box::pin(function.on_event(&caller, &attempt, &event)).await
        };
        self.running.push(Running {
            kind,
            gates,
            over: BTreeMap::new(),
            deadline,
            process,
            work: Box::pin(work),
        });
    }

    /// Each invocation goes on as far as its calls let it.
    fn go_on(&mut self) -> io::Result<()> {
        let now = self.now();
        let mut still = Vec::new();
        for mut running in std::mem::take(&mut self.running) {
            for (id, _) in running.over.extract_if(.., |_, over| *over <= now) {
                running.gates.open(id, Fate::Fine);
            }
            if let Poll::Ready(done) = poll(running.work.as_mut()) {
                done.map_err(io::Error::other)?;
                self.idle.push(running.process);
                continue;
            }
            if now >= running.deadline {
                let what = format!("the {} did not end before Lambda ended it", running.kind);
                return Err(io::Error::other(what));
            }
            for stop in running.gates.stops() {
                running.over.entry(stop.id).or_insert_with(|| match stop.what {
                    What::Sleep(until) => until,
                    What::Call { operation, .. } => {
                        self.did
                            .calls
                            .entry(operation)
                            .or_default()
                            .push(now.duration_since(self.began));
                        now + CALL
                    }
                });
            }
            still.push(running);
        }
        self.running = still;
        Ok(())
    }

    /// The time goes on until something is over.
    fn wait(&mut self) -> io::Result<()> {
        let calls = self.running.iter().flat_map(|r| r.over.values().copied());
        let next = calls
            .chain(self.deployments.front().map(|(at, _)| *at))
            .chain([self.minute, self.sweep])
            .min()
            .unwrap_or(self.minute);
        if next > self.began + LONGEST {
            return Err(io::Error::other("the services are not on the image after an hour"));
        }
        let mut world = self.world.borrow_mut();
        world.now = world.now.max(next);
        let now = world.now;
        let over = |(at, _): &mut (Timestamp, Target)| *at <= now;
        while let Some((_, target)) = self.deployments.pop_front_if(over) {
            world.make(&Move::Complete(target));
        }
        Ok(())
    }

    /// ECS begins the deployments that it was asked for.
    fn carry_out(&mut self) {
        let world = self.world.borrow();
        for did in world.journal.iter().skip(self.seen) {
            if let Change::UpdateService { target, .. } = &did.change {
                self.deployments.push_back((world.now + DEPLOYMENT, target.clone()));
            }
        }
        self.seen = world.journal.len();
    }

    fn is_on(&self, target: &Target) -> bool {
        let world = self.world.borrow();
        let primary = world
            .services
            .get(target)
            .and_then(wharfinger_cloud::world::Service::primary);
        let containers = primary.map(|d| world.definitions.containers(&d.definition));
        containers.is_some_and(|all| all.iter().all(|(_, image)| image.ends_with(self.digest.as_str())))
    }
}

const MINUTE: &str = "pass of a minute";

/// A service of its own family, at rest, with the rule.
fn make(world: &mut World, target: &Target) -> io::Result<()> {
    let image = format!("{}/{REPOSITORY}:1.1.0", registry());
    let definition = json!({ "family": target.name, "containerDefinitions": [{ "name": "app", "image": image }] });
    let revision = world.define(&definition).map_err(io::Error::other)?;
    world.make_service(target, &revision, 0, false);
    world.make(&Move::Complete(target.clone()));
    let rule = json!({ "delivery": [{ "repository": REPOSITORY, "tags": { "semver": ">=1" } }] });
    let stored = StoredTarget::new(serde_json::from_value::<Service>(rule)?);
    let attribute = to_attribute("a target", &stored).map_err(io::Error::other)?;
    for partition in stored.partitions() {
        let mut item = Item::default();
        item.insert("pk".into(), text(partition));
        item.insert("sk".into(), text(target.key()));
        item.insert(TARGET_ATTRIBUTE.into(), attribute.clone());
        world.tables.put(TableName::Config, item);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_to_hundreds_of_services_keeps_below_what_ecs_takes() {
        let did = push(SERVICES);
        assert!(did.is_ok(), "{:?}", did.as_ref().err());
        let did = did.unwrap_or_default();
        print!("{}", crate::report::of_fanout(&did));
        for operation in ["RegisterTaskDefinition", "UpdateService"] {
            assert_eq!(did.count(operation), SERVICES, "{operation}");
            assert!(did.most_in_a_second(operation) <= 10, "{operation}");
        }
        for bucket in BUCKETS {
            // The push has every service looked at within seconds: what is refused of that, the SDK asks again.
            let most = if bucket.0.contains(&"DescribeTaskDefinition") {
                30
            } else {
                0
            };
            assert!(did.refused(bucket) <= most, "{bucket:?}: {}", did.refused(bucket));
        }
        // At once, and then one each 1.25 seconds: at the end of each pass some are left to the next.
        assert!(did.sent <= SignedDuration::from_secs(450), "{}", did.sent);
        assert!(did.passes <= 8, "{}", did.passes);
    }

    #[test]
    fn what_a_push_costs_grows_with_its_services() {
        let (few, many) = (push(SERVICES / 3), push(SERVICES));
        assert!(
            few.is_ok() && many.is_ok(),
            "{:?} {:?}",
            few.as_ref().err(),
            many.as_ref().err()
        );
        let (few, many) = (few.unwrap_or_default(), many.unwrap_or_default());
        for operation in many.calls.keys() {
            // Of a hundred more get their turn at once.
            let (calls, most) = (many.count(operation), 4 * few.count(operation));
            assert!(calls <= most, "{operation}: {calls} calls, at most {most}");
        }
    }
}
