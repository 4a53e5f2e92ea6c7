//! The client against scripted nodes on real sockets: what is sent, how often, to whom, and what an answer becomes.

use client::{Client, Conditions, Error, Key, Options, TransportKind, UsageQuery};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use types::{Credits, Feature, IdempotencyKey, Revision, UserId, WorkspaceId};
use wire::json::{self, Consume};

const CHARGE: &str = concat!(
    r#"{"id":"n1.42.7","charged":"1.5","sources":[{"from":"shared","amount":"1.5"}],"#,
    r#""remaining":{"at_least":"98.5","at_most":"998.5"},"durability":"local","node":"n1","cycle":3}"#
);

/// What a scripted node does with one request.
#[derive(Clone, Copy)]
enum Act {
    Answer(u16, &'static str, &'static str),
    /// Reads the request and closes without a word.
    HangUp,
    /// Reads the request and says nothing.
    Silence,
}

const CHARGED: Act = Act::Answer(200, "content-type: application/json", CHARGE);
const NO_LEADER: Act = Act::Answer(
    503,
    "content-type: application/problem+json",
    r#"{"type":"/docs/errors#no_leader","title":"t","status":503,"detail":"d","code":"no_leader","retry_after_ms":1,"would_help":"Wait."}"#,
);
const EXHAUSTED: Act = Act::Answer(
    402,
    "content-type: application/problem+json",
    r#"{"type":"/docs/errors#exhausted","title":"t","status":402,"detail":"the pool is empty","code":"exhausted","available":"0.5","would_help":"Add a grant."}"#,
);
const PROXY: Act = Act::Answer(502, "content-type: text/html", "<html>Bad\r\nGateway</html>");

struct Node {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// Does one act after the other; the last one for ever.
    async fn scripted(acts: &'static [Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, acts, heard.clone()));
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn connection(mut stream: TcpStream, acts: &'static [Act], heard: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = one_request(&mut stream).await {
        let act = {
            let mut heard = heard.lock().unwrap();
            heard.push(request);
            acts[(heard.len() - 1).min(acts.len() - 1)]
        };
        match act {
            Act::Answer(status, headers, body) => {
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\n{headers}\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Act::HangUp => return,
            Act::Silence => std::future::pending().await,
        }
    }
}

async fn one_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text.into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn client(urls: &[&str]) -> Client {
    let urls = urls.iter().map(|url| (*url).to_owned()).collect();
    let usual = Options::usual(urls, Some(Key::parse("a-secret-key-of-16").unwrap()));
    Client::new(Options { answer_ms: 300, wait_ms: 1, ..usual }).unwrap()
}

fn acme() -> WorkspaceId {
    WorkspaceId::parse("acme").unwrap()
}

fn asked() -> Consume {
    Consume {
        user: UserId::parse("ann").unwrap().into(),
        feature: Feature::parse("chat").unwrap().into(),
        model: None,
        amount: Some("1.5".parse::<Credits>().unwrap().into()),
        usage: None,
        durability: None,
    }
}

fn key() -> Option<IdempotencyKey> {
    Some(IdempotencyKey::parse("k-1").unwrap())
}

fn kind(error: &Error) -> Option<TransportKind> {
    match error {
        Error::Transport(transport) => Some(transport.kind),
        Error::Problem(_) | Error::Unaddressable(_) => None,
    }
}

#[tokio::test]
async fn a_request_as_it_goes_over_the_wire() {
    let node = Node::scripted(&[CHARGED]).await;
    let charge = client(&[&node.url]).consume(&acme(), &asked(), key()).await.unwrap();
    assert_eq!(charge.charged.0.to_string(), "1.5");
    let request = node.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"{"user":"ann","feature":"chat","amount":"1.5"}"#);
    assert!(head.starts_with("POST /v1/workspaces/acme/consume HTTP/1.1\r\n"), "{head}");
    for line in
        ["authorization: Bearer a-secret-key-of-16", "idempotency-key: k-1", "content-type: application/json"]
    {
        assert!(head.lines().any(|given| given == line), "{line} is not in\n{head}");
    }
}

#[tokio::test]
async fn queries_and_conditions_are_written_as_the_api_reads_them() {
    const FIRST: Act = Act::Answer(
        200,
        "etag: \"6\"",
        r#"{"rows":[{"credits":"1","calls":1,"units":{}}],"cursor":",ann,,,","unattributed":"0","uncovered":"0","as_of":{"index":1,"time":"1970-01-01T00:00:00Z"}}"#,
    );
    const LAST: Act = Act::Answer(
        200,
        "etag: \"7\"",
        r#"{"rows":[{"credits":"2","calls":1,"units":{}}],"unattributed":"3","uncovered":"0","as_of":{"index":2,"time":"1970-01-01T00:00:00Z"}}"#,
    );
    let node = Node::scripted(&[FIRST, LAST, LAST]).await;
    let client = client(&[&node.url]);
    let query = UsageQuery {
        group_by: vec![json::GroupBy::User, json::GroupBy::Feature],
        interval: Some(json::Interval::Day),
        from: Some(types::Day(0)),
        to: None,
    };
    let all = client.all_usage(&acme(), &query).await.unwrap();
    let rows: Vec<String> = all.rows.iter().map(|row| row.credits.0.to_string()).collect();
    assert_eq!((rows.as_slice(), all.cursor, all.as_of.index), (&["1".into(), "2".into()][..], None, 2));
    let conditions = Conditions { key: None, if_match: Some(Revision(7)) };
    let limit = json::PutLimit { amount: None, window: None };
    let answer = client.put_limit(&acme(), &UserId::parse("ann").unwrap(), &limit, &conditions).await;
    assert_eq!(kind(&answer.unwrap_err()), Some(TransportKind::Unreadable), "usage is no limit");
    let requests = node.requests();
    let line = "GET /v1/workspaces/acme/usage?group_by=user%2Cfeature&interval=day&from=1970-01-01&limit=500";
    assert!(requests[0].starts_with(&format!("{line} HTTP/1.1\r\n")), "{}", requests[0]);
    let behind = format!("{line}&cursor=%2Cann%2C%2C%2C HTTP/1.1\r\n");
    assert!(requests[1].starts_with(&behind), "{}", requests[1]);
    assert!(requests[2].contains("\r\nif-match: \"7\"\r\n") && requests[2].ends_with(r#"{"amount":null}"#));
}

#[tokio::test]
async fn a_refusal_is_typed_and_not_asked_again() {
    let node = Node::scripted(&[EXHAUSTED]).await;
    let error = client(&[&node.url]).consume(&acme(), &asked(), key()).await.unwrap_err();
    assert_eq!(error.code(), Some("exhausted"));
    assert_eq!(error.available().unwrap().to_string(), "0.5");
    assert_eq!(error.to_string(), "the pool is empty. Add a grant.");
    assert!(!error.outcome_unknown());
    assert_eq!(node.requests().len(), 1);
}

#[tokio::test]
async fn with_a_key_it_is_asked_again_with_the_same_bytes_of_the_next_node() {
    let first = Node::scripted(&[Act::HangUp, NO_LEADER]).await;
    let second = Node::scripted(&[PROXY, CHARGED]).await;
    let client = client(&[&first.url, &second.url]);
    assert!(client.consume(&acme(), &asked(), key()).await.is_ok());
    let (first, second) = (first.requests(), second.requests());
    assert_eq!((first.len(), second.len()), (2, 2));
    let body = |request: &String| request.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert!(first.iter().chain(&second).all(|request| body(request) == body(&first[0])));
}

#[tokio::test]
async fn what_the_first_attempt_left_open_no_later_failure_closes() {
    let node = Node::scripted(&[Act::HangUp, NO_LEADER]).await;
    let error = client(&[&node.url]).consume(&acme(), &asked(), key()).await.unwrap_err();
    assert!(error.outcome_unknown() && kind(&error) == Some(TransportKind::Broken), "{error}");
    assert_eq!(node.requests().len(), 4);
    let node = Node::scripted(&[Act::HangUp, EXHAUSTED]).await;
    let error = client(&[&node.url]).consume(&acme(), &asked(), key()).await.unwrap_err();
    assert_eq!((error.code(), error.outcome_unknown()), (Some("exhausted"), false));
}

#[tokio::test]
async fn without_a_key_it_is_asked_once_and_the_outcome_is_unknown() {
    for (acts, why) in [
        (&[Act::HangUp, CHARGED] as &'static [Act], TransportKind::Broken),
        (&[Act::Silence, CHARGED], TransportKind::TimedOut),
        (&[PROXY, CHARGED], TransportKind::Unreadable),
    ] {
        let node = Node::scripted(acts).await;
        let error = client(&[&node.url]).consume(&acme(), &asked(), None).await.unwrap_err();
        assert_eq!(kind(&error), Some(why));
        assert!(error.outcome_unknown());
        assert_eq!(node.requests().len(), 1, "{why:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_is_passed_by_even_without_a_key() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let node = Node::scripted(&[CHARGED]).await;
    let client = client(&[&nobody, &node.url]);
    for _ in 0..4 {
        client.consume(&acme(), &asked(), None).await.unwrap();
    }
    assert_eq!(node.requests().len(), 4);
    let alone = client.pinned().next().unwrap();
    let error = alone.consume(&acme(), &asked(), None).await.unwrap_err();
    assert_eq!(kind(&error), Some(TransportKind::Unreachable));
    assert!(!error.outcome_unknown() && error.to_string().contains(&nobody), "{error}");
}

#[tokio::test]
async fn attempts_are_bounded() {
    let node = Node::scripted(&[NO_LEADER]).await;
    let error = client(&[&node.url]).quote(&acme(), &asked().into()).await.unwrap_err();
    assert_eq!(error.code(), Some("no_leader"));
    assert_eq!(node.requests().len(), 4);
}

#[tokio::test]
async fn nodes_take_turns() {
    let nodes = [Node::scripted(&[CHARGED]).await, Node::scripted(&[CHARGED]).await];
    let client = client(&[&nodes[0].url, &nodes[1].url]);
    for _ in 0..6 {
        client.clone().consume(&acme(), &asked(), None).await.unwrap();
    }
    assert_eq!(nodes.each_ref().map(|node| node.requests().len()), [3, 3]);
    for (alone, node) in client.pinned().zip(&nodes) {
        alone.consume(&acme(), &asked(), None).await.unwrap();
        assert_eq!(node.requests().len(), 4);
    }
}

#[tokio::test]
async fn readiness_is_an_answer_and_not_an_error() {
    const NOT_YET: Act =
        Act::Answer(503, "content-type: text/plain", "not ready: group s3 knows no leader\n");
    const READY: Act = Act::Answer(200, "content-type: text/plain", "ready\n");
    let node = Node::scripted(&[NOT_YET, READY]).await;
    let client = client(&[&node.url]);
    assert_eq!(client.ready().await.unwrap(), Err("not ready: group s3 knows no leader".into()));
    assert_eq!(client.ready().await.unwrap(), Ok(()));
}
