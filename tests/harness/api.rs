//! A node's API as a caller knows it: key, routes, JSON. Not here: bytes on the wire (`http`), counting (`load`).

use crate::http::{Answer, Connection, Lost};
use crate::wait::{PATIENCE, eventually, unique};
use serde_json::Value;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;
use types::Credits;

/// One caller with one kept connection to one node.
#[derive(Debug)]
pub struct Api {
    connection: Connection,
    key: String,
    host: String,
}

/// What became of a consume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spent {
    Allowed {
        charged: Credits,
        by: String,
        bytes: Vec<u8>,
    },
    Refused {
        code: String,
        detail: String,
    },
    /// It may have been charged; the amount asked says how much at most.
    Unknown,
}

impl Api {
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self { connection: Connection::new(address), key: key.into(), host: address.to_string() }
    }

    pub fn address(&self) -> SocketAddr {
        self.connection.address
    }

    /// Gives up the kept connection; the next request makes a new one.
    pub fn hang_up(&mut self) {
        self.connection = Connection::new(self.address());
    }

    /// One request, once. `headers` besides Host, Authorization and the body's.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Lost> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if !self.key.is_empty() {
            let _never = write!(head, "Authorization: Bearer {}\r\n", self.key);
        }
        for (name, value) in headers {
            let _never = write!(head, "{name}: {value}\r\n");
        }
        if let Some(body) = body {
            let _never = write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(body.unwrap_or_default());
        self.connection.exchange(&request).await
    }

    /// One request that must be answered, whatever the answer.
    pub async fn answer(&mut self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let sent = self.send(method, path, &[], body.map(str::as_bytes)).await;
        sent.unwrap_or_else(|why| panic!("{method} {path}: {why:?}"))
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.answer("GET", path, None).await
    }

    /// A write that is repeated with one key until it is known what became of it.
    pub async fn write(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let key = format!("harness-{}", unique());
        self.write_keyed(method, path, &key, body).await
    }

    pub async fn write_keyed(&mut self, method: &str, path: &str, key: &str, body: &str) -> Answer {
        let body = (!body.is_empty()).then_some(body.as_bytes());
        let what = format!("{method} {path} is answered");
        eventually(&what, PATIENCE, async || {
            let sent = self.send(method, path, &[("Idempotency-Key", key)], body).await;
            sent.ok().filter(|answer| !is_passing(answer))
        })
        .await
    }

    /// A read that is repeated until somebody can answer it.
    pub async fn read(&mut self, path: &str) -> Value {
        let what = format!("GET {path} is answered");
        let answer = eventually(&what, PATIENCE, async || {
            let sent = self.send("GET", path, &[], None).await;
            sent.ok().filter(|answer| !is_passing(answer))
        });
        answer.await.expect(200).json()
    }

    /// Makes a workspace with one grant.
    pub async fn make_workspace(&mut self, workspace: &str, amount: &str) {
        let path = format!("/v1/workspaces/{workspace}");
        self.write("PUT", &path, "{}").await.expect(200);
        let grant = format!(r#"{{"id":"first","kind":"plan","amount":"{amount}"}}"#);
        self.write("POST", &format!("{path}/grants"), &grant).await.expect(201);
    }

    /// Whole members of the balance sheet, fresh.
    pub async fn workspace(&mut self, workspace: &str) -> Value {
        self.read(&format!("/v1/workspaces/{workspace}?fresh=true")).await
    }

    pub async fn consume(&mut self, workspace: &str, user: &str, amount: &str) -> Spent {
        self.consume_as(workspace, user, amount, None, None).await
    }

    pub async fn consume_as(
        &mut self,
        workspace: &str,
        user: &str,
        amount: &str,
        key: Option<&str>,
        durability: Option<&str>,
    ) -> Spent {
        let durability = durability.map_or(String::new(), |word| format!(r#","durability":"{word}""#));
        let body = format!(r#"{{"user":"{user}","feature":"chat","amount":"{amount}"{durability}}}"#);
        let path = format!("/v1/workspaces/{workspace}/consume");
        let header = key.map(|key| [("Idempotency-Key", key)]);
        let headers = header.as_ref().map_or(&[][..], |header| &header[..]);
        match self.send("POST", &path, headers, Some(body.as_bytes())).await {
            Ok(answer) => Spent::of(answer),
            Err(Lost::NotSent(why)) => Spent::Refused { code: NOT_SENT.into(), detail: why.to_string() },
            Err(Lost::Unknown(_)) => Spent::Unknown,
        }
    }

    /// A consume of what is known to be there; repeated while some of it is out of reach.
    pub async fn consume_reachable(&mut self, workspace: &str, user: &str, amount: Credits) -> Spent {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.consume(workspace, user, &amount.to_string()).await {
                Spent::Refused { code, detail } if code == "credits_unreachable" => {
                    assert!(Instant::now() < end, "still out of reach: {detail}");
                }
                answered => return answered,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A keyed consume, repeated until it is known what became of it.
    pub async fn consume_for_sure(&mut self, workspace: &str, user: &str, amount: &str, key: &str) -> Spent {
        let end = Instant::now() + 2 * PATIENCE;
        loop {
            match self.consume_as(workspace, user, amount, Some(key), None).await {
                Spent::Allowed { charged, by, bytes } => return Spent::Allowed { charged, by, bytes },
                Spent::Refused { code, detail } if !PASSING.contains(&code.as_str()) => {
                    return Spent::Refused { code, detail };
                }
                passing => assert!(Instant::now() < end, "the outcome of {key} stays unknown: {passing:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Spent {
    pub fn of(answer: Answer) -> Self {
        if answer.status == 200 {
            let json = answer.json();
            return Self::Allowed {
                charged: credits(&json["charged"]),
                by: text(&json["node"]),
                bytes: answer.body,
            };
        }
        match answer.code() {
            code if code == "outcome_unknown" || code == "timed_out" || code == "internal" => Self::Unknown,
            code => Self::Refused { code, detail: answer.detail() },
        }
    }

    #[track_caller]
    pub fn allowed(self) -> (Credits, String, Vec<u8>) {
        match self {
            Self::Allowed { charged, by, bytes } => (charged, by, bytes),
            other => panic!("not allowed: {other:?}"),
        }
    }

    #[track_caller]
    pub fn refused(self) -> String {
        match self {
            Self::Refused { code, .. } => code,
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// Codes of a cluster that is on its way to an answer.
const PASSING: [&str; 7] = [
    "no_leader",
    "outcome_unknown",
    "timed_out",
    "home_unreachable",
    "key_in_flight",
    "overloaded",
    NOT_SENT,
];

/// In place of a code: no node was asked.
pub const NOT_SENT: &str = "not_sent";

fn is_passing(answer: &Answer) -> bool {
    PASSING.contains(&answer.code().as_str())
}

/// An amount in an answer; they are texts.
#[track_caller]
/// So many credits.
pub fn whole(credits: u64) -> Credits {
    Credits::whole(credits).expect("within the bound")
}

pub fn micros(micros: u64) -> Credits {
    Credits::from_micros(micros).expect("within the bound")
}

pub fn credits(value: &Value) -> Credits {
    text(value).parse().unwrap_or_else(|why| panic!("{value}: {why}"))
}

#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[track_caller]
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}
