//! `explain` of tasks that join target groups, and of tasks that share the network of their instance.

use serde_json::{Value, json};

use crate::events::task;
use crate::folder::Folder;

const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/73e2d6bc24d8a067";
const CONTAINER_INSTANCE: &str = "arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/1";

fn folder(discovery: &str, balancing: &str) -> Folder {
    let folder = Folder::new();
    let domains = [("discovery", discovery), ("balancing", balancing)];
    let domains = domains.iter().filter(|(_, entry)| !entry.is_empty());
    let domains: Vec<_> = domains
        .map(|(domain, entry)| format!("    {domain}:\n      - {{ {entry} }}\n"))
        .collect();
    folder.write(
        "w.yaml",
        &format!("version: 1\nservices:\n  prod/web:\n{}", domains.concat()),
    );
    folder
}

fn explain(folder: &Folder, event: &Value, facts: &Value) -> Value {
    folder.write_json("facts.json", facts);
    let (code, answer) = folder.explain(event, &["--facts", "facts.json"]);
    assert_eq!(code, 0);
    answer
}

fn calls(answer: &Value) -> Vec<&str> {
    let actions = answer["actions"].as_array().unwrap();
    actions.iter().map(|action| action["call"].as_str().unwrap()).collect()
}

/// A task on the network of its instance, with its port 8080 bound there.
fn shared() -> Value {
    let mut event = task(5, "RUNNING", "service:web");
    event["detail"]["attachments"] = json!([]);
    event["detail"]["containerInstanceArn"] = json!(CONTAINER_INSTANCE);
    event["detail"]["containers"][0]["networkBindings"] =
        json!([{ "bindIP": "0.0.0.0", "containerPort": 8080, "hostPort": 49153, "protocol": "tcp" }]);
    event
}

fn groups(target_type: &str) -> Value {
    let group = json!({ "TargetGroupName": "web", "TargetGroupArn": GROUP, "TargetType": target_type });
    json!({ "TargetGroups": [group] })
}

#[test]
fn a_task_joins_its_registry_and_its_target_group_in_one_answer() {
    let folder = folder("to: srv-abc, port: 8080", "target-group: web, port: 8080");
    let event = task(5, "RUNNING", "service:web");
    let answer = explain(&folder, &event, &json!({}));
    assert_eq!(calls(&answer), ["RegisterInstance", "RegisterTargets"]);
    let input = &answer["actions"][1]["input"];
    assert_eq!(
        *input,
        json!({ "TargetGroupArn": "${DescribeTargetGroups:web}", "Targets": [{ "Id": "10.0.0.5", "Port": 8080 }] })
    );
    assert_eq!(
        (&answer["outcome"], &answer["missing"]),
        (&json!("act"), &json!(["DescribeTargetGroups"]))
    );
    let answer = explain(&folder, &event, &json!({ "DescribeTargetGroups": groups("ip") }));
    assert_eq!(answer["actions"][1]["input"]["TargetGroupArn"], GROUP);
    assert_eq!(answer["missing"], json!([]));
    let leaves = task(6, "STOPPED", "service:web");
    let answer = explain(&folder, &leaves, &json!({ "DescribeTargetGroups": groups("ip") }));
    assert_eq!(calls(&answer), ["DeregisterInstance", "DeregisterTargets"]);
}

#[test]
fn one_domain_acts_while_the_other_waits() {
    let folder = folder(
        "to: srv-abc, port: 8080, when: healthy",
        "target-group: web, port: 8080",
    );
    let answer = explain(&folder, &task(5, "RUNNING", "service:web"), &json!({}));
    assert_eq!(
        (&answer["outcome"], calls(&answer)),
        (&json!("act"), vec!["RegisterTargets"])
    );
    assert_eq!(answer["missing"], json!(["DescribeTasks", "DescribeTargetGroups"]));
}

#[test]
fn a_group_that_is_not_there_or_of_another_type_is_told() {
    let folder = folder("", "target-group: web, port: 8080");
    let told = |groups: Value| {
        let answer = explain(
            &folder,
            &task(5, "RUNNING", "service:web"),
            &json!({ "DescribeTargetGroups": groups }),
        );
        (answer["outcome"].clone(), answer["reasons"][0]["code"].clone())
    };
    assert_eq!(
        told(json!({ "TargetGroups": [] })),
        (json!("wait"), json!("TargetGroupUnresolved"))
    );
    assert_eq!(told(groups("lambda")), (json!("wait"), json!("TargetGroupMismatch")));
    assert_eq!(told(groups("instance")), (json!("wait"), json!("NoAddress")));
}

#[test]
fn a_target_without_entries_is_not_configured() {
    let folder = Folder::new();
    folder.write("w.yaml", "version: 1\nservices:\n  prod/web: {}\n");
    let (code, answer) = folder.explain(&task(5, "RUNNING", "service:web"), &[]);
    assert_eq!((code, &answer["outcome"]), (0, &json!("ignore")));
    assert_eq!(answer["reasons"][0]["code"], "NotConfigured");
}

#[test]
fn an_instance_is_looked_up_for_its_address_and_only_its_id_for_a_group_of_instances() {
    let registry = folder("to: srv-abc, port: 8080", "");
    let missing = explain(&registry, &shared(), &json!({}))["missing"].clone();
    assert_eq!(missing, json!(["DescribeContainerInstances", "DescribeInstances"]));
    let mut facts = json!({ "DescribeContainerInstances": { "containerInstances": [
        { "containerInstanceArn": CONTAINER_INSTANCE, "ec2InstanceId": "i-1" },
    ], "failures": [] } });
    assert_eq!(
        explain(&registry, &shared(), &facts)["missing"],
        json!(["DescribeInstances"])
    );

    let group = folder("", "target-group: web, port: 8080");
    facts["DescribeTargetGroups"] = groups("instance");
    let answer = explain(&group, &shared(), &facts);
    assert_eq!(
        answer["actions"][0]["input"]["Targets"],
        json!([{ "Id": "i-1", "Port": 49153 }])
    );

    facts["DescribeInstances"] = json!({ "Reservations": [{ "Instances": [
        { "InstanceId": "i-1", "PrivateIpAddress": "10.0.0.9", "PublicIpAddress": "203.0.113.9" },
    ] }] });
    let answer = explain(&registry, &shared(), &facts);
    let attributes = &answer["actions"][0]["input"]["Attributes"];
    assert_eq!(
        (&attributes["AWS_INSTANCE_IPV4"], &attributes["AWS_INSTANCE_PORT"]),
        (&json!("10.0.0.9"), &json!("49153"))
    );
    assert_eq!(answer["missing"], json!([]));
}

#[test]
fn a_machine_outside_of_ec2_is_found_in_systems_manager() {
    let folder = folder("to: srv-abc, port: 8080", "");
    let mut facts = json!({ "DescribeContainerInstances": { "containerInstances": [
        { "containerInstanceArn": CONTAINER_INSTANCE, "ec2InstanceId": "mi-1" },
    ] } });
    assert_eq!(
        explain(&folder, &shared(), &facts)["missing"],
        json!(["DescribeInstanceInformation"])
    );
    facts["DescribeInstanceInformation"] =
        json!({ "InstanceInformationList": [{ "InstanceId": "mi-1", "IPAddress": "192.168.1.9" }] });
    let answer = explain(&folder, &shared(), &facts);
    assert_eq!(
        answer["actions"][0]["input"]["Attributes"]["AWS_INSTANCE_IPV4"],
        "192.168.1.9"
    );
}

#[test]
fn a_public_address_is_that_of_the_network_interface() {
    let folder = folder("to: srv-abc, port: 8080, address: public", "");
    let mut event = task(5, "RUNNING", "service:web");
    let details = event["detail"]["attachments"][0]["details"].as_array_mut().unwrap();
    details.push(json!({ "name": "networkInterfaceId", "value": "eni-1" }));
    assert_eq!(
        explain(&folder, &event, &json!({}))["missing"],
        json!(["DescribeNetworkInterfaces"])
    );
    let with = |interface: Value| {
        let facts = json!({ "DescribeNetworkInterfaces": { "NetworkInterfaces": [interface] } });
        explain(&folder, &event, &facts)
    };
    let answer = with(json!({ "NetworkInterfaceId": "eni-1", "Association": { "PublicIp": "203.0.113.5" } }));
    assert_eq!(
        answer["actions"][0]["input"]["Attributes"]["AWS_INSTANCE_IPV4"],
        "203.0.113.5"
    );
    let none = with(json!({ "NetworkInterfaceId": "eni-1" }));
    assert_eq!(none["reasons"][0]["code"], "NoAddress");
}

#[test]
fn records_that_the_entry_cannot_have_are_told_from_the_facts() {
    let folder = folder("to: shop.local/web", "");
    let facts = json!({
        "ListNamespaces": { "Namespaces": [{ "Id": "ns-1", "Name": "shop.local" }] },
        "ListServices": { "Services": [
            { "Id": "srv-7", "Name": "web", "DnsConfig": { "DnsRecords": [{ "Type": "SRV", "TTL": 60 }] } },
        ] },
    });
    let answer = explain(&folder, &task(5, "RUNNING", "service:web"), &facts);
    assert_eq!(answer["reasons"][0]["code"], "RegistryMismatch");
}

#[test]
fn check_refuses_what_the_facts_say_that_ecs_manages() {
    let folder = folder("to: shop.local/web, port: 8080", "target-group: web, port: 8080");
    let service = json!({
        "serviceArn": "arn:aws:ecs:eu-west-1:111122223333:service/prod/web", "status": "ACTIVE",
        "loadBalancers": [{ "targetGroupArn": GROUP, "containerName": "web", "containerPort": 8080 }],
        "serviceRegistries": [{ "registryArn": "arn:aws:servicediscovery:eu-west-1:111122223333:service/srv-7" }],
    });
    let mut facts = json!({ "DescribeServices": { "services": [service] } });
    folder.write_json("facts.json", &facts);
    let group = "w.yaml:7:25: ECS registers the tasks of prod/web in `web` itself (loadBalancers): two owners of one target \
                 fight over it; take this entry out, or that of the ECS service (in services.prod/web.balancing[0].target-group)\n";
    let ran = folder.run(&["check", "w.yaml", "--facts", "facts.json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains(group), "{ran:?}");
    assert!(!ran.out.contains("w.yaml:5"), "{ran:?}");

    facts["ListNamespaces"] = json!({ "Namespaces": [{ "Id": "ns-1", "Name": "shop.local" }] });
    facts["ListServices"] = json!({ "Services": [{ "Id": "srv-7", "Name": "web" }] });
    folder.write_json("facts.json", &facts);
    let ran = folder.run(&["check", "w.yaml", "--facts", "facts.json", "--output", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let errors = report["problems"].as_array().unwrap().iter();
    let lines: Vec<_> = errors
        .filter(|problem| problem["severity"] == "error")
        .map(|problem| problem["line"].as_u64().unwrap())
        .collect();
    assert_eq!((ran.code, &report["valid"], lines), (1, &json!(false), vec![5, 7]));

    folder.write_json("facts.json", &json!({ "DescribeServices": { "services": [] } }));
    assert_eq!(folder.run(&["check", "w.yaml", "--facts", "facts.json"]).code, 0);
}
