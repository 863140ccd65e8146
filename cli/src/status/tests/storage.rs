use wharfinger_core::storage::Memory;

use super::*;

const KEPT: &str = "version: 1
services:
  prod/web:
    storage:
      - { volume: data, snapshot: { every: 6h, keep: { last: 2 } } }
      - { volume: logs, snapshot: { every: 1h } }
      - { volume: seed, restore: newest }
";

async fn kept(memory: Value) -> Busy {
    let table = applied(KEPT).await;
    let memory: Memory = serde_json::from_value(memory).unwrap();
    remember(&table, "storage", &memory).await;
    table
}

async fn told(table: &Busy) -> String {
    printed(&read(table, None).await.unwrap().unwrap())
}

#[tokio::test]
async fn each_lineage_is_told_with_its_age_size_cost_and_what_goes_next() {
    let table = kept(json!({ "volumes": { "data": { "standing": {
        "newest": { "id": "snap-9", "at": "1969-12-31T21:55:00Z", "gib": 20 }, "pending": ["snap-10"],
        "count": 3, "gib": 60, "next-prune": ["snap-7", "snap-8"], "next-prune-count": 4, "every": "6h",
    } } } }))
    .await;
    let web = of_web(&table).await;
    let data = json!({
        "volume": "data", "every": "6h", "newest": { "id": "snap-9", "at": "1969-12-31T21:55:00Z", "gib": 20 },
        "age-seconds": 7500, "late": false, "asked": null, "pending": ["snap-10"], "count": 3, "gib": 60,
        "cost-at-most-usd": 3.0, "next-prune": ["snap-7", "snap-8"], "next-prune-count": 4, "failed": null,
    });
    let lineages = web["storage"]["lineages"].as_array().unwrap();
    assert_eq!((lineages.len(), &lineages[0]), (2, &data));
    let whole = read(&table, Some(&Target::service("prod", "web")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        printed(&whole),
        "target    bounds      last        state\n\
         prod/web  -           -           fine\n\
         \x20   data: newest snap-9 of 1969-12-31T21:55:00Z, 2h 5m old, one each 6h\n\
         \x20       snap-10 still copied\n\
         \x20       3 snapshots, at most 60 GiB and 3.00 USD a month (volume sizes at 0.05 USD per GiB-month; a snapshot \
         takes what changed since the one before)\n\
         \x20       the next prune removes snap-7, snap-8 and 2 more\n\
         \x20   logs: no recovery point yet, one each 1h\n"
    );
}

#[tokio::test]
async fn what_is_late_or_failed_is_told() {
    let due = |at: &str| json!({ "volumes": { "logs": { "due": at } } });
    let fine = kept(due("1969-12-31T23:01:00Z")).await;
    assert!(told(&fine).await.contains("fine"));
    let late = kept(due("1969-12-31T23:00:00Z")).await;
    let text = told(&late).await;
    assert!(
        text.contains("recovery point late\n") && text.contains("logs: no recovery point yet"),
        "{text}"
    );
    let failed = json!({ "snapshot": "snap-2", "at": "1969-12-31T23:50:00Z", "message": "no key" });
    let newest = |at: &str| json!({ "newest": { "id": "snap-1", "at": at } });
    let open = json!({ "volumes": { "data": {
        "failed": failed, "standing": newest("1969-12-31T20:00:00Z"), "intent": {
            "volume-id": "vol-1", "task": "t", "at": "1969-12-31T23:59:30Z",
        },
    } } });
    let text = told(&kept(open).await).await;
    assert!(text.contains("snapshot failed\n"), "{text}");
    assert!(
        text.contains("        snap-2 of 1969-12-31T23:50:00Z failed: no key\n"),
        "{text}"
    );
    assert!(
        text.contains("        one is asked for since 1969-12-31T23:59:30Z\n"),
        "{text}"
    );
    // One that is completed since makes up for it.
    let over = json!({ "volumes": { "data": { "failed": failed, "standing": newest("1969-12-31T23:55:00Z") } } });
    assert!(told(&kept(over).await).await.contains("fine"));
}

const ON_EFS: &str = "version: 1
services:
  prod/web:
    storage:
      - volume: shared
        access-point: { file-system: fs-01234567, path: /shop, uid: 1000, gid: 1001, permissions: \"0750\", tenant: acme }
";

#[tokio::test]
async fn access_points_are_told_and_what_is_left_of_others() {
    let table = applied(ON_EFS).await;
    let text = told(&table).await;
    assert!(text.contains("no access point\n"), "{text}");
    assert!(
        text.contains("    shared: no access point yet, /shop of fs-01234567 as 1000:1001, of tenant acme\n"),
        "{text}"
    );
    let of = json!({
        "file-system": "fs-01234567", "path": "/shop", "uid": 1000, "gid": 1001, "permissions": "0750", "tenant": "acme",
    });
    let memory = json!({
        "access-points": { "shared": { "id": "fsap-2", "of": of } },
        "unused": [{ "id": "fsap-1", "file-system": "fs-01234567", "path": "/old" }],
    });
    let memory: Memory = serde_json::from_value(memory).unwrap();
    remember(&table, "storage", &memory).await;
    let web = of_web(&table).await;
    let points = json!([{ "volume": "shared", "id": "fsap-2", "wanted": of }]);
    assert_eq!(web["storage"]["access-points"], points);
    let whole = read(&table, Some(&Target::service("prod", "web")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        printed(&whole),
        "target    bounds      last        state\n\
         prod/web  -           -           fine\n\
         \x20   shared: fsap-2, /shop of fs-01234567 as 1000:1001, of tenant acme (the next revision mounts through it)\n\
         \x20   fsap-1: /old of fs-01234567 is not configured any more (nothing removes it; its data stays)\n"
    );
}
