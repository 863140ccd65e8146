//! How Wharfinger reaches out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ports`] | what is needed of the world, named by need; generic code talks to these only |
//! | [`table`] | the port to the two DynamoDB tables |
//! | [`aws`] | the ports on the real AWS |
//! | [`world`] | the ports on a world in memory, behind the feature of that name |
//! | [`config`] | one look-up per event in the config table, cached |
//! | [`store`] | the config table as the command reads and writes it: whole |
//! | [`ledger`] | one conditional write per event in the state table |
//! | [`lease`] | who may write on a service, with fencing |
//! | [`images`] | what a digest stands for, and the scans of that |
//! | [`active`] | what a domain looks at every minute |
//! | [`pace`] | how fast the whole account may be asked: token buckets |
//! | [`pipeline`] | decide, guard, apply, confirm, history: once, for every domain |
//! | [`sweep`] | one pass over everything, whose parts fail alone |
//! | [`history`], [`telemetry`] | what is told of a decision |
//! | [`mod@env`], [`start`] | how a function starts |

pub mod active;
pub mod aws;
pub mod config;
pub mod env;
pub mod error;
pub mod history;
pub mod images;
pub mod lease;
pub mod ledger;
pub mod pace;
pub mod pipeline;
pub mod ports;
pub mod start;
pub mod store;
pub mod sweep;
pub mod table;
pub mod telemetry;
#[cfg(feature = "world")]
pub mod world;

pub use error::{CloudError, Fault, Kind};
