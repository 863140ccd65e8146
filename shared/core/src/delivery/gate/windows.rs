//! `windows`: stretches of time in which rollouts may begin, or may not.
//!
//! A window begins when its pattern fires and lasts for so many hours by any clock: `for: 24h` over a change to summer time
//! ends an hour later on the wall. Its first moment is in it, the one at which it ends no more. Where one begins before the
//! last has ended, both go on. A freeze goes over whatever is allowed.

use jiff::Timestamp;

use super::Closed;
use crate::config::{Span, Window, Windows};
use crate::cron::{Cron, CronError};
use crate::report::{Code, Reason};

/// How many ends and beginnings are looked at for the next opening: a freeze of every weekday's hours for well over a year.
/// What does not open within as many opens, as far as can be told, never.
const LOOKED_AT: usize = 1_000;

/// Closed within a freeze, and outside of what is allowed; `until` is when both have an end. A window that cannot be read
/// keeps it closed.
pub fn windows(windows: &Windows, now: Timestamp) -> Option<Closed> {
    let both = read(&windows.freeze).and_then(|freeze| Ok((freeze, read(&windows.allow)?)));
    let (freeze, allow) = match both {
        Ok(read) => read,
        Err(error) => {
            let reason = Reason::new(Code::ConfigMalformed, format!("`windows`: {error}"));
            return Some(Closed::until(None, reason));
        }
    };
    let why = if let Some((stretch, end)) = last_to_end(&freeze, now) {
        format!("frozen by {} until {end}", stretch.name())
    } else if outside(&allow, now) {
        let names: Vec<_> = allow.iter().map(Stretch::name).collect();
        format!("outside of {}", names.join(" and "))
    } else {
        return None;
    };
    let until = opening(&freeze, &allow, now);
    let opens = until.map_or_else(
        || "as far as can be told they never may".to_owned(),
        |until| format!("they may at {until}"),
    );
    let message = format!("rollouts may not begin now: {why}; {opens}");
    Some(Closed::until(until, Reason::new(Code::WindowClosed, message)))
}

/// A window that was read.
struct Stretch<'a> {
    cron: Cron,
    lasts: Span,
    window: &'a Window,
}

fn read(windows: &[Window]) -> Result<Vec<Stretch<'_>>, CronError> {
    let read = windows.iter().map(|window| {
        Ok(Stretch {
            cron: Cron::parse(&window.cron, window.timezone.as_deref())?,
            lasts: window.lasts,
            window,
        })
    });
    read.collect()
}

impl Stretch<'_> {
    /// When the window in which a time is ends. Of those that overlap it is the one that began last, since all last as long.
    fn end(&self, time: Timestamp) -> Option<Timestamp> {
        let began = self.cron.last_before(time)?;
        let end = began.saturating_add(self.lasts.duration()).unwrap_or(Timestamp::MAX);
        Some(end).filter(|end| time < *end)
    }

    fn name(&self) -> String {
        let zone = self.window.timezone.as_deref().unwrap_or("UTC");
        format!("`{}` ({zone}) for {}", self.window.cron, self.lasts)
    }
}

/// Of the windows in which a time is the one that ends last.
fn last_to_end<'s, 'w>(stretches: &'s [Stretch<'w>], time: Timestamp) -> Option<(&'s Stretch<'w>, Timestamp)> {
    let within = stretches
        .iter()
        .filter_map(|stretch| Some((stretch, stretch.end(time)?)));
    within.max_by_key(|(_, end)| *end)
}

fn outside(allow: &[Stretch<'_>], time: Timestamp) -> bool {
    !allow.is_empty() && last_to_end(allow, time).is_none()
}

/// The first time from this one on at which rollouts may begin.
fn opening(freeze: &[Stretch<'_>], allow: &[Stretch<'_>], mut time: Timestamp) -> Option<Timestamp> {
    for _ in 0..LOOKED_AT {
        time = if let Some((_, end)) = last_to_end(freeze, time) {
            end
        } else if outside(allow, time) {
            allow.iter().filter_map(|stretch| stretch.cron.next_after(time)).min()?
        } else {
            return Some(time);
        };
    }
    None
}

#[cfg(test)]
mod tests;
