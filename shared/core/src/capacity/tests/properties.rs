//! What holds whatever happens: a small cluster that takes the calls, and looks again and again.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What happens before a look.
#[derive(Debug, Clone)]
enum Happens {
    Hook(usize),
    Spot(usize),
    Test(usize),
    TaskLeaves(usize),
    Flaps(usize),
    Terminated(usize),
    Returns(usize),
    /// The answer is lost: the calls were made, and nothing was stored of them but what was stored before.
    Forgets,
    Waits(i64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let id = 0_usize..6;
    prop_oneof![
        3 => id.clone().prop_map(Happens::Hook),
        2 => id.clone().prop_map(Happens::Spot),
        1 => id.clone().prop_map(Happens::Test),
        4 => id.clone().prop_map(Happens::TaskLeaves),
        3 => id.clone().prop_map(Happens::Flaps),
        1 => id.clone().prop_map(Happens::Terminated),
        1 => id.prop_map(Happens::Returns),
        1 => Just(Happens::Forgets),
        4 => (1_i64..400).prop_map(Happens::Waits),
    ]
}

fn id(i: usize) -> String {
    format!("i-{i}")
}

struct World {
    scene: Scene,
    now: i64,
    events: Vec<Event>,
    completed: Vec<String>,
    forgets: bool,
}

impl World {
    fn new(capacity: Value) -> Self {
        let ids = (0..6).map(id);
        let scene = Scene::new(capacity).whole();
        let scene = ids.fold(scene, |scene, id| scene.has(&id, "ACTIVE", 2).grouped(&id, "InService"));
        Self {
            scene,
            now: 0,
            events: Vec::new(),
            completed: Vec::new(),
            forgets: false,
        }
    }

    fn hear(&mut self, event: Event) {
        self.scene = self.scene.clone().hears(&event);
        self.events.push(event);
    }

    fn happen(&mut self, happens: &Happens) {
        let now = self.now;
        match happens {
            Happens::Hook(i) => {
                if let Some(scaling) = self.scene.scaling().get_mut(&id(*i)) {
                    scaling.lifecycle_state = "Terminating:Wait".into();
                    self.hear(hook(&id(*i), now));
                }
            }
            Happens::Spot(i) => self.hear(spot(&id(*i), now, "terminate")),
            Happens::Test(i) => {
                let detail = json!({ "Event": "autoscaling:TEST_NOTIFICATION", "EC2InstanceId": id(*i) });
                let kind = "EC2 Instance-terminate Lifecycle Action";
                self.hear(event("aws.autoscaling", kind, now, detail));
                self.hear(launch(&id(*i), now));
            }
            Happens::TaskLeaves(i) => {
                if let Some(instance) = self.scene.instances().get_mut(&id(*i)) {
                    instance.running_tasks_count = instance.running_tasks_count.map(|n| n.saturating_sub(1));
                }
            }
            Happens::Flaps(i) => {
                if let Some(instance) = self.scene.instances().get_mut(&id(*i)) {
                    instance.agent_connected = !instance.agent_connected;
                }
            }
            Happens::Terminated(i) => {
                self.scene.instances().remove(&id(*i));
                self.scene.scaling().remove(&id(*i));
            }
            Happens::Returns(i) => {
                if let Some(scaling) = self.scene.scaling().get_mut(&id(*i)) {
                    scaling.lifecycle_state = "InService".into();
                }
            }
            Happens::Forgets => self.forgets = true,
            Happens::Waits(seconds) => self.now += seconds,
        }
    }

    /// Looks, makes the calls, and stores what is to be remembered.
    fn look(&mut self, replaces_at_most: usize) {
        let decided = self.scene.decide(self.now);
        self.hold(&decided, replaces_at_most);
        let forgets = std::mem::take(&mut self.forgets);
        let stored = if forgets { &decided.before } else { &decided.after };
        for (id, did) in stored {
            self.scene.facts.going.entry(id.clone()).or_default().did = did.clone();
        }
        for action in &decided.decision.actions {
            self.make(action, forgets);
        }
    }

    fn make(&mut self, action: &Action, forgets: bool) {
        match action {
            Action::UpdateContainerInstancesState {
                container_instances,
                status,
                ..
            } => {
                let status = match status {
                    State::Active => InstanceStatus::Active,
                    State::Draining => InstanceStatus::Draining,
                };
                for instance in self.scene.instances().values_mut() {
                    if container_instances.contains(&instance.arn) {
                        instance.status = status;
                    }
                }
            }
            Action::SetInstanceHealth { instance } => {
                self.scene.scaling().get_mut(instance).unwrap().health_status = "UNHEALTHY".into();
            }
            Action::CompleteLifecycleAction(waiting) if !forgets => self.completed.push(waiting.key()),
            _ => {}
        }
    }

    /// What must hold of every decision.
    fn hold(&self, decided: &Decided, replaces_at_most: usize) {
        let kind = |action: &Action| match action {
            Action::UpdateContainerInstancesState {
                status: State::Draining,
                ..
            } => 0,
            Action::UpdateContainerInstancesState { .. } => 1,
            Action::SetInstanceHealth { .. } => 2,
            Action::StopTask { .. } => 3,
            Action::RecordLifecycleActionHeartbeat(_) => 4,
            Action::CompleteLifecycleAction(_) => 5,
        };
        assert!(
            decided.decision.actions.is_sorted_by_key(kind),
            "all that go are drained before anything completes: {}",
            told(decided)
        );
        self.completes_rightly(decided);
        self.drains_all(decided);
        self.replaces_few(decided, replaces_at_most);
    }

    /// Nothing is completed twice, or with tasks before the deadline.
    fn completes_rightly(&self, decided: &Decided) {
        let deadline = self.scene.facts.capacity.drain.deadline.duration();
        for action in &decided.decision.actions {
            let Action::CompleteLifecycleAction(waiting) = action else {
                continue;
            };
            assert!(
                !self.completed.contains(&waiting.key()),
                "completed again: {}",
                told(decided)
            );
            let going = &self.scene.facts.going[&waiting.instance];
            let mut hooks = going.causes.hooks.values();
            let hook = hooks.find(|hook| hook.token == waiting.key()).unwrap();
            let in_time = at(self.now).duration_since(hook.since).unsigned_abs() < deadline;
            let instance = self.scene.facts.instance(&waiting.instance);
            let left = instance.and_then(ContainerInstance::tasks);
            assert!(
                !in_time || left.unwrap_or_default() == 0,
                "completed with tasks before the deadline: {}",
                told(decided)
            );
        }
    }

    /// Whoever goes is drained in this very plan, or was before.
    fn drains_all(&self, decided: &Decided) {
        let facts = &self.scene.facts;
        for (id, going) in &facts.going {
            let active = facts.instance(id);
            let active = active.filter(|instance| instance.status == InstanceStatus::Active);
            let Some(instance) = active.filter(|_| going.open().next().is_some() || going.causes.spot.is_some()) else {
                continue;
            };
            let came_back = facts.scaling_of(id).is_some_and(AutoScalingInstance::is_in_service);
            let drained = decided.decision.actions.iter().any(|action| match action {
                Action::UpdateContainerInstancesState {
                    container_instances,
                    status: State::Draining,
                    ..
                } => container_instances.contains(&instance.arn),
                _ => false,
            });
            assert!(
                drained || (came_back && going.causes.spot.is_none()),
                "{id} goes undrained: {}",
                told(decided)
            );
        }
    }

    fn replaces_few(&self, decided: &Decided, at_most: usize) {
        let facts = &self.scene.facts;
        let given_up = facts.going.iter().filter(|(id, going)| {
            let did = decided.after.get(*id).unwrap_or(&going.did);
            did.unhealthy_at.is_some() && facts.instance(id).is_some()
        });
        let new = decided
            .after
            .iter()
            .filter(|(id, did)| !facts.going.contains_key(*id) && did.unhealthy_at.is_some());
        assert!(
            given_up.count() + new.count() <= at_most,
            "more than the share: {}",
            told(decided)
        );
    }
}

proptest! {
    #[test]
    fn whatever_happens(story in proptest::collection::vec(happens(), 1..40)) {
        let mut world = World::new(json!({
            "drain": { "deadline": "10m" },
            "disconnected": { "after": "5m", "action": "replace", "at-most": "20%" },
        }));
        for happens in &story {
            world.happen(happens);
            world.look(1);
        }
        // Every event once more, in the other order: nothing is known that was not known before.
        let before = world.scene.facts.going.clone();
        for event in world.events.clone().iter().rev() {
            world.scene = world.scene.clone().hears(event);
        }
        prop_assert_eq!(&world.scene.facts.going, &before);
        // Looked at again at once, nothing is left to be done.
        world.look(1);
        let again = world.scene.decide(world.now);
        prop_assert!(again.decision.actions.iter().all(|action| matches!(action, Action::CompleteLifecycleAction(_))), "{}", told(&again));
        world.look(1);
        let again = world.scene.decide(world.now);
        prop_assert!(again.decision.actions.is_empty(), "{}", told(&again));
        prop_assert!(again.after.is_empty(), "{:?}", again.after);
        // In the end every hook is completed.
        world.now += 601;
        world.look(1);
        world.look(1);
        for (id, going) in &world.scene.facts.going {
            // Nothing waits with one that serves its group again, and one that was never seen here is not ours.
            let serves = world.scene.facts.scaling_of(id).is_some_and(AutoScalingInstance::is_in_service);
            if !serves && going.did.container_instance.is_some() {
                prop_assert_eq!(going.open().count(), 0);
            }
        }
    }

    #[test]
    fn managed_draining_is_stood_aside_for(story in proptest::collection::vec(happens(), 1..20)) {
        let mut world = World::new(json!({}));
        for instance in world.scene.instances().values_mut() {
            instance.capacity_provider_name = Some("web".into());
        }
        let provider = CapacityProvider { name: "web".into(), managed_draining: true, ..CapacityProvider::default() };
        world.scene.facts.providers.insert("web".into(), provider);
        for happens in story.iter().filter(|happens| !matches!(happens, Happens::Terminated(_))) {
            world.happen(happens);
            let decided = world.scene.decide(world.now);
            prop_assert!(decided.decision.actions.is_empty(), "{}", told(&decided));
        }
    }
}
