//! The formula of Kubernetes' Horizontal Pod Autoscaler for a resource metric, with the defaults of `autoscaling/v2`
//! (kubernetes/website, "Horizontal Pod Autoscaling", "Algorithm details"; kubernetes, `pkg/controller/podautoscaler`,
//! `replica_calculator.go` and `horizontal.go`). It looks once a minute here, since its metric has one value a minute.

use std::collections::VecDeque;

use super::cloudwatch::AlarmEvent;
use super::{MAX, MIN, Scaler, Seen, TARGET, ceil};

/// Within which share of the target nothing is done.
const TOLERANCE: f64 = 0.1;

/// How many minutes the greatest recommendation holds the count up.
const STABILISES: usize = 5;

/// The policies of more pods: twice as many, or so many more in 15 seconds, whichever are more.
const ADDS: u32 = 4;

/// The recommendations of the last minutes.
#[derive(Debug, Default)]
pub struct Hpa {
    recommended: VecDeque<u32>,
}

impl Hpa {
    /// What the metric alone asks for.
    fn wanted(seen: &Seen<'_>, cpu: f64) -> u32 {
        let (count, ready) = (seen.service.desired, seen.service.ready());
        let unready = seen.service.all() - ready;
        let ratio = cpu / TARGET;
        let within = |ratio: f64| (ratio - 1.0).abs() <= TOLERANCE;
        if unready == 0 || ratio <= 1.0 {
            return if within(ratio) {
                count
            } else {
                ceil(ratio * f64::from(ready))
            };
        }
        // Those that are not ready count as idle, unless that turns the direction.
        let all = ready + unready;
        let ratio = ratio * f64::from(ready) / f64::from(all);
        let wanted = ceil(ratio * f64::from(all));
        if within(ratio) || ratio < 1.0 || wanted < count {
            count
        } else {
            wanted
        }
    }
}

impl Scaler for Hpa {
    fn event(&mut self, _: &AlarmEvent, _: &Seen<'_>) -> Option<u32> {
        None
    }

    fn minute(&mut self, seen: &Seen<'_>) -> Option<u32> {
        let count = seen.service.desired;
        let wanted = Self::wanted(seen, seen.sample?.cpu).clamp(MIN, MAX);
        self.recommended.push_front(wanted);
        self.recommended.truncate(STABILISES);
        let held = self.recommended.iter().copied().max().unwrap_or(wanted);
        let stable = if wanted < count { held.min(count) } else { wanted };
        let to = stable.min((count * 2).max(count + ADDS)).clamp(MIN, MAX);
        (to != count).then_some(to)
    }
}
