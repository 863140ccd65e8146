//! Requests and answers as in the ECR API reference.

use wharfinger_core::delivery::{Child, Platform, Pullable};
use wharfinger_core::report::Code;

use super::super::replay::{Asked, replay};
use super::*;
use crate::images;

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

fn refused(code: &str) -> String {
    json!({ "__type": code, "message": "as ECR says it" }).to_string()
}

/// What was asked: the operation and the body.
fn asked(asked: &[Asked]) -> Vec<(&str, Value)> {
    let operation = |asked: &Asked| asked.json();
    let named = asked.iter().map(|asked| {
        assert_eq!(asked.host, "api");
        let target = asked.target.as_deref().unwrap();
        (
            target.strip_prefix("AmazonEC2ContainerRegistry_V20150921.").unwrap(),
            operation(asked),
        )
    });
    named.collect()
}

#[test]
fn the_tagged_images_are_found_on_every_page() {
    let image = |letter, tags: Value| json!({ "imageDigest": digest(letter), "imageTags": tags, "imagePushedAt": 1_772_784_000.25 });
    let first = json!({ "imageDetails": [image('a', json!(["1.2.3", "1.2"])), {}], "nextToken": "t1" }).to_string();
    let second = json!({ "imageDetails": [image('b', json!(["main"]))] }).to_string();
    let (made, sent) = replay(&[(200, &first), (200, &second)], async |aws| {
        aws.tagged_images("shop/web").await
    });
    let made = made.unwrap().unwrap();
    let tags: Vec<_> = made
        .iter()
        .map(|image| (image.tag.as_str(), image.digest.clone()))
        .collect();
    assert_eq!(
        tags,
        [("1.2.3", digest('a')), ("1.2", digest('a')), ("main", digest('b'))]
    );
    assert_eq!(made[0].pushed_at.to_string(), "2026-03-06T08:00:00.25Z");
    let mut body = json!({ "repositoryName": "shop/web", "maxResults": 1_000, "filter": { "tagStatus": "TAGGED" } });
    assert_eq!(asked(&sent)[0], ("DescribeImages", body.clone()));
    body["nextToken"] = json!("t1");
    assert_eq!(asked(&sent)[1], ("DescribeImages", body));
    let answer = refused("RepositoryNotFoundException");
    let (made, _) = replay(&[(400, &answer)], async |aws| aws.tagged_images("shop/web").await);
    assert_eq!(made, Ok(None));
}

#[test]
fn an_image_can_be_pulled_unless_it_is_archived_or_gone() {
    let status =
        |status: &str| json!({ "imageDetails": [{ "imageDigest": digest('a'), "imageStatus": status }] }).to_string();
    let silent = json!({ "imageDetails": [{ "imageDigest": digest('a') }] }).to_string();
    for (answer, expected) in [
        ((200, status("ACTIVE")), Pullable::Yes),
        ((200, silent), Pullable::Yes),
        ((200, status("ARCHIVED")), Pullable::Archived),
        ((200, status("ACTIVATING")), Pullable::Archived),
        ((200, json!({ "imageDetails": [] }).to_string()), Pullable::Absent),
        ((400, refused("ImageNotFoundException")), Pullable::Absent),
        ((400, refused("RepositoryNotFoundException")), Pullable::Absent),
    ] {
        let (made, sent) = replay(&[(answer.0, &answer.1)], async |aws| {
            aws.image("shop/web", &digest('a')).await
        });
        assert_eq!(made.map(|image| image.pullable), Ok(expected), "{}", answer.1);
        let body = json!({ "repositoryName": "shop/web", "imageIds": [{ "imageDigest": digest('a') }] });
        assert_eq!(asked(&sent), [("DescribeImages", body)]);
    }
    let answer = refused("AccessDeniedException");
    let (made, _) = replay(&[(400, &answer)], async |aws| aws.image("shop/web", &digest('a')).await);
    assert_eq!(made.unwrap_err().kind, Kind::Denied);
}

fn manifest(answers: &[(u16, &str)]) -> (Result<Option<Manifest>, CloudError>, Vec<Asked>) {
    replay(answers, async |aws| aws.manifest("shop/web", &digest('a')).await)
}

#[test]
fn a_manifest_is_read_as_the_registry_keeps_it() {
    let index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest('b'),
        "platform": { "os": "linux", "architecture": "arm64" },
    }] });
    let answer = json!({
        "images": [{
            "imageId": { "imageDigest": digest('a') },
            "imageManifest": index.to_string(),
            "imageManifestMediaType": "application/vnd.oci.image.index.v1+json",
        }],
        "failures": [],
    });
    let (made, sent) = manifest(&[(200, &answer.to_string())]);
    let child = Child {
        digest: digest('b'),
        platform: Some(Platform {
            os: "linux".into(),
            architecture: "arm64".into(),
        }),
    };
    assert_eq!(made, Ok(Some(Manifest::Index(vec![child]))));
    let body = json!({ "repositoryName": "shop/web", "imageIds": [{ "imageDigest": digest('a') }] });
    assert_eq!(asked(&sent), [("BatchGetImage", body)]);
}

#[test]
fn a_manifest_that_is_not_there_or_cannot_be_read() {
    let failure =
        |code: &str| json!({ "images": [], "failures": [{ "failureCode": code, "failureReason": "so" }] }).to_string();
    assert_eq!(manifest(&[(200, &failure("ImageNotFound"))]).0, Ok(None));
    assert_eq!(manifest(&[(200, r#"{"images":[]}"#)]).0, Ok(None));
    assert_eq!(manifest(&[(400, &refused("RepositoryNotFoundException"))]).0, Ok(None));
    let error = manifest(&[(200, &failure("KmsError"))]).0.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (Kind::Invalid, "shop/web@sha256:aaaaaaaaaaaa: KmsError: so")
    );
    let answer = json!({ "images": [{ "imageManifest": "<html>" }] }).to_string();
    assert_eq!(manifest(&[(200, &answer)]).0.unwrap_err().kind, Kind::Unreadable);
}

fn scan(answers: &[(u16, &str)]) -> (Result<ImageScan, CloudError>, Vec<Asked>) {
    replay(answers, async |aws| aws.image_scan("shop/web", &digest('a')).await)
}

#[test]
fn the_findings_of_a_basic_and_of_an_enhanced_scan_are_read() {
    let basic = json!({
        "imageScanStatus": { "status": "COMPLETE", "description": "The scan was completed successfully." },
        "imageScanFindings": {
            "imageScanCompletedAt": 1_572_316_608.0, "vulnerabilitySourceUpdatedAt": 1_572_316_608.0,
            "findingSeverityCounts": { "CRITICAL": 1, "UNDEFINED": 2 },
            "findings": [{ "name": "CVE-2019-5188", "severity": "CRITICAL" }],
        },
    });
    let (made, sent) = scan(&[(200, &basic.to_string())]);
    let made = made.unwrap();
    assert_eq!(
        (made.status, made.completed.unwrap().to_string().as_str()),
        (Some(ScanStatus::Complete), "2019-10-29T02:36:48Z")
    );
    assert_eq!((made.counts.rated.values().sum::<u64>(), made.counts.unrated), (1, 2));
    let mut body =
        json!({ "repositoryName": "shop/web", "imageId": { "imageDigest": digest('a') }, "maxResults": 1_000 });
    assert_eq!(asked(&sent), [("DescribeImageScanFindings", body.clone())]);

    let enhanced = |severity: &str, token: &str| {
        json!({
            "imageScanStatus": { "status": "ACTIVE", "description": "Continuous scan is selected for image." },
            "imageScanFindings": { "imageScanCompletedAt": 1_572_316_608.0, "enhancedFindings": [{ "severity": severity }] },
            "nextToken": token,
        })
    };
    let (first, mut second) = (enhanced("HIGH", "t1"), enhanced("UNTRIAGED", ""));
    second["nextToken"] = Value::Null;
    let (made, sent) = scan(&[(200, &first.to_string()), (200, &second.to_string())]);
    let made = made.unwrap();
    assert_eq!(made.status, Some(ScanStatus::Active));
    assert_eq!((made.counts.rated.values().sum::<u64>(), made.counts.unrated), (1, 1));
    body["nextToken"] = json!("t1");
    assert_eq!(asked(&sent)[1], ("DescribeImageScanFindings", body));
}

#[test]
fn an_image_without_a_scan_has_none_and_one_that_cannot_be_scanned_says_so() {
    for code in [
        "ScanNotFoundException",
        "ImageNotFoundException",
        "RepositoryNotFoundException",
    ] {
        assert_eq!(
            scan(&[(400, &refused(code))]).0,
            Ok(ImageScan::none(digest('a'))),
            "{code}"
        );
    }
    let made = scan(&[(400, &refused("UnsupportedImageTypeException"))]).0.unwrap();
    assert_eq!(made.status, Some(ScanStatus::UnsupportedImage));
    assert_eq!(made.description.as_deref(), Some("as ECR says it"));
    assert_eq!(
        scan(&[(400, &refused("ValidationException"))]).0.unwrap_err().kind,
        Kind::Invalid
    );
    assert_eq!(
        scan(&[(400, &refused("AccessDeniedException"))]).0.unwrap_err().kind,
        Kind::Denied
    );
}

#[test]
fn of_an_index_each_image_is_asked_for() {
    let child = |letter| json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(letter) });
    let index = json!({ "manifests": [child('b'), child('c')] });
    let answer = json!({ "images": [{
        "imageManifest": index.to_string(), "imageManifestMediaType": "application/vnd.oci.image.index.v1+json",
    }] });
    let clean = json!({ "imageScanStatus": { "status": "COMPLETE" }, "imageScanFindings": {} });
    let answers = [
        (200, answer.to_string()),
        (200, clean.to_string()),
        (400, refused("ScanNotFoundException")),
    ];
    let answers: Vec<_> = answers.iter().map(|(status, body)| (*status, body.as_str())).collect();
    let (made, sent) = replay(&answers, async |aws| {
        let manifest = images::manifest(aws, "shop/web", &digest('a')).await?;
        images::scans(aws, "shop/web", &digest('a'), manifest.as_ref()).await
    });
    let made = made.unwrap();
    let status: Vec<_> = made
        .images
        .iter()
        .map(|image| (image.digest.clone(), image.status.clone()))
        .collect();
    assert_eq!(status, [(digest('b'), Some(ScanStatus::Complete)), (digest('c'), None)]);
    assert_eq!(sent.len(), 3);
    let rule = serde_json::from_value(json!({ "block": "HIGH" })).unwrap();
    let closed = wharfinger_core::delivery::scan(
        &rule,
        Timestamp::UNIX_EPOCH,
        &wharfinger_core::known::Known::Yes(made),
        Timestamp::UNIX_EPOCH,
    );
    assert_eq!(closed.unwrap().reason.code, Code::ScanPending);
}

#[test]
fn the_platform_of_a_single_image_is_in_its_configuration() {
    let image = json!({ "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest('c') } });
    let manifest = json!({ "images": [{ "imageManifest": image.to_string() }] }).to_string();
    let address = json!({ "downloadUrl": "https://layers.s3.eu-west-1.amazonaws.com/x?X-Amz-Signature=y" }).to_string();
    let configuration = json!({ "architecture": "arm64", "os": "linux", "rootfs": {} }).to_string();
    let look = |answers: &[(u16, &str)]| {
        let (made, sent) = replay(answers, async |aws| {
            images::manifest(aws, "shop/web", &digest('a')).await
        });
        let Ok(Some(Manifest::Image { platform, .. })) = made else {
            panic!("{made:?}")
        };
        (platform.map(|platform| platform.to_string()), sent)
    };
    let (found, sent) = look(&[(200, &manifest), (200, &address), (200, &configuration)]);
    assert_eq!(found.as_deref(), Some("linux/arm64"));
    let body = json!({ "repositoryName": "shop/web", "layerDigest": digest('c') });
    assert_eq!(asked(&sent[1..2]), [("GetDownloadUrlForLayer", body)]);
    assert_eq!(
        (sent[2].host.as_str(), sent[2].target.as_deref(), sent[2].body.as_str()),
        ("layers", None, "")
    );
    // Without it nothing is known, and nothing fails.
    let (denied, absent) = (refused("AccessDeniedException"), refused("LayersNotFoundException"));
    for answers in [
        &[(200, manifest.as_str()), (400, denied.as_str())][..],
        &[(200, &manifest), (400, &absent)],
        &[(200, &manifest), (200, "{}")],
        &[
            (200, &manifest),
            (200, &address),
            (403, "<Error><Code>AccessDenied</Code></Error>"),
        ],
        &[(200, &manifest), (200, &address), (200, "<html>")],
    ] {
        assert_eq!(look(answers).0, None, "{answers:?}");
    }
}
