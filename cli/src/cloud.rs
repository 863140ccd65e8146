//! How the command reaches AWS.

use anyhow::{Context, bail};
use serde::Deserialize;
use wharfinger_cloud::aws::{self, Aws, NoCredentials, Tables};
use wharfinger_cloud::table::TableName;

use crate::args::Global;
use crate::output::warning;

/// Runs what waits for AWS.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime cannot be started")?.block_on(work)
}

/// The clients, for what needs no table.
pub(crate) async fn open() -> anyhow::Result<Aws> {
    let config = aws::load().await;
    if config.region().is_none() {
        bail!("no Region is set: set AWS_REGION, or AWS_PROFILE to a profile that has one");
    }
    aws::look_for_credentials(&config).await.map_err(no_credentials)?;
    let tables = Tables {
        config: String::new(),
        state: String::new(),
    };
    Ok(Aws::new(&config, tables).consistent())
}

/// The clients, with the tables that are needed, as the options or the stack name them.
pub(crate) async fn connect(global: &Global, needed: &[TableName]) -> anyhow::Result<Aws> {
    let mut tables = Tables {
        config: global.config_table.clone().unwrap_or_default(),
        state: global.state_table.clone().unwrap_or_default(),
    };
    let aws = open().await?.with_tables(tables.clone());
    let unknown = needed.iter().any(|table| name(&mut tables, *table).is_empty());
    if !unknown {
        return Ok(aws);
    }
    let stack = &global.stack;
    let outputs = aws.stack_outputs(stack).await.with_context(|| {
        format!(
            "the tables of the stack `{stack}` cannot be found: deploy it, name another with --stack, \
             or name the tables with WHARFINGER_CONFIG_TABLE and WHARFINGER_STATE_TABLE"
        )
    })?;
    for (table, key) in [
        (TableName::Config, "ConfigTableName"),
        (TableName::State, "StateTableName"),
    ] {
        let name = name(&mut tables, table);
        if name.is_empty() {
            let output = outputs.get(key);
            name.clone_from(
                output.with_context(|| {
                    format!("the stack `{stack}` has no output `{key}`: is it a stack of Wharfinger?")
                })?,
            );
        }
    }
    Ok(aws.with_tables(tables))
}

/// Without it the first call would tell, from the depth of what it was for.
fn no_credentials(error: NoCredentials) -> anyhow::Error {
    let told = match error {
        NoCredentials::None(_) => {
            "there are no AWS credentials: set AWS_PROFILE to a profile that has them, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
        }
        NoCredentials::Unusable(_) => {
            "the AWS credentials cannot be had: sign in again, or set AWS_PROFILE to another profile, or \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        }
    };
    anyhow::Error::new(error).context(told)
}

fn name(tables: &mut Tables, table: TableName) -> &mut String {
    match table {
        TableName::Config => &mut tables.config,
        TableName::State => &mut tables.state,
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CallerIdentity {
    get_caller_identity_result: CallerIdentityResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CallerIdentityResult {
    arn: String,
}

/// Who writes, for the record. That it cannot be told stops nobody.
pub(crate) async fn caller(aws: &Aws) -> String {
    match aws
        .raw()
        .query::<CallerIdentity>("sts", "2011-06-15", "GetCallerIdentity", &[])
        .await
    {
        Ok(answer) => answer.get_caller_identity_result.arn,
        Err(error) => {
            warning(format_args!("who does this is not recorded: {error}"));
            "unknown".to_owned()
        }
    }
}
