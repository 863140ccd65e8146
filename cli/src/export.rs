//! `wharfinger export`

use wharfinger_cloud::table::TableName;
use wharfinger_core::config::changes::document;

use crate::args::{Format, Global};
use crate::output::{Verdict, show_json, write};
use crate::{cloud, table, yaml};

pub(crate) fn run(global: &Global) -> anyhow::Result<Verdict> {
    let stored = cloud::block_on(async { table::read(&cloud::connect(global, &[TableName::Config]).await?).await })?;
    let document = document(&stored);
    match global.output {
        Format::Json => show_json(&document)?,
        Format::Text => {
            let text = yaml::text(&document)?;
            write(|out| out.write_all(text.as_bytes()))?;
        }
    }
    Ok(Verdict::Fine)
}
