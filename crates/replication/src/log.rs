//! The Raft logs of all groups of a node: one database, one writer, one sync for whatever came meanwhile.
//!
//! - `database`: the tables, and how a list of writes becomes one transaction.
//! - `writer`: gathers the writes of all groups and commits them; a thread of its own where the disk is real.
//! - `suspect`: what a failed sync leaves behind, and how it is trusted again.
//! - `store`: one group's view of it, as openraft wants it, with the log's end in memory.
//!
//! Not here: what is in an entry, snapshots.

mod database;
mod store;
#[cfg(test)]
mod suite;
mod suspect;
mod writer;

pub(crate) use database::{LogDatabase, exists};
pub(crate) use store::GroupLog;
pub(crate) use writer::LogWriter;

use std::sync::atomic::{AtomicU64, Ordering};

/// What the writer has done since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCounts {
    /// Requests to append; each wants its entries on disk.
    pub appends: u64,
    pub entries: u64,
    /// Bytes of those entries.
    pub bytes: u64,
    /// Transactions, each synced once.
    pub commits: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    appends: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
    commits: AtomicU64,
}

impl Counters {
    fn appended(&self, entries: usize, bytes: usize) {
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> LogCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogCounts {
            appends: load(&self.appends),
            entries: load(&self.entries),
            bytes: load(&self.bytes),
            commits: load(&self.commits),
        }
    }
}
