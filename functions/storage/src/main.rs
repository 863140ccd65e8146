//! The Lambda function: see the library.

use wharfinger_cloud::start;
use wharfinger_storage::Storage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    Box::pin(start::run(|env| Storage::new(&env.owner))).await
}
