//! The surface without a product behind it: a request that is in order gets as far as `no_leader` ("still starting"),
//! every other one is refused on the way, by the right row of the table.

use api::{App, Code, Deadlines, Metrics, OperatorKey, router};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use futures::StreamExt;
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use tower::ServiceExt;

const KEY: &str = "operator-key-0123456789";

fn surface() -> Router {
    router(Arc::new(App {
        quota: Arc::new(OnceLock::new()),
        operator_key: OperatorKey::parse(KEY).unwrap(),
        deadlines: Deadlines { body_read_ms: 50, answer_ms: 1_000 },
        metrics: Metrics::new(prometheus_client::registry::Registry::default()),
        test_clock: None,
    }))
}

/// A body of unknown length, in pieces.
fn pieces(text: &str) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + use<> {
    let pieces: Vec<Bytes> = text.as_bytes().chunks(1_000).map(Bytes::copy_from_slice).collect();
    futures::stream::iter(pieces).map(Ok)
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of a problem that is one in every respect.
    fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let code = problem["code"].as_str().unwrap();
        let row = Code::ALL.iter().map(|code| code.row()).find(|row| row.code == code).expect(code);
        assert_eq!(row.status, self.status);
        code.to_owned()
    }
}

async fn send(surface: &Router, request: Request<Body>) -> Answered {
    let response = surface.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answered { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn request(method_and_path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let (method, path) = method_and_path.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

/// With the key, and as JSON.
async fn ask(method_and_path: &str, body: impl Into<Body>) -> Answered {
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    send(&surface(), request(method_and_path, &headers, body)).await
}

const CONSUME: &str = "POST /v1/workspaces/acme/consume";
const BODY: &str = r#"{"user":"ann","feature":"chat","amount":"1.5"}"#;

/// Each route with a request that is in order.
const IN_ORDER: [(&str, &str); 55] = [
    (CONSUME, BODY),
    ("POST /v1/workspaces/acme/quote", BODY),
    (
        "POST /v1/workspaces/acme/consume/batch",
        r#"{"items":[{"key":"k","user":"a","feature":"f","amount":1}]}"#,
    ),
    (
        "PUT /v1/workspaces/acme",
        r#"{"name":"Acme","membership":"listed","durability":"disk","enforcement":"shadow"}"#,
    ),
    ("GET /v1/workspaces/acme?fresh=true", ""),
    ("POST /v1/workspaces/acme/grants", r#"{"id":"g","kind":"plan","amount":"100"}"#),
    ("GET /v1/workspaces/acme/grants?limit=500&cursor=g", ""),
    ("GET /v1/workspaces/acme/grants/g", ""),
    ("PUT /v1/workspaces/acme/plan", r#"{"id":"pro","allowance":"100"}"#),
    ("GET /v1/workspaces/acme/plan", ""),
    ("POST /v1/workspaces/acme/holds", r#"{"user":"ann","feature":"chat","amount":"1.5","ttl_ms":300000}"#),
    ("POST /v1/workspaces/acme/holds/n1.h42/extend", r#"{"amount":"3","confirmed":"1.5"}"#),
    ("POST /v1/workspaces/acme/holds/n1.h42/settle", r#"{"usage":{"a":1},"shortfall":"cap"}"#),
    ("POST /v1/workspaces/acme/holds/n65535.h18446744073709551615/release", "{}"),
    ("POST /v1/workspaces/acme/plan/preview", r#"{"id":"pro"}"#),
    ("DELETE /v1/workspaces/acme/plan", ""),
    ("DELETE /v1/workspaces/acme/grants/g", ""),
    ("GET /v1/workspaces/acme/members", ""),
    ("PUT /v1/workspaces/acme/members/ann", r#"{"ai_access":true,"team":"design","role":"member"}"#),
    ("GET /v1/workspaces/acme/members/ann@example.org", ""),
    ("PUT /v1/workspaces/acme/allocations/ann", r#"{"amount":"1000","overflow":"none"}"#),
    ("GET /v1/workspaces/acme/allocations/ann", ""),
    ("DELETE /v1/workspaces/acme/allocations/ann", ""),
    ("POST /v1/workspaces/acme/allocations/ann/adjust", r#"{"delta":"-2000"}"#),
    ("POST /v1/workspaces/acme/reallocations", r#"{"id":"r","from":"ann","to":"bob","amount":1}"#),
    ("GET /v1/workspaces/acme/reallocations/r", ""),
    ("POST /v1/workspaces/acme/refunds", r#"{"of":"n1.42.7","amount":"1.5","id":"r-1"}"#),
    ("GET /v1/workspaces/acme/refunds/n1.42.7:1", ""),
    ("GET /v1/workspaces/acme/charges/n1.h42", ""),
    ("PUT /v1/workspaces/acme/limits/ann", r#"{"amount":null,"window":"cycle"}"#),
    ("GET /v1/workspaces/acme/limits/ann", ""),
    ("DELETE /v1/workspaces/acme/limits/ann?window=day", ""),
    ("PUT /v1/workspaces/acme/limits/teams/design", r#"{"amount":null,"window":"cycle"}"#),
    ("GET /v1/workspaces/acme/limits/teams/design", ""),
    ("DELETE /v1/workspaces/acme/limits/teams/design?window=day", ""),
    ("PUT /v1/workspaces/acme/limits/features/chat", r#"{"amount":null,"window":"cycle"}"#),
    ("GET /v1/workspaces/acme/limits/features/chat", ""),
    ("DELETE /v1/workspaces/acme/limits/features/chat?window=day", ""),
    ("PUT /v1/workspaces/acme/limits/models/opus", r#"{"amount":null,"window":"cycle"}"#),
    ("GET /v1/workspaces/acme/limits/models/opus", ""),
    ("DELETE /v1/workspaces/acme/limits/models/opus?window=day", ""),
    ("GET /v1/workspaces/acme/usage?group_by=user,team&interval=day&from=2026-11-01&to=2026-12-01", ""),
    ("GET /v1/workspaces/acme/shadow?group_by=user,team&interval=day&from=2026-11-01&to=2026-12-01", ""),
    (
        "POST /v1/workspaces/acme/usage/import",
        r#"{"items":[{"id":"i","user":"a","feature":"f","amount":1,"happened_at":"2026-11-01T00:00:00Z"}]}"#,
    ),
    ("GET /v1/rate-card", ""),
    ("GET /v1/rate-card/versions", ""),
    ("GET /v1/rate-card/versions/7", ""),
    ("DELETE /v1/rate-card/versions/7", ""),
    ("GET /v1/workspaces/acme/prices", ""),
    (
        "PUT /v1/workspaces/acme/prices",
        r#"{"prices":[{"feature":"f","model":"m","unit":"call","per":1,"credits":"0"}]}"#,
    ),
    ("DELETE /v1/workspaces/acme/prices", ""),
    ("PUT /v1/rate-card", r#"{"prices":[{"feature":"f","unit":"call","per":1,"credits":"0"}]}"#),
    ("GET /v1/cluster", ""),
    ("POST /v1/nodes/n2/forget", r#"{"mode":"credit"}"#),
    ("GET /v1/debug/conservation", ""),
];

#[tokio::test]
async fn what_is_in_order_gets_through_to_the_product() {
    for (route, body) in IN_ORDER {
        let answered = ask(route, body).await;
        assert_eq!((answered.status, &*answered.code()), (503, "no_leader"), "{route}");
        assert_eq!(answered.headers["retry-after"], "1");
        assert_eq!(answered.json()["detail"], "this node is still starting");
    }
    let routes = api::document().paths.paths.keys().filter(|path| path.starts_with("/v1/")).count();
    let tried: std::collections::BTreeSet<_> =
        IN_ORDER.iter().map(|(route, _)| route.split_once(' ')).collect();
    assert!(tried.len() >= routes, "each documented route is tried here");
}

#[tokio::test]
async fn without_a_valid_key_nothing_of_v1_is_answered() {
    let bearer = format!("Bearer {KEY}");
    let (lower, longer, shorter) =
        (format!("bearer {KEY}"), format!("{bearer}x"), &bearer[..bearer.len() - 1]);
    for (route, body) in IN_ORDER {
        let answered = send(&surface(), request(route, &[], body)).await;
        assert_eq!((answered.status, &*answered.code()), (401, "unauthenticated"), "{route}");
        assert_eq!(answered.headers["www-authenticate"], "Bearer realm=\"tranche\"");
    }
    for (given, why) in [
        ("", "is not of the scheme"),
        ("Bearer", "has no key"),
        ("Bearer ", "has no key"),
        (KEY, "is not of the scheme"),
        (&*format!("Basic {KEY}"), "is not of the scheme"),
        (&*format!("Bearer  {KEY}"), "one space and one key"),
        (&*format!("Bearer {KEY} x"), "one space and one key"),
        (&*longer, "not valid here"),
        (shorter, "not valid here"),
        ("Bearer \u{fc}", "one space and one key"),
    ] {
        let answered = send(&surface(), request(CONSUME, &[("authorization", given)], BODY)).await;
        assert_eq!(answered.code(), "unauthenticated", "{given:?}");
        let detail = answered.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(why), "{given:?}: {detail}");
        assert!(!detail.contains(KEY), "a key is never told back");
    }
    let twice = [("authorization", &*bearer), ("authorization", &*bearer)];
    let answered = send(&surface(), request(CONSUME, &twice, BODY)).await;
    assert!(answered.json()["detail"].as_str().unwrap().contains("more than one"));
    let json = ("content-type", "application/json");
    let answered = send(&surface(), request(CONSUME, &[("authorization", &*lower), json], BODY)).await;
    assert_eq!(answered.status, 503, "the scheme's name has no case");
}

#[tokio::test]
async fn who_has_no_key_cannot_tell_a_workspace_that_exists_from_one_that_cannot() {
    let mut answers = Vec::new();
    for workspace in ["acme", "nobody", "a%20b", "%ff"] {
        let answered = send(&surface(), request(&format!("GET /v1/workspaces/{workspace}"), &[], "")).await;
        answers.push((answered.status, answered.body));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn health_metrics_and_documents_need_no_key() {
    for (route, status, media_type, text) in [
        ("GET /healthz", 200, "text/plain; charset=utf-8", "ok"),
        ("GET /readyz", 503, "text/plain; charset=utf-8", "not ready: this node is still starting"),
        ("GET /metrics", 200, "application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF"),
        ("GET /openapi.json", 200, "application/json", "\"openapi\":\"3."),
        ("GET /docs/", 200, "text/html", "swagger-ui"),
        ("GET /docs/swagger-initializer.js", 200, "text/javascript", "/openapi.json"),
        ("GET /docs/swagger-ui-bundle.js", 200, "text/javascript", "swagger"),
        ("GET /docs/errors", 200, "text/html; charset=utf-8", "id=\"allocation_exhausted\""),
        ("GET /docs/nothing", 404, "application/problem+json", "unknown_route"),
    ] {
        let answered = send(&surface(), request(route, &[], "")).await;
        assert_eq!(answered.status, status, "{route}");
        assert_eq!(answered.headers["content-type"], media_type, "{route}");
        assert!(String::from_utf8_lossy(&answered.body).contains(text), "{route}");
    }
    let docs = send(&surface(), request("GET /docs", &[], "")).await;
    assert_eq!((docs.status, docs.headers["location"].to_str().unwrap()), (308, "/docs/"));
}

#[tokio::test]
async fn the_documentation_asks_no_other_host() {
    let page = send(&surface(), request("GET /docs/", &[], "")).await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let elsewhere: Vec<&str> = page.split(['"', '\'']).filter(|text| text.contains("//")).collect();
    assert!(page.contains("swagger-ui-bundle.js") && elsewhere.is_empty(), "{elsewhere:?}");
}

#[tokio::test]
async fn what_is_no_route_or_no_method_of_it() {
    for route in [
        "GET /",
        "GET /v1",
        "GET /v1/workspaces",
        "GET /v1/workspaces/acme/holds/n1.h1",
        "GET /v1/workspaces/acme/",
        "GET /v2/workspaces/acme",
    ] {
        let answered = ask(route, "").await;
        assert_eq!((answered.status, &*answered.code()), (404, "unknown_route"), "{route}");
    }
    for (route, allow) in [
        ("GET /v1/workspaces/acme/consume", "POST"),
        ("PATCH /v1/workspaces/acme", "PUT,GET,HEAD"),
        ("DELETE /healthz", "GET,HEAD"),
    ] {
        let answered = ask(route, "").await;
        assert_eq!((answered.status, &*answered.code()), (405, "method_not_allowed"), "{route}");
        assert_eq!(answered.headers["allow"], allow, "{route}");
    }
}

#[tokio::test]
async fn ids_in_the_path_are_checked() {
    let long = format!("GET /v1/workspaces/{}", "x".repeat(129));
    for route in [
        "GET /v1/workspaces/a%20b",
        "GET /v1/workspaces//grants",
        "GET /v1/workspaces/%ff",
        "GET /v1/workspaces/a%2Fb",
        &*long,
        "GET /v1/workspaces/acme/members/a%00",
        "GET /v1/workspaces/acme/grants/g%C3%BC",
        "GET /v1/workspaces/%C3%BC/grants/g",
    ] {
        let answered = ask(route, "").await;
        assert_eq!((answered.status, &*answered.code()), (422, "invalid"), "{route}");
    }
    assert_eq!(ask(&format!("GET /v1/workspaces/{}", "x".repeat(128)), "").await.status, 503);
    assert_eq!(ask("GET /v1/workspaces/%61cme", "").await.status, 503);
    for node in ["n0", "n01", "n65536", "1", "node"] {
        let answered = ask(&format!("POST /v1/nodes/{node}/forget"), "{}").await;
        assert_eq!(answered.code(), "invalid", "{node}");
    }
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_malformed_and_a_wrong_value_is_invalid() {
    for (body, code) in [
        ("", "malformed"),
        ("{", "malformed"),
        ("[]", "malformed"),
        (r#"{"user":"ann","feature":"chat","amount":"1.5","x":1}"#, "malformed"),
        (r#"{"user":"ann","feature":"chat","amount":"1.5","amount":"1.5"}"#, "malformed"),
        (r#"{"user":"ann","feature":"chat","usage":{"a":1,"a":1}}"#, "malformed"),
        (r#"{"user":"ann","feature":"chat","amount":NaN}"#, "malformed"),
        (r#"{"user":"ann","feature":"chat","amount":[[1]]}"#, "malformed"),
        (r#"{"user":1,"feature":"chat","amount":"1.5"}"#, "malformed"),
        (r#"{"user":"ann","feature":"chat","amount":"-1"}"#, "invalid"),
        (r#"{"user":"ann","feature":"chat","amount":0}"#, "invalid"),
        (r#"{"user":"ann","feature":"chat","amount":"0.1234567"}"#, "invalid"),
        (r#"{"user":"ann","feature":"chat","amount":1e2}"#, "invalid"),
        (r#"{"user":"ann","feature":"chat","amount":"1","usage":{"a":1}}"#, "invalid"),
        (r#"{"user":"ann","feature":"chat"}"#, "invalid"),
        (r#"{"user":"a n","feature":"chat","amount":1}"#, "invalid"),
        (BODY, "no_leader"),
    ] {
        for route in [CONSUME, "POST /v1/workspaces/acme/quote"] {
            assert_eq!(ask(route, body).await.code(), code, "{body}");
        }
    }
    for (route, body, code) in [
        ("PUT /v1/workspaces/acme", r#"{"time_zone":"UTC"}"#, "malformed"),
        ("PUT /v1/workspaces/acme", r#"{"timezone":"UTC"}"#, "no_leader"),
        ("PUT /v1/workspaces/acme", r#"{"timezone":"+02:00"}"#, "invalid"),
        ("PUT /v1/workspaces/acme", r#"{"cycle":{"every":"month"}}"#, "malformed"),
        ("PUT /v1/workspaces/acme", r#"{"cycle":{"every":"week","anchor":"2026-01-31"}}"#, "invalid"),
        ("PUT /v1/workspaces/acme", r#"{"cycle":{"every":"month","anchor":"2026-02-30"}}"#, "invalid"),
        ("PUT /v1/workspaces/acme", r#"{"name":""}"#, "invalid"),
        ("POST /v1/workspaces/acme/grants", r#"{"kind":"plan","amount":"1"}"#, "malformed"),
        ("POST /v1/workspaces/acme/grants", r#"{"id":"g","kind":"gift","amount":"1"}"#, "invalid"),
        ("PUT /v1/workspaces/acme/members/ann", r#"{"team":null}"#, "no_leader"),
        ("PUT /v1/workspaces/acme/members/ann", r#"{"role":null}"#, "malformed"),
        ("PUT /v1/workspaces/acme/teams/t", "{}", "malformed"),
        ("PUT /v1/workspaces/acme/teams/t", r#"{"parent":null}"#, "no_leader"),
        ("PUT /v1/workspaces/acme/teams/t/reserve", r#"{"amount":-1}"#, "invalid"),
        ("POST /v1/workspaces/acme/teams/t/reserve/adjust", r#"{"delta":0}"#, "invalid"),
        ("PUT /v1/workspaces/acme/members/ann", r#"{"role":"king"}"#, "invalid"),
        ("PUT /v1/workspaces/acme/allocations/ann", r#"{"amount":"-1"}"#, "invalid"),
        ("PUT /v1/workspaces/acme/allocations/ann", r#"{"amount":"0"}"#, "no_leader"),
        ("POST /v1/workspaces/acme/allocations/ann/adjust", r#"{"delta":"0"}"#, "invalid"),
        ("POST /v1/workspaces/acme/allocations/ann/adjust", r#"{"delta":"-0.000001"}"#, "no_leader"),
        ("POST /v1/workspaces/acme/reallocations", r#"{"id":"r","from":"a","to":"a","amount":1}"#, "invalid"),
        ("PUT /v1/workspaces/acme/limits/ann", "{}", "malformed"),
        ("PUT /v1/workspaces/acme/limits/ann", r#"{"amount":"1","window":"day"}"#, "no_leader"),
        ("PUT /v1/workspaces/acme/limits/ann", r#"{"amount":"1","window":"month"}"#, "invalid"),
        ("PUT /v1/workspaces/acme/limits/ann?window=day", r#"{"amount":"1"}"#, "malformed"),
        ("DELETE /v1/workspaces/acme/limits/ann", "", "no_leader"),
        ("PUT /v1/workspaces/acme/limits/teams/design", "{}", "malformed"),
        ("PUT /v1/workspaces/acme/limits/teams/design", r#"{"amount":"1","window":"day"}"#, "no_leader"),
        ("PUT /v1/workspaces/acme/limits/teams/a%20b", r#"{"amount":"1"}"#, "invalid"),
        ("DELETE /v1/workspaces/acme/limits/teams/design?window=month", "", "invalid"),
        ("PUT /v1/workspaces/acme/limits/features/chat", "{}", "malformed"),
        ("PUT /v1/workspaces/acme/limits/features/a%20b", r#"{"amount":"1"}"#, "invalid"),
        ("PUT /v1/workspaces/acme/limits/models/opus", r#"{"amount":"1","window":"day"}"#, "no_leader"),
        ("DELETE /v1/workspaces/acme/limits/models/opus?window=month", "", "invalid"),
        ("DELETE /v1/workspaces/acme/limits/ann?window=month", "", "invalid"),
        ("DELETE /v1/workspaces/acme/limits/ann?windows=day", "", "malformed"),
        ("DELETE /v1/workspaces/acme/limits/ann?window=day&window=day", "", "malformed"),
        ("PUT /v1/rate-card", r#"{"prices":[{"feature":"f","unit":"u","per":1.5,"credits":1}]}"#, "invalid"),
        ("PUT /v1/rate-card", r#"{"prices":[["f",null,"u",1,1]]}"#, "malformed"),
        ("PUT /v1/rate-card", r#"{"prices":[],"effective_at":"tomorrow"}"#, "invalid"),
        ("PUT /v1/rate-card", r#"{"prices":[],"effective_at":"2999-01-01T00:00:00Z"}"#, "no_leader"),
        ("PUT /v1/workspaces/acme/prices", r#"{"prices":[]}"#, "invalid"),
        (
            "PUT /v1/workspaces/acme/prices",
            r#"{"prices":[{"feature":"f","model":"*","unit":"u","per":1,"credits":1}]}"#,
            "invalid",
        ),
        (
            "PUT /v1/workspaces/acme/prices",
            r#"{"prices":[],"effective_at":"2999-01-01T00:00:00Z"}"#,
            "malformed",
        ),
        (
            "POST /v1/workspaces/acme/quote",
            r#"{"user":"ann","feature":"chat","usage":{"call":1},"price_version":"7.9"}"#,
            "no_leader",
        ),
        (
            "POST /v1/workspaces/acme/quote",
            r#"{"user":"ann","feature":"chat","usage":{"call":1},"price_version":"v7"}"#,
            "invalid",
        ),
        (
            "POST /v1/workspaces/acme/quote",
            r#"{"user":"ann","feature":"chat","amount":1,"price_version":"7"}"#,
            "invalid",
        ),
        (CONSUME, r#"{"user":"ann","feature":"chat","usage":{"call":1},"price_version":"7"}"#, "malformed"),
        ("POST /v1/nodes/n2/forget", r#"{"mode":"burn"}"#, "invalid"),
        ("POST /v1/workspaces/acme/consume?dry_run=true", BODY, "malformed"),
        ("DELETE /v1/workspaces/acme/grants/g?dry_run=true", "", "malformed"),
        ("DELETE /v1/workspaces/acme/grants/g?", "", "no_leader"),
        ("GET /v1/workspaces/acme?fresh=perhaps", "", "malformed"),
        ("GET /v1/workspaces/acme?stale=true", "", "malformed"),
        ("GET /v1/workspaces/acme?fresh=true&fresh=true", "", "malformed"),
        ("GET /v1/workspaces/acme/members?limit=0", "", "invalid"),
        ("GET /v1/workspaces/acme/members?limit=501", "", "invalid"),
        ("GET /v1/workspaces/acme/members?limit=500", "", "no_leader"),
        ("GET /v1/workspaces/acme/usage?from=yesterday", "", "invalid"),
        ("GET /v1/workspaces/acme/usage?by=user", "", "malformed"),
    ] {
        assert_eq!(ask(route, body).await.code(), code, "{route} {body}");
    }
}

#[tokio::test]
async fn bodies_and_batches_at_their_bounds() {
    let padded = |body: &str, bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    assert_eq!(ask(CONSUME, padded(BODY, 65_536)).await.code(), "no_leader");
    assert_eq!(ask(CONSUME, padded(BODY, 65_537)).await.code(), "too_large");
    for (bytes, code) in [(65_536, "no_leader"), (65_537, "too_large")] {
        let body = Body::from_stream(pieces(&padded(BODY, bytes)));
        assert_eq!(ask(CONSUME, body).await.code(), code, "{bytes} bytes of unknown length");
    }

    let batch = "POST /v1/workspaces/acme/consume/batch";
    let items = |count: usize| format!(r#"{{"items":[{}]}}"#, vec![BODY; count].join(","));
    assert_eq!(ask(batch, items(1_000)).await.code(), "no_leader");
    let refused = ask(batch, items(1_001)).await;
    assert_eq!(refused.code(), "invalid");
    assert!(refused.json()["detail"].as_str().unwrap().contains("at most 1000, this one has 1001"));
    assert_eq!(ask(batch, padded(&items(1), 1_048_576)).await.code(), "no_leader");
    assert_eq!(ask(batch, padded(&items(1), 1_048_577)).await.code(), "too_large");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let body = Body::from_stream(pieces("{\"user\":").chain(futures::stream::pending()));
    assert_eq!(ask(CONSUME, body).await.code(), "request_timeout");
}

#[tokio::test]
async fn what_is_not_json_is_not_read() {
    let bearer = format!("Bearer {KEY}");
    for media_type in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")]
    {
        let mut headers = vec![("authorization", &*bearer)];
        headers.extend(media_type.map(|media_type| ("content-type", media_type)));
        let answered = send(&surface(), request(CONSUME, &headers, BODY)).await;
        assert_eq!((answered.status, &*answered.code()), (415, "unsupported_media_type"), "{media_type:?}");
    }
}

#[tokio::test]
async fn conditions_that_a_route_cannot_keep_are_refused_not_ignored() {
    let bearer = format!("Bearer {KEY}");
    let items = r#"{"items":[]}"#;
    let key = ("idempotency-key", "k-1");
    let if_match = ("if-match", "\"7\"");
    for (route, body, condition, code) in [
        (CONSUME, BODY, key, "no_leader"),
        (CONSUME, BODY, if_match, "invalid"),
        (CONSUME, BODY, ("idempotency-key", "a b"), "invalid"),
        ("POST /v1/workspaces/acme/consume/batch", items, key, "invalid"),
        ("PUT /v1/workspaces/acme", "{}", key, "no_leader"),
        ("PUT /v1/workspaces/acme", "{}", if_match, "no_leader"),
        ("PUT /v1/workspaces/acme", "{}", ("if-match", "*"), "invalid"),
        ("PUT /v1/rate-card", r#"{"prices":[]}"#, if_match, "no_leader"),
        ("PUT /v1/rate-card", r#"{"prices":[]}"#, key, "no_leader"),
        ("POST /v1/nodes/n2/forget", "{}", key, "no_leader"),
        ("POST /v1/nodes/n2/forget", "{}", if_match, "invalid"),
    ] {
        let headers = [("authorization", &*bearer), ("content-type", "application/json"), condition];
        let answered = send(&surface(), request(route, &headers, body)).await;
        assert_eq!(answered.code(), code, "{route} {condition:?}");
    }
}

#[tokio::test]
async fn what_is_answered_is_counted_by_route_and_code_and_never_by_user() {
    let surface = surface();
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    send(&surface, request("POST /v1/workspaces/secret-ws/consume", &headers, BODY)).await;
    send(&surface, request("POST /v1/workspaces/secret-ws/consume", &headers, "{}")).await;
    send(&surface, request("GET /nowhere", &headers, "")).await;
    let text = send(&surface, request("GET /metrics", &[], "")).await;
    assert_eq!(text.status, StatusCode::OK.as_u16());
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    for line in [
        r#"tranche_http_requests_total{route="POST /v1/workspaces/{ws}/consume",status="503"} 1"#,
        r#"tranche_http_requests_total{route="POST /v1/workspaces/{ws}/consume",status="400"} 1"#,
        r#"tranche_http_requests_total{route="none",status="404"} 1"#,
        r#"tranche_http_refusals_total{code="malformed"} 1"#,
        r#"tranche_http_refusals_total{code="unknown_route"} 1"#,
        r#"tranche_http_request_seconds_count{route="POST /v1/workspaces/{ws}/consume"} 2"#,
        "tranche_http_connections 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("secret-ws") && !text.contains("ann"), "{text}");
}
