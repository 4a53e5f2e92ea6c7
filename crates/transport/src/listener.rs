//! Takes the streams of peers that dial this node, and hears their hello. Not here: what happens after it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::handshake::{self, NoHandshake};
use crate::mux::Shared;

/// Accepts until this node leaves. A stream waits in the kernel while as many as may be have not said their hello.
pub(crate) async fn accept_all(shared: Arc<Shared>, mut listener: Box<dyn platform::Listener>) {
    let slots = Arc::new(Semaphore::new(shared.options.handshakes_pending_max));
    let pause = Duration::from_millis(shared.options.backoff_max_ms);
    let accepting = async {
        loop {
            let slot = slots.clone().acquire_owned().await.expect("it is never closed");
            match listener.accept().await {
                Ok((stream, from)) => {
                    shared.tasks.spawn(welcome(shared.clone(), stream, from, slot));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: asking again at once would be a busy loop.
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(pause).await;
                }
            }
        }
    };
    let _left: Option<()> = shared.leaving.run_until_cancelled(accepting).await;
}

async fn welcome(
    shared: Arc<Shared>,
    stream: Box<dyn platform::Connection>,
    from: SocketAddr,
    slot: OwnedSemaphorePermit,
) {
    let limit = Duration::from_millis(shared.options.handshake_ms);
    let is_expected = |node| !shared.dials(node) && shared.peer(node).is_some();
    let hello = timeout(limit, handshake::accept(stream, &shared.me, is_expected));
    let Some(heard) = shared.leaving.run_until_cancelled(hello).await else { return };
    drop(slot);
    match heard.unwrap_or(Err(NoHandshake::Slow)) {
        Ok(agreed) => {
            // Gone since its hello: then the stream just ends.
            if let Some(peer) = shared.peer(agreed.peer) {
                peer.serve(&shared, agreed).await;
            }
        }
        Err(why) => {
            shared.counters.handshakes_failed.add(1);
            tracing::warn!(%from, %why, "a connection was not taken");
        }
    }
}
