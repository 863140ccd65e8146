//! The rule that tells people of rollouts, held to the events that delivery puts on the bus.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_cloud::ports::SOURCE;
use wharfinger_core::delivery::{Notice, Stage};

use crate::document::Template;
use crate::pattern::matches;
use crate::{QUEUE, words};

const STAGES: [Stage; 5] = [
    Stage::Started,
    Stage::Succeeded,
    Stage::Failed,
    Stage::Waiting,
    Stage::Superseded,
];

/// The event of a rollout, as EventBridge delivers it.
fn event(stage: Stage) -> Value {
    let notice = Notice {
        stage,
        target: "prod/web".into(),
        rollout: "1".into(),
        images: vec!["shop/web:1.2.0@sha256:1".into()],
        changes: Vec::new(),
        from: None,
        to: None,
        reason: "all 4 tasks run it".into(),
        actor: "push".into(),
        began: Timestamp::UNIX_EPOCH,
        at: Timestamp::from_second(90).unwrap(),
    };
    json!({ "source": SOURCE, "detail-type": stage.detail_type(), "detail": notice.detail() })
}

/// The text that the rule makes of an event, as EventBridge fills in `<name>`.
fn line(transformer: &Value, event: &Value) -> String {
    let paths: BTreeMap<String, String> = serde_json::from_value(transformer["InputPathsMap"].clone()).unwrap();
    let mut text: String = serde_json::from_str(transformer["InputTemplate"].as_str().unwrap()).unwrap();
    for (name, path) in paths {
        let pointer = path.replacen('$', "", 1).replace('.', "/");
        let value = event.pointer(&pointer).unwrap_or_else(|| panic!("no event has {path}"));
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let place = format!("<{name}>");
        assert!(text.contains(&place), "{place} is not used");
        text = text.replace(&place, &value);
    }
    assert!(!text.contains(['<', '>']), "{text}");
    text
}

#[test]
fn every_step_of_a_rollout_is_told_to_the_topic_in_a_line() {
    let template = Template::load();
    let rule = template.properties("RolloutRule");
    let pattern = &rule["EventPattern"];
    let [target] = &rule["Targets"].as_array().unwrap()[..] else {
        panic!("{rule}")
    };
    assert_eq!(target["Arn"], "RolloutTopicArn");
    for stage in STAGES {
        let event = event(stage);
        assert!(matches(pattern, &event), "{event}");
        let expected = format!(
            "{}: prod/web: all 4 tasks run it (asked for by push, after 90 s)",
            stage.detail_type()
        );
        assert_eq!(line(&target["InputTransformer"], &event), expected);
    }
    let mut other = event(Stage::Failed);
    other["source"] = "aws.ecs".into();
    assert!(!matches(pattern, &other), "of somebody else");
}

#[test]
fn the_rule_is_there_with_a_topic_only_and_loses_nothing() {
    let template = Template::load();
    assert_eq!(words(template.of_type("AWS::Events::Rule")), words(["RolloutRule"]));
    assert_eq!(template.resource("RolloutRule")["Condition"], "HasRolloutTopic");
    assert_eq!(
        template.section("Conditions")["HasRolloutTopic"],
        json!([["RolloutTopicArn", ""]]),
        "it is not empty"
    );
    let target = &template.properties("RolloutRule")["Targets"][0];
    assert_eq!(target["DeadLetterConfig"], json!({ "Arn": QUEUE }));
    assert!(
        target["RetryPolicy"]["MaximumRetryAttempts"]
            .as_u64()
            .is_some_and(|n| n <= 20)
    );
}
