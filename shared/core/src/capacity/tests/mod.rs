#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
#![expect(clippy::needless_pass_by_value, reason = "the cases read better so")]

mod causes;
mod dead;
mod drains;
mod properties;
mod returns;
mod standing;
mod unknown;

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::Expect;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::event::Event;
use crate::ids::Target;
use crate::known::Known;
use crate::report::Effect;

/// A time, in seconds from the beginning of the story.
fn at(second: i64) -> Timestamp {
    let begin: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    begin + SignedDuration::from_secs(second)
}

fn arn(id: &str) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/{id}")
}

/// A story about the cluster `prod`.
#[derive(Clone)]
struct Scene {
    facts: Facts,
}

impl Scene {
    fn new(capacity: Value) -> Self {
        let capacity = serde_json::from_value(capacity).unwrap();
        let mut facts = Facts::new(Target::of_cluster("prod"), capacity);
        facts.instances = Known::Yes(BTreeMap::new());
        facts.scaling = Known::Yes(BTreeMap::new());
        Self { facts }
    }

    /// The group `web` waits with `i-1`, which has so many tasks.
    fn waits(status: &str, tasks: u32) -> Self {
        Self::new(json!({}))
            .has("i-1", status, tasks)
            .grouped("i-1", "Terminating:Wait")
            .hears(&hook("i-1", 0))
    }

    /// Looks at the whole cluster.
    fn whole(mut self) -> Self {
        self.facts.whole = true;
        self
    }

    fn instances(&mut self) -> &mut BTreeMap<String, ContainerInstance> {
        match &mut self.facts.instances {
            Known::Yes(instances) => instances,
            Known::No => panic!("they are known"),
        }
    }

    fn scaling(&mut self) -> &mut BTreeMap<String, AutoScalingInstance> {
        match &mut self.facts.scaling {
            Known::Yes(scaling) => scaling,
            Known::No => panic!("it is known"),
        }
    }

    /// A container instance with so many tasks.
    fn has(mut self, id: &str, status: &str, tasks: u32) -> Self {
        let instance = json!({
            "containerInstanceArn": arn(id), "ec2InstanceId": id, "status": status, "agentConnected": true,
            "runningTasksCount": tasks, "pendingTasksCount": 0,
        });
        self.instances()
            .insert(id.into(), ContainerInstance::parse(&instance).unwrap());
        self
    }

    /// Tasks on it are stopping.
    fn leaving(mut self, id: &str, tasks: u32) -> Self {
        self.facts.leaving = Known::Yes(BTreeMap::from([(arn(id), tasks)]));
        self
    }

    fn silent(mut self, id: &str) -> Self {
        self.instances().get_mut(id).unwrap().agent_connected = false;
        self
    }

    /// ECS counts its changes.
    fn version(mut self, id: &str, version: i64) -> Self {
        self.instances().get_mut(id).unwrap().version = version;
        self
    }

    /// What its group says of it.
    fn grouped(mut self, id: &str, state: &str) -> Self {
        let scaling = AutoScalingInstance {
            instance_id: id.into(),
            group: "web".into(),
            lifecycle_state: state.into(),
            health_status: "HEALTHY".into(),
        };
        self.scaling().insert(id.into(), scaling);
        self
    }

    /// An event is merged.
    fn hears(mut self, event: &Event) -> Self {
        for (id, causes) in Causes::of_event(event, at(0)) {
            self.facts.going.entry(id).or_default().causes.merge(causes);
        }
        self
    }

    fn did(mut self, id: &str, did: impl FnOnce(&mut Did)) -> Self {
        did(&mut self.facts.going.entry(id.to_owned()).or_default().did);
        self
    }

    fn decide(&self, second: i64) -> Decided {
        decide(&self.facts, at(second))
    }

    /// What is decided then.
    #[track_caller]
    fn check(&self, second: i64, expected: Expect) {
        expected.assert_eq(&told(&self.decide(second)));
    }

    /// `i-1` is empty then: its hook `drain` is completed, and that is stored.
    #[track_caller]
    fn goes_on(self, second: i64) -> Self {
        let decided = self.decide(second);
        let reasons = &decided.decision.reasons;
        assert_eq!(reasons[0].message, "i-1: no task is left on it: web goes on (drain)");
        let [Action::CompleteLifecycleAction(waiting)] = &decided.decision.actions[..] else {
            panic!("{}", told(&decided));
        };
        assert_eq!(
            (waiting.instance.as_str(), waiting.token.as_deref()),
            ("i-1", Some("drain-i-1-0"))
        );
        self.store(decided)
    }

    fn store(mut self, decided: Decided) -> Self {
        for (id, did) in decided.after {
            self.facts.going.entry(id).or_default().did = did;
        }
        self
    }

    /// What is decided then, and the same scene once it was stored.
    #[track_caller]
    fn stored(self, second: i64, expected: Expect) -> Self {
        let decided = self.decide(second);
        expected.assert_eq(&told(&decided));
        self.store(decided)
    }
}

/// A decision for people: the outcome, the calls with what matters of their inputs, the reasons.
fn told(decided: &Decided) -> String {
    let mut told = format!(
        "{:?}{}\n",
        decided.decision.outcome,
        if decided.busy { ", busy" } else { "" }
    );
    for action in &decided.decision.actions {
        let input = action.input();
        let short = match action {
            Action::UpdateContainerInstancesState { .. } => {
                let arns = input["containerInstances"].as_array().unwrap();
                let ids: Vec<_> = arns
                    .iter()
                    .map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap())
                    .collect();
                format!("{} {}", input["status"].as_str().unwrap(), ids.join(" "))
            }
            _ => input.to_string(),
        };
        writeln!(told, "  {} {short}", action.call()).unwrap();
    }
    for reason in &decided.decision.reasons {
        writeln!(told, "{}: {}", reason.code, reason.message).unwrap();
    }
    if !decided.decision.missing.is_empty() {
        writeln!(told, "missing {}", decided.decision.missing.join(", ")).unwrap();
    }
    told
}

fn event(source: &str, kind: &str, second: i64, detail: Value) -> Event {
    let json = json!({
        "source": source, "detail-type": kind, "time": at(second).to_string(), "id": "e", "resources": [], "detail": detail,
    });
    Event::parse(&json).unwrap()
}

/// The group `web` begins to wait with an instance.
fn hook(id: &str, second: i64) -> Event {
    hook_of("drain", id, second)
}

fn hook_of(name: &str, id: &str, second: i64) -> Event {
    let detail = json!({
        "LifecycleActionToken": format!("{name}-{id}-{second}"), "AutoScalingGroupName": "web",
        "LifecycleHookName": name, "EC2InstanceId": id, "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "Origin": "AutoScalingGroup", "Destination": "EC2",
    });
    event(
        "aws.autoscaling",
        "EC2 Instance-terminate Lifecycle Action",
        second,
        detail,
    )
}

fn launch(id: &str, second: i64) -> Event {
    let detail = json!({
        "LifecycleActionToken": "l", "AutoScalingGroupName": "web", "LifecycleHookName": "warm", "EC2InstanceId": id,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING", "Origin": "WarmPool", "Destination": "AutoScalingGroup",
    });
    event(
        "aws.autoscaling",
        "EC2 Instance-launch Lifecycle Action",
        second,
        detail,
    )
}

fn spot(id: &str, second: i64, action: &str) -> Event {
    let detail = json!({ "instance-id": id, "instance-action": action });
    event("aws.ec2", "EC2 Spot Instance Interruption Warning", second, detail)
}

fn rebalance(id: &str, second: i64) -> Event {
    event(
        "aws.ec2",
        "EC2 Instance Rebalance Recommendation",
        second,
        json!({ "instance-id": id }),
    )
}

fn state(id: &str, second: i64, state: &str) -> Event {
    let detail = json!({ "instance-id": id, "state": state });
    event("aws.ec2", "EC2 Instance State-change Notification", second, detail)
}

/// AWS Health tells at `second` of a reboot from `starts` to `ends`.
fn health(id: &str, second: i64, starts: i64, ends: i64, status: &str) -> Event {
    let detail = json!({
        "eventArn": "h1", "service": "EC2", "eventTypeCode": "REBOOT", "eventTypeCategory": "scheduledChange",
        "statusCode": status, "startTime": at(starts).to_string(), "endTime": at(ends).to_string(),
        "affectedEntities": [{ "entityValue": id }],
    });
    event("aws.health", "AWS Health Event", second, detail)
}
