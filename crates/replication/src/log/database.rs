//! The tables of the log, and how writes become one transaction. Not here: who gathers them.

use super::suspect;
use platform::{Directory, DiskFile};
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition,
};
use std::io;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Entries by group and index.
const ENTRIES: TableDefinition<(u16, u64), &[u8]> = TableDefinition::new("entries");
/// The few other things a group keeps.
const FACTS: TableDefinition<(u16, u8), &[u8]> = TableDefinition::new("facts");

const FILE: &str = "log.redb";

/// What a group keeps beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fact {
    Vote = 1,
    Committed = 2,
    Purged = 3,
    /// What the directory was made for; kept under group 0.
    Plan = 4,
}

/// One change of one group's part.
#[derive(Debug)]
pub(crate) enum Write {
    Fact(Fact, Vec<u8>),
    Append(Vec<(u64, Vec<u8>)>),
    /// Removes the entries from this index on.
    Truncate(u64),
    /// Removes the entries up to this index.
    Purge(u64, Vec<u8>),
}

/// Open until it is closed: whoever still holds it then gets errors, and nothing is written behind the back of the
/// next one who opens the file.
#[derive(Debug)]
pub(crate) struct LogDatabase(RwLock<Option<Database>>);

/// Whether there is a log in this directory.
pub(crate) fn exists(directory: &dyn Directory) -> io::Result<bool> {
    Ok(directory.list()?.iter().any(|name| name == FILE))
}

impl LogDatabase {
    pub(crate) fn open(directory: &Arc<dyn Directory>, cache_bytes: usize) -> Result<Self, redb::Error> {
        if suspect::write_anew(&**directory, FILE)? {
            tracing::warn!("a sync of the log had failed: it was written anew, to another file");
        }
        let file = match directory.open(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = directory.create(FILE)?;
                directory.sync()?;
                file
            }
            found => found?,
        };
        let database = Builder::new()
            .set_cache_size(cache_bytes)
            .create_with_backend(Backend { file, directory: directory.clone() })?;
        let transaction = database.begin_write()?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(FACTS)?;
        transaction.commit()?;
        Ok(Self(RwLock::new(Some(database))))
    }

    pub(crate) fn close(&self) {
        let database = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(database);
    }

    fn open_database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        Ok(self.open_database().as_ref().ok_or_else(closed)?.begin_read()?)
    }

    /// Writes all or nothing, in order, and syncs once.
    pub(crate) fn commit<'a>(
        &self,
        writes: impl IntoIterator<Item = (u16, &'a Write)>,
    ) -> Result<(), redb::Error> {
        let open = self.open_database();
        let mut transaction = open.as_ref().ok_or_else(closed)?.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut facts = transaction.open_table(FACTS)?;
            for (group, write) in writes {
                match write {
                    Write::Fact(fact, bytes) => {
                        facts.insert((group, *fact as u8), bytes.as_slice())?;
                    }
                    Write::Append(more) => {
                        for (index, bytes) in more {
                            entries.insert((group, *index), bytes.as_slice())?;
                        }
                    }
                    Write::Truncate(from) => {
                        entries.retain_in((group, *from)..=(group, u64::MAX), |_, _| false)?;
                    }
                    Write::Purge(upto, pointer) => {
                        entries.retain_in((group, 0)..=(group, *upto), |_, _| false)?;
                        facts.insert((group, Fact::Purged as u8), pointer.as_slice())?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    pub(crate) fn fact(&self, group: u16, fact: Fact) -> Result<Option<Vec<u8>>, redb::Error> {
        let facts = self.begin_read()?.open_table(FACTS)?;
        Ok(facts.get((group, fact as u8))?.map(|bytes| bytes.value().to_vec()))
    }

    /// What the directory was made for: an encoded `wire::raft::Plan`.
    pub(crate) fn plan(&self) -> Result<Option<Vec<u8>>, redb::Error> {
        self.fact(0, Fact::Plan)
    }

    pub(crate) fn make_plan(&self, bytes: Vec<u8>) -> Result<(), redb::Error> {
        self.commit([(0, &Write::Fact(Fact::Plan, bytes))])
    }

    pub(crate) fn last_entry(&self, group: u16) -> Result<Option<Vec<u8>>, redb::Error> {
        let entries = self.begin_read()?.open_table(ENTRIES)?;
        let last = entries.range((group, 0)..=(group, u64::MAX))?.next_back().transpose()?;
        Ok(last.map(|(_, bytes)| bytes.value().to_vec()))
    }

    /// The entries in `range` in order; stops once they have `bytes_max`, but not before the first.
    pub(crate) fn entries(
        &self,
        group: u16,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>, redb::Error> {
        let entries = self.begin_read()?.open_table(ENTRIES)?;
        let (mut found, mut sum) = (Vec::new(), 0);
        for entry in entries.range((group, range.start)..(group, range.end))? {
            let (_, bytes) = entry?;
            let bytes = bytes.value();
            sum += bytes.len();
            if sum > bytes_max && !found.is_empty() {
                break;
            }
            found.push(bytes.to_vec());
        }
        Ok(found)
    }
}

fn closed() -> redb::Error {
    redb::Error::Io(io::Error::other("the log is closed"))
}

/// redb on a platform file. The directory's lock keeps others out.
#[derive(Debug)]
struct Backend {
    file: Arc<dyn DiskFile>,
    directory: Arc<dyn Directory>,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len < self.file.len()? { self.file.truncate(len) } else { self.file.reserve(len) }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync().inspect_err(|_| suspect::mark(&*self.directory))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data)
    }
}
