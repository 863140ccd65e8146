//! An SDK's error as ours.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::error::{CloudError, Kind};

/// What an SDK's error means.
pub(super) fn error<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().map(str::to_owned);
            let kind = CloudError::classify(code.as_deref(), Some(service.raw().status().as_u16()));
            let message = service.err().message().map_or_else(|| chain(error), str::to_owned);
            CloudError {
                operation,
                kind,
                code,
                message,
            }
        }
        SdkError::TimeoutError(_) => CloudError::new(operation, Kind::TimedOut, chain(error)),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            CloudError::new(operation, Kind::TimedOut, chain(error))
        }
        SdkError::ResponseError(_) => CloudError::new(operation, Kind::Unreadable, chain(error)),
        SdkError::ConstructionFailure(_) => CloudError::new(operation, Kind::Invalid, chain(error)),
        _ => CloudError::new(operation, Kind::Unavailable, chain(error)),
    }
}

/// The error with its causes: an SDK error's own words say little.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
