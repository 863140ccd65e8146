use std::cell::RefCell;
use std::rc::Rc;

use clap::Parser;
use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_cloud::table::{Item, Table, text, to_attribute};
use wharfinger_cloud::world::{Caller, Shared, World as Memories, registry};
use wharfinger_core::config::asked::BackTo;
use wharfinger_core::config::changes::plan as planned;
use wharfinger_core::config::stored::Resolved;
use wharfinger_core::delivery::{Memory, Pullable};
use wharfinger_core::ids::Digest;

use super::goal::goal;
use super::*;
use crate::args::{Cli, Command};

const SHOP: &str = "version: 1
services:
  prod/web: { delivery: [{ repository: shop/web, tags: { semver: '*' } }] }
  prod/plain: {}
tasks:
  prod/job: { delivery: [{ repository: shop/web, tags: { semver: '*' } }] }
";

fn digest(hex: &str) -> Digest {
    format!("sha256:{}", hex.repeat(64)).parse().unwrap()
}

fn arn(revision: u32) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/web:{revision}")
}

fn stamp() -> Stamp {
    Stamp {
        at: Timestamp::from_second(1_000).unwrap(),
        by: "ann".to_owned(),
    }
}

/// A shop with four revisions, of which the service runs the third; the last has a tag that is gone.
async fn shop(memory: Value) -> (Shared, Caller) {
    shop_of(SHOP, memory).await
}

async fn shop_of(document: &str, memory: Value) -> (Shared, Caller) {
    let mut world = Memories::new(Timestamp::from_second(100).unwrap());
    for (tag, hex) in [("1.0.0", "a"), ("1.1.0", "b"), ("1.2.0", "c")] {
        world.push("shop/web", tag, &digest(hex));
    }
    let images = ["a", "b", "c"].map(|hex| format!("@{}", digest(hex)));
    let define = |world: &mut Memories, family: &str, image: &str| {
        let image = format!("{}/shop/web{image}", registry());
        let containers = json!([{ "name": "app", "image": image }, { "name": "side", "image": "nginx:1" }]);
        world
            .define(&json!({ "family": family, "containerDefinitions": containers }))
            .unwrap();
    };
    for image in images.iter().map(String::as_str).chain([":gone"]) {
        define(&mut world, "web", image);
    }
    define(&mut world, "job", &images[2]);
    world.make_service(&Target::service("prod", "web"), &arn(3), 2, false);
    let world = Rc::new(RefCell::new(world));
    let caller = Caller::direct(&world, "me");
    let document = crate::document::load("w.yaml", document).document.unwrap();
    let plan = |stored: &_| Ok(planned(stored, &document, &Resolved::default(), false, &stamp()).unwrap());
    table::write(&caller, plan, |plan| &plan.transactions).await.unwrap();
    remember(&caller, memory).await;
    (world, caller)
}

async fn remember(caller: &Caller, memory: Value) {
    let memory: Memory = serde_json::from_value(memory).unwrap();
    let mut item = Item::default();
    item.insert("pk".into(), text("service#prod/web"));
    item.insert("sk".into(), text("state"));
    item.insert("delivery".into(), to_attribute("it", &memory).unwrap());
    caller.put(TableName::State, item).await.unwrap();
}

async fn went(caller: &Caller, line: &str) -> Option<Result<Told, Refused>> {
    let words = ["wharfinger", "rollback"].into_iter().chain(line.split(' '));
    let Command::Rollback(args) = Cli::try_parse_from(words).unwrap().command else {
        panic!("{line}")
    };
    args.go(caller, &stamp()).await.unwrap()
}

async fn refused(caller: &Caller, line: &str) -> String {
    went(caller, line).await.unwrap().unwrap_err().refused
}

async fn to(caller: &Caller, line: &str) -> String {
    let told = went(caller, line).await.unwrap();
    told.unwrap_or_else(|refused| panic!("{line}: {refused:?}")).plan.to
}

fn past(from: u32, to: u32) -> Value {
    json!({
        "stage": "succeeded", "from": arn(from), "to": arn(to), "changes": [], "began": "1970-01-01T00:00:01Z",
        "at": "1970-01-01T00:00:02Z",
    })
}

fn proved() -> Value {
    let wish = json!({
        "repository": "shop/web", "tag": "1.2.0", "digest": digest("c"), "pushed-at": "1970-01-01T00:01:40Z",
    });
    json!({ "shop/web": { "wish": wish, "revision": arn(3), "since": "1970-01-01T00:01:50Z" } })
}

fn usual() -> Value {
    json!({ "past": [past(1, 2), past(2, 3)], "proved": proved() })
}

#[tokio::test]
async fn without_more_it_is_the_revision_before() {
    let (_, caller) = shop(usual()).await;
    let told = went(&caller, "prod/web").await.unwrap().unwrap();
    let mut out = Vec::new();
    told.text(&mut out).unwrap();
    let out = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
    assert_eq!(
        out,
        format!(
            "prod/web goes back from web:3 to web:2\n    \
             app: {registry}/shop/web@sha256:cccccccccccc -> {registry}/shop/web@sha256:bbbbbbbbbbbb\n\
             stored as version 2; functions may act on the configuration before for up to 30 s\n\
             shop/web:1.2.0@sha256:cccccccccccc goes into quarantine: it is not rolled out again before `wharfinger approve \
             prod/web` or another push\n",
            registry = registry()
        )
    );
    let stored = table::read(&caller).await.unwrap().targets;
    let back = stored[&Target::service("prod", "web")].back.clone().unwrap();
    assert_eq!(
        (back.to, back.at, back.by.as_deref()),
        (BackTo::Revision(arn(2)), stamp().at, Some("ann"))
    );
    assert_eq!(stored[&Target::task("prod", "job")].back, None);
}

#[tokio::test]
async fn it_is_the_revision_that_is_named_or_that_has_the_image() {
    let (_, caller) = shop(usual()).await;
    assert_eq!(to(&caller, "prod/web --to 1").await, "web:1");
    assert_eq!(to(&caller, "prod/web --to web:2").await, "web:2");
    assert_eq!(to(&caller, &format!("prod/web --to {}", arn(1))).await, "web:1");
    assert_eq!(
        to(&caller, "prod/web --to aaaaaaaaaaaa").await,
        "shop/web:1.0.0@sha256:aaaaaaaaaaaa"
    );
    assert_eq!(
        to(&caller, &format!("prod/job --to {}", digest("b"))).await,
        "shop/web:1.1.0@sha256:bbbbbbbbbbbb"
    );
}

#[tokio::test]
async fn what_cannot_be_gone_back_to_is_refused_and_nothing_is_stored() {
    let (world, caller) = shop(usual()).await;
    {
        let mut world = world.borrow_mut();
        world
            .repositories
            .set_pullable("shop/web", &digest("a"), Pullable::Archived);
        world
            .repositories
            .set_pullable("shop/web", &digest("b"), Pullable::Absent);
    }
    let version = table::read(&caller).await.unwrap().meta.version;
    for (line, told) in [
        ("prod/web", "is not in the repository any more"),
        ("prod/web --to 1", "is archived"),
        ("prod/web --to 4", "shop/web:gone is not in the repository any more"),
        ("prod/web --to 3", "prod/web is on web:3 already"),
        ("prod/web --to 9", "there is no ACTIVE revision web:9"),
        (
            "prod/web --to job:1",
            "job:1 is of the family `job`, and prod/web runs `web`",
        ),
        (
            "prod/web --to bbbbbbbbbbbb",
            "no tagged image of shop/web begins with bbbbbbbbbbbb",
        ),
        ("prod/web --to cccccccccccc", "prod/web is on web:3 already"),
        ("prod/job", "prod/job is a family"),
        ("prod/plain", "prod/plain has no `delivery`"),
    ] {
        let why = refused(&caller, line).await;
        assert!(why.contains(told), "{line}: {why}");
    }
    assert!(went(&caller, "prod/wbe").await.is_none());
    assert_eq!(table::read(&caller).await.unwrap().meta.version, version);
}

#[tokio::test]
async fn it_goes_back_whatever_the_next_revision_is_made_of() {
    let document = SHOP.replacen("semver: '*' } }", "semver: '*' }, base: latest }", 1);
    let (_, caller) = shop_of(&document, usual()).await;
    assert_eq!(to(&caller, "prod/web").await, "web:2");
    assert_eq!(to(&caller, "prod/web --to 1").await, "web:1");
    let image = "shop/web:1.0.0@sha256:aaaaaaaaaaaa";
    assert_eq!(to(&caller, "prod/web --to aaaaaaaaaaaa").await, image);
}

#[tokio::test]
async fn what_was_out_before_is_what_was_neither_left_nor_has_failed() {
    let (_, caller) = shop(json!({})).await;
    let why = refused(&caller, "prod/web").await;
    assert!(
        why.starts_with("which revision was out before web:3 is not known: say where to go"),
        "{why}"
    );
    let kept = json!([{
        "digest": digest("b"), "image": "b", "revision": arn(2), "at": "1970-01-01T00:00:03Z", "why": "it was left",
    }]);
    // From 2 it was gone back to 1, and 1 led to 3.
    remember(&caller, json!({ "past": [past(1, 3), past(2, 3)], "quarantine": kept })).await;
    assert_eq!(to(&caller, "prod/web").await, "web:1");
    let mut watched = json!({
        "wishes": {}, "changes": [], "from": arn(2), "to": arn(3), "at": "1970-01-01T00:00:30Z",
        "sent": "1970-01-01T00:00:40Z",
    });
    remember(&caller, json!({ "watched": watched })).await;
    assert_eq!(to(&caller, "prod/web").await, "web:2");
    watched["back"] = json!({ "to": { "revision": arn(3) }, "at": "1970-01-01T00:00:20Z" });
    remember(&caller, json!({ "watched": watched })).await;
    let why = refused(&caller, "prod/web").await;
    assert!(why.starts_with("it goes back to web:3 already: "), "{why}");
    watched["ending"] = json!({ "why": "it took too long", "since": "1970-01-01T00:00:50Z" });
    remember(&caller, json!({ "watched": watched })).await;
    let why = refused(&caller, "prod/web").await;
    assert!(
        why.starts_with("the rollout of web:3 is ended already (it took too long): "),
        "{why}"
    );
}

#[test]
fn a_goal_is_a_revision_or_a_digest() {
    let check = |text: &str, expect: Option<Goal>| assert_eq!(goal(text).ok(), expect, "{text}");
    check("41", Some(Goal::Number(41)));
    check("web:41", Some(Goal::Revision("web:41".into())));
    check(&arn(41), Some(Goal::Revision(arn(41))));
    check("123456789012", Some(Goal::Image("123456789012".into())));
    check("sha256:abcdef012345", Some(Goal::Image("abcdef012345".into())));
    check("sha256:41", None);
    check("web", None);
    check("abcdef", None);
}
