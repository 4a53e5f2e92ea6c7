//! Opening a journal: which files count, what they fold to, and what must be rounded up. Not here: reading one segment.
//!
//! Every start begins a new segment, synced whole before anything else happens; in it stand this boot's id, the lines as
//! they were found, and what is rounded up, at once or not at all (R4). The numbers are taken as exact only if the page
//! cache has survived (same boot of the kernel), no sync has failed for good, and the newest segment ends cleanly.

use crate::book::Book;
use crate::change::KeptKey;
use crate::intake::{Files, Journal};
use crate::keys::KeyTable;
use crate::past::retire;
use crate::refused::{JournalFault, Unsound, boots, doing};
use crate::registrations::{Registrations, latest};
use crate::rotate::{NotPublished, Published, Publishing};
use crate::segment::{Folded, Reading, STOPPED, UNFINISHED, file_name, first_sequence};
use crate::words::{LineKey, Options, Recovered};
use crate::writer::{Older, Shared, Writer, WriterParts};
use platform::{BootId, BoxFuture, Clock, Directory, DiskFile};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use types::planted::{Mistake, is_planted};
use types::{Credits, DiskId};

/// Room in a segment besides its tail: more than the largest charge takes, which names 65 new units.
const SEGMENT_BYTES_LEAST: u64 = 16 * 1024;

impl Journal {
    /// The most that [`Journal::registration`] will say of any group once the journal in `directory` is opened. Writes
    /// nothing.
    pub fn find_registration(directory: &dyn Directory, disk: DiskId) -> Result<u64, JournalFault> {
        let names = directory.list().map_err(doing("listing the journal's directory"))?;
        let Some(newest) = names.iter().filter_map(|name| first_sequence(name)).max() else { return Ok(0) };
        let (_, bytes) = load(directory, newest)?;
        let folded = Reading { file: &file_name(newest), disk, sealed_bytes: None }.fold(&bytes)?;
        latest(directory, folded.sequence)
    }

    /// Opens the journal in `directory`, or begins it, and starts its writer on the current tokio runtime. The caller
    /// holds the directory's lock. Reads all segments; blocks for as long as that takes. `clock` says which boot of the
    /// kernel this is, and dates segments for who reads them; nothing is decided by its wall.
    pub async fn open(
        options: Options,
        directory: Arc<dyn Directory>,
        disk: DiskId,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Arc<KeyTable>, Recovered), JournalFault> {
        let spawn = |writer| drop(tokio::spawn(writer));
        Self::open_with(options, directory, disk, clock, spawn).await
    }

    /// The same, with the writer handed to `spawn`, which must see that it is polled. On a directory that is inline the
    /// writer needs no runtime.
    pub async fn open_with(
        options: Options,
        directory: Arc<dyn Directory>,
        disk: DiskId,
        clock: Arc<dyn Clock>,
        spawn: impl FnOnce(BoxFuture<'static, ()>),
    ) -> Result<(Self, Arc<KeyTable>, Recovered), JournalFault> {
        let least = options.tail_bytes + SEGMENT_BYTES_LEAST;
        if options.segment_bytes < least {
            return Err(JournalFault::SegmentTooShort { segment_bytes: options.segment_bytes, least });
        }
        let (boot, now) =
            (clock.kernel_boot_id().map_err(doing("reading the kernel's boot id"))?, clock.now());
        let Found { mut book, sequence: found, older, homeless, keys: found_keys, exact } =
            Found::read(directory.as_ref(), disk, boot, options.past_bytes_max)?;
        let registrations = Arc::new(Registrations::start(directory.clone(), found)?);
        let keys = KeyTable::new(options.key_window_ms, options.keys_bytes_max, clock.clone());
        found_keys.into_iter().for_each(|kept| keys.restore(kept));
        let rounding = if exact { Vec::new() } else { book.decide_rounding().map_err(unsound)? };
        let homeless = homeless.map(|gone| keys.stored_at(gone.first_sequence..gone.end_sequence));
        let homeless = homeless.unwrap_or_default();
        let publishing = Publishing {
            directory: &directory,
            options: &options,
            disk,
            boot,
            book: &book,
            keys: &keys,
            sequence: found + 1,
            now,
            older,
            homeless,
            rounded: &rounding,
        };
        let published = publishing.publish_in_any_case().await;
        let Published { segment, sequence, older } = published.map_err(not_begun)?;
        forget_stop(directory.as_ref()).map_err(doing("removing the mark of an earlier stop"))?;
        for change in &rounding {
            book.apply(change, sequence).map_err(unsound)?;
        }
        book.all_synced();
        book.count_holds_down(now, clock.boottime_ms());

        let lines = book.lines().map(|(_, line)| line.view()).collect();
        let rounded = rounding.iter().filter_map(|change| book.rounded(change)).collect();
        let recovered = Recovered { lines, sequence, rounded, exact };
        let shared = Arc::new(Shared::default());
        shared.synced_sequence.store(sequence, Ordering::Release);
        shared.open_holds.store(book.holds.count(), Ordering::Release);
        let (queue, intake) = mpsc::channel(options.queue_max);
        let (shared_too, keys_too) = (shared.clone(), keys.clone());
        let files = Arc::new(Files::new(directory.clone(), disk));
        let parts = WriterParts {
            options,
            directory,
            clock,
            disk,
            boot,
            shared: shared_too,
            keys: keys_too,
            book,
            sequence,
            older,
        };
        spawn(Box::pin(Writer::new(parts, segment).run(intake)));
        Ok((Self { queue, shared, registrations, files }, keys, recovered))
    }
}

/// What the files of an earlier run say.
struct Found {
    book: Book,
    /// The last record's; zero before the first.
    sequence: u64,
    /// All segments that are durable, the newest of them too.
    older: Vec<Older>,
    /// The newest segment, where it may not be durable: its keys must move.
    homeless: Option<Older>,
    keys: Vec<KeptKey>,
    exact: bool,
}

impl Found {
    fn read(
        directory: &dyn Directory,
        disk: DiskId,
        boot: BootId,
        past_bytes_max: u64,
    ) -> Result<Self, JournalFault> {
        let names = directory.list().map_err(doing("listing the journal's directory"))?;
        if names.iter().any(|name| name == UNFINISHED) {
            directory.remove(UNFINISHED).map_err(doing("removing an unfinished segment"))?;
        }
        let mut segments: Vec<u64> = names.iter().filter_map(|name| first_sequence(name)).collect();
        segments.sort_unstable();
        let Some(newest) = segments.pop() else {
            let book = Book::starting_at(0);
            let (older, keys) = (Vec::new(), Vec::new());
            return Ok(Self { book, sequence: 0, older, homeless: None, keys, exact: true });
        };
        let (file, bytes) = load(directory, newest)?;
        let mut last = Reading { file: &file_name(newest), disk, sealed_bytes: None }.fold(&bytes)?;
        // What a failed sync left in the page cache is no longer dirty: a sync alone would succeed and write nothing.
        let durable = file.write_at(0, &bytes[..bytes.len().min(last.bytes as usize)]);
        let durable = durable.and_then(|()| file.sync()).and_then(|()| directory.sync());
        let stopped = names.iter().any(|name| name == STOPPED);
        let same_boot = last.boot == boot || is_planted(Mistake::BootIdIgnored);
        let exact = same_boot && last.whole && durable.is_ok() && !stopped;
        tracing::info!(
            boot = boots(last.boot, boot),
            whole = last.whole,
            stopped,
            ?durable,
            exact,
            "journal read"
        );

        let (mut older, mut keys) = (Vec::new(), Vec::new());
        for segment in segments {
            let Some(listed) = last.previous.iter().find(|listed| listed.first_sequence == segment) else {
                // Its last living key was carried on or was forgotten when the newest segment began.
                let retired = retire(directory, segment, None, past_bytes_max);
                retired.map_err(doing("removing an old segment"))?;
                continue;
            };
            let (_, bytes) = load(directory, segment)?;
            let name = file_name(segment);
            let folded = Reading { file: &name, disk, sealed_bytes: Some(listed.bytes) }.fold(&bytes)?;
            older.push(Self::sealed(segment, &folded));
            keys.extend(folded.keys);
        }
        let newest = Self::sealed(newest, &last);
        let homeless = if durable.is_ok() { None } else { Some(newest) };
        older.extend(durable.is_ok().then_some(newest));
        keys.append(&mut last.keys);
        Ok(Self { book: last.book, sequence: last.sequence, older, homeless, keys, exact })
    }

    fn sealed(first_sequence: u64, folded: &Folded) -> Older {
        Older { first_sequence, end_sequence: folded.sequence + 1, bytes: folded.bytes }
    }
}

fn load(directory: &dyn Directory, segment: u64) -> Result<(Arc<dyn DiskFile>, Vec<u8>), JournalFault> {
    let read = || {
        let file = directory.open(&file_name(segment))?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_at(0, &mut bytes)?;
        Ok((file, bytes))
    };
    read().map_err(doing("reading a segment of the journal"))
}

fn forget_stop(directory: &dyn Directory) -> io::Result<()> {
    match directory.remove(STOPPED) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| directory.sync()),
    }
}

fn unsound(why: Unsound) -> JournalFault {
    JournalFault::Io { doing: "rounding lines up", source: io::Error::other(why) }
}

fn not_begun(why: NotPublished) -> JournalFault {
    let source = match why {
        NotPublished::Nothing(error) | NotPublished::Half(error) => error,
        NotPublished::TooLarge(text) => io::Error::other(text),
    };
    JournalFault::Io { doing: "beginning a new segment of the journal", source }
}

impl Book {
    fn rounded(&self, change: &crate::change::Change) -> Option<(LineKey, Credits)> {
        let crate::change::Change::Rounded { slot, parts } = change else { return None };
        Some((self.line(*slot)?.key(), Credits::checked_sum(parts.iter().map(|(_, part)| *part))?))
    }
}
