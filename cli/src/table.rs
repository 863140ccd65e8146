//! The config table as it is.

#[cfg(test)]
pub(crate) mod busy;

use anyhow::{Context, bail};
use wharfinger_cloud::store::{self, Written};
use wharfinger_cloud::table::Table;
use wharfinger_core::config::changes::{Current, Transaction};

use crate::output::{note, warning};

/// How often a write begins anew when others come between.
pub(crate) const ATTEMPTS: usize = 5;

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

/// Plans and writes, and begins anew when someone else wrote between: what was planned and the version now.
pub(crate) async fn write<P>(
    table: &impl Table,
    plan: impl Fn(&Current) -> anyhow::Result<P>,
    transactions: impl Fn(&P) -> &[Transaction],
) -> anyhow::Result<(P, u64)> {
    for _ in 0..ATTEMPTS {
        let stored = read(table).await?;
        let plan = plan(&stored)?;
        let transactions = transactions(&plan);
        let written = store::write(table, transactions).await;
        match written.context("the config table cannot be written")? {
            Written::All => {
                let version = transactions
                    .last()
                    .map_or(stored.meta.version, |last| last.meta.version);
                return Ok((plan, version));
            }
            Written::Overtaken(_) => note("someone else applied at the same moment: comparing again"),
        }
    }
    bail!("someone else kept applying: {ATTEMPTS} times the table changed between reading and writing; apply again")
}
