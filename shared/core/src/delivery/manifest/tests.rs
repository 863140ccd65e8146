#![allow(clippy::too_many_lines, reason = "a table is as long as its cases")]

use serde_json::json;

use super::*;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

fn image(config: &str, layers: &[&str]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": { "mediaType": config, "digest": digest('c').as_str(), "size": 1 },
        "layers": layers.iter().map(|l| json!({ "mediaType": l, "size": 1 })).collect::<Vec<_>>(),
    })
}

fn told(manifest: &Manifest) -> String {
    match manifest {
        Manifest::Image { platform, .. } => {
            let platform = platform
                .as_ref()
                .map_or_else(|| "somewhere".to_owned(), ToString::to_string);
            format!("image for {platform}")
        }
        Manifest::Other(media_type) => format!("other {media_type}"),
        Manifest::Index(children) => {
            let child = |child: &Child| {
                let platform = child
                    .platform
                    .as_ref()
                    .map_or_else(|| "somewhere".to_owned(), ToString::to_string);
                format!("{} {platform}", &child.digest.as_str()[7..9])
            };
            format!("index of {}", children.iter().map(child).collect::<Vec<_>>().join(", "))
        }
    }
}

#[track_caller]
fn check(name: &str, media_type: Option<&str>, manifest: &Value, expected: &str) {
    assert_eq!(told(&Manifest::parse(media_type, manifest)), expected, "{name}");
}

#[test]
fn a_manifest_is_an_image_or_something_else() {
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let docker_config = "application/vnd.docker.container.image.v1+json";
    let docker_layer = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let here = "image for somewhere";
    check("OCI", Some(OCI), &image(CONFIG, &[LAYER]), here);
    check("no media type told", None, &image(CONFIG, &[LAYER]), here);
    check(
        "Docker",
        Some(docker),
        &image(docker_config, &[docker_layer, docker_layer]),
        here,
    );
    check(
        "zstd",
        Some(OCI),
        &image(CONFIG, &["application/vnd.oci.image.layer.v1.tar+zstd"]),
        here,
    );
    check("without layers", Some(OCI), &image(CONFIG, &[]), here);
    check("empty", None, &json!({}), here);
    for (name, config, layer, expected) in [
        (
            "cosign",
            CONFIG,
            "application/vnd.dev.cosign.simplesigning.v1+json",
            "simple",
        ),
        (
            "BuildKit attestation",
            CONFIG,
            "application/vnd.in-toto+json",
            "in-toto",
        ),
        (
            "cosign attestation",
            CONFIG,
            "application/vnd.dsse.envelope.v1+json",
            "dsse",
        ),
        (
            "Helm chart",
            "application/vnd.cncf.helm.config.v1+json",
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "helm.config",
        ),
        (
            "SOCI index",
            "application/vnd.amazon.soci.index.v1+json",
            "application/octet-stream",
            "soci.index.v1",
        ),
        (
            "notation",
            "application/vnd.cncf.notary.signature",
            "application/jose+json",
            "notary",
        ),
    ] {
        let found = Manifest::parse(Some(OCI), &image(config, &[layer]));
        assert!(
            matches!(&found, Manifest::Other(media) if media.contains(expected)),
            "{name}: {found:?}"
        );
        assert_eq!(found.images(&digest('a')), [] as [&Digest; 0], "{name}");
    }
    let mut artifact = image("application/vnd.oci.empty.v1+json", &[LAYER]);
    artifact["artifactType"] = json!("application/spdx+json");
    check("SBOM", Some(OCI), &artifact, "other application/spdx+json");
    check(
        "ORAS",
        Some("application/vnd.cncf.oras.artifact.manifest.v1+json"),
        &json!({}),
        "other application/vnd.cncf.oras.artifact.manifest.v1+json",
    );
    let first = json!({ "schemaVersion": 1, "architecture": "amd64", "fsLayers": [] });
    check(
        "Docker's first schema",
        Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
        &first,
        "image for linux/amd64",
    );
}

#[test]
fn of_an_index_the_images_count() {
    let child = |letter: char, platform: Value| json!({ "mediaType": OCI, "digest": digest(letter).as_str(), "platform": platform });
    let mut attestation = child('b', json!({ "os": "unknown", "architecture": "unknown" }));
    let mut marked = child('c', json!({ "os": "linux", "architecture": "amd64" }));
    marked["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let mut soci = child('d', Value::Null);
    soci["artifactType"] = json!("application/vnd.amazon.soci.index.v2+json");
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            child('a', json!({ "os": "linux", "architecture": "amd64" })), attestation, marked, soci,
            child('e', json!({ "os": "linux", "architecture": "arm64", "variant": "v8" })),
            child('f', Value::Null),
            { "mediaType": OCI, "digest": "sha256:short" },
        ],
    });
    check(
        "index",
        Some(INDEX),
        &index,
        "index of aa linux/amd64, ee linux/arm64, ff somewhere",
    );
    let parsed = Manifest::parse(Some(INDEX), &index);
    assert_eq!(parsed.images(&digest('0')), [&digest('a'), &digest('e'), &digest('f')]);
    attestation["platform"] = Value::Null;
    check(
        "no platform is no attestation",
        None,
        &json!({ "manifests": [attestation] }),
        "index of bb somewhere",
    );
    let mut old = json!({ "mediaType": INDEX, "manifests": [] });
    check("empty", None, &old, "index of ");
    old["artifactType"] = json!("application/vnd.amazon.soci.index.v1+json");
    check(
        "an index that is an artifact",
        None,
        &old,
        "other application/vnd.amazon.soci.index.v1+json",
    );
}

#[test]
fn the_configuration_of_an_image_is_named() {
    let Manifest::Image { configuration, .. } = Manifest::parse(Some(OCI), &image(CONFIG, &[LAYER])) else {
        panic!("it is an image");
    };
    assert_eq!(configuration, Some(digest('c')));
}

#[test]
fn platforms_are_read_under_the_names_that_are_about() {
    for (os, architecture, expected) in [
        ("linux", "amd64", Some("linux/amd64")),
        ("Linux", "x86_64", Some("linux/amd64")),
        ("linux", "aarch64", Some("linux/arm64")),
        ("windows", "amd64", Some("windows/amd64")),
        ("unknown", "unknown", None),
        ("linux", "", None),
    ] {
        let found = Platform::parse(&json!({ "os": os, "architecture": architecture }));
        assert_eq!(found.map(|p| p.to_string()).as_deref(), expected);
    }
    assert_eq!(Platform::parse(&Value::Null), None);
}
