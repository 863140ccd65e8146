#![allow(clippy::too_many_lines, reason = "a table is as long as its cases")]

use proptest::prelude::*;

use super::*;
use crate::ids::Digest;

fn policy(json: serde_json::Value) -> TagPolicy {
    serde_json::from_value(json).unwrap()
}

fn compiled(json: serde_json::Value) -> Compiled {
    Compiled::new(&policy(json)).unwrap()
}

fn digest(n: u8) -> Digest {
    format!("sha256:{n:064x}").parse().unwrap()
}

fn wish(tag: &str, n: u8, second: i64) -> Wish {
    Wish {
        repository: "shop/web".into(),
        tag: tag.into(),
        digest: digest(n),
        pushed_at: Timestamp::from_second(second).unwrap(),
    }
}

#[test]
fn tags_are_selected_or_refused_with_the_reason() {
    use serde_json::json;
    let cases = [
        (json!({"exact": "latest"}), "latest", None),
        (
            json!({"exact": "latest"}),
            "latest2",
            Some("tag `latest2` is not `latest`"),
        ),
        (
            json!({"exact": "Latest"}),
            "latest",
            Some("tag `latest` is not `Latest`"),
        ),
        (json!({"glob": "main-*"}), "main-7f3a", None),
        (json!({"glob": "main-*"}), "main-", None),
        (
            json!({"glob": "main-*"}),
            "my-main-7",
            Some("tag `my-main-7` is not like `main-*`"),
        ),
        (json!({"glob": "*"}), "anything.at_all", None),
        (json!({"glob": "v?"}), "v1", None),
        (json!({"glob": "v?"}), "v12", Some("tag `v12` is not like `v?`")),
        (json!({"regex": "^main-[0-9a-f]{4}$"}), "main-7f3a", None),
        (
            json!({"regex": "^main-"}),
            "rel-1",
            Some("tag `rel-1` does not match `^main-`"),
        ),
        (
            json!({"regex": "^b(?<n>[0-9]+)", "extract": "$n", "order": "numeric"}),
            "b12",
            None,
        ),
        (
            json!({"regex": "^b(?<n>.*)", "extract": "$n", "order": "numeric"}),
            "bx",
            Some("`x`, of tag `bx`, is not a number"),
        ),
        (
            json!({"regex": "^b(.*)", "extract": "$1"}),
            "b",
            Some("nothing can be extracted from tag `b`"),
        ),
        (
            json!({"regex": ".", "order": "semver"}),
            "1.2",
            Some("tag `1.2` is not a version like 1.2.3"),
        ),
        (json!({"semver": ">=1.2, <2"}), "1.2.0", None),
        (json!({"semver": ">=1.2, <2"}), "v1.9.9", None),
        (
            json!({"semver": ">=1.2, <2"}),
            "2.0.0",
            Some("tag `2.0.0` is not in `>=1.2, <2`"),
        ),
        (
            json!({"semver": ">=1.2, <2"}),
            "latest",
            Some("tag `latest` is not a version like 1.2.3"),
        ),
        (
            json!({"semver": ">=1.2, <2"}),
            "1.3.0-rc.1",
            Some(
                "tag `1.3.0-rc.1` is a pre-release, and `>=1.2, <2` takes none of that version; a lower bound that ends in `-0` does",
            ),
        ),
        (
            json!({"semver": "1.x", "filter": "^web-(?<v>.+)$", "extract": "$v"}),
            "web-1.4.0",
            None,
        ),
        (
            json!({"semver": "1.x", "filter": "^web-(?<v>.+)$", "extract": "$v"}),
            "api-1.4.0",
            Some("tag `api-1.4.0` does not match `^web-(?<v>.+)$`"),
        ),
        (
            json!({"semver": "1.x", "filter": "^web-(.+)$", "extract": "$1"}),
            "web-2.0.0",
            Some("`2.0.0`, of tag `web-2.0.0`, is not in `1.x`"),
        ),
        (
            json!({"semver": "1.x", "filter": "-alpine$"}),
            "1.4.0-alpine",
            Some(
                "tag `1.4.0-alpine` is a pre-release, and `1.x` takes none of that version; a lower bound that ends in `-0` does",
            ),
        ),
        (json!({"semver": "1.x", "filter": "^[^-]+$"}), "1.4.0", None),
        (
            json!({"semver": "1.x", "filter": "^(\\d+)_(\\d+)_(\\d+)$", "extract": "${1}.$2.$3"}),
            "1_4_0",
            None,
        ),
    ];
    for (json, tag, refused) in cases {
        let name = format!("{tag} with {json}");
        let answer = compiled(json).select(tag);
        assert_eq!(answer.as_ref().err().map(|r| r.message.as_str()), refused, "{name}");
        assert!(answer.err().is_none_or(|r| r.code == Code::TagNotWanted), "{name}");
    }
}

#[test]
fn a_bad_policy_says_where_and_what_to_write() {
    use serde_json::json;
    let cases = [
        (
            json!({}),
            None,
            "no tags are named: write one of `exact`, `glob`, `regex`, `semver`",
        ),
        (
            json!({"filter": "x"}),
            None,
            "no tags are named: write one of `exact`, `glob`, `regex`, `semver`",
        ),
        (
            json!({"exact": "a", "semver": "1.x"}),
            Some("semver"),
            "`exact` and `semver` both name tags: keep one of them, and write a rule for each if both are meant",
        ),
        (json!({"exact": "a b"}), Some("exact"), "`a b` cannot be a tag"),
        (json!({"exact": ""}), Some("exact"), "`` cannot be a tag"),
        (
            json!({"exact": "a", "order": "numeric"}),
            Some("order"),
            "`order` has no meaning with `exact`: the latest push wins",
        ),
        (
            json!({"glob": "a*", "filter": "x"}),
            Some("filter"),
            "`filter` has no meaning with `glob`: use `regex`",
        ),
        (
            json!({"glob": "a*", "extract": "$1"}),
            Some("extract"),
            "`extract` has no meaning with `glob`: use `regex` with",
        ),
        (
            json!({"glob": "a[b"}),
            Some("glob"),
            "`a[b` is not a pattern: unclosed character class",
        ),
        (json!({"glob": ""}), Some("glob"), "`` is not a pattern: it is empty"),
        (
            json!({"regex": "a(b"}),
            Some("regex"),
            "`a(b` is not a regular expression: unclosed group",
        ),
        (
            json!({"regex": "a", "filter": "b"}),
            Some("filter"),
            "`filter` has no meaning with `regex`: the expression of `regex` is the filter",
        ),
        (
            json!({"regex": "^v(.*)$", "extract": "$2"}),
            Some("extract"),
            "`$2` names the group `2`, which `^v(.*)$` has not: it has 0, 1",
        ),
        (
            json!({"regex": "^(?<major>.*)$", "extract": "${minor}.$$"}),
            Some("extract"),
            "`${minor}.$$` names the group `minor`, which `^(?<major>.*)$` has not: it has 0, 1, major",
        ),
        (
            json!({"regex": "^(.)(.)$", "extract": "$1x"}),
            Some("extract"),
            "`$1x` names the group `1x`",
        ),
        (
            json!({"semver": "latest"}),
            Some("semver"),
            "`latest` is no part of a version range: write",
        ),
        (
            json!({"semver": ">=2, <1"}),
            Some("semver"),
            "no version is in `>=2, <1`",
        ),
        (
            json!({"semver": ""}),
            Some("semver"),
            "an alternative of the version range is empty: write `*`",
        ),
        (
            json!({"semver": "1.x", "extract": "$1"}),
            Some("extract"),
            "`extract` has no meaning with `semver`: write `filter`",
        ),
        (
            json!({"semver": "1.x", "order": "numeric"}),
            Some("order"),
            "`order` has no meaning with `semver`: versions are compared as versions",
        ),
        (
            json!({"semver": "1.x", "filter": "["}),
            Some("filter"),
            "`[` is not a regular expression: unclosed character class",
        ),
    ];
    for (json, key, message) in cases {
        let name = json.to_string();
        let error = Compiled::new(&policy(json)).unwrap_err();
        assert_eq!(error.key(), key, "{name}");
        assert!(error.to_string().starts_with(message), "{name}: {error}");
    }
    assert!(Compiled::new(&policy(json!({"semver": "1.x", "order": "semver"}))).is_ok());
}

#[test]
fn the_better_push_wins_whatever_the_order_of_arrival() {
    use serde_json::json;
    // Each list ascends: every wish of it wins over all before it.
    let cases = [
        (
            json!({"exact": "live"}),
            vec![wish("live", 3, 1), wish("live", 2, 2), wish("live", 1, 3)],
        ),
        (
            json!({"glob": "*"}),
            vec![wish("z", 1, 1), wish("a", 2, 2), wish("m", 3, 3)],
        ),
        (json!({"regex": "."}), vec![wish("9", 1, 1), wish("1", 2, 2)]),
        (
            json!({"semver": ">=1.0.0-0"}),
            vec![
                wish("1.2.0-rc.2", 1, 90),
                wish("1.2.0-rc.10", 2, 80),
                wish("1.2.0", 3, 70),
                wish("v1.2.0", 4, 71),
                wish("1.9.0", 5, 60),
                wish("1.10.0", 6, 50),
            ],
        ),
        (json!({"semver": "*"}), vec![wish("1.0.0", 9, 10), wish("1.0.0", 1, 11)]),
        (
            json!({"regex": "(.+)$", "order": "numeric"}),
            vec![wish("9", 1, 9), wish("10", 2, 8), wish("100", 3, 7)],
        ),
        (
            json!({"regex": "(.+)$", "order": "alphabetical"}),
            vec![wish("10", 1, 9), wish("9", 2, 8), wish("a", 3, 7)],
        ),
        (
            json!({"regex": "^main-.*-(?<ts>[0-9]+)$", "extract": "$ts", "order": "numeric"}),
            vec![
                wish("main-ffff-20260101120000123", 1, 9),
                wish("main-0000-20260101120000124", 2, 8),
            ],
        ),
        // One second, which no event tells apart.
        (
            json!({"glob": "*"}),
            vec![wish("a", 1, 5), wish("a", 2, 5), wish("b", 1, 5)],
        ),
        // A tag that the policy no longer wants.
        (
            json!({"glob": "main-*"}),
            vec![wish("rel-2", 1, 99), wish("main-1", 2, 1)],
        ),
    ];
    for (json, ascending) in cases {
        let policy = compiled(json.clone());
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                let expected = match j.cmp(&i) {
                    Ordering::Greater => Verdict::Wins,
                    Ordering::Equal => Verdict::Same,
                    Ordering::Less => Verdict::Loses,
                };
                assert_eq!(policy.wins(a, b), expected, "{json}: {} then {}", a.name(), b.name());
            }
        }
    }
}

#[test]
fn the_best_is_wanted_at_all() {
    let policy = compiled(serde_json::json!({"semver": "1.x"}));
    let wishes = [
        wish("1.2.0", 1, 9),
        wish("2.0.0", 2, 10),
        wish("latest", 3, 11),
        wish("1.3.0", 4, 1),
    ];
    assert_eq!(policy.best(&wishes), Some(&wishes[3]));
    assert_eq!(policy.best(&wishes[1..3]), None);
}

#[test]
fn a_look_into_the_registry_corrects_what_is_known() {
    let exact = compiled(serde_json::json!({"exact": "live"}));
    let known = wish("live", 7, 50);
    let cases = [
        // Nothing was known.
        (None, vec![wish("live", 1, 10)], Some(wish("live", 1, 10))),
        (None, vec![wish("other", 1, 10)], None),
        (None, vec![], None),
        // A push was missed.
        (Some(&known), vec![wish("live", 8, 60)], Some(wish("live", 8, 60))),
        // All is as it was; the registry's time has the milliseconds that the event's lacks.
        (Some(&known), vec![known.clone()], Some(known.clone())),
        (Some(&known), vec![wish("live", 7, 49)], Some(known.clone())),
        (Some(&known), vec![], Some(known.clone())),
        (Some(&known), vec![wish("other", 9, 99)], Some(known.clone())),
        // The tag was moved back to an older image, and that event was lost.
        (
            Some(&known),
            vec![wish("live", 3, 20)],
            Some(Wish {
                pushed_at: Timestamp::from_millisecond(50_001).unwrap(),
                ..wish("live", 3, 20)
            }),
        ),
    ];
    for (known, listing, expected) in cases {
        let seen = exact.seen(known, &listing);
        assert_eq!(seen, expected);
        // A late copy of the known push does not undo it, and a second look changes nothing.
        if let (Some(seen), Some(known)) = (&seen, known) {
            assert_ne!(exact.wins(seen, known), Verdict::Wins);
            assert_eq!(exact.seen(Some(seen), &listing).as_ref(), Some(seen));
        }
    }
    let versions = compiled(serde_json::json!({"semver": "1.x"}));
    let listing = [wish("1.2.0", 1, 10), wish("1.1.0", 2, 20)];
    assert_eq!(
        versions.seen(Some(&wish("1.2.0", 9, 50)), &listing).map(|w| w.digest),
        Some(digest(1))
    );
    assert_eq!(
        versions.seen(Some(&wish("1.3.0", 9, 50)), &listing).map(|w| w.digest),
        Some(digest(9))
    );
}

fn policies() -> impl Strategy<Value = Compiled> {
    prop::sample::select(vec![
        serde_json::json!({"exact": "1.0.0"}),
        serde_json::json!({"glob": "1*"}),
        serde_json::json!({"regex": "^([0-9])", "extract": "$1", "order": "numeric"}),
        serde_json::json!({"regex": "0$", "order": "alphabetical"}),
        serde_json::json!({"semver": ">=1.0.0-0 <2"}),
    ])
    .prop_map(compiled)
}

fn pushes() -> impl Strategy<Value = Vec<Wish>> {
    let tags = prop::sample::select(vec!["1.0.0", "v1.0.0", "1.1.0", "1.1.0-rc.1", "2.0.0", "latest", "10"]);
    prop::collection::vec(
        (tags, 0..4_u8, 0..4_i64).prop_map(|(tag, n, second)| wish(tag, n, second)),
        1..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn any_order_with_duplicates_ends_with_the_same_wish(
        policy in policies(),
        (pushes, arrivals) in pushes().prop_flat_map(|pushes| {
            let twice: Vec<Wish> = pushes.iter().chain(&pushes).cloned().collect();
            (Just(pushes), Just(twice).prop_shuffle())
        }),
    ) {
        let mut known: Option<Wish> = None;
        for push in arrivals.into_iter().filter(|p| policy.select(&p.tag).is_ok()) {
            if known.as_ref().is_none_or(|k| policy.wins(k, &push) == Verdict::Wins) {
                known = Some(push);
            }
        }
        prop_assert_eq!(known.as_ref(), policy.best(&pushes));
    }

    #[test]
    fn the_order_is_total(policy in policies(), pushes in pushes()) {
        for a in &pushes {
            for b in &pushes {
                let (forth, back) = (policy.wins(a, b), policy.wins(b, a));
                prop_assert_eq!(forth == Verdict::Same, a == b);
                prop_assert_eq!(forth == Verdict::Wins, back == Verdict::Loses);
                for c in &pushes {
                    if forth == Verdict::Wins && policy.wins(b, c) == Verdict::Wins {
                        prop_assert_eq!(policy.wins(a, c), Verdict::Wins);
                    }
                }
            }
        }
    }
}
