//! `template.yaml`, held to what the design promises of it, from its text: what a local cloud drops without a word
//! (time to live, recovery, dead-letter queues of rules) is seen here only.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

#[path = "template/document.rs"]
mod document;
#[path = "template/pattern.rs"]
mod pattern;
#[path = "template/rights.rs"]
mod rights;
#[path = "template/rollouts.rs"]
mod rollouts;
#[path = "template/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use wharfinger_capacity as capacity;
use wharfinger_cloud::sweep::Scope;
use wharfinger_core::event::{Detail, Event};
use wharfinger_delivery as delivery;
use wharfinger_endpoints as endpoints;
use wharfinger_scaling as scaling;
use wharfinger_storage as storage;

use document::{Template, root, words};

/// The queue, as `!GetAtt` names it.
const QUEUE: &str = "DeadLetterQueue.Arn";

#[test]
fn every_function_crate_is_deployed_and_nothing_else() {
    let template = Template::load();
    let crates: BTreeSet<_> = fs::read_dir(root().join("functions"))
        .unwrap()
        .map(|entry| format!("functions/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    let deployed: BTreeSet<_> = template
        .functions()
        .map(|id| template.function_property(id, "CodeUri").as_str().unwrap().to_owned())
        .collect();
    assert_eq!(deployed, crates);
}

#[test]
fn functions_are_what_sam_builds_with_cargo_lambda() {
    let template = Template::load();
    for id in template.functions() {
        let folder = template.function_property(id, "CodeUri");
        let domain = folder.as_str().unwrap().trim_start_matches("functions/");
        assert_eq!(
            id.to_lowercase(),
            format!("{domain}function"),
            "the logical id names the domain"
        );
        assert_eq!(
            template.resource(id)["Metadata"]["BuildMethod"],
            "rust-cargolambda",
            "{id}"
        );
        assert_eq!(template.function_property(id, "Runtime"), "provided.al2023", "{id}");
        assert_eq!(template.function_property(id, "Handler"), "bootstrap", "{id}");
        assert_eq!(
            template.function_property(id, "Architectures"),
            &json!(["Architecture"]),
            "{id}"
        );
        assert_eq!(template.function_property(id, "MemorySize"), 256, "{id}");
    }
}

#[test]
fn parameters_are_the_contract() {
    let template = Template::load();
    let parameters = template.section("Parameters");
    let names: BTreeSet<_> = words(parameters.as_object().unwrap().keys());
    assert_eq!(
        names,
        words([
            "AlarmTopicArn",
            "Architecture",
            "AwsEndpointUrl",
            "LogLevel",
            "RolloutTopicArn"
        ])
    );
    assert_eq!(parameters["Architecture"]["Default"], "arm64");
    assert_eq!(parameters["Architecture"]["AllowedValues"], json!(["arm64", "x86_64"]));
    assert_eq!(parameters["LogLevel"]["Default"], "info");
    assert_eq!(
        parameters["LogLevel"]["AllowedValues"],
        json!(["error", "warn", "info", "debug", "trace"])
    );
    assert_eq!(parameters["AwsEndpointUrl"]["Default"], "");
    assert_eq!(parameters["AlarmTopicArn"]["Default"], "");
    assert_eq!(parameters["RolloutTopicArn"]["Default"], "");
}

#[test]
fn functions_are_told_what_they_read_from_the_environment() {
    let template = Template::load();
    for id in template.functions() {
        assert_eq!(
            template.function_property(id, "Environment")["Variables"],
            json!({
                "WHARFINGER_CONFIG_TABLE": "ConfigTable",
                "WHARFINGER_STATE_TABLE": "StateTable",
                "WHARFINGER_OWNER": "AWS::StackName",
                "WHARFINGER_LOG": "LogLevel",
                "AWS_ENDPOINT_URL": ["HasAwsEndpointUrl", "AwsEndpointUrl", "AWS::NoValue"],
            }),
            "{id}"
        );
    }
}

#[test]
fn an_invocation_ends_before_its_lease_does() {
    let template = Template::load();
    for id in template.functions() {
        let timeout = template.function_property(id, "Timeout").as_i64().unwrap();
        assert!(
            timeout < wharfinger_cloud::lease::LEASE.as_secs(),
            "{id} may outlive its lease"
        );
    }
}

#[test]
fn failed_invocations_are_retried_within_bounds_and_then_kept() {
    let template = Template::load();
    for id in template.functions() {
        let bounds = template.function_property(id, "EventInvokeConfig");
        assert_eq!(bounds["MaximumRetryAttempts"], 2, "{id}");
        assert_eq!(bounds["MaximumEventAgeInSeconds"], 3600, "{id}");
        assert_eq!(
            bounds["DestinationConfig"]["OnFailure"],
            json!({ "Type": "SQS", "Destination": QUEUE }),
            "{id}"
        );
    }
}

#[test]
fn events_that_do_not_reach_a_function_are_kept() {
    let template = Template::load();
    for id in template.functions() {
        for (name, event) in template.function_property(id, "Events").as_object().unwrap() {
            let properties = &event["Properties"];
            assert_eq!(properties["DeadLetterConfig"], json!({ "Arn": QUEUE }), "{id} {name}");
            let retry = &properties["RetryPolicy"];
            assert!(
                retry["MaximumRetryAttempts"].as_u64().is_some_and(|n| n <= 20),
                "{id} {name}"
            );
            assert!(
                retry["MaximumEventAgeInSeconds"].as_u64().is_some_and(|s| s <= 3600),
                "{id} {name}"
            );
        }
    }
    let policy = &template.properties("DeadLetterQueuePolicy")["PolicyDocument"]["Statement"][0];
    assert_eq!(
        policy["Principal"],
        json!({ "Service": "events.amazonaws.com" }),
        "rules may write to the queue"
    );
    assert_eq!(policy["Resource"], QUEUE);
    assert!(
        policy["Condition"]["ArnLike"]["aws:SourceArn"]
            .as_str()
            .unwrap()
            .ends_with("rule/${AWS::StackName}-*")
    );
}

#[test]
fn every_function_sweeps() {
    let template = Template::load();
    let rates = [
        ("BalancingFunction", "rate(5 minutes)"),
        ("DiscoveryFunction", "rate(5 minutes)"),
        ("ScalingFunction", "rate(5 minutes)"),
        ("CapacityFunction", "rate(5 minutes)"),
        ("StorageFunction", "rate(5 minutes)"),
        ("DeliveryFunction", "rate(5 minutes)"),
    ];
    assert_eq!(words(template.functions()), words(rates.map(|(id, _)| id)));
    for (id, rate) in rates {
        let sweeps: Vec<_> = schedules(&template, id)
            .filter(|schedule| schedule.get("Input").is_none())
            .map(|schedule| &schedule["Schedule"])
            .collect();
        assert_eq!(sweeps, [rate], "{id}");
    }
}

#[test]
fn only_alarms_of_the_account_may_have_a_function_as_their_action() {
    let template = Template::load();
    let permissions: Vec<_> = template.of_type("AWS::Lambda::Permission").collect();
    let [permission] = permissions[..] else {
        panic!("{permissions:?}")
    };
    let properties = template.properties(permission);
    assert_eq!(properties["FunctionName"], "ScalingFunction.Arn");
    assert_eq!(properties["Principal"], "lambda.alarms.cloudwatch.amazonaws.com");
    assert_eq!(properties["SourceAccount"], "AWS::AccountId");
}

/// The schedules of a function.
fn schedules<'a>(template: &'a Template, id: &str) -> impl Iterator<Item = &'a Value> {
    let events = template.function_property(id, "Events").as_object().unwrap();
    let schedules = events.values().filter(|event| event["Type"] == "Schedule");
    schedules.map(|event| &event["Properties"])
}

#[test]
fn what_makes_no_event_is_looked_at_every_minute() {
    let template = Template::load();
    for id in template.functions() {
        let inputs: Vec<_> = schedules(&template, id)
            .filter_map(|schedule| Some((&schedule["Schedule"], schedule.get("Input")?.as_str().unwrap())))
            .collect();
        // The function reads it as it reads EventBridge's own.
        let askable = match id {
            "BalancingFunction" | "DiscoveryFunction" => endpoints::sweep::ASKABLE,
            "CapacityFunction" => capacity::sweep::ASKABLE,
            "DeliveryFunction" => delivery::sweep::ASKABLE,
            "ScalingFunction" => scaling::sweep::ASKABLE,
            "StorageFunction" => storage::sweep::ASKABLE,
            _ => panic!("{id} has no sweep of its own"),
        };
        let [(rate, input)] = inputs[..] else {
            panic!("{id}: {inputs:?}")
        };
        assert_eq!(rate, "rate(1 minute)", "{id}");
        let event: Value = serde_json::from_str(input).unwrap();
        assert_eq!(Event::parse(&event).unwrap().detail, Detail::Scheduled, "{id}");
        let often = Scope {
            often: true,
            ..Scope::default()
        };
        assert_eq!(Scope::of(&event, askable), Ok(often), "{id}: {event}");
        for field in ["version", "id", "account", "region"] {
            assert!(
                event[field].as_str().is_some_and(|text| !text.is_empty()),
                "{id}: {field}"
            );
        }
    }
}

#[test]
fn logs_end_some_day_and_are_the_functions_own() {
    let template = Template::load();
    let groups: BTreeSet<_> = template
        .functions()
        .map(|id| {
            let group = template.function_property(id, "LoggingConfig")["LogGroup"]
                .as_str()
                .unwrap();
            assert_eq!(template.resource(group)["Type"], "AWS::Logs::LogGroup", "{id}");
            assert!(
                template.properties(group)["RetentionInDays"]
                    .as_u64()
                    .is_some_and(|days| days <= 90),
                "{group}"
            );
            group
        })
        .collect();
    assert_eq!(groups.len(), template.functions().count());
}

#[test]
fn tables_are_paid_by_use_and_can_be_restored() {
    let template = Template::load();
    for id in ["ConfigTable", "StateTable"] {
        let table = template.properties(id);
        assert_eq!(table["BillingMode"], "PAY_PER_REQUEST", "{id}");
        assert_eq!(
            table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true,
            "{id}"
        );
        let keys: Vec<_> = table["KeySchema"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| &key["AttributeName"])
            .collect();
        assert_eq!(keys, ["pk", "sk"], "{id}");
        assert_eq!(template.resource(id)["UpdateReplacePolicy"], "Retain", "{id}");
    }
    let expiry = &template.properties("StateTable")["TimeToLiveSpecification"];
    assert_eq!(expiry, &json!({ "AttributeName": "ttl", "Enabled": true }));
    assert_eq!(
        template.properties("ConfigTable").get("TimeToLiveSpecification"),
        None,
        "configuration does not expire"
    );
}

#[test]
fn dead_letters_errors_and_throttles_raise_an_alarm() {
    let template = Template::load();
    let mut wanted = BTreeSet::from([(
        "ApproximateNumberOfMessagesVisible".to_owned(),
        json!([{ "Name": "QueueName", "Value": "DeadLetterQueue.QueueName" }]).to_string(),
    )]);
    for id in template.functions() {
        for metric in ["Errors", "Throttles"] {
            wanted.insert((
                metric.into(),
                json!([{ "Name": "FunctionName", "Value": id }]).to_string(),
            ));
        }
    }
    for metric in ["SnapshotsFailed", "RecoveryPointsLate"] {
        let storage = json!([{ "Name": "Domain", "Value": storage::NAME }]);
        wanted.insert((metric.into(), storage.to_string()));
    }
    let mut found = BTreeSet::new();
    for id in template.of_type("AWS::CloudWatch::Alarm") {
        let alarm = template.properties(id);
        assert_eq!(alarm["Threshold"], 1, "{id}");
        assert_eq!(
            alarm["TreatMissingData"], "notBreaching",
            "{id}: an idle stack is a healthy one"
        );
        assert_eq!(
            alarm["AlarmActions"],
            json!(["HasAlarmTopic", ["AlarmTopicArn"], "AWS::NoValue"]),
            "{id}"
        );
        found.insert((
            alarm["MetricName"].as_str().unwrap().to_owned(),
            alarm["Dimensions"].to_string(),
        ));
    }
    assert_eq!(found, wanted);
}

#[test]
fn the_dashboard_shows_every_function() {
    let template = Template::load();
    let text = template.properties("Dashboard")["DashboardBody"].as_str().unwrap();
    let body: Value = serde_json::from_str(text).unwrap();
    assert!(!body["widgets"].as_array().unwrap().is_empty());
    for id in template.functions() {
        assert!(text.contains(&format!("${{{id}}}")), "{id}");
    }
    assert!(
        text.contains(wharfinger_cloud::telemetry::NAMESPACE),
        "what the functions tell of themselves"
    );
}

#[test]
fn outputs_name_the_tables_the_queue_and_the_functions() {
    let template = Template::load();
    let outputs = template.section("Outputs").as_object().unwrap();
    let values: BTreeSet<_> = outputs
        .values()
        .map(|output| output["Value"].as_str().unwrap().to_owned())
        .collect();
    let mut wanted = words(["ConfigTable", "DeadLetterQueue", "StateTable"]);
    wanted.extend(template.functions().map(str::to_owned));
    assert_eq!(values, wanted);
}
