//! Peers that die, fall silent, come back or leave politely.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use platform::{MemNet, SeededEntropy};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use transport::{CallError, Mux, Options, PeerState};
use wire::frame::FrameKind;

use crate::node::*;
use crate::stranger::Stranger;

#[tokio::test]
async fn a_peer_killed_in_mid_call_leaves_the_outcome_unknown_and_is_found_again() {
    let (n1, n2, handler) = pair(options()).await;
    let addr = n2.local_addr();
    let asking = call(&n1, N2, GATED, b"");
    let (error, ()) = tokio::join!(asking, async {
        handler.until_begun(1).await;
        drop(n2);
    });
    let error = error.unwrap_err();
    assert!(matches!(error, CallError::Closed { .. }), "{error}");
    assert!(error.is_unknown_outcome());
    handler.until_over(1).await;
    assert!(matches!(unreachable_state(&n1, N2).await, PeerState::Down { .. }));

    let again = Options { listen: addr, ..options() };
    let _n2 = start(again, identity(N2), vec![(N1, nowhere())], Scripted::new()).await;
    within(async { while n1.call(N2, ECHO, b"back"[..].into(), LONG).await.is_err() {} }).await;
    assert_eq!(n1.counters().reconnects.get(), 1);
}

#[tokio::test]
async fn the_lower_node_comes_back_too() {
    let (n1, n2, _handler) = pair(options()).await;
    assert!(call(&n2, N1, ECHO, b"").await.is_ok());
    drop(n1);
    let peers = vec![(N2, n2.local_addr())];
    let _n1 = start(options(), identity(N1), peers, Scripted::new()).await;
    within(async { while n2.call(N1, ECHO, b"back"[..].into(), LONG).await.is_err() {} }).await;
    assert_eq!(n2.counters().reconnects.get(), 1);
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peers = vec![(N2, listener.local_addr().unwrap())];
    let options = Options { alive_every_ms: 20, silence_ms: 60, ..options() };
    let n1 = start(options, identity(N1), peers, Scripted::new()).await;
    let _silent = Stranger::welcoming(&listener, N2).await;
    let error = call(&n1, N2, ECHO, b"").await.unwrap_err();
    assert_eq!(error, CallError::Closed { why: "n2 said nothing for 60 ms".into() });
}

#[tokio::test]
async fn a_node_that_leaves_lets_what_has_begun_end() {
    // It does not end because its time is up.
    let (n1, n2, handler) = pair(Options { drain_ms: 300_000, ..options() }).await;
    let addr = n2.local_addr();
    let asking = call(&n1, N2, GATED, b"still answered");
    let leaving = async {
        handler.until_begun(1).await;
        let asking_meanwhile = async {
            let error = loop {
                // Until n2 has begun to leave it still answers.
                match call(&n1, N2, ECHO, b"").await {
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) => break error,
                }
            };
            let why = "it is shutting down".into();
            assert_eq!(error, CallError::Unreachable { peer: N2, why });
            handler.gate.add_permits(1);
        };
        tokio::join!(within(n2.shutdown()), asking_meanwhile);
    };
    let (answer, ()) = tokio::join!(asking, leaving);
    assert_eq!(answer.unwrap(), "still answered");
    TcpListener::bind(addr).await.expect("the port is free again");
    within(n1.shutdown()).await;
}

#[tokio::test]
async fn a_node_that_leaves_lets_its_peer_hang_up_first() {
    let n2 = start(options(), identity(N2), vec![(N1, nowhere())], Scripted::new()).await;
    let mut n1 = Stranger::welcomed(n2.local_addr(), N1, N2).await;
    n1.frame(FrameKind::Request, ECHO.0, 1, b"x").await;
    assert_eq!(n1.hear_frame().await.unwrap().1, "x");
    let mut leaving = Box::pin(n2.shutdown());
    let heard = tokio::select! {
        () = &mut leaving => panic!("n1 has not hung up"),
        heard = n1.hear_frame() => heard,
    };
    assert!(heard.is_none());
    assert!(timeout(Duration::from_millis(100), &mut leaving).await.is_err(), "it waits for n1");
    drop(n1);
    within(leaving).await;
}

#[tokio::test]
async fn leaving_waits_no_longer_than_it_may() {
    let (n1, n2, handler) = pair(Options { drain_ms: 50, ..options() }).await;
    let asking = call(&n1, N2, GATED, b"");
    let leaving = async {
        handler.until_begun(1).await;
        within(n2.shutdown()).await;
        assert_eq!(*handler.over.borrow(), 1, "the handler is dropped");
    };
    let (error, ()) = tokio::join!(asking, leaving);
    assert!(error.unwrap_err().is_unknown_outcome());
}

/// Two nodes on a net in memory and in virtual time, each on an address of its own.
async fn in_memory(options: Options) -> (MemNet, [IpAddr; 2], Mux, Mux) {
    let net = MemNet::new();
    let ips = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
    let listen = |host: usize| std::net::SocketAddr::new(ips[host], 7_000);
    let node = async |host: usize, me, peer, options: Options| {
        let options = Options { listen: listen(host), ..options };
        let entropy = Arc::new(SeededEntropy::new(host as u64));
        let peers = vec![(peer, listen(1 - host))];
        Mux::start(options, identity(me), peers, Scripted::new(), Arc::new(net.at(ips[host])), entropy)
            .await
            .unwrap()
    };
    let n2 = node(1, N2, N1, options.clone()).await;
    let n1 = node(0, N1, N2, options).await;
    (net, ips, n1, n2)
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_lives_on() {
    let options = Options { alive_every_ms: 1_000, silence_ms: 2_500, ..options() };
    let (_net, _ips, n1, n2) = in_memory(options).await;
    call(&n1, N2, ECHO, b"").await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(state(&n2, N1), PeerState::Connected { version: 1 });
    assert_eq!((n1.counters().reconnects.get(), n2.counters().reconnects.get()), (0, 0));
    assert!((3_500..3_700).contains(&n1.counters().frames_in.get()), "{}", n1.counters().frames_in.get());
}

#[tokio::test(start_paused = true)]
async fn a_partition_heals_within_one_backoff_and_is_not_hammered_meanwhile() {
    let options = Options { backoff_min_ms: 10, backoff_max_ms: 1_000, connect_wait_ms: 5_000, ..options() };
    let (net, [a, b], n1, n2) = in_memory(options).await;
    call(&n2, N1, ECHO, b"").await.unwrap();
    net.cut(a, b);
    sleep(Duration::from_secs(600)).await;
    let PeerState::Down { for_ms, .. } = state(&n1, N2) else { panic!("{:?}", state(&n1, N2)) };
    assert!(
        (599_000..=600_000).contains(&for_ms),
        "down since the cut, not since the last attempt: {for_ms}"
    );
    assert!((600..=1_220).contains(&n1.counters().dials.get()), "{}", n1.counters().dials.get());
    net.heal(a, b);
    let healed = Instant::now();
    call(&n2, N1, ECHO, b"").await.unwrap();
    assert!(healed.elapsed() <= Duration::from_secs(1), "{:?}", healed.elapsed());
    assert_eq!(n1.counters().reconnects.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_does_not_wait_for_a_connection_longer_than_it_may() {
    let options = Options { connect_wait_ms: 300, ..options() };
    let (net, [a, b], _n1, n2) = in_memory(options).await;
    call(&n2, N1, ECHO, b"").await.unwrap();
    net.cut(a, b);
    call(&n2, N1, ECHO, b"").await.unwrap_err();
    let began = Instant::now();
    let error = call(&n2, N1, ECHO, b"").await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    assert_eq!(began.elapsed().as_millis(), 300, "n2 waits to be dialled");
}
