//! The Lambda function: see the library.

use wharfinger_cloud::start;
use wharfinger_delivery::Delivery;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    Box::pin(start::run(|env| Delivery::new(env.owner.clone()))).await
}
