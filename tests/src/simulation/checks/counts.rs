//! Counts once the world is quiet: what the rules ask for, within the bounds.

use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::world::World;
use wharfinger_core::ids::Target;

use super::asked::{back, of_queue, proportional};
use super::scaling::{REPEAT, memory};
use super::{Violation, Watch};
use crate::simulation::counts::{Rules, ScalingPlan, TARGET, TOLERANCE};

impl Watch {
    pub(super) fn count_at_rest(&self, world: &World, target: &Target, plan: &ScalingPlan) -> Result<(), Violation> {
        let Some(service) = world.services.get(target) else {
            return Ok(());
        };
        let count = service.desired;
        let wrong = |what: String| Err(Violation::new(format!("{target} rests at {count} tasks: {what}")));
        let item = world.tables.state.get(&service_key(target));
        let memory = item.map(memory).unwrap_or_default();
        if let Some(intent) = memory.intent {
            return wrong(format!("an intent is left: {intent:?}"));
        }
        let someone = self.someone.iter().rev().find(|(t, ..)| t == target);
        if let Some(last) = memory.last
            && last.to != count
            && someone.is_none_or(|(_, at, _)| *at <= back(last.at, REPEAT))
        {
            return wrong(format!(
                "the last change was to {}, and nobody else changed it",
                last.to
            ));
        }
        if self.is_left_alone(target, plan, count) {
            return Ok(());
        }
        let (min, max) = plan.bounds(world.now);
        let before = someone.map_or((plan.min, plan.max), |(_, at, _)| plan.bounds(*at));
        if before != (min, max) && !(min..=max).contains(&count) {
            return wrong(format!("it is to be within {min} and {max}"));
        }
        self.as_asked(world, plan, count, (min, max)).map_or(Ok(()), wrong)
    }

    /// Whether someone may have set a count to 0 where there were to be tasks: until someone raises it again.
    pub fn is_left_alone(&self, target: &Target, plan: &ScalingPlan, count: u32) -> bool {
        let busy = plan.schedule.iter().any(|entry| entry.min > 0) || plan.min > 0;
        let zeroed = self.someone.iter().any(|(t, _, to)| t == target && *to == 0);
        count == 0 && busy && zeroed
    }

    /// What the rules ask for that is not so.
    fn as_asked(&self, world: &World, plan: &ScalingPlan, count: u32, (min, max): (u32, u32)) -> Option<String> {
        let (mut up, mut down, why) = match &plan.rules {
            Rules::Alarms { high, idle, .. } => {
                let state = |alarm: &str| world.alarms.state(alarm).map(|(value, _)| value);
                let states = (state(high), state(idle));
                let why = format!("{high} and {idle} are {states:?}");
                (states.0 == Some("ALARM"), states == (Some("OK"), Some("ALARM")), why)
            }
            Rules::Queue {
                queue,
                per_task,
                activate_above,
                ..
            } => {
                let depth = world.queues.get(queue)?;
                let total = depth.visible + depth.in_flight;
                let wanted = of_queue((*per_task, *activate_above), min, total, count)
                    .into_iter()
                    .min()?;
                (wanted > count, wanted < count, format!("{queue} has {depth:?}"))
            }
            Rules::Target { alarm } => {
                let known = matches!(world.alarms.state(alarm), Some(("OK" | "ALARM", _)));
                let load = *self.load.get(alarm).filter(|_| known && count > 0)?;
                let value = load / f64::from(count);
                let (far, wanted) = (
                    (value / TARGET - 1.0).abs() > TOLERANCE + 1e-9,
                    proportional(count, value),
                );
                let why = format!("{alarm} is at {value}, its target is {TARGET}");
                (far && wanted > count, far && wanted < count, why)
            }
        };
        up &= count < max;
        down &= count > min;
        (up || down).then(|| format!("{why}, and {min} to {max} are allowed"))
    }
}
