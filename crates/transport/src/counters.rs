//! What is counted, for metrics. Not here: how it is exposed.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Since the start of the node, over all peers. Bytes are those on the stream, hellos excluded.
#[derive(Debug, Default)]
pub struct Counters {
    pub frames_in: Counter,
    pub frames_out: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    /// Own calls that ended without an answer in time.
    pub deadlines_passed: Counter,
    /// Answers to calls that nobody waits for any more.
    pub answers_late: Counter,
    /// Handlers dropped at the deadline of their request.
    pub handlers_dropped: Counter,
    /// Requests and notifies not begun because too many are handled.
    pub requests_shed: Counter,
    /// Attempts to connect to a peer, successful or not.
    pub dials: Counter,
    /// Connections made after the first one to the same peer.
    pub reconnects: Counter,
    /// Hellos refused by this node or to it, and streams that said none.
    pub handshakes_failed: Counter,
}
