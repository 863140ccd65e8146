use serde_json::json;

use super::*;

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

fn rule(json: &Value) -> Scan {
    serde_json::from_value(json.clone()).unwrap()
}

/// The status, when it was completed, and what it found.
type Image<'a> = (Option<&'a str>, bool, Value);

fn report(images: &[Image<'_>]) -> Known<ScanReport> {
    let image = |(i, (status, completed, counts)): (usize, &Image<'_>)| {
        let digest = digest(char::from_digit(u32::try_from(i).unwrap() + 10, 16).unwrap());
        let Some(status) = status else {
            return ImageScan::none(digest);
        };
        let mut answer = json!({
            "imageScanStatus": { "status": status, "description": "told so" },
            "imageScanFindings": { "findingSeverityCounts": counts },
        });
        if *completed {
            answer["imageScanFindings"]["imageScanCompletedAt"] = json!(1_772_784_000.5);
        }
        ImageScan::of_pages(&digest, &[answer])
    };
    Known::Yes(ScanReport {
        images: images.iter().enumerate().map(image).collect(),
    })
}

const SINCE: &str = "2026-03-06T08:00:00Z";

/// `open`, or the code and until when.
#[track_caller]
fn check(name: &str, block: &str, images: &[Image<'_>], after: i64, expected: &str) {
    let since: Timestamp = SINCE.parse().unwrap();
    let now = since + jiff::SignedDuration::from_secs(after);
    let closed = scan(
        &rule(&json!({ "block": block, "wait": "10m" })),
        since,
        &report(images),
        now,
    );
    let found = closed.map(|closed| {
        assert_eq!(closed.missing, None, "{name}");
        let until = closed.until.map(|at| format!(" until {at}"));
        format!("{}{}", closed.reason.code, until.unwrap_or_default())
    });
    assert_eq!(found.as_deref().unwrap_or("open"), expected, "{name}");
}

fn done(counts: Value) -> Image<'static> {
    (Some("COMPLETE"), true, counts)
}

const PENDING: &str = "ScanPending until 2026-03-06T08:10:00Z";

#[test]
fn findings_at_least_as_bad_as_the_rule_says_block() {
    let found = || json!({ "CRITICAL": 0, "HIGH": 2, "MEDIUM": 9, "TOTAL": 11 });
    for (block, expected) in [
        ("CRITICAL", "open"),
        ("HIGH", "ScanBlocked"),
        ("MEDIUM", "ScanBlocked"),
        ("INFORMATIONAL", "ScanBlocked"),
    ] {
        check(block, block, &[done(found())], 0, expected);
    }
    check("nothing found", "INFORMATIONAL", &[done(json!({}))], 0, "open");
    check("no counts at all", "INFORMATIONAL", &[done(Value::Null)], 0, "open");
    check(
        "worse than asked",
        "LOW",
        &[done(json!({ "CRITICAL": 1 }))],
        0,
        "ScanBlocked",
    );
    check(
        "as bad as asked",
        "CRITICAL",
        &[done(json!({ "CRITICAL": 1 }))],
        0,
        "ScanBlocked",
    );
    check("less bad", "LOW", &[done(json!({ "INFORMATIONAL": 5 }))], 0, "open");
}

#[test]
fn what_nobody_has_rated_blocks_unless_told_otherwise() {
    let since = SINCE.parse().unwrap();
    for word in ["UNDEFINED", "UNTRIAGED", "SOMETHING_NEW"] {
        let report = report(&[done(json!({ word: 1 }))]);
        let code =
            |rule: Value| scan(&super::tests::rule(&rule), since, &report, since).map(|closed| closed.reason.code);
        assert_eq!(code(json!({ "block": "CRITICAL" })), Some(Code::ScanBlocked), "{word}");
        assert_eq!(code(json!({ "block": "LOW", "unrated": "pass" })), None, "{word}");
    }
}

#[test]
fn every_status_has_its_meaning() {
    for (status, completed, within, over) in [
        ("COMPLETE", true, "open", "open"),
        // Basic scans of old have no time.
        ("COMPLETE", false, "open", "open"),
        ("ACTIVE", true, "open", "open"),
        ("ACTIVE", false, PENDING, "ScanMissing"),
        ("IN_PROGRESS", false, PENDING, "ScanMissing"),
        ("PENDING", false, PENDING, "ScanMissing"),
        ("SOMETHING_NEW", true, PENDING, "ScanMissing"),
        ("FAILED", false, "ScanMissing", "ScanMissing"),
        ("UNSUPPORTED_IMAGE", false, "ScanMissing", "ScanMissing"),
        ("SCAN_ELIGIBILITY_EXPIRED", true, "ScanMissing", "ScanMissing"),
        ("FINDINGS_UNAVAILABLE", true, "ScanMissing", "ScanMissing"),
        ("LIMIT_EXCEEDED", false, "ScanMissing", "ScanMissing"),
        ("IMAGE_ARCHIVED", false, "ScanMissing", "ScanMissing"),
        ("IMAGE_SIZE_EXCEEDED", false, "ScanMissing", "ScanMissing"),
    ] {
        let image = || (Some(status), completed, json!({}));
        check(status, "HIGH", &[image()], 599, within);
        check(status, "HIGH", &[image()], 600, over);
    }
    check("never asked for", "HIGH", &[(None, false, json!({}))], 599, PENDING);
    check(
        "never asked for, for long",
        "HIGH",
        &[(None, false, json!({}))],
        600,
        "ScanMissing",
    );
    // A scan that runs again has the findings of the last one.
    check(
        "again",
        "HIGH",
        &[(Some("IN_PROGRESS"), true, json!({ "HIGH": 1 }))],
        0,
        "ScanBlocked",
    );
}

#[test]
fn an_index_is_as_good_as_the_worst_of_its_images() {
    let clean = || done(json!({ "LOW": 3 }));
    let none = || (None, false, json!({}));
    check("two clean", "HIGH", &[clean(), clean()], 0, "open");
    check(
        "one found",
        "HIGH",
        &[clean(), done(json!({ "HIGH": 1 }))],
        0,
        "ScanBlocked",
    );
    check("one not scanned yet", "HIGH", &[clean(), none()], 0, PENDING);
    check("one never scanned", "HIGH", &[clean(), none()], 600, "ScanMissing");
    check(
        "one that cannot be",
        "HIGH",
        &[clean(), (Some("UNSUPPORTED_IMAGE"), false, json!({}))],
        0,
        "ScanMissing",
    );
    check(
        "one found, one open",
        "HIGH",
        &[none(), done(json!({ "CRITICAL": 1 }))],
        0,
        "ScanBlocked",
    );
    check("no image in it", "HIGH", &[], 0, "ScanMissing");
}

#[test]
fn the_worst_counts_are_the_greater_of_each() {
    let Known::Yes(report) = report(&[
        done(json!({ "HIGH": 1, "LOW": 9 })),
        done(json!({ "HIGH": 4, "UNDEFINED": 2 })),
    ]) else {
        panic!("it is known");
    };
    let worst = report.worst();
    assert_eq!(
        worst.rated.into_iter().collect::<Vec<_>>(),
        [(Severity::Low, 9), (Severity::High, 4)]
    );
    assert_eq!(worst.unrated, 2);
}

#[test]
fn what_was_not_looked_up_is_asked_for() {
    let since = SINCE.parse().unwrap();
    let closed = scan(&rule(&json!({ "block": "HIGH" })), since, &Known::No, since).unwrap();
    assert_eq!((closed.reason.code, closed.until), (Code::ScanPending, None));
    assert_eq!(closed.missing, Some("DescribeImageScanFindings"));
}

#[test]
fn it_is_waited_for_30_minutes_unless_told_otherwise() {
    let since = SINCE.parse().unwrap();
    let closed = scan(
        &rule(&json!({ "block": "HIGH" })),
        since,
        &report(&[(None, false, json!({}))]),
        since,
    );
    assert_eq!(closed.unwrap().until, Some("2026-03-06T08:30:00Z".parse().unwrap()));
}

#[test]
fn what_is_listed_counts_where_the_counts_are_silent() {
    let answer = json!({
        "imageScanStatus": { "status": "ACTIVE", "description": "Continuous scan is selected for image." },
        "imageScanFindings": {
            "findingSeverityCounts": { "HIGH": 1, "MEDIUM": 7 },
            "enhancedFindings": [{ "severity": "HIGH" }, { "severity": "HIGH" }, { "severity": "UNTRIAGED" }, {}],
            "imageScanCompletedAt": "2026-03-06T07:59:00Z",
        },
    });
    let found = ImageScan::of_pages(&digest('a'), std::slice::from_ref(&answer));
    assert_eq!(found.status, Some(ScanStatus::Active));
    assert_eq!(found.completed, Some("2026-03-06T07:59:00Z".parse().unwrap()));
    assert_eq!(
        found.counts.rated.into_iter().collect::<Vec<_>>(),
        [(Severity::Medium, 7), (Severity::High, 2)]
    );
    assert_eq!(found.counts.unrated, 2);
    let twice = ImageScan::of_pages(&digest('a'), &[answer.clone(), answer]);
    assert_eq!(twice.counts.rated[&Severity::High], 4, "listed on two pages");
    assert_eq!(twice.counts.rated[&Severity::Medium], 7, "told on two pages");
    assert_eq!(ImageScan::of_pages(&digest('a'), &[]), ImageScan::none(digest('a')));
}

#[test]
fn the_reasons_say_what_was_found() {
    let since: Timestamp = SINCE.parse().unwrap();
    let told = |images: &[Image<'_>], after| {
        let now = since + jiff::SignedDuration::from_secs(after);
        let rule = rule(&json!({ "block": "HIGH", "wait": "10m" }));
        scan(&rule, since, &report(images), now).unwrap().reason.message
    };
    let found = json!({ "CRITICAL": 7, "HIGH": 61, "MEDIUM": 62, "UNTRIAGED": 4 });
    assert_eq!(
        told(&[done(found)], 0),
        "the scan found 7 CRITICAL, 61 HIGH, 4 that nobody has rated; `scan` blocks from HIGH on"
    );
    assert_eq!(
        told(&[(Some("UNSUPPORTED_IMAGE"), false, json!({}))], 0),
        "sha256:aaaaaaaaaaaa has UNSUPPORTED_IMAGE: told so: nothing tells what is in it"
    );
    assert_eq!(
        told(&[(None, false, json!({}))], 0),
        "sha256:aaaaaaaaaaaa has no scan; it is waited for until 2026-03-06T08:10:00Z"
    );
    assert_eq!(
        told(&[(Some("NEWER"), false, json!({}))], 600),
        "sha256:aaaaaaaaaaaa has NEWER: told so, and the wait of 10m ended at 2026-03-06T08:10:00Z"
    );
}
