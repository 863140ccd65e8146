//! Forms and answers as in the EC2 API reference.

use std::collections::BTreeMap;

use wharfinger_core::ids::Target;
use wharfinger_core::storage::{Lineage, SnapshotState};

use super::super::replay::{replay, replay_with};
use super::*;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

fn answer(operation: &str, inner: &str) -> String {
    format!("<{operation}Response xmlns=\"{NAMESPACE}\"><requestId>1</requestId>{inner}</{operation}Response>")
}

fn refusal(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
         <Message>the words</Message></Error></Errors><RequestID>1</RequestID></Response>"
    )
}

fn item(id: &str, status: &str, more: &str) -> String {
    format!(
        "<snapshotId>{id}</snapshotId><volumeId>vol-1</volumeId><status>{status}</status>\
         <startTime>2026-03-01T12:00:01.123Z</startTime><progress>100%</progress><ownerId>111122223333</ownerId>\
         <volumeSize>20</volumeSize><description/><encrypted>true</encrypted>{more}"
    )
}

fn listed(items: &[String], token: &str) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("<item>{item}</item>")).collect();
    let items = items.concat();
    answer(
        "DescribeSnapshots",
        &format!("<snapshotSet>{items}</snapshotSet>{token}"),
    )
}

fn request() -> CreateSnapshot {
    let lineage = Lineage::of(&Target::service("prod", "db"), "data");
    let tags = [("wharfinger:lineage", "prod/db/data"), ("wharfinger:owner", "w")];
    CreateSnapshot {
        lineage,
        volume_id: "vol-1".into(),
        at: "2026-03-01T12:00:00Z".parse().unwrap(),
        tags: tags.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    }
}

#[test]
fn snapshots_are_listed_by_a_tag_on_every_page() {
    let tag = "<tagSet><item><key>wharfinger:owner</key><value>w</value></item>\
               <item><key>empty</key><value/></item></tagSet>";
    let first = listed(&[item("snap-1", "completed", tag)], "<nextToken>more</nextToken>");
    let failed = item("snap-2", "error", "<statusMessage>no</statusMessage><tagSet/>");
    let second = listed(&[failed], "<nextToken/>");
    let (found, asked) = replay(&[(200, &first), (200, &second)], async |aws| {
        aws.snapshots_tagged("wharfinger:owner", "w").await
    });
    let snapshot = |id: &str, state, message: Option<&str>, tags: &[(&str, &str)]| Snapshot {
        snapshot_id: id.into(),
        volume_id: "vol-1".into(),
        state,
        state_message: message.map(str::to_owned),
        start_time: "2026-03-01T12:00:01.123Z".parse().unwrap(),
        volume_size: 20,
        tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    };
    let completed = snapshot(
        "snap-1",
        SnapshotState::Completed,
        None,
        &[("wharfinger:owner", "w"), ("empty", "")],
    );
    let failed = snapshot("snap-2", SnapshotState::Error, Some("no"), &[]);
    assert_eq!(found, Ok(vec![completed, failed]));
    let form = [
        "Action=DescribeSnapshots",
        "Version=2016-11-15",
        "Filter.1.Name=tag:wharfinger:owner",
        "Filter.1.Value.1=w",
        "Owner.1=self",
        "MaxResults=1000",
    ];
    assert_eq!(
        (asked[0].host.as_str(), asked[0].form()),
        ("ec2", form.map(str::to_owned).into())
    );
    assert_eq!(asked[1].form()[6..], ["NextToken=more"]);
}

#[test]
fn snapshots_are_found_by_their_ids() {
    let ids: Vec<_> = (0..101).map(|n| format!("snap-{n}")).collect();
    let (first, second) = (listed(&[], ""), listed(&[item("snap-100", "pending", "")], ""));
    let (found, asked) = replay(&[(200, &first), (200, &second)], async |aws| aws.snapshots(&ids).await);
    let found = found.unwrap();
    assert_eq!(
        (found[0].snapshot_id.as_str(), found[0].state),
        ("snap-100", SnapshotState::Pending)
    );
    assert_eq!(
        asked[1].form()[2..4],
        ["Filter.1.Name=snapshot-id", "Filter.1.Value.1=snap-100"]
    );
    let (found, asked) = replay(&[], async |aws| aws.snapshots(&[]).await);
    assert_eq!((found, asked.len()), (Ok(vec![]), 0));
}

#[test]
fn what_is_no_snapshot_is_an_error_and_not_an_absence() {
    let odd = listed(&["<snapshotId>snap-1</snapshotId>".into()], "");
    let (found, _) = replay(&[(200, &odd)], async |aws| aws.snapshots_tagged("a", "b").await);
    assert_eq!(found.unwrap_err().kind, Kind::Unreadable);
}

#[test]
fn a_snapshot_is_asked_for_once_with_its_tags() {
    let made = answer("CreateSnapshot", &item("snap-1", "pending", "<tagSet/>"));
    let (snapped, asked) = replay(&[(200, &made)], async |aws| aws.create_snapshot(&request()).await);
    assert!(
        matches!(&snapped, Ok(Snapped::Made(made)) if made.snapshot_id == "snap-1"),
        "{snapped:?}"
    );
    assert_eq!(
        asked[0].form()[..],
        [
            "Action=CreateSnapshot",
            "Version=2016-11-15",
            "VolumeId=vol-1",
            "Description=prod/db/data by Wharfinger",
            "TagSpecification.1.ResourceType=snapshot",
            "TagSpecification.1.Tag.1.Key=wharfinger:lineage",
            "TagSpecification.1.Tag.1.Value=prod/db/data",
            "TagSpecification.1.Tag.2.Key=wharfinger:owner",
            "TagSpecification.1.Tag.2.Value=w",
        ]
    );
    let retries = aws_config::retry::RetryConfig::standard();
    let (snapped, asked) = replay_with(retries, &[(503, &refusal("Unavailable")), (200, &made)], async |aws| {
        aws.create_snapshot(&request()).await
    });
    assert_eq!((snapped.unwrap_err().kind, asked.len()), (Kind::Unavailable, 1));
}

#[test]
fn why_no_snapshot_was_made_is_told_apart() {
    let create = |code: &str| {
        let refused = refusal(code);
        replay(&[(400, &refused)], async |aws| aws.create_snapshot(&request()).await).0
    };
    assert_eq!(create("InvalidVolume.NotFound"), Ok(Snapped::NoVolume));
    for code in LATER {
        assert_eq!(create(code), Ok(Snapped::Later("the words".into())), "{code}");
    }
    for (code, kind) in [
        ("RequestLimitExceeded", Kind::Throttled),
        ("SnapshotLimitExceeded", Kind::Full),
        ("UnauthorizedOperation", Kind::Denied),
        ("InvalidParameterValue", Kind::Invalid),
    ] {
        assert_eq!(create(code).unwrap_err().kind, kind, "{code}");
    }
}

#[test]
fn what_is_removed_is_gone_was_gone_or_is_in_use() {
    let done = answer("DeleteSnapshot", "<return>true</return>");
    let (removed, asked) = replay(&[(200, &done)], async |aws| aws.delete_snapshot("snap-1").await);
    assert_eq!(removed, Ok(Removed::Done));
    assert_eq!(
        asked[0].form(),
        ["Action=DeleteSnapshot", "Version=2016-11-15", "SnapshotId=snap-1"]
    );
    let snapshot = |code: &str| {
        let refused = refusal(code);
        replay(&[(400, &refused)], async |aws| aws.delete_snapshot("snap-1").await).0
    };
    assert_eq!(snapshot("InvalidSnapshot.NotFound"), Ok(Removed::Done));
    assert_eq!(
        snapshot("InvalidSnapshot.InUse"),
        Ok(Removed::InUse("the words".into()))
    );
    assert_eq!(snapshot("UnauthorizedOperation").unwrap_err().kind, Kind::Denied);

    let done = answer("DeleteVolume", "<return>true</return>");
    let (removed, asked) = replay(&[(200, &done)], async |aws| aws.delete_volume("vol-1").await);
    assert_eq!(removed, Ok(Removed::Done));
    assert_eq!(asked[0].form()[2..], ["VolumeId=vol-1"]);
    let volume = |code: &str| {
        let refused = refusal(code);
        replay(&[(400, &refused)], async |aws| aws.delete_volume("vol-1").await).0
    };
    assert_eq!(volume("InvalidVolume.NotFound"), Ok(Removed::Done));
    assert_eq!(volume("VolumeInUse"), Ok(Removed::InUse("the words".into())));
    assert_eq!(volume("IncorrectState").unwrap_err().kind, Kind::Invalid);
}

#[test]
fn who_shares_a_snapshot_is_told() {
    let shared = |inner: &str| {
        let inner = format!("<snapshotId>snap-1</snapshotId><createVolumePermission>{inner}</createVolumePermission>");
        let shared = answer("DescribeSnapshotAttribute", &inner);
        replay(&[(200, &shared)], async |aws| aws.shared_with("snap-1").await)
    };
    let (found, asked) = shared("<item><userId>444455556666</userId></item><item><group>all</group></item>");
    assert_eq!(found, Ok(vec!["444455556666".to_owned(), "all".to_owned()]));
    assert_eq!(
        asked[0].form()[2..],
        ["SnapshotId=snap-1", "Attribute=createVolumePermission"]
    );
    assert_eq!(shared("").0, Ok(vec![]));
    let gone = refusal("InvalidSnapshot.NotFound");
    let (found, _) = replay(&[(400, &gone)], async |aws| aws.shared_with("snap-1").await);
    assert_eq!(found, Ok(vec![]));
}

#[test]
fn volumes_of_ecs_that_are_attached_to_nothing_are_listed() {
    let volume = "<item><volumeId>vol-1</volumeId><size>8</size><snapshotId/><status>available</status>\
                  <createTime>2026-03-01T12:00:00.000Z</createTime><attachmentSet/>\
                  <tagSet><item><key>AmazonECSManaged</key><value>true</value></item></tagSet></item>";
    let page = answer("DescribeVolumes", &format!("<volumeSet>{volume}</volumeSet>"));
    let (found, asked) = replay(&[(200, &page)], async |aws| aws.available_volumes().await);
    let expected = Volume {
        volume_id: "vol-1".into(),
        state: "available".into(),
        create_time: "2026-03-01T12:00:00Z".parse().unwrap(),
        size: 8,
        tags: BTreeMap::from([(MANAGED_TAG.to_owned(), "true".to_owned())]),
    };
    assert_eq!(found, Ok(vec![expected]));
    assert_eq!(
        asked[0].form()[2..],
        [
            "Filter.1.Name=tag-key",
            "Filter.1.Value.1=AmazonECSManaged",
            "Filter.2.Name=status",
            "Filter.2.Value.1=available",
            "MaxResults=1000",
        ]
    );
}

#[test]
fn volumes_are_listed_by_a_tag_on_every_page_whatever_their_state() {
    let volume = |id: &str, state: &str| {
        format!(
            "<item><volumeId>{id}</volumeId><size>8</size><status>{state}</status>\
             <createTime>2026-03-01T12:00:00.000Z</createTime><tagSet/></item>"
        )
    };
    let page =
        |volumes: &str, token: &str| answer("DescribeVolumes", &format!("<volumeSet>{volumes}</volumeSet>{token}"));
    let first = page(&volume("vol-1", "in-use"), "<nextToken>more</nextToken>");
    let second = page(&volume("vol-2", "deleting"), "<nextToken/>");
    let (found, asked) = replay(&[(200, &first), (200, &second)], async |aws| {
        aws.volumes_tagged("wharfinger:lineage", "prod/db").await
    });
    let found: Vec<_> = found.unwrap().into_iter().map(|v| (v.volume_id, v.state)).collect();
    let expected = [("vol-1", "in-use"), ("vol-2", "deleting")];
    assert_eq!(found, expected.map(|(id, state)| (id.to_owned(), state.to_owned())));
    let form = [
        "Filter.1.Name=tag:wharfinger:lineage",
        "Filter.1.Value.1=prod/db",
        "MaxResults=1000",
    ];
    assert_eq!(asked[0].form()[2..], form);
    assert_eq!(asked[1].form()[5..], ["NextToken=more"]);
}
