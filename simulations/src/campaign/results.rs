//! The file of a campaign's results: a line for each run, appended as it ends, read one by one and never as a whole. Not
//! here: what runs (`campaign`).

use super::{Campaign, Stopped};
use crate::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const NAME: &str = "outcomes.jsonl";
/// So much is read at a time to find where the last whole line ends.
const STEP: usize = 64 * 1024;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    pub variant: usize,
    pub seed: u64,
    pub outcome: Outcome,
}

pub fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// Which runs of a campaign: a bit for each.
#[derive(Debug)]
pub struct Runs {
    from: u64,
    seeds: u64,
    variants: usize,
    bits: Vec<u64>,
    pub count: u64,
}

impl Runs {
    pub fn none_of(campaign: &Campaign) -> Self {
        let words = campaign.runs().div_ceil(64);
        let bits = vec![0; usize::try_from(words).unwrap_or(usize::MAX)];
        Self { from: campaign.from, seeds: campaign.seeds, variants: campaign.variants.len(), bits, count: 0 }
    }

    /// Its bit; none where it is no run of this campaign.
    fn bit(&self, seed: u64, variant: usize) -> Option<(usize, u64)> {
        let at = seed.checked_sub(self.from).filter(|at| *at < self.seeds && variant < self.variants)?;
        let bit = at * self.variants as u64 + variant as u64;
        Some((usize::try_from(bit / 64).ok()?, 1 << (bit % 64)))
    }

    pub fn has(&self, seed: u64, variant: usize) -> bool {
        self.bit(seed, variant).is_some_and(|(word, bit)| self.bits[word] & bit != 0)
    }

    /// Whether it is one of the campaign's, and was not there yet.
    pub fn insert(&mut self, seed: u64, variant: usize) -> bool {
        let Some((word, bit)) = self.bit(seed, variant).filter(|_| !self.has(seed, variant)) else {
            return false;
        };
        self.bits[word] |= bit;
        self.count += 1;
        true
    }
}

pub fn append(results: &Mutex<File>, done: &Done) -> io::Result<()> {
    let mut line = serde_json::to_string(done).map_err(io::Error::other)?;
    line.push('\n');
    results.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
}

/// Cuts off a last line that was not written to its end.
pub fn mend(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut part = vec![0; STEP];
    while end > 0 {
        let from = end.saturating_sub(STEP as u64);
        let part = &mut part[..usize::try_from(end - from).unwrap_or(STEP)];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(part)?;
        if let Some(last) = part.iter().rposition(|byte| *byte == b'\n') {
            end = from + last as u64 + 1;
            break;
        }
        end = from;
    }
    if end < length { file.set_len(end) } else { Ok(()) }
}

impl Campaign {
    /// What a directory has of this campaign, one by one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn results(&self, directory: &Path) -> Result<impl Iterator<Item = Done> + use<>, Stopped> {
        let path = path(directory);
        let file = match File::open(&path) {
            Ok(file) => Some(BufReader::new(file)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => None,
            Err(why) => return Err(Stopped::Io(path, why)),
        };
        let mut seen = Runs::none_of(self);
        let lines = file.into_iter().flat_map(|file| file.split(b'\n')).map_while(Result::ok);
        let readable = lines.filter_map(|line| serde_json::from_slice::<Done>(&line).ok());
        // What was run twice is one result: runs of one seed are equal.
        Ok(readable.filter(move |done| seen.insert(done.seed, done.variant)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Variant;

    fn campaign(from: u64, seeds: u64, variants: usize) -> Campaign {
        let variant = Variant {
            name: String::new(),
            topology: PathBuf::new(),
            policy: None,
            trace: PathBuf::new(),
            faults: None,
            what_if: None,
            digest: String::new(),
        };
        let (plant, program) = (None, String::new());
        Campaign { from, seeds, variants: vec![variant; variants], plant, program, wall_ms: 0 }
    }

    fn line(seed: u64) -> String {
        serde_json::to_string(&Done { variant: 0, seed, outcome: Outcome::default() }).unwrap()
    }

    #[test]
    fn a_line_that_was_cut_off_is_run_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = path(directory.path());
        let whole = line(3);
        // Whole lines stay, however long what is cut off is: also where its beginning lies several steps back.
        for cut in [0, 1, 20, STEP - 1, STEP, STEP + 1, 3 * STEP] {
            std::fs::write(&path, format!("{whole}\n{}", "x".repeat(cut))).unwrap();
            mend(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{whole}\n"), "{cut}");
            std::fs::write(&path, "x".repeat(cut)).unwrap();
            mend(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "", "{cut}");
        }
        mend(&directory.path().join("nothing")).unwrap();
    }

    #[test]
    fn results_are_those_of_the_campaign_and_each_once() {
        let directory = tempfile::tempdir().unwrap();
        let lines = [2, 3, 4, 3, 9, 4].map(line).join("\n");
        std::fs::write(path(directory.path()), format!("{lines}\nno result\n")).unwrap();
        let known = campaign(3, 5, 1).results(directory.path()).unwrap();
        assert_eq!(known.map(|done| done.seed).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(campaign(3, 5, 1).results(Path::new("nowhere")).unwrap().count(), 0);
    }

    #[test]
    fn runs_are_told_apart_by_seed_and_variant() {
        let mut runs = Runs::none_of(&campaign(5, 40, 3));
        let all = || (5..45).flat_map(|seed| (0..3).map(move |variant| (seed, variant)));
        for (seed, variant) in all() {
            assert!(!runs.has(seed, variant) && runs.insert(seed, variant) && runs.has(seed, variant));
            assert!(!runs.insert(seed, variant), "once");
        }
        assert_eq!(runs.count, 120);
        for (seed, variant) in [(4, 0), (45, 0), (5, 3), (u64::MAX, 0)] {
            assert!(!runs.insert(seed, variant) && !runs.has(seed, variant));
        }
    }
}
