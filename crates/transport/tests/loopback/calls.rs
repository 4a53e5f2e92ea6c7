//! Requests, answers, notifies, deadlines.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::net::TcpListener;
use transport::{CallError, PeerState};
use wire::frame::FrameKind;

use crate::node::*;
use crate::stranger::Stranger;

#[tokio::test]
async fn both_sides_ask_over_the_one_connection() {
    let (n1, n2, _handler) = pair(options()).await;
    assert_eq!(call(&n1, N2, ECHO, b"hello").await.unwrap(), "hello");
    assert_eq!(call(&n1, N2, WHO, b"").await.unwrap(), "n1");
    assert_eq!(call(&n2, N1, WHO, b"").await.unwrap(), "n2");
    assert_eq!(call(&n2, N1, ECHO, b"").await.unwrap(), "");
    assert_eq!(state(&n1, N2), PeerState::Connected { version: 1 });
    assert_eq!(state(&n2, N1), PeerState::Connected { version: 1 });
    assert_eq!((n1.counters().frames_out.get(), n1.counters().frames_in.get()), (4, 4));
    assert_eq!(n1.counters().bytes_out.get(), n2.counters().bytes_in.get());
    assert_eq!(n2.counters().reconnects.get(), 0);
}

#[tokio::test]
async fn three_nodes_each_ask_each() {
    let n3 = start(options(), identity(N3), vec![(N1, nowhere()), (N2, nowhere())], Scripted::new()).await;
    let to_n3 = (N3, n3.local_addr());
    let n2 = start(options(), identity(N2), vec![(N1, nowhere()), to_n3], Scripted::new()).await;
    let n1 = start(options(), identity(N1), vec![(N2, n2.local_addr()), to_n3], Scripted::new()).await;
    for (node, asker, others) in [(N1, &n1, [N2, N3]), (N2, &n2, [N1, N3]), (N3, &n3, [N1, N2])] {
        for other in others {
            assert_eq!(call(asker, other, WHO, b"").await.unwrap(), node.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_at_once_each_way_get_their_own_answers() {
    let (n1, n2, _handler) = pair(options()).await;
    let all_to = async |mux, to| {
        let one = async |i: u32| {
            let body = vec![i as u8; (i % 997) as usize + 4];
            let body = [&i.to_be_bytes()[..], &body].concat();
            assert_eq!(call(mux, to, ECHO, &body).await.unwrap(), body, "call {i}");
        };
        join_all((0..10_000).map(one)).await;
    };
    tokio::join!(all_to(&n1, N2), all_to(&n2, N1));
    assert_eq!((n1.counters().frames_out.get(), n1.counters().frames_in.get()), (20_000, 20_000));
    assert!(n1.peers().iter().chain(&n2.peers()).all(|peer| peer.calls_in_flight == 0));
}

#[tokio::test]
async fn answers_come_in_the_order_they_are_ready() {
    let (n1, _n2, handler) = pair(options()).await;
    let mut calls: FuturesUnordered<_> =
        [[0], [1], [2], [3]].iter().map(|i| call(&n1, N2, IN_TURN, i)).collect();
    // The calls move only while they are polled: first until all are over there, then one by one.
    tokio::select! {
        _ = calls.next() => panic!("nobody's turn has come"),
        () = handler.until_begun(4) => {}
    }
    for i in [3, 1, 2, 0] {
        handler.turn.send_replace(i.into());
        assert_eq!(calls.next().await.unwrap().unwrap(), [i].as_slice());
    }
}

#[tokio::test]
async fn a_refusal_carries_the_words_of_the_handler() {
    let (n1, _n2, _handler) = pair(options()).await;
    let error = call(&n1, N2, REFUSE, b"not today").await.unwrap_err();
    assert_eq!(error, CallError::Refused { text: "not today".into() });
    assert!(!error.is_unknown_outcome());
    let error = call(&n1, N2, REFUSE, &[b'x'; 2000]).await.unwrap_err();
    assert_eq!(error, CallError::Refused { text: "x".repeat(1024) });
}

#[tokio::test]
async fn a_notify_arrives_and_is_not_answered() {
    let (n1, _n2, handler) = pair(options()).await;
    within(n1.notify(N2, REFUSE, Bytes::from_static(b"nobody hears this"), LONG)).await.unwrap();
    handler.until_over(1).await;
    assert_eq!(call(&n1, N2, ECHO, b"x").await.unwrap(), "x");
    assert_eq!(n1.counters().frames_in.get(), 1, "the echo alone");
}

#[tokio::test]
async fn at_the_deadline_both_sides_stop_waiting() {
    let (n1, n2, handler) = pair(options()).await;
    call(&n1, N2, ECHO, b"connected").await.unwrap();
    handler.until_over(1).await;
    let error = within(n1.call(N2, GATED, Bytes::new(), Duration::from_millis(30))).await.unwrap_err();
    assert_eq!(error, CallError::Deadline);
    assert!(error.is_unknown_outcome());
    handler.until_over(2).await;
    assert_eq!(n1.counters().deadlines_passed.get(), 1);
    assert_eq!(call(&n1, N2, ECHO, b"on").await.unwrap(), "on", "the connection goes on");
    assert_eq!(n2.counters().handlers_dropped.get(), 1);
    assert_eq!(n2.counters().frames_out.get(), 2, "nothing is said about it");
}

#[tokio::test]
async fn a_deadline_beyond_the_longest_is_cut() {
    let (n1, _n2, handler) = pair(transport::Options { deadline_max_ms: 30, ..options() }).await;
    within(async { while n1.call(N2, ECHO, Bytes::new(), LONG).await.is_err() {} }).await;
    let begun = *handler.begun.borrow();
    let error = within(n1.call(N2, GATED, Bytes::new(), Duration::MAX)).await.unwrap_err();
    assert_eq!(error, CallError::Deadline);
    handler.until_over(begun + 1).await;
}

#[tokio::test]
async fn a_handler_is_told_how_long_its_asker_waits() {
    let (n1, _n2, _handler) = pair(options()).await;
    let told = n1.call(N2, HOW_LONG, Bytes::new(), Duration::from_millis(12_345));
    let told: u64 = std::str::from_utf8(&within(told).await.unwrap()).unwrap().parse().unwrap();
    assert!((1..=12_345).contains(&told), "{told} ms");
    let longest = n1.call(N2, HOW_LONG, Bytes::new(), Duration::MAX);
    let told: u64 = std::str::from_utf8(&within(longest).await.unwrap()).unwrap().parse().unwrap();
    assert!((12_346..=60_000).contains(&told), "{told} ms of at most a minute");
}

#[tokio::test]
async fn a_late_answer_is_dropped_and_never_taken_for_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peers = vec![(N2, listener.local_addr().unwrap())];
    let n1 = start(options(), identity(N1), peers, Scripted::new()).await;
    let mut n2 = Stranger::welcoming(&listener, N2).await;

    let asking = n1.call(N2, ECHO, Bytes::from_static(b"first"), Duration::from_millis(200));
    let (error, first) = tokio::join!(asking, n2.hear_frame());
    assert_eq!(error, Err(CallError::Deadline));
    let (first, body) = first.unwrap();
    assert_eq!(body, "first");
    assert!((1..=200).contains(&first.deadline_ms), "{} ms", first.deadline_ms);

    let answering = async {
        let (second, _body) = n2.hear_frame().await.unwrap();
        assert_ne!(second.id, first.id);
        n2.frame(FrameKind::Response, 0, first.id, b"late").await;
        n2.frame(FrameKind::Response, 0, second.id, b"second").await;
    };
    let (answer, ()) = tokio::join!(call(&n1, N2, ECHO, b""), answering);
    assert_eq!(answer.unwrap(), "second");
    assert_eq!(n1.counters().answers_late.get(), 1);
}

#[tokio::test]
async fn a_call_nobody_polls_any_more_is_forgotten() {
    let (n1, _n2, handler) = pair(options()).await;
    let asking = call(&n1, N2, GATED, b"");
    tokio::select! {
        _ = asking => panic!("the gate is shut"),
        () = handler.until_begun(1) => {}
    }
    assert_eq!(n1.peers()[0].calls_in_flight, 0);
    handler.gate.add_permits(1);
    handler.until_over(1).await;
    assert_eq!(call(&n1, N2, ECHO, b"x").await.unwrap(), "x");
    assert_eq!(n1.counters().answers_late.get(), 1);
}

#[tokio::test]
async fn a_handler_that_panics_harms_its_own_call_alone() {
    let (n1, _n2, handler) = pair(transport::Options { handled_at_once_max: 1, ..options() }).await;
    let asking = n1.call(N2, PANIC, Bytes::new(), Duration::from_millis(300));
    let (error, ()) = tokio::join!(asking, handler.until_over(1));
    assert_eq!(error, Err(CallError::Deadline));
    assert_eq!(call(&n1, N2, ECHO, b"x").await.unwrap(), "x", "the one permit is back");
}
