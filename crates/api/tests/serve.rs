//! Real connections: their number, their patience, their end.

use api::{App, ConnectionOptions, Deadlines, Metrics, OperatorKey, serve};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    app: Arc<App>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

const PATIENT: ConnectionOptions =
    ConnectionOptions { connections_max: 8, head_read_ms: 60_000, connection_ms: 60_000, drain_ms: 60_000 };

async fn start(options: ConnectionOptions, body_read_ms: u64) -> Running {
    let app = Arc::new(App {
        quota: Arc::new(OnceLock::new()),
        operator_key: OperatorKey::parse("operator-key-0123456789").unwrap(),
        deadlines: Deadlines { body_read_ms, answer_ms: 1_000 },
        metrics: Metrics::new(prometheus_client::registry::Registry::default()),
        test_clock: None,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    let served = tokio::spawn(serve(Box::new(listener), options, app.clone(), shutdown));
    Running { address, app, stop, served }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Writes, and reads to the end of the connection.
async fn to_the_end(mut stream: TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Reads until `end` has been read.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the connection ended early");
    }
    String::from_utf8(answer).unwrap()
}

const ALIVE: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const CONSUME_HEAD: &str = "POST /v1/workspaces/acme/consume HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                            authorization: Bearer operator-key-0123456789\r\n";

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let running = start(PATIENT, 1_000).await;
    let nowhere = "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = to_the_end(running.connect().await, &[ALIVE, nowhere, LAST].concat()).await;
    let statuses: Vec<&str> =
        answer.split("HTTP/1.1 ").skip(1).map(|part| part.split(' ').next().unwrap()).collect();
    assert_eq!(statuses, ["200", "404", "200"]);
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_a_place_that_is_left_is_free_again() {
    let running = start(ConnectionOptions { connections_max: 2, ..PATIENT }, 1_000).await;
    let (mut first, mut second) = (running.connect().await, running.connect().await);
    for stream in [&mut first, &mut second] {
        stream.write_all(ALIVE.as_bytes()).await.unwrap();
        until(stream, "ok\n").await;
    }
    let refused = to_the_end(running.connect().await, ALIVE).await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("\"code\":\"overloaded\"") && refused.contains("retry-after: 1"), "{refused}");

    first.write_all(LAST.as_bytes()).await.unwrap();
    first.read_to_end(&mut Vec::new()).await.unwrap();
    // The place is free a moment after the connection's end: who comes too early is told so, and comes again.
    let freed = async {
        loop {
            let answer = to_the_end(running.connect().await, LAST).await;
            if answer.starts_with("HTTP/1.1 200 ") {
                break;
            }
            assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), freed).await.expect("the place is free again");
}

#[tokio::test]
async fn a_slow_head_and_an_idle_connection_are_cut_off() {
    let running = start(ConnectionOptions { head_read_ms: 50, ..PATIENT }, 1_000).await;
    assert_eq!(
        to_the_end(running.connect().await, "GET /healthz HTTP/1.1\r\nhost:").await,
        "",
        "half a head"
    );
    assert_eq!(to_the_end(running.connect().await, "").await, "", "nothing at all");
    let answer = to_the_end(running.connect().await, ALIVE).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "idle behind an answer: {answer}");
}

#[tokio::test]
async fn heads_at_their_bounds() {
    let running = start(PATIENT, 1_000).await;
    // `host` and `connection` are two of the headers.
    let headers = |count: usize| -> String { (0..count - 2).map(|i| format!("x-{i}: 1\r\n")).collect() };
    let head = |headers: &str| LAST.replace("host: a\r\n", &format!("host: a\r\n{headers}"));
    let status = |answer: String| answer.split(' ').nth(1).map(str::to_owned);
    assert_eq!(
        status(to_the_end(running.connect().await, &head(&headers(64))).await).as_deref(),
        Some("200")
    );
    assert_eq!(
        status(to_the_end(running.connect().await, &head(&headers(65))).await).as_deref(),
        Some("431")
    );
    let large = |bytes: usize| {
        let filler = bytes - head("x: \r\n").len();
        head(&format!("x: {}\r\n", "y".repeat(filler)))
    };
    assert_eq!(large(16_384).len(), 16_384);
    assert_eq!(status(to_the_end(running.connect().await, &large(16_384)).await).as_deref(), Some("200"));
    let past = to_the_end(running.connect().await, &large(16_385)).await;
    assert_eq!(status(past).as_deref(), Some("431"));
}

#[tokio::test]
async fn a_body_that_stops_in_the_middle_is_answered() {
    let running = start(PATIENT, 50).await;
    let half = format!("{CONSUME_HEAD}content-length: 40\r\n\r\n{{\"user\":");
    let answer = to_the_end(running.connect().await, &half).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
}

#[tokio::test]
async fn a_body_that_announces_itself_as_too_large_is_refused_unread() {
    let running = start(PATIENT, 60_000).await;
    let mut stream = running.connect().await;
    stream.write_all(format!("{CONSUME_HEAD}content-length: 65537\r\n\r\n").as_bytes()).await.unwrap();
    let answer = until(&mut stream, "}").await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("too_large"), "{answer}");
    // A client that keeps connections must know that this one ends.
    assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
}

/// The rest of what is refused is read: who is still sending hears the answer, not that the connection broke.
#[tokio::test]
async fn who_still_sends_what_is_refused_hears_why() {
    let running = start(PATIENT, 60_000).await;
    let no_key = CONSUME_HEAD.replace("operator-key", "other-key");
    let text = CONSUME_HEAD.replace("application/json", "text/plain");
    let nowhere = CONSUME_HEAD.replace("/consume", "/nowhere");
    let method = CONSUME_HEAD.replace("POST", "PUT");
    let heads =
        [(CONSUME_HEAD, "413"), (&no_key, "401"), (&text, "415"), (&nowhere, "404"), (&method, "405")];
    let large = 1_000_000;
    for (head, status) in heads {
        let mut stream = running.connect().await;
        let mut answer = Vec::new();
        stream.write_all(format!("{head}content-length: {large}\r\n\r\n").as_bytes()).await.unwrap();
        // It is answered while almost all of the body is still to come.
        while !answer.ends_with(b"}") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{status}: the connection ended early");
        }
        for _ in 0..large / 1_000 {
            stream.write_all(&[b' '; 1_000]).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn at_shutdown_idle_connections_end_and_requests_in_hand_are_finished() {
    let running = start(PATIENT, 60_000).await;
    let mut idle = running.connect().await;
    idle.write_all(ALIVE.as_bytes()).await.unwrap();
    until(&mut idle, "ok\n").await;
    let mut busy = running.connect().await;
    let body = r#"{"user":"ann","feature":"chat","amount":"1.5"}"#;
    let (begin, rest) = body.split_at(10);
    let head = format!("{CONSUME_HEAD}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len());
    busy.write_all(head.as_bytes()).await.unwrap();
    // From here on the handler has the request.
    assert!(until(&mut busy, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    busy.write_all(begin.as_bytes()).await.unwrap();

    running.stop.send(()).unwrap();
    assert_eq!(to_the_end(idle, "").await, "");
    let answer = to_the_end(busy, rest).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("no_leader"), "{answer}");
    running.served.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
    assert_eq!(Arc::strong_count(&running.app), 1, "nothing is left running");
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_at_the_end_of_the_drain() {
    let running = start(ConnectionOptions { drain_ms: 50, ..PATIENT }, 60_000).await;
    let mut stuck = running.connect().await;
    let head = format!("{CONSUME_HEAD}expect: 100-continue\r\ncontent-length: 40\r\n\r\n");
    stuck.write_all(head.as_bytes()).await.unwrap();
    until(&mut stuck, "\r\n\r\n").await;
    running.stop.send(()).unwrap();
    running.served.await.unwrap();
}

#[tokio::test]
async fn a_connection_ends_at_the_end_of_its_life() {
    let running = start(ConnectionOptions { connection_ms: 50, ..PATIENT }, 60_000).await;
    let answer = to_the_end(running.connect().await, ALIVE).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
