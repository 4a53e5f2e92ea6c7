//! A disk in memory that can fail: the page cache and what is durable are kept apart. Not here: when it fails; tests say.
//!
//! Clones share the disk, so that a test kills what used it and opens it again. What was opened before a kill or a
//! power loss is dead afterwards, as the process would be.

use crate::disk::{Directory, DirectoryLock, Disk, DiskFile};
use crate::entropy::splitmix;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What becomes, at a power loss, of writes that were never synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// All are gone.
    Lost,
    /// Of each file the first bytes written since its last sync survive: a torn write.
    FirstBytes(usize),
    /// Each sector of each write survives or not, by this seed: writes reach a disk in any order.
    Scattered(u64),
}

const SECTOR_BYTES: usize = 512;

/// The disk. Nothing is durable before `sync`, no name before the directory's.
#[derive(Debug, Clone)]
pub struct MemDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Names as every process sees them, and as they would be after a power loss.
    names: BTreeMap<PathBuf, Inode>,
    durable_names: BTreeMap<PathBuf, Inode>,
    locked: BTreeSet<PathBuf>,
    /// Counts kills; a handle of an earlier life is dead.
    life: u64,
    capacity_bytes: Option<u64>,
    failing_syncs: u64,
    failing_writes: u64,
    /// Calls that are left to the process that uses the disk now.
    calls_left: Option<u64>,
    syncs: u64,
}

type Inode = Arc<Mutex<Content>>;

#[derive(Debug)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync, in order.
    unsynced: Vec<Edit>,
}

#[derive(Debug, Clone)]
enum Edit {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Edit {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(bytes) => content.resize(*bytes, 0),
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

fn lock(content: &Inode) -> MutexGuard<'_, Content> {
    content.lock().expect("nothing panics while a file is held")
}

impl MemDisk {
    #[allow(clippy::new_without_default, reason = "a disk is bought, not a default")]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            locked: BTreeSet::new(),
            life: 0,
            capacity_bytes: None,
            failing_syncs: 0,
            failing_writes: 0,
            calls_left: None,
            syncs: 0,
        })))
    }

    /// The process dies: everything handed to the kernel stays, locks fall, open files are dead.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// The process dies at its next but `calls` call to this disk, in the middle of whatever it does then.
    pub fn kill_after(&self, calls: u64) {
        self.state().calls_left = Some(calls);
    }

    /// Whether a power failure now could lose anything.
    pub fn has_unsynced(&self) -> bool {
        self.state().names.values().any(|content| !lock(content).unsynced.is_empty())
    }

    /// The power fails: what was not synced is gone, but for what `unsynced` says.
    pub fn power_loss(&self, unsynced: Unsynced) {
        self.kill();
        let mut state = self.state();
        state.names = state.durable_names.clone();
        let mut random = match unsynced {
            Unsynced::Scattered(seed) => seed,
            Unsynced::Lost | Unsynced::FirstBytes(_) => 0,
        };
        for content in state.names.values() {
            lock(content).lose_power(unsynced, &mut random);
        }
    }

    /// Another disk with what would be left of this one after a power loss: an image to roll back to.
    #[must_use]
    pub fn image(&self) -> Self {
        let copy = |content: &Inode| {
            let durable = lock(content).durable.clone();
            Arc::new(Mutex::new(Content { cached: durable.clone(), durable, unsynced: Vec::new() }))
        };
        let image = Self::new();
        let names =
            self.state().durable_names.iter().map(|(path, content)| (path.clone(), copy(content))).collect();
        let mut state = image.state();
        state.durable_names = names;
        state.names = state.durable_names.clone();
        drop(state);
        image
    }

    /// At most this many bytes in all files together, reserved ones included; `None` for no bound.
    pub fn set_capacity_bytes(&self, capacity: Option<u64>) {
        self.state().capacity_bytes = capacity;
    }

    /// The next `count` syncs of files fail, and what they should have made durable never becomes so.
    pub fn fail_syncs(&self, count: u64) {
        self.state().failing_syncs = count;
    }

    /// The next `count` writes fail without effect.
    pub fn fail_writes(&self, count: u64) {
        self.state().failing_writes = count;
    }

    /// Turns one bit of a file round, on the disk and in the cache.
    pub fn flip_bit(&self, path: &Path, byte: usize, bit: u8) {
        let state = self.state();
        let mut content = lock(state.names.get(path).expect("a test flips bits of a file that is there"));
        let Content { cached, durable, .. } = &mut *content;
        for copy in [cached, durable] {
            if let Some(byte) = copy.get_mut(byte) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// Puts the disk back to one file with this content, durable.
    pub fn remove_all_but(&self, path: &Path, content: &[u8]) {
        let mut state = self.state();
        let content = Content { cached: content.to_vec(), durable: content.to_vec(), unsynced: Vec::new() };
        state.names = BTreeMap::from([(path.to_owned(), Arc::new(Mutex::new(content)))]);
        state.durable_names = state.names.clone();
    }

    /// What a reader of the file would see now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        self.state().names.get(path).map(|content| lock(content).cached.clone())
    }

    /// The paths of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Bytes of all files together, reserved ones included.
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    /// How many syncs of files have succeeded.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while the disk is held")
    }

    fn alive(&self, life: u64) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.life == life {
            match &mut state.calls_left {
                Some(0) => state.kill(),
                Some(left) => *left -= 1,
                None => {}
            }
        }
        if state.life == life {
            Ok(state)
        } else {
            Err(io::Error::other("the process that opened this was killed"))
        }
    }
}

impl State {
    fn kill(&mut self) {
        self.life += 1;
        self.locked.clear();
        self.calls_left = None;
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|content| lock(content).cached.len() as u64).sum()
    }

    fn room_for(&self, more: usize) -> io::Result<()> {
        match self.capacity_bytes {
            Some(capacity) if more > 0 && self.used_bytes() + more as u64 > capacity => {
                Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on the simulated disk"))
            }
            _ => Ok(()),
        }
    }
}

impl Content {
    fn edit(&mut self, edit: Edit) {
        edit.apply(&mut self.cached);
        self.unsynced.push(edit);
    }

    fn lose_power(&mut self, unsynced: Unsynced, random: &mut u64) {
        let mut left = match unsynced {
            Unsynced::FirstBytes(bytes) => bytes,
            Unsynced::Lost | Unsynced::Scattered(_) => 0,
        };
        for edit in std::mem::take(&mut self.unsynced) {
            match (unsynced, edit) {
                (Unsynced::Lost, _) => {}
                (_, edit @ Edit::Length(_)) => edit.apply(&mut self.durable),
                (Unsynced::FirstBytes(_), Edit::Write { at, mut bytes }) => {
                    bytes.truncate(left);
                    left -= bytes.len();
                    if !bytes.is_empty() {
                        Edit::Write { at, bytes }.apply(&mut self.durable);
                    }
                }
                (Unsynced::Scattered(_), Edit::Write { at, bytes }) => {
                    scatter(at, &bytes, random, &mut self.durable);
                }
            }
        }
        self.cached.clone_from(&self.durable);
    }
}

/// Writes those sectors that the dice let through.
fn scatter(at: usize, bytes: &[u8], random: &mut u64, content: &mut Vec<u8>) {
    let mut done = 0;
    while done < bytes.len() {
        let in_sector = SECTOR_BYTES - (at + done) % SECTOR_BYTES;
        let end = bytes.len().min(done + in_sector);
        if splitmix(random) & 1 == 0 {
            Edit::Write { at: at + done, bytes: bytes[done..end].to_vec() }.apply(content);
        }
        done = end;
    }
}

impl Disk for MemDisk {
    fn directory(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        let life = self.state().life;
        Ok(Arc::new(MemDirectory { disk: self.clone(), path: path.to_owned(), life }))
    }
}

#[derive(Debug)]
struct MemDirectory {
    disk: MemDisk,
    path: PathBuf,
    life: u64,
}

impl MemDirectory {
    fn file(&self, content: Inode) -> Arc<dyn DiskFile> {
        Arc::new(MemFile { disk: self.disk.clone(), content, life: self.life })
    }

    fn absent(&self, name: &str) -> io::Error {
        io::Error::new(io::ErrorKind::NotFound, format!("there is no {}", self.path.join(name).display()))
    }
}

impl Directory for MemDirectory {
    fn is_inline(&self) -> bool {
        true
    }

    fn lock(&self) -> io::Result<Box<dyn DirectoryLock>> {
        if self.disk.alive(self.life)?.locked.insert(self.path.clone()) {
            return Ok(Box::new(MemLock {
                disk: self.disk.clone(),
                path: self.path.clone(),
                life: self.life,
            }));
        }
        Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            format!("{} is in use by another process", self.path.display()),
        ))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.disk.alive(self.life)?;
        let path = self.path.join(name);
        if state.names.contains_key(&path) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists", path.display())));
        }
        let content = Content { cached: Vec::new(), durable: Vec::new(), unsynced: Vec::new() };
        let content = Arc::new(Mutex::new(content));
        state.names.insert(path, content.clone());
        Ok(self.file(content))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.disk.alive(self.life)?;
        let content = state.names.get(&self.path.join(name)).ok_or_else(|| self.absent(name))?;
        Ok(self.file(content.clone()))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.disk.alive(self.life)?;
        let here = state.names.keys().filter(|path| path.parent() == Some(&self.path));
        Ok(here.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.disk.alive(self.life)?;
        state.names.remove(&self.path.join(name)).map(|_| ()).ok_or_else(|| self.absent(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.disk.alive(self.life)?;
        let content = state.names.remove(&self.path.join(from)).ok_or_else(|| self.absent(from))?;
        state.names.insert(self.path.join(to), content);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.alive(self.life)?;
        state.durable_names.retain(|path, _| path.parent() != Some(&self.path));
        let here = state.names.iter().filter(|(path, _)| path.parent() == Some(&self.path));
        let here: Vec<_> = here.map(|(path, content)| (path.clone(), content.clone())).collect();
        state.durable_names.extend(here);
        Ok(())
    }
}

#[derive(Debug)]
struct MemLock {
    disk: MemDisk,
    path: PathBuf,
    life: u64,
}

impl DirectoryLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        if let Ok(mut state) = self.disk.alive(self.life) {
            state.locked.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    content: Inode,
    life: u64,
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset)
        .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "past what memory can hold"))
}

impl DiskFile for MemFile {
    fn len(&self) -> io::Result<u64> {
        let _alive = self.disk.alive(self.life)?;
        Ok(lock(&self.content).cached.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let _alive = self.disk.alive(self.life)?;
        let (content, at) = (lock(&self.content), place(offset)?);
        let there = content.cached.get(at..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.alive(self.life)?;
        if state.failing_writes > 0 {
            state.failing_writes -= 1;
            return Err(io::Error::other("a write failed, as the test wished"));
        }
        let at = place(offset)?;
        let longer = (at + bytes.len()).saturating_sub(lock(&self.content).cached.len());
        state.room_for(longer)?;
        lock(&self.content).edit(Edit::Write { at, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.alive(self.life)?;
        let mut content = lock(&self.content);
        let unsynced = std::mem::take(&mut content.unsynced);
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            return Err(io::Error::other("a sync failed, as the test wished"));
        }
        for edit in unsynced {
            edit.apply(&mut content.durable);
        }
        state.syncs += 1;
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let state = self.disk.alive(self.life)?;
        let (bytes, held) = (place(bytes)?, lock(&self.content).cached.len());
        if bytes > held {
            state.room_for(bytes - held)?;
            lock(&self.content).edit(Edit::Length(bytes));
        }
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let _alive = self.disk.alive(self.life)?;
        lock(&self.content).edit(Edit::Length(place(bytes)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (MemDisk, Arc<dyn Directory>) {
        let disk = MemDisk::new();
        let directory = disk.directory(Path::new("/d")).unwrap();
        (disk, directory)
    }

    #[test]
    fn only_what_was_synced_survives_the_power() {
        let (disk, directory) = fresh();
        let file = directory.create("f").unwrap();
        file.write_at(0, b"synced").unwrap();
        file.sync().unwrap();
        directory.sync().unwrap();
        directory.create("unnamed").unwrap().sync().unwrap();
        assert!(!disk.has_unsynced());
        file.write_at(6, b" lost").unwrap();
        assert!(disk.has_unsynced());

        disk.kill();
        assert!(file.write_at(0, b"x").is_err(), "the process is gone");
        assert_eq!(disk.content(Path::new("/d/f")).unwrap(), b"synced lost");
        assert_eq!(disk.files().len(), 2);

        disk.power_loss(Unsynced::Lost);
        assert!(!disk.has_unsynced());
        assert_eq!(disk.content(Path::new("/d/f")).unwrap(), b"synced");
        assert_eq!(disk.files(), [Path::new("/d/f")], "a name is durable with its directory");
    }

    #[test]
    fn a_torn_write_keeps_its_first_bytes_and_scattered_ones_whole_sectors() {
        for (unsynced, kept) in [(Unsynced::FirstBytes(4), "aabb"), (Unsynced::FirstBytes(1), "a")] {
            let (disk, directory) = fresh();
            let file = directory.create("f").unwrap();
            directory.sync().unwrap();
            file.write_at(0, b"aa").unwrap();
            file.write_at(2, b"bbb").unwrap();
            disk.power_loss(unsynced);
            assert_eq!(disk.content(Path::new("/d/f")).unwrap(), kept.as_bytes());
        }
        let mut some_hole = false;
        for seed in 0..20 {
            let (disk, directory) = fresh();
            let file = directory.create("f").unwrap();
            directory.sync().unwrap();
            file.write_at(0, &[7; 4 * SECTOR_BYTES]).unwrap();
            disk.power_loss(Unsynced::Scattered(seed));
            let content = disk.content(Path::new("/d/f")).unwrap();
            let sectors: Vec<_> = content.chunks(SECTOR_BYTES).map(|sector| sector[0]).collect();
            assert!(content.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|b| *b == sector[0])));
            some_hole |= sectors.windows(2).any(|pair| pair == [0, 7]);
        }
        assert!(some_hole, "a later sector can survive an earlier one");
    }

    #[test]
    fn an_image_has_what_was_durable_and_is_a_disk_of_its_own() {
        let (disk, directory) = fresh();
        let file = directory.create("f").unwrap();
        file.write_at(0, b"then").unwrap();
        file.sync().unwrap();
        directory.sync().unwrap();
        file.write_at(4, b" cached").unwrap();
        let image = disk.image();
        file.sync().unwrap();
        assert_eq!(image.content(Path::new("/d/f")).unwrap(), b"then");
        let old = image.directory(Path::new("/d")).unwrap().open("f").unwrap();
        old.write_at(0, b"THEN").unwrap();
        assert_eq!(disk.content(Path::new("/d/f")).unwrap(), b"then cached");
        image.power_loss(Unsynced::Lost);
        assert_eq!(image.content(Path::new("/d/f")).unwrap(), b"then");
    }

    #[test]
    fn a_process_dies_between_two_calls() {
        let (disk, directory) = fresh();
        disk.kill_after(2);
        let file = directory.create("f").unwrap();
        file.write_at(0, b"last words").unwrap();
        assert!(file.sync().is_err() && directory.list().is_err());
        assert_eq!(disk.content(Path::new("/d/f")).unwrap(), b"last words");
        assert_eq!(disk.directory(Path::new("/d")).unwrap().list().unwrap(), ["f"]);
    }

    #[test]
    fn a_failed_sync_is_never_made_good() {
        let (disk, directory) = fresh();
        let file = directory.create("f").unwrap();
        directory.sync().unwrap();
        file.write_at(0, b"gone").unwrap();
        disk.fail_syncs(1);
        assert!(file.sync().is_err());
        file.write_at(4, b"kept").unwrap();
        file.sync().unwrap();
        assert_eq!(disk.content(Path::new("/d/f")).unwrap(), b"gonekept");
        disk.power_loss(Unsynced::Lost);
        assert_eq!(disk.content(Path::new("/d/f")).unwrap(), b"\0\0\0\0kept");
    }

    #[test]
    fn a_full_disk_takes_what_was_reserved_and_no_byte_more() {
        let (disk, directory) = fresh();
        disk.set_capacity_bytes(Some(10));
        let file = directory.create("f").unwrap();
        assert_eq!(file.reserve(11).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.reserve(10).unwrap();
        file.write_at(0, &[1; 10]).unwrap();
        assert_eq!(file.write_at(1, &[1; 10]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.truncate(4).unwrap();
        assert_eq!(disk.used_bytes(), 4);
        file.write_at(1, &[1; 9]).unwrap();
        disk.fail_writes(1);
        assert!(file.write_at(0, &[2]).is_err());
        disk.flip_bit(Path::new("/d/f"), 0, 1);
        assert_eq!(disk.content(Path::new("/d/f")).unwrap()[0], 3);
    }
}
