//! HTTP/1.1 over one kept connection, as little of it as a load generator needs. Not here: routes, keys, counting.

use crate::NotMeasured;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No node takes so long for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code of a refusal; empty where there is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn expect(self, status: u16) -> Result<Self, NotMeasured> {
        if self.status == status {
            return Ok(self);
        }
        Err(NotMeasured::wrong(format!("{status} was expected, {} came: {}", self.status, self.text())))
    }
}

/// One kept connection with the bearer key of its requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    headers: String,
    /// Read and not yet taken.
    unread: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr, key: &str) -> Result<Self, NotMeasured> {
        let fault = |source| NotMeasured::Io { what: format!("a connection to {address}"), source };
        let stream = TcpStream::connect(address).await.map_err(fault)?;
        stream.set_nodelay(true).map_err(fault)?;
        let headers = format!("Host: {address}\r\nAuthorization: Bearer {key}\r\n");
        Ok(Self { stream, headers, unread: Vec::with_capacity(4096) })
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer, NotMeasured> {
        self.ask("GET", path, "").await
    }

    pub async fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Answer, NotMeasured> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.headers,
            body.len()
        );
        let answered = tokio::time::timeout(ANSWER_WITHIN, self.exchange(request.as_bytes())).await;
        let answered = answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        answered.map_err(NotMeasured::io(format!("{method} {path}")))
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let head_bytes = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().await?;
        };
        let head = String::from_utf8_lossy(&self.unread[..head_bytes]).into_owned();
        let (status, body_bytes) = read_head(&head).ok_or_else(|| io::Error::other(head))?;
        while self.unread.len() < head_bytes + body_bytes {
            self.read_more().await?;
        }
        let body = self.unread[head_bytes..head_bytes + body_bytes].to_vec();
        self.unread.drain(..head_bytes + body_bytes);
        Ok(Answer { status, body })
    }

    async fn read_more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Status and length of the body. Every answer of a node says its length.
fn read_head(head: &str) -> Option<(u16, usize)> {
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, length?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_long_its_body_is() {
        assert_eq!(read_head("HTTP/1.1 402 Payment Required\r\nContent-Length: 17\r\n\r\n"), Some((402, 17)));
        assert_eq!(read_head("HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(read_head("garbage"), None);
    }
}
