//! Calls that wait for the disk, made where they hold up nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::changes::Changes;
use crate::error::StoreError;
use crate::store::Store;

/// Calls `act` on a thread that may wait. It goes on there if this is cancelled.
pub(crate) async fn run<R: Send + 'static>(act: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(act).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and nobody hears of it any more.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Makes the changes, in one transaction.
pub(crate) async fn write(store: &Arc<Store>, changes: Changes) -> Result<(), Arc<StoreError>> {
    let store = store.clone();
    let write = move || {
        // Who waits for the changes must hear of a panic in the database, too.
        let written = catch_unwind(AssertUnwindSafe(|| store.write(&changes)));
        written.unwrap_or_else(|_| Err(StoreError::Stopped { path: store.path().to_owned() }))
    };
    run(write).await.map_err(Arc::new)
}
