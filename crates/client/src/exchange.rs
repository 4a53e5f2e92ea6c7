//! One request and its answer: which node, which bytes, again or not. Not here: routes and shapes.

use crate::administration::Versioned;
use crate::error::{BadOptions, Error, Transport, TransportKind};
use crate::options::Options;
use crate::repeat::{Patience, Repeat, verdict};
use bytes::Bytes;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Method, Request, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use types::{IdempotencyKey, Revision};
use wire::json;

/// Largest answer that is read, in bytes; a longer one is [`TransportKind::Unreadable`].
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IF_MATCH: HeaderName = HeaderName::from_static("if-match");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Speaks to the nodes of one cluster. Clones share connections, and the turn of the nodes.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    nodes: Arc<[Url]>,
    turn: Arc<AtomicUsize>,
    authorization: Option<HeaderValue>,
    patience: Patience,
}

/// One request, before it is known which node is asked.
#[derive(Debug)]
pub(crate) struct Ask {
    pub method: Method,
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Bytes>,
    pub key: Option<IdempotencyKey>,
    pub if_match: Option<Revision>,
    pub repeat: Repeat,
}

impl Ask {
    pub fn read(path: String) -> Self {
        let (query, body) = (Vec::new(), None);
        Self { method: Method::GET, path, query, body, key: None, if_match: None, repeat: Repeat::Effectless }
    }

    pub fn send<T: Serialize>(method: Method, path: String, body: &T, repeat: Repeat) -> Self {
        let body = Some(Bytes::from(json::write(body)));
        Self { method, path, query: Vec::new(), body, key: None, if_match: None, repeat }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }
}

/// `/v1/…` of segments. An id may be `.` or `..`, which no URL can say: those two are refused here.
pub(crate) fn path(segments: &[&str]) -> Result<String, Error> {
    let mut path = String::with_capacity(64);
    for segment in segments {
        if matches!(*segment, "." | "..") {
            return Err(Error::Unaddressable(format!("an id {segment:?} cannot stand in a URL")));
        }
        path.push('/');
        path.push_str(segment);
    }
    Ok(path)
}

struct Answered {
    status: StatusCode,
    is_problem: bool,
    revision: Option<Revision>,
    bytes: Vec<u8>,
}

impl Answered {
    /// The answer, if it is one; the node's no else.
    fn or_problem(self, node: &Url) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        match json::read::<json::Problem>(&self.bytes) {
            Ok(problem) if self.is_problem => Err(Error::Problem(Box::new(problem))),
            Ok(_) | Err(_) => Err(unreadable(node, said(self.status, &self.bytes))),
        }
    }
}

impl Client {
    /// Connects nowhere yet. Proxies of the environment are not used, redirects not followed.
    pub fn new(options: Options) -> Result<Self, BadOptions> {
        let patience = Patience::of(&options);
        let Options {
            urls,
            key,
            connect_ms,
            answer_ms,
            idle_connections_max,
            idle_ms,
            attempts_max,
            wait_ms: _,
            wait_ms_max: _,
        } = options;
        if !(1..=Options::URLS_MAX).contains(&urls.len()) {
            return Err(BadOptions::Urls(urls.len()));
        }
        if attempts_max == 0 {
            return Err(BadOptions::NoAttempt);
        }
        let nodes = urls.iter().map(|url| base(url)).collect::<Result<Vec<_>, _>>()?;
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis(connect_ms))
            .timeout(Duration::from_millis(answer_ms))
            .pool_max_idle_per_host(idle_connections_max)
            .pool_idle_timeout(Duration::from_millis(idle_ms))
            .tcp_nodelay(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tranche/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| BadOptions::Http(causes(&error)))?;
        let authorization = key.map(|key| {
            let header = HeaderValue::try_from(format!("Bearer {}", key.as_str()));
            let mut header = header.expect("a key has visible ASCII characters only");
            header.set_sensitive(true);
            header
        });
        Ok(Self { http, nodes: nodes.into(), turn: Arc::default(), authorization, patience })
    }

    /// Base URLs of the nodes, in the order they were given.
    pub fn urls(&self) -> impl ExactSizeIterator<Item = &str> {
        self.nodes.iter().map(node_name)
    }

    /// For each node a client that asks it alone, over the same connections.
    pub fn pinned(&self) -> impl Iterator<Item = Self> {
        self.nodes.iter().map(|node| Self {
            nodes: Arc::new([node.clone()]),
            turn: Arc::default(),
            patience: Patience { nodes: 1, ..self.patience },
            ..self.clone()
        })
    }

    pub(crate) async fn ask<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, Error> {
        self.ask_versioned(ask).await.map(|answer| answer.value)
    }

    pub(crate) async fn ask_versioned<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Versioned<T>, Error> {
        self.repeated(ask, |answered, node| {
            let answered = answered.or_problem(node)?;
            let value = json::read(&answered.bytes).map_err(|why| unreadable(node, why.to_string()))?;
            Ok(Versioned { value, revision: answered.revision })
        })
        .await
    }

    /// For the routes that answer in plain text, whatever they answer.
    pub(crate) async fn ask_text(&self, ask: &Ask) -> Result<(StatusCode, String), Error> {
        self.repeated(ask, |answered, node| {
            let text = String::from_utf8(answered.bytes).map_err(|why| unreadable(node, why.to_string()))?;
            Ok((answered.status, text))
        })
        .await
    }

    async fn repeated<T>(
        &self,
        ask: &Ask,
        read: impl Fn(Answered, &Url) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // Wraps around after 2^64 requests, which only shifts the turn.
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut made: u32 = 0;
        let mut unknown = None;
        loop {
            let node = &self.nodes[first.wrapping_add(made as usize) % self.nodes.len()];
            let answer = self.once(ask, node).await.and_then(|answered| read(answered, node));
            made += 1;
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match self.patience.rest(made, &error, ask.repeat) {
                None => return Err(verdict(unknown, error, ask.repeat)),
                Some(rest) if rest.is_zero() => {}
                Some(rest) => tokio::time::sleep(rest).await,
            }
            if error.outcome_unknown() {
                unknown = Some(error);
            }
        }
    }

    async fn once(&self, ask: &Ask, node: &Url) -> Result<Answered, Error> {
        let request = self.request(ask, node);
        let response = self.http.execute(request).await.map_err(|error| no_answer(node, &error))?;
        let (status, revision) = (response.status(), revision(response.headers()));
        let is_problem = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
        let bytes = whole(response, node).await?;
        Ok(Answered { status, is_problem, revision, bytes })
    }

    fn request(&self, ask: &Ask, node: &Url) -> Request {
        let mut url = node.clone();
        url.set_path(&ask.path);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let mut request = Request::new(ask.method.clone(), url);
        let headers = request.headers_mut();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(key) = &ask.key {
            let key = HeaderValue::try_from(key.as_str()).expect("an id has visible ASCII characters only");
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        if let Some(Revision(revision)) = ask.if_match {
            let tag = HeaderValue::try_from(format!("\"{revision}\"")).expect("digits and quotes are lawful");
            headers.insert(IF_MATCH, tag);
        }
        if let Some(body) = &ask.body {
            headers.insert(CONTENT_TYPE, JSON);
            *request.body_mut() = Some(body.clone().into());
        }
        request
    }
}

fn base(text: &str) -> Result<Url, BadOptions> {
    let bad = |why: &str| BadOptions::Url { url: text.into(), why: why.into() };
    let url = Url::parse(text).map_err(|why| bad(&why.to_string()))?;
    if url.scheme() != "http" {
        return Err(bad("only http is spoken"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("there is something behind host and port"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("a key does not belong in a URL"));
    }
    Ok(url)
}

fn node_name(node: &Url) -> &str {
    node.as_str().trim_end_matches('/')
}

fn revision(headers: &HeaderMap) -> Option<Revision> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok().map(Revision)
}

/// The body, as far as it is allowed to go.
async fn whole(mut response: reqwest::Response, node: &Url) -> Result<Vec<u8>, Error> {
    let too_large = || unreadable(node, format!("more than {ANSWER_BYTES_MAX} bytes"));
    let announced =
        response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let announced: usize = announced.unwrap_or(0);
    if announced > ANSWER_BYTES_MAX {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(node, &error))? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn no_answer(node: &Url, error: &reqwest::Error) -> Error {
    let kind = if error.is_connect() || error.is_builder() {
        TransportKind::Unreachable
    } else if error.is_timeout() {
        TransportKind::TimedOut
    } else {
        TransportKind::Broken
    };
    Error::Transport(Transport { node: node_name(node).into(), kind, detail: causes(error) })
}

fn unreadable(node: &Url, detail: String) -> Error {
    Error::Transport(Transport { node: node_name(node).into(), kind: TransportKind::Unreadable, detail })
}

/// The innermost cause: the outer ones only repeat that a request failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Status and the beginning of a body that is no problem document.
fn said(status: StatusCode, bytes: &[u8]) -> String {
    const SHOWN_CHARS_MAX: usize = 120;
    let text = String::from_utf8_lossy(bytes);
    let line: String = text.trim().chars().take(SHOWN_CHARS_MAX).filter(|c| !c.is_control()).collect();
    format!("status {}: {line}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for good in
            ["http://127.0.0.1:7071", "http://127.0.0.1:7071/", "http://[::1]:80", "http://node.local"]
        {
            assert!(base(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("127.0.0.1:7071", "relative"),
            ("localhost:7071", "only http"),
            ("https://node", "only http is spoken"),
            ("http://node/v1", "something behind"),
            ("http://node/?a=1", "something behind"),
            ("http://key@node", "a key does not"),
            ("", "relative"),
        ] {
            let text = base(bad).expect_err(bad).to_string();
            assert!(text.contains(why), "{bad}: {text}");
        }
    }

    #[test]
    fn numbers_of_nodes_at_their_bounds() {
        let client =
            |nodes: usize| Client::new(Options::usual(vec!["http://n".into(); nodes], None)).map(|_| ());
        assert_eq!(client(0), Err(BadOptions::Urls(0)));
        assert_eq!(client(1), Ok(()));
        assert_eq!(client(64), Ok(()));
        assert_eq!(client(65), Err(BadOptions::Urls(65)));
        let never = Options { attempts_max: 0, ..Options::usual(vec!["http://n".into()], None) };
        assert_eq!(Client::new(never).map(|_| ()), Err(BadOptions::NoAttempt));
    }

    #[test]
    fn ids_that_no_url_can_say() {
        assert_eq!(path(&["v1", "workspaces", "a:b@c+d=e"]).unwrap(), "/v1/workspaces/a:b@c+d=e");
        assert!(path(&["v1", "..", "x"]).is_err());
        assert!(path(&["v1", "."]).is_err());
        assert!(path(&["v1", "..."]).is_ok());
    }

    #[test]
    fn every_character_of_an_id_arrives_as_it_is() {
        let mut url = base("http://n:1").unwrap();
        url.set_path("/v1/workspaces/Az09._:@+=-");
        assert_eq!(url.as_str(), "http://n:1/v1/workspaces/Az09._:@+=-");
    }
}
