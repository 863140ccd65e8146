//! Whether calls can be signed, told before the first of them.

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;

use super::sdk::chain;

/// Why no call can be signed. The words are those of the AWS SDK.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCredentials {
    /// Nothing says any.
    #[error("{0}")]
    None(String),
    /// Something does, and they cannot be had.
    #[error("{0}")]
    Unusable(String),
}

/// Looks for credentials where every AWS tool does.
///
/// # Errors
/// When there are none, or they cannot be had.
pub async fn look_for_credentials(config: &SdkConfig) -> Result<(), NoCredentials> {
    let Some(provider) = config.credentials_provider() else {
        return Err(NoCredentials::None(
            "no place to look for them is configured".to_owned(),
        ));
    };
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(error @ CredentialsError::CredentialsNotLoaded(_)) => Err(NoCredentials::None(chain(&error))),
        Err(error) => Err(NoCredentials::Unusable(chain(&error))),
    }
}
