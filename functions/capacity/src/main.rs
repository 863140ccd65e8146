//! The Lambda function: see the library.

use wharfinger_capacity::Capacity;
use wharfinger_cloud::start;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    Box::pin(start::run(|_| Capacity::default())).await
}
