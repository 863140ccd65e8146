//! What people ask of a fleet: to agree, to go back, to pause, to change a rule; and what they do past us.

use jiff::SignedDuration;
use serde_json::Value;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::attribute;
use wharfinger_core::config::asked::{Approved, Back, BackTo};
use wharfinger_core::delivery::{Memory, Wish};
use wharfinger_core::ids::{Digest, Target, TargetKind};
use wharfinger_core::report::Code;

use super::super::history::History;
use super::super::scenario::{Plan, Tags, define};

/// In seconds.
const WEEK: i64 = 7 * 86_400;

impl History {
    fn any_plan(&mut self) -> Option<usize> {
        let all = self.scenario.targets.len();
        (all > 0).then(|| self.dice.index(all))
    }

    /// What is stored of a target's rollouts.
    pub(super) fn memory(&self, target: &Target) -> Memory {
        let world = self.world.borrow();
        let item = world.tables.state.get(&service_key(target));
        item.and_then(|item| attribute(item, "delivery").ok().flatten())
            .unwrap_or_default()
    }

    /// What `wharfinger approve` finds: what waits for someone, what is in quarantine, what someone deployed over.
    pub(super) fn approve_something(&mut self) {
        let Some(place) = self.any_plan() else { return };
        let target = self.scenario.targets[place].target.clone();
        let memory = self.memory(&target);
        let waiting = memory
            .waiting
            .iter()
            .filter(|waiting| waiting.codes.contains(&Code::ApprovalNeeded));
        let waiting = waiting.flat_map(|w| w.wishes.values().map(|wish| wish.digest.clone()));
        let kept = memory.quarantine.iter().rev().map(|q| q.digest.clone());
        let done = memory.done.values().map(|done| done.digest.clone());
        let found: Vec<Digest> = waiting.clone().chain(waiting).chain(kept.take(1)).chain(done).collect();
        let Some(digest) = self.dice.pick(&found).cloned() else {
            return;
        };
        self.approve(place, &digest);
    }

    pub(super) fn approve(&mut self, place: usize, digest: &Digest) {
        let now = self.now();
        let spans = [60, 900, WEEK, WEEK];
        let seconds = *self
            .dice
            .pick(if self.quiet { &spans[2..] } else { &spans })
            .unwrap_or(&WEEK);
        let until = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
        let Some(plan) = self.scenario.targets.get_mut(place) else {
            return;
        };
        plan.approvals.retain(|known| known.digest != *digest);
        plan.approvals.push(Approved {
            digest: digest.clone(),
            image: None,
            at: now,
            by: Some("someone".into()),
            until,
        });
        let target = plan.target.clone();
        self.say(|_| format!("someone approves {} in {target} until {until}", digest.short()));
        self.tally.deed("image approved");
        self.watch.approved(&target, digest, now, until);
        self.apply(place);
    }

    /// Writes what was asked or changed, as the command does, and mostly has the function look at once.
    fn apply(&mut self, place: usize) {
        let now = self.now();
        let Some(plan) = self.scenario.targets.get(place) else {
            return;
        };
        plan.store(&mut self.world.borrow_mut());
        self.watch.configured(plan, now);
        let target = plan.target.to_string();
        if self.dice.chance(600) {
            let event = self.ask(&target);
            self.deliver(super::Domain::Delivery, event);
        }
    }

    fn ask(&mut self, target: &str) -> std::rc::Rc<Value> {
        let mut event = self.tick().as_ref().clone();
        event["detail"] = serde_json::json!({ "target": target });
        std::rc::Rc::new(event)
    }

    /// What `wharfinger rollback` stores.
    pub(super) fn ask_back(&mut self) {
        let Some(place) = self.any_plan() else { return };
        let target = self.scenario.targets[place].target.clone();
        let to = if target.kind == TargetKind::Service && self.dice.chance(700) {
            self.revision_before(&target).map(BackTo::Revision)
        } else {
            self.image_before(place)
        };
        let Some(to) = to else { return };
        let now = self.now();
        self.say(|_| format!("someone asks {target} back to {to:?}"));
        self.tally.deed("way back asked for");
        self.watch.asked_back(&target, now);
        let back = Back {
            to,
            at: now,
            by: Some("someone".into()),
        };
        if let Some(plan) = self.scenario.targets.get_mut(place) {
            plan.back = Some(back);
        }
        self.apply(place);
    }

    /// An earlier revision of the service: the one before, or any.
    fn revision_before(&mut self, target: &Target) -> Option<String> {
        let now = self.world.borrow().services.get(target)?.primary()?.definition.clone();
        let (family, number) = now.rsplit_once(':')?;
        let number: u64 = number.parse().ok().filter(|n| *n > 1)?;
        let by = if self.dice.chance(600) {
            1
        } else {
            self.dice.between(1, number - 1)
        };
        Some(format!("{family}:{}", number - by))
    }

    fn image_before(&mut self, place: usize) -> Option<BackTo> {
        let rule = self.scenario.targets.get(place)?.delivery.clone()?;
        let images = self.fleet.iter().flat_map(|fleet| fleet.images.clone());
        let images: Vec<_> = images.filter(|(of, ..)| *of == rule.repository).collect();
        let picked = self.dice.pick(&images)?;
        // Of its tags the command takes the one that the rule would roll out.
        let fits = |tag: &str| (tag == "main") == matches!(rule.tags, Tags::Main);
        let mut own = images
            .iter()
            .rev()
            .filter(|(_, tag, digest, _)| *digest == picked.2 && fits(tag));
        let (repository, tag, digest, pushed_at) = own.next().unwrap_or(picked).clone();
        Some(BackTo::Image {
            rule: rule.repository,
            wish: Wish {
                repository,
                tag,
                digest,
                pushed_at,
            },
        })
    }

    pub(super) fn pause_or_resume(&mut self) {
        let Some(place) = self.any_plan() else { return };
        let now = self.now();
        let minutes = i64::try_from(self.dice.between(3, 20)).unwrap_or_default();
        let plan = &mut self.scenario.targets[place];
        let was = plan.paused.is_some_and(|(_, until)| now < until);
        let until = now.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(now);
        plan.paused = (!was).then_some((now, until));
        let target = plan.target.clone();
        self.tally
            .deed(if was { "delivery resumed" } else { "delivery paused" });
        self.say(|_| format!("someone {} {target}", if was { "resumes" } else { "pauses" }));
        self.apply(place);
    }

    /// Someone applies another rule: the policy, a gate, or what it was at first.
    pub(super) fn change_rule(&mut self) {
        let Some(place) = self.any_plan() else { return };
        let plan = &mut self.scenario.targets[place];
        let (target, Some(rule)) = (plan.target.clone(), &mut plan.delivery) else {
            return;
        };
        let first = self.fleet.as_mut().map(|fleet| fleet.first.entry(target.clone()));
        let first = first.map(|first| first.or_insert_with(|| rule.clone()).clone());
        let what = match self.dice.index(6) {
            0 => {
                rule.tags = match rule.tags {
                    Tags::Main => Tags::Versions,
                    Tags::Versions => Tags::Main,
                };
                "tag policy changed"
            }
            1 | 2 => {
                if let Some(first) = first {
                    *rule = first;
                }
                "rule put back"
            }
            _ => {
                rule.gates.change(&mut self.dice);
                "gate changed"
            }
        };
        self.tally.deed(what);
        self.say(|h| format!("{what}: {target} has {:?}", h.scenario.targets[place].delivery));
        self.apply(place);
    }

    /// Someone deploys past us: an earlier revision, or a new one with a tag.
    pub(super) fn deploy_something(&mut self) {
        let Some(place) = self.any_plan() else { return };
        let plan = &self.scenario.targets[place];
        let target = plan.target.clone();
        let earlier = target.kind == TargetKind::Service && self.dice.chance(500);
        let definition = if earlier {
            self.revision_before(&target)
        } else {
            self.tagged_revision(place)
        };
        let Some(definition) = definition else { return };
        let now = self.now();
        self.say(|_| format!("someone deploys {definition}"));
        self.tally.deed(if earlier {
            "earlier revision deployed by hand"
        } else {
            "new revision deployed by hand"
        });
        self.watch.deployed(&self.world.borrow(), &target, &definition, now);
        self.world.borrow_mut().deploy_by_hand(&target, &definition);
    }

    fn tagged_revision(&mut self, place: usize) -> Option<String> {
        let plan: &Plan = self.scenario.targets.get(place)?;
        let rule = plan.delivery.clone()?;
        let name = plan.target.name.clone();
        let tags: Vec<String> = {
            let world = self.world.borrow();
            let tags = world.repositories.tags(&rule.repository);
            tags.filter(|(_, digest, _)| !self.fleet.as_ref().is_some_and(|f| f.bad.contains(digest)))
                .map(|(tag, ..)| tag.to_owned())
                .collect()
        };
        let tag = self.dice.pick(&tags).cloned().unwrap_or_else(|| "1.0.0".to_owned());
        let image = format!("{}/{}:{tag}", wharfinger_cloud::world::registry(), rule.repository);
        let made = define(&mut self.world.borrow_mut(), &name, &image);
        self.watch.by_hand(&made);
        Some(made)
    }
}
