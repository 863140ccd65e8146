//! Forms and answers as in the ELBv2 API reference.

use super::super::replay::replay;
use super::*;

const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/73e2d6bc24d8a067";

fn target(id: &str, zone: Option<&str>) -> TargetDescription {
    TargetDescription {
        id: id.into(),
        port: 8080,
        availability_zone: zone.map(str::to_owned),
    }
}

fn refusal(code: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
         <Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>\
         <RequestId>1</RequestId></ErrorResponse>"
    )
}

#[test]
fn targets_are_sent_with_their_ports_and_zones() {
    let answer = "<RegisterTargetsResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
                  <RegisterTargetsResult/><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\
                  </RegisterTargetsResponse>";
    let targets = [target("10.0.0.7", None), target("192.168.1.9", Some("all"))];
    let (made, asked) = replay(&[(200, answer)], async |aws| aws.register_targets(ARN, &targets).await);
    assert_eq!(made, Ok(()));
    assert_eq!(asked[0].host, "elasticloadbalancing");
    assert_eq!(
        asked[0].form(),
        [
            "Action=RegisterTargets",
            "Version=2015-12-01",
            &format!("TargetGroupArn={ARN}"),
            "Targets.member.1.Id=10.0.0.7",
            "Targets.member.1.Port=8080",
            "Targets.member.2.Id=192.168.1.9",
            "Targets.member.2.Port=8080",
            "Targets.member.2.AvailabilityZone=all",
        ]
    );
}

#[test]
fn nothing_is_sent_for_no_targets() {
    let (made, asked) = replay(&[], async |aws| aws.deregister_targets(ARN, &[]).await);
    assert_eq!((made, asked), (Ok(()), Vec::new()));
}

#[test]
fn refusals_keep_the_code_of_aws() {
    for (code, kind) in [
        ("InvalidTarget", Kind::Invalid),
        ("TargetGroupNotFound", Kind::NotFound),
        ("TooManyTargets", Kind::Full),
        ("TooManyRegistrationsForTargetId", Kind::Full),
        ("Throttling", Kind::Throttled),
    ] {
        let targets = [target("10.0.0.7", None)];
        let answer = refusal(code);
        let (made, asked) = replay(&[(400, &answer)], async |aws| {
            aws.deregister_targets(ARN, &targets).await
        });
        let error = made.unwrap_err();
        assert_eq!((error.operation, error.kind), ("DeregisterTargets", kind));
        assert_eq!((error.code.as_deref(), error.message.as_str()), (Some(code), "no"));
        assert_eq!(asked[0].form()[0], "Action=DeregisterTargets");
    }
}

fn health(members: &str) -> String {
    format!(
        "<DescribeTargetHealthResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\n  \
         <DescribeTargetHealthResult>\n    <TargetHealthDescriptions>{members}</TargetHealthDescriptions>\n  \
         </DescribeTargetHealthResult>\n  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\n\
         </DescribeTargetHealthResponse>"
    )
}

#[test]
fn the_health_of_every_target_is_read() {
    let answer = health(
        "<member><HealthCheckPort>80</HealthCheckPort><TargetHealth><State>healthy</State></TargetHealth>\
         <Target><Port>80</Port><Id>i-0f76fade</Id></Target></member>\
         <member><HealthCheckPort>8080</HealthCheckPort><TargetHealth><State>unhealthy.draining</State>\
         <Reason>Target.DeregistrationInProgress</Reason><Description>leaves</Description></TargetHealth>\
         <Target><AvailabilityZone>eu-west-1a</AvailabilityZone><Port>8080</Port><Id>10.0.0.7</Id></Target></member>\
         <member><TargetHealth><State>unavailable</State></TargetHealth>\
         <Target><Id>arn:aws:lambda:eu-west-1:111122223333:function:f</Id></Target></member>",
    );
    let (made, asked) = replay(&[(200, &answer)], async |aws| aws.target_health(ARN).await);
    let made = made.unwrap();
    assert_eq!(
        made.iter()
            .map(|t| (t.target.id.as_str(), t.target.port, t.state.as_str()))
            .collect::<Vec<_>>(),
        [("i-0f76fade", 80, "healthy"), ("10.0.0.7", 8080, "unhealthy.draining")]
    );
    assert_eq!(made[0].target.availability_zone, None);
    assert_eq!(made[1].target.availability_zone.as_deref(), Some("eu-west-1a"));
    assert!(made[1].is_draining());
    assert_eq!(
        asked[0].form(),
        [
            "Action=DescribeTargetHealth",
            "Version=2015-12-01",
            &format!("TargetGroupArn={ARN}")
        ]
    );
}

#[test]
fn a_group_may_have_no_targets() {
    let bare = "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions/>\
                </DescribeTargetHealthResult></DescribeTargetHealthResponse>";
    for answer in [health(""), bare.to_owned()] {
        let (made, _) = replay(&[(200, &answer)], async |aws| aws.target_health(ARN).await);
        assert_eq!(made, Ok(Vec::new()));
    }
}

fn groups(names: &[(&str, &str)], marker: &str) -> String {
    let member = |(name, of): &(&str, &str)| {
        format!(
            "<member><TargetGroupArn>arn/{name}</TargetGroupArn><HealthCheckTimeoutSeconds>5</HealthCheckTimeoutSeconds>\
             <LoadBalancerArns/><Matcher><HttpCode>200</HttpCode></Matcher>\
             <TargetGroupName>{name}</TargetGroupName><Port>80</Port>{of}</member>"
        )
    };
    let members = names.iter().map(member).collect::<Vec<_>>().concat();
    format!(
        "<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups>{members}</TargetGroups>{marker}\
         </DescribeTargetGroupsResult></DescribeTargetGroupsResponse>"
    )
}

const IP: &str = "<TargetType>ip</TargetType>";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn groups_are_found_by_name_on_every_page() {
    let first = groups(
        &[("web", IP), ("api", "<TargetType>instance</TargetType>")],
        "<NextMarker>m1</NextMarker>",
    );
    let second = groups(
        &[("f", "<TargetType>lambda</TargetType>"), ("old", "")],
        "<NextMarker/>",
    );
    let asked_for = names(&["web", "api", "f", "old"]);
    let (made, asked) = replay(&[(200, &first), (200, &second)], async |aws| {
        aws.target_groups(&asked_for).await
    });
    let types: Vec<_> = made
        .unwrap()
        .into_iter()
        .map(|(name, g)| (name, g.arn, g.target_type))
        .collect();
    let group = |name: &str, of| (name.to_owned(), format!("arn/{name}"), of);
    assert_eq!(
        types,
        [
            group("api", TargetType::Instance),
            group("f", TargetType::Other),
            group("old", TargetType::Other),
            group("web", TargetType::Ip),
        ]
    );
    let form = asked[0].form();
    assert_eq!(
        form[..4],
        [
            "Action=DescribeTargetGroups",
            "Version=2015-12-01",
            "Names.member.1=web",
            "Names.member.2=api"
        ]
    );
    assert_eq!(form.len(), 6);
    assert_eq!(asked[1].form()[6], "Marker=m1");
}

#[test]
fn one_missing_group_does_not_lose_the_others() {
    let (missing, web) = (refusal("TargetGroupNotFound"), groups(&[("web", IP)], ""));
    let asked_for = names(&["gone", "web"]);
    let answers = [(400, missing.as_str()), (400, &missing), (200, &web)];
    let (made, asked) = replay(&answers, async |aws| aws.target_groups(&asked_for).await);
    assert_eq!(made.unwrap().into_keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[2].form()[2..], ["Names.member.1=web"]);
}

#[test]
fn what_fails_otherwise_is_an_error() {
    let (missing, throttled) = (refusal("TargetGroupNotFound"), refusal("Throttling"));
    let asked_for = names(&["gone", "web"]);
    let (made, _) = replay(&[(400, &missing), (400, &throttled)], async |aws| {
        aws.target_groups(&asked_for).await
    });
    assert_eq!(made.unwrap_err().kind, Kind::Throttled);
    let one = names(&["gone"]);
    let (made, asked) = replay(&[(400, &missing)], async |aws| aws.target_groups(&one).await);
    assert_eq!((made, asked.len()), (Ok(BTreeMap::new()), 1));
    let (made, asked) = replay(&[], async |aws| aws.target_groups(&[]).await);
    assert_eq!((made, asked.len()), (Ok(BTreeMap::new()), 0));
}

#[test]
fn another_document_is_unreadable() {
    let (made, _) = replay(&[(200, "<html/>")], async |aws| aws.target_health(ARN).await);
    assert_eq!(made.unwrap_err().kind, Kind::Unreadable);
}
