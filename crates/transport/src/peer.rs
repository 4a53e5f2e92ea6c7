//! One other node: whether there is a connection to it, and the loop that dials it. Of two nodes the one with the lower
//! id dials. Not here: the connection itself, accepting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use types::NodeId;
use wire::hello::Refusal;

use crate::CallError;
use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::handshake::{self, Agreed, NoHandshake};
use crate::mux::Shared;

/// How it stands with a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerState {
    Connected {
        /// The protocol version both agreed on.
        version: u16,
    },
    /// Tried again by itself, or awaited if it is the peer that dials.
    Down { for_ms: u64, why: String },
    /// Tried again by itself, but some setting is wrong.
    Refused { for_ms: u64, why: Refusal },
}

#[derive(Clone, Debug)]
pub(crate) enum Link {
    Up(Arc<Connection>),
    Down { since: Instant, why: String },
    Refused { since: Instant, why: Refusal },
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) addr: SocketAddr,
    /// One permit for each own call in flight.
    pub(crate) calls: Semaphore,
    /// One permit for each of its requests being handled.
    pub(crate) handled: Arc<Semaphore>,
    /// Cancelled when it is no peer any more; its connections end with it.
    pub(crate) gone: CancellationToken,
    link: watch::Sender<Link>,
    was_up: AtomicBool,
}

impl Peer {
    pub(crate) fn new(shared: &Shared, node: NodeId, addr: SocketAddr) -> Self {
        let why =
            if shared.dials(node) { "not dialled yet".into() } else { format!("{node} has not dialled yet") };
        Self {
            node,
            addr,
            calls: Semaphore::new(shared.options.calls_in_flight_max as usize),
            handled: Arc::new(Semaphore::new(shared.options.handled_at_once_max as usize)),
            gone: shared.stop.child_token(),
            link: watch::Sender::new(Link::Down { since: Instant::now(), why }),
            was_up: AtomicBool::new(false),
        }
    }

    pub(crate) fn state(&self) -> PeerState {
        let ms = |since: &Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &*self.link.borrow() {
            Link::Up(connection) => PeerState::Connected { version: connection.version },
            Link::Down { since, why } => PeerState::Down { for_ms: ms(since), why: why.clone() },
            Link::Refused { since, why } => PeerState::Refused { for_ms: ms(since), why: *why },
        }
    }

    /// The connection there is, or the one that comes before `until`. The next failed attempt ends the wait.
    pub(crate) async fn connection(&self, until: Instant) -> Result<Arc<Connection>, CallError> {
        if let Some(connection) = self.connection_now() {
            return Ok(connection);
        }
        let mut link = self.link.subscribe();
        if !matches!(&*link.borrow_and_update(), Link::Up(_)) {
            let _news_or_none = timeout_at(until, link.changed()).await;
        }
        let why = match &*link.borrow() {
            Link::Up(connection) => return Ok(connection.clone()),
            Link::Down { why, .. } => why.clone(),
            Link::Refused { why, .. } => why.to_string(),
        };
        Err(CallError::Unreachable { peer: self.node, why })
    }

    pub(crate) fn connection_now(&self) -> Option<Arc<Connection>> {
        match &*self.link.borrow() {
            Link::Up(connection) => Some(connection.clone()),
            Link::Down { .. } | Link::Refused { .. } => None,
        }
    }

    /// Turns a stream both agreed on into *the* connection, and keeps it going until it is over. An older one yields:
    /// the peer would not have dialled if it still held that.
    pub(crate) async fn serve(self: &Arc<Self>, shared: &Arc<Shared>, agreed: Agreed) {
        let Agreed { version, .. } = agreed;
        let (connection, queued) =
            Connection::new(version, shared.options.write_queue_frames_max, &self.gone);
        if let Link::Up(older) = self.link.send_replace(Link::Up(connection.clone())) {
            older.close("the peer has dialled anew");
        }
        if self.was_up.swap(true, Ordering::Relaxed) {
            shared.counters.reconnects.add(1);
        }
        tracing::info!(peer = %self.node, version, "connected");
        let why = connection.run(shared, self, agreed, queued).await;
        tracing::info!(peer = %self.node, why, "connection over");
        self.link.send_if_modified(|link| {
            let is_current = matches!(link, Link::Up(current) if Arc::ptr_eq(current, &connection));
            if is_current {
                *link = Link::Down { since: Instant::now(), why };
            }
            is_current
        });
    }

    /// Dials whenever there is no connection, until this node leaves or the peer is gone.
    pub(crate) async fn keep_dialling(self: Arc<Self>, shared: Arc<Shared>) {
        let mut backoff = Backoff::new(shared.options.backoff_min_ms, shared.options.backoff_max_ms);
        let lasting = Duration::from_millis(shared.options.backoff_max_ms);
        // A reason is said once, not at every attempt.
        let mut last_said = String::new();
        loop {
            match self.unless_over(&shared, self.dial(&shared)).await {
                None => return,
                Some(Ok(agreed)) => {
                    last_said.clear();
                    let began = Instant::now();
                    self.serve(&shared, agreed).await;
                    // A peer that takes a connection and drops it at once is no better than one that takes none.
                    if began.elapsed() >= lasting {
                        backoff.reset();
                    }
                }
                Some(Err(no)) => {
                    let why = no.to_string();
                    if why != last_said {
                        tracing::warn!(peer = %self.node, addr = %self.addr, why, "no connection");
                        last_said = why;
                    }
                    self.not_connected(&shared, no);
                }
            }
            let pause = backoff.pause(shared.entropy.next_u64());
            if self.unless_over(&shared, sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn dial(&self, shared: &Shared) -> Result<Agreed, NoHandshake> {
        shared.counters.dials.add(1);
        let limit = Duration::from_millis(shared.options.handshake_ms);
        let attempt = async {
            let stream = shared.net.connect(self.addr).await?;
            handshake::dial(stream, &shared.me, self.node).await
        };
        timeout(limit, attempt).await.unwrap_or(Err(NoHandshake::Slow))
    }

    fn not_connected(&self, shared: &Shared, no: NoHandshake) {
        if !matches!(no, NoHandshake::Io(_)) {
            shared.counters.handshakes_failed.add(1);
        }
        self.link.send_modify(|link| {
            let since = match link {
                Link::Up(_) => Instant::now(),
                Link::Down { since, .. } | Link::Refused { since, .. } => *since,
            };
            *link = match no {
                NoHandshake::Refused(why) => Link::Refused { since, why },
                no => Link::Down { since, why: no.to_string() },
            };
        });
    }

    async fn unless_over<T>(&self, shared: &Shared, work: impl Future<Output = T>) -> Option<T> {
        shared.leaving.run_until_cancelled(self.gone.run_until_cancelled(work)).await.flatten()
    }
}
