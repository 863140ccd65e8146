//! What kind of history a seed gives: drawn once, so that histories differ in kind and not only in detail.
//!
//! Were every history a little of everything, the combinations that need much of one thing and nothing of another
//! would never come up.

use super::dice::Dice;

/// How likely what is, in this history. Shares are per mille.
#[derive(Debug, Clone)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is drawn for itself, and any combination is a temper"
)]
pub struct Temper {
    /// No event is lost, no invocation killed, and what the world is asked to do it does: so events alone must keep it
    /// true, without a sweep.
    pub gentle: bool,
    /// How many things happen before the world falls quiet.
    pub steps: u64,
    /// How many invocations run at once at most.
    pub concurrency: usize,
    /// Invocations that fall far behind the others: each step of theirs is one of many.
    pub laggards: u64,
    /// How often tasks crash.
    pub crashes: u64,
    /// How often a task stops while its start is being dealt with.
    pub races: u64,
    /// How often the invocation that ran last goes on, rather than another.
    pub steady: u64,
    /// Events that are never delivered.
    pub lost: u64,
    /// Events that are delivered twice or more.
    pub twice: u64,
    /// Events that come late: by seconds, minutes, hours.
    pub late: [u64; 3],
    /// Calls that fail or whose answer is lost.
    pub faults: u64,
    /// Answers of ECS and Cloud Map that lag behind the last change.
    pub lags: u64,
    /// Steps at which an invocation is killed.
    pub kills: u64,
    /// Steps at which the clock goes on by itself.
    pub clock: u64,
    /// Whether the clock may go on for long while invocations run.
    pub pauses: bool,
    /// Whether sweeps run before the world falls quiet.
    pub sweeps: bool,
    /// Operations of Cloud Map that fail.
    pub failing_operations: u64,
    /// Whether items are found malformed.
    pub malformed: bool,
}

impl Temper {
    /// Draws one.
    pub fn draw(dice: &mut Dice) -> Self {
        let gentle = dice.chance(450);
        let some = |dice: &mut Dice, shares: &[u64]| *dice.pick(shares).unwrap_or(&0);
        let rough = |dice: &mut Dice, shares: &[u64]| {
            let share = some(dice, shares);
            if gentle { 0 } else { share }
        };
        // One that is overtaken falls behind; all others keep up, or they would make good what it does too late.
        let races = some(dice, &[0, 100]);
        Self {
            gentle,
            steps: dice.between(60, 420),
            concurrency: dice.index(5) + 1,
            laggards: if races == 0 { some(dice, &[0, 100, 300]) } else { 0 },
            crashes: some(dice, &[10, 80]),
            races,
            steady: some(dice, &[0, 500, 900]),
            lost: rough(dice, &[0, 50, 300, 700]),
            twice: some(dice, &[0, 100, 400]),
            late: [
                some(dice, &[0, 300, 600]),
                some(dice, &[0, 0, 100, 300]),
                some(dice, &[0, 0, 0, 20, 100]),
            ],
            faults: some(dice, &[0, 0, 20, 60, 200]),
            lags: rough(dice, &[0, 0, 200]),
            kills: rough(dice, &[0, 0, 10, 40]),
            clock: some(dice, &[20, 60, 150]),
            pauses: !gentle && dice.chance(400),
            sweeps: dice.chance(500),
            failing_operations: rough(dice, &[0, 0, 50, 300]),
            malformed: !gentle && dice.chance(300),
        }
    }
}
