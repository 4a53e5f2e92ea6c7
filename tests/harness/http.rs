//! HTTP/1.1 over one kept connection, with the exact bytes of each answer. Nothing is repeated behind the caller's
//! back: what was lost is told, so that it can be counted. Not here: routes and keys (`api`).

use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// No answer of any node takes so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// An answer to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|why| panic!("{} is no JSON ({why}): {}", self.status, self.text()))
    }

    /// The code of a problem; empty where there is none.
    pub fn code(&self) -> String {
        let json: Option<Value> = serde_json::from_slice(&self.body).ok();
        json.and_then(|json| Some(json.get("code")?.as_str()?.to_owned())).unwrap_or_default()
    }

    /// A problem's words; the whole answer where there are none.
    pub fn detail(&self) -> String {
        let json: Option<Value> = serde_json::from_slice(&self.body).ok();
        json.and_then(|json| Some(json.get("detail")?.as_str()?.to_owned())).unwrap_or_else(|| self.text())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// No answer came.
#[derive(Debug)]
pub enum Lost {
    /// Nothing was asked: there was no connection.
    NotSent(io::Error),
    /// It may have been done.
    Unknown(io::Error),
}

/// One kept connection to one node; made anew where it broke.
#[derive(Debug)]
pub(crate) struct Connection {
    pub address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Lost> {
        let mut stream = match self.stream.take() {
            Some(kept) => kept,
            None => connect(self.address).await.map_err(Lost::NotSent)?,
        };
        let asked = async {
            stream.write_all(request).await?;
            read_answer(&mut stream).await
        };
        let answer = match tokio::time::timeout(ANSWER_WITHIN, asked).await {
            Ok(answer) => answer.map_err(Lost::Unknown)?,
            Err(_) => return Err(Lost::Unknown(io::ErrorKind::TimedOut.into())),
        };
        let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.stream = (!closes).then_some(stream);
        Ok(answer)
    }
}

async fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let connecting = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await;
    let stream = connecting.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// Sends bytes as they are, and reads one answer.
pub async fn exchange_raw(address: SocketAddr, bytes: &[u8]) -> Result<Answer, Lost> {
    Connection::new(address).exchange(bytes).await
}

async fn read_answer(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let first = read_line(stream).await?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| bad(&first))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad(&line))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        answer.body = read_chunks(stream).await?;
    } else if let Some(length) = answer.header("content-length") {
        answer.body = vec![0; length.parse().map_err(|_| bad(length))?];
        stream.read_exact(&mut answer.body).await?;
    }
    Ok(answer)
}

async fn read_chunks(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream).await?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(|_| bad(&line))?;
        let from = body.len();
        body.resize(from + length, 0);
        stream.read_exact(&mut body[from..]).await?;
        read_line(stream).await?;
        if length == 0 {
            return Ok(body);
        }
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn bad(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {text}"))
}
