//! What Wharfinger decides, and why.
//!
//! This crate is pure: no async, no AWS types, no clock, no randomness. It cannot fail, only report. Facts, configuration
//! and the time come in; a plan and a report go out. The functions, the sweep and `wharfinger explain` all call the same
//! code, so what `explain` prints is what would be done.
//!
//! The map, in the order in which an event travels:
//!
//! | module | what it holds |
//! |---|---|
//! | [`event`] | tolerant types of what arrives, one file per source |
//! | [`ids`] | ARNs, image references, targets |
//! | [`config`] | `wharfinger.yaml`: its types, schema and validation |
//! | [`cron`] | times that repeat, in time zones |
//! | [`known`] | facts that may not have been looked up |
//! | [`ledger`] | the merge rules under which order and duplicates cannot matter |
//! | [`discovery`], [`scaling`], [`capacity`], [`delivery`], [`storage`] | one domain each: facts, plan, `decide` |
//! | [`guard`] | filters over a plan |
//! | [`report`] | why, or why not |

pub mod balancing;
pub mod capacity;
pub mod config;
pub mod cron;
pub mod delivery;
pub mod discovery;
pub mod endpoint;
pub mod event;
pub mod guard;
pub mod ids;
pub mod known;
pub mod ledger;
pub mod report;
pub mod scaling;
pub mod service;
pub mod storage;
