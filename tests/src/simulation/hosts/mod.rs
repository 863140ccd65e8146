//! Histories of a cluster's instances: an instance refresh, a Spot storm, agents that flap, hosts that are dead, reboots, an
//! instance that somebody drains. Capacity, discovery and balancing run in them side by side, on hundreds of tasks.
//!
//! Which instance goes, when and why is drawn before (`plan`); ECS and the Auto Scaling groups take their turn every few
//! seconds (`ecs`); the checks keep a book of what is true of each instance (`book`), and hold every order of a function
//! against it (`checks`).

mod book;
mod checks;
mod deeds;
mod ecs;
mod numbers;
mod places;
mod plan;
mod play;
mod quiet;

use std::collections::VecDeque;

use jiff::Timestamp;

pub use numbers::Numbers;

use book::Book;
use deeds::Deed;
use places::Places;

/// How large a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Container instances.
    pub instances: u32,
    /// Tasks.
    pub tasks: u32,
}

impl Size {
    /// Of the headline.
    pub const FULL: Self = Self {
        instances: 100,
        tasks: 1_000,
    };

    /// Of many histories.
    pub const SMALL: Self = Self {
        instances: 12,
        tasks: 60,
    };
}

/// What only a history of instances has.
#[derive(Debug, Default)]
pub struct Hosts {
    /// Whether the world is still being made: no time passes.
    beginning: bool,
    /// What is to happen, the next first.
    deeds: VecDeque<(Timestamp, Deed)>,
    /// When ECS and the groups take their next turn.
    next_turn: Timestamp,
    /// The turns that were taken.
    turns: u64,
    /// What was configured.
    rule: plan::Rule,
    /// From when until when capacity is paused.
    pause: Option<(Timestamp, Timestamp)>,
    book: Book,
    places: Places,
}

impl Hosts {
    /// How much of the time that calls take passes.
    pub(super) fn pace(&self) -> i64 {
        i64::from(!self.beginning)
    }
}
