//! Deployments of ECS services, by the raw client.

use serde_json::json;

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::{Deployments, Stopping};

const OPERATION: &str = "StopServiceDeployment";

impl Deployments for Aws {
    async fn stop_service_deployment(&self, arn: &str) -> Result<Stopping, CloudError> {
        let body = json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" });
        let call = self
            .raw
            .json("ecs", "AmazonEC2ContainerServiceV20141113", OPERATION, &body);
        match self.within(OPERATION, call).await {
            Ok(_) => Ok(Stopping::Asked),
            // A missing right may be given, and then it works.
            Err(error) if error.is_transient() || error.kind == Kind::Denied => Err(error),
            Err(error) => Ok(Stopping::Refused(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;

    #[test]
    fn what_never_works_is_told_apart_from_what_may() {
        let stop = |status, answer: &str| {
            replay(&[(status, answer)], async |aws| {
                aws.stop_service_deployment("arn:1").await
            })
        };
        let (made, asked) = stop(200, r#"{"serviceDeploymentArn":"arn:1"}"#);
        assert_eq!(made, Ok(Stopping::Asked));
        assert_eq!(
            asked[0].target.as_deref(),
            Some("AmazonEC2ContainerServiceV20141113.StopServiceDeployment")
        );
        assert_eq!(
            asked[0].json(),
            json!({ "serviceDeploymentArn": "arn:1", "stopType": "ROLLBACK" })
        );
        let code = |code: &str| format!(r#"{{"__type":"{code}","message":"no"}}"#);
        for refused in [
            "ServiceDeploymentNotFoundException",
            "ConflictException",
            "InvalidParameterException",
            "UnsupportedFeatureException",
        ] {
            let (made, _) = stop(400, &code(refused));
            assert!(
                matches!(&made, Ok(Stopping::Refused(words)) if words.contains(refused)),
                "{made:?}"
            );
        }
        for (passing, status, kind) in [
            ("ThrottlingException", 400, Kind::Throttled),
            ("ServerException", 500, Kind::Unavailable),
            ("AccessDeniedException", 400, Kind::Denied),
        ] {
            assert_eq!(stop(status, &code(passing)).0.unwrap_err().kind, kind, "{passing}");
        }
    }
}
