//! The node's end of all its connections: start, call, notify, look, shut down. Not here: what requests mean.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use platform::{Entropy, Net};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use types::NodeId;

use crate::counters::Counters;
use crate::error::LEAVING;
use crate::listener::accept_all;
use crate::options::{Identity, Options};
use crate::peer::{Peer, PeerState};
use crate::{CallError, HandlerError, Overload, StartError};

/// Which request; its meaning is agreed on above this room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKind(pub u8);

/// Answers the requests of peers.
pub trait Handler: Send + Sync {
    /// Called for requests and notifies; what a notify is answered with is dropped. The future is dropped at the
    /// request's deadline and at shutdown, in any of its awaits; it outlives its connection. A panic leaves the caller to
    /// its deadline. A body shares memory with its neighbours on the stream: copy what is kept for long. `within`: how
    /// long it is to the deadline.
    fn handle(
        &self,
        from: NodeId,
        kind: RequestKind,
        body: Bytes,
        within: Duration,
    ) -> BoxFuture<'_, Result<Bytes, HandlerError>>;
}

/// A peer as the cluster page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    pub node: NodeId,
    pub addr: SocketAddr,
    pub state: PeerState,
    /// Own calls that wait for an answer.
    pub calls_in_flight: u32,
    /// Its requests that are being handled.
    pub handled_now: u32,
}

/// What all tasks of a node share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) me: Identity,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) counters: Counters,
    pub(crate) tasks: TaskTracker,
    /// Ends everything at once.
    pub(crate) stop: CancellationToken,
    /// Nothing new begins. Cancelled by `stop` too.
    pub(crate) leaving: CancellationToken,
    pub(crate) entropy: Arc<dyn Entropy>,
    peers: RwLock<BTreeMap<NodeId, Arc<Peer>>>,
}

impl Shared {
    /// Of two nodes the lower dials, so that there is one connection between them.
    pub(crate) fn dials(&self, node: NodeId) -> bool {
        self.me.node < node
    }

    pub(crate) fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    fn all_peers(&self) -> Vec<Arc<Peer>> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// One node's connections to its peers. Dropped without [`Mux::shutdown`], it ends everything at once.
pub struct Mux {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    _stop_on_drop: DropGuard,
}

impl fmt::Debug for Mux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux").field("me", &self.shared.me).field("local_addr", &self.local_addr).finish()
    }
}

impl Mux {
    /// Listens, and begins to dial the peers with higher ids. The addresses of lower ones are not used: they dial.
    pub async fn start(
        options: Options,
        me: Identity,
        peers: Vec<(NodeId, SocketAddr)>,
        handler: Arc<dyn Handler>,
        net: Arc<dyn Net>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        options.check()?;
        for addr in std::iter::once(options.listen).chain(peers.iter().map(|(_, addr)| *addr)) {
            check_private(net.as_ref(), addr)?;
        }
        let failed = |source| StartError::Listen { addr: options.listen, source };
        let listener = net.listen(options.listen).await.map_err(failed)?;
        let local_addr = listener.address().map_err(failed)?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            options,
            me,
            net,
            handler,
            counters: Counters::default(),
            tasks: TaskTracker::new(),
            leaving: stop.child_token(),
            stop: stop.clone(),
            entropy,
            peers: RwLock::new(BTreeMap::new()),
        });
        shared.tasks.spawn(accept_all(shared.clone(), listener));
        let mux = Self { shared, local_addr, _stop_on_drop: stop.drop_guard() };
        for (node, addr) in peers {
            mux.add_peer(node, addr)?;
        }
        Ok(mux)
    }

    /// Where this node listens, with the port it was given.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The node this is the end of.
    pub fn node(&self) -> NodeId {
        self.shared.me.node
    }

    /// All peers, by id.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.shared.all_peers().iter().map(|peer| self.status(peer)).collect()
    }

    /// One of them; `None`: it is no peer of this node.
    pub fn peer(&self, node: NodeId) -> Option<PeerStatus> {
        self.shared.peer(node).map(|peer| self.status(&peer))
    }

    /// Adds a peer, and dials it if this node is the one to dial. To change an address: remove, then add.
    pub fn add_peer(&self, node: NodeId, addr: SocketAddr) -> Result<(), StartError> {
        check_private(self.shared.net.as_ref(), addr)?;
        if self.shared.is_leaving() {
            return Err(StartError::Leaving);
        }
        let peer = Arc::new(Peer::new(&self.shared, node, addr));
        {
            let mut peers = self.shared.peers.write().unwrap_or_else(PoisonError::into_inner);
            if node == self.shared.me.node || peers.contains_key(&node) {
                return Err(StartError::Peer(node));
            }
            peers.insert(node, peer.clone());
        }
        if self.shared.dials(node) {
            self.shared.tasks.spawn(peer.keep_dialling(self.shared.clone()));
        }
        Ok(())
    }

    /// Ends the connection to a peer and refuses it from now on. `false`: it was none.
    pub fn remove_peer(&self, node: NodeId) -> bool {
        let removed = self.shared.peers.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
        removed.is_some_and(|peer| {
            peer.gone.cancel();
            true
        })
    }

    /// Asks `to` and waits for its answer, at most for `deadline`. While there is no connection it waits for one, at
    /// most `connect_wait_ms`. See [`CallError::is_unknown_outcome`] for what an
    /// error says about the request. Dropped, it is as if its deadline had passed.
    pub async fn call(
        &self,
        to: NodeId,
        kind: RequestKind,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let (peer, until) = self.begin(to, &body, deadline)?;
        let _in_flight =
            peer.calls.try_acquire().map_err(|_| CallError::Overloaded(Overload::CallsInFlight))?;
        let connection = peer.connection(self.connect_until(until)).await?;
        let answer = connection.call(kind, body, until).await;
        if matches!(answer, Err(Some(CallError::Deadline))) {
            self.shared.counters.deadlines_passed.add(1);
        }
        answer.map_err(|error| error.unwrap_or_else(|| lost(to)))
    }

    /// Tells `to` something, once, without an answer: `Ok` says that it was queued, not that it arrives. Waits for a
    /// connection and for room at most for `deadline`, which bounds its handling over there, too.
    pub async fn notify(
        &self,
        to: NodeId,
        kind: RequestKind,
        body: Bytes,
        deadline: Duration,
    ) -> Result<(), CallError> {
        let (peer, until) = self.begin(to, &body, deadline)?;
        let _in_flight =
            peer.calls.try_acquire().map_err(|_| CallError::Overloaded(Overload::CallsInFlight))?;
        let connection = peer.connection(self.connect_until(until)).await?;
        connection.notify(kind, body, until).await.map_err(|error| error.unwrap_or_else(|| lost(to)))
    }

    /// Begins nothing new, lets calls and handlers end for at most `drain_ms`, then closes all connections and the
    /// port. Requests that arrive meanwhile are told that the node is leaving.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        shared.leaving.cancel();
        let Options { calls_in_flight_max, handled_at_once_max, drain_ms, .. } = shared.options;
        let drain = async {
            for peer in shared.all_peers() {
                let calls = peer.calls.acquire_many(calls_in_flight_max).await;
                let handled = peer.handled.acquire_many(handled_at_once_max).await;
                if let Some(connection) = peer.connection_now() {
                    connection.goodbye().await;
                }
                drop((calls, handled));
            }
            shared.tasks.close();
            shared.tasks.wait().await;
        };
        if timeout(Duration::from_millis(drain_ms), drain).await.is_err() {
            tracing::warn!(drain_ms, "shut down before all calls had ended");
        }
        shared.tasks.close();
        shared.stop.cancel();
        shared.tasks.wait().await;
    }

    fn status(&self, peer: &Peer) -> PeerStatus {
        let Options { calls_in_flight_max, handled_at_once_max, .. } = self.shared.options;
        let used = |max: u32, free: usize| max.saturating_sub(u32::try_from(free).unwrap_or(u32::MAX));
        PeerStatus {
            node: peer.node,
            addr: peer.addr,
            state: peer.state(),
            calls_in_flight: used(calls_in_flight_max, peer.calls.available_permits()),
            handled_now: used(handled_at_once_max, peer.handled.available_permits()),
        }
    }

    fn begin(&self, to: NodeId, body: &Bytes, deadline: Duration) -> Result<(Arc<Peer>, Instant), CallError> {
        let Options { body_bytes_max, deadline_max_ms, .. } = self.shared.options;
        if body.len() > body_bytes_max {
            return Err(CallError::TooLarge { bytes: body.len() as u64, max: body_bytes_max as u64 });
        }
        let unreachable = |why: &str| CallError::Unreachable { peer: to, why: why.into() };
        if self.shared.is_leaving() {
            return Err(unreachable(LEAVING));
        }
        let peer = self.shared.peer(to).ok_or_else(|| unreachable("it is not a peer of this node"))?;
        let longest = Duration::from_millis(deadline_max_ms.into());
        Ok((peer, Instant::now() + deadline.min(longest)))
    }

    fn connect_until(&self, until: Instant) -> Instant {
        until.min(Instant::now() + Duration::from_millis(self.shared.options.connect_wait_ms))
    }
}

fn lost(peer: NodeId) -> CallError {
    CallError::Unreachable { peer, why: "the connection was lost just now; nothing was sent".into() }
}

/// Encryption between nodes follows; until then their traffic does not leave the machine.
fn check_private(net: &dyn Net, addr: SocketAddr) -> Result<(), StartError> {
    if net.is_private(addr) { Ok(()) } else { Err(StartError::NotLoopback(addr)) }
}
