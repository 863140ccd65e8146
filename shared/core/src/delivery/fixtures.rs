//! What the tests of this domain start from: a service `prod/web` on `shop-web:7` with an image of `shop/web`.

#![allow(
    clippy::needless_pass_by_value,
    reason = "a table reads better without a borrow in each case"
)]

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Facts, Wish, rule_key};
use crate::config::stored::Managed;
use crate::config::{Delivery, Service};
use crate::event::{Detail, Envelope, Event, ImageAction};
use crate::ids::{Digest, Target};
use crate::known::Known;
use crate::service::ServiceFacts;

pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const REGION: &str = "eu-west-1";
pub(super) const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

pub(super) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(super) fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

pub(super) fn digest(n: u64) -> Digest {
    format!("sha256:{n:064x}").parse().unwrap()
}

pub(super) fn arn(revision: u64) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/shop-web:{revision}")
}

pub(super) fn rule(json: Value) -> Delivery {
    let mut rule = json!({ "repository": "shop/web", "tags": { "semver": ">=1.2, <2" } });
    rule.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
    serde_json::from_value(rule).unwrap()
}

pub(super) fn wish(tag: &str, n: u64, pushed_at: Timestamp) -> Wish {
    Wish {
        repository: "shop/web".into(),
        tag: tag.into(),
        digest: digest(n),
        pushed_at,
    }
}

/// The answer of `DescribeTaskDefinition`.
pub(super) fn definition(revision: u64, images: &[(&str, &str)]) -> Value {
    let containers: Vec<_> = images
        .iter()
        .map(|(name, image)| json!({ "name": name, "image": image }))
        .collect();
    json!({
        "taskDefinition": {
            "taskDefinitionArn": arn(revision),
            "family": "shop-web",
            "revision": revision,
            "status": "ACTIVE",
            "containerDefinitions": containers,
            "cpu": "256",
        },
        "tags": [],
    })
}

/// A service of `DescribeServices` that is at rest on a revision.
pub(super) fn service(revision: u64) -> Value {
    json!({
        "serviceArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/prod/web"),
        "status": "ACTIVE",
        "desiredCount": 2,
        "runningCount": 2,
        "pendingCount": 0,
        "taskDefinition": arn(revision),
        "deployments": [{
            "id": "ecs-svc/7",
            "status": "PRIMARY",
            "taskDefinition": arn(revision),
            "rolloutState": "COMPLETED",
            "createdAt": "2026-03-01T00:00:00Z",
        }],
    })
}

pub(super) fn facts() -> Facts {
    let rule = rule(json!({}));
    let image = format!("{HOST}/shop/web:1.2.3");
    let key = rule_key(&rule);
    let config = Service {
        delivery: vec![rule],
        ..Service::default()
    };
    let managed = Managed::unresolved(Target::service("prod", "web"), config);
    Facts {
        wishes: [(key, wish("1.2.4", 4, ago(10)))].into(),
        service: Known::Yes(ServiceFacts::parse(&service(7))),
        definition: Known::Yes(Some(definition(7, &[("web", &image), ("log", "public.ecr.aws/log:1")]))),
        ..Facts::of(&managed, ACCOUNT, REGION)
    }
}

impl Facts {
    pub(super) fn with_rule(mut self, json: Value) -> Self {
        self.rules = vec![rule(json)];
        self.wishes = self
            .wishes
            .into_values()
            .map(|wish| (rule_key(&self.rules[0]), wish))
            .collect();
        self
    }

    pub(super) fn with_images(mut self, images: &[(&str, &str)]) -> Self {
        self.definition = Known::Yes(Some(definition(7, images)));
        self
    }

    pub(super) fn with_service(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut service = service(7);
        change(&mut service);
        self.service = Known::Yes(ServiceFacts::parse(&service));
        self
    }
}

/// An event of ECR, read as it arrives.
pub(super) fn event(detail: Value) -> (Envelope, ImageAction) {
    let mut all = json!({
        "result": "SUCCESS",
        "repository-name": "shop/web",
        "image-digest": digest(4),
        "action-type": "PUSH",
        "image-tag": "1.2.4",
    });
    all.as_object_mut().unwrap().extend(detail.as_object().unwrap().clone());
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let json = json!({
        "id": "e1", "account": ACCOUNT, "region": REGION, "time": now().to_string(), "resources": [],
        "source": "aws.ecr", "detail-type": "ECR Image Action", "detail": all,
    });
    let event = Event::parse(&json).unwrap();
    let Detail::Image(action) = event.detail else {
        panic!("{json}")
    };
    (event.envelope, action)
}
