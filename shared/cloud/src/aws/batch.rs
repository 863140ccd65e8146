//! Asking for several things in one call.

use crate::error::CloudError;

/// Asks for so many at a time. Where one that does not exist spoils the answer for all, asks one by one and leaves that one
/// out.
pub(super) async fn ask<T>(
    names: &[String],
    at_once: usize,
    is_absence: impl Fn(&CloudError) -> bool,
    ask: impl AsyncFn(&[String]) -> Result<Vec<T>, CloudError>,
) -> Result<Vec<T>, CloudError> {
    let mut found = Vec::new();
    for batch in names.chunks(at_once) {
        match ask(batch).await {
            Ok(some) => found.extend(some),
            Err(error) if !is_absence(&error) => return Err(error),
            Err(_) if batch.len() == 1 => {}
            Err(_) => {
                for one in batch.chunks(1) {
                    match ask(one).await {
                        Ok(some) => found.extend(some),
                        Err(error) if !is_absence(&error) => return Err(error),
                        Err(_) => {}
                    }
                }
            }
        }
    }
    Ok(found)
}
