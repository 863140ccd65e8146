//! Access points of EFS (EFS API reference, 2015-02-01).

use serde_json::Value;
use wharfinger_core::storage::{AccessPoint, CreateAccessPoint};

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::{AccessPoints, Opened};

const HOST: &str = "elasticfilesystem";
const PATH: [&str; 2] = ["2015-02-01", "access-points"];
const DESCRIBE: &str = "DescribeAccessPoints";
const CREATE: &str = "CreateAccessPoint";

/// What EFS says when it makes none now and may later, or once someone does something (EFS API reference,
/// `CreateAccessPoint`, errors).
const NOT_NOW: [&str; 4] = [
    "AccessPointLimitExceeded",
    "FileSystemNotFound",
    "IncorrectFileSystemLifeCycleState",
    "BadRequest",
];

impl AccessPoints for Aws {
    async fn access_points(&self, file_system: &str) -> Result<Option<Vec<AccessPoint>>, CloudError> {
        let (mut found, mut next) = (Vec::new(), None::<String>);
        loop {
            let query = [("FileSystemId", Some(file_system)), ("NextToken", next.as_deref())];
            let call = self.raw.rest(HOST, DESCRIBE, "GET", &PATH, &query, None);
            let answer = match self.within(DESCRIBE, call).await {
                Ok(answer) => answer,
                Err(error) if error.kind == Kind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let points = answer.get("AccessPoints").and_then(Value::as_array);
            for point in points.into_iter().flatten() {
                found.push(read(DESCRIBE, point)?);
            }
            next = answer.get("NextToken").and_then(Value::as_str).map(str::to_owned);
            if next.is_none() {
                return Ok(Some(found));
            }
        }
    }

    async fn create_access_point(&self, request: &CreateAccessPoint) -> Result<Opened, CloudError> {
        let input = request.input();
        let call = self.raw.rest(HOST, CREATE, "POST", &PATH, &[], Some(&input));
        match self.within(CREATE, call).await {
            Ok(answer) => read(CREATE, &answer).map(Opened::Made),
            Err(error) => match error.code.as_deref() {
                Some("AccessPointAlreadyExists") => Ok(Opened::Exists),
                Some(code) if error.kind == Kind::Throttled || NOT_NOW.contains(&code) => {
                    Ok(Opened::Refused(format!("{code}: {}", error.message)))
                }
                _ => Err(error),
            },
        }
    }
}

fn read(operation: &'static str, point: &Value) -> Result<AccessPoint, CloudError> {
    let unreadable = || {
        CloudError::new(
            operation,
            Kind::Unreadable,
            "an access point without its id, file system or state",
        )
    };
    AccessPoint::parse(point).ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharfinger_core::ids::Target;

    use super::super::replay::replay;
    use super::*;

    fn point(id: &str) -> Value {
        json!({
            "AccessPointId": id, "AccessPointArn": "a", "FileSystemId": "fs-01234567", "LifeCycleState": "available",
            "ClientToken": "t", "OwnerId": "111122223333", "Name": "n",
            "PosixUser": { "Uid": 1000, "Gid": 1000 }, "RootDirectory": { "Path": "/a" },
            "Tags": [{ "Key": "wharfinger:owner", "Value": "wharfinger" }],
        })
    }

    #[test]
    fn every_page_is_read() {
        let first = json!({ "AccessPoints": [point("fsap-1")], "NextToken": "n/1" }).to_string();
        let last = json!({ "AccessPoints": [point("fsap-2")] }).to_string();
        let ask = async |aws: &Aws| aws.access_points("fs-01234567").await;
        let (found, asked) = replay(&[(200, &first), (200, &last)], ask);
        let found = found.unwrap().unwrap();
        let ids: Vec<_> = found.iter().map(|point| point.id.as_str()).collect();
        assert_eq!(ids, ["fsap-1", "fsap-2"]);
        assert!(found[0].is_of("wharfinger") && found[0].is_available());
        assert_eq!((found[0].user, found[0].path.as_str()), (Some((1000, 1000)), "/a"));
        let paths: Vec<_> = asked
            .iter()
            .map(|asked| format!("{} {} {}", asked.host, asked.method, asked.path))
            .collect();
        let path = "elasticfilesystem GET /2015-02-01/access-points?FileSystemId=fs-01234567";
        assert_eq!(paths, [path.to_owned(), format!("{path}&NextToken=n%2F1")]);
    }

    #[test]
    fn of_a_file_system_that_is_not_there_nothing_is_listed() {
        let ask = async |aws: &Aws| aws.access_points("fs-01234567").await;
        let missing = r#"{"ErrorCode":"FileSystemNotFound","Message":"no"}"#;
        assert_eq!(replay(&[(404, missing)], ask).0, Ok(None));
        let denied = r#"{"ErrorCode":"AccessDeniedException","Message":"no"}"#;
        assert_eq!(replay(&[(403, denied)], ask).0.unwrap_err().kind, Kind::Denied);
        let odd = json!({ "AccessPoints": [{ "AccessPointId": "fsap-1" }] }).to_string();
        assert_eq!(replay(&[(200, &odd)], ask).0.unwrap_err().kind, Kind::Unreadable);
    }

    #[test]
    fn one_is_made_was_made_or_is_not_made_now() {
        let wanted = json!({ "file-system": "fs-01234567", "path": "/a", "uid": 1, "gid": 2, "permissions": "0750" });
        let wanted = serde_json::from_value(wanted).unwrap();
        let request = CreateAccessPoint::of(&Target::service("prod", "web"), "data", &wanted, "wharfinger");
        let create =
            |status, answer: &str| replay(&[(status, answer)], async |aws| aws.create_access_point(&request).await);
        let (made, asked) = create(200, &point("fsap-1").to_string());
        assert!(matches!(made, Ok(Opened::Made(point)) if point.id == "fsap-1"));
        assert_eq!(
            (asked[0].host.as_str(), asked[0].method.as_str(), asked[0].path.as_str()),
            ("elasticfilesystem", "POST", "/2015-02-01/access-points")
        );
        assert_eq!(asked[0].json(), request.input());
        let refusal = |code: &str| json!({ "ErrorCode": code, "Message": "words" }).to_string();
        let exists = refusal("AccessPointAlreadyExists");
        assert_eq!(create(409, &exists).0, Ok(Opened::Exists));
        for (status, code) in [
            (403, "AccessPointLimitExceeded"),
            (404, "FileSystemNotFound"),
            (409, "IncorrectFileSystemLifeCycleState"),
            (400, "BadRequest"),
            (429, "ThrottlingException"),
        ] {
            let words = format!("{code}: words");
            assert_eq!(create(status, &refusal(code)).0, Ok(Opened::Refused(words)));
        }
        assert_eq!(
            create(403, &refusal("AccessDeniedException")).0.unwrap_err().kind,
            Kind::Denied
        );
        assert_eq!(
            create(500, &refusal("InternalServerError")).0.unwrap_err().kind,
            Kind::Unavailable
        );
    }
}
