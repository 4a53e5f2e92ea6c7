//! Nodes under test and a handler whose every step can be seen and held.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use platform::{SeededEntropy, TcpNet};
use tokio::sync::{Semaphore, watch};
use transport::{CallError, Handler, HandlerError, Identity, Mux, Options, PeerState, RequestKind, Versions};
use types::NodeId;

pub const CLUSTER: u64 = 0xC0FFEE;
/// A guard, never a way to wait: nothing here takes so long.
pub const LONG: Duration = Duration::from_secs(20);

pub const N1: NodeId = NodeId(1);
pub const N2: NodeId = NodeId(2);
pub const N3: NodeId = NodeId(3);

/// Answers with the request's body.
pub const ECHO: RequestKind = RequestKind(1);
/// Answers with who asked, in text.
pub const WHO: RequestKind = RequestKind(2);
/// Says no, with the body as text.
pub const REFUSE: RequestKind = RequestKind(3);
/// Waits for a permit of `gate`, then echoes.
pub const GATED: RequestKind = RequestKind(4);
/// Waits until `turn` is the number in the body, then echoes.
pub const IN_TURN: RequestKind = RequestKind(5);
/// Answers with as many bytes as the number in the body says.
pub const SIZED: RequestKind = RequestKind(6);
/// Panics.
pub const PANIC: RequestKind = RequestKind(7);
/// Answers with how many milliseconds it has, in text.
pub const HOW_LONG: RequestKind = RequestKind(8);

pub struct Scripted {
    pub gate: Semaphore,
    pub turn: watch::Sender<u32>,
    /// Handler futures begun, and ended or dropped.
    pub begun: watch::Sender<u32>,
    pub over: watch::Sender<u32>,
}

impl Scripted {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(0),
            turn: watch::Sender::new(u32::MAX),
            begun: watch::Sender::new(0),
            over: watch::Sender::new(0),
        })
    }

    pub async fn until_begun(&self, count: u32) {
        at_least(&self.begun, count).await;
    }

    pub async fn until_over(&self, count: u32) {
        at_least(&self.over, count).await;
    }
}

async fn at_least(counter: &watch::Sender<u32>, count: u32) {
    within(counter.subscribe().wait_for(|now| *now >= count)).await.unwrap();
}

struct CountedOver<'a>(&'a watch::Sender<u32>);

impl Drop for CountedOver<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl Handler for Scripted {
    fn handle(
        &self,
        from: NodeId,
        kind: RequestKind,
        body: Bytes,
        within: Duration,
    ) -> BoxFuture<'_, Result<Bytes, HandlerError>> {
        async move {
            let _over = CountedOver(&self.over);
            self.begun.send_modify(|count| *count += 1);
            match kind {
                ECHO => {}
                HOW_LONG => return Ok(Bytes::from(within.as_millis().to_string())),
                WHO => return Ok(Bytes::from(from.to_string())),
                REFUSE => return Err(HandlerError { text: String::from_utf8_lossy(&body).into() }),
                GATED => self.gate.acquire().await.unwrap().forget(),
                IN_TURN => {
                    let mine = u32::from(body[0]);
                    self.turn.subscribe().wait_for(|turn| *turn == mine).await.unwrap();
                }
                SIZED => return Ok(vec![7; std::str::from_utf8(&body).unwrap().parse().unwrap()].into()),
                PANIC => panic!("asked to"),
                other => panic!("no test asks for {other:?}"),
            }
            Ok(body)
        }
        .boxed()
    }
}

pub fn options() -> Options {
    Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        body_bytes_max: 1024 * 1024,
        calls_in_flight_max: 10_000,
        handled_at_once_max: 10_000,
        write_queue_frames_max: 256,
        handshakes_pending_max: 16,
        handshake_ms: 10_000,
        connect_wait_ms: 15_000,
        deadline_max_ms: 60_000,
        alive_every_ms: 5_000,
        silence_ms: 15_000,
        backoff_min_ms: 1,
        backoff_max_ms: 20,
        drain_ms: 15_000,
    }
}

pub fn identity(node: NodeId) -> Identity {
    Identity { cluster_id: CLUSTER, node, versions: Versions { min: 1, max: 1 } }
}

/// The address of a peer that is never dialled.
pub fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

pub async fn start(
    options: Options,
    me: Identity,
    peers: Vec<(NodeId, SocketAddr)>,
    handler: Arc<Scripted>,
) -> Mux {
    let entropy = Arc::new(SeededEntropy::new(me.node.0.into()));
    Mux::start(options, me, peers, handler, Arc::new(TcpNet), entropy).await.unwrap()
}

/// Two nodes that know each other, n1 dialling n2, and the handler of n2.
pub async fn pair(options: Options) -> (Mux, Mux, Arc<Scripted>) {
    let handler = Scripted::new();
    let n2 = start(options.clone(), identity(N2), vec![(N1, nowhere())], handler.clone()).await;
    let n1 = start(options, identity(N1), vec![(N2, n2.local_addr())], Scripted::new()).await;
    (n1, n2, handler)
}

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, work).await.expect("it takes far too long")
}

pub async fn call(mux: &Mux, to: NodeId, kind: RequestKind, body: &[u8]) -> Result<Bytes, CallError> {
    within(mux.call(to, kind, Bytes::copy_from_slice(body), LONG)).await
}

/// The state after the next attempt to connect.
pub async fn unreachable_state(mux: &Mux, peer: NodeId) -> PeerState {
    let error = call(mux, peer, ECHO, b"").await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    assert!(!error.is_unknown_outcome());
    state(mux, peer)
}

pub fn state(mux: &Mux, peer: NodeId) -> PeerState {
    mux.peers().into_iter().find(|status| status.node == peer).expect("it is a peer").state
}
