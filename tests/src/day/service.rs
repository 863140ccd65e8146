//! The service: tasks that take a while to start, and a deployment.

use jiff::{SignedDuration, Timestamp};
use wharfinger_core::service::{DeploymentFacts, ServiceFacts};

/// How many minutes a task is PENDING: its image is pulled.
const PENDING: u32 = 1;

/// How many minutes a task runs before it takes load.
const WARMS: u32 = 2;

/// How busy a task is while it warms up.
const WARMING_CPU: f64 = 80.0;

/// How many minutes a deployment keeps the tasks of before beside those that took over.
const BAKES: u32 = 12;

/// How many minutes a deployment takes.
pub const DEPLOYMENT_LASTS: u32 = PENDING + WARMS + BAKES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Task {
    begun: u32,
    /// Whether the deployment in progress replaces it.
    outgoing: bool,
}

/// What a minute was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The tasks that took load.
    pub ready: u32,
    /// Those that are paid for: since they are begun.
    pub paid: u32,
    /// The load by the tasks that took it, in percent. Above 100 some of it was not served.
    pub demand: f64,
    /// What a ready task's CPU was, in percent: what the Metrics API of Kubernetes tells.
    pub cpu: f64,
    /// The mean CPU of all that run, ready or not, in percent: `CPUUtilization` of a service. `None` when none runs.
    pub mean: Option<f64>,
    /// What was not served, in tasks that would be busy all the time.
    pub unserved: f64,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    /// The count that it is to have.
    pub desired: u32,
    midnight: Timestamp,
    minute: u32,
    tasks: Vec<Task>,
    deployed: Option<u32>,
}

impl Service {
    /// A service whose tasks run since long ago: a minute is so long after `midnight`.
    pub fn new(desired: u32, midnight: Timestamp) -> Self {
        let mut service = Self {
            desired,
            midnight,
            // So that the tasks of the beginning are ready.
            minute: 0,
            tasks: Vec::new(),
            deployed: None,
        };
        service.fill();
        service.minute = PENDING + WARMS;
        service
    }

    /// Goes to a minute of the day.
    pub fn goes_to(&mut self, minute: u32) {
        self.minute = minute + PENDING + WARMS;
        if self.deployed.is_some_and(|at| self.minute - at >= DEPLOYMENT_LASTS) {
            self.deployed = None;
            self.tasks.retain(|task| !task.outgoing);
        }
    }

    /// Sets the count. Those that are not ready yet go first.
    pub fn set(&mut self, desired: u32) {
        self.desired = desired;
        self.fill();
    }

    /// Begins a deployment: as many tasks of the new revision, beside the old ones.
    pub fn deploy(&mut self) {
        self.deployed = Some(self.minute);
        for task in &mut self.tasks {
            task.outgoing = true;
        }
        self.fill();
    }

    fn fill(&mut self) {
        let (begun, desired) = (self.minute, self.desired as usize);
        let (mut staying, outgoing): (Vec<Task>, Vec<Task>) = self.tasks.iter().partition(|task| !task.outgoing);
        staying.sort_by_key(|task| task.begun);
        staying.resize(desired, Task { begun, outgoing: false });
        staying.extend(outgoing);
        self.tasks = staying;
    }

    fn older_than(&self, minutes: u32) -> u32 {
        let older = self.tasks.iter().filter(|task| self.minute - task.begun >= minutes);
        u32::try_from(older.count()).unwrap_or(u32::MAX)
    }

    /// How many take load.
    pub fn ready(&self) -> u32 {
        self.older_than(PENDING + WARMS)
    }

    /// How many there are, of both revisions, ready or not.
    pub fn all(&self) -> u32 {
        self.older_than(0)
    }

    /// Takes a minute's load.
    pub fn serves(&self, load: f64) -> Sample {
        let (ready, running) = (self.ready(), self.older_than(PENDING));
        let served = load.min(ready.into());
        let busy = served * 100.0 + f64::from(running - ready) * WARMING_CPU;
        Sample {
            ready,
            paid: self.all(),
            demand: 100.0 * load / f64::from(ready),
            cpu: 100.0 * served / f64::from(ready),
            mean: (running > 0).then(|| busy / f64::from(running)),
            unserved: load - served,
        }
    }

    /// What `DescribeServices` says.
    pub fn describe(&self) -> ServiceFacts {
        let running_count = self.older_than(PENDING);
        let deployment = |id: &str, status: &str, rollout: &str| DeploymentFacts {
            id: id.into(),
            status: status.into(),
            task_definition: id.into(),
            rollout_state: Some(rollout.into()),
            created_at: self.deployed.map(|at| self.begun(at)),
            ..DeploymentFacts::default()
        };
        ServiceFacts {
            service_arn: String::new(),
            status: "ACTIVE".into(),
            desired_count: self.desired,
            running_count,
            pending_count: self.all() - running_count,
            task_definition: String::new(),
            deployment_controller: "ECS".into(),
            deployments: if self.deployed.is_some() {
                vec![
                    deployment("ecs-svc/2", "PRIMARY", "IN_PROGRESS"),
                    deployment("ecs-svc/1", "ACTIVE", "COMPLETED"),
                ]
            } else {
                vec![deployment("ecs-svc/1", "PRIMARY", "COMPLETED")]
            },
            ..ServiceFacts::default()
        }
    }

    fn begun(&self, minute: u32) -> Timestamp {
        let since = SignedDuration::from_mins(i64::from(minute) - i64::from(PENDING + WARMS));
        self.midnight.saturating_add(since).unwrap_or(self.midnight)
    }
}
