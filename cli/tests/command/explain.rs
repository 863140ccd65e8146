//! `explain`: its JSON, and its exit codes.

use std::path::Path;

use serde_json::{Value, json};

use crate::events::{TASK, alarm, event, push, replication, scan, service, task};
use crate::folder::{CONFIG, Folder};

pub(crate) fn codes(answer: &Value) -> Vec<&str> {
    answer["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["code"].as_str().unwrap())
        .collect()
}

#[test]
fn explain_tells_of_a_joining_and_of_a_leaving_task() {
    let folder = Folder::new();
    let (code, answer) = folder.explain(&task(5, "RUNNING", "service:web"), &[]);
    assert_eq!(code, 0);
    assert_eq!(
        answer["event"],
        json!({ "kind": "ECS Task State Change", "target": "prod/web", "version": 5 })
    );
    assert_eq!((&answer["outcome"], &answer["missing"]), (&json!("act"), &json!([])));
    let action = &answer["actions"][0];
    assert_eq!(action["call"], "RegisterInstance");
    assert_eq!(action["input"]["ServiceId"], "srv-abc");
    assert_eq!(action["input"]["InstanceId"], "0123456789abcdef0123456789abcdef-8080");
    let attributes = &action["input"]["Attributes"];
    assert_eq!(
        (&attributes["AWS_INSTANCE_IPV4"], &attributes["version"]),
        (&json!("10.0.0.5"), &json!("1.4.0"))
    );
    assert_eq!(attributes["WHARFINGER_OWNER"], "wharfinger");
    assert_eq!(
        answer.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["event", "outcome", "actions", "reasons", "missing"]
    );

    let (code, answer) = folder.explain(&task(6, "STOPPED", "service:web"), &["--stack", "mine"]);
    assert_eq!((code, &answer["outcome"]), (0, &json!("act")));
    assert_eq!(answer["actions"][0]["call"], "DeregisterInstance");
    assert_eq!(
        answer["actions"][0]["input"],
        json!({ "ServiceId": "srv-abc", "InstanceId": "0123456789abcdef0123456789abcdef-8080" })
    );
}

#[test]
fn explain_tells_a_call_whose_registry_is_only_named() {
    let folder = Folder::new();
    folder.write("w.yaml", &CONFIG.replace("srv-abc", "shop.local/web"));
    let (_, answer) = folder.explain(&task(5, "RUNNING", "service:web"), &[]);
    assert_eq!(
        answer["actions"][0]["input"]["ServiceId"],
        "${ListServices:shop.local/web}"
    );
    assert_eq!(answer["missing"], json!(["ListNamespaces", "ListServices"]));
    let listed = |namespaces: Value, services: Value| {
        let facts = json!({ "ListNamespaces": { "Namespaces": namespaces }, "ListServices": { "Services": services } });
        folder.write_json("facts.json", &facts);
        folder
            .explain(&task(5, "RUNNING", "service:web"), &["--facts", "facts.json"])
            .1
    };
    let namespaces = json!([{ "Id": "ns-1", "Name": "shop.local" }]);
    let known = listed(
        namespaces.clone(),
        json!([{ "Id": "srv-7", "Name": "web" }, { "Id": "srv-8", "Name": "api" }]),
    );
    assert_eq!(
        (&known["actions"][0]["input"]["ServiceId"], &known["missing"]),
        (&json!("srv-7"), &json!([]))
    );
    for unknown in [
        listed(namespaces, json!([])),
        listed(json!([]), json!([{ "Id": "srv-7", "Name": "web" }])),
    ] {
        assert_eq!(
            (&unknown["outcome"], codes(&unknown)),
            (&json!("wait"), vec!["RegistryUnresolved"])
        );
    }
}

#[test]
fn explain_calls_a_registry_in_its_sentences_what_the_configuration_calls_it() {
    let folder = Folder::new();
    folder.write("w.yaml", &CONFIG.replace("srv-abc", "shop.local/web"));
    let (_, answer) = folder.explain(&task(5, "RUNNING", "service:web"), &[]);
    let id = "0123456789abcdef0123456789abcdef-8080";
    assert_eq!(answer["reasons"][0]["message"], format!("{id} joins in shop.local/web"));
    let ran = folder.run(&["explain", "event.json", "--config", "w.yaml"]);
    assert!(
        ran.out
            .contains("\nnot known: supply ListNamespaces, ListServices with --facts FILE\n"),
        "{ran:?}"
    );
}

#[test]
fn explain_heads_its_answer_with_the_facts_that_are_missing() {
    let folder = Folder::new();
    let text = |event: &Value, more: &[&str]| {
        folder.write_json("event.json", event);
        let ran = folder.run(&[&["explain", "event.json", "--config", "w.yaml"], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    };
    let missing = text(&alarm(), &[]);
    assert!(
        missing.contains("\nwait: facts are missing: supply DescribeServices with --facts FILE\n"),
        "{missing}"
    );
    assert!(
        missing.ends_with(
            "\nFILE is one JSON object, { \"DescribeServices\": … }, each answer as `aws … --output json` prints it\n"
        ),
        "{missing}"
    );
    // Where no fact is missing, or none would help, none is asked for.
    let mut rolling = service();
    rolling["deployments"][0]["rolloutState"] = json!("IN_PROGRESS");
    rolling["deployments"][0]["createdAt"] = json!("2026-01-31T09:50:00Z");
    folder.write_json("facts.json", &json!({ "DescribeServices": { "services": [rolling] } }));
    folder.write(
        "w.yaml",
        &CONFIG.replace("rules:", "during-deployment: hold\n      rules:"),
    );
    let sweep = event("Scheduled Event", "aws.events", &[], &json!({}));
    for told in [text(&alarm(), &["--facts", "facts.json"]), text(&sweep, &[])] {
        assert!(told.contains("\nwait: something must come first\n"), "{told}");
        assert!(!told.contains("--facts"), "{told}");
    }
}

#[test]
fn explain_names_the_file_the_operation_and_the_element_of_a_fact_that_it_cannot_use() {
    let folder = Folder::new();
    let refused = |event: &Value, facts: &Value| {
        folder.write_json("event.json", event);
        folder.write_json("facts.json", facts);
        let ran = folder.run(&["explain", "event.json", "--config", "w.yaml", "--facts", "facts.json"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(!ran.err.contains("event"), "{ran:?}");
        ran.err
    };
    let alarms = json!([{ "AlarmName": "other" }, { "AlarmName": "web-cpu" }]);
    let facts = json!({ "DescribeAlarms": { "MetricAlarms": alarms } });
    assert_eq!(
        refused(&alarm(), &facts),
        "error: facts.json: DescribeAlarms: MetricAlarms[1]: `StateValue` is missing or no text\n"
    );
    let joins = task(5, "RUNNING", "service:web");
    let facts = json!({ "DescribeTasks": [{ "tasks": [] }, { "tasks": [{ "taskArn": TASK, "clusterArn": "c" }] }] });
    assert_eq!(
        refused(&joins, &facts),
        "error: facts.json: DescribeTasks[1]: tasks[0]: `version` is missing or no whole number\n"
    );
    let facts = json!({ "DescribeServices": { "services": [{ "serviceArn": service()["serviceArn"] }] } });
    assert_eq!(
        refused(&alarm(), &facts),
        "error: facts.json: DescribeServices: services[0]: `status` or `desiredCount` is missing\n"
    );
    let image = json!({ "repositoryName": "shop/web", "imageDigest": "sha256:ab" });
    let facts = json!({ "DescribeImages": { "imageDetails": [image] } });
    let told = refused(&push(), &facts);
    assert!(
        told.starts_with("error: facts.json: DescribeImages: imageDetails[0]: `imageDigest`: "),
        "{told}"
    );
}

#[test]
fn explain_takes_a_replicated_image_for_a_push() {
    let (code, answer) = Folder::new().explain(&replication(), &[]);
    let (pushed, push) = Folder::new().explain(&push(), &[]);
    assert_eq!(
        (code, answer["event"]["kind"].as_str()),
        (0, Some("ECR Replication Action"))
    );
    assert_eq!(pushed, 0);
    for key in ["outcome", "actions", "reasons", "missing"] {
        assert_eq!(answer[key], push[key], "{key}");
    }
    assert_eq!(answer["outcome"], "wait");
    let mut failed = replication();
    failed["detail"]["result"] = json!("FAILED");
    failed["detail"]["image-digest"] = json!("sha256:short");
    let (code, answer) = Folder::new().explain(&failed, &[]);
    assert_eq!(
        (code, &answer["outcome"], &answer["reasons"][0]["code"]),
        (0, &json!("ignore"), &json!("NotAPush"))
    );
}

#[test]
fn explain_says_what_the_end_of_a_scan_resumes() {
    let told = |config: &str, status: &str| {
        let folder = Folder::new();
        folder.write("w.yaml", config);
        let (code, answer) = folder.explain(&scan(status), &[]);
        assert_eq!((code, &answer["outcome"]), (0, &json!("ignore")), "{answer}");
        assert_eq!(answer["reasons"][0]["code"], "NothingWaiting");
        answer["reasons"][0]["message"].as_str().unwrap().to_owned()
    };
    let waits = CONFIG.replace("tags: {", "scan: { block: HIGH }, tags: {");
    assert_eq!(
        told(CONFIG, "COMPLETE"),
        "no delivery rule of prod/web waits for a scan"
    );
    assert_eq!(told(&waits, "FAILED"), "the scan of an image of shop/web has not ended");
    assert_eq!(
        told(&waits, "COMPLETE"),
        "no push that prod/web wants is known here: `DescribeImages` among the facts tells of pushes"
    );
}

#[test]
fn explain_passes_over_what_asks_for_nothing_and_says_why() {
    for (kind, source, code) in [
        ("ECR Referrer Action", "aws.ecr", "NotAnImage"),
        ("ECR Scan Resource Change", "aws.ecr", "NotAPush"),
        ("Inspector2 Finding", "aws.inspector2", "NotAPush"),
    ] {
        let (exit, answer) = Folder::new().explain(&event(kind, source, &[], &json!({})), &[]);
        let reason = &answer["reasons"][0]["code"];
        assert_eq!(
            (exit, &answer["outcome"], reason),
            (0, &json!("ignore"), &json!(code)),
            "{kind}"
        );
        assert_eq!(answer["event"]["kind"], kind);
    }
}

#[test]
fn explain_warns_of_facts_that_it_does_not_read() {
    let folder = Folder::new();
    folder.write_json("event.json", &alarm());
    folder.write_json(
        "facts.json",
        &json!({ "DescribeService": {}, "DescribeServices": service() }),
    );
    let ran = folder.run(&["explain", "event.json", "--config", "w.yaml", "--facts", "facts.json"]);
    assert_eq!(
        ran.err,
        "warning: facts.json: `DescribeService` is not an operation that is asked for here\n\
         warning: facts.json: DescribeServices: an answer of this has `services` or `failures`, this one has not\n"
    );
}

#[test]
fn explain_tells_of_a_stale_task_when_the_facts_are_newer() {
    let folder = Folder::new();
    let described = |version: u32| task(version, "STOPPED", "service:web")["detail"].clone();
    let facts = |name: &str, answers: &Value| {
        folder.write_json(name, &json!({ "DescribeTasks": answers }));
        folder.explain(&task(5, "RUNNING", "service:web"), &["--facts", name]).1
    };
    let newer = facts("one.json", &json!({ "tasks": [described(9)], "failures": [] }));
    assert_eq!(
        (&newer["outcome"], codes(&newer)),
        (&json!("stale"), vec!["StaleEvent"])
    );
    assert_eq!(newer["actions"], json!([]));
    let several = facts(
        "several.json",
        &json!([{ "tasks": [] }, { "tasks": [described(4), described(9)] }]),
    );
    assert_eq!(several["outcome"], "stale");
    let older = facts("older.json", &json!({ "tasks": [described(4)] }));
    assert_eq!(older["outcome"], "act");
}

#[test]
fn explain_names_the_facts_that_it_lacks_and_takes_them() {
    let folder = Folder::new();
    let (code, answer) = folder.explain(&alarm(), &[]);
    assert_eq!(
        (code, &answer["outcome"], &answer["missing"]),
        (0, &json!("wait"), &json!(["DescribeServices"]))
    );
    let facts = json!({
        "DescribeServices": { "services": [service()], "failures": [] },
        "DescribeTaskDefinition": { "tags": [], "taskDefinition": {
            "taskDefinitionArn": service()["taskDefinition"], "family": "shop-web", "revision": 3, "status": "ACTIVE",
            "containerDefinitions": [
                { "name": "web", "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.4.0", "memory": 128 },
            ],
        } },
    });
    folder.write_json("facts.json", &facts);
    let (_, answer) = folder.explain(&alarm(), &["--facts", "facts.json"]);
    let update = json!({ "cluster": "prod", "service": "web", "desiredCount": 4 });
    assert_eq!(answer["actions"], json!([{ "call": "UpdateService", "input": update }]));

    let (_, answer) = folder.explain(&push(), &["--facts", "facts.json"]);
    let calls: Vec<_> = answer["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| &action["call"])
        .collect();
    assert_eq!(calls, ["RegisterTaskDefinition", "UpdateService"]);
    let image = &answer["actions"][0]["input"]["containerDefinitions"][0]["image"];
    assert!(
        image
            .as_str()
            .unwrap()
            .ends_with(&format!("shop/web@sha256:{}", "7f".repeat(32))),
        "{image}"
    );
}

#[test]
fn explain_asks_for_confirmation_of_a_late_alarm() {
    let folder = Folder::new();
    folder.write("w.yaml", &CONFIG.replace("target: 60", "add: 1"));
    folder.write_json(
        "facts.json",
        &json!({ "DescribeServices": { "services": [service()] } }),
    );
    let more = ["--facts", "facts.json", "--now", "2026-01-31T10:30:00Z"];
    let (_, late) = folder.explain(&alarm(), &more);
    assert_eq!(
        (&late["outcome"], &late["missing"]),
        (&json!("wait"), &json!(["DescribeAlarms"]))
    );
    let described = |value: &str, timestamp: &str| {
        let described = json!({
            "AlarmName": "web-cpu", "StateValue": value, "StateUpdatedTimestamp": timestamp, "Threshold": 50.0,
            "StateReasonData": json!({ "recentDatapoints": [90.0] }).to_string(),
        });
        let answers = json!({
            "DescribeServices": { "services": [service()] }, "DescribeAlarms": { "MetricAlarms": [described], "CompositeAlarms": [] },
        });
        folder.write_json("facts.json", &answers);
        folder.explain(&alarm(), &more).1
    };
    let same = described("ALARM", "2026-01-31T09:59:59.989000+00:00");
    assert_eq!(same["actions"][0]["input"]["desiredCount"], 3);
    let over = described("OK", "2026-01-31T10:05:00Z");
    assert_eq!((&over["outcome"], codes(&over)), (&json!("stale"), vec!["StaleEvent"]));
}

#[test]
fn explain_ignores_what_is_not_configured() {
    let folder = Folder::new();
    let mut other = alarm();
    other["detail"]["alarmName"] = json!("unknown");
    for event in [
        task(1, "RUNNING", "service:wob"),
        task(1, "RUNNING", "family:shop-web"),
        other,
    ] {
        let (code, answer) = folder.explain(&event, &[]);
        assert_eq!((code, &answer["outcome"]), (0, &json!("ignore")), "{answer}");
        assert_eq!(codes(&answer), ["NotManaged"]);
    }
    let (_, answer) = folder.explain(&task(1, "RUNNING", "service:wob"), &[]);
    let message = answer["reasons"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("prod/wob") && message.contains("w.yaml") && message.contains("prod/web"),
        "{message}"
    );
}

#[test]
fn explain_needs_no_time_in_the_event() {
    let folder = Folder::new();
    for mut event in [task(5, "RUNNING", "service:web"), alarm()] {
        event.as_object_mut().unwrap().remove("time");
        let (code, answer) = folder.explain(&event, &[]);
        assert_eq!((code, &answer["event"]["target"]), (0, &json!("prod/web")), "{answer}");
    }
}

#[test]
fn explain_rejects_what_it_cannot_use_with_exit_code_1() {
    let folder = Folder::new();
    let mut no_version = task(1, "RUNNING", "service:web");
    no_version["detail"].as_object_mut().unwrap().remove("version");
    for (event, told) in [
        (
            event("EC2 Instance State-change Notification", "aws.ec2", &[], &json!({})),
            "EC2 Instance State-change Notification",
        ),
        (no_version, "detail.version"),
        (json!({ "hello": "world" }), "detail-type"),
        (json!([1, 2]), ""),
        (json!("text"), ""),
    ] {
        let (code, answer) = folder.explain(&event, &[]);
        assert_eq!((code, &answer["outcome"]), (1, &json!("rejected")), "{answer}");
        assert_eq!(
            (codes(&answer), &answer["actions"]),
            (vec!["EventRejected"], &json!([]))
        );
        assert!(
            answer["reasons"][0]["message"].as_str().unwrap().contains(told),
            "{answer}"
        );
    }
}

#[test]
fn explain_refuses_bad_files_with_exit_code_2() {
    let folder = Folder::new();
    folder.write_json("event.json", &task(1, "RUNNING", "service:web"));
    folder.write("bad.yaml", &CONFIG.replace("min: 1", "min: x"));
    folder.write("facts.json", "[1]");
    folder.write_json(
        "broken.json",
        &json!({ "DescribeTasks": { "tasks": [{ "taskArn": TASK }] } }),
    );
    let offline = |more: &[&str]| folder.run(&[&["explain", "event.json", "--config"], more].concat());
    for (more, told) in [
        (&["bad.yaml"][..], "bad.yaml:7:12: expected a whole number"),
        (&["bad.yaml"], "error: bad.yaml is not valid\n"),
        (&["nope.yaml"], "nope.yaml cannot be read"),
        (&["w.yaml", "--facts", "facts.json"], "names of AWS operations"),
        (&["w.yaml", "--facts", "broken.json"], "DescribeTasks"),
        (&["w.yaml", "--facts", "nope.json"], "nope.json cannot be read"),
        (&["w.yaml", "--now", "yesterday"], "2026-01-31T09:30:00Z"),
    ] {
        let ran = offline(more);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains(told), "{ran:?}");
    }
}

#[test]
fn explain_reads_standard_input_and_speaks_to_people() {
    let folder = Folder::new();
    let ran = folder.run_with(
        &["explain", "-", "--config", "w.yaml"],
        &task(5, "RUNNING", "service:web").to_string(),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.starts_with("ECS Task State Change, prod/web, version 5\nact: "),
        "{ran:?}"
    );
    // No colours where nobody sees them.
    assert!(!ran.out.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn the_example_events_are_explained_with_the_example_configurations() {
    let folder = Folder::new();
    let example = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let explained = |event: &str, config: &str| -> Value {
        let (event, config) = (example(event), example(config));
        let ran = folder.run(&[
            "explain",
            event.to_str().unwrap(),
            "--config",
            config.to_str().unwrap(),
            "--output",
            "json",
        ]);
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    };
    let answer = explained("task-starts.json", "shop.yaml");
    assert_eq!(answer["outcome"], "act", "{answer}");
    assert_eq!(answer["actions"][0]["call"], "RegisterInstance");
    let answer = explained("volume-attached.json", "storage.yaml");
    assert_eq!(
        (&answer["outcome"], &answer["missing"]),
        (&json!("wait"), &json!(["DescribeSnapshots"]))
    );
}

/// A deployment of `prod/web` moved.
fn deployment(name: &str, id: &str) -> Value {
    let detail = json!({
        "eventType": "INFO", "eventName": name, "deploymentId": id, "updatedAt": "2026-01-31T10:00:00Z",
        "reason": "ECS deployment circuit breaker: tasks failed to start.",
    });
    let service = "arn:aws:ecs:eu-west-1:111122223333:service/prod/web";
    event("ECS Deployment State Change", "aws.ecs", &[service], &detail)
}

#[test]
fn explain_does_not_roll_out_again_what_a_failed_deployment_brought() {
    let folder = Folder::new();
    let image = |tag: &str| format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/web{tag}");
    let digest = format!("sha256:{}", "7f".repeat(32));
    let definition = |revision: u32, image: String| {
        json!({ "tags": [], "taskDefinition": {
            "taskDefinitionArn": format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-web:{revision}"),
            "family": "shop-web", "revision": revision, "status": "ACTIVE",
            "containerDefinitions": [{ "name": "web", "image": image, "memory": 128 }],
        } })
    };
    let runs = definition(3, image(":1.4.0"));
    let mut back = service();
    let mut failed = back["deployments"][0].clone();
    failed["id"] = json!("ecs-svc/2");
    failed["status"] = json!("ACTIVE");
    failed["rolloutState"] = json!("FAILED");
    failed["taskDefinition"] = definition(4, String::new())["taskDefinition"]["taskDefinitionArn"].clone();
    back["deployments"].as_array_mut().unwrap().push(failed);
    let pushed = json!({
        "registryId": "111122223333", "repositoryName": "shop/web", "imageDigest": digest, "imageTags": ["1.5.0"],
        "imagePushedAt": "2026-01-31T09:30:00Z",
    });
    let check = |id: &str, definitions: &[Value], code: &str, missing: &[&str]| {
        let facts = json!({
            "DescribeServices": { "services": [back] },
            "DescribeTaskDefinition": definitions,
            "DescribeImages": { "imageDetails": [pushed] },
        });
        folder.write_json("facts.json", &facts);
        let event = deployment("SERVICE_DEPLOYMENT_FAILED", id);
        let (_, answer) = folder.explain(&event, &["--facts", "facts.json"]);
        assert_eq!(
            (&answer["actions"], codes(&answer)[0], &answer["missing"]),
            (&json!([]), code, &json!(missing)),
            "{answer}"
        );
    };
    let brought = definition(4, image(&format!("@{digest}")));
    check("ecs-svc/2", &[runs.clone(), brought], "RolledBack", &[]);
    check(
        "ecs-svc/2",
        std::slice::from_ref(&runs),
        "FactsMissing",
        &["DescribeTaskDefinition"],
    );
    check("ecs-svc/9", &[runs], "FactsMissing", &["DescribeServices"]);
}

#[test]
fn explain_knows_no_proofs_and_names_who_waits_for_them() {
    let folder = Folder::new();
    let rule = "delivery: [{ repository: shop/web, tags: { semver: 1.x }";
    let config =
        format!("version: 1\nservices:\n  prod/web: {{ {rule} }}] }}\n  prod/api: {{ {rule}, after: prod/web }}] }}\n");
    folder.write("w.yaml", &config);
    let (_, answer) = folder.explain(&deployment("SERVICE_DEPLOYMENT_COMPLETED", "ecs-svc/2"), &[]);
    let said = answer["reasons"].as_array().unwrap().last().unwrap();
    assert_eq!(
        said["message"],
        "what prod/web proves by this may be what prod/api waits for: that is looked at within a minute"
    );

    let mut runs = service();
    runs["serviceArn"] = json!("arn:aws:ecs:eu-west-1:111122223333:service/prod/api");
    let definition = json!({ "tags": [], "taskDefinition": {
        "taskDefinitionArn": service()["taskDefinition"], "family": "shop-web", "revision": 3, "status": "ACTIVE",
        "containerDefinitions": [
            { "name": "web", "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.4.0", "memory": 128 },
        ],
    } });
    let facts = json!({ "DescribeServices": { "services": [runs] }, "DescribeTaskDefinition": definition });
    folder.write_json("facts.json", &facts);
    let (_, answer) = folder.explain(&push(), &["--facts", "facts.json"]);
    let text = answer.to_string();
    assert!(text.contains("whether prod/web has proved shop/web:1.5.0@"), "{text}");
    assert!(
        text.contains("is not known: `wharfinger status prod/web` tells it"),
        "{text}"
    );
    assert!(!text.contains("NotProved"), "{text}");
}
