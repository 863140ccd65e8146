//! How the clients are configured: one TLS stack, short time-outs, retries with jitter.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// Loads Region, credentials and endpoint as every AWS tool does, with our HTTP client.
///
/// ring instead of the default aws-lc: its first handshake costs 2 ms of CPU where aws-lc gathers entropy for 20 ms,
/// some 300 ms at 128 MB of memory (aws-lc-rs #1140, lambda runtime PR #1172).
pub async fn load() -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(5))
        .build();
    // Standard mode waits an exponentially growing time with full jitter between its three attempts.
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .load()
        .await
}
