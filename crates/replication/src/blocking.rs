//! Where work that blocks on a disk is done. Not here: the log's writer, which has a thread of its own.

use std::io;

/// Runs `work` on a thread that may block, or right here where the disk is simulated.
pub(crate) async fn off_the_tasks<T: Send + 'static>(
    inline: bool,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if inline {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(died) => Err(io::Error::other(format!("work on the disk died: {died}"))),
    }
}
