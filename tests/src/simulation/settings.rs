//! What is asked of a history.

use super::client::Without;
use super::hosts::Size;

/// What kind of history it is, besides its seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command")]
pub struct Settings {
    /// A part of the design that is taken out.
    pub without: Option<Without>,
    /// Whether there are no target groups, no container instances, and nobody changes where tasks are registered.
    pub plain: bool,
    /// Whether counts move by alarms alone, with nothing that slows them down but cooldowns.
    pub alarms_only: bool,
    /// How large a cluster is whose instances go and come, in a history of nothing else.
    pub hosts: Option<Size>,
    /// Whether images go out as soon as they are pushed: no gates, no families, nobody who asks for anything.
    pub no_fleets: bool,
    /// Whether it is told what happens.
    pub trace: bool,
}
