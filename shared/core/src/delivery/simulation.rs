//! A small world in which pushes arrive in any order, more than once, and invocations die between any two calls.
//!
//! One service, one rule. What must hold, whatever happens: the service is sent to each image once at most, never to an
//! older one after a newer one, never while a deployment is in progress; and when it has been quiet, it runs the newest
//! image that was heard of, unless ECS rolled that one back.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixtures::{HOST, arn, definition, digest, event, facts, now, rule};
use super::*;
use crate::known::Known;
use crate::report::Outcome;
use crate::service::ServiceFacts;

/// How many steps of a rollout there are between which an invocation can die.
const STEPS: usize = 6;

#[derive(Debug, Clone)]
enum Happens {
    /// An event arrives, and its invocation dies before this step.
    Push { version: u64, dies_before: usize },
    /// A sweep, which dies before this step.
    Sweep { dies_before: usize },
    /// The deployment in progress is through.
    Completes,
    /// The circuit breaker rolls the deployment in progress back.
    RollsBack,
    /// Minutes pass, and `DescribeServices` shows no deployment any more that failed.
    Forgets,
}

#[derive(Debug)]
struct World {
    /// The image of each revision, in the order of registration from revision 1.
    revisions: Vec<String>,
    service: u64,
    /// The revision before the deployment in progress.
    deploying_from: Option<u64>,
    failed: Vec<u64>,
    /// The revisions that it was ever sent to.
    sent_to: Vec<String>,
    now: Timestamp,
    wishes: BTreeMap<String, Wish>,
    memory: Memory,
    /// The versions that the service was sent to.
    rollouts: Vec<u64>,
    rolled_back: Vec<u64>,
}

impl World {
    fn new() -> Self {
        Self {
            revisions: vec![format!("{HOST}/shop/web:1.0.0")],
            service: 1,
            deploying_from: None,
            failed: Vec::new(),
            sent_to: Vec::new(),
            now: now(),
            wishes: BTreeMap::new(),
            memory: Memory::default(),
            rollouts: Vec::new(),
            rolled_back: Vec::new(),
        }
    }

    fn image(&self, revision: u64) -> &str {
        &self.revisions[usize::try_from(revision).unwrap() - 1]
    }

    fn version(&self, revision: u64) -> u64 {
        (1..=20)
            .find(|n| self.image(revision).ends_with(digest(*n).as_str()))
            .unwrap_or_default()
    }

    fn described(&self) -> Option<ServiceFacts> {
        let deployment = |status: &str, revision: u64, state: &str| {
            json!({ "id": format!("ecs-svc/{revision}"), "status": status, "taskDefinition": arn(revision),
                    "rolloutState": state, "createdAt": (self.now - SignedDuration::from_secs(60)).to_string() })
        };
        let state = if self.deploying_from.is_some() {
            "IN_PROGRESS"
        } else {
            "COMPLETED"
        };
        let mut deployments = vec![deployment("PRIMARY", self.service, state)];
        deployments.extend(self.failed.iter().map(|r| deployment("INACTIVE", *r, "FAILED")));
        ServiceFacts::parse(&json!({
            "serviceArn": "arn:aws:ecs:eu-west-1:123456789012:service/prod/web", "status": "ACTIVE",
            "desiredCount": 1, "taskDefinition": arn(self.service), "deployments": deployments,
        }))
    }

    fn facts(&self) -> Facts {
        Facts {
            rules: vec![rule(json!({ "tags": { "semver": "1.x" } }))],
            wishes: self.wishes.clone(),
            service: Known::Yes(self.described()),
            definition: Known::Yes(Some(definition(self.service, &[("web", self.image(self.service))]))),
            memory: self.memory.clone(),
            sent_to: Known::Yes(self.sent_to.clone()),
            ..facts()
        }
    }

    fn happens(&mut self, what: &Happens) {
        match what {
            Happens::Push { version, dies_before } => {
                let tag = format!("1.{version}.0");
                let (envelope, action) = event(json!({ "image-tag": tag, "image-digest": digest(*version) }));
                match hear(&envelope, &action, &self.facts()) {
                    Heard::Nothing(_) => {}
                    Heard::Wanted { .. } if *dies_before == 0 => {}
                    Heard::Wanted { fresh, .. } => {
                        self.wishes.extend(fresh);
                        self.converge(*dies_before);
                    }
                }
            }
            Happens::Sweep { dies_before } => self.converge(*dies_before),
            Happens::Completes => self.deploying_from = None,
            Happens::RollsBack => {
                if let Some(before) = self.deploying_from.take() {
                    self.failed.push(self.service);
                    self.rolled_back.push(self.version(self.service));
                    self.service = before;
                }
            }
            Happens::Forgets => {
                self.failed.clear();
                self.now += SignedDuration::from_mins(3);
            }
        }
    }

    fn converge(&mut self, dies_before: usize) {
        let facts = self.facts();
        let decided = decide(&facts, self.now);
        let mut step = 0;
        let mut dies = || {
            step += 1;
            step >= dies_before
        };
        if dies() {
            return;
        }
        let registers = decided
            .decision
            .actions
            .first()
            .is_some_and(|a| matches!(a, Action::RegisterTaskDefinition { .. }));
        self.memory = if decided.decision.outcome == Outcome::Act {
            decided.before_call()
        } else {
            decided.memory.clone()
        };
        if !registers && !decided.decision.actions.is_empty() {
            self.memory.sends(self.now);
        }
        for action in &decided.decision.actions {
            if dies() {
                return;
            }
            match action {
                Action::RegisterTaskDefinition { request } => {
                    self.register(request, &facts, decided.intent.as_ref().unwrap());
                    if dies() {
                        return;
                    }
                    self.memory.registered(&arn(self.revisions.len() as u64));
                    self.memory.sends(self.now);
                }
                Action::UpdateService { task_definition, .. } => {
                    let intent = self.memory.intent.clone().unwrap();
                    let to = match task_definition {
                        TaskDefinition::Arn(arn) => arn.clone(),
                        TaskDefinition::Registered { .. } => intent.registered.unwrap(),
                    };
                    self.update((1..=self.revisions.len() as u64).find(|r| arn(*r) == to).unwrap());
                    if dies() {
                        return;
                    }
                    self.memory.settle(&facts.target, self.now);
                }
                other => panic!("{other:?} is not for this world"),
            }
        }
    }

    fn register(&mut self, request: &Value, facts: &Facts, intent: &Intent) {
        let image = request["containerDefinitions"][0]["image"].as_str().unwrap();
        self.revisions.push(image.to_owned());
        let new = definition(self.revisions.len() as u64, &[("web", image)]);
        let Known::Yes(Some(base)) = &facts.definition else {
            panic!("decided without a base")
        };
        assert_eq!(
            differences(base, &new, &intent.images(), &intent.side, &intent.mounts),
            Ok(vec![])
        );
    }

    fn update(&mut self, revision: u64) {
        assert_eq!(self.deploying_from, None, "two deployments at once");
        let version = self.version(revision);
        assert!(
            self.rollouts.iter().all(|r| *r < version),
            "{version} after {:?}",
            self.rollouts
        );
        self.rollouts.push(version);
        self.sent_to.push(arn(revision));
        self.deploying_from = Some(self.service);
        self.service = revision;
    }
}

fn history() -> impl Strategy<Value = Vec<Happens>> {
    let dies = || prop_oneof![2 => 0..STEPS, 1 => Just(usize::MAX)];
    let happens = prop_oneof![
        4 => (1..8_u64, dies()).prop_map(|(version, dies_before)| Happens::Push { version, dies_before }),
        3 => dies().prop_map(|dies_before| Happens::Sweep { dies_before }),
        3 => Just(Happens::Completes),
        1 => Just(Happens::RollsBack),
        1 => Just(Happens::Forgets),
    ];
    prop::collection::vec(happens, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn each_wanted_image_is_rolled_out_once_and_never_an_older_one_after_it(history in history()) {
        let mut world = World::new();
        for what in &history {
            world.happens(what);
        }
        for _ in 0..3 {
            world.happens(&Happens::Completes);
            world.happens(&Happens::Forgets);
            world.happens(&Happens::Sweep { dies_before: usize::MAX });
        }
        let newest = world.wishes.values().next().map_or(0, |w| w.tag[2..3].parse().unwrap());
        let runs = world.version(world.service);
        if world.rolled_back.contains(&newest) {
            prop_assert!(runs < newest);
            prop_assert_eq!(decide(&world.facts(), world.now).decision.actions, vec![]);
        } else {
            prop_assert_eq!(runs, newest, "{:#?}", world);
        }
        let quiet = world.revisions.len();
        world.happens(&Happens::Sweep { dies_before: usize::MAX });
        prop_assert_eq!(world.revisions.len(), quiet);
    }
}
