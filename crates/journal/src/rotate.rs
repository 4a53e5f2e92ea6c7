//! How a segment follows another: when one is full, and when one has failed. Not here: what is written into it.
//!
//! A new segment opens with a snapshot of all lines, so an older one is kept only for the keys in it that live. One
//! with few of them is emptied: they are carried into the new segment, and the file goes. So the disk holds at most
//! about four times what living keys take, and two segments. Which keys live is never asked of a clock here.

use crate::book::Book;
use crate::change::{Change, KeptKey};
use crate::keys::{KeyName, KeyTable};
use crate::past::{make_room, retire_all};
use crate::refused::Refused;
use crate::segment::{UNFINISHED, file_name, snapshot};
use crate::words::Options;
use crate::writer::{Older, Segment, Writer, off_task};
use platform::{BootId, Directory, DiskFile};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::{DiskId, Timestamp};
use wire::journal::{Head, Previous};

/// Why there is no new segment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPublished {
    /// Nothing has changed.
    #[error("{0}")]
    Nothing(io::Error),
    /// The new segment may be there after a restart or not: writing to the old one must end.
    #[error("a new segment's name could not be synced: {0}")]
    Half(io::Error),
    #[error("a line does not fit into a record: {0}")]
    TooLarge(String),
}

/// A new segment before it is made.
pub(crate) struct Publishing<'a> {
    pub directory: &'a Arc<dyn Directory>,
    pub options: &'a Options,
    pub disk: DiskId,
    pub boot: BootId,
    pub book: &'a Book,
    pub keys: &'a KeyTable,
    /// Its head's.
    pub sequence: u64,
    pub now: Timestamp,
    /// What came before it, oldest first.
    pub older: Vec<Older>,
    /// Keys that stand in none of them.
    pub homeless: Vec<Arc<KeyName>>,
    pub rounded: &'a [Change],
}

#[derive(Debug)]
pub(crate) struct Published {
    pub segment: Segment,
    /// The last record's.
    pub sequence: u64,
    /// Those that are still there.
    pub older: Vec<Older>,
}

impl Publishing<'_> {
    /// Where there is no room, what is kept for look-ups alone makes some.
    pub async fn publish_in_any_case(self) -> Result<Published, NotPublished> {
        let again = Publishing { homeless: self.homeless.clone(), older: self.older.clone(), ..self };
        match self.publish().await {
            Err(NotPublished::Nothing(_)) if make_room(again.directory.as_ref()) => again.publish().await,
            published => published,
        }
    }

    async fn publish(self) -> Result<Published, NotPublished> {
        let (stay, go, carried) = self.sort_out();
        // A key that was forgotten meanwhile is in no table.
        let carried = carried.into_iter().filter_map(|name| self.keys.kept(&name).map(|kept| (name, kept)));
        let (names, kept): (Vec<Arc<KeyName>>, Vec<KeptKey>) = carried.unzip();
        let previous = stay.iter().map(|o| Previous { first_sequence: o.first_sequence, bytes: o.bytes });
        let head = Head {
            disk: self.disk.0,
            boot: self.boot.0,
            sequence: self.sequence,
            at_ms: self.now.millis(),
            next_line: self.book.next_slot(),
            previous: previous.collect(),
        };
        let opening = snapshot(head, self.book, &kept, self.rounded).map_err(NotPublished::TooLarge)?;
        let (at, tail_bytes) = (opening.bytes.len() as u64, self.options.tail_bytes);
        let capacity_bytes = self.options.segment_bytes.max(2 * at + tail_bytes);
        let (directory, name) = (self.directory.clone(), file_name(self.sequence));
        let made = off_task(directory.is_inline(), move || {
            Ok(make(directory.as_ref(), &name, &opening.bytes, capacity_bytes))
        });
        let file = made.await.map_err(NotPublished::Nothing)??;
        for (to, (name, kept)) in (opening.kept_at..).zip(names.iter().zip(&kept)) {
            self.keys.moved(name, kept.position, to);
        }
        self.tidy(&stay, &go).await;
        let segment = Segment { file, first_sequence: self.sequence, at, capacity_bytes, tail_bytes };
        Ok(Published { segment, sequence: opening.sequence, older: stay })
    }

    /// Which older segments stay, which go, and the keys that must be carried.
    fn sort_out(&self) -> (Vec<Older>, Vec<Older>, Vec<Arc<KeyName>>) {
        let (mut stay, mut go, mut carried) = (Vec::new(), Vec::new(), self.homeless.clone());
        let quarter = self.options.segment_bytes / 4;
        let mut budget = quarter;
        for older in &self.older {
            let positions = older.first_sequence..older.end_sequence;
            let few = if older.bytes <= quarter { budget } else { (older.bytes / 4).min(budget) };
            if self.keys.more_than(few, positions.clone()) {
                stay.push(*older);
                continue;
            }
            let names = self.keys.stored_at(positions);
            budget = budget.saturating_sub(names.iter().map(|name| name.kept_bytes()).sum());
            carried.extend(names);
            go.push(*older);
        }
        (stay, go, carried)
    }

    /// Frees what is not needed. What cannot be removed now is no segment of the newest head and goes at the next start.
    async fn tidy(&self, stay: &[Older], go: &[Older]) {
        let (directory, go) = (self.directory.clone(), go.to_vec());
        let (last, past_bytes_max) = (stay.last().copied(), self.options.past_bytes_max);
        let done = off_task(directory.is_inline(), move || {
            retire_all(directory.as_ref(), &go, past_bytes_max)?;
            match last {
                Some(last) => directory.open(&file_name(last.first_sequence))?.truncate(last.bytes),
                None => Ok(()),
            }
        });
        if let Err(error) = done.await {
            tracing::warn!(%error, "an old segment could not be tidied away");
        }
    }
}

fn make(
    directory: &dyn Directory,
    name: &str,
    opening: &[u8],
    capacity_bytes: u64,
) -> Result<Arc<dyn DiskFile>, NotPublished> {
    let finish = || {
        match directory.remove(UNFINISHED) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = directory.create(UNFINISHED)?;
        file.reserve(capacity_bytes)?;
        file.write_at(0, opening)?;
        file.sync()?;
        directory.rename(UNFINISHED, name)?;
        Ok(file)
    };
    let file = finish().map_err(|error| {
        let _gone_or_stays = directory.remove(UNFINISHED);
        NotPublished::Nothing(error)
    })?;
    directory.sync().map_err(NotPublished::Half)?;
    Ok(file)
}

impl Writer {
    /// Goes on in a new segment. `Err` where there is none, and the old one goes on.
    pub async fn roll(&mut self) -> Result<(), Refused> {
        if let Some(why) = &self.no_room {
            return Err(Refused::StorageFull { why: why.clone() });
        }
        let full = self.segment.first_sequence;
        self.write().await;
        self.sync_all().await;
        if let Some(why) = self.why_stopped() {
            return Err(why);
        }
        if self.segment.first_sequence != full {
            // The sync failed and a new segment was made for that.
            return Ok(());
        }
        // The mark of that sync stands behind these bytes, and is not durable.
        let sealed =
            Older { first_sequence: full, end_sequence: self.sequence + 1, bytes: self.synced_bytes };
        match self.publish(sealed, Vec::new()).await {
            Ok(()) => Ok(()),
            Err(NotPublished::Nothing(error)) => {
                tracing::warn!(%error, "no new segment: charges are refused until there is room");
                self.shared.full.store(true, Ordering::Release);
                self.no_room = Some(error.to_string());
                Err(Refused::StorageFull { why: error.to_string() })
            }
            Err(error @ (NotPublished::Half(_) | NotPublished::TooLarge(_))) => {
                Err(self.stop(error.to_string()))
            }
        }
    }

    /// The segment has failed: what is not durable may never be, and is not tried again. A new one takes over with all
    /// that is in the book, or the journal stops.
    pub async fn rescue(&mut self, why: String) {
        tracing::error!(why, "the segment is given up");
        self.forget_running_sync();
        let homeless = self.keys.stored_at(self.synced_sequence + 1..u64::MAX);
        let sealed = Older {
            first_sequence: self.segment.first_sequence,
            end_sequence: self.synced_sequence + 1,
            bytes: self.synced_bytes,
        };
        if let Err(error) = self.publish(sealed, homeless).await {
            self.stop(format!("{why}; then: {error}"));
        }
    }

    async fn publish(&mut self, sealed: Older, homeless: Vec<Arc<KeyName>>) -> Result<(), NotPublished> {
        self.drop_dead().await;
        let publishing = Publishing {
            directory: &self.directory,
            options: &self.options,
            disk: self.disk,
            boot: self.boot,
            book: &self.book,
            keys: &self.keys,
            sequence: self.sequence + 1,
            now: self.clock.now(),
            older: self.older.iter().copied().chain([sealed]).collect(),
            homeless,
            rounded: &[],
        };
        let Published { segment, sequence, older } = publishing.publish_in_any_case().await?;
        (self.sequence, self.older) = (sequence, older);
        self.synced_bytes = segment.at;
        self.segment = segment;
        self.shared.full.store(false, Ordering::Release);
        self.book.all_synced();
        self.durable_up_to(sequence);
        Ok(())
    }

    /// Frees the segments in which no key lives, before room for a new one is asked for.
    async fn drop_dead(&mut self) {
        let keys = &self.keys;
        let lives = |older: &Older| keys.more_than(0, older.first_sequence..older.end_sequence);
        let (live, dead): (Vec<_>, Vec<_>) = self.older.iter().copied().partition(lives);
        self.older = live;
        let (directory, past_bytes_max) = (self.directory.clone(), self.options.past_bytes_max);
        let removed =
            off_task(directory.is_inline(), move || retire_all(directory.as_ref(), &dead, past_bytes_max));
        if let Err(error) = removed.await {
            tracing::warn!(%error, "an old segment could not be removed");
        }
    }
}
