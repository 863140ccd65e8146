//! Clusters, and services whose tasks do not stay or run elsewhere.

use serde::de::DeserializeOwned;
use wharfinger_cloud::table::{AttributeValue, number};
use wharfinger_core::capacity::crash::Stops;
use wharfinger_core::capacity::{Causes, Did, fallback, placement};

use super::*;

const CLUSTER: &str = "version: 1
clusters:
  prod:
    capacity:
      drain: { deadline: 10m, hooks: [drain] }
      placement: { auto-scaling-group: web, max: 9 }
  plain: {}
services:
  prod/web:
    capacity: { spot: { fallback: { twin: prod/web-on-demand } } }
  plain/web: { scaling: { min: 1, max: 2 } }
";

async fn row(table: &Busy, pk: &str, sk: &str, attributes: impl IntoIterator<Item = (&str, AttributeValue)>) {
    let mut item = Item::default();
    item.insert("pk".into(), text(pk));
    item.insert("sk".into(), text(sk));
    for (name, value) in attributes {
        item.insert(name.into(), value);
    }
    table.put(TableName::State, item).await.unwrap();
}

/// As it is stored of this type.
fn stored<T: Serialize + DeserializeOwned>(value: Value) -> AttributeValue {
    to_attribute("it", &serde_json::from_value::<T>(value).unwrap()).unwrap()
}

async fn of_service<T: Serialize + DeserializeOwned>(table: &Busy, attribute: &str, value: &Value) {
    let typed: T = serde_json::from_value(value.clone()).unwrap();
    remember(table, attribute, &typed).await;
}

async fn told(table: &Busy, target: Option<&str>) -> (Value, String) {
    let target = target.map(|target| crate::history::any_target(target).unwrap());
    let report = read(table, target.as_ref()).await.unwrap().unwrap();
    (serde_json::to_value(&report).unwrap(), printed(&report))
}

#[tokio::test]
async fn a_cluster_of_which_nothing_is_known_is_fine() {
    let table = applied(CLUSTER).await;
    let (json, text) = told(&table, Some("prod")).await;
    let placement = json!({ "auto-scaling-group": "web", "unfinished": null, "last": null, "no-more-before": null });
    let capacity = json!({
        "dry-run": false, "instances": [], "unplaced": [], "placement": placement, "decision": null,
    });
    let cluster = json!({ "target": "prod", "paused": {}, "capacity": capacity });
    assert_eq!(json, json!({ "clusters": [cluster], "targets": [], "others": 0 }));
    assert_eq!(text, "cluster  going       state\nprod     0           fine\n");
    let (json, text) = told(&table, Some("plain")).await;
    assert_eq!(json["clusters"][0]["capacity"], Value::Null);
    assert!(text.ends_with("plain    0           without capacity\n"), "{text}");
    let (json, _) = told(&table, None).await;
    let names = |key: &str| {
        let all = json[key].as_array().unwrap().iter();
        all.map(|one| one["target"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names("clusters"), names("targets")),
        (
            vec!["prod".to_owned()],
            vec!["plain/web".to_owned(), "prod/web".to_owned()]
        )
    );
    assert_eq!(read(&table, Some(&Target::of_cluster("other"))).await.unwrap(), None);
}

#[tokio::test]
async fn instances_that_go_steps_and_pauses_of_a_cluster_are_told() {
    let table = applied(CLUSTER).await;
    let hook = json!({ "since": "1969-12-31T23:55:00Z", "token": "t", "group": "web", "hook": "drain" });
    let hooked = stored::<Causes>(json!({ "hooks": { "web/drain": hook } }));
    let did = stored::<Did>(json!({ "drained-at": "1969-12-31T23:55:01Z", "heartbeat-at": "1969-12-31T23:59:00Z" }));
    row(&table, "going#prod", "i-1", [("causes", hooked), ("did", did)]).await;
    let causes = json!({ "spot": { "at": "1969-12-31T23:59:00Z", "action": "terminate" } });
    let spot = || stored::<Causes>(causes.clone());
    row(&table, "going#prod", "i-2", [("causes", spot())]).await;
    // One that is over, and one that stays.
    let over = stored::<Did>(json!({ "over": causes }));
    row(&table, "going#prod", "i-3", [("causes", spot()), ("did", over)]).await;
    let rebalance = stored::<Causes>(json!({ "rebalance": "1969-12-31T23:59:00Z" }));
    row(&table, "going#prod", "i-4", [("causes", rebalance)]).await;
    let lacks = [("reason", text("RESOURCE:CPU")), ("at", number(-60))];
    row(&table, "unplaced#prod", "web", lacks).await;
    row(&table, "unplaced#prod", "api", []).await;
    let raise = |from: u32, at: &str| json!({ "group": "web", "from": from, "to": from + 1, "at": at });
    let memory = json!({ "last": raise(3, "1969-12-31T23:58:00Z"), "intent": raise(4, "1969-12-31T23:59:59Z") });
    let memory = stored::<placement::Memory>(memory);
    row(&table, "cluster#prod", "state", [("capacity-placement", memory)]).await;
    let (json, text) = told(&table, Some("prod")).await;
    let instances = json["clusters"][0]["capacity"]["instances"].as_array().unwrap();
    let ids: Vec<_> = instances
        .iter()
        .map(|one| (one["instance"].as_str().unwrap(), &one["goes"]))
        .collect();
    assert_eq!(
        ids,
        [("i-1", &json!(true)), ("i-2", &json!(true)), ("i-4", &json!(false))]
    );
    assert_eq!(instances[0]["did"]["drained-at"], "1969-12-31T23:55:01Z");
    assert_eq!(
        text,
        "cluster  going       state
prod     2           instances go
    i-1 goes since 1969-12-31T23:55:00Z: web waits with it (drain); until 1970-01-01T00:05:00Z
        drained at 1969-12-31T23:55:01Z, last heartbeat at 1969-12-31T23:59:00Z
    i-2 goes since 1969-12-31T23:59:00Z: Spot terminates it; until 1970-01-01T00:01:00Z
    i-4 stays since 1969-12-31T23:59:00Z: Spot may take it back: most are not taken, so this is ignored
    prod/web finds no place: RESOURCE:CPU, told at 1969-12-31T23:59:00Z
    web was raised from 3 to 4 instances at 1969-12-31T23:58:00Z; it does not grow before 1970-01-01T00:03:00Z
    the raise of web from 4 to 5 is not finished since 1969-12-31T23:59:59Z
"
    );
    // Who asks for no cluster is told of those that go.
    let (_, text) = told(&table, None).await;
    assert!(text.contains("    i-2 goes since") && !text.contains("i-4"), "{text}");
    let stamp = Stamp {
        at: Timestamp::UNIX_EPOCH,
        by: "me".to_owned(),
    };
    let cluster = Target::of_cluster("prod");
    let paused = holds::change_cluster(&table, &cluster, &stamp, |_, holds| {
        holds.pause("capacity", None);
        Ok(())
    });
    assert!(paused.await.unwrap().is_some());
    let (json, text) = told(&table, Some("prod")).await;
    assert_eq!(json["clusters"][0]["paused"], json!({ "capacity": null }));
    let told = "prod     2           paused\n    capacity is paused until it is resumed\n";
    assert!(text.contains(told), "{text}");
}

#[tokio::test]
async fn crash_loops_of_a_service_are_told_once_with_their_remedy() {
    const KEPT: &str = "out-of-memory";
    let table = applied(CLUSTER).await;
    let failure = |second: u32, class: &str| {
        json!({ "at": format!("1969-12-31T23:59:0{second}Z"), "task": format!("t{second}"), "revision": "web:2",
            "class": class, "container": "app", "exit-code": 137 })
    };
    let looping = json!({
        "since": "1969-12-31T23:59:01Z", "window": "1969-12-31T23:59:01Z", "last": "1969-12-31T23:59:03Z", "failures": 3,
        "class": KEPT, "container": "app", "exit-code": 137,
    });
    let stops =
        json!({ "failures": [failure(1, KEPT), failure(2, KEPT), failure(3, KEPT)], "loops": { "web:2": looping } });
    of_service::<Stops>(&table, "stops", &stops).await;
    record(&table, 10, "capacity", Outcome::Wait, Code::CrashLoop).await;
    let web = of_web(&table).await;
    let of = &web["capacity"];
    assert_eq!(
        (&of["crash-loops"][0]["revision"], &of["crash-loops"][0]["class"]),
        (&json!("web:2"), &json!("OutOfMemory"))
    );
    assert_eq!(of["failures"][2], failure(3, "OutOfMemory"));
    let (_, text) = told(&table, None).await;
    let sentence = "    tasks of web:2 stop again and again, 3 since 1969-12-31T23:59:01Z: a container needed more memory than \
                    it may have (container `app`); raise `memory` of the container or the task, or find what takes it\n";
    assert!(
        text.ends_with(&format!("  tasks stop again and again\n{sentence}")),
        "{text}"
    );
    let (_, text) = told(&table, Some("prod/web")).await;
    let newest =
        "    task t3 of web:2 failed at 1969-12-31T23:59:03Z: a container needed more memory than it may have\n";
    assert!(text.contains(newest), "{text}");
}

#[tokio::test]
async fn a_service_that_runs_elsewhere_is_told_where() {
    let memory = json!({ "twin": "1969-12-31T23:50:00Z", "short": { "since": "1969-12-31T23:48:00Z", "tasks": 3 } });
    let table = applied(CLUSTER).await;
    of_service::<fallback::Memory>(&table, "fallback", &memory).await;
    let fallback = of_web(&table).await["capacity"]["fallback"].take();
    assert_eq!(
        fallback,
        json!({ "to": "prod/web-on-demand", "since": "1969-12-31T23:50:00Z", "back": null, "short": memory["short"], "room": null })
    );
    let (_, text) = told(&table, None).await;
    assert!(
        text.ends_with(
            "  runs elsewhere
    tasks run in prod/web-on-demand since 1969-12-31T23:50:00Z: Spot has no room
    Spot is short of 3 tasks since 1969-12-31T23:48:00Z
"
        ),
        "{text}"
    );
    let strategy = "{ strategy: [{ capacity-provider: FARGATE }] }";
    let table = applied(&CLUSTER.replace("{ twin: prod/web-on-demand }", strategy)).await;
    let spot = json!([{ "capacity-provider": "FARGATE_SPOT", "weight": 1 }]);
    let switched =
        json!({ "switched": { "before": spot, "at": "1969-12-31T23:50:00Z", "back": "1969-12-31T23:59:00Z" } });
    of_service::<fallback::Memory>(&table, "fallback", &switched).await;
    let (_, text) = told(&table, Some("prod/web")).await;
    assert!(
        text.ends_with("  fine\n    came back to Spot at 1969-12-31T23:59:00Z\n"),
        "{text}"
    );
}
