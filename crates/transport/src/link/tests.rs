//! What each way to fail says about the request: over real connections, to a peer that answers as it is told.

use super::*;
use crate::{Handler, HandlerError, Identity, Options, Services, Versions};
use actors::Peers as _;
use futures::future::BoxFuture;
use quota::{Peers as _, PriceBy};
use std::net::SocketAddr;
use std::sync::Mutex;
use types::{Credits, HolderId};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
/// A guard, never a way to wait.
const LONG: Duration = Duration::from_secs(20);
const META: GroupId = GroupId::Meta;

/// What a scripted peer does with every request.
#[derive(Clone)]
enum Does {
    Answers(Bytes),
    Refuses,
    /// Says that it has begun, and never ends.
    Hangs(Arc<tokio::sync::Notify>),
}

struct Scripted(Mutex<Does>);

impl Handler for Scripted {
    fn handle(
        &self,
        _: NodeId,
        _: RequestKind,
        _: Bytes,
        _: Duration,
    ) -> BoxFuture<'_, Result<Bytes, HandlerError>> {
        let does = self.0.lock().unwrap().clone();
        Box::pin(async move {
            match does {
                Does::Answers(bytes) => Ok(bytes),
                Does::Refuses => Err(HandlerError { text: "no".into() }),
                Does::Hangs(begun) => {
                    begun.notify_one();
                    std::future::pending().await
                }
            }
        })
    }
}

fn options() -> Options {
    Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        body_bytes_max: 64 * 1024,
        calls_in_flight_max: 100,
        handled_at_once_max: 100,
        write_queue_frames_max: 100,
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

fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

async fn mux(
    options: Options,
    node: NodeId,
    cluster_id: u64,
    peers: Vec<(NodeId, SocketAddr)>,
    handler: Arc<dyn Handler>,
) -> Arc<Mux> {
    let me = Identity { cluster_id, node, versions: Versions { min: 1, max: 1 } };
    let (net, entropy) = (Arc::new(platform::TcpNet), Arc::new(platform::SeededEntropy::new(node.0.into())));
    Arc::new(Mux::start(options, me, peers, handler, net, entropy).await.unwrap())
}

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn clock() -> Arc<dyn platform::Clock> {
    Arc::new(platform::ManualClock::at(NOW))
}

fn silent() -> Arc<Services> {
    Arc::new(Services::new(clock(), |_| Ok(None)))
}

/// n1 dials n2, which is under `options` and does as it is told.
async fn pair(options_n2: Options, does: Does) -> (Arc<Mux>, Arc<Mux>, Link) {
    let n2 = mux(options_n2, N2, 7, vec![(N1, nowhere())], Arc::new(Scripted(Mutex::new(does)))).await;
    let n1 = mux(options(), N1, 7, vec![(N2, n2.local_addr())], silent()).await;
    let link = Link::new(&n1);
    (n1, n2, link)
}

fn recall_of(workspace: &str, lines: usize) -> Recall {
    let line = types::LineId { holder: HolderId { node: N2, disk: DiskId(1) }, number: types::LineNumber(1) };
    let user = "u".repeat(128).parse().unwrap();
    let scope = types::Scope::ANYTHING;
    let line = leasing::RecallLine { line, user, scope, drawn: vec![], frozen: false, keep: Credits::ZERO };
    Recall { workspace: workspace.parse().unwrap(), lines: vec![line; lines] }
}

fn consume() -> Consume {
    Consume {
        workspace: "w".parse().unwrap(),
        user: "ann".parse().unwrap(),
        feature: "chat".parse().unwrap(),
        model: None,
        price: PriceBy::Amount(Credits::whole(1).unwrap()),
        durability: None,
        key: None,
    }
}

fn tick() -> LeaderRequest {
    LeaderRequest::Command(Box::new(ledger::Command::Tick { workspace: "w".parse().unwrap() }))
}

/// What every port says of the same trouble.
async fn faults(link: &Link, deadline: Duration) -> [PeerFault; 4] {
    let epoch = MembershipEpoch(1);
    let all = async {
        [
            link.ask_leader(N2, META, tick(), deadline).await.map(drop).unwrap_err(),
            link.recall(N2, recall_of("w", 1), deadline).await.unwrap_err(),
            link.consume(N2, epoch, consume(), deadline).await.map(drop).unwrap_err(),
            link.introduce(N2, DiskId(1), deadline).await.unwrap_err(),
        ]
    };
    tokio::time::timeout(LONG, all).await.expect("it hangs")
}

const SURELY_NOT: [PeerFault; 4] = [const { PeerFault::Unreachable(N2) }; 4];
const WHO_KNOWS: [PeerFault; 4] = [const { PeerFault::Unknown(N2) }; 4];

async fn replicate(link: &Link, deadline: Duration) -> replication::PeerFault {
    let asking = replication::Peers::call(link, N2, Bytes::from_static(b"x"), deadline);
    tokio::time::timeout(LONG, asking).await.expect("it hangs").unwrap_err()
}

#[tokio::test]
async fn what_is_answered_comes_through() {
    let answer = Led(Ok(LeaderAnswer::Renewed));
    let (_n1, _n2, link) = pair(options(), Does::Answers(to_bytes(&answer).unwrap())).await;
    assert_eq!(link.ask_leader(N2, META, tick(), LONG).await, Ok(answer.0));

    let refusal = Forwarded(Err(Refusal::NotFound("grant")));
    let (_n1, _n2, link) = pair(options(), Does::Answers(to_bytes(&refusal).unwrap())).await;
    assert_eq!(link.consume(N2, MembershipEpoch(1), consume(), LONG).await, Ok(refusal.0));
}

#[tokio::test]
async fn a_refusal_means_surely_not_done() {
    let (_n1, _n2, link) = pair(options(), Does::Refuses).await;
    assert_eq!(faults(&link, LONG).await, SURELY_NOT);
    let refused = replication::PeerFault::Refused { node: N2, why: "no".into() };
    assert_eq!(replicate(&link, LONG).await, refused);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_means_that_nobody_knows() {
    for bytes in [&b""[..], b"garbage", &[40, 1, 0], &[81, 9, 0], &[81, 1, 0, 9]] {
        let (_n1, _n2, link) = pair(options(), Does::Answers(Bytes::from_static(bytes))).await;
        assert_eq!(faults(&link, LONG).await, WHO_KNOWS, "{bytes:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_means_that_nobody_knows() {
    let large = Does::Answers(vec![0; options().body_bytes_max + 1].into());
    let (_n1, _n2, link) = pair(options(), large).await;
    assert_eq!(faults(&link, LONG).await, WHO_KNOWS);
    let fault = replicate(&link, LONG).await;
    assert!(matches!(fault, replication::PeerFault::Unreachable { node: N2, .. }), "{fault}");
}

#[tokio::test]
async fn no_answer_in_time_means_that_nobody_knows() {
    let (_n1, _n2, link) = pair(options(), Does::Hangs(Arc::default())).await;
    let soon = Duration::from_millis(30);
    assert_eq!(faults(&link, soon).await, WHO_KNOWS);
    assert_eq!(replicate(&link, soon).await, replication::PeerFault::Timeout { node: N2 });
}

#[tokio::test]
async fn a_connection_lost_before_the_answer_means_that_nobody_knows() {
    let begun = Arc::new(tokio::sync::Notify::new());
    let (_n1, n2, link) = pair(options(), Does::Hangs(begun.clone())).await;
    let cut = async {
        begun.notified().await;
        drop(n2);
    };
    let (answer, ()) = tokio::join!(link.recall(N2, recall_of("w", 1), LONG), cut);
    assert_eq!(answer, Err(PeerFault::Unknown(N2)));
}

#[tokio::test]
async fn a_peer_that_has_its_hands_full_did_not_begin() {
    let begun = Arc::new(tokio::sync::Notify::new());
    let one = Options { handled_at_once_max: 1, ..options() };
    let (_n1, _n2, link) = pair(one, Does::Hangs(begun.clone())).await;
    let first = link.ask_leader(N2, META, tick(), LONG);
    let others = async {
        begun.notified().await;
        assert_eq!(faults(&link, LONG).await, SURELY_NOT);
        let fault = replicate(&link, LONG).await;
        assert!(matches!(fault, replication::PeerFault::Unreachable { node: N2, .. }), "{fault}");
    };
    tokio::select! {
        answer = first => panic!("it hangs there: {answer:?}"),
        () = others => {}
    }
}

#[tokio::test]
async fn a_peer_that_shuts_down_did_not_begin() {
    let begun = Arc::new(tokio::sync::Notify::new());
    let (_n1, n2, link) = pair(options(), Does::Hangs(begun.clone())).await;
    let first = link.ask_leader(N2, META, tick(), LONG);
    let others = async {
        begun.notified().await;
        let leaving = n2.shutdown();
        tokio::select! {
            biased;
            () = leaving => panic!("a call is in hand"),
            faults = faults(&link, LONG) => assert_eq!(faults, SURELY_NOT),
        }
    };
    tokio::select! {
        answer = first => panic!("it hangs there: {answer:?}"),
        () = others => {}
    }
}

#[tokio::test]
async fn what_was_not_sent_was_surely_not_done() {
    // More than a body may have; more than the message may have.
    let (n1, _n2, link) = pair(options(), Does::Answers(Bytes::new())).await;
    for lines in [1_000, 100_000] {
        let answer = link.recall(N2, recall_of("w", lines), LONG).await;
        assert_eq!(answer, Err(PeerFault::Unreachable(N2)), "{lines} lines");
    }
    assert!(n1.remove_peer(N2));
    assert_eq!(faults(&link, LONG).await, SURELY_NOT, "no peer");
    n1.shutdown().await;
    assert_eq!(faults(&link, LONG).await, SURELY_NOT, "shut down");
    drop(n1);
    assert_eq!(faults(&link, LONG).await, SURELY_NOT, "dropped");
    let fault = replicate(&link, LONG).await;
    let why = "this node has ended".into();
    assert_eq!(fault, replication::PeerFault::Unreachable { node: N2, why });
}

#[tokio::test]
async fn nobody_there_means_surely_not_done() {
    let n1 = mux(options(), N1, 7, vec![(N2, nowhere())], silent()).await;
    assert_eq!(faults(&Link::new(&n1), LONG).await, SURELY_NOT);
}

#[tokio::test]
async fn a_node_that_is_starting_does_nothing_yet_but_knows_disks() {
    let services = Arc::new(Services::new(clock(), |node| match node {
        N1 => Ok(Some(DiskId(5))),
        other => Err(format!("{other} is new to me")),
    }));
    let n2 = mux(options(), N2, 7, vec![(N1, nowhere())], services).await;
    let n1 = mux(options(), N1, 7, vec![(N2, n2.local_addr())], silent()).await;
    let link = Link::new(&n1);
    assert_eq!(link.ask_leader(N2, META, tick(), LONG).await, Err(PeerFault::Unreachable(N2)));
    assert_eq!(link.recall(N2, recall_of("w", 1), LONG).await, Err(PeerFault::Unreachable(N2)));
    let consumed = link.consume(N2, MembershipEpoch(1), consume(), LONG).await;
    assert_eq!(consumed, Err(PeerFault::Unreachable(N2)));
    let starting = replication::PeerFault::Refused { node: N2, why: "this node is still starting".into() };
    assert_eq!(replicate(&link, LONG).await, starting);

    assert_eq!(link.introduce(N2, DiskId(6), LONG).await, Ok(Some(DiskId(5))));
    assert_eq!(Link::new(&n2).introduce(N1, DiskId(6), LONG).await, Ok(None));
    assert_eq!(link.heard(N2, DiskId(6), LONG).await, Ok(Heard::Starting));
    assert_eq!(link.time(N2, LONG).await, Ok(NOW));
}

#[tokio::test]
async fn nobody_is_introduced_by_another_and_no_other_kind_is_known() {
    let knows_all = Arc::new(Services::new(clock(), |_| Ok(Some(DiskId(5)))));
    let n2 = mux(options(), N2, 7, vec![(N1, nowhere())], knows_all).await;
    let n1 = mux(options(), N1, 7, vec![(N2, n2.local_addr())], silent()).await;
    let other = to_bytes(&Introduce { node: NodeId(3), disk: DiskId(5) }).unwrap();
    let call = async |kind, body| n1.call(N2, RequestKind(kind), body, LONG).await.unwrap_err();
    let text = "n1 introduces itself as n3".to_owned();
    assert_eq!(call(kind::INTRODUCE, other.clone()).await, CallError::Refused { text: text.clone() });
    assert_eq!(call(kind::ASK_HEARD, other.clone()).await, CallError::Refused { text });
    let text = "this program knows no request of kind 99".into();
    assert_eq!(call(99, other).await, CallError::Refused { text });
}

#[tokio::test]
async fn how_a_peer_is_seen() {
    let (n1, n2, link) = pair(options(), Does::Refuses).await;
    faults(&link, LONG).await;
    assert_eq!(link.status(N1), PeerStatus::This);
    assert_eq!(link.status(N2), PeerStatus::Connected);
    assert_eq!(link.status(NodeId(3)), PeerStatus::Down, "no peer");

    let of_another_cluster = mux(options(), N1, 8, vec![(N2, n2.local_addr())], silent()).await;
    let stranger = Link::new(&of_another_cluster);
    assert_eq!(faults(&stranger, LONG).await, SURELY_NOT);
    assert!(matches!(stranger.status(N2), PeerStatus::Refused(_)), "{:?}", stranger.status(N2));

    let alone = mux(options(), N1, 7, vec![(N2, nowhere())], silent()).await;
    let lonely = Link::new(&alone);
    assert_eq!(faults(&lonely, LONG).await, SURELY_NOT);
    assert_eq!(lonely.status(N2), PeerStatus::Down);
    drop(n1);
    assert_eq!(link.status(N2), PeerStatus::Down, "this node has ended");
}
