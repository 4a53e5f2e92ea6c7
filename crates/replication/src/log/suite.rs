//! openraft's own suite on the real log and state machine.

use super::{GroupLog, LogDatabase, LogWriter};
use crate::machine::Machine;
use crate::raft::Types;
use crate::snapshot::SnapshotStore;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use platform::{Disk, RealDisk};
use std::sync::Arc;

struct Builder {
    /// 0: every read goes to the disk as soon as the entry is there.
    tail_bytes: usize,
}

impl StoreBuilder<Types, GroupLog, Machine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, GroupLog, Machine), StorageError<Types>> {
        let folder = tempfile::tempdir().unwrap();
        let directory = RealDisk.directory(folder.path()).unwrap();
        let database = Arc::new(LogDatabase::open(&directory, 1024 * 1024).unwrap());
        let writer = LogWriter::start(database.clone(), directory.is_inline()).unwrap();
        let log = GroupLog::open(7, database, writer, self.tail_bytes).unwrap();
        let (snapshots, replicated) = SnapshotStore::open(7, directory).unwrap();
        Ok((folder, log, Machine::new(snapshots, replicated, u64::MAX)))
    }
}

#[tokio::test]
async fn with_the_end_of_the_log_in_memory() {
    Suite::test_all(Builder { tail_bytes: 1024 * 1024 }).await.unwrap();
}

#[tokio::test]
async fn with_the_log_on_disk_alone() {
    Suite::test_all(Builder { tail_bytes: 0 }).await.unwrap();
}
