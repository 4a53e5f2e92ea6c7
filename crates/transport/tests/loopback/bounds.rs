//! Every bound, at it and one past it.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use transport::{CallError, Mux, Options, Overload, StartError};
use wire::frame::{BODY_BYTES_MAX, FRAME_BYTES_MAX, Failure, FrameKind};

use crate::node::*;
use crate::stranger::Stranger;

#[tokio::test]
async fn a_body_at_its_bound_travels_and_one_past_it_is_not_sent() {
    let (n1, _n2, handler) = pair(Options { body_bytes_max: 1000, ..options() }).await;
    assert_eq!(call(&n1, N2, ECHO, &[7; 1000]).await.unwrap().len(), 1000);
    let error = call(&n1, N2, ECHO, &[7; 1001]).await.unwrap_err();
    assert_eq!(error, CallError::TooLarge { bytes: 1001, max: 1000 });
    assert!(!error.is_unknown_outcome());
    let notified = n1.notify(N2, ECHO, Bytes::from_static(&[7; 1001]), LONG).await;
    assert_eq!(notified, Err(CallError::TooLarge { bytes: 1001, max: 1000 }));
    assert_eq!(*handler.begun.borrow(), 1);
}

#[tokio::test]
async fn an_answer_at_its_bound_travels_and_one_past_it_says_that_it_was_executed() {
    let (n1, _n2, _handler) = pair(Options { body_bytes_max: 1000, ..options() }).await;
    assert_eq!(call(&n1, N2, SIZED, b"1000").await.unwrap().len(), 1000);
    let error = call(&n1, N2, SIZED, b"1001").await.unwrap_err();
    assert_eq!(error, CallError::AnswerTooLarge { bytes: 1001, max: 1000 });
    assert!(error.is_unknown_outcome());
}

#[tokio::test]
async fn the_smaller_bound_of_two_nodes_holds_in_both_directions() {
    let small = Options { body_bytes_max: 1000, ..options() };
    let n2 = start(small, identity(N2), vec![(N1, nowhere())], Scripted::new()).await;
    let n1 = start(options(), identity(N1), vec![(N2, n2.local_addr())], Scripted::new()).await;
    assert!(call(&n1, N2, ECHO, &[7; 1000]).await.is_ok());
    let error = call(&n1, N2, ECHO, &[7; 1001]).await.unwrap_err();
    assert_eq!(error, CallError::TooLarge { bytes: 1001, max: 1000 });
    let error = call(&n1, N2, SIZED, b"1001").await.unwrap_err();
    assert_eq!(error, CallError::AnswerTooLarge { bytes: 1001, max: 1000 });
    assert!(call(&n2, N1, SIZED, b"1000").await.is_ok());
    let error = call(&n2, N1, SIZED, b"1001").await.unwrap_err();
    assert_eq!(error, CallError::AnswerTooLarge { bytes: 1001, max: 1000 });
    assert_eq!(n1.counters().reconnects.get(), 0, "the connection bore it");
}

#[tokio::test]
async fn the_largest_frame_travels_and_a_larger_one_breaks_the_protocol() {
    // Silence is not what ends it.
    let largest = Options { body_bytes_max: BODY_BYTES_MAX, silence_ms: 300_000, ..options() };
    let (n1, n2, _handler) = pair(largest).await;
    let body = vec![7; BODY_BYTES_MAX];
    assert!(call(&n1, N2, ECHO, &body).await.unwrap() == body);
    assert!(n1.remove_peer(N2));

    let mut stranger = Stranger::welcomed(n2.local_addr(), N1, N2).await;
    stranger.frame(FrameKind::Request, ECHO.0, 1, &body).await;
    assert_eq!(stranger.hear_frame().await.unwrap().1.len(), BODY_BYTES_MAX);
    let length = (FRAME_BYTES_MAX as u32 + 1).to_be_bytes();
    stranger.0.get_mut().write_all(&length).await.unwrap();
    assert!(stranger.hear_frame().await.is_none());
}

#[tokio::test]
async fn frames_that_are_none_break_the_protocol() {
    let n2 = start(options(), identity(N2), vec![(N1, nowhere())], Scripted::new()).await;
    let bad: [&[u8]; 4] = [&[], &[1; 13], &[9; 14], &[3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 99]];
    for bytes in bad {
        let mut stranger = Stranger::welcomed(n2.local_addr(), N1, N2).await;
        stranger.say(bytes.to_vec()).await;
        assert!(stranger.hear_frame().await.is_none(), "{bytes:?}");
    }
}

#[tokio::test]
async fn calls_in_flight_are_bounded() {
    let (n1, _n2, handler) = pair(Options { calls_in_flight_max: 3, ..options() }).await;
    let three = join_all((0..3).map(|_| call(&n1, N2, GATED, b"")));
    let (three, ()) = tokio::join!(three, async {
        handler.until_begun(3).await;
        assert_eq!(n1.peers()[0].calls_in_flight, 3);
        let error = call(&n1, N2, ECHO, b"").await.unwrap_err();
        assert_eq!(error, CallError::Overloaded(Overload::CallsInFlight));
        assert!(!error.is_unknown_outcome());
        handler.gate.add_permits(3);
    });
    assert!(three.iter().all(Result::is_ok));
    assert!(call(&n1, N2, ECHO, b"").await.is_ok());
}

#[tokio::test]
async fn requests_handled_at_once_are_bounded_and_the_next_is_told_so_at_once() {
    let (n1, n2, handler) = pair(Options { handled_at_once_max: 2, ..options() }).await;
    let two = join_all((0..2).map(|_| call(&n1, N2, GATED, b"")));
    let (two, ()) = tokio::join!(two, async {
        handler.until_begun(2).await;
        assert_eq!(n2.peers()[0].handled_now, 2);
        let error = call(&n1, N2, ECHO, b"").await.unwrap_err();
        assert_eq!(error, CallError::Overloaded(Overload::Peer));
        assert!(!error.is_unknown_outcome());
        n1.notify(N2, ECHO, Bytes::new(), LONG).await.unwrap();
        call(&n1, N2, ECHO, b"").await.unwrap_err();
        handler.gate.add_permits(2);
    });
    assert!(two.iter().all(Result::is_ok));
    assert_eq!(*handler.begun.borrow(), 2, "what is shed does not begin");
    assert_eq!(n2.counters().requests_shed.get(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_is_felt_by_its_callers_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peers = vec![(N2, listener.local_addr().unwrap())];
    let options = Options { write_queue_frames_max: 2, ..options() };
    let n1 = start(options, identity(N1), peers, Scripted::new()).await;
    let mut n2 = Stranger::welcoming(&listener, N2).await;

    // Far more than the kernel takes for a stream nobody reads.
    let large = Bytes::from(vec![7; 1024 * 1024]);
    let errors =
        join_all((0..64).map(|_| n1.call(N2, ECHO, large.clone(), Duration::from_millis(400)))).await;
    let count = |wanted: &CallError| errors.iter().filter(|error| error.as_ref() == Err(wanted)).count();
    let (sent, waited) = (count(&CallError::Deadline), count(&CallError::Overloaded(Overload::WriteQueue)));
    assert_eq!(sent + waited, 64, "{errors:?}");
    assert!(sent >= 3 && waited >= 20, "{sent} were taken by kernel and queue, {waited} waited");

    // Once it reads, what is still wanted comes through on the same connection, and what is not was never written.
    let reading = async {
        let mut stale = 0;
        loop {
            let (header, body) = n2.hear_frame().await.unwrap();
            if body == "fresh" {
                n2.frame(FrameKind::Response, 0, header.id, &body).await;
                return stale;
            }
            stale += 1;
        }
    };
    let (fresh, stale) = tokio::join!(call(&n1, N2, ECHO, b"fresh"), reading);
    assert_eq!(fresh.unwrap(), "fresh");
    assert!(stale < sent, "{stale} of {sent}");
}

#[tokio::test]
async fn a_peer_that_asks_without_reading_answers_cannot_make_a_node_wait() {
    let handler = Scripted::new();
    let options = Options { handled_at_once_max: 1, write_queue_frames_max: 1, ..options() };
    let n2 = start(options, identity(N2), vec![(N1, nowhere())], handler.clone()).await;
    let mut stranger = Stranger::welcomed(n2.local_addr(), N1, N2).await;
    stranger.frame(FrameKind::Request, GATED.0, 1, b"").await;
    handler.until_begun(1).await;
    for id in 2..5_000 {
        stranger.frame(FrameKind::Request, ECHO.0, id, b"").await;
    }
    handler.gate.add_permits(1);
    let mut seen_first = false;
    while !seen_first {
        let (header, body) = stranger.hear_frame().await.unwrap();
        seen_first = header.id == 1;
        assert!(
            seen_first
                || Failure::decode(&body) == Ok(Failure::Overloaded)
                || header.kind == FrameKind::Response
        );
    }
}

#[tokio::test]
async fn options_outside_their_bounds_are_named() {
    type Change = fn(&mut Options);
    let wrong: [(&str, Change); 12] = [
        ("body_bytes_max", |o| o.body_bytes_max = 0),
        ("body_bytes_max", |o| o.body_bytes_max = BODY_BYTES_MAX + 1),
        ("calls_in_flight_max", |o| o.calls_in_flight_max = 0),
        ("handled_at_once_max", |o| o.handled_at_once_max = 0),
        ("write_queue_frames_max", |o| o.write_queue_frames_max = 0),
        ("handshakes_pending_max", |o| o.handshakes_pending_max = 0),
        ("handshake_ms", |o| o.handshake_ms = 0),
        ("deadline_max_ms", |o| o.deadline_max_ms = 0),
        ("alive_every_ms", |o| o.alive_every_ms = 0),
        ("silence_ms", |o| o.silence_ms = o.alive_every_ms * 2 - 1),
        ("backoff_min_ms", |o| o.backoff_min_ms = 0),
        ("backoff_max_ms", |o| o.backoff_max_ms = o.backoff_min_ms - 1),
    ];
    for (name, change) in wrong {
        let mut options = options();
        change(&mut options);
        let (handler, net) = (Scripted::new(), std::sync::Arc::new(platform::TcpNet));
        let entropy = std::sync::Arc::new(platform::SeededEntropy::new(1));
        let started = Mux::start(options, identity(N1), vec![], handler, net, entropy).await;
        assert!(matches!(started, Err(StartError::Option(option)) if option == name), "{name}");
    }
}
