//! What runs tasks on a schedule: EventBridge and EventBridge Scheduler.

use serde_json::{Value, json};
use wharfinger_core::delivery::{Follower, Move};

use super::Aws;
use super::events::{TARGET, all_taken};
use crate::error::{CloudError, Kind};
use crate::ports::{Followers, Moved};

impl Followers for Aws {
    async fn followers(&self, cluster_arn: &str) -> Result<Vec<(Follower, Value)>, CloudError> {
        let mut found = self.targets(cluster_arn).await?;
        found.extend(self.schedules(cluster_arn).await?);
        Ok(found)
    }

    async fn move_follower(&self, to: &Move) -> Result<Moved, CloudError> {
        let operation = to.operation();
        match &to.follower {
            Follower::Rule { .. } => {
                let call = self.raw.json("events", TARGET, operation, &to.input);
                match self.within(operation, call).await {
                    Ok(answer) => all_taken(operation, "FailedEntries", &answer).map(|()| Moved::Done),
                    Err(error) if error.code.as_deref() == Some("ManagedRuleException") => {
                        Ok(Moved::Managed(error.message))
                    }
                    Err(error) => Err(error),
                }
            }
            Follower::Schedule { name, .. } => {
                // It is in the path.
                let mut body = to.input.clone();
                body.as_object_mut().map(|fields| fields.shift_remove("Name"));
                let path = ["schedules", name.as_str()];
                let call = self.raw.rest("scheduler", operation, "PUT", &path, &[], Some(&body));
                self.within(operation, call).await.map(|_| Moved::Done)
            }
        }
    }
}

impl Aws {
    /// The pages of an operation of EventBridge: the lists of that name, one after the other.
    async fn pages(&self, operation: &'static str, body: &Value, list: &str) -> Result<Vec<Value>, CloudError> {
        let (mut found, mut body) = (Vec::new(), body.clone());
        loop {
            let call = self.raw.json("events", TARGET, operation, &body);
            let mut answer = self.within(operation, call).await?;
            found.extend(take(&mut answer, list));
            match answer.get("NextToken").filter(|token| token.is_string()) {
                Some(token) => body["NextToken"] = token.clone(),
                None => return Ok(found),
            }
        }
    }

    async fn targets(&self, cluster_arn: &str) -> Result<Vec<(Follower, Value)>, CloudError> {
        let body = json!({ "TargetArn": cluster_arn });
        let mut found = Vec::new();
        for rule in self.pages("ListRuleNamesByTarget", &body, "RuleNames").await? {
            let Some(name) = rule.as_str() else { continue };
            let targets = self
                .pages("ListTargetsByRule", &json!({ "Rule": name }), "Targets")
                .await;
            for target in or_gone(targets)?.unwrap_or_default() {
                let Some(id) = text(&target, "Id") else { continue };
                let (bus, rule) = ("default".to_owned(), name.to_owned());
                found.push((Follower::Rule { bus, rule, id }, target));
            }
        }
        Ok(found)
    }

    async fn schedules(&self, cluster_arn: &str) -> Result<Vec<(Follower, Value)>, CloudError> {
        const OPERATION: &str = "ListSchedules";
        let (mut found, mut next) = (Vec::new(), None::<String>);
        loop {
            let query = [("MaxResults", Some("100")), ("NextToken", next.as_deref())];
            let call = self
                .raw
                .rest("scheduler", OPERATION, "GET", &["schedules"], &query, None);
            let mut answer = self.within(OPERATION, call).await?;
            for summary in take(&mut answer, "Schedules") {
                if summary.pointer("/Target/Arn").and_then(Value::as_str) != Some(cluster_arn) {
                    continue;
                }
                let (Some(name), Some(group)) = (text(&summary, "Name"), text(&summary, "GroupName")) else {
                    let words = "a schedule without its name or group";
                    return Err(CloudError::new(OPERATION, Kind::Unreadable, words));
                };
                let schedule = or_gone(self.schedule(&group, &name).await)?;
                found.extend(schedule.map(|schedule| (Follower::Schedule { group, name }, schedule)));
            }
            next = text(&answer, "NextToken");
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    async fn schedule(&self, group: &str, name: &str) -> Result<Value, CloudError> {
        const OPERATION: &str = "GetSchedule";
        let (path, query) = (["schedules", name], [("groupName", Some(group))]);
        let call = self.raw.rest("scheduler", OPERATION, "GET", &path, &query, None);
        self.within(OPERATION, call).await
    }
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned)
}

fn take(answer: &mut Value, list: &str) -> Vec<Value> {
    match answer.get_mut(list).map(Value::take) {
        Some(Value::Array(found)) => found,
        _ => Vec::new(),
    }
}

/// What was listed a moment ago and is gone now follows no more.
fn or_gone<T>(answer: Result<T, CloudError>) -> Result<Option<T>, CloudError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
