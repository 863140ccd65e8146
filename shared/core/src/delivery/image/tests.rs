use super::*;

/// The text, its host, path and tag, and whether it has a digest.
type Case<'a> = (&'a str, Option<&'a str>, &'a str, Option<&'a str>, bool);

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn digest() -> Digest {
    format!("sha256:{HEX}").parse().unwrap()
}

#[test]
fn reads_references() {
    let d = format!("sha256:{HEX}");
    let ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let cases: &[Case<'_>] = &[
        ("nginx", None, "nginx", None, false),
        ("nginx:1.27", None, "nginx", Some("1.27"), false),
        ("shop/web", None, "shop/web", None, false),
        ("Shop/Web:V1_0-a.b", None, "Shop/Web", Some("V1_0-a.b"), false),
        ("localhost/web:1", Some("localhost"), "web", Some("1"), false),
        ("localhost:5000/web", Some("localhost:5000"), "web", None, false),
        (
            "registry:5000/shop/web:2",
            Some("registry:5000"),
            "shop/web",
            Some("2"),
            false,
        ),
        (
            "ghcr.io/shop/team/web:main",
            Some("ghcr.io"),
            "shop/team/web",
            Some("main"),
            false,
        ),
        (&format!("{ecr}/shop/web"), Some(ecr), "shop/web", None, false),
        (
            &format!("{ecr}/shop/web:1.2.3"),
            Some(ecr),
            "shop/web",
            Some("1.2.3"),
            false,
        ),
        (&format!("{ecr}/shop/web@{d}"), Some(ecr), "shop/web", None, true),
        (
            &format!("{ecr}/shop/web:1.2.3@{d}"),
            Some(ecr),
            "shop/web",
            Some("1.2.3"),
            true,
        ),
        (&format!("nginx@{d}"), None, "nginx", None, true),
    ];
    for (text, host, path, tag, pinned) in cases {
        let image: ImageRef = text.parse().unwrap();
        assert_eq!(image.host.as_deref(), *host, "{text}");
        assert_eq!(image.path, *path, "{text}");
        assert_eq!(image.tag.as_deref(), *tag, "{text}");
        assert_eq!(image.digest, pinned.then(digest), "{text}");
        assert_eq!(image.to_string(), *text);
    }
}

#[test]
fn refuses_what_is_no_reference() {
    let long = "t".repeat(129);
    for text in [
        "",
        "/",
        "web:",
        ":1",
        "web@",
        "web@sha256:abc",
        &format!("web@sha512:{HEX}{HEX}"),
        &format!("web@sha256:{}", HEX.to_uppercase()),
        "host.example//web",
        "host.example/",
        "host.example:port/web",
        "web:a:b",
        "web:a/b",
        "web:-a",
        &format!("web:{long}"),
        "we b",
        "shop/web ",
        "shop/.web",
        "${IMAGE}",
        "wéb",
    ] {
        assert_eq!(
            text.parse::<ImageRef>(),
            Err(IdError::NotAnImage(text.into())),
            "{text:?}"
        );
    }
}

#[test]
fn every_host_of_a_registry_is_that_registry() {
    let ecr = |region: &str| Registry::Ecr {
        account: "123456789012".into(),
        region: region.into(),
    };
    for (host, region) in [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        ("123456789012.dkr-ecr-fips.us-gov-west-1.on.aws", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        (
            "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
            "cn-north-1",
        ),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ("123456789012.DKR.ECR.eu-west-1.amazonaws.com", "eu-west-1"),
    ] {
        assert_eq!(Registry::at(host), ecr(region), "{host}");
    }
    for host in [
        "public.ecr.aws",
        "docker.io",
        "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.example.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        "123456789012.dkr.ecr..amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
        "123456789012.ecr.eu-west-1.amazonaws.com",
    ] {
        assert_eq!(Registry::at(host), Registry::Host(host.into()), "{host}");
    }
}

#[test]
fn a_registry_has_its_partition_s_host() {
    for (region, host) in [
        ("eu-west-1", "1.dkr.ecr.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "1.dkr.ecr.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "1.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("us-isob-east-1", "1.dkr.ecr.us-isob-east-1.sc2s.sgov.gov"),
    ] {
        assert_eq!(
            Registry::Ecr {
                account: "1".into(),
                region: region.into()
            }
            .host(),
            host
        );
    }
}

#[test]
fn a_configured_repository_is_met_by_its_images_only() {
    let own = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let cases = [
        ("shop/web", format!("{own}/shop/web:1"), true),
        (
            "shop/web",
            "123456789012.dkr-ecr.eu-west-1.on.aws/shop/web@sha256:".to_owned() + HEX,
            true,
        ),
        ("shop/web", format!("{own}/shop/web2:1"), false),
        ("shop/web", format!("{own}/web:1"), false),
        ("shop/web", format!("{own}/mirror/shop/web:1"), false),
        (
            "shop/web",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop/web:1".into(),
            false,
        ),
        (
            "shop/web",
            "210987654321.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1".into(),
            false,
        ),
        ("shop/web", "shop/web:1".into(), false),
        ("shop/web", "ghcr.io/shop/web:1".into(), false),
        (
            "210987654321.dkr.ecr.eu-west-1.amazonaws.com/shop/web",
            "210987654321.dkr-ecr.eu-west-1.on.aws/shop/web".into(),
            true,
        ),
        (
            "210987654321.dkr.ecr.eu-west-1.amazonaws.com/shop/web",
            format!("{own}/shop/web:1"),
            false,
        ),
        ("ghcr.io/shop/web", "ghcr.io/shop/web:1".into(), true),
        ("GHCR.io/shop/web", "ghcr.io/shop/web:1".into(), true),
        ("registry:5000/web", "registry:5000/web:1".into(), true),
        ("registry:5000/web", "registry:5001/web:1".into(), false),
        ("docker.io/library/nginx", "nginx:1".into(), true),
    ];
    for (configured, image, same) in cases {
        let repository = Repository::configured(configured, "123456789012", "eu-west-1").unwrap();
        assert_eq!(
            image.parse::<ImageRef>().unwrap().repository() == repository,
            same,
            "{configured} {image}"
        );
    }
}

#[test]
fn a_repository_has_no_tag() {
    for text in [
        "",
        "shop/web:1",
        "ghcr.io/shop/web:1",
        "shop/web@sha256:00",
        "/shop",
        "shop/",
        "https://ghcr.io/web",
    ] {
        let error = Repository::configured(text, "1", "eu-west-1").unwrap_err();
        assert!(error.to_string().contains("without tag or digest"), "{text:?}: {error}");
    }
}

#[test]
fn pins_with_the_host_that_was_written() {
    let d = digest();
    for (text, host_and_path) in [
        (
            "123456789012.dkr-ecr.eu-west-1.on.aws/shop/web:1.2.3",
            "123456789012.dkr-ecr.eu-west-1.on.aws/shop/web",
        ),
        ("shop/web", "shop/web"),
        ("registry:5000/web:1", "registry:5000/web"),
    ] {
        assert_eq!(
            text.parse::<ImageRef>().unwrap().with_digest(&d),
            format!("{host_and_path}@{d}")
        );
    }
    assert_eq!(
        Repository::in_ecr("123456789012", "cn-north-1", "shop/web").with_digest(&d),
        format!("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/shop/web@{d}")
    );
}
