//! The clock of `tranche dev --test-clock`: how far it was put ahead is kept with the data, since books that have lived in the
//! future cannot go back. Not here: who asks for it (`api`).

use platform::{Clock, TestClock};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use types::Timestamp;

const FILE: &str = "test-clock-ahead-ms";

/// It may be so far ahead of the machine's, in all: a century.
pub(crate) const AHEAD_MS_MAX: u64 = 100 * 366 * 86_400_000;

#[derive(Debug)]
pub(crate) struct KeptTestClock {
    clock: Arc<TestClock>,
    path: PathBuf,
    /// One at a time.
    turn: Mutex<()>,
}

/// How far ahead the data is of the machine's clock; `None`: it never was.
pub(crate) fn kept_ahead_ms(data: &Path) -> io::Result<Option<u64>> {
    let path = data.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is no number of ms", path.display()));
    text.trim().parse().ok().filter(|ms| *ms <= AHEAD_MS_MAX).map(Some).ok_or_else(bad)
}

impl KeptTestClock {
    pub fn open(data: &Path) -> io::Result<Self> {
        let ahead_ms = kept_ahead_ms(data)?.unwrap_or(0);
        let clock = Arc::new(TestClock::ahead_by(ahead_ms));
        Ok(Self { clock, path: data.join(FILE), turn: Mutex::default() })
    }

    pub fn clock(&self) -> Arc<TestClock> {
        self.clock.clone()
    }

    /// Another file under the same name, so that there is always one of them whole.
    fn keep(&self, ahead_ms: u64) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        writeln!(file, "{ahead_ms}")?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        self.path.parent().map_or(Ok(()), |directory| std::fs::File::open(directory)?.sync_all())
    }
}

impl api::TestClock for KeptTestClock {
    fn advance(&self, ms: u64) -> Result<Timestamp, String> {
        let _turn = self.turn.lock().expect("nobody panics holding it");
        let ahead_ms = self.clock.ahead_ms().saturating_add(ms);
        if ahead_ms > AHEAD_MS_MAX {
            return Err("a test clock is a century ahead at most; begin anew with another --data".into());
        }
        // On the disk first: what is written from now on is dated by it.
        self.keep(ahead_ms).map_err(|why| format!("{}: {why}", self.path.display()))?;
        self.clock.put_ahead(ahead_ms);
        Ok(self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::TestClock as _;

    #[test]
    fn how_far_it_is_ahead_is_kept_to_its_bound() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(kept_ahead_ms(data.path()).unwrap(), None);
        let clock = KeptTestClock::open(data.path()).unwrap();
        let before = clock.clock().now();
        assert!(clock.advance(AHEAD_MS_MAX - 1).unwrap() > before);
        assert!(clock.advance(2).unwrap_err().contains("a century"));
        clock.advance(1).unwrap();
        let again = KeptTestClock::open(data.path()).unwrap();
        assert_eq!(again.clock().ahead_ms(), AHEAD_MS_MAX);
        std::fs::write(data.path().join(FILE), "soon").unwrap();
        assert!(kept_ahead_ms(data.path()).unwrap_err().to_string().contains("is no number of ms"));
    }
}
