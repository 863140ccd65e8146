//! The arithmetic: what a step, a percentage or a proportion makes of a count.
//!
//! Steps, rounding and the minimum magnitude are AWS's to the letter (Application Auto Scaling user guide, "Step scaling
//! policies"; API reference, `StepAdjustment`). Proportions are those of Kubernetes' Horizontal Pod Autoscaler.

use std::cmp::Ordering;

use crate::config::{Change, Step};

/// Two numbers that differ by less than this share are the same: the rest is what binary fractions add, like the
/// last digit of 0.7 - 0.5.
const NOISE: f64 = 1e-9;

/// What a change makes of a count. `min_step` is AWS's `MinAdjustmentMagnitude`: it holds for percentages only.
pub(super) fn apply(change: Change, base: u32, min_step: Option<u32>) -> u32 {
    match change {
        Change::Add(n) => base.saturating_add_signed(n),
        Change::Set(n) => n,
        Change::Percent(percent) => {
            let exact = whole(f64::from(base) * percent / 100.0);
            if exact == 0.0 {
                return base;
            }
            // Toward zero, but a change is at least one task: 0.4 is 1, -6.67 is -6.
            let size = count(exact.abs()).max(1).max(min_step.unwrap_or_default());
            if exact > 0.0 {
                base.saturating_add(size)
            } else {
                base.saturating_sub(size)
            }
        }
    }
}

/// The count at which a metric that the tasks share would be at its target: ceil(base × ratio).
pub(super) fn proportional(base: u32, ratio: f64) -> u32 {
    count(whole(f64::from(base) * ratio).ceil())
}

/// A count and so many percent more, rounded up; from no task at least one, since a share of nothing is nothing.
pub(super) fn grown(start: u32, percent: f64) -> u32 {
    let exact = count(whole(f64::from(start) * (1.0 + percent / 100.0)).ceil());
    if start == 0 && percent > 0.0 {
        exact.max(1)
    } else {
        exact
    }
}

/// A count and so many percent fewer, cut off: of 72 tasks 10 % are 8.
pub(super) fn shrunk(start: u32, percent: f64) -> u32 {
    count(whole(f64::from(start) * (1.0 - percent / 100.0)))
}

/// Whether a ratio of value to target is within the tolerance, its bound included.
pub(super) fn within(ratio: f64, tolerance: f64) -> bool {
    (ratio - 1.0).abs() <= tolerance + NOISE
}

/// The step for a metric, by how far it is from the alarm's threshold. Above, and on it, the lower bound is part of a
/// step and the upper is not; below it is the reverse. On the threshold a step that ends there is taken when none
/// begins there.
pub(super) fn find(steps: &[Step], value: f64, threshold: f64) -> Option<&Step> {
    let compare = |bound: f64| {
        let distance = value - threshold;
        let scale = value.abs().max(threshold.abs()).max(bound.abs());
        if bound.is_finite() && (distance - bound).abs() <= NOISE * scale {
            Ordering::Equal
        } else {
            distance.total_cmp(&bound)
        }
    };
    let after = |bound: Option<f64>| bound.map_or(Ordering::Greater, compare);
    let before = |bound: Option<f64>| bound.map_or(Ordering::Less, compare);
    let above = |step: &&Step| after(step.from).is_ge() && before(step.to).is_lt();
    let below = |step: &&Step| after(step.from).is_gt() && before(step.to).is_le();
    match compare(0.0) {
        Ordering::Greater => steps.iter().find(above),
        Ordering::Less => steps.iter().find(below),
        Ordering::Equal => steps.iter().find(above).or_else(|| steps.iter().find(below)),
    }
}

/// The whole number next to it when only noise is between them.
fn whole(number: f64) -> f64 {
    let round = number.round();
    if (number - round).abs() <= NOISE * round.abs().max(1.0) {
        round
    } else {
        number
    }
}

/// A count of tasks: the fraction is cut off, less than nothing is none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cutting off the fraction is wanted, and `as` holds what is out of range at the range's end"
)]
fn count(number: f64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the user guide's example: threshold 50, ten tasks, percentages.
    fn guide() -> (Vec<Step>, Vec<Step>) {
        let step = |from, to, percent| Step {
            from,
            to,
            percent: Some(percent),
            add: None,
            set: None,
        };
        let out = vec![
            step(Some(0.0), Some(10.0), 0.0),
            step(Some(10.0), Some(20.0), 10.0),
            step(Some(20.0), None, 30.0),
        ];
        let inward = vec![
            step(Some(-10.0), Some(0.0), 0.0),
            step(Some(-20.0), Some(-10.0), -10.0),
            step(None, Some(-20.0), -30.0),
        ];
        (out, inward)
    }

    fn stepped(steps: &[Step], value: f64, base: u32) -> Option<u32> {
        let step = find(steps, value, 50.0)?;
        Some(apply(Change::of(step.add, step.percent, step.set).unwrap(), base, None))
    }

    #[test]
    fn the_guides_example() {
        let (out, inward) = guide();
        for (value, base, expected) in [
            (60.0, 10, 11),
            (70.0, 11, 14),
            (59.9, 10, 10),
            (50.0, 10, 10),
            (1e9, 10, 13),
        ] {
            assert_eq!(stepped(&out, value, base), Some(expected), "{value} at {base}");
        }
        for (value, base, expected) in [
            (40.0, 14, 13),
            (30.0, 13, 10),
            (40.1, 14, 14),
            (50.0, 14, 14),
            (-1e9, 13, 10),
        ] {
            assert_eq!(stepped(&inward, value, base), Some(expected), "{value} at {base}");
        }
        assert_eq!(
            stepped(&out, 49.9, 10),
            None,
            "an up set says nothing below its threshold"
        );
        assert_eq!(
            stepped(&inward, 50.1, 10),
            None,
            "a down set says nothing above its threshold"
        );
    }

    #[test]
    fn each_bound_belongs_to_one_step() {
        let step = |from, to, add| Step {
            from,
            to,
            percent: None,
            add: Some(add),
            set: None,
        };
        let both = [
            step(None, Some(-0.2), -2),
            step(Some(-0.2), Some(0.0), -1),
            step(Some(0.0), Some(0.2), 1),
            step(Some(0.2), None, 2),
        ];
        // 0.7 - 0.5 is 0.19999999999999996 in binary, 0.3 - 0.5 is -0.2, 1.1 - 0.9 is 0.20000000000000007.
        for (value, threshold, add) in [
            (0.7, 0.5, 2),
            (1.1, 0.9, 2),
            (0.69, 0.5, 1),
            (0.5, 0.5, 1),
            (0.49, 0.5, -1),
            (0.3, 0.5, -2),
            (0.31, 0.5, -1),
            (0.0, 0.0, 1),
        ] {
            assert_eq!(
                find(&both, value, threshold).unwrap().add,
                Some(add),
                "{value} at {threshold}"
            );
        }
        let across = [step(Some(-5.0), Some(5.0), 7)];
        for (value, found) in [(-5.0, false), (-4.9, true), (0.0, true), (4.9, true), (5.0, false)] {
            assert_eq!(find(&across, value, 0.0).is_some(), found, "{value}");
        }
        assert_eq!(
            find(&[step(None, Some(0.0), -1)], 0.0, 0.0).unwrap().add,
            Some(-1),
            "a down set takes its threshold"
        );
    }

    #[test]
    fn percentages_are_rounded_as_aws_rounds() {
        for (base, percent, min_step, expected) in [
            (10, 33.0, None, 13),   // 3.3 is 3
            (14, -10.0, None, 13),  // -1.4 is -1
            (13, -30.0, None, 10),  // -3.9 is -3
            (4, 10.0, None, 5),     // 0.4 is 1
            (4, -10.0, None, 3),    // -0.4 is -1
            (10, -66.7, None, 4),   // -6.67 is -6
            (4, 25.0, None, 5),     // 1 is 1
            (4, 25.0, Some(2), 6),  // 1 is raised to 2
            (4, -25.0, Some(2), 2), // -1 is raised to -2
            (4, 200.0, Some(2), 12),
            (0, 50.0, None, 0),
            (0, 50.0, Some(2), 0), // a percentage of nothing is nothing
            (4, 0.0, Some(2), 4),
            (2, -300.0, None, 0),
            (1000, 2.3, None, 1023), // 22.999999999999996 in binary
            (u32::MAX, 100.0, None, u32::MAX),
        ] {
            assert_eq!(
                apply(Change::Percent(percent), base, min_step),
                expected,
                "{percent} % of {base}"
            );
        }
    }

    #[test]
    fn additions_and_settings_are_plain() {
        assert_eq!(apply(Change::Add(3), 4, Some(9)), 7);
        assert_eq!(apply(Change::Add(-3), 4, None), 1);
        assert_eq!(apply(Change::Add(-5), 4, None), 0);
        assert_eq!(apply(Change::Add(0), 4, None), 4);
        assert_eq!(apply(Change::Set(0), 4, None), 0);
        assert_eq!(apply(Change::Set(9), 4, None), 9);
    }

    #[test]
    fn a_proportion_is_rounded_up() {
        for (base, value, target, expected) in [
            (4, 90.0, 60.0, 6),
            (4, 61.0, 60.0, 5),
            (4, 30.0, 60.0, 2),
            (4, 31.0, 60.0, 3),
            (3, 0.6, 0.2, 9),  // 8.999999999999998 in binary
            (7, 0.3, 0.1, 21), // 20.999999999999996
            (0, 90.0, 60.0, 0),
            (4, 0.0, 60.0, 0),
            (4, -5.0, 60.0, 0),
        ] {
            assert_eq!(
                proportional(base, value / target),
                expected,
                "{base} at {value} for {target}"
            );
        }
    }

    #[test]
    fn the_tolerance_has_its_bounds() {
        for (value, inside) in [(60.0, true), (66.0, true), (54.0, true), (66.1, false), (53.9, false)] {
            assert_eq!(within(value / 60.0, 0.1), inside, "{value}");
        }
        assert!(within(1.0, 0.0));
        assert!(!within(1.01, 0.0));
    }
}
