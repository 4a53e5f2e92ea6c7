//! What strangers send, drawn from their stream. Not here: who sends it, and what must become of it (`strangers`).

use crate::chance::Stream;
use crate::world_b::clients::{user_id, workspace_id};
use crate::world_b::load::Load;
use crate::world_b::machine::{CLUSTER, OPERATOR_KEY};
use api::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};
use rand::Rng;
use rand::seq::IndexedRandom;
use types::NodeId;
use wire::hello::{HELLO_BYTES, Hello, Versions};

/// Something nobody should take for anything.
#[derive(Debug)]
pub struct Junk {
    pub what: &'static str,
    pub bytes: Vec<u8>,
    /// Nothing comes behind it, and the other side is told so.
    pub hangs_up: bool,
    pub by: By,
}

/// Who is to refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// With a code.
    Product,
    /// HTTP itself, without one, or by hanging up.
    Http,
    /// It is not whole: whoever waits for the rest of it waits for nothing.
    Nobody,
}

const KEY: (&str, &str) = ("authorization", "Bearer an-operator-key-of-a-simulation");
const JSON: (&str, &str) = ("content-type", "application/json");

const BAD_AMOUNTS: [&str; 15] = [
    r#""-1""#,
    "-1",
    r#""0""#,
    "0.000000",
    r#""0.0000001""#,
    "1.0000001",
    "1e3",
    r#""1e3""#,
    r#""NaN""#,
    r#""""#,
    r#""999999999999999999999999999999""#,
    "true",
    "null",
    "[1]",
    r#"{"credits":1}"#,
];

/// In the places of `USER` and `PRICE` stand a real user and a price.
const BAD_BODIES: [(&str, &str); 14] = [
    ("a user of a wrong type", r#"{"user":5,"feature":"chat","amount":"PRICE"}"#),
    ("no user", r#"{"feature":"chat","amount":"PRICE"}"#),
    ("a user that is none", r#"{"user":"USER\u0000","feature":"chat","amount":"PRICE"}"#),
    ("a feature of a wrong type", r#"{"user":"USER","feature":["chat"],"amount":"PRICE"}"#),
    ("an unknown field", r#"{"user":"USER","feature":"chat","amount":"PRICE","dry_run":true}"#),
    ("a repeated field", r#"{"user":"USER","feature":"chat","amount":"PRICE","amount":"PRICE"}"#),
    ("a repeated user", r#"{"user":"USER","user":"USER","feature":"chat","amount":"PRICE"}"#),
    ("no price", r#"{"user":"USER","feature":"chat"}"#),
    ("two prices", r#"{"user":"USER","feature":"chat","amount":"PRICE","usage":{"token":1}}"#),
    ("usage of nothing", r#"{"user":"USER","feature":"chat","usage":{}}"#),
    ("usage below nothing", r#"{"user":"USER","feature":"chat","usage":{"token":-1}}"#),
    ("an unknown durability", r#"{"user":"USER","feature":"chat","amount":"PRICE","durability":"stone"}"#),
    ("two values", r#"{"user":"USER","feature":"chat","amount":"PRICE"}{}"#),
    ("an array", r#"[{"user":"USER","feature":"chat","amount":"PRICE"}]"#),
];

const WRITES: [(&str, &str, &str); 8] = [
    ("PUT", "", r#"{"name":5}"#),
    ("POST", "/grants", r#"{"id":"stranger","kind":"plan","amount":"-5"}"#),
    ("POST", "/grants", r#"{"id":"stranger","kind":"loot","amount":"5"}"#),
    ("PUT", "/allocations/USER", r#"{"amount":"1","overflow":"everything"}"#),
    ("POST", "/allocations/USER/adjust", r#"{"delta":"1.0000001"}"#),
    ("POST", "/reallocations", r#"{"id":"stranger","from":"USER","amount":"1"}"#),
    ("PUT", "/limits/USER", r#"{"amount":"1","window":"century"}"#),
    ("PUT", "/members/USER", r#"{"ai_access":"no"}"#),
];

const NO_HTTP: [(&str, &[u8]); 5] = [
    ("a hello of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a version there is not", b"GET /healthz HTTP/9.9\r\n\r\n"),
    ("no version", b"GET /healthz\r\n\r\n"),
    ("a header that is none", b"GET /healthz HTTP/1.1\r\nno header\r\n\r\n"),
];

/// As the product's own table has it.
#[must_use]
pub fn is_known(code: &str) -> bool {
    api::Code::ALL.iter().any(|known| known.row().code == code)
}

/// A request that is one as far as HTTP goes.
fn written(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: stranger\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn whole(what: &'static str, bytes: Vec<u8>) -> Junk {
    Junk { what, bytes, hangs_up: false, by: By::Product }
}

/// Real names, so that it would show what comes of it.
struct Names {
    workspace: String,
    user: String,
    price: String,
    /// A key that the user may use, or may have used.
    key: String,
}

impl Names {
    fn draw(chance: &mut Stream, load: &Load) -> Self {
        let user = user_id(chance.random_range(0..load.users));
        Self {
            workspace: workspace_id(chance.random_range(0..load.workspaces)),
            price: chance.random_range(1..=5).to_string(),
            key: format!("{user}-{}", chance.random_range(1..200)),
            user,
        }
    }

    fn put(&self, text: &str) -> String {
        text.replace("USER", &self.user).replace("PRICE", &self.price)
    }

    fn good(&self) -> String {
        self.put(r#"{"user":"USER","feature":"chat","amount":"PRICE"}"#)
    }

    fn consume(&self) -> String {
        format!("/v1/workspaces/{}/consume", self.workspace)
    }

    fn spend(&self, what: &'static str, body: &str) -> Junk {
        let key = ("idempotency-key", &*self.key);
        whole(what, written("POST", &self.consume(), &[KEY, JSON, key], body.as_bytes()))
    }
}

/// For the API's port.
#[must_use]
pub fn request(chance: &mut Stream, load: &Load) -> Junk {
    let names = Names::draw(chance, load);
    match chance.random_range(0..9) {
        0 => {
            let good = names.good();
            names.spend("a body that was cut off", &good[..chance.random_range(0..good.len())])
        }
        1 | 2 => {
            let (what, body) = BAD_BODIES.choose(chance).expect("there are some");
            names.spend(what, &names.put(body))
        }
        3 => {
            let amount = BAD_AMOUNTS.choose(chance).expect("there are some");
            names.spend("a bad amount", &names.good().replace(&format!("\"{}\"", names.price), amount))
        }
        4 => {
            let (method, path, body) = WRITES.choose(chance).expect("there are some");
            let path = format!("/v1/workspaces/{}{}", names.workspace, names.put(path));
            whole("a bad change", written(method, &path, &[KEY, JSON], names.put(body).as_bytes()))
        }
        5 => large(chance, &names),
        6 => not_allowed(chance, &names),
        7 => misdirected(chance, &names),
        _ => no_http(chance, &names),
    }
}

/// Bodies at their bound and one byte past it.
fn large(chance: &mut Stream, names: &Names) -> Junk {
    let good = names.good();
    let filled = |bytes: usize| good.clone() + &" ".repeat(bytes - good.len());
    match chance.random_range(0..3) {
        0 => names.spend("a body one byte too large", &filled(BODY_BYTES_MAX + 1)),
        1 => {
            let body = filled(BODY_BYTES_MAX + 1);
            let (first, rest) = body.split_at(BODY_BYTES_MAX);
            let head = format!(
                "POST {} HTTP/1.1\r\nhost: stranger\r\nconnection: close\r\n{}: {}\r\n{}: {}\r\n\
                 transfer-encoding: chunked\r\n\r\n",
                names.consume(),
                KEY.0,
                KEY.1,
                JSON.0,
                JSON.1
            );
            let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
            let bytes = head + &chunk(first) + &chunk(rest) + "0\r\n\r\n";
            whole("chunks, together one byte too large", bytes.into_bytes())
        }
        _ => names.spend("a body at its bound, and no JSON", &(filled(BODY_BYTES_MAX - 1) + "!")),
    }
}

/// What would be good if it came from somebody who may say it.
fn not_allowed(chance: &mut Stream, names: &Names) -> Junk {
    let (path, body) = (names.consume(), names.good());
    let with = |what, headers: &[_]| whole(what, written("POST", &path, headers, body.as_bytes()));
    let longer = format!("Bearer {OPERATOR_KEY}x");
    match chance.random_range(0..7) {
        0 => with("no key", &[JSON]),
        1 => with("a wrong key", &[("authorization", &longer), JSON]),
        2 => with("a key of another kind", &[("authorization", "Basic b3BlcmF0b3I6"), JSON]),
        3 => with("two keys", &[KEY, KEY, JSON]),
        4 => {
            let path = format!("/v1/workspaces/{}/allocations/{}", names.workspace, names.user);
            whole("a change without a key", written("DELETE", &path, &[], b""))
        }
        5 => {
            let body = r#"{"id":"stranger","kind":"pack","amount":"1000"}"#;
            let path = format!("/v1/workspaces/{}/grants", names.workspace);
            whole("a grant without a key", written("POST", &path, &[JSON], body.as_bytes()))
        }
        _ => whole(
            "a forget without a key",
            written("POST", "/v1/nodes/n1/forget", &[JSON], br#"{"mode":"charge"}"#),
        ),
    }
}

/// Good bodies in wrong covers.
fn misdirected(chance: &mut Stream, names: &Names) -> Junk {
    let (path, body) = (names.consume(), names.good());
    let to = |what, method, path: &str, headers: &[_]| {
        whole(what, written(method, path, headers, body.as_bytes()))
    };
    let long = "k".repeat(129);
    match chance.random_range(0..9) {
        0 => to("another type of content", "POST", &path, &[KEY, ("content-type", "text/plain")]),
        1 => to("no type of content", "POST", &path, &[KEY]),
        2 => to("two types of content", "POST", &path, &[KEY, JSON, JSON]),
        3 => to("a query on a write", "POST", &format!("{path}?dry_run=true"), &[KEY, JSON]),
        4 => to("another method", "PUT", &path, &[KEY, JSON]),
        5 => to("no route", "POST", &format!("{path}s"), &[KEY, JSON]),
        6 => to("an id that is none", "POST", "/v1/workspaces/%ff/consume", &[KEY, JSON]),
        7 => to(
            "two idempotency keys",
            "POST",
            &path,
            &[KEY, JSON, ("idempotency-key", "a"), ("idempotency-key", "b")],
        ),
        _ => to("too long an idempotency key", "POST", &path, &[KEY, JSON, ("idempotency-key", &long)]),
    }
}

/// What HTTP itself refuses, or waits for the end of.
fn no_http(chance: &mut Stream, names: &Names) -> Junk {
    let by_http = |what, bytes| Junk { what, bytes, hangs_up: false, by: By::Http };
    let good = written("POST", &names.consume(), &[KEY, JSON], names.good().as_bytes());
    match chance.random_range(0..6) {
        0 | 1 => {
            let (what, bytes) = NO_HTTP.choose(chance).expect("there are some");
            by_http(what, bytes.to_vec())
        }
        2 => {
            let noise: Vec<u8> = (0..chance.random_range(1..2_000)).map(|_| chance.random()).collect();
            by_http("noise", [&[0xff], &*noise, b"\r\n\r\n"].concat())
        }
        3 => {
            let long = "x".repeat(HEAD_BYTES_MAX);
            by_http(
                "too large a head",
                written("POST", &names.consume(), &[KEY, JSON, ("x-long", &long)], b"{}"),
            )
        }
        4 => {
            let headers = vec![("x-one-more", "1"); HEADERS_MAX + 1];
            by_http("too many headers", written("POST", &names.consume(), &headers, b"{}"))
        }
        _ => {
            // Before its last byte: with it, it would be good.
            let bytes = good[..chance.random_range(1..good.len())].to_vec();
            Junk { what: "half a request", bytes, hangs_up: chance.random_bool(0.5), by: By::Nobody }
        }
    }
}

/// For the peers' port of node `index` of so many.
#[must_use]
pub fn hello(chance: &mut Stream, index: usize, nodes: usize) -> Junk {
    let to_it = |what, bytes| Junk { what, bytes, hangs_up: false, by: By::Product };
    let id = |index: usize| NodeId(u16::try_from(index + 1).expect("a handful of nodes"));
    let versions = Versions { min: 1, max: 1 };
    let good = Hello { versions, cluster_id: cluster_id(), from: id(nodes), to: id(index) };
    let framed = |hello: Hello| {
        let bytes = hello.encode();
        [&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()[..], &bytes].concat()
    };
    match chance.random_range(0..8) {
        0 => {
            let noise = (0..chance.random_range(1..2_000)).map(|_| chance.random()).collect();
            to_it("noise", noise)
        }
        1 => {
            let length = *[u32::MAX, 1 << 31, HELLO_BYTES as u32 + 1].choose(chance).expect("there are some");
            to_it("a huge frame", [&length.to_be_bytes()[..], b"TRANCHE\0"].concat())
        }
        2 => {
            let cluster_id = chance.random();
            to_it("a hello of another cluster", framed(Hello { cluster_id, ..good }))
        }
        3 => {
            let min = chance.random_range(2..u16::MAX);
            let from = id(usize::from(index == 0));
            to_it(
                "a hello of another version",
                framed(Hello { versions: Versions { min, max: min }, from, ..good }),
            )
        }
        4 => {
            let (from, to) = (id((index + 1) % nodes), id((index + 2) % nodes));
            to_it("a hello for another node", framed(Hello { from, to, ..good }))
        }
        5 => to_it("a hello of nobody", framed(good)),
        6 => {
            let mut bytes = framed(good);
            let (at, bit) = (chance.random_range(4..12), chance.random_range(0..8));
            bytes[at] ^= 1 << bit;
            to_it("a hello of something else", bytes)
        }
        _ => {
            let mut bytes = framed(good);
            bytes.truncate(chance.random_range(0..bytes.len()));
            Junk { hangs_up: chance.random_bool(0.3), ..to_it("half a hello", bytes) }
        }
    }
}

/// As nodes make it of the cluster's name.
fn cluster_id() -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(CLUSTER.as_bytes()).as_bytes()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::stream;
    use std::collections::BTreeSet;

    #[test]
    fn all_kinds_come_and_what_was_cut_off_is_no_json() {
        assert_eq!(KEY.1, format!("Bearer {OPERATOR_KEY}"));
        let load = Load::draw(1, 60_000);
        let mut chance = stream(1, "junk");
        let mut seen = BTreeSet::new();
        for _ in 0..5_000 {
            let junk = request(&mut chance, &load);
            let text = String::from_utf8_lossy(&junk.bytes).into_owned();
            if let ("a body that was cut off", Some((_, body))) = (junk.what, text.split_once("\r\n\r\n")) {
                serde_json::from_str::<serde_json::Value>(body).unwrap_err();
            }
            seen.insert(junk.what);
            seen.insert(hello(&mut chance, 1, 3).what);
        }
        let bad_bodies = BAD_BODIES.len() + NO_HTTP.len();
        assert_eq!(seen.len(), bad_bodies + 3 + 3 + 7 + 9 + 4 + 8 - 1, "noise is of both: {seen:?}");
    }
}
