#![allow(clippy::too_many_lines, reason = "a table is as long as its cases")]

use std::str::FromStr;

use proptest::prelude::*;
use serde_json::{Number, json};

use super::*;
use crate::delivery::{Mount, Mounts, Side, differences};

#[test]
fn a_revision_has_all_of_its_base_but_what_is_not_taken() {
    let answer = json!({
        "tags": [
            { "key": "team", "value": "shop" },
            { "key": "aws:cloudformation:stack-name", "value": "web" },
            { "key": "awsome", "value": "" },
        ],
        "taskDefinition": {
            "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7",
            "containerDefinitions": [
                { "name": "web", "image": "shop/web:1", "cpu": 0, "brandNewField": { "a": [null, 0.25] } },
                { "name": "log", "image": "shop/web:1" },
            ],
            "family": "web",
            "revision": 7,
            "volumes": [{ "name": "data", "status": "kept: only the top level has a status that is not taken" }],
            "status": "ACTIVE",
            "requiresAttributes": [{ "name": "x" }],
            "compatibilities": ["EC2"],
            "registeredAt": "2026-01-01T00:00:00Z",
            "registeredBy": "arn:aws:iam::123456789012:root",
            "deregisteredAt": 1.5,
            "deleteRequestedAt": null,
            "brandNewTopLevel": "stays",
        },
    });
    let request = revise(&answer, &[(0, "shop/web@sha256:2".to_owned())].into()).unwrap();
    expect_test::expect![[r#"
        {
          "containerDefinitions": [
            {
              "name": "web",
              "image": "shop/web@sha256:2",
              "cpu": 0,
              "brandNewField": {
                "a": [
                  null,
                  0.25
                ]
              }
            },
            {
              "name": "log",
              "image": "shop/web:1"
            }
          ],
          "family": "web",
          "volumes": [
            {
              "name": "data",
              "status": "kept: only the top level has a status that is not taken"
            }
          ],
          "brandNewTopLevel": "stays",
          "tags": [
            {
              "key": "team",
              "value": "shop"
            },
            {
              "key": "awsome",
              "value": ""
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&request).unwrap());
}

#[test]
fn empty_tags_are_left_out() {
    for tags in [Value::Null, json!([]), json!([{ "key": "aws:x", "value": "y" }])] {
        let answer = json!({ "taskDefinition": { "family": "web" }, "tags": tags });
        assert_eq!(
            revise(&answer, &Images::new()),
            Ok(json!({ "family": "web" })),
            "{tags}"
        );
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let one = || Images::from([(1, "x".to_owned())]);
    for (answer, error) in [
        (
            json!({}),
            "the answer of DescribeTaskDefinition has no `taskDefinition`, or it is not an object",
        ),
        (
            json!({ "taskDefinition": "web:7" }),
            "the answer of DescribeTaskDefinition has no `taskDefinition`, or it is not an object",
        ),
        (
            json!({ "taskDefinition": {} }),
            "the task definition has no container 1, counted from 0",
        ),
        (
            json!({ "taskDefinition": { "containerDefinitions": [{}] } }),
            "the task definition has no container 1, counted from 0",
        ),
        (
            json!({ "taskDefinition": { "containerDefinitions": [{}, 5] } }),
            "the task definition has no container 1, counted from 0",
        ),
        (
            json!({ "taskDefinition": { "containerDefinitions": [{}, {}] }, "tags": 5 }),
            "the answer of DescribeTaskDefinition has no `tags`, or it is not a list",
        ),
    ] {
        assert_eq!(revise(&answer, &one()).unwrap_err().to_string(), error, "{answer}");
    }
    assert!(containers(&json!({ "taskDefinition": { "containerDefinitions": {} } })).is_err());
}

#[test]
fn containers_are_listed_as_far_as_they_can_be_read() {
    let answer =
        json!({ "taskDefinition": { "containerDefinitions": [{ "name": "a", "image": "i" }, {}, 7, { "image": 1 }] } });
    let listed: Vec<_> = containers(&answer)
        .unwrap()
        .iter()
        .map(|c| (c.index, c.name, c.image))
        .collect();
    assert_eq!(listed, [(0, "a", "i"), (1, "", ""), (2, "", ""), (3, "", "")]);
}

/// Any JSON: odd types anywhere, numbers that no float or integer holds, text of any script.
fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        "-?[1-9][0-9]{20,40}",
        "-?(0|[1-9][0-9]{0,5})\\.[0-9]{1,30}",
        "[1-9]e[+-]?[0-9]{1,3}",
    ]
    .prop_map(|text| Value::Number(Number::from_str(&text).unwrap()));
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number,
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            object(inner, 0..4).prop_map(Value::Object),
        ]
    })
}

fn object(
    values: impl Strategy<Value = Value>,
    size: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = Map<String, Value>> {
    let keys = prop_oneof![3 => "[a-zA-Z]{1,12}", 1 => any::<String>(), 1 => prop::sample::select(ANSWER_ONLY.to_vec()).prop_map(String::from)];
    prop::collection::vec((keys, values), size).prop_map(|pairs| pairs.into_iter().collect())
}

/// An answer of `DescribeTaskDefinition` with fields that nobody knows, and the containers whose images change.
fn answers() -> impl Strategy<Value = (Value, Images)> {
    let container = (object(any_json(), 0..4), prop::option::of(any::<String>())).prop_map(|(mut container, image)| {
        if let Some(image) = image {
            container.insert("image".into(), Value::String(image));
        }
        Value::Object(container)
    });
    let tag = ("(aws:)?[a-z]{1,4}", any_json()).prop_map(|(key, value)| json!({ "key": key, "value": value }));
    let tags = prop_oneof![
        Just(Value::Null),
        prop::collection::vec(tag, 0..3).prop_map(Value::Array)
    ];
    let containers = prop::collection::vec((container, any::<bool>()), 1..4);
    (object(any_json(), 0..5), containers, tags).prop_map(|(mut definition, containers, tags)| {
        let images = containers.iter().enumerate().filter(|(_, (_, chosen))| *chosen);
        let images = images
            .map(|(index, _)| (index, format!("host/shop/web@sha256:{index}")))
            .collect();
        let containers = containers.into_iter().map(|(container, _)| container).collect();
        definition.insert("containerDefinitions".into(), Value::Array(containers));
        (json!({ "taskDefinition": definition, "tags": tags }), images)
    })
}

/// Volumes with fields that nobody knows, some of them on EFS, and the access points that some of these are to have.
fn mounted() -> impl Strategy<Value = (Vec<Value>, Mounts)> {
    let efs = (object(any_json(), 0..3), prop::option::of(any_json()), any::<bool>());
    let volume = (object(any_json(), 0..3), prop::option::of(efs), any::<bool>());
    prop::collection::vec(volume, 0..4).prop_map(|volumes| {
        let mut all = Vec::new();
        let mut mounts = Vec::new();
        for (index, (mut volume, efs, chosen)) in volumes.into_iter().enumerate() {
            let (name, file_system) = (format!("v{index}"), format!("fs-{index}"));
            volume.insert("name".into(), json!(name));
            volume.remove("efsVolumeConfiguration");
            if let Some((mut efs, authorization, is_root)) = efs {
                efs.insert("fileSystemId".into(), json!(file_system));
                efs.insert("rootDirectory".into(), json!(if is_root { "/" } else { "/data" }));
                efs.extend(authorization.map(|value| ("authorizationConfig".to_owned(), value)));
                volume.insert("efsVolumeConfiguration".into(), Value::Object(efs));
            }
            let access_point = format!("fsap-{index}");
            if chosen {
                mounts.push((
                    name,
                    Mount {
                        file_system,
                        access_point,
                    },
                ));
            }
            all.push(Value::Object(volume));
        }
        (all, mounts.into_iter().collect())
    })
}

/// Every path to a leaf with the leaf's text: a second way to compare, which shares nothing with the code.
fn leaves(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(k, v)| leaves(&format!("{path}/{k:?}"), v, into));
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter()
                .enumerate()
                .for_each(|(i, v)| leaves(&format!("{path}/{i}"), v, into));
        }
        leaf => {
            into.insert(path.to_owned(), leaf.to_string());
        }
    }
}

fn all_leaves(value: &Value) -> BTreeMap<String, String> {
    let mut into = BTreeMap::new();
    leaves("", value, &mut into);
    into
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn the_new_revision_differs_in_the_selected_images_and_nothing_else((answer, images) in answers()) {
        // Through text, as it comes over the wire and goes back.
        let answer: Value = serde_json::from_str(&answer.to_string()).unwrap();
        let request: Value = serde_json::from_str(&revise(&answer, &images).unwrap().to_string()).unwrap();

        let mut expected = answer["taskDefinition"].clone();
        expected.as_object_mut().unwrap().retain(|key, _| !ANSWER_ONLY.contains(&key.as_str()));
        let mut expected = all_leaves(&expected);
        for (index, image) in &images {
            let container = format!("/\"containerDefinitions\"/{index}");
            expected.remove(&container);
            expected.insert(format!("{container}/\"image\""), json!(image).to_string());
        }
        let mut actual = all_leaves(&request);
        // A definition may have a field of that name; the request's own wins.
        let own: Vec<_> = answer["tags"].as_array().into_iter().flatten()
            .filter(|t| !t["key"].as_str().unwrap().starts_with("aws:")).cloned().collect();
        if !own.is_empty() {
            prop_assert_eq!(&request["tags"], &Value::Array(own));
            expected.retain(|path, _| !path.starts_with("/\"tags\""));
            actual.retain(|path, _| !path.starts_with("/\"tags\""));
        }
        prop_assert_eq!(actual, expected);
    }

    #[test]
    fn with_access_points_it_differs_in_the_named_efs_volumes_and_nothing_else(
        (answer, images) in answers(),
        (volumes, mounts) in mounted(),
    ) {
        let mut answer: Value = serde_json::from_str(&answer.to_string()).unwrap();
        answer["taskDefinition"]["volumes"] = Value::Array(volumes.clone());
        let before = revise(&answer, &images).unwrap();
        let mut request = before.clone();
        mounts.apply(&mut request);
        let mut again = request.clone();
        mounts.apply(&mut again);
        prop_assert_eq!(&again, &request);

        let (mut expected, mut actual) = (all_leaves(&before), all_leaves(&request));
        for (index, volume) in volumes.iter().enumerate() {
            let path = format!("/\"volumes\"/{index}/\"efsVolumeConfiguration\"");
            let name = format!("v{index}");
            let is_chosen = serde_json::to_value(&mounts).unwrap().get(&name).is_some();
            if !is_chosen || volume.get("efsVolumeConfiguration").is_none() {
                continue;
            }
            let authorization = format!("{path}/\"authorizationConfig\"");
            let point = format!("{authorization}/\"accessPointId\"");
            let encryption = format!("{path}/\"transitEncryption\"");
            let root = format!("{path}/\"rootDirectory\"");
            prop_assert_eq!(actual.remove(&point), Some(json!(format!("fsap-{index}")).to_string()));
            prop_assert_eq!(actual.remove(&encryption), Some("\"ENABLED\"".to_owned()));
            prop_assert!(actual.get(&root).is_none_or(|root| root == "\"/\""));
            let was_object = volume["efsVolumeConfiguration"].get("authorizationConfig").is_some_and(Value::is_object);
            // What says otherwise who may mount, without being an object, says nothing that ECS takes.
            let is_gone = |path: &str| path.starts_with(&point) || path.starts_with(&encryption)
                || (path.starts_with(&authorization) && !was_object) || path == authorization
                || (path == root && volume["efsVolumeConfiguration"]["rootDirectory"] != "/");
            expected.retain(|path, _| !is_gone(path));
        }
        prop_assert_eq!(actual, expected);

        // As ECS answers it, with the root directory that it was not told.
        let tags = request.as_object_mut().unwrap().remove("tags").unwrap_or(Value::Null);
        let mut described = json!({ "taskDefinition": request, "tags": tags });
        prop_assert_eq!(differences(&answer, &described, &images, &Side::Keep, &mounts), Ok(vec![]));
        for volume in described["taskDefinition"]["volumes"].as_array_mut().unwrap() {
            if let Some(efs) = volume.get_mut("efsVolumeConfiguration") {
                let root = efs.get("rootDirectory").cloned().unwrap_or(json!("/"));
                efs["rootDirectory"] = root;
            }
        }
        prop_assert_eq!(differences(&answer, &described, &images, &Side::Keep, &mounts), Ok(vec![]));
    }

    #[test]
    fn described_again_it_does_not_differ_and_every_other_change_is_seen(
        (answer, images) in answers(),
        odd in any_json(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut request = revise(&answer, &images).unwrap();
        let tags = request.as_object_mut().unwrap().remove("tags").unwrap_or(Value::Null);
        let mut again = json!({ "taskDefinition": request, "tags": tags });
        prop_assert_eq!(differences(&answer, &again, &images, &Side::Keep, &Mounts::default()), Ok(vec![]));

        let keys: Vec<_> = again["taskDefinition"].as_object().unwrap().keys().cloned().collect();
        let key = &keys[at.index(keys.len())];
        let old = std::mem::replace(&mut again["taskDefinition"][key.as_str()], json!([["changed", odd]]));
        prop_assert_ne!(&old, &again["taskDefinition"][key.as_str()]);
        let found = differences(&answer, &again, &images, &Side::Keep, &Mounts::default()).unwrap();
        prop_assert!(!found.is_empty());
        prop_assert!(found.iter().all(|d| d.path.starts_with(key.as_str())), "{:?}", found);
    }
}
