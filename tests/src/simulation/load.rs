//! What moves counts besides alarms: messages, values, people, and Application Auto Scaling.

use jiff::SignedDuration;
use wharfinger_core::ids::Target;

use super::bus::Domain;
use super::checks::Violation;
use super::counts::{Rules, ScalingPlan, TARGET};
use super::history::History;

/// How many minutes a service without messages may take to have no task.
const ASLEEP: usize = 60;

/// How long before and after other bounds come into force the world is not at rest: what follows is to change nothing.
const STEADY: SignedDuration = SignedDuration::from_mins(3);

impl History {
    /// Something moves a count.
    pub(super) fn stir_counts(&mut self) {
        match self.counts.weighted(&[45, 40, 15, 2]) {
            0 => self.change_queue(),
            1 => self.change_value(),
            2 => self.set_any_count(),
            _ => self.give_away(),
        }
    }

    fn plans(&self) -> impl Iterator<Item = (&Target, &ScalingPlan)> {
        let plans = self.scenario.targets.iter();
        plans.filter_map(|plan| Some((&plan.target, plan.scaling.as_ref()?)))
    }

    /// Messages come, are worked on, or are done.
    fn change_queue(&mut self) {
        let queues: Vec<_> = self
            .plans()
            .filter_map(|(_, plan)| match &plan.rules {
                Rules::Queue { queue, per_task, .. } => Some((queue.clone(), u64::from(per_task * plan.max))),
                _ => None,
            })
            .collect();
        let Some((queue, most)) = self.counts.pick(&queues).cloned() else {
            return;
        };
        let total = match self.counts.weighted(&[35, 15, 50]) {
            0 => 0,
            1 => 1,
            _ => self.counts.between(1, most + 2),
        };
        let in_flight = self.counts.between(0, total);
        self.set_queue(&queue, total - in_flight, in_flight);
        self.tally.deed("messages of a queue changed");
    }

    fn set_queue(&mut self, queue: &str, visible: u64, in_flight: u64) {
        self.say(|_| format!("queue {queue}: {visible} messages wait, {in_flight} are in flight"));
        let now = self.now();
        self.watch.queue(queue, visible + in_flight, now);
        self.world.borrow_mut().set_queue(queue, visible, in_flight);
    }

    /// A metric has another value, or no data any more.
    fn change_value(&mut self) {
        let alarms: Vec<_> = self
            .plans()
            .filter_map(|(_, plan)| match &plan.rules {
                Rules::Target { alarm } => Some(alarm.clone()),
                _ => None,
            })
            .collect();
        let Some(alarm) = self.counts.pick(&alarms).cloned() else {
            return;
        };
        if self.counts.chance(100) {
            self.say(|_| format!("the metric of {alarm} has no data"));
            self.tally.fault("metric without data");
            self.world.borrow_mut().set_metric(&alarm, None);
            return;
        }
        let value = f64::from(u32::try_from(self.counts.between(5, 130)).unwrap_or_default());
        self.tell_value(&alarm, value);
        self.tally.deed("value of a metric changed");
    }

    fn tell_value(&mut self, alarm: &str, value: f64) {
        self.say(|_| format!("the metric of {alarm} is at {value}"));
        let now = self.now();
        self.watch.value(alarm, value, now);
        self.world.borrow_mut().set_metric(alarm, Some(value));
    }

    /// Someone sets a count; one time in three to 0.
    fn set_any_count(&mut self) {
        let targets: Vec<_> = self.plans().map(|(target, _)| target.clone()).collect();
        let Some(target) = self.counts.pick(&targets).cloned() else {
            return;
        };
        let count = *self.counts.pick(&[0, 0, 1, 2, 3, 6]).unwrap_or(&0);
        self.tally.deed("count set by someone");
        self.say(|_| format!("someone sets {target} to {count} tasks"));
        let now = self.now();
        self.watch.someone(&self.world.borrow(), &target, count, now);
        self.world.borrow_mut().set_count(&target, count);
    }

    /// Someone has Application Auto Scaling move a service.
    fn give_away(&mut self) {
        let targets: Vec<_> = self.plans().map(|(target, _)| target.clone()).collect();
        let Some(target) = self.counts.pick(&targets).cloned() else {
            return;
        };
        let now = self.now();
        self.scenario.others.entry(target.clone()).or_insert(now);
        self.tally.deed("service given to Application Auto Scaling");
        self.say(|_| format!("Application Auto Scaling moves {target} from now on"));
        self.world.borrow_mut().make_scalable(&target);
    }

    /// From now on the tasks of a service share what they have to do.
    pub(super) fn settle_loads(&mut self) {
        let alarms: Vec<_> = self
            .plans()
            .filter_map(|(_, plan)| match &plan.rules {
                Rules::Target { alarm } => Some((alarm.clone(), u64::from(plan.max))),
                _ => None,
            })
            .collect();
        for (alarm, max) in alarms {
            let tenths = u32::try_from(self.counts.between(3, 10 * max + 5)).unwrap_or_default();
            self.watch.load.insert(alarm, f64::from(tenths) / 10.0 * TARGET);
        }
    }

    /// A minute goes by: each metric has a datapoint of what each task had to do in it.
    pub(super) fn tell_loads(&mut self) {
        let told: Vec<_> = self
            .plans()
            .filter_map(|(target, plan)| {
                let Rules::Target { alarm } = &plan.rules else {
                    return None;
                };
                let load = *self.watch.load.get(alarm)?;
                let world = self.world.borrow();
                let count = world.services.get(target)?.desired;
                (count > 0).then(|| (alarm.clone(), load / f64::from(count)))
            })
            .collect();
        for (alarm, value) in told {
            self.tell_value(&alarm, value);
        }
    }

    /// Whether other bounds come into force soon, or have come just now; or a function may not know yet what is another's.
    pub(super) fn is_in_between(&self) -> bool {
        let now = self.now();
        if self.watch.unsure_until(&self.scenario).is_some_and(|until| now < until) {
            return true;
        }
        let since = now.saturating_sub(STEADY).unwrap_or(now);
        self.plans().any(|(_, plan)| {
            let soon = plan.next_bounds(now).is_some_and(|at| at.duration_since(now) < STEADY);
            soon || plan.bounds(since) != plan.bounds(now)
        })
    }

    /// A service without messages goes to no task, and one message more than it takes wakes it: passes of a minute are
    /// enough for both.
    pub(super) fn sleep_and_wake(&mut self) -> Result<(), Violation> {
        let plans: Vec<_> = self
            .plans()
            .filter(|(target, _)| !self.scenario.others.contains_key(target))
            .map(|(target, plan)| (target.clone(), plan.clone()))
            .collect();
        for (target, plan) in plans {
            let left = self.watch.is_left_alone(&target, &plan, self.count(&target));
            if let Rules::Queue {
                queue, activate_above, ..
            } = &plan.rules
                && plan.bounds(self.now()).0 == 0
                && !left
            {
                self.sleep_and_wake_one(&target, &plan, queue, u64::from(*activate_above))?;
            }
        }
        Ok(())
    }

    fn sleep_and_wake_one(
        &mut self,
        target: &Target,
        plan: &ScalingPlan,
        queue: &str,
        activate_above: u64,
    ) -> Result<(), Violation> {
        self.set_queue(queue, 0, 0);
        let slept = self.comes_to(target, plan, ASLEEP, |count| count == 0)?;
        if !slept {
            return Ok(());
        }
        self.set_queue(queue, activate_above, 0);
        for _ in 0..2 {
            self.minute()?;
        }
        if self.count(target) > 0 && plan.bounds(self.now()).0 == 0 {
            let what = format!("{target} is woken by {activate_above} messages, which are too few");
            return Err(Violation::new(what));
        }
        let in_flight = self.counts.below(2);
        self.set_queue(queue, activate_above + 1 - in_flight, in_flight);
        let waits = usize::try_from((plan.cooldown.0 + plan.stabilise.0).div_ceil(60)).unwrap_or_default();
        let woken = self.comes_to(target, plan, waits + 2, |count| count > 0)?;
        if woken {
            self.tally.deed("service slept and woke");
        }
        Ok(())
    }

    /// Lets passes of a minute run until a count is as it is to be; `false` when other bounds have come into force.
    fn comes_to(
        &mut self,
        target: &Target,
        plan: &ScalingPlan,
        minutes: usize,
        as_wanted: impl Fn(u32) -> bool,
    ) -> Result<bool, Violation> {
        let bounds = plan.bounds(self.now());
        for _ in 0..minutes {
            self.minute()?;
            if plan.bounds(self.now()) != bounds {
                return Ok(false);
            }
            if as_wanted(self.count(target)) {
                return Ok(true);
            }
        }
        let count = self.count(target);
        Err(Violation::new(format!(
            "after {minutes} passes of a minute {target} has {count} tasks: {plan:?}"
        )))
    }

    fn minute(&mut self) -> Result<(), Violation> {
        self.advance(SignedDuration::from_mins(1));
        self.tell_loads();
        self.let_the_world_settle(false)?;
        self.look_at(Domain::Scaling)
    }

    fn count(&self, target: &Target) -> u32 {
        let world = self.world.borrow();
        world.services.get(target).map_or(0, |service| service.desired)
    }
}
