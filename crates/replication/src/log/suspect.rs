//! After a sync that failed, what was written before it may be readable and yet never become durable: the system may hold
//! it for written, and no later sync writes it again. A log that went on from there would lose pages with the next power
//! failure, and with them be no log any more. So the directory is marked, and whoever opens the log next writes it anew,
//! to another file, first. Not here: the tables (`database`).

use platform::{Directory, DiskFile};
use std::io;
use std::sync::Arc;

const MARK: &str = "log.suspect";
const ANEW: &str = "log.anew";
const PIECE_BYTES: usize = 1024 * 1024;

/// Once the mark cannot be made either, the disk is past helping.
pub fn mark(directory: &dyn Directory) {
    let _last_word = directory.create(MARK);
}

/// Whether `file` had to be written anew, which it is then.
pub fn write_anew(directory: &dyn Directory, file: &str) -> io::Result<bool> {
    let names = directory.list()?;
    let is_there = |name: &str| names.iter().any(|there| there == name);
    if !is_there(MARK) {
        return Ok(false);
    }
    if is_there(ANEW) {
        directory.remove(ANEW)?;
    }
    if is_there(file) {
        let anew = directory.create(ANEW)?;
        copy(&directory.open(file)?, &anew)?;
        anew.sync()?;
        directory.rename(ANEW, file)?;
        directory.sync()?;
    }
    directory.remove(MARK)?;
    directory.sync()?;
    Ok(true)
}

fn copy(from: &Arc<dyn DiskFile>, to: &Arc<dyn DiskFile>) -> io::Result<()> {
    let length = from.len()?;
    to.reserve(length)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < length {
        let bytes = usize::try_from(length - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        from.read_at(at, &mut piece[..bytes])?;
        to.write_at(at, &piece[..bytes])?;
        at += bytes as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::{Disk, MemDisk, Unsynced};
    use std::path::Path;

    /// A megabyte of which a part was written before a sync that failed.
    fn after_a_failed_sync(disk: &MemDisk) -> Vec<u8> {
        let directory = disk.directory(Path::new("/d")).unwrap();
        let file = directory.create("log").unwrap();
        directory.sync().unwrap();
        file.write_at(0, &[1; 1_500_000]).unwrap();
        disk.fail_syncs(1);
        assert!(file.sync().is_err());
        mark(&*directory);
        [1; 1_500_000].to_vec()
    }

    #[test]
    fn what_was_readable_is_durable_after_it_was_written_anew() {
        let disk = MemDisk::new();
        let content = after_a_failed_sync(&disk);
        let directory = disk.directory(Path::new("/d")).unwrap();
        assert!(write_anew(&*directory, "log").unwrap());
        assert!(!write_anew(&*directory, "log").unwrap());
        disk.power_loss(Unsynced::Lost);
        assert_eq!(disk.content(Path::new("/d/log")).unwrap(), content);
    }

    #[test]
    fn who_is_killed_meanwhile_begins_again() {
        for calls in 0..20 {
            let disk = MemDisk::new();
            let content = after_a_failed_sync(&disk);
            let directory = disk.directory(Path::new("/d")).unwrap();
            disk.kill_after(calls);
            let killed = write_anew(&*directory, "log").is_err();
            disk.kill();
            let directory = disk.directory(Path::new("/d")).unwrap();
            let again = write_anew(&*directory, "log").unwrap();
            assert!(killed || !again);
            disk.power_loss(Unsynced::Lost);
            assert_eq!(disk.content(Path::new("/d/log")).unwrap(), content, "killed after {calls} calls");
        }
    }
}
