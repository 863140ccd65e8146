//! What the service has to do, minute by minute.

use crate::simulation::dice::Dice;

/// The minutes of a day.
pub const MINUTES: u32 = 24 * 60;

/// Where the day's curve goes through: the minute, and how many tasks would be busy all the time.
const KNOTS: [(u32, f64); 10] = [
    (0, 3.2),
    (3 * 60, 2.0),
    (6 * 60, 2.4),
    (9 * 60, 11.0),
    (12 * 60, 13.0),
    (13 * 60 + 15, 9.0),
    (15 * 60, 12.0),
    (18 * 60, 12.5),
    (20 * 60 + 30, 19.0),
    (MINUTES, 3.2),
];

/// How often as much comes at once.
const SPIKE: f64 = 1.8;

/// How many minutes the spike rises, and stays, and falls.
const SPIKE_PARTS: [u32; 3] = [2, 15, 6];

/// The load of each minute, in tasks that would be busy all the time.
///
/// It is reckoned with nothing but what IEEE 754 defines to the last bit, so that a seed is the same day everywhere.
pub fn of_day(dice: &mut Dice) -> Vec<f64> {
    let begins = u32::try_from(dice.between(16 * 60, 17 * 60)).unwrap_or(16 * 60);
    let mut drift = 0.0;
    let mut minute = |minute: u32| {
        drift = 0.95 * drift + 0.015 * noise(dice);
        curve(minute) * spike(minute, begins) * (1.0 + drift + 0.03 * noise(dice))
    };
    (0..MINUTES).map(&mut minute).collect()
}

fn curve(minute: u32) -> f64 {
    let piece = KNOTS
        .windows(2)
        .find(|piece| matches!(piece, [_, (end, _)] if minute < *end));
    let Some([(begin, from), (end, to)]) = piece else {
        return 0.0;
    };
    let part = f64::from(minute - begin) / f64::from(end - begin);
    from + (to - from) * part * part * (3.0 - 2.0 * part)
}

fn spike(minute: u32, begins: u32) -> f64 {
    let [rises, stays, falls] = SPIKE_PARTS;
    let Some(since) = minute.checked_sub(begins) else {
        return 1.0;
    };
    let share = if since < rises {
        f64::from(since + 1) / f64::from(rises)
    } else if since < rises + stays {
        1.0
    } else {
        f64::from((rises + stays + falls).saturating_sub(since)) / f64::from(falls)
    };
    1.0 + (SPIKE - 1.0) * share
}

/// About as a normal distribution with a deviation of 1: the sum of twelve equal ones.
fn noise(dice: &mut Dice) -> f64 {
    const PARTS: u32 = 1_000_000;
    let mut one = || f64::from(u32::try_from(dice.below(PARTS.into())).unwrap_or(PARTS)) / f64::from(PARTS);
    (0..12).map(|_| one()).sum::<f64>() - 6.0
}
