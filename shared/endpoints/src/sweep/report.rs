//! What a pass found.

use serde::Serialize;
use serde_json::{Value, json};
use wharfinger_cloud::Fault;
use wharfinger_core::endpoint::Member;

use super::Sweep;
use crate::{Cloud, Side};

/// How many planned calls a dry run answers: the answer of a function is limited to 6 MB
/// (Lambda developer guide, "Lambda quotas").
const MOST_PLANNED: usize = 1_000;

/// How full a registry or target group is.
#[derive(Debug, Serialize)]
pub(super) struct Collection {
    pub id: String,
    pub members: usize,
    pub quota: usize,
}

/// What was found, in numbers, and in a dry run the calls that it would make.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Tasks that ECS listed.
    pub tasks: usize,
    /// Tasks that were not listed as they should be.
    pub missing: usize,
    /// Members whose task is proved gone.
    pub ghosts: usize,
    /// Tasks that run, whose target is not configured any more.
    pub unconfigured: usize,
    pub collections: Vec<Collection>,
    pub planned: Vec<(&'static str, Value)>,
}

impl<C: Cloud, S: Side<C>> Sweep<'_, S, C, S::Member> {
    /// Ends the pass and answers what it found.
    pub(super) async fn finish(self) -> Result<Value, Fault> {
        let found = self.found.into_inner();
        let planned = found.planned.iter().take(MOST_PLANNED);
        let planned: Vec<_> = planned
            .map(|(call, input)| json!({ "call": call, "input": input }))
            .collect();
        let answer = json!({
            "domain": S::Member::DOMAIN,
            "dry-run": self.scope.dry_run,
            "tasks": found.tasks,
            "missing": found.missing,
            "ghosts": found.ghosts,
            "unconfigured": found.unconfigured,
            "collections": found.collections,
            "planned": planned,
        });
        let pass = self.pass.into_inner();
        if self.scope.dry_run || self.scope.target.is_some() {
            // It says nothing of the whole, so the age of the last good pass stays what it is.
            pass.result()?;
            return Ok(answer);
        }
        let metrics = [
            ("SweptTasks", found.tasks),
            ("MissingEndpoints", found.missing),
            ("GhostEndpoints", found.ghosts + found.unconfigured),
        ];
        pass.finish(self.cloud, &metrics).await?;
        Ok(answer)
    }
}
