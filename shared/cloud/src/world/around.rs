//! What is around services: rules and schedules that run tasks, the event bus, parameters, and how deployments are stopped.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use wharfinger_core::delivery::{Follower, Move};
use wharfinger_core::ids::Target;

use super::{ACCOUNT, Caller, Change, REGION, Rollout, World};
use crate::error::{CloudError, Kind};
use crate::ports::{Bus, Deployments, Followers, Moved, Notice, Parameters, Stopping};

/// Rules, schedules, events of ours and parameters.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Targets of rules as `ListTargetsByRule` answers them, and schedules as `GetSchedule` does.
    pub followers: BTreeMap<Follower, Value>,
    /// The events that were put, in order.
    pub notices: Vec<Notice>,
    /// The parameters, by name.
    pub parameters: BTreeMap<String, String>,
}

/// The ARN of the service deployment that a deployment of a service is.
pub(super) fn deployment_arn(target: &Target, id: &str) -> String {
    let id = id.trim_start_matches("ecs-svc/");
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service-deployment/{target}/{id}")
}

fn cluster(follower: &Follower, raw: &Value) -> Option<String> {
    let pointer = match follower {
        Follower::Rule { .. } => "/Arn",
        Follower::Schedule { .. } => "/Target/Arn",
    };
    raw.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

impl World {
    fn move_follower(&mut self, to: &Move) -> Result<Moved, CloudError> {
        let invalid = |kind, words| CloudError::new(to.operation(), kind, words);
        let known = self.around.followers.get_mut(&to.follower);
        let known = known.ok_or_else(|| invalid(Kind::NotFound, "no such rule or schedule"))?;
        let new = match &to.follower {
            Follower::Rule { .. } => to.input.pointer("/Targets/0"),
            Follower::Schedule { .. } => Some(&to.input),
        };
        *known = new.cloned().ok_or_else(|| invalid(Kind::Invalid, "no target"))?;
        self.did(Change::MoveFollower(to.clone()));
        Ok(Moved::Done)
    }

    /// As the circuit breaker does it: back to the last deployment that was completed.
    fn stop(&mut self, arn: &str) -> Stopping {
        let running = |(target, service): (&Target, &super::Service)| {
            let primary = service.primary().filter(|d| d.rollout == Rollout::InProgress)?;
            (deployment_arn(target, &primary.id) == arn).then(|| target.clone())
        };
        let Some(target) = self.services.iter().find_map(running) else {
            return Stopping::Refused(format!("{arn} does not run"));
        };
        let primary = |world: &Self| world.services.get(&target).and_then(|s| s.primary()).cloned();
        let before = primary(self);
        self.fail(&target);
        let Some(ended) = before.filter(|before| primary(self).as_ref() != Some(before)) else {
            return Stopping::Refused(format!("{arn} has nothing to go back to"));
        };
        self.did(Change::StopServiceDeployment { target, ended });
        Stopping::Asked
    }
}

impl Followers for Caller {
    async fn followers(&self, cluster_arn: &str) -> Result<Vec<(Follower, Value)>, CloudError> {
        let list = |world: &World| {
            let ours = |(f, raw): &(&Follower, &Value)| cluster(f, raw).as_deref() == Some(cluster_arn);
            let all = world.around.followers.iter().filter(ours);
            Ok(all.map(|(f, raw)| (f.clone(), raw.clone())).collect::<Vec<_>>())
        };
        let brief = |found: &Vec<_>| format!("{} follower(s)", found.len());
        self.read("ListRuleNamesByTarget", || cluster_arn.to_owned(), list, brief)
            .await
    }

    async fn move_follower(&self, to: &Move) -> Result<Moved, CloudError> {
        let argument = || format!("{} to {}", to.follower, to.to);
        let put = |world: &mut World| world.move_follower(to);
        self.write(to.operation(), argument, put, |made| format!("{made:?}"))
            .await
    }
}

impl Bus for Caller {
    async fn put_events(&self, notices: &[Notice]) -> Result<(), CloudError> {
        let put = |world: &mut World| {
            world.around.notices.extend_from_slice(notices);
            Ok(())
        };
        let argument = || {
            notices
                .iter()
                .map(|n| n.detail_type.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        self.write("PutEvents", argument, put, |()| "taken".to_owned()).await
    }
}

impl Parameters for Caller {
    async fn put_parameter(&self, name: &str, value: &str) -> Result<(), CloudError> {
        let put = |world: &mut World| {
            world.around.parameters.insert(name.to_owned(), value.to_owned());
            Ok(())
        };
        self.write(
            "PutParameter",
            || format!("{name}={value}"),
            put,
            |()| "made".to_owned(),
        )
        .await
    }

    async fn parameter(&self, name: &str) -> Result<Option<String>, CloudError> {
        let get = |world: &World| Ok(world.around.parameters.get(name).cloned());
        let brief = |found: &Option<String>| found.clone().unwrap_or_else(|| "none".to_owned());
        self.read("GetParameter", || name.to_owned(), get, brief).await
    }
}

impl Deployments for Caller {
    async fn stop_service_deployment(&self, arn: &str) -> Result<Stopping, CloudError> {
        let stop = |world: &mut World| Ok(world.stop(arn));
        self.write(
            "StopServiceDeployment",
            || arn.to_owned(),
            stop,
            |made| format!("{made:?}"),
        )
        .await
    }

    async fn sent_to(&self, service: &Target, since: Timestamp) -> Result<Vec<String>, CloudError> {
        let list = |world: &World| {
            let all = world.services.get(service).map(|s| s.sent_to.as_slice());
            let began = all.unwrap_or_default().iter().filter(|(began, _)| *began >= since);
            Ok(began.map(|(_, definition)| definition.clone()).collect())
        };
        let brief = |found: &Vec<String>| format!("{} deployment(s)", found.len());
        self.read("ListServiceDeployments", || service.to_string(), list, brief)
            .await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use jiff::Timestamp;
    use serde_json::json;
    use wharfinger_core::delivery::{Follow, follow};

    use super::*;
    use crate::ports::Services;

    #[test]
    fn a_follower_moves_once() {
        let cluster = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/prod");
        let arn = |n: u32| format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/report:{n}");
        let target = json!({ "Arn": cluster, "EcsParameters": { "TaskDefinitionArn": arn(1) } });
        let schedule = Follower::Schedule {
            group: "default".into(),
            name: "nightly".into(),
        };
        let rule = Follower::Rule {
            bus: "default".into(),
            rule: "r".into(),
            id: "1".into(),
        };
        let mut world = World::new(Timestamp::UNIX_EPOCH);
        world
            .around
            .followers
            .insert(schedule, json!({ "Name": "nightly", "Target": target.clone() }));
        world.around.followers.insert(rule, target);
        let world = world.shared();
        let caller = Caller::direct(&world, "test");
        for expected in [2, 0] {
            let found = caller.followers(&cluster).now_or_never().unwrap().unwrap();
            let moves = found
                .iter()
                .filter_map(|(f, raw)| match follow(f, raw, &cluster, &arn(2)) {
                    Follow::Moves(to) => Some(to),
                    _ => None,
                });
            let moves: Vec<_> = moves.collect();
            assert_eq!(moves.len(), expected);
            for to in moves {
                let answer = caller.move_follower(&to).now_or_never().unwrap();
                assert_eq!(answer, Ok(Moved::Done));
            }
        }
    }

    #[test]
    fn a_deployment_is_stopped_while_it_runs() {
        let target = Target::service("prod", "web");
        let mut world = World::new(Timestamp::UNIX_EPOCH);
        let define = json!({ "family": "web", "containerDefinitions": [{ "name": "web" }] });
        let (old, new) = (world.define(&define).unwrap(), world.define(&define).unwrap());
        world.make_service(&target, &old, 0, false);
        world.complete(&target);
        let world = world.shared();
        let caller = Caller::direct(&world, "test");
        let describe = || {
            let found = caller
                .describe_services("prod", &["web".into()])
                .now_or_never()
                .unwrap();
            found.unwrap().remove("web").unwrap()
        };
        assert_eq!(describe().current_service_deployment, None);
        let change = crate::ports::ServiceChange::TaskDefinition(new);
        caller.update_service(&target, &change).now_or_never().unwrap().unwrap();
        let arn = describe().current_service_deployment.unwrap();
        let stop = || caller.stop_service_deployment(&arn).now_or_never().unwrap().unwrap();
        assert_eq!(stop(), Stopping::Asked);
        assert_eq!(describe().task_definition, old);
        assert!(matches!(stop(), Stopping::Refused(_)));
    }
}
