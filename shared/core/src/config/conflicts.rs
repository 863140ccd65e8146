//! What of a document cannot work with what its names mean, or with what ECS does for the services itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::stored::{Resolved, registry_id};
use super::{Balancing, Discovery, Document, Entry, Path, Problem};
use crate::balancing::TargetType;
use crate::delivery::{containers, untaken};
use crate::discovery::mismatch;
use crate::event::text;
use crate::ids::{Arn, Target};
use crate::service::Attached;

/// Everything that cannot work. What is not known conflicts with nothing.
pub fn conflicts(document: &Document, names: &Resolved, attached: &BTreeMap<Target, Attached>) -> Vec<Problem> {
    let mut found = Vec::new();
    for entry in document.entries() {
        let target = Target::parse(entry.kind, &entry.name).ok();
        let attached = target.as_ref().and_then(|target| attached.get(target));
        for (i, discovery) in entry.config.discovery.iter().enumerate() {
            let path = entry.path.at("discovery").at(i).at("to");
            found.extend(of_registry(path, &entry.name, discovery, names, attached));
        }
        for (i, balancing) in entry.config.balancing.iter().enumerate() {
            let path = entry.path.at("balancing").at(i).at("target-group");
            found.extend(of_group(path, &entry.name, balancing, names, attached));
        }
    }
    found
}

/// The containers that an entry names, or whose images its rules take, and that the revision which it runs (the answer of
/// `DescribeTaskDefinition`) does not have. They only surprise: the next revision may have them.
pub fn without_containers(entry: &Entry, answer: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    let config = &entry.config;
    let Ok(containers) = containers(answer) else {
        return found;
    };
    let has: Vec<_> = containers.iter().map(|c| format!("`{}`", c.name)).collect();
    let discovery = config.discovery.iter().map(|one| one.container.as_ref());
    let balancing = config.balancing.iter().map(|one| one.container.as_ref());
    let named = (discovery.enumerate().map(|(i, name)| ("discovery", i, name)))
        .chain(balancing.enumerate().map(|(i, name)| ("balancing", i, name)));
    for (key, i, name) in named {
        let Some(name) = name.filter(|name| containers.iter().all(|c| c.name != **name)) else {
            continue;
        };
        let message = format!(
            "the task definition of {} has no container `{name}`: it has {}",
            entry.name,
            has.join(", ")
        );
        found.push(Problem::warning(entry.path.at(key).at(i).at("container"), message));
    }
    let untaken = untaken(&config.delivery, answer).into_iter();
    found.extend(untaken.filter_map(|(i, why)| {
        let key = match config.delivery.get(i)?.container {
            Some(_) => "container",
            None => "repository",
        };
        Some(Problem::warning(entry.path.at("delivery").at(i).at(key), why))
    }));
    found
}

/// The volumes that an entry names and that the revision which it runs (the answer of `DescribeTaskDefinition`) does not leave
/// to its launch: ECS makes an EBS volume for no other (ECS API reference, `Volume`). They only surprise, likewise.
pub fn without_volumes(entry: &Entry, answer: &Value) -> Vec<Problem> {
    let volumes = answer.pointer("/taskDefinition/volumes").and_then(Value::as_array);
    let volumes = volumes.map(Vec::as_slice).unwrap_or_default().iter();
    let at_launch = volumes.filter(|volume| volume.get("configuredAtLaunch").and_then(Value::as_bool) == Some(true));
    let has: Vec<_> = at_launch.filter_map(|volume| text(volume, "name")).collect();
    let volumes = entry.config.storage.iter().enumerate();
    let volumes = volumes.map(|(i, storage)| (entry.path.at("storage").at(i), &storage.volume));
    let stateful = entry.config.stateful.iter();
    let volumes = volumes.chain(stateful.map(|stateful| (entry.path.at("stateful"), &stateful.volume)));
    let missing = volumes.filter(|(_, volume)| !has.contains(&volume.as_str()));
    let told = |(path, volume): (Path, &String)| {
        let quoted: Vec<_> = has.iter().map(|name| format!("`{name}`")).collect();
        let others = if has.is_empty() {
            "no other".to_owned()
        } else {
            quoted.join(", ")
        };
        let message = format!(
            "the task definition of {} has no volume `{}` with `configuredAtLaunch`, so ECS makes no EBS volume for it: it \
             has {others}",
            entry.name, volume
        );
        Problem::warning(path.at("volume"), message)
    };
    missing.map(told).collect()
}

/// Every service with `scaling` whose count Application Auto Scaling moves too: the function leaves it alone.
pub fn scaled_elsewhere(document: &Document, scalable: &BTreeSet<Target>) -> Vec<Problem> {
    let entries = document.entries().filter(|entry| entry.config.scaling.is_some());
    let both = entries.filter(|entry| {
        let target = Target::parse(entry.kind, &entry.name);
        target.is_ok_and(|target| scalable.contains(&target))
    });
    both.map(|entry| {
        let name = &entry.name;
        let message = format!(
            "Application Auto Scaling moves the count of {name} too, and two undo each other's changes: take this out, or \
             deregister it there: aws application-autoscaling deregister-scalable-target --service-namespace ecs \
             --scalable-dimension ecs:service:DesiredCount --resource-id service/{name}"
        );
        Problem::error(entry.path.at("scaling"), message)
    })
    .collect()
}

fn of_registry(
    path: Path,
    service: &str,
    entry: &Discovery,
    names: &Resolved,
    attached: Option<&Attached>,
) -> Option<Problem> {
    let known = names.registries.get(&entry.to);
    if let Some(message) = known.and_then(|registry| mismatch(entry, registry)) {
        return Some(Problem::error(path, message));
    }
    let id = known
        .map(|registry| registry.id.as_str())
        .or_else(|| registry_id(&entry.to))?;
    let own = attached?.registries.iter().any(|arn| last(arn) == last(id));
    own.then(|| {
        let message = format!(
            "ECS registers the tasks of {service} in `{}` itself (serviceRegistries, or Service Connect): each task would \
             be there twice, and two owners would remove it; take this entry out, or that of the ECS service",
            entry.to
        );
        Problem::error(path, message)
    })
}

fn of_group(
    path: Path,
    service: &str,
    entry: &Balancing,
    names: &Resolved,
    attached: Option<&Attached>,
) -> Option<Problem> {
    let name = &entry.target_group;
    let known = names.target_groups.get(name);
    if known.is_some_and(|group| group.target_type == TargetType::Other) {
        let message = format!(
            "the targets of `{name}` are no tasks: take a target group of type `ip` or `instance`, which this one is not"
        );
        return Some(Problem::error(path, message));
    }
    let attached = attached?;
    let arn = known.map_or(name.as_str(), |group| group.arn.as_str());
    let is_it = |owned: &String| owned == arn || (!arn.starts_with("arn:") && group_name(owned) == Some(arn));
    if attached.target_groups.iter().any(is_it) {
        let message = format!(
            "ECS registers the tasks of {service} in `{name}` itself (loadBalancers): two owners of one target fight over \
             it; take this entry out, or that of the ECS service"
        );
        return Some(Problem::error(path, message));
    }
    let by_instance = known.is_some_and(|group| group.target_type == TargetType::Instance);
    (by_instance && attached.awsvpc).then(|| {
        let message = format!(
            "`{name}` takes instances, and the tasks of {service} have network interfaces of their own (`awsvpc`): none \
             can join; take a target group of type `ip`"
        );
        Problem::warning(path, message)
    })
}

/// The name in a target group's ARN: `…:targetgroup/NAME/ID`.
#[must_use]
pub fn group_name(arn: &str) -> Option<&str> {
    let arn = Arn::parse(arn).filter(|arn| arn.service == "elasticloadbalancing")?;
    arn.resource.strip_prefix("targetgroup/")?.split('/').next()
}

/// The `srv-…` of an ARN, or the text itself.
fn last(arn_or_id: &str) -> &str {
    arn_or_id.rsplit('/').next().unwrap_or(arn_or_id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::balancing::TargetGroup;
    use crate::config::stored::{Record, Registry};

    const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/73e2d6bc24d8a067";
    const REGISTRY: &str = "arn:aws:servicediscovery:eu-west-1:111122223333:service/srv-1";

    fn document() -> Document {
        let web = json!({
            "discovery": [{ "to": "srv-1" }, { "to": "shop.local/web" }],
            "balancing": [{ "target-group": "web", "port": 80 }, { "target-group": GROUP, "port": 81 }],
        });
        let document = json!({ "version": 1, "services": { "prod/web": web.clone(), "prod/api": web } });
        serde_json::from_value(document).unwrap()
    }

    fn told(names: &Resolved, attached: &Attached) -> Vec<String> {
        let attached = BTreeMap::from([(Target::service("prod", "web"), attached.clone())]);
        let found = conflicts(&document(), names, &attached);
        found
            .into_iter()
            .map(|p| format!("{}: {}", p.path, p.message))
            .collect()
    }

    #[test]
    fn what_ecs_registers_itself_is_refused_by_name_by_id_and_by_arn() {
        let attached = Attached::parse(&json!({
            "loadBalancers": [{ "targetGroupArn": GROUP }],
            "serviceRegistries": [{ "registryArn": REGISTRY }],
        }));
        let told = told(&Resolved::default(), &attached);
        let paths: Vec<_> = told
            .iter()
            .filter_map(|line| line.split_once(": ").map(|(path, _)| path))
            .collect();
        assert_eq!(
            paths,
            [
                "services.prod/web.discovery[0].to",
                "services.prod/web.balancing[0].target-group",
                "services.prod/web.balancing[1].target-group",
            ]
        );
        assert!(
            told[0].contains("serviceRegistries") && told[1].contains("loadBalancers"),
            "{told:?}"
        );
    }

    #[test]
    fn a_name_is_compared_by_what_it_means() {
        let attached = Attached::parse(&json!({
            "loadBalancers": [{ "targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:2:targetgroup/api/1" }],
            "serviceRegistries": [{ "registryArn": REGISTRY.replace("srv-1", "srv-2") }],
        }));
        let mut names = Resolved::default();
        names.registries.insert("shop.local/web".into(), Registry::of("srv-2"));
        let told = told(&names, &attached);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("services.prod/web.discovery[1].to: "), "{told:?}");
    }

    #[test]
    fn a_count_that_application_auto_scaling_moves_too_is_refused() {
        let scaling = json!({ "scaling": { "min": 1, "max": 2 } });
        let document =
            json!({ "version": 1, "services": { "prod/web": scaling.clone(), "prod/api": scaling, "prod/db": {} } });
        let document = serde_json::from_value(document).unwrap();
        let scalable = ["web", "db", "other"].map(|name| Target::service("prod", name));
        let told = scaled_elsewhere(&document, &scalable.into());
        let told: Vec<_> = told.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("services.prod/web.scaling: Application Auto Scaling moves"),
            "{told:?}"
        );
        assert!(told[0].ends_with("--resource-id service/prod/web"), "{told:?}");
    }

    #[test]
    fn a_group_of_instances_takes_no_task_with_an_interface_of_its_own() {
        for (target_type, awsvpc, expected) in [
            (TargetType::Instance, true, 2),
            (TargetType::Instance, false, 0),
            (TargetType::Ip, true, 0),
        ] {
            let mut names = Resolved::default();
            let arn = GROUP.to_owned();
            for name in ["web", GROUP] {
                let arn = arn.clone();
                names
                    .target_groups
                    .insert(name.into(), TargetGroup { arn, target_type });
            }
            let attached = Attached {
                awsvpc,
                ..Attached::default()
            };
            let told = told(&names, &attached);
            assert_eq!(told.len(), expected, "{told:?}");
            assert!(told.iter().all(|line| line.contains("takes instances")), "{told:?}");
        }
    }

    #[test]
    fn records_and_types_that_do_not_fit_are_refused() {
        let mut names = Resolved::default();
        let registry = Registry {
            records: vec![Record::Srv],
            ..Registry::of("srv-2")
        };
        names.registries.insert("shop.local/web".into(), registry);
        let group = TargetGroup {
            arn: GROUP.into(),
            target_type: TargetType::Other,
        };
        names.target_groups.insert("web".into(), group);
        let told = told(&names, &Attached::default());
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[0].contains("SRV records, which need a port"), "{told:?}");
        assert!(told[1].contains("are no tasks"), "{told:?}");
    }
}
