//! The Lambda function: see the library.

use wharfinger_cloud::start;
use wharfinger_scaling::Scaling;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    Box::pin(start::run(|_| Scaling::default())).await
}
