//! Who talks to whom, and who does not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use transport::{CallError, Identity, Mux, PeerState, Refusal, StartError, Versions};
use types::NodeId;
use wire::hello::{Answer, HELLO_BYTES};

use crate::node::*;
use crate::stranger::Stranger;

/// What n1 learns when it dials `them` believing it to be `to`.
async fn refusal(to: NodeId, them: Identity, their_peer: NodeId) -> Refusal {
    let other = start(options(), them, vec![(their_peer, nowhere())], Scripted::new()).await;
    let n1 = start(options(), identity(N1), vec![(to, other.local_addr())], Scripted::new()).await;
    let PeerState::Refused { why, .. } = unreachable_state(&n1, to).await else {
        panic!("{:?}", state(&n1, to));
    };
    assert!(n1.counters().handshakes_failed.get() > 0 && other.counters().handshakes_failed.get() > 0);
    assert!(matches!(state(&other, their_peer), PeerState::Down { .. }));
    why
}

#[tokio::test]
async fn a_node_that_is_not_the_one_addressed_or_not_ours_refuses() {
    assert_eq!(refusal(N2, identity(N3), N1).await, Refusal::WrongNode { theirs: N3 });
    assert_eq!(refusal(N2, identity(N2), N3).await, Refusal::NotAPeer { theirs: N2 });
    let elsewhere = Identity { cluster_id: 7, ..identity(N2) };
    assert_eq!(refusal(N2, elsewhere, N1).await, Refusal::WrongCluster { theirs: 7 });
    let newer = Identity { versions: Versions { min: 2, max: 4 }, ..identity(N2) };
    assert_eq!(refusal(N2, newer, N1).await, Refusal::NoCommonVersion { min: 2, max: 4 });
}

#[tokio::test]
async fn the_newest_common_version_is_spoken() {
    let speaks = |node, min, max| Identity { versions: Versions { min, max }, ..identity(node) };
    let n2 = start(options(), speaks(N2, 2, 5), vec![(N1, nowhere())], Scripted::new()).await;
    let n1 = start(options(), speaks(N1, 1, 3), vec![(N2, n2.local_addr())], Scripted::new()).await;
    call(&n1, N2, ECHO, b"").await.unwrap();
    assert_eq!(state(&n1, N2), PeerState::Connected { version: 3 });
    assert_eq!(state(&n2, N1), PeerState::Connected { version: 3 });
}

#[tokio::test]
async fn the_dialler_does_not_believe_a_welcome_of_somebody_else() {
    let wrong = [
        (1, CLUSTER, N3, Refusal::WrongNode { theirs: N3 }),
        (1, 9, N2, Refusal::WrongCluster { theirs: 9 }),
        (2, CLUSTER, N2, Refusal::NoCommonVersion { min: 2, max: 2 }),
    ];
    for (version, cluster_id, from, expected) in wrong {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peers = vec![(N2, listener.local_addr().unwrap())];
        let n1 = start(options(), identity(N1), peers, Scripted::new()).await;
        let welcome = async {
            loop {
                let mut stranger = Stranger::accept(&listener).await;
                stranger.hear().await.unwrap();
                stranger.say(Answer::Welcome { version, cluster_id, from }.encode()).await;
            }
        };
        tokio::select! {
            () = welcome => unreachable!(),
            state = unreachable_state(&n1, N2) => {
                assert!(matches!(state, PeerState::Refused { why, .. } if why == expected), "{state:?}");
            }
        }
    }
}

#[tokio::test]
async fn of_two_nodes_only_the_lower_may_dial() {
    let n1 = start(options(), identity(N1), vec![(N2, nowhere())], Scripted::new()).await;
    let mut n2 = Stranger::connect(n1.local_addr()).await;
    assert_eq!(n2.hello(N2, N1).await, Answer::Refused(Refusal::NotAPeer { theirs: N1 }));
    assert!(n2.hear().await.is_none());
}

#[tokio::test]
async fn garbage_before_the_hello_closes_the_stream() {
    let (_n1, n2, _handler) = pair(options()).await;
    let too_long = [&(HELLO_BYTES as u32 + 1).to_be_bytes()[..], &[0; HELLO_BYTES + 1]].concat();
    let not_magic = [&(HELLO_BYTES as u32).to_be_bytes()[..], &[0; HELLO_BYTES]].concat();
    let garbage: [&[u8]; 5] = [b"GET / HTTP/1.1\r\n\r\n", &[0xFF; 4096], &[0; 4], &too_long, &not_magic];
    for (i, bytes) in garbage.iter().enumerate() {
        let mut stream = TcpStream::connect(n2.local_addr()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        // Closed or reset; either way without a word.
        let mut heard = Vec::new();
        let _reset = within(stream.read_to_end(&mut heard)).await;
        assert!(heard.is_empty(), "{heard:?}");
        assert_eq!(n2.counters().handshakes_failed.get(), i as u64 + 1);
    }
}

#[tokio::test]
async fn who_says_no_hello_is_hung_up_on() {
    let (_n1, n2, _handler) = pair(transport::Options { handshake_ms: 30, ..options() }).await;
    let mut silent = TcpStream::connect(n2.local_addr()).await.unwrap();
    assert_eq!(within(silent.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_dialled_port_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peers = vec![(N2, listener.local_addr().unwrap())];
    let options = transport::Options { handshake_ms: 30, ..options() };
    let n1 = start(options, identity(N1), peers, Scripted::new()).await;
    assert!(
        matches!(unreachable_state(&n1, N2).await, PeerState::Down { why, .. } if why == "no hello in time")
    );
}

#[tokio::test]
async fn pending_handshakes_are_bounded() {
    let options = transport::Options { handshakes_pending_max: 2, ..options() };
    let n2 = start(options, identity(N2), vec![(N1, nowhere())], Scripted::new()).await;
    let first = TcpStream::connect(n2.local_addr()).await.unwrap();
    let _second = TcpStream::connect(n2.local_addr()).await.unwrap();
    let mut third = Stranger::connect(n2.local_addr()).await;
    let mut hello = Box::pin(third.hello(N1, N2));
    assert!(timeout(std::time::Duration::from_millis(100), &mut hello).await.is_err(), "it waits its turn");
    drop(first);
    assert!(matches!(hello.await, Answer::Welcome { .. }));
}

#[tokio::test]
async fn a_newer_connection_of_the_same_peer_replaces_the_older() {
    let n2 = start(options(), identity(N2), vec![(N1, nowhere())], Scripted::new()).await;
    let mut older = Stranger::welcomed(n2.local_addr(), N1, N2).await;
    let asking = call(&n2, N1, ECHO, b"");
    let dialling = async {
        older.hear_frame().await.unwrap();
        let newer = Stranger::welcomed(n2.local_addr(), N1, N2).await;
        assert!(older.hear_frame().await.is_none());
        newer
    };
    let (error, newer) = tokio::join!(asking, dialling);
    assert_eq!(error, Err(CallError::Closed { why: "the peer has dialled anew".into() }));
    assert_eq!(state(&n2, N1), PeerState::Connected { version: 1 }, "the end of the older changes nothing");
    assert_eq!(n2.counters().reconnects.get(), 1);
    drop(newer);
}

#[tokio::test]
async fn nothing_leaves_the_machine_unencrypted() {
    let elsewhere = "10.0.0.1:7000".parse().unwrap();
    let start = async |listen: &str, peer| {
        let options = transport::Options { listen: listen.parse().unwrap(), ..options() };
        let (handler, net) = (Scripted::new(), std::sync::Arc::new(platform::TcpNet));
        let entropy = std::sync::Arc::new(platform::SeededEntropy::new(1));
        Mux::start(options, identity(N1), vec![(N2, peer)], handler, net, entropy).await
    };
    for listen in ["0.0.0.0:0", "10.0.0.1:0", "[::]:0", "[::ffff:10.0.0.1]:0"] {
        assert!(matches!(start(listen, nowhere()).await, Err(StartError::NotLoopback(_))), "{listen}");
    }
    assert!(matches!(start("127.0.0.1:0", elsewhere).await, Err(StartError::NotLoopback(_))));
    let n1 = start("127.0.0.1:0", nowhere()).await.unwrap();
    assert!(matches!(n1.add_peer(N3, elsewhere), Err(StartError::NotLoopback(addr)) if addr == elsewhere));
}

#[tokio::test]
async fn peers_come_and_go() {
    let handler = Scripted::new();
    let n2 = start(options(), identity(N2), vec![], handler.clone()).await;
    let n1 = start(options(), identity(N1), vec![], Scripted::new()).await;
    assert!(matches!(call(&n1, N2, ECHO, b"").await, Err(CallError::Unreachable { .. })));
    n2.add_peer(N1, nowhere()).unwrap();
    n1.add_peer(N2, n2.local_addr()).unwrap();
    assert!(matches!(n1.add_peer(N2, nowhere()), Err(StartError::Peer(N2))), "twice");
    assert!(matches!(n1.add_peer(N1, nowhere()), Err(StartError::Peer(N1))), "itself");
    let asking = call(&n1, N2, GATED, b"");
    let (error, ()) = tokio::join!(asking, async {
        handler.until_begun(1).await;
        assert!(n2.remove_peer(N1));
    });
    assert!(matches!(error, Err(CallError::Closed { .. })));
    assert!(matches!(
        unreachable_state(&n1, N2).await,
        PeerState::Refused { why: Refusal::NotAPeer { .. }, .. } | PeerState::Down { .. }
    ));
    assert!(!n2.remove_peer(N1));
    assert!(n1.remove_peer(N2));
    assert!(n1.peers().is_empty());
}
