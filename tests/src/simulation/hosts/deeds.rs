//! What happens to instances without a function's doing.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::world::World;
use wharfinger_core::capacity::InstanceStatus;

use super::Hosts;
use crate::simulation::history::History;
use crate::simulation::scenario::beginning;

/// Something that happens to an instance.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// Its group ends it: an instance refresh.
    Terminate(String),
    /// Its group replaces its root volume: an instance refresh too.
    ReplaceRoot(String),
    /// Spot says that it takes it back, and what it does with it.
    SpotWarns(String, &'static str),
    /// Spot takes it.
    SpotTakes(String),
    /// Spot stops it.
    SpotStops(String),
    /// Spot starts it again.
    SpotStarts(String),
    /// Spot may take it back.
    Rebalance(String),
    /// Its agent loses its connection.
    Silence(String),
    /// Its agent is connected again.
    Speaks(String),
    /// AWS Health tells of a reboot so many seconds after the beginning.
    RebootTold(String, u64),
    /// The reboot is so near that it is to be drained.
    RebootNear(String),
    /// It is rebooted.
    RebootBegins(String),
    /// It runs again.
    RebootEnds(String, u64),
    /// Somebody drains it.
    DrainByHand(String),
    /// Somebody pauses capacity, until so many seconds after the beginning.
    Pause(u64),
}

/// What is to happen, as it is drawn.
#[derive(Debug, Default)]
pub(super) struct Deeds(Vec<(Timestamp, Deed)>);

impl Deeds {
    /// Something happens so many seconds after the beginning.
    pub(super) fn at(&mut self, seconds: u64, deed: Deed) {
        self.0.push((time(seconds), deed));
    }

    /// In order of time.
    pub(super) fn sorted(mut self) -> VecDeque<(Timestamp, Deed)> {
        self.0.sort_by_key(|(at, _)| *at);
        self.0.into()
    }
}

fn time(seconds: u64) -> Timestamp {
    let after = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or_default());
    beginning().saturating_add(after).unwrap_or(Timestamp::MAX)
}

impl History {
    /// Whatever is due happens.
    pub(super) fn do_deeds(&mut self) {
        let now = self.now();
        while self.hosts.deeds.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, deed)) = self.hosts.deeds.pop_front() {
                self.say(|_| format!("{deed:?}"));
                if let Some(name) = deed.name() {
                    self.tally.deed(name);
                }
                self.do_deed(&deed, now);
            }
        }
    }

    fn do_deed(&mut self, deed: &Deed, now: Timestamp) {
        let world = &mut *self.world.borrow_mut();
        let book = &mut self.hosts.book;
        match deed {
            Deed::Terminate(id) => {
                book.asked(id, now);
                world.terminate(id);
            }
            Deed::ReplaceRoot(id) => {
                book.asked(id, now);
                world.replace_root_volume(id);
            }
            Deed::SpotWarns(id, action) => {
                book.asked(id, now);
                world.warn_of_spot(id, action);
            }
            Deed::SpotTakes(id) => {
                book.dies(world, id, "Spot took it");
                world.lose_machine(id);
            }
            Deed::SpotStops(id) => {
                book.dies(world, id, "Spot stopped it");
                book.silent.insert(id.clone(), now);
                world.set_running(id, false);
            }
            Deed::SpotStarts(id) => {
                book.stays(id, now);
                book.silent.remove(id);
                world.set_running(id, true);
            }
            Deed::Rebalance(id) => {
                if self.hosts.rule.rebalance {
                    book.asked(id, now);
                }
                world.recommend_rebalance(id);
            }
            _ => self.hosts.do_other(world, deed, now),
        }
    }
}

impl Hosts {
    /// What befalls agents, hosts that are rebooted, and what people do.
    fn do_other(&mut self, world: &mut World, deed: &Deed, now: Timestamp) {
        let book = &mut self.book;
        match deed {
            Deed::Silence(id) => {
                book.silent.insert(id.clone(), now);
                world.set_agent(id, false);
            }
            Deed::Speaks(id) => {
                book.silent.remove(id);
                world.set_agent(id, true);
            }
            Deed::RebootTold(id, starts) => world.schedule_reboot(id, time(*starts), false),
            Deed::RebootNear(id) => book.asked(id, now),
            Deed::RebootBegins(id) => {
                book.dies(world, id, "it was rebooted");
                book.silent.insert(id.clone(), now);
                world.reboot(id);
            }
            Deed::RebootEnds(id, starts) => {
                book.stays(id, now);
                book.silent.remove(id);
                world.set_agent(id, true);
                world.schedule_reboot(id, time(*starts), true);
            }
            Deed::DrainByHand(id) => {
                book.by_hand.insert(id.clone());
                let arn = world.machine(id).map(|(arn, _)| arn.clone());
                if let Some(arn) = arn {
                    world.set_instance_state(&arn, InstanceStatus::Draining);
                }
            }
            Deed::Pause(until) => {
                let until = time(*until);
                self.pause = Some((now, until));
                self.rule.store(world, Some(until));
            }
            _ => {}
        }
    }
}

impl Deed {
    /// What it counts as.
    fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Terminate(_) => "instance refreshed",
            Self::ReplaceRoot(_) => "root volume replaced",
            Self::SpotWarns(..) => "Spot interruption warning",
            Self::SpotTakes(_) => "instance taken by Spot",
            Self::SpotStops(_) => "instance stopped by Spot",
            Self::SpotStarts(_) => "instance started by Spot",
            Self::Rebalance(_) => "rebalance recommendation",
            Self::Silence(_) => "agent disconnected",
            Self::Speaks(_) => "agent connected again",
            Self::RebootTold(..) => "reboot told by AWS Health",
            // Time only.
            Self::RebootNear(_) => return None,
            Self::RebootBegins(_) => "instance rebooted",
            Self::RebootEnds(..) => "reboot over",
            Self::DrainByHand(_) => "instance drained by somebody",
            Self::Pause(_) => "capacity paused",
        })
    }
}
