//! Snapshot files: which one is the current one, and how another takes its place. Not here: what is in them.

use super::format::{self, DIGEST_BYTES, Replicated};
use crate::raft::SnapshotMeta;
use platform::{Directory, DiskFile};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// A whole snapshot. It stays readable when another one takes its name.
#[derive(Clone)]
pub(crate) struct SnapshotFile {
    pub file: Arc<dyn DiskFile>,
    pub meta: SnapshotMeta,
    pub digest: [u8; DIGEST_BYTES],
    pub bytes: u64,
    /// What it holds, where it was just received and read.
    pub received: Option<Arc<Replicated>>,
}

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot of {} bytes up to {:?}", self.bytes, self.meta.last_log_id)
    }
}

/// One group's snapshots in its directory. Clones are the same.
#[derive(Clone)]
pub(crate) struct SnapshotStore(Arc<Inner>);

struct Inner {
    group: u16,
    directory: Arc<dyn Directory>,
    current: Mutex<Option<SnapshotFile>>,
}

impl SnapshotStore {
    /// Reads the current snapshot, if there is one, and removes what was never finished.
    pub(crate) fn open(group: u16, directory: Arc<dyn Directory>) -> io::Result<(Self, Replicated)> {
        let store = Self(Arc::new(Inner { group, directory, current: Mutex::new(None) }));
        let (new, incoming) = (store.new_name(), store.incoming_names());
        for name in store.0.directory.list()? {
            if name == new || name.starts_with(&incoming) {
                remove_if_there(&*store.0.directory, &name)?;
            }
        }
        match store.0.directory.open(&store.name()) {
            Ok(file) => {
                let (replicated, digest, bytes) = format::read(group, &*file)?;
                let meta = replicated.meta();
                *store.current_mut() = Some(SnapshotFile { file, meta, digest, bytes, received: None });
                Ok((store, replicated))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((store, Replicated::new())),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn current(&self) -> Option<SnapshotFile> {
        self.current_mut().clone()
    }

    /// Whether the disk is simulated, so that work on it may be done on a task.
    pub(crate) fn is_inline(&self) -> bool {
        self.0.directory.is_inline()
    }

    /// Makes a snapshot and takes it as the current one, unless a later one came meanwhile.
    pub(crate) fn save(&self, replicated: &Replicated) -> io::Result<SnapshotFile> {
        let name = self.new_name();
        remove_if_there(&*self.0.directory, &name)?;
        let file = self.0.directory.create(&name)?;
        let (digest, bytes) = format::write(self.0.group, replicated, &*file)?;
        let made = SnapshotFile { file, meta: replicated.meta(), digest, bytes, received: None };
        self.publish(&name, made)
    }

    /// An empty file for a snapshot that is being received. Its name is its own: what is renamed once it is synced is the
    /// very file that was.
    pub(crate) fn make_incoming(&self, digest: &[u8; DIGEST_BYTES]) -> io::Result<Arc<dyn DiskFile>> {
        let name = self.incoming_name(digest);
        remove_if_there(&*self.0.directory, &name)?;
        self.0.directory.create(&name)
    }

    /// Frees what was received of a snapshot that is not being installed. What cannot be removed goes at the next start.
    pub(crate) fn drop_incoming(&self, digest: &[u8; DIGEST_BYTES]) {
        if let Err(error) = remove_if_there(&*self.0.directory, &self.incoming_name(digest)) {
            tracing::warn!(%error, "a received snapshot could not be removed");
        }
    }

    /// Reads and checks what was received whole.
    pub(crate) fn read_incoming(&self, file: Arc<dyn DiskFile>) -> io::Result<SnapshotFile> {
        let (replicated, digest, bytes) = format::read(self.0.group, &*file)?;
        let meta = replicated.meta();
        Ok(SnapshotFile { file, meta, digest, bytes, received: Some(Arc::new(replicated)) })
    }

    /// Takes a snapshot that somebody else made and answers what it holds.
    pub(crate) fn install(&self, snapshot: SnapshotFile) -> io::Result<Arc<Replicated>> {
        let SnapshotFile { file, meta, digest, bytes, received } = snapshot;
        if let Some(replicated) = received {
            let installed = SnapshotFile { file, meta, digest, bytes, received: None };
            self.publish(&self.incoming_name(&digest), installed)?;
            return Ok(replicated);
        }
        let (replicated, digest, _) = format::read(self.0.group, &*file)?;
        if self.current().is_none_or(|current| current.digest != digest) {
            self.save(&replicated)?;
        }
        Ok(Arc::new(replicated))
    }

    fn publish(&self, name: &str, snapshot: SnapshotFile) -> io::Result<SnapshotFile> {
        snapshot.file.sync()?;
        // Held over the rename: a later snapshot never loses its name to an earlier one.
        let mut current = self.current_mut();
        let is_later = |known: &&SnapshotFile| {
            known.meta.last_log_id >= snapshot.meta.last_log_id && known.digest != snapshot.digest
        };
        if let Some(later) = current.as_ref().filter(is_later) {
            remove_if_there(&*self.0.directory, name)?;
            return Ok(later.clone());
        }
        self.0.directory.rename(name, &self.name())?;
        self.0.directory.sync()?;
        *current = Some(snapshot.clone());
        Ok(snapshot)
    }

    fn current_mut(&self) -> MutexGuard<'_, Option<SnapshotFile>> {
        self.0.current.lock().expect("nothing panics while the current snapshot is held")
    }

    fn name(&self) -> String {
        format!("snapshot-{}", self.0.group)
    }

    fn new_name(&self) -> String {
        format!("snapshot-{}.new", self.0.group)
    }

    /// What the names of all that is being received begin with.
    fn incoming_names(&self) -> String {
        format!("snapshot-{}.incoming", self.0.group)
    }

    fn incoming_name(&self, digest: &[u8; DIGEST_BYTES]) -> String {
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{digest}", self.incoming_names())
    }
}

fn remove_if_there(directory: &dyn Directory, name: &str) -> io::Result<()> {
    match directory.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
