//! `wharfinger diff FILE`

use std::path::PathBuf;

use wharfinger_cloud::table::TableName;
use wharfinger_core::config::changes::compare;

use crate::args::Global;
use crate::difference::Difference;
use crate::output::{Verdict, show};
use crate::{cloud, input, table};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration; `-` for standard input.
    #[arg(default_value = "wharfinger.yaml")]
    file: PathBuf,
    /// Compare as if what is not in the file were to go.
    #[arg(long)]
    prune: bool,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let document = input::valid_document(&args.file)?;
    let stored = cloud::block_on(async { table::read(&cloud::connect(global, &[TableName::Config]).await?).await })?;
    let difference = Difference::of(&compare(&stored, &document, args.prune)?)?;
    show(global.output, &difference)?;
    Ok(if difference.differs() {
        Verdict::Found
    } else {
        Verdict::Fine
    })
}
