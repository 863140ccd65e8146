//! The config table as it is.

use anyhow::Context;
use wharfinger_cloud::store;
use wharfinger_cloud::table::Table;
use wharfinger_core::config::changes::Current;

use crate::output::warning;

/// Reads it whole; items that cannot be read are told and passed over.
pub(crate) async fn read(table: &impl Table) -> anyhow::Result<Current> {
    let stored = store::read(table).await.context("the config table cannot be read")?;
    for malformed in &stored.malformed {
        warning(malformed);
    }
    if stored.current.meta.applying {
        warning("the last apply was broken off: what is stored is part old, part new; apply again");
    }
    Ok(stored.current)
}
