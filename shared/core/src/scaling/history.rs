//! What earlier wishes and changes allow: the stabilisation windows and rate limits of Kubernetes' Horizontal Pod
//! Autoscaler (Kubernetes documentation, "Horizontal Pod Autoscaling", "Configurable scaling behavior").

use jiff::{SignedDuration, Timestamp};

use super::{Memory, Moved, Wished, steps};
use crate::config::{Limit, PerPeriod, Span, Stabilise};

/// How many entries a window is remembered in: those of a thirtieth of it are kept as one, until the last of them has
/// left the window.
const GRAIN: u64 = 30;

/// How many changes are remembered one by one; of more, those of one grain are kept as one.
const MOVES: usize = 60;

/// Who was not looked at for longer than this had no wish: one that persists is looked at every minute.
const GAP: SignedDuration = SignedDuration::from_secs(150);

/// What the wishes of the windows allow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stable {
    /// The smallest wish of the window of more tasks.
    up: Option<u32>,
    /// The greatest wish of the window of fewer tasks.
    down: Option<u32>,
}

impl Stable {
    /// What is left of a wish: more tasks than there are only when that was wished for all the window, and fewer so too.
    pub(super) fn of(self, base: u32, wish: u32) -> u32 {
        let up = self.up.map_or(wish, |low| wish.min(low));
        let down = self.down.map_or(wish, |high| wish.max(high));
        if base < up {
            up
        } else if base > down {
            down
        } else {
            base
        }
    }
}

/// Notes a wish, before it is stabilised, and says what the windows allow of it.
///
/// Before the first wish, and after a while in which nobody asked for anything, the count that there is was what was
/// wished for.
pub(super) fn wished(memory: &mut Memory, windows: &Stabilise, base: u32, wish: u32, now: Timestamp) -> Stable {
    let longest = windows.out.max(windows.inward);
    let before = memory.wishes.last().copied();
    memory.wishes.retain(|wished| is_within(wished.at, longest, now));
    if longest.duration().is_zero() || (wish == base && memory.wishes.is_empty()) {
        return Stable::default();
    }
    if before.is_none_or(|before| now.duration_since(before.at) > GAP) {
        note(&mut memory.wishes, base, longest, now);
    }
    let of = |window: Span| memory.wishes.iter().filter(move |w| is_within(w.at, window, now));
    // A window without any look is shorter than the time since the last one: what was wished for then lasted until now.
    let lasted = |window: Span| before.filter(|_| !window.duration().is_zero())?.last;
    let stable = Stable {
        up: of(windows.out).map(|w| w.low).min().or(lasted(windows.out)),
        down: of(windows.inward).map(|w| w.high).max().or(lasted(windows.inward)),
    };
    note(&mut memory.wishes, wish, longest, now);
    stable
}

fn note(wishes: &mut Vec<Wished>, wish: u32, longest: Span, now: Timestamp) {
    match wishes.last_mut().filter(|last| same_grain(last.at, now, longest)) {
        Some(last) => {
            *last = Wished {
                at: last.at.max(now),
                low: last.low.min(wish),
                high: last.high.max(wish),
                last: Some(wish),
            }
        }
        None => wishes.push(Wished {
            at: now,
            low: wish,
            high: wish,
            last: Some(wish),
        }),
    }
}

/// Forgets the changes that no period counts any more.
pub(super) fn tidy(memory: &mut Memory, limit: &Limit, now: Timestamp) {
    let periods = [&limit.out, &limit.inward];
    let longest = periods.into_iter().flatten().map(|period| period.per).max();
    let Some(longest) = longest else {
        memory.moves.clear();
        return;
    };
    memory.moves.retain(|moved| is_within(moved.at, longest, now));
    if memory.moves.len() <= MOVES {
        return;
    }
    let mut kept: Vec<Moved> = Vec::new();
    for moved in memory.moves.drain(..) {
        match kept.last_mut().filter(|last| same_grain(last.at, moved.at, longest)) {
            Some(last) => {
                *last = Moved {
                    at: last.at.max(moved.at),
                    added: last.added.saturating_add(moved.added),
                    removed: last.removed.saturating_add(moved.removed),
                }
            }
            None => kept.push(moved),
        }
    }
    memory.moves = kept;
}

/// What the limits leave of a change from `base` to `to`.
pub(super) fn limited(moves: &[Moved], limit: &Limit, base: u32, to: u32, now: Timestamp) -> u32 {
    let of = |period: &PerPeriod| {
        let recent = moves.iter().filter(|moved| is_within(moved.at, period.per, now));
        let (added, removed) = recent.fold((0_u32, 0_u32), |(added, removed), moved| {
            (added.saturating_add(moved.added), removed.saturating_add(moved.removed))
        });
        base.saturating_add(removed).saturating_sub(added)
    };
    if to > base {
        let Some(period) = &limit.out else { return to };
        let start = of(period);
        let tasks = period.tasks.map(|tasks| start.saturating_add(tasks));
        let percent = period.percent.map(|percent| steps::grown(start, percent));
        tasks.into_iter().chain(percent).fold(to, u32::min).max(base)
    } else {
        let Some(period) = &limit.inward else { return to };
        let start = of(period);
        let tasks = period.tasks.map(|tasks| start.saturating_sub(tasks));
        let percent = period.percent.map(|percent| steps::shrunk(start, percent));
        tasks.into_iter().chain(percent).fold(to, u32::max).min(base)
    }
}

/// Whether a time is in the window that ends now; its beginning is not part of it.
fn is_within(at: Timestamp, window: Span, now: Timestamp) -> bool {
    now.duration_since(at).unsigned_abs() < window.duration() || at > now
}

fn same_grain(one: Timestamp, other: Timestamp, longest: Span) -> bool {
    let grain = i64::try_from(longest.duration().as_secs() / GRAIN)
        .unwrap_or(i64::MAX)
        .max(1);
    one.as_second().div_euclid(grain) == other.as_second().div_euclid(grain)
}
