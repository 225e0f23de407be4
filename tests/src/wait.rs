//! Waiting: always for something, never longer than a limit.

use std::time::{Duration, Instant};

/// Long enough for anything that happens at all, also on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
///
/// # Panics
/// With `what`, when the limit is reached.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            began.elapsed() < limit,
            "waited {limit:?} in vain for this: {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for a future that must end.
///
/// # Panics
/// With `what`, when the limit is reached.
pub async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future)
        .await
        .unwrap_or_else(|_| panic!("waited {limit:?} in vain for this: {what}"))
}
