use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_cloud::history::{Record, write};
use wharfinger_cloud::table::{Item, Table, TableName, text, to_attribute};
use wharfinger_core::config::changes::{Stamp, plan};
use wharfinger_core::config::stored::Resolved;
use wharfinger_core::report::{Code, Outcome, Reason};

use super::*;
use crate::output::Show;
use crate::table::busy::Busy;

mod capacity;
mod orphans;
mod storage;

const SHOP: &str = "version: 1
services:
  prod/web:
    discovery: [{ to: srv-1 }]
    scaling: { min: 2, max: 10, rules: [{ alarm: cpu, add: 1 }], cooldown: { out: 1m, in: 5m } }
    delivery: [{ repository: shop/web, tags: { exact: v1 } }]
  prod/plain: {}
tasks:
  prod/nightly: { discovery: [{ to: srv-2 }] }
";

/// The tables with a configuration, of which some targets hold something.
pub(crate) async fn applied(document: &str) -> Busy {
    let table = Busy::default();
    let document = crate::document::load("w.yaml", document).document.unwrap();
    let stamp = Stamp {
        at: Timestamp::UNIX_EPOCH,
        by: "me".to_owned(),
    };
    let planned = |stored: &_| Ok(plan(stored, &document, &Resolved::default(), false, &stamp).unwrap());
    crate::table::write(&table, planned, |plan| &plan.transactions)
        .await
        .unwrap();
    table
}

pub(crate) async fn remember(table: &Busy, attribute: &str, value: &impl Serialize) {
    let mut item = Item::default();
    item.insert("pk".into(), text("service#prod/web"));
    item.insert("sk".into(), text("state"));
    item.insert(attribute.into(), to_attribute("it", value).unwrap());
    table.put(TableName::State, item).await.unwrap();
}

pub(crate) async fn record(table: &Busy, second: i64, domain: &str, outcome: Outcome, code: Code) {
    let target = Target::service("prod", "web");
    let record = Record {
        at: Timestamp::from_second(second).unwrap(),
        domain: domain.into(),
        target: target.to_string(),
        subject: None,
        cause: format!("event {second}"),
        outcome,
        reasons: vec![Reason::new(Code::AlarmNotActive, "first"), Reason::new(code, "last")],
        actions: Vec::new(),
        latency_ms: None,
    };
    write(table, &target, &record).await.unwrap();
}

fn printed(report: &Report) -> String {
    let mut out = Vec::new();
    report.text(&mut out).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

async fn of_web(table: &Busy) -> Value {
    let report = read(table, Some(&Target::service("prod", "web")))
        .await
        .unwrap()
        .unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (json["targets"].as_array().unwrap().len(), &json["others"]),
        (1, &json!(0))
    );
    json["targets"][0].clone()
}

#[tokio::test]
async fn keys_are_the_same_whatever_is_known() {
    let table = applied(SHOP).await;
    assert_eq!(
        of_web(&table).await,
        json!({
            "target": "prod/web", "kind": "service", "paused": {}, "override": null,
            "scaling": {
                "bounds": { "min": 2, "max": 10 }, "bounds-code": "ConfiguredBounds", "bounds-why": "as configured",
                "next-bounds": null, "last-change": null, "unfinished": null, "no-more-before": null,
                "no-fewer-before": null, "decision": null,
            },
            "delivery": {
                "unfinished": null, "under-way": null, "following": null, "waiting": null, "quarantine": [], "proved": [], "past": [],
                "last": [], "refused": null, "newer": null, "approvals": [], "back": null, "decision": null,
            },
            "discovery": { "decision": null }, "balancing": null, "capacity": null, "storage": null,
        })
    );
}

#[tokio::test]
async fn a_revision_that_is_passed_over_is_told() {
    let table = applied(SHOP).await;
    let revision = "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:8";
    let newer =
        json!({ "revision": revision, "by": "arn:aws:iam::111122223333:user/ada", "since": "2026-01-31T09:00:00Z" });
    remember(&table, "delivery", &json!({ "newer": newer })).await;
    assert_eq!(of_web(&table).await["delivery"]["newer"], newer);
    let report = read(&table, None).await.unwrap().unwrap();
    let text = printed(&report);
    let told = "web:8 is not out: arn:aws:iam::111122223333:user/ada registered it, known since 2026-01-31T09:00:00Z";
    assert!(
        text.contains("a newer revision is not out") && text.contains(told),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_remembered_and_was_decided_is_told() {
    let table = applied(SHOP).await;
    let memory = json!({
        "last": { "from": 2, "to": 4, "at": "1969-12-31T23:59:30Z" },
        "rise": { "base": 2, "at": "1969-12-31T23:59:30Z" },
        "intent": { "from": 4, "to": 5, "at": "1969-12-31T23:59:59Z", "base": 4 },
    });
    let typed: wharfinger_core::scaling::Memory = serde_json::from_value(memory.clone()).unwrap();
    remember(&table, "scaling", &typed).await;
    record(&table, 10, "scaling", Outcome::Act, Code::ScaleOut).await;
    record(&table, 20, "scaling", Outcome::Wait, Code::Cooldown).await;
    record(&table, 30, "discovery", Outcome::Ignore, Code::AlreadyRegistered).await;
    let web = of_web(&table).await;
    let scaling = &web["scaling"];
    assert_eq!(scaling["last-change"], memory["last"]);
    assert_eq!(
        scaling["unfinished"],
        json!({ "from": 4, "to": 5, "at": "1969-12-31T23:59:59Z" })
    );
    assert_eq!(
        (&scaling["no-more-before"], &scaling["no-fewer-before"]),
        (&json!("1970-01-01T00:00:30Z"), &json!("1970-01-01T00:04:30Z"))
    );
    assert_eq!(scaling["decision"]["outcome"], "wait");
    assert_eq!(scaling["decision"]["reasons"][1]["code"], "Cooldown");
    assert_eq!(web["discovery"]["decision"]["outcome"], "ignore");
    let report = read(&table, None).await.unwrap().unwrap();
    assert_eq!(
        printed(&report),
        "target        bounds      last        state
prod/plain    -           -           fine
prod/web      2 to 10     2 -> 4      scales
    bounds 2 to 10: as configured
    count changed from 2 to 4 at 1969-12-31T23:59:30Z
    change from 4 to 5 not finished since 1969-12-31T23:59:59Z
    cooldown: no task is added before 1970-01-01T00:00:30Z
    cooldown: no task is removed before 1970-01-01T00:04:30Z
    scaling: wait at 1970-01-01T00:00:20Z
        Cooldown: last
prod/nightly  -           -           fine
"
    );
}

#[tokio::test]
async fn rollouts_are_told_and_what_cannot_be_read_hides_nothing() {
    let table = applied(SHOP).await;
    let digest = format!("sha256:{}", "7f".repeat(32));
    let memory = json!({
        "intent": { "wishes": {}, "changes": [{ "container": 0, "name": "web", "from": "a", "to": "shop/web@b" }],
            "base": "web:1", "at": "1970-01-01T00:00:00Z" },
        "done": { "shop/web": { "digest": digest, "revision": "web:1", "at": "1970-01-01T00:00:00Z" } },
    });
    let typed: wharfinger_core::delivery::Memory = serde_json::from_value(memory).unwrap();
    remember(&table, "delivery", &typed).await;
    let web = of_web(&table).await;
    assert_eq!(
        web["delivery"]["unfinished"],
        json!({ "images": ["shop/web@b"], "revision": null, "at": "1970-01-01T00:00:00Z" })
    );
    assert_eq!(web["delivery"]["last"][0]["images"], json!([digest]));
    let report = read(&table, None).await.unwrap().unwrap();
    assert!(printed(&report).contains("rolls out\n"), "{}", printed(&report));
    remember(&table, "delivery", &"?").await;
    assert_eq!(of_web(&table).await["delivery"]["unfinished"], Value::Null);
}

fn wish() -> Value {
    let digest = format!("sha256:{}", "7f".repeat(32));
    json!({ "repository": "shop/web", "tag": "v1", "digest": digest, "pushed-at": "1970-01-01T00:00:00Z" })
}

fn arn(revision: u32) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/web:{revision}")
}

/// What the list and the target alone tell of this memory.
async fn check_rollouts(memory: Value, state: &str, told: &str) {
    let table = applied(SHOP).await;
    let typed: wharfinger_core::delivery::Memory = serde_json::from_value(memory).unwrap();
    remember(&table, "delivery", &typed).await;
    let reason = Code::RolloutInProgress;
    record(&table, 60, "delivery", Outcome::Ignore, reason).await;
    let all = printed(&read(&table, None).await.unwrap().unwrap());
    let line = all.lines().find(|line| line.starts_with("prod/web ")).unwrap();
    assert!(line.ends_with(&format!("  {state}")), "{line}");
    let one = read(&table, Some(&Target::service("prod", "web")))
        .await
        .unwrap()
        .unwrap();
    let one = printed(&one);
    assert!(one.contains(told), "{one}");
}

#[tokio::test]
async fn a_rollout_is_told_as_it_waits_goes_and_is_ended() {
    let wish = wish();
    let mut watched = json!({
        "wishes": { "shop/web": wish }, "changes": [], "from": arn(1), "to": arn(2), "at": "1970-01-01T00:00:30Z",
        "sent": "1970-01-01T00:00:40Z",
    });
    let goes = "    goes from web:1 to web:2 with shop/web:v1@sha256:7f7f7f7f7f7f since 1970-01-01T00:00:40Z";
    check_rollouts(
        json!({ "watched": watched }),
        "rolls out",
        &format!("{goes}\n        last\n"),
    )
    .await;
    check_rollouts(
        json!({ "following": arn(2) }),
        "rolls out",
        "    what runs it on a schedule is still to move to web:2\n",
    )
    .await;
    watched["ending"] = json!({ "why": "it took too long", "since": "1970-01-01T00:00:50Z" });
    watched["back"] = json!({ "to": { "revision": "web:2" }, "at": "1970-01-01T00:00:20Z", "by": "ann" });
    let ended = "        is ended since 1970-01-01T00:00:50Z: it took too long\n";
    check_rollouts(
        json!({ "watched": watched }),
        "goes back",
        &format!("{goes}, as ann asked\n        last\n{ended}"),
    )
    .await;
    let waiting = json!({
        "wishes": { "shop/web": wish }, "codes": ["Baking"], "why": ["it bakes"], "since": "1970-01-01T00:00:10Z",
        "until": "1970-01-01T00:10:00Z",
    });
    check_rollouts(
        json!({ "waiting": waiting }),
        "waits",
        "    shop/web:v1@sha256:7f7f7f7f7f7f waits since 1970-01-01T00:00:10Z; looked at again at 1970-01-01T00:10:00Z\n        it bakes\n",
    )
    .await;
}

#[tokio::test]
async fn what_waits_is_printed_once() {
    let table = applied(SHOP).await;
    let waiting = json!({
        "wishes": { "shop/web": wish() }, "codes": ["Baking"], "why": ["it bakes"], "since": "1970-01-01T00:00:10Z",
    });
    remember(&table, "delivery", &json!({ "waiting": waiting })).await;
    record(&table, 60, "delivery", Outcome::Wait, Code::Baking).await;
    let text = printed(&read(&table, None).await.unwrap().unwrap());
    assert!(text.contains("        it bakes\nprod/nightly"), "{text}");
    // What else the decision says is still told.
    let one = read(&table, Some(&Target::service("prod", "web"))).await.unwrap();
    let text = printed(&one.unwrap());
    let told = "    delivery: wait at 1970-01-01T00:01:00Z\n        AlarmNotActive: first\n";
    assert!(text.ends_with(told) && !text.contains("Baking"), "{text}");
    assert_eq!(
        of_web(&table).await["delivery"]["decision"]["reasons"][1]["code"],
        "Baking"
    );
}

#[tokio::test]
async fn a_rollout_that_failed_is_told_with_what_was_proved_before() {
    let wish = wish();
    let digest = &wish["digest"];
    let failed = json!({
        "past": [{ "stage": "failed", "from": arn(1), "to": arn(2), "changes": [], "began": "1970-01-01T00:00:01Z",
            "at": "1970-01-01T00:00:09Z" }],
        "quarantine": [{ "digest": digest, "image": "shop/web:v1@sha256:7f7f7f7f7f7f", "revision": arn(2),
            "at": "1970-01-01T00:00:09Z", "why": "it came back" }],
        "proved": { "shop/web": { "wish": wish, "revision": arn(1), "since": "1970-01-01T00:00:00Z" } },
    });
    check_rollouts(
        failed,
        "a rollout failed",
        "    in quarantine since 1970-01-01T00:00:09Z: shop/web:v1@sha256:7f7f7f7f7f7f: it came back\n    \
         proved since 1970-01-01T00:00:00Z: shop/web:v1@sha256:7f7f7f7f7f7f, web:1\n    \
         rollout failed: web:1 -> web:2, from 1970-01-01T00:00:01Z to 1970-01-01T00:00:09Z\n",
    )
    .await;
}

#[tokio::test]
async fn what_does_not_go_on_by_itself_is_told_with_its_reason() {
    let check = async |domain: &str, code: Code, state: &str| {
        let table = applied(SHOP).await;
        record(&table, 60, domain, Outcome::Ignore, code).await;
        let report = read(&table, None).await.unwrap().unwrap();
        let text = printed(&report);
        let told = if state == "fine" {
            String::new()
        } else {
            format!("    {domain}: ignore at 1970-01-01T00:01:00Z\n        {code}: last\n")
        };
        assert!(
            text.contains(&format!("  {state}\n")) && text.contains(&told),
            "{code}: {text}"
        );
        // The other reason of the decision asks for nobody.
        assert!(!text.contains("AlarmNotActive"), "{text}");
        let web = report.targets.iter().find(|row| row.target == "prod/web").unwrap();
        assert_eq!(web.is_notable(), state != "fine", "{code}");
    };
    check("delivery", Code::RolledBack, "in quarantine").await;
    check("delivery", Code::Drifted, "deployed over").await;
    check("delivery", Code::NoMatchingContainer, "cannot go on").await;
    check("delivery", Code::ServiceNotFound, "cannot go on").await;
    check("delivery", Code::TaskDefinitionNotFound, "cannot go on").await;
    check("scaling", Code::ManagedByApplicationAutoScaling, "cannot go on").await;
    check("delivery", Code::AlreadyDeployed, "fine").await;
}

#[tokio::test]
async fn a_rule_that_cannot_go_on_is_told_beside_one_that_waits() {
    let table = applied(SHOP).await;
    let waiting = json!({
        "wishes": { "shop/web": wish() }, "codes": ["Baking"], "why": ["it bakes"], "since": "1970-01-01T00:00:10Z",
    });
    remember(&table, "delivery", &json!({ "waiting": waiting })).await;
    record(&table, 60, "delivery", Outcome::Wait, Code::NoMatchingContainer).await;
    let text = printed(&read(&table, None).await.unwrap().unwrap());
    assert!(
        text.contains(
            "        it bakes\n    delivery: wait at 1970-01-01T00:01:00Z\n        NoMatchingContainer: last\n"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn only_approvals_on_which_a_rollout_may_still_begin_are_listed() {
    let second = |second: i64| Timestamp::from_second(second).unwrap().to_string();
    let digest = |hex: &str| format!("sha256:{}", hex.repeat(64));
    let image =
        |hex: &str| json!({ "repository": "shop/web", "tag": "v1", "digest": digest(hex), "pushed-at": second(1) });
    let check = async |memory: Value, wanted: Option<Value>, listed: bool| {
        let table = applied(SHOP).await;
        let stamp = Stamp {
            at: Timestamp::from_second(-60).unwrap(),
            by: "ann".to_owned(),
        };
        let approved = wharfinger_core::config::asked::Approved {
            digest: digest("a").parse().unwrap(),
            image: None,
            at: stamp.at,
            by: Some("ann".to_owned()),
            until: Timestamp::from_second(600).unwrap(),
        };
        let web = Target::service("prod", "web");
        let agreed = holds::change(&table, &web, &stamp, |_, _, holds| {
            holds.approve(approved.clone());
            Ok(())
        });
        agreed.await.unwrap().unwrap();
        remember(&table, "delivery", &memory).await;
        if let Some(wish) = wanted {
            let mut item = Item::default();
            item.insert("pk".into(), text("service#prod/web"));
            item.insert("sk".into(), text("image#shop/web"));
            item.insert("wish".into(), to_attribute("it", &wish).unwrap());
            table.put(TableName::State, item).await.unwrap();
        }
        let approvals = of_web(&table).await["delivery"]["approvals"].clone();
        assert_eq!(approvals.as_array().unwrap().len(), usize::from(listed), "{memory}");
    };
    let kept = |at: i64| json!({ "digest": digest("a"), "image": "shop/web:v1", "revision": arn(2), "at": second(at), "why": "it failed" });
    let done =
        |hex: &str, at: i64| json!({ "shop/web": { "digest": digest(hex), "revision": arn(2), "at": second(at) } });
    check(json!({}), Some(image("a")), true).await;
    check(json!({}), Some(image("b")), false).await;
    check(json!({}), None, false).await;
    let waiting =
        json!({ "wishes": { "shop/web": image("a") }, "codes": ["Baking"], "why": ["it bakes"], "since": second(1) });
    check(json!({ "waiting": waiting }), None, true).await;
    // It was rolled out since, or runs; or was out before that, and someone deployed over it.
    check(json!({ "done": done("a", -30) }), Some(image("a")), false).await;
    check(json!({ "done": done("a", -90) }), Some(image("a")), true).await;
    let proof = json!({ "shop/web": { "wish": image("a"), "revision": arn(2), "since": second(-90) } });
    check(json!({ "proved": proof }), Some(image("a")), false).await;
    // What was in quarantine may come out by other ways, until it did.
    check(json!({ "quarantine": [kept(-90)] }), Some(image("b")), true).await;
    check(json!({ "quarantine": [kept(-30)] }), None, false).await;
    let change = json!({ "container": 0, "name": "web", "from": "x", "to": format!("host/shop/web@{}", digest("a")) });
    let past = json!([{ "stage": "succeeded", "from": arn(1), "to": arn(2), "changes": [change], "began": second(-50), "at": second(-40) }]);
    check(
        json!({ "quarantine": [kept(-90)], "past": past }),
        Some(image("b")),
        false,
    )
    .await;
}

#[tokio::test]
async fn the_last_decision_of_delivery_is_found_among_many_of_tasks() {
    let table = applied(SHOP).await;
    record(&table, 1, "delivery", Outcome::Ignore, Code::RolledBack).await;
    for second in 2..60 {
        record(&table, second, "discovery", Outcome::Act, Code::TaskJoins).await;
    }
    let report = read(&table, None).await.unwrap().unwrap();
    assert!(printed(&report).contains("  in quarantine\n"), "{}", printed(&report));
}

#[tokio::test]
async fn of_many_targets_only_those_with_something_to_tell_are_shown() {
    let services: Vec<_> = (0..=MANY)
        .map(|i| format!("  prod/s{i}: {{ scaling: {{ min: 1, max: 2 }} }}\n"))
        .collect();
    let table = applied(&format!("version: 1\nservices:\n{}", services.concat())).await;
    let stamp = Stamp {
        at: Timestamp::UNIX_EPOCH,
        by: "me".to_owned(),
    };
    let target = Target::service("prod", "s7");
    let paused = holds::change(&table, &target, &stamp, |_, _, holds| {
        holds.pause("scaling", None);
        Ok(())
    });
    assert!(paused.await.unwrap().is_some());
    let report = read(&table, None).await.unwrap().unwrap();
    assert_eq!((report.targets.len(), report.others), (1, MANY));
    let told = printed(&report);
    assert!(
        told.contains("prod/s7  1 to 2      -           paused\n    scaling is paused until it is resumed\n"),
        "{told}"
    );
    assert!(
        told.ends_with("and 50 targets of which there is nothing to tell\n"),
        "{told}"
    );
    // One that is asked for is shown.
    let other = read(&table, Some(&Target::service("prod", "s8")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((other.targets.len(), other.others), (1, 0));
    assert_eq!(read(&table, Some(&Target::service("prod", "t8"))).await.unwrap(), None);
}
