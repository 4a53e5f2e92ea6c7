//! A client of HTTP over the simulated network, with a deadline on every request. Not here: what is asked.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use turmoil::net::TcpStream;

use crate::world_b::machine::OPERATOR_KEY;

/// One connection at a time, made when it is needed.
#[derive(Debug, Default)]
pub struct Http {
    connection: Option<(SocketAddr, SendRequest<Full<Bytes>>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The revision of what was changed.
    pub revision: Option<u64>,
    pub body: Vec<u8>,
}

/// No answer: nobody knows whether it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence(pub String);

#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub key: Option<String>,
    pub body: Option<String>,
}

impl Http {
    pub async fn ask(&mut self, to: SocketAddr, ask: &Ask, within: Duration) -> Result<Answer, Silence> {
        let answer = tokio::time::timeout(within, self.exchange(to, ask)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".into()));
        if answer.is_err() {
            self.connection = None;
        }
        answer.map_err(Silence)
    }

    async fn exchange(&mut self, to: SocketAddr, ask: &Ask) -> Result<Answer, String> {
        let is_open = |sender: &SendRequest<Full<Bytes>>| !sender.is_closed();
        let mut sender =
            match self.connection.take().filter(|(there, sender)| *there == to && is_open(sender)) {
                Some((_, sender)) => sender,
                None => {
                    let stream = TcpStream::connect(to).await.map_err(|why| why.to_string())?;
                    let (sender, connection) =
                        handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
                    tokio::spawn(connection);
                    sender
                }
            };
        sender.ready().await.map_err(|why| why.to_string())?;
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.path)
            .header("host", to.to_string())
            .header("authorization", format!("Bearer {OPERATOR_KEY}"));
        if let Some(key) = &ask.key {
            request = request.header("idempotency-key", key);
        }
        if ask.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = Full::new(Bytes::from(ask.body.clone().unwrap_or_default()));
        let request = request.body(body).map_err(|why| why.to_string())?;
        let response = sender.send_request(request).await.map_err(|why| why.to_string())?;
        let status = response.status().as_u16();
        let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
        let revision = tag.and_then(|tag| tag.trim_matches('"').parse().ok());
        let body = response.into_body().collect().await.map_err(|why| why.to_string())?;
        self.connection = Some((to, sender));
        Ok(Answer { status, revision, body: body.to_bytes().to_vec() })
    }
}
