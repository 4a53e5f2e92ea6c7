//! The three ways in which the journal says no. Not here: what a client is told.

use crate::holds::words::HoldOver;
use crate::words::LineKey;
use platform::BootId;
use std::io;
use types::{Credits, DiskId};

/// An operation had no effect; why, and what would help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the journal's queue is full: try again in a moment")]
    Overloaded,
    #[error("the journal has no room for a new segment ({why}): free space on its disk")]
    StorageFull { why: String },
    #[error(
        "the journal has stopped ({why}): restart the node once its disk is well; whether what was under way counts shows then"
    )]
    Stopped { why: String },
    #[error("this holder has no such line, or no line is attached to that handle and epoch")]
    NoLine,
    #[error("line {} of {} is closed", .0.number.0, .0.workspace)]
    LineClosed(LineKey),
    #[error("line {} of {} still waits for charges to arrive or to be closed", .0.number.0, .0.workspace)]
    LineOpen(LineKey),
    #[error("that handle and epoch have another open line")]
    Occupied,
    #[error("the watermark would be {wanted}, but only {possible} is drawn and not returned")]
    BeyondDrawn { wanted: Credits, possible: Credits },
    #[error("this holder has as many lines as it may have: forget closed ones or raise lines_max")]
    TooManyLines,
    #[error("a line has at most 128 backings: close it and open another")]
    TooManyBackings,
    #[error("the key was begun for another workspace or user than the line's")]
    OtherScope,
    #[error("this holder knows no such hold")]
    NoHold,
    #[error("the hold has ended")]
    HoldOver(Box<HoldOver>),
    #[error("the line of that hold draws no more: settle it, and open another one")]
    HoldEnding,
    #[error("the hold has {held} credits")]
    BeyondHold { held: Credits },
    #[error("{confirmed} of the hold are confirmed already")]
    BelowConfirmed { confirmed: Credits },
    #[error("this holder has {most} open holds, as many as it may have")]
    TooManyHolds { most: usize },
    #[error("this user has {most} open holds here, as many as a user may have")]
    TooManyHoldsOfUser { most: usize },
}

/// The book would contradict itself: a mistake of this program or of its caller. The journal stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal's book would be wrong: {0}")]
pub struct Unsound(pub String);

/// Why a journal or data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    #[error(
        "{file} is damaged at byte {offset} ({why}): this disk's leases are lost: put an undamaged copy of this very directory back only if the node has not run since, else run `tranche node forget` for it; its id does not come back in this version"
    )]
    Damaged { file: String, offset: u64, why: String },
    #[error(
        "{file} belongs to disk {found}, this directory is disk {expected}: it was copied here; put the right one back"
    )]
    OtherDisk { file: String, expected: DiskId, found: DiskId },
    #[error(
        "the data directory belongs to cluster {found:?}, not to {expected:?}: give this node a directory of its own"
    )]
    OtherCluster { expected: String, found: String },
    #[error("the data directory is used by another process: {0}")]
    InUse(io::Error),
    #[error("segments of {segment_bytes} bytes are too short: at least {least} with this tail")]
    SegmentTooShort { segment_bytes: u64, least: u64 },
}

/// Says what was being done when it went wrong.
pub(crate) fn doing(doing: &'static str) -> impl Fn(io::Error) -> JournalFault {
    move |source| JournalFault::Io { doing, source }
}

/// Which boot the journal was last written in, for the log.
pub(crate) fn boots(then: BootId, now: BootId) -> String {
    if then == now { format!("in the same boot {now}") } else { format!("in boot {then}, now it is {now}") }
}
