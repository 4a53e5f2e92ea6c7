//! Until when this holder may spend, by shard. Bounds revocation, nothing else: no credit moves by it.
//!
//! Measured on CLOCK_BOOTTIME from when the renewal was *sent*; nothing survives a restart.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use types::ShardId;

/// A session is renewed when it is older than this.
const RENEW_EVERY_MS: u64 = 2_000;

#[derive(Debug)]
pub struct Sessions {
    ttl_ms: u64,
    shards: Vec<Session>,
}

#[derive(Debug, Default)]
struct Session {
    until_ms: AtomicU64,
    /// The ledger has registered this process; the disk may not know it yet.
    accepted: AtomicBool,
    registered: AtomicBool,
    /// A renewal that nobody waits for is on its way.
    renewing: AtomicBool,
    /// The highest journal sequence this process has told that shard.
    reported: AtomicU64,
}

impl Sessions {
    pub fn new(shards: usize, ttl_ms: u64) -> Self {
        Self { ttl_ms, shards: (0..shards).map(|_| Session::default()).collect() }
    }

    fn of(&self, shard: ShardId) -> &Session {
        &self.shards[usize::from(shard.0)]
    }

    pub fn is_live(&self, shard: ShardId, boottime_ms: u64) -> bool {
        boottime_ms < self.of(shard).until_ms.load(Ordering::Acquire)
    }

    /// A leader answered what was sent at `sent_ms`.
    pub fn renew(&self, shard: ShardId, sent_ms: u64) {
        self.of(shard).until_ms.fetch_max(sent_ms.saturating_add(self.ttl_ms), Ordering::AcqRel);
    }

    /// Whether it is time to renew: leaders take a holder that is silent for some seconds as unreachable.
    pub fn is_due(&self, shard: ShardId, boottime_ms: u64) -> bool {
        let until = self.of(shard).until_ms.load(Ordering::Acquire);
        until.saturating_sub(boottime_ms) < self.ttl_ms.saturating_sub(RENEW_EVERY_MS)
    }

    /// `false` where one is on its way already: a leader that refuses it is asked by one at a time.
    pub fn begin_renewal(&self, shard: ShardId) -> bool {
        !self.of(shard).renewing.swap(true, Ordering::AcqRel)
    }

    pub fn end_renewal(&self, shard: ShardId) {
        self.of(shard).renewing.store(false, Ordering::Release);
    }

    pub fn is_registered(&self, shard: ShardId) -> bool {
        self.of(shard).registered.load(Ordering::Acquire)
    }

    pub fn is_accepted(&self, shard: ShardId) -> bool {
        self.of(shard).accepted.load(Ordering::Acquire)
    }

    pub fn accepted(&self, shard: ShardId) {
        self.of(shard).accepted.store(true, Ordering::Release);
    }

    pub fn registered(&self, shard: ShardId) {
        self.of(shard).registered.store(true, Ordering::Release);
    }

    /// This process is about to tell the shard that its journal got so far.
    pub fn reports(&self, shard: ShardId, sequence: u64) {
        self.of(shard).reported.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Whether that shard may know so much from this very process. What another shard was told is no reason: a
    /// rolled-back disk that one has let in is still to be refused by the next.
    pub fn has_reported(&self, shard: ShardId, sequence: u64) -> bool {
        sequence <= self.of(shard).reported.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_from_when_it_was_sent() {
        let sessions = Sessions::new(2, 10_000);
        assert!(!sessions.is_live(ShardId(1), 0));
        sessions.renew(ShardId(1), 1_000);
        assert!(sessions.is_live(ShardId(1), 10_999) && !sessions.is_live(ShardId(1), 11_000));
        sessions.renew(ShardId(1), 900);
        assert!(sessions.is_live(ShardId(1), 10_999), "a late answer does not shorten it");
        assert!(!sessions.is_due(ShardId(1), 3_000) && sessions.is_due(ShardId(1), 3_001));
        assert!(!sessions.is_live(ShardId(0), 1_000), "shards are apart");
    }

    #[test]
    fn one_renewal_at_a_time_by_shard() {
        let sessions = Sessions::new(2, 10_000);
        assert!(sessions.begin_renewal(ShardId(1)) && !sessions.begin_renewal(ShardId(1)));
        assert!(sessions.begin_renewal(ShardId(0)), "shards are apart");
        sessions.end_renewal(ShardId(1));
        assert!(sessions.begin_renewal(ShardId(1)));
    }

    #[test]
    fn what_one_shard_was_told_is_no_excuse_at_another() {
        let sessions = Sessions::new(2, 10_000);
        sessions.reports(ShardId(1), 7);
        sessions.reports(ShardId(1), 5);
        assert!(sessions.has_reported(ShardId(1), 7) && !sessions.has_reported(ShardId(1), 8));
        assert!(!sessions.has_reported(ShardId(0), 1));
    }
}
