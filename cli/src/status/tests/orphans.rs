use serde::de::DeserializeOwned;
use wharfinger_core::storage::orphans::Memory;

use super::*;

const CLUSTERS: &str = "version: 1
clusters:
  prod: { storage: { orphans: { after: 24h, action: remove } } }
  test: { storage: { orphans: {} } }
";

async fn seen(table: &Busy, cluster: &str, memory: Value) {
    fn typed<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }
    let mut item = Item::default();
    item.insert("pk".into(), text(format!("cluster#{cluster}")));
    item.insert("sk".into(), text("state"));
    let memory: Memory = typed(memory);
    item.insert("orphans".into(), to_attribute("it", &memory).unwrap());
    table.put(TableName::State, item).await.unwrap();
}

#[tokio::test]
async fn volumes_that_were_left_behind_are_listed_with_what_becomes_of_them() {
    let table = applied(CLUSTERS).await;
    let volume = |since: &str, more: Value| {
        let mut volume = json!({ "since": since, "gib": 20, "told": true });
        volume
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        volume
    };
    let memory = json!({ "snapshots": 3, "gib": 60, "volumes": {
        "vol-1": volume("1969-12-30T12:00:00Z", json!({ "service": "db", "snapshot": "snap-1" })),
        "vol-2": volume("1969-12-29T12:00:00Z", json!({ "unclaimed": true })),
        "vol-3": volume("1969-12-31T12:00:00Z", json!({})),
        "vol-4": volume("1969-12-30T13:00:00Z", json!({})),
    } });
    seen(&table, "prod", memory).await;
    let report = read(&table, Some(&Target::of_cluster("prod"))).await.unwrap().unwrap();
    let cost = "20 GiB, 1.60 USD a month (at 0.08 USD per GiB-month), attached to nothing since";
    assert_eq!(
        printed(&report),
        format!(
            "cluster  going       state
prod     0           volumes left behind
    vol-2: {cost} 1969-12-29T12:00:00Z: it stays: no tag says of which cluster it is
    vol-1 of service db: {cost} 1969-12-30T12:00:00Z: it is removed when its snapshot snap-1 is completed
    vol-4: {cost} 1969-12-30T13:00:00Z: a snapshot of it is made, then it is removed
    1 volume attached to nothing for less than 1d
    3 snapshots of volumes that were left behind, at most 60 GiB and 3.00 USD a month (nothing removes them)
"
        )
    );
    let json = serde_json::to_value(&report).unwrap();
    let orphans = &json["clusters"][0]["orphans"];
    assert_eq!(
        orphans["volumes"][1],
        json!({
            "volume": "vol-1", "gib": 20, "cost-usd": 1.6, "since": "1969-12-30T12:00:00Z", "service": "db",
            "unclaimed": false, "snapshot": "snap-1", "then": "it is removed when its snapshot snap-1 is completed",
        })
    );
    assert_eq!(
        (&orphans["younger"], &orphans["snapshots-gib"]),
        (&json!(1), &json!(60))
    );
}

#[tokio::test]
async fn a_cluster_of_which_nothing_is_left_behind_is_fine() {
    let table = applied(CLUSTERS).await;
    let report = read(&table, None).await.unwrap().unwrap();
    let fine = "cluster  going       state\nprod     0           fine\ntest     0           fine\n";
    assert_eq!(printed(&report), fine);
}
