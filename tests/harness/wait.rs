//! Waiting for something that must come, with a deadline. Not here: what is waited for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// How long anything that must happen may take on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(30);

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds it; panics with `what` after `within`.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Held by whoever runs processes: the tests of one binary take turns.
pub async fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// A word nobody else has: of this process, and counted.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:08}-{:08}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
