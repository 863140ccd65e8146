//! The command as people run it: what it prints where, and its exit codes. Nothing here reaches the real AWS.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod access_points;
mod aws;
mod backtest;
mod capacity;
mod corpus;
mod draining;
mod endpoints;
mod events;
mod explain;
mod files;
mod folder;
mod gates;
mod online;
mod rollouts;
mod services;
mod storage;
mod tags;
