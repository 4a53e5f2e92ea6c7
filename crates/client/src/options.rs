//! How a client connects, waits and repeats; all usual values stand here. Not here: what is done with them.

use std::fmt;

/// Everything a client is told; nothing is read from the environment.
#[derive(Clone, Debug)]
pub struct Options {
    /// Base URLs of the nodes, `http://host:port`, 1 to [`Options::URLS_MAX`].
    pub urls: Vec<String>,
    /// Sent as `Authorization: Bearer KEY`; `None`: only health, metrics and docs answer.
    pub key: Option<Key>,
    /// For one connection to be made.
    pub connect_ms: u64,
    /// From sending one attempt to the end of its answer. Longer than the node's own deadline of 10 s, so that it is
    /// the node that says what became of the request.
    pub answer_ms: u64,
    /// Connections kept per node while nothing is asked on them. As many as there are requests at once, or each
    /// request beyond makes a connection of its own.
    pub idle_connections_max: usize,
    /// How long they are kept. Shorter than the node's 75 s, so that it is the client that closes.
    pub idle_ms: u64,
    /// How often a request is sent at most, the first time included. 1: never again.
    pub attempts_max: u32,
    /// Rest before an attempt once every node was asked; doubles each time, up to `wait_ms_max`.
    pub wait_ms: u64,
    /// Longest rest; a problem that asks for a longer one is the caller's.
    pub wait_ms_max: u64,
}

impl Options {
    pub const URLS_MAX: usize = 64;

    /// The values for an application: at most four attempts, at most 2 s between two of them.
    pub fn usual(urls: Vec<String>, key: Option<Key>) -> Self {
        Self {
            urls,
            key,
            connect_ms: 1_000,
            answer_ms: 15_000,
            idle_connections_max: 64,
            idle_ms: 30_000,
            attempts_max: 4,
            wait_ms: 100,
            wait_ms_max: 2_000,
        }
    }
}

/// The key of a caller. Never printed.
#[derive(Clone)]
pub struct Key(Box<str>);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("a key has 1 to {max} characters, this one has {0}", max = Key::BYTES_MAX)]
    Length(usize),
    #[error("a key has only visible ASCII characters; look for a space or a line break in its file")]
    Character,
}

impl Key {
    pub const BYTES_MAX: usize = 256;

    pub fn parse(text: &str) -> Result<Self, BadKey> {
        if !(1..=Self::BYTES_MAX).contains(&text.len()) {
            return Err(BadKey::Length(text.len()));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BadKey::Character);
        }
        Ok(Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_its_bounds_is_not_printed() {
        assert!(Key::parse(&"k".repeat(256)).is_ok());
        assert_eq!(Key::parse(&"k".repeat(257)).unwrap_err(), BadKey::Length(257));
        assert_eq!(Key::parse("").unwrap_err(), BadKey::Length(0));
        assert_eq!(Key::parse("secret\n").unwrap_err(), BadKey::Character);
        assert_eq!(format!("{:?}", Key::parse("secret").unwrap()), "Key(…)");
    }
}
