use clap::Parser;
use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_cloud::table::{Item, Table, TableName, text, to_attribute};
use wharfinger_core::config::Delivery;
use wharfinger_core::config::stored::repository_partition;
use wharfinger_core::delivery::{Memory, Wish};
use wharfinger_core::report::Outcome;

use super::*;
use crate::args::{Cli, Command};
use crate::status::tests::{applied, record, remember};
use crate::table::busy::Busy;

const SHOP: &str = "version: 1
services:
  prod/web:
    delivery:
      - { repository: shop/web, tags: { exact: v1 }, approval: required }
      - { repository: shop/side, tags: { exact: v1 }, container: side }
  prod/plain: {}
";

fn digest(hex: &str) -> String {
    format!("sha256:{}", hex.repeat(64))
}

fn wish(repository: &str, hex: &str) -> Value {
    json!({ "repository": repository, "tag": "v1", "digest": digest(hex), "pushed-at": "1970-01-01T00:00:00Z" })
}

fn kept(repository: &str, hex: &str) -> Value {
    json!({
        "digest": digest(hex), "image": format!("{repository}:v1@sha256:{}", hex.repeat(12)), "revision": "web:2",
        "at": "1970-01-01T00:00:01Z", "why": "it failed",
    })
}

async fn shop(memory: Value) -> Busy {
    let table = applied(SHOP).await;
    let memory: Memory = serde_json::from_value(memory).unwrap();
    remember(&table, "delivery", &memory).await;
    table
}

async fn wished(table: &Busy, rule: &str, wish: Value) {
    let wish: Wish = serde_json::from_value(wish).unwrap();
    let mut item = Item::default();
    item.insert("pk".into(), text("service#prod/web"));
    item.insert("sk".into(), text(format!("image#{rule}")));
    item.insert("wish".into(), to_attribute("it", &wish).unwrap());
    table.put(TableName::State, item).await.unwrap();
}

fn stamp(second: i64) -> Stamp {
    Stamp {
        at: Timestamp::from_second(second).unwrap(),
        by: "ann".to_owned(),
    }
}

async fn approved(table: &Busy, line: &str, second: i64) -> Option<Report> {
    let words = ["wharfinger", "approve"].into_iter().chain(line.split(' '));
    let Command::Approve(args) = Cli::try_parse_from(words).unwrap().command else {
        panic!("{line}")
    };
    args.approve(table, &stamp(second)).await.unwrap()
}

fn images(report: &Report) -> Vec<&str> {
    report
        .approved
        .iter()
        .filter_map(|approved| approved.image.as_deref())
        .collect()
}

fn printed(report: &Report) -> String {
    let mut out = Vec::new();
    report.text(&mut out).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

fn waiting() -> Value {
    json!({
        "wishes": { "shop/web": wish("shop/web", "a"), "shop/side#side": wish("shop/side", "b") },
        "codes": ["ApprovalNeeded", "WindowClosed"], "why": ["it waits"], "since": "1970-01-01T00:00:00Z",
    })
}

#[tokio::test]
async fn what_waits_for_someone_is_agreed_to_for_a_while() {
    let table = shop(json!({ "waiting": waiting() })).await;
    let report = approved(&table, "prod/web --for 24h", 10).await.unwrap();
    assert_eq!(
        printed(&report),
        "prod/web: ann agreed to shop/web:v1@sha256:aaaaaaaaaaaa: a rollout of it may begin until 1970-01-02T00:00:10Z\n\
         stored as version 2; functions may act on the configuration before for up to 30 s\n"
    );
    // Every copy of the target has it.
    for partition in ["targets".to_owned(), repository_partition("shop/web")] {
        let items = table.query(TableName::Config, &partition).await.unwrap();
        let found = wharfinger_cloud::config::read(items).targets;
        let web = found.iter().find(|managed| managed.target.name == "web").unwrap();
        assert_eq!(web.stored.approvals, report.approved, "{partition}");
    }
    // The same again finds nothing, until that is over: then it is replaced.
    let again = approved(&table, "prod/web", 20).await.unwrap();
    assert_eq!((images(&again), again.version), (vec![], None));
    let later = approved(&table, "prod/web", 100_000).await.unwrap();
    assert_eq!(images(&later), ["shop/web:v1@sha256:aaaaaaaaaaaa"]);
    assert_eq!(later.approved[0].until.as_second(), 100_000 + 7 * 86_400);
    let current = crate::table::read(&table).await.unwrap();
    assert_eq!(
        current.targets[&Target::service("prod", "web")].approvals,
        later.approved
    );
}

#[tokio::test]
async fn what_is_in_quarantine_is_agreed_to_when_it_is_wanted_or_named() {
    let memory = json!({ "quarantine": [kept("shop/web", "a"), kept("shop/side", "b"), kept("shop/web", "c")] });
    let table = shop(memory).await;
    wished(&table, "shop/web", wish("shop/web", "a")).await;
    wished(&table, "shop/side#side", wish("shop/side", "b")).await;
    let check = async |line: &str, expect: &[&str]| {
        let report = approved(&table, line, 10).await.unwrap();
        assert_eq!(images(&report), expect, "{line}");
    };
    assert!(approved(&table, "prod/web --repository shop/none", 10).await.is_none());
    check("prod/web --digest dddddddddddd", &[]).await;
    check("prod/web --digest cccccccccccc", &["shop/web:v1@sha256:cccccccccccc"]).await;
    check("prod/web --repository shop/side", &["shop/side:v1@sha256:bbbbbbbbbbbb"]).await;
    check("prod/web", &["shop/web:v1@sha256:aaaaaaaaaaaa"]).await;
    check("prod/web", &[]).await;
}

#[tokio::test]
async fn an_image_that_someone_deployed_over_is_agreed_to() {
    let done = json!({ "digest": digest("a"), "revision": "web:2", "at": "1970-01-01T00:00:01Z" });
    let table = shop(json!({ "done": { "shop/web": done } })).await;
    wished(&table, "shop/web", wish("shop/web", "a")).await;
    let report = approved(&table, "prod/web", 5).await.unwrap();
    assert_eq!(images(&report), Vec::<&str>::new());
    record(&table, 3, "delivery", Outcome::Ignore, Code::Drifted).await;
    let report = approved(&table, "prod/web", 5).await.unwrap();
    assert_eq!(images(&report), ["shop/web:v1@sha256:aaaaaaaaaaaa"]);
    // Agreed to once it is out again, and drifts once more.
    assert_eq!(
        images(&approved(&table, "prod/web", 6).await.unwrap()),
        Vec::<&str>::new()
    );
}

#[tokio::test]
async fn what_runs_and_waits_is_told_when_there_is_nothing_to_agree_to() {
    let proof = json!({ "wish": wish("shop/web", "e"), "revision": "web:1", "since": "1970-01-01T00:00:02Z" });
    let mut waiting = waiting();
    waiting["codes"] = json!(["WindowClosed"]);
    let memory = json!({ "proved": { "shop/web": proof }, "waiting": waiting, "quarantine": [kept("shop/web", "c")] });
    let table = shop(memory).await;
    let before = table.items.borrow().clone();
    let report = approved(&table, "prod/web", 10).await.unwrap();
    assert_eq!(
        printed(&report),
        "prod/web: nothing waits for someone to agree to it
    runs shop/web:v1@sha256:eeeeeeeeeeee since 1970-01-01T00:00:02Z
    waits: it waits
    in quarantine, and not wanted now: shop/web:v1@sha256:cccccccccccc since 1970-01-01T00:00:01Z: it failed; --digest chooses it
"
    );
    assert_eq!(*table.items.borrow(), before);
    assert!(approved(&table, "prod/wbe", 10).await.is_none());
    assert!(approved(&table, "prod/plain", 10).await.unwrap().approved.is_empty());
}

#[test]
fn a_digest_is_named_by_enough_of_it() {
    let check = |text: &str, expect: Option<&str>| assert_eq!(digits(text).ok().as_deref(), expect, "{text}");
    check("sha256:ABCDEF012345", Some("abcdef012345"));
    check("abcdef012345", Some("abcdef012345"));
    check("abcdef01234", None);
    check("abcdef01234g", None);
    check(&digest("a"), Some(&"a".repeat(64)));
    check(&"a".repeat(65), None);
}

#[test]
fn an_unknown_repository_is_told_with_those_of_the_target() {
    let rules: Vec<Delivery> = ["shop/web", "shop/side", "host.example/shop/api"]
        .map(|repository| json!({ "repository": repository, "tags": { "exact": "v1" } }))
        .into_iter()
        .map(|rule| serde_json::from_value(rule).unwrap())
        .collect();
    let told = |repository: &str, rules: &[Delivery]| {
        let cli = Cli::try_parse_from(["wharfinger", "approve", "prod/web", "--repository", repository]);
        let Command::Approve(args) = cli.unwrap().command else {
            panic!("{repository}")
        };
        args.choice.takes_nothing(&args.target, rules)
    };
    assert_eq!(told("shop/web", &rules), None);
    assert_eq!(told("shop/api", &rules), None);
    assert_eq!(
        told("shop/none", &rules).unwrap(),
        "prod/web takes no images of `shop/none`: it takes those of `shop/api`, `shop/side`, `shop/web`"
    );
    assert!(told("shop/web", &[]).unwrap().starts_with("prod/web has no `delivery`"));
}
