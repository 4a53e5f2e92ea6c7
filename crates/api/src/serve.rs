//! Connections: how many, for how long, and how they end. Not here: what is asked on them.

use crate::app::App;
use crate::error::{Code, Refused};
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::routes::router;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use platform::{Connection, Listener};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// How connections are kept.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionOptions {
    /// Open at once; one more is told so and closed.
    pub connections_max: usize,
    /// For the head of a request, from the end of the one before: a slow one and an idle connection end alike.
    pub head_read_ms: u64,
    /// Life of a connection; then it ends behind the request it is at. A client that reads no answers holds its
    /// place no longer than this and `drain_ms`.
    pub connection_ms: u64,
    /// For requests in hand when a connection or the node ends; then they are cut off.
    pub drain_ms: u64,
}

/// Connections that are being told there is no room, at once; further ones are closed without a word.
const TURNED_AWAY_MAX: usize = 64;
/// How long one is told.
const TURNED_AWAY_MS: u64 = 500;
/// Rest after a failed accept: it fails for want of file descriptors, and goes on failing until some are closed.
const ACCEPT_REST_MS: u64 = 20;

/// Serves until `shutdown` is ready, then takes no more connections and ends those there are: idle ones at once,
/// others behind the request in hand, all of them after `drain_ms`.
pub async fn serve(
    mut listener: Box<dyn Listener>,
    options: ConnectionOptions,
    app: Arc<App>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let ConnectionOptions { connections_max, head_read_ms, connection_ms, drain_ms } = options;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(head_read_ms))
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX);
    let ends = Ends { life: Duration::from_millis(connection_ms), drain: Duration::from_millis(drain_ms) };
    let places = Arc::new(Semaphore::new(connections_max));
    let lobby = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let (closing, closed) = watch::channel(false);
    let router = router(app.clone());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(why) => {
                tracing::warn!(%why, "no connection could be accepted");
                tokio::time::sleep(Duration::from_millis(ACCEPT_REST_MS)).await;
                continue;
            }
        };
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let place = Place::taken(place, app.clone());
                connections.spawn(connection(
                    http.clone(),
                    stream,
                    router.clone(),
                    closed.clone(),
                    ends,
                    place,
                ));
            }
            Err(_) => {
                app.metrics.turned_away.inc();
                if let Ok(room) = lobby.clone().try_acquire_owned() {
                    connections.spawn(turn_away(stream, room));
                }
            }
        }
    }
    drop(listener);
    let _ = closing.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(ends.drain, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "cut off: their requests took longer than drain_ms");
        connections.shutdown().await;
    }
}

#[derive(Clone, Copy)]
struct Ends {
    life: Duration,
    drain: Duration,
}

/// One of the places for connections, counted while it is taken.
struct Place {
    app: Arc<App>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn taken(permit: OwnedSemaphorePermit, app: Arc<App>) -> Self {
        app.metrics.connections.inc();
        Self { app, _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.metrics.connections.dec();
    }
}

async fn connection(
    http: http1::Builder,
    stream: Box<dyn Connection>,
    router: Router,
    mut closed: watch::Receiver<bool>,
    ends: Ends,
    _place: Place,
) {
    let service = hyper::service::service_fn(move |request| router.clone().oneshot(request));
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = served.as_mut() => Some(ended),
        _ = closed.wait_for(|closed| *closed) => None,
        () = tokio::time::sleep(ends.life) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            served.as_mut().graceful_shutdown();
            tokio::time::timeout(ends.drain, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, "connection ended");
    }
}

/// Tells a connection that there is no place for it. What it has sent meanwhile is read, as closing on unread bytes
/// would take the answer back.
async fn turn_away(mut stream: Box<dyn Connection>, _room: OwnedSemaphorePermit) {
    let telling = async {
        stream.write_all(&no_place()).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    let _ = tokio::time::timeout(Duration::from_millis(TURNED_AWAY_MS), telling).await;
}

fn no_place() -> Vec<u8> {
    let refused = Refused::new(Code::Overloaded, "this node has as many connections as it takes");
    let body = wire::json::write(&refused.problem());
    let head = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}
