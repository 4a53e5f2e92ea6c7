//! By which record each group of the cluster judges how old this journal is: the last one before the first start that the
//! group has not registered. The records that a start writes before it ends do not hide from a later one how old its disk is.
//!
//! A file beside the segments, written before a start writes its first record, and again whenever a group has registered
//! the start, before that group is told any more. Not here: asking the groups (`actors`, `quota`).

use crate::refused::{JournalFault, doing};
use crate::small_file;
use crate::writer::off_task;
use platform::Directory;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use types::planted::{Mistake, is_planted};
use wire::journal::{Registrations as Kept, framed, unframed};

const FILE: &str = "registered";
const UNFINISHED: &str = "registered.tmp";

#[derive(Debug)]
pub(crate) struct Registrations {
    directory: Arc<dyn Directory>,
    /// Where this start found the end of the journal.
    found: u64,
    /// As this start found them: what it says does not change while it runs.
    at_start: Groups,
    /// As they are on the disk. Held by who writes the file, to the end of the write, whether anybody still waits for it.
    kept: Arc<tokio::sync::Mutex<Groups>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Groups {
    /// For a group that is not named: it has never registered this journal.
    first: u64,
    /// By group; `None` where the last start is registered.
    since: BTreeMap<String, Option<u64>>,
}

impl Groups {
    /// As the last start left them; `None` where there was none.
    fn read(directory: &dyn Directory) -> Result<Option<Self>, JournalFault> {
        let read = small_file::read(directory, FILE);
        let Some(bytes) = read.map_err(doing("reading who has registered the journal"))? else {
            return Ok(None);
        };
        let Kept { first, since } = unframed(&bytes).map_err(|why| JournalFault::Damaged {
            file: FILE.into(),
            offset: 0,
            why: why.to_string(),
        })?;
        Ok(Some(Self { first, since: since.into_iter().collect() }))
    }

    /// As of a start that finds so many records.
    fn start(mut self, found: u64) -> Self {
        self.first = self.first.min(found);
        for since in self.since.values_mut() {
            *since = Some(since.map_or(found, |since| since.min(found)));
        }
        self
    }

    fn write(&self, directory: &dyn Directory) -> io::Result<()> {
        let since = self.since.iter().map(|(group, since)| (group.clone(), *since)).collect();
        let bytes = framed(&Kept { first: self.first, since }).map_err(io::Error::other)?;
        small_file::replace(directory, FILE, UNFINISHED, &bytes)
    }
}

/// The most that any group may judge this journal by, at a start that finds `found`.
pub(crate) fn latest(directory: &dyn Directory, found: u64) -> Result<u64, JournalFault> {
    let Some(kept) = Groups::read(directory)? else { return Ok(found) };
    let Groups { first, since } = kept.start(found);
    Ok(since.into_values().flatten().fold(first, u64::max))
}

impl Registrations {
    pub fn start(directory: Arc<dyn Directory>, found: u64) -> Result<Self, JournalFault> {
        let kept = Groups::read(directory.as_ref())?;
        let at_start = match &kept {
            Some(kept) => kept.clone().start(found),
            None => Groups { first: found, since: BTreeMap::new() },
        };
        if kept.as_ref() != Some(&at_start) {
            at_start.write(directory.as_ref()).map_err(doing("writing who has registered the journal"))?;
        }
        let kept = Arc::new(tokio::sync::Mutex::new(at_start.clone()));
        Ok(Self { directory, found, at_start, kept })
    }

    /// What a registration with that group says.
    pub fn of(&self, group: &str) -> u64 {
        if is_planted(Mistake::StartHidesAge) {
            return self.found;
        }
        self.at_start.since.get(group).copied().flatten().unwrap_or(self.at_start.first)
    }

    /// The group has registered this start. Durable when it returns; only then may the group be told more.
    pub async fn done(&self, group: &str) -> io::Result<()> {
        let mut kept = self.kept.clone().lock_owned().await;
        let mut groups = kept.clone();
        if groups.since.insert(group.to_owned(), None) == Some(None) {
            return Ok(());
        }
        let directory = self.directory.clone();
        off_task(directory.is_inline(), move || {
            groups.write(directory.as_ref())?;
            *kept = groups;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::{DirectoryLock, Disk, DiskFile, MemDisk, Unsynced};
    use std::path::Path;
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    fn directory(disk: &MemDisk) -> Arc<dyn Directory> {
        disk.directory(Path::new("/journal")).unwrap()
    }

    fn start(disk: &MemDisk, found: u64) -> Registrations {
        Registrations::start(directory(disk), found).unwrap()
    }

    #[tokio::test]
    async fn starts_that_nobody_registered_hide_nothing_of_how_old_a_journal_is() {
        let disk = MemDisk::new();
        assert_eq!(latest(directory(&disk).as_ref(), 0).unwrap(), 0);
        start(&disk, 0);
        let second = start(&disk, 2);
        assert_eq!((second.of("0"), second.of("1")), (0, 0), "the first start wrote two records and died");
        second.done("0").await.unwrap();
        assert_eq!((second.of("0"), second.of("1")), (0, 0), "asked again, it says the same");
        disk.power_loss(Unsynced::Lost);
        assert_eq!(latest(directory(&disk).as_ref(), 9).unwrap(), 9, "group 0 may have been told as much");
        start(&disk, 9);
        disk.power_loss(Unsynced::Lost);
        let fourth = start(&disk, 11);
        assert_eq!((fourth.of("0"), fourth.of("1")), (9, 0), "the third was registered nowhere");
        assert_eq!(latest(directory(&disk).as_ref(), 11).unwrap(), 9);
        fourth.done("1").await.unwrap();
        fourth.done("1").await.unwrap();
        let fifth = start(&disk, 20);
        assert_eq!((fifth.of("0"), fifth.of("1"), fifth.of("2")), (9, 20, 0));
    }

    #[tokio::test]
    async fn what_the_disk_does_not_take_is_not_registered() {
        let disk = MemDisk::new();
        start(&disk, 0);
        let second = start(&disk, 2);
        disk.set_capacity_bytes(Some(disk.used_bytes()));
        second.done("0").await.unwrap_err();
        disk.set_capacity_bytes(None);
        assert_eq!(start(&disk, 3).of("0"), 0);
        second.done("0").await.unwrap();
        assert_eq!(start(&disk, 4).of("0"), 4);
    }

    /// A directory on which work takes its time, on another thread; it tells what is made and renamed.
    #[derive(Debug)]
    struct Slow {
        inner: Arc<dyn Directory>,
        told: mpsc::Sender<&'static str>,
        /// A file is made only while this is not held.
        gate: Arc<Mutex<()>>,
    }

    impl Directory for Slow {
        fn is_inline(&self) -> bool {
            false
        }

        fn lock(&self) -> io::Result<Box<dyn DirectoryLock>> {
            self.inner.lock()
        }

        fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
            self.told.send("made").unwrap();
            let _open = self.gate.lock().unwrap();
            self.inner.create(name)
        }

        fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
            self.inner.open(name)
        }

        fn list(&self) -> io::Result<Vec<String>> {
            self.inner.list()
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.inner.remove(name)
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.told.send("renamed").unwrap();
            self.inner.rename(from, to)
        }

        fn sync(&self) -> io::Result<()> {
            self.inner.sync()
        }
    }

    /// Whoever waits for a write may go away; the write goes on, and the next one waits for its end.
    #[test]
    fn one_write_at_a_time_also_when_nobody_waits_for_the_first() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let disk = MemDisk::new();
        let (told, tells) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let slow = Slow { inner: directory(&disk), told, gate: gate.clone() };
        let registrations = Arc::new(Registrations::start(Arc::new(slow), 0).unwrap());
        let closed = gate.lock().unwrap();
        let done = |group: &'static str| {
            let registrations = registrations.clone();
            runtime.spawn(async move { registrations.done(group).await })
        };
        let first = done("0");
        assert_eq!([tells.recv(), tells.recv(), tells.recv()], [Ok("made"), Ok("renamed"), Ok("made")]);
        first.abort();
        assert!(runtime.block_on(first).unwrap_err().is_cancelled());
        let second = done("1");
        let early = tells.recv_timeout(Duration::from_millis(100));
        drop(closed);
        runtime.block_on(second).unwrap().unwrap();
        assert!(early.is_err(), "{early:?}: the second began before the first had ended");
        assert_eq!(tells.try_iter().collect::<Vec<_>>(), ["renamed", "made", "renamed"]);
        let next = start(&disk, 7);
        assert_eq!((next.of("0"), next.of("1"), next.of("2")), (7, 7, 0));
    }

    #[test]
    fn segments_that_were_put_back_without_the_file_are_no_younger_for_it() {
        let disk = MemDisk::new();
        start(&disk, 5);
        assert_eq!(start(&disk, 3).of("0"), 3);
        disk.flip_bit(Path::new("/journal/registered"), 9, 0);
        let damaged = Registrations::start(directory(&disk), 3).unwrap_err();
        assert!(matches!(&damaged, JournalFault::Damaged { file, .. } if file == FILE), "{damaged}");
    }
}
