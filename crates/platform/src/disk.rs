//! Files as the journal and the log store need them, and the real ones. All calls block. Not here: what is in a file.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where directories are.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a directory and makes it where it is missing.
    fn directory(&self, path: &Path) -> io::Result<Arc<dyn Directory>>;
}

/// One directory of files.
pub trait Directory: Send + Sync + fmt::Debug {
    /// Whether `sync` may be called right on a task (simulated), or must go to a thread that may block (real).
    fn is_inline(&self) -> bool;

    /// Keeps every other process out until the lock is dropped; `WouldBlock` where one is in.
    fn lock(&self) -> io::Result<Box<dyn DirectoryLock>>;

    /// Makes an empty file; `AlreadyExists` where there is one.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file to read and write; `NotFound` where there is none.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// The names of all files, sorted.
    fn list(&self) -> io::Result<Vec<String>>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, at once or not at all; a file of that name is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes the names durable: created, removed, renamed.
    fn sync(&self) -> io::Result<()>;
}

/// Held by the one process that may use a directory.
pub trait DirectoryLock: Send + Sync + fmt::Debug {}

/// One open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Length in bytes, the reserved ones included.
    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills all of `bytes` from `offset` on; `UnexpectedEof` where the file is shorter.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Hands all bytes to the kernel. They survive the process, not the power.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes content and length durable. After an error what was not durable may never become so: do not try again.
    fn sync(&self) -> io::Result<()>;

    /// Makes the file `bytes` long, filled up with zeros that have their place on the disk; `StorageFull` where
    /// there is none.
    fn reserve(&self, bytes: u64) -> io::Result<()>;

    /// Cuts the file to `bytes`.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
}

/// The file system.
#[derive(Debug)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn directory(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        if !path.is_dir() {
            std::fs::create_dir_all(path)?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(Arc::new(RealDirectory { path: path.to_owned() }))
    }
}

#[derive(Debug)]
struct RealDirectory {
    path: PathBuf,
}

const LOCK_FILE: &str = "lock";

impl RealDirectory {
    /// A path that says in an error which file it was about.
    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn naming(path: &Path) -> impl Fn(io::Error) -> io::Error {
    let path = path.display().to_string();
    move |error| io::Error::new(error.kind(), format!("{path}: {error}"))
}

impl Directory for RealDirectory {
    fn is_inline(&self) -> bool {
        false
    }

    fn lock(&self) -> io::Result<Box<dyn DirectoryLock>> {
        let path = self.at(LOCK_FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(naming(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!("{} is in use by another process", self.path.display()),
            )),
            Err(TryLockError::Error(error)) => Err(naming(&path)(error)),
        }
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.at(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        Ok(Arc::new(RealFile(file.map_err(naming(&path))?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.at(name);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        Ok(Arc::new(RealFile(file.map_err(naming(&path))?)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(naming(&self.path))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.at(name)).map_err(naming(&self.at(name)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.at(from), self.at(to)).map_err(naming(&self.at(from)))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path).and_then(|directory| directory.sync_all()).map_err(naming(&self.path))
    }
}

/// The kernel lets go of the lock when the file is closed, also when the process dies.
#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl DirectoryLock for RealLock {}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|about| about.len())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, bytes)?)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemDisk;

    /// What both halves must do alike.
    fn behaves_like_a_directory(disk: &dyn Disk, path: &Path) {
        let directory = disk.directory(path).unwrap();
        let file = directory.create("a").unwrap();
        assert_eq!(directory.create("a").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(directory.open("b").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(file.is_empty().unwrap());
        file.reserve(10).unwrap();
        file.write_at(8, b"xyz").unwrap();
        file.sync().unwrap();
        assert_eq!(file.len().unwrap(), 11, "a write past the end makes it longer");
        let mut bytes = [1; 11];
        file.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0\0\0\0\0xyz");
        assert_eq!(file.read_at(1, &mut bytes).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        file.reserve(5).unwrap();
        assert_eq!(file.len().unwrap(), 11, "to reserve never shortens");
        file.truncate(9).unwrap();
        directory.create("c").unwrap();
        directory.rename("a", "c").unwrap();
        directory.sync().unwrap();
        assert_eq!(directory.list().unwrap(), ["c"]);
        assert_eq!(disk.directory(path).unwrap().open("c").unwrap().len().unwrap(), 9);
        directory.remove("c").unwrap();
        assert_eq!(directory.remove("c").unwrap_err().kind(), io::ErrorKind::NotFound);

        let lock = directory.lock().unwrap();
        let second = disk.directory(path).unwrap();
        assert_eq!(second.lock().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        assert!(second.lock().is_ok());
    }

    #[test]
    fn both_halves_behave_alike() {
        let real = tempfile::tempdir().unwrap();
        behaves_like_a_directory(&RealDisk, &real.path().join("made/when/missing"));
        behaves_like_a_directory(&MemDisk::new(), Path::new("/data"));
    }
}
