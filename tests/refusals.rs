//! What cannot be is refused: a clear error, by name, and no effect. Not here: what a disk can do (`disks`).

use serde_json::Value;
use std::time::Duration;
use tests::{Answer, Api, Books, Cluster, assert_conserved, exchange_raw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use types::NodeId;
use wire::hello::{Answer as HelloAnswer, Hello, Refusal, Versions};

const CONSUME: &str = "/v1/workspaces/acme/consume";
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A problem is whole: its code, and words for people.
#[track_caller]
fn assert_problem(what: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let problem = answer.json();
    for word in ["title", "detail", "would_help"] {
        assert!(problem[word].as_str().is_some_and(|text| text.len() > 3), "{what}: {problem}");
    }
    assert_eq!(problem["status"], status, "{what}");
}

/// Everything there is to see of a workspace, but for the time, and where its unused credits are.
async fn everything(api: &mut Api) -> Vec<Value> {
    let mut all = vec![api.workspace("acme").await];
    for part in ["grants", "members", "usage?group_by=user,feature,model"] {
        all.push(api.read(&format!("/v1/workspaces/acme/{part}")).await);
    }
    all.push(api.read("/v1/rate-card").await);
    all.iter_mut().for_each(forget_what_moves);
    all
}

/// Leases come and go by themselves.
fn forget_what_moves(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(forget_what_moves),
        Value::Object(fields) => {
            fields.retain(|name, _| !["as_of", "available", "leased", "shared"].contains(&name.as_str()));
            fields.values_mut().for_each(forget_what_moves);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_named_and_has_no_effect() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "1000").await;
    api.consume("acme", "ann", "1").await.allowed();
    let told = tests::Tally { allowed: "1".parse().expect("an amount"), ..tests::Tally::default() };
    Books::settled(&mut api, "acme", &told).await;
    let before = everything(&mut api).await;

    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        amounts(&mut api).await;
        shapes(&cluster, node).await;
        places_and_keys(&cluster, node).await;
        changes(&mut api).await;
    }
    let after = everything(&mut api).await;
    assert_eq!(before, after, "nothing of it had an effect");
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
    // The same nodes go on.
    api.consume("acme", "ann", "999").await.allowed();
}

async fn amounts(api: &mut Api) {
    let amount = |text: &str| format!(r#"{{"user":"ann","feature":"chat","amount":{text}}}"#);
    for (text, status, code) in [
        ("0", 422, "invalid"),
        ("\"0\"", 422, "invalid"),
        ("0.000000", 422, "invalid"),
        ("-1", 422, "invalid"),
        ("\"-0.5\"", 422, "invalid"),
        ("0.1234567", 422, "invalid"),
        ("\"1.0000000\"", 422, "invalid"),
        ("1e3", 422, "invalid"),
        ("\"1e3\"", 422, "invalid"),
        ("1E-3", 422, "invalid"),
        ("\"NaN\"", 422, "invalid"),
        ("\"inf\"", 422, "invalid"),
        ("\"\"", 422, "invalid"),
        ("\" 1\"", 422, "invalid"),
        ("\"+1\"", 422, "invalid"),
        ("\"1,5\"", 422, "invalid"),
        ("\"0x10\"", 422, "invalid"),
        ("\".5\"", 422, "invalid"),
        ("\"١\"", 422, "invalid"),
        ("1000000000000", 422, "invalid"),
        ("\"1000000000000\"", 422, "invalid"),
        ("999999999999.999999", 422, "invalid"),
        ("1e400", 422, "invalid"),
        (&"9".repeat(400), 422, "invalid"),
        ("NaN", 400, "malformed"),
        ("Infinity", 400, "malformed"),
        ("01", 400, "malformed"),
        ("true", 400, "malformed"),
        ("[1]", 400, "malformed"),
        ("{\"micros\":1}", 400, "malformed"),
        // Larger than all there is: understood, and not to be had.
        ("1000.5", 402, "exhausted"),
    ] {
        let answer = api.answer("POST", CONSUME, Some(&amount(text))).await;
        assert_problem(text, &answer, status, code);
    }
}

async fn shapes(cluster: &Cluster, node: u16) {
    let api = &mut cluster.api(node);
    let deep = format!(
        r#"{{"user":"ann","feature":"chat","amount":{}1{}}}"#,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    for (body, status, code) in [
        ("", 400, "malformed"),
        ("null", 400, "malformed"),
        ("{", 400, "malformed"),
        ("[]", 400, "malformed"),
        ("user=ann", 400, "malformed"),
        (&deep, 400, "malformed"),
        (r#"{"user":"ann","feature":"chat","amount":"1","colour":"red"}"#, 400, "malformed"),
        (r#"{"user":"ann","user":"bob","feature":"chat","amount":"1"}"#, 400, "malformed"),
        (r#"{"user":"ann","feature":"chat","amount":"1","amount":"2"}"#, 400, "malformed"),
        (r#"{"user":"ann","feature":"chat","amount":"1"} {}"#, 400, "malformed"),
        (r#"{"user":7,"feature":"chat","amount":"1"}"#, 400, "malformed"),
        (r#"{"feature":"chat","amount":"1"}"#, 400, "malformed"),
        (r#"{"user":"ann","amount":"1"}"#, 400, "malformed"),
        (r#"{"user":"ann","feature":"chat"}"#, 422, "invalid"),
        (r#"{"user":"","feature":"chat","amount":"1"}"#, 422, "invalid"),
        (r#"{"user":"an n","feature":"chat","amount":"1"}"#, 422, "invalid"),
        (r#"{"user":"ann","feature":"chat","amount":"1","usage":{"input_tokens":1}}"#, 422, "invalid"),
        (r#"{"user":"ann","feature":"chat","usage":{}}"#, 422, "invalid"),
        (r#"{"user":"ann","feature":"chat","usage":{"input_tokens":-1}}"#, 422, "invalid"),
        (r#"{"user":"ann","feature":"chat","usage":{"input_tokens":1.5}}"#, 422, "invalid"),
        (r#"{"user":"ann","feature":"chat","model":"m","usage":{"image":1}}"#, 422, "unpriced"),
        (r#"{"user":"ann","feature":"chat","amount":"1","durability":"paper"}"#, 422, "invalid"),
    ] {
        let answer = api.answer("POST", CONSUME, Some(body)).await;
        assert_problem(&body[..body.len().min(80)], &answer, status, code);
    }
    let long = format!(r#"{{"user":"{}","feature":"chat","amount":"1"}}"#, "u".repeat(129));
    assert_problem("an id of 129", &api.answer("POST", CONSUME, Some(&long)).await, 422, "invalid");
    let not_utf8 = b"{\"user\":\"\xff\",\"feature\":\"chat\",\"amount\":\"1\"}";
    let answer = api.send("POST", CONSUME, &[], Some(not_utf8)).await.expect("answered");
    assert_problem("not UTF-8", &answer, 400, "malformed");
    // A body at its bound is read (and found to be exhausted); one byte more is not, which ends the connection.
    let body = r#"{"user":"ann","feature":"chat","amount":"5000"}"#;
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    let answer = api.answer("POST", CONSUME, Some(&padded(BODY_BYTES_MAX))).await;
    assert_problem("64 KiB", &answer, 402, "exhausted");
    let answer = cluster.api(node).answer("POST", CONSUME, Some(&padded(BODY_BYTES_MAX + 1))).await;
    assert_problem("a byte more", &answer, 413, "too_large");
    let many = format!(
        r#"{{"items":[{}]}}"#,
        vec![r#"{"user":"u","feature":"f","amount":"5000"}"#; 1_001].join(",")
    );
    let answer = api.answer("POST", "/v1/workspaces/acme/consume/batch", Some(&many)).await;
    assert_problem("1,001 items", &answer, 422, "invalid");
}

async fn places_and_keys(cluster: &Cluster, node: u16) {
    let body = Some(r#"{"user":"ann","feature":"chat","amount":"1"}"#);
    let mut cluster_node = cluster.api(node);
    let api = &mut cluster_node;
    let unknown = api.answer("POST", "/v1/workspaces/nowhere/consume", body).await;
    assert_problem("unknown workspace", &unknown, 404, "unknown_workspace");
    assert_problem("its summary", &api.get("/v1/workspaces/nowhere").await, 404, "unknown_workspace");
    assert_problem("unknown route", &api.get("/v1/nothing").await, 404, "unknown_route");
    assert_problem("a bad id", &api.get("/v1/workspaces/a%20b").await, 422, "invalid");
    assert_problem("another method", &api.answer("DELETE", CONSUME, None).await, 405, "method_not_allowed");
    for key in
        ["", "wrong", "tk_of_the_tests", &cluster.key[..cluster.key.len() - 1], &cluster.key.to_uppercase()]
    {
        let mut stranger = cluster.api_with_key(node, key);
        for (method, path, body) in
            [("POST", CONSUME, body), ("GET", "/v1/workspaces/acme", None), ("GET", "/v1/cluster", None)]
        {
            let answer = stranger.answer(method, path, body).await;
            assert_problem(&format!("{method} {path} with key {key:?}"), &answer, 401, "unauthenticated");
            assert!(answer.header("www-authenticate").is_some());
            assert!(!answer.text().contains(&cluster.key), "no answer tells the key");
        }
    }
    let headers = |lines: &str| format!("POST {CONSUME} HTTP/1.1\r\nHost: x\r\n{lines}\r\n{{}}").into_bytes();
    let address = api.address();
    let bearer = format!("Authorization: Bearer {}\r\nContent-Length: 2\r\n", cluster.key);
    for (what, lines, status, code) in [
        (
            "no scheme",
            format!("Authorization: {}\r\nContent-Length: 2\r\n", cluster.key),
            401,
            "unauthenticated",
        ),
        ("two keys", format!("{bearer}Authorization: Bearer x\r\n"), 401, "unauthenticated"),
        ("no type", bearer.clone(), 415, "unsupported_media_type"),
        (
            "a form",
            format!("{bearer}Content-Type: application/x-www-form-urlencoded\r\n"),
            415,
            "unsupported_media_type",
        ),
        (
            "a key with spaces",
            format!("{bearer}Content-Type: application/json\r\nIdempotency-Key: a b\r\n"),
            422,
            "invalid",
        ),
    ] {
        let answer = exchange_raw(address, &headers(&lines)).await.expect("answered");
        assert_problem(what, &answer, status, code);
    }
    let garbage = exchange_raw(address, b"\x16\x03\x01\x00\xa5 this is no HTTP\r\n\r\n").await;
    assert!(garbage.is_err() || garbage.is_ok_and(|answer| answer.status == 400));
    let huge = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let huge = exchange_raw(address, huge.as_bytes()).await;
    assert!(huge.is_err() || huge.is_ok_and(|answer| answer.status == 431));
}

async fn changes(api: &mut Api) {
    let ws = "/v1/workspaces/acme";
    for (method, path, body, status, code) in [
        ("POST", "grants", r#"{"id":"g","kind":"plan","amount":"0"}"#, 422, "invalid"),
        ("POST", "grants", r#"{"id":"g","kind":"plan","amount":"-5"}"#, 422, "invalid"),
        ("POST", "grants", r#"{"id":"g","kind":"plan","amount":"1e3"}"#, 422, "invalid"),
        ("POST", "grants", r#"{"id":"g","kind":"plan","amount":"1000000000000"}"#, 422, "invalid"),
        ("POST", "grants", r#"{"id":"g","kind":"plan","amount":"999999999999.999999"}"#, 422, "invalid"),
        ("POST", "grants", r#"{"id":"g","kind":"gift","amount":"1"}"#, 422, "invalid"),
        (
            "POST",
            "grants",
            r#"{"id":"g","kind":"plan","amount":"1","expires_at":"2001-01-01T00:00:00Z"}"#,
            422,
            "invalid",
        ),
        ("POST", "grants", r#"{"kind":"plan","amount":"1"}"#, 400, "malformed"),
        ("POST", "grants", r#"{"id":"first","kind":"plan","amount":"7"}"#, 409, "id_conflict"),
        ("PUT", "allocations/ann", r#"{"amount":"-1"}"#, 422, "invalid"),
        ("PUT", "allocations/ann", r#"{"amount":"1.0000001"}"#, 422, "invalid"),
        ("PUT", "allocations/ann", r#"{"amount":"1","overflow":"maybe"}"#, 422, "invalid"),
        ("PUT", "allocations/ann", r#"{"amount":"1000.000001"}"#, 402, "insufficient_shared"),
        ("POST", "allocations/ann/adjust", r#"{"delta":"0"}"#, 422, "invalid"),
        ("POST", "allocations/ann/adjust", r#"{"delta":"5"}"#, 404, "not_found"),
        ("POST", "reallocations", r#"{"id":"r","from":"ann","to":"ann","amount":"1"}"#, 422, "invalid"),
        ("POST", "reallocations", r#"{"id":"r","from":"ann","to":"bob","amount":"0"}"#, 422, "invalid"),
        ("POST", "reallocations", r#"{"id":"r","from":"ann","to":"bob","amount":"1"}"#, 404, "not_found"),
        ("PUT", "limits/ann", r#"{}"#, 400, "malformed"),
        ("PUT", "members/ann", r#"{"ai_access":"yes"}"#, 400, "malformed"),
        ("GET", "usage?group_by=colour", "", 422, "invalid"),
        ("GET", "members?limit=0", "", 422, "invalid"),
        ("GET", "members?page=2", "", 400, "malformed"),
    ] {
        let body = (!body.is_empty()).then_some(body);
        let answer = api.answer(method, &format!("{ws}/{path}"), body).await;
        assert_problem(&format!("{method} {path} {body:?}"), &answer, status, code);
    }
    let stale = [("If-Match", "\"999999\"")];
    let answer = api.send("PUT", ws, &stale, Some(br#"{"name":"Stale"}"#)).await.expect("answered");
    assert_problem("a stale ETag", &answer, 412, "stale");
}

/// One frame: a length and so many bytes; answers what came back before the end.
async fn say(peer: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(peer).await.expect("the peer port listens");
    stream.write_all(bytes).await.expect("written");
    let mut answer = Vec::new();
    // A reset is an end too.
    let _end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
        .await
        .expect("it ends");
    answer
}

async fn say_hello(peer: std::net::SocketAddr, hello: Hello) -> HelloAnswer {
    let hello = hello.encode();
    let length = u32::try_from(hello.len()).expect("short").to_be_bytes();
    let answer = say(peer, &[&length[..], &hello].concat()).await;
    HelloAnswer::decode(&answer[4..]).expect("an answer to a hello")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_peer_is_told_why_and_let_go() {
    let mut cluster = Cluster::start(3).await;
    let peer = cluster.node(2).peer;
    let versions = Versions { min: 1, max: 1 };
    let stranger = Hello { versions, cluster_id: 7, from: NodeId(1), to: NodeId(2) };
    let HelloAnswer::Refused(Refusal::WrongCluster { theirs }) = say_hello(peer, stranger).await else {
        panic!("a node of another cluster was not refused as one")
    };
    let known = Hello { cluster_id: theirs, ..stranger };
    for (hello, refusal) in [
        (Hello { to: NodeId(3), ..known }, Refusal::WrongNode { theirs: NodeId(2) }),
        (Hello { from: NodeId(9), ..known }, Refusal::NotAPeer { theirs: NodeId(2) }),
        (Hello { from: NodeId(3), ..known }, Refusal::NotAPeer { theirs: NodeId(2) }),
        (
            Hello { versions: Versions { min: 900, max: 901 }, ..known },
            Refusal::NoCommonVersion { min: 1, max: 1 },
        ),
    ] {
        assert_eq!(say_hello(peer, hello).await, HelloAnswer::Refused(refusal), "{hello:?}");
    }
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x18tranche\0garbage-garbage-",
        b"\x00\x00\x00\x00",
        &[0; 64],
    ] {
        assert_eq!(say(peer, garbage).await, b"", "{garbage:?}");
    }
    // Who says nothing is let go too, and the cluster has not noticed any of it.
    assert_eq!(say(peer, b"").await, b"");
    cluster.ready().await;
    let mut api = cluster.api(2);
    api.make_workspace("acme", "10").await;
    api.consume("acme", "ann", "10").await.allowed();
    for node in cluster.numbers() {
        assert!(!cluster.node(node).process().log().contains("panicked"));
    }
}
