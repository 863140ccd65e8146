//! How the command reaches AWS.

use anyhow::{Context, bail};
use wharfinger_cloud::aws::{self, Aws, Tables};

use crate::args::Global;

/// Runs what waits for AWS.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime cannot be started")?.block_on(work)
}

/// The clients, with the tables that the options or the stack name.
pub(crate) async fn connect(global: &Global) -> anyhow::Result<Aws> {
    let config = aws::load().await;
    if config.region().is_none() {
        bail!("no Region is set: set AWS_REGION, or AWS_PROFILE to a profile that has one");
    }
    let named = |config: &str, state: &str| Tables {
        config: config.to_owned(),
        state: state.to_owned(),
    };
    let aws = Aws::new(&config, named("", "")).consistent();
    if let (Some(config), Some(state)) = (&global.config_table, &global.state_table) {
        return Ok(aws.with_tables(named(config, state)));
    }
    let stack = &global.stack;
    let outputs = aws.stack_outputs(stack).await.with_context(|| {
        format!(
            "the tables of the stack `{stack}` cannot be found: deploy it, name another with --stack, \
             or name the tables with WHARFINGER_CONFIG_TABLE and WHARFINGER_STATE_TABLE"
        )
    })?;
    let output = |key: &str, given: &Option<String>| match given.as_ref().or(outputs.get(key)) {
        Some(name) => Ok(name.clone()),
        None => bail!("the stack `{stack}` has no output `{key}`: is it a stack of Wharfinger?"),
    };
    let tables = Tables {
        config: output("ConfigTableName", &global.config_table)?,
        state: output("StateTableName", &global.state_table)?,
    };
    Ok(aws.with_tables(tables))
}
