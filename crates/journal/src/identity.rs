//! Whose data directory this is: a random disk id, the cluster's name, and one process at a time. Not here: whether the
//! cluster still wants this disk.

use crate::refused::{JournalFault, doing};
use crate::small_file;
use platform::{Directory, DirectoryLock, Entropy};
use std::io;
use types::DiskId;
use wire::journal::{DiskIdentity, framed, unframed};

const FILE: &str = "disk";
const UNFINISHED: &str = "disk.tmp";

/// The identity of an opened data directory; its lock is held until this is dropped.
#[derive(Debug)]
pub struct Identity {
    pub disk: DiskId,
    /// The directory was empty: a node that the cluster knows already must not start on it.
    pub is_new: bool,
    _lock: Box<dyn DirectoryLock>,
}

impl Identity {
    /// Locks the directory, and reads its identity or draws one. `InUse` where another process has it, `OtherCluster`
    /// where another cluster does.
    pub fn open_or_create(
        directory: &dyn Directory,
        cluster: &str,
        entropy: &dyn Entropy,
    ) -> Result<Self, JournalFault> {
        let lock = directory.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => JournalFault::InUse(error),
            _ => JournalFault::Io { doing: "locking the data directory", source: error },
        })?;
        match small_file::read(directory, FILE).map_err(doing("reading the disk's identity"))? {
            Some(bytes) => {
                let identity: DiskIdentity = unframed(&bytes).map_err(|why| JournalFault::Damaged {
                    file: FILE.into(),
                    offset: 0,
                    why: why.to_string(),
                })?;
                if identity.cluster != cluster {
                    let (expected, found) = (cluster.to_owned(), identity.cluster);
                    return Err(JournalFault::OtherCluster { expected, found });
                }
                Ok(Self { disk: DiskId(identity.disk), is_new: false, _lock: lock })
            }
            None => {
                let disk = DiskId(entropy.next_u64());
                write(directory, cluster, disk).map_err(doing("writing the disk's identity"))?;
                Ok(Self { disk, is_new: true, _lock: lock })
            }
        }
    }
}

fn write(directory: &dyn Directory, cluster: &str, disk: DiskId) -> io::Result<()> {
    let identity = DiskIdentity { cluster: cluster.to_owned(), disk: disk.0 };
    let bytes = framed(&identity).map_err(io::Error::other)?;
    small_file::replace(directory, FILE, UNFINISHED, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::{Disk, MemDisk, SeededEntropy, Unsynced};
    use std::path::Path;

    #[test]
    fn a_directory_has_one_disk_one_cluster_one_process() {
        let (disk, entropy) = (MemDisk::new(), SeededEntropy::new(1));
        let open = |cluster: &str| {
            let directory = disk.directory(Path::new("/data")).unwrap();
            Identity::open_or_create(directory.as_ref(), cluster, &entropy)
        };
        let first = open("a").unwrap();
        assert!(first.is_new);
        assert!(matches!(open("a"), Err(JournalFault::InUse(_))));
        let id = first.disk;
        drop(first);
        let again = open("a").unwrap();
        assert_eq!((again.disk, again.is_new), (id, false));
        disk.power_loss(Unsynced::Lost);
        let other = open("b").unwrap_err();
        assert!(matches!(&other, JournalFault::OtherCluster { found, .. } if found == "a"), "{other}");
        disk.flip_bit(Path::new("/data/disk"), 9, 0);
        assert!(matches!(open("a"), Err(JournalFault::Damaged { .. })));
    }
}
