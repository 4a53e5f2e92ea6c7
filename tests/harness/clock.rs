//! A wall clock of its own for one process: libfaketime, told by a file that may change while the process runs.
//!
//! Only the wall clock: what the process measures time with goes on as ever. Not here: when it is wrong, and by how much.

use std::path::{Path, PathBuf};

/// Where Debian and others put it; the one for programs with threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
const LIBRARY_FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/opt/homebrew/lib",
];

#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    /// What libfaketime reads, each time it is asked for the time.
    told: PathBuf,
}

impl WallClock {
    /// Right, to begin with.
    pub(crate) fn new(directory: &Path) -> Self {
        let libraries = LIBRARY_FOLDERS.map(|folder| Path::new(folder).join(LIBRARY));
        let library = libraries.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
            panic!(
                "libfaketime is not installed, and without it no clock can be wrong: \
                 sudo apt-get install faketime (`cargo xtask test` does it)"
            )
        });
        let clock = Self { library, told: directory.join("clock") };
        clock.set_ms(0);
        clock
    }

    /// From now on off by so much.
    pub fn set_ms(&self, ms: i64) {
        let sign = if ms < 0 { '-' } else { '+' };
        let ms = ms.unsigned_abs();
        let text = format!("{sign}{}.{:03}\n", ms / 1_000, ms % 1_000);
        // Never half-written: it may be read at any moment.
        let fresh = self.told.with_extension("next");
        std::fs::write(&fresh, text).expect("the clock is written");
        std::fs::rename(&fresh, &self.told).expect("the clock is set");
    }

    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 5] {
        [
            ("LD_PRELOAD", self.library.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.told.clone()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ]
    }
}

/// Removes what libfaketime leaves behind in shared memory when its process is killed.
pub(crate) fn sweep(process: u32) {
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        let _none = std::fs::remove_file(format!("/dev/shm/{name}{process}"));
    }
}
