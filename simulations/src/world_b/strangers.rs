//! Strangers, who send all through a run what cannot be read: to the API what is no request, or one that says nothing or
//! that nobody may say, in the names of real users; to the peers' door what is no hello, or none for this node. It must be
//! refused, and nothing may come of it. Not here: what is sent (`junk`), and that nothing is metered for it (`judge`).

use crate::chance::stream;
use crate::crossings::Crossing;
use crate::world_b::clients::Office;
use crate::world_b::junk::{self, By, Junk};
use crate::world_b::machine::PEER_PORT;
use rand::Rng;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use testkit::checkers::Broken;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;
use wire::hello::Answer;

/// The mean time between two of one stranger.
const EVERY_MS: u64 = 500;
/// A refusal needs nobody else: a few round trips, and another try of what the network holds up.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// A stream has two seconds for its hello; then the door closes.
const CLOSED_WITHIN: Duration = Duration::from_secs(3);

/// What a stranger saw of a connection.
#[derive(Debug, Default)]
struct Seen {
    heard: Vec<u8>,
    /// The other side ended it.
    ended: bool,
}

impl Office {
    /// Who sends to the API what is no request.
    pub async fn be_a_strange_client(self) {
        let mut chance = stream(self.seed, "strange client");
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..=2 * EVERY_MS))).await;
            let junk = junk::request(&mut chance, &self.load);
            let (to, asked_ms) = (self.node(&mut chance), self.truth.ms());
            let seen = send(to, &junk, REFUSED_WITHIN).await;
            let verdict = match (junk.by, refusal(&seen.heard)) {
                (By::Nobody, _) => continue,
                (By::Product, Some((400..500, code))) if junk::is_known(&code) => Ok(()),
                (By::Http, Some((400..500, _))) => Ok(()),
                (By::Http, None) if seen.ended && seen.heard.is_empty() => Ok(()),
                (_, Some((status, code))) => Err(format!("{status} {code}")),
                (_, None) if self.is_excused(asked_ms, to) => continue,
                (_, None) => Err(format!("no answer: {}", String::from_utf8_lossy(&seen.heard))),
            };
            self.saw(Crossing::JunkIsRefused, "what cannot be read is refused", to, &junk, verdict);
        }
    }

    /// Who is no peer and comes to the peers' door.
    pub async fn be_a_strange_peer(self) {
        let mut chance = stream(self.seed, "strange peer");
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..=2 * EVERY_MS))).await;
            let (to, asked_ms) = (self.node(&mut chance).ip(), self.truth.ms());
            let index = self.addresses.0.iter().position(|ip| *ip == to).unwrap_or(0);
            let to = SocketAddr::new(to, PEER_PORT);
            let junk = junk::hello(&mut chance, index, self.addresses.0.len());
            let seen = send(to, &junk, CLOSED_WITHIN).await;
            let verdict = match (answer(&seen.heard), seen.ended) {
                (Some(Answer::Welcome { .. }), _) => Err("it was let in".to_owned()),
                (_, true) => Ok(()),
                (_, false) if self.is_excused(asked_ms, to) => continue,
                (answer, false) => Err(format!("it stays open: {answer:?}")),
            };
            let sentence = "what is no peer is refused at the peers' door";
            self.saw(Crossing::JunkIsRefusedByPeers, sentence, to, &junk, verdict);
        }
    }

    fn saw(
        &self,
        crossing: Crossing,
        sentence: &'static str,
        to: SocketAddr,
        junk: &Junk,
        verdict: Result<(), String>,
    ) {
        tracing::info!(target: "film", %to, what = junk.what, ?verdict, "junk");
        let mut record = self.told.record();
        match verdict {
            Ok(()) => record.seen.saw(crossing),
            Err(why) => {
                let what = format!("{to} was sent {}: {why}", junk.what);
                record.broken.push(Broken { sentence, what });
            }
        }
    }
}

/// Sends it, and hears until the other side hangs up or the time is over.
async fn send(to: SocketAddr, junk: &Junk, within: Duration) -> Seen {
    let mut seen = Seen::default();
    let talk = async {
        let mut stream = TcpStream::connect(to).await?;
        // Who is refused early cannot say the rest.
        let _cut_off = stream.write_all(&junk.bytes).await;
        if junk.hangs_up {
            stream.shutdown().await?;
        }
        let mut buffer = [0; 4_096];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => {
                    seen.ended = true;
                    return Ok::<(), std::io::Error>(());
                }
                Ok(bytes) => seen.heard.extend_from_slice(&buffer[..bytes]),
            }
        }
    };
    let _silent_or_unreachable = tokio::time::timeout(within, talk).await;
    seen
}

/// The status and the code of an HTTP answer that is there whole.
fn refusal(heard: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(heard);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok();
    let length: usize = head.lines().find_map(length).unwrap_or(0);
    let body: Value = serde_json::from_str(body.get(..length)?).unwrap_or_default();
    Some((status, body["code"].as_str().unwrap_or_default().to_owned()))
}

/// What the peers' door answered a hello with.
fn answer(heard: &[u8]) -> Option<Answer> {
    let (length, answer) = heard.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    Answer::decode(answer.get(..usize::try_from(length).ok()?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::hello::Refusal;

    #[test]
    fn an_answer_counts_when_it_is_whole() {
        let whole = "HTTP/1.1 400 Bad Request\r\nContent-Length: 20\r\n\r\n{\"code\":\"malformed\"}";
        assert_eq!(refusal(whole.as_bytes()), Some((400, "malformed".into())));
        assert_eq!(refusal(&whole.as_bytes()[..whole.len() - 1]), None);
        let empty = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(refusal(empty.as_bytes()), Some((431, String::new())));
        assert_eq!(refusal(b"HTTP/1.1 40"), None);
    }

    #[test]
    fn a_refusal_at_the_door_is_read() {
        let refused = Answer::Refused(Refusal::WrongCluster { theirs: 7 });
        let bytes = refused.encode();
        let framed = [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
        assert_eq!(answer(&framed), Some(refused));
        assert_eq!(answer(&framed[..framed.len() - 1]), None);
        assert_eq!(answer(&[0, 0]), None);
    }
}
